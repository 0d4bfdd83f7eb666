/**
 * MobileNetV3 (Howard et al. 2019), with torchvision's parameter names.
 */
import { Dropout, Hardswish, Linear, Module, ReLU, Sequential } from '../../nn/index.ts';
import { F, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import {
  type ClassifierOptions,
  convNorm,
  divisibleBy8,
  globalMean,
  initialiseConvolutions,
  initialiseLinears,
  SqueezeExcitation,
} from './blocks.ts';

const NORM = { eps: 1e-3, momentum: 0.01 };

/** A row of the paper's tables 1 and 2. */
interface Row {
  readonly inChannels: number;
  readonly kernelSize: number;
  readonly expanded: number;
  readonly outChannels: number;
  readonly squeeze: boolean;
  readonly hardswish: boolean;
  readonly stride: number;
}

const row = (
  inChannels: number,
  kernelSize: number,
  expanded: number,
  outChannels: number,
  squeeze: boolean,
  activation: 'RE' | 'HS',
  stride: number,
): Row => ({ inChannels, kernelSize, expanded, outChannels, squeeze, hardswish: activation === 'HS', stride });

const LARGE: readonly Row[] = [
  row(16, 3, 16, 16, false, 'RE', 1),
  row(16, 3, 64, 24, false, 'RE', 2),
  row(24, 3, 72, 24, false, 'RE', 1),
  row(24, 5, 72, 40, true, 'RE', 2),
  row(40, 5, 120, 40, true, 'RE', 1),
  row(40, 5, 120, 40, true, 'RE', 1),
  row(40, 3, 240, 80, false, 'HS', 2),
  row(80, 3, 200, 80, false, 'HS', 1),
  row(80, 3, 184, 80, false, 'HS', 1),
  row(80, 3, 184, 80, false, 'HS', 1),
  row(80, 3, 480, 112, true, 'HS', 1),
  row(112, 3, 672, 112, true, 'HS', 1),
  row(112, 5, 672, 160, true, 'HS', 2),
  row(160, 5, 960, 160, true, 'HS', 1),
  row(160, 5, 960, 160, true, 'HS', 1),
];

const SMALL: readonly Row[] = [
  row(16, 3, 16, 16, true, 'RE', 2),
  row(16, 3, 72, 24, false, 'RE', 2),
  row(24, 3, 88, 24, false, 'RE', 1),
  row(24, 5, 96, 40, true, 'HS', 2),
  row(40, 5, 240, 40, true, 'HS', 1),
  row(40, 5, 240, 40, true, 'HS', 1),
  row(40, 5, 120, 48, true, 'HS', 1),
  row(48, 5, 144, 48, true, 'HS', 1),
  row(48, 5, 288, 96, true, 'HS', 2),
  row(96, 5, 576, 96, true, 'HS', 1),
  row(96, 5, 576, 96, true, 'HS', 1),
];

/** Widen, filter each channel by itself, squeeze and excite, narrow; the input is added where the shapes agree. */
class InvertedResidual extends Module {
  readonly block: Sequential;
  readonly useResidual: boolean;

  constructor({ inChannels, kernelSize, expanded, outChannels, squeeze, hardswish, stride }: Row) {
    super();
    const activation = (): Module => (hardswish ? new Hardswish() : new ReLU());
    this.useResidual = stride === 1 && inChannels === outChannels;
    this.block = new Sequential(
      ...(expanded === inChannels ? [] : [convNorm(inChannels, expanded, { kernelSize: 1, activation, norm: NORM })]),
      convNorm(expanded, expanded, { kernelSize, stride, groups: expanded, activation, norm: NORM }),
      ...(squeeze
        ? [new SqueezeExcitation(expanded, divisibleBy8(Math.floor(expanded / 4)), { scale: F.hardsigmoid })]
        : []),
      convNorm(expanded, outChannels, { kernelSize: 1, norm: NORM }),
    );
  }

  forward(x: Tensor): Tensor {
    const y = this.block.call(x);
    return this.useResidual ? x.add(y) : y;
  }
}

export interface MobileNetV3Options extends ClassifierOptions {
  /** Factor of all channels; 1 by default. */
  readonly widthMult?: number;
  /** 0.2 by default. */
  readonly dropout?: number;
}

/** [N, 3, H, W] -> [N, numClasses]. */
export class MobileNetV3 extends Module {
  readonly features: Sequential;
  classifier: Sequential;

  constructor(size: 'small' | 'large', options: MobileNetV3Options = {}) {
    const {
      numClasses = 1000,
      widthMult = 1,
      dropout = 0.2,
    } = checkOptions('MobileNetV3', options, ['widthMult', 'dropout', 'numClasses']);
    super();
    const scaled = (channels: number): number => divisibleBy8(channels * widthMult);
    const rows = (size === 'large' ? LARGE : SMALL).map(r => ({
      ...r,
      inChannels: scaled(r.inChannels),
      expanded: scaled(r.expanded),
      outChannels: scaled(r.outChannels),
    }));
    const activation = (): Module => new Hardswish();
    const lastIn = rows.at(-1)!.outChannels;
    const lastOut = 6 * lastIn;
    this.features = new Sequential(
      convNorm(3, rows[0]!.inChannels, { stride: 2, activation, norm: NORM }),
      ...rows.map(r => new InvertedResidual(r)),
      convNorm(lastIn, lastOut, { kernelSize: 1, activation, norm: NORM }),
    );
    const hidden = scaled(size === 'large' ? 1280 : 1024);
    this.classifier = new Sequential(
      new Linear(lastOut, hidden),
      new Hardswish(),
      new Dropout(dropout),
      new Linear(hidden, numClasses),
    );
    initialiseConvolutions(this);
    initialiseLinears(this);
  }

  forward(x: Tensor): Tensor {
    return this.classifier.call(globalMean(this.features.call(x)));
  }
}

/** 2.5 million parameters. */
export const mobilenetV3Small = (options: MobileNetV3Options = {}): MobileNetV3 => new MobileNetV3('small', options);

/** 5.5 million parameters. */
export const mobilenetV3Large = (options: MobileNetV3Options = {}): MobileNetV3 => new MobileNetV3('large', options);
