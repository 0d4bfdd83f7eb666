/**
 * MobileNetV2 (Sandler et al. 2018), with torchvision's parameter names.
 */
import { BatchNorm2d, Conv2d, Dropout, Linear, Module, ReLU6, Sequential } from '../../nn/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import {
  type ClassifierOptions,
  convNorm,
  divisibleBy8,
  globalMean,
  initialiseConvolutions,
  initialiseLinears,
} from './blocks.ts';

const activation = (): Module => new ReLU6();

/** Widen, filter each channel by itself, narrow; the input is added where the shapes agree. */
class InvertedResidual extends Module {
  readonly conv: Sequential;
  readonly useResidual: boolean;

  constructor(inChannels: number, outChannels: number, stride: number, expand: number) {
    super();
    const hidden = inChannels * expand;
    this.useResidual = stride === 1 && inChannels === outChannels;
    this.conv = new Sequential(
      ...(expand === 1 ? [] : [convNorm(inChannels, hidden, { kernelSize: 1, activation })]),
      convNorm(hidden, hidden, { stride, groups: hidden, activation }),
      new Conv2d(hidden, outChannels, 1, { bias: false }),
      new BatchNorm2d(outChannels),
    );
  }

  forward(x: Tensor): Tensor {
    const y = this.conv.call(x);
    return this.useResidual ? x.add(y) : y;
  }
}

/** Rows of the paper's table 2: expansion, channels, repeats, stride of the first. */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

export interface MobileNetV2Options extends ClassifierOptions {
  /** Factor of all channels; 1 by default. */
  readonly widthMult?: number;
  /** 0.2 by default. */
  readonly dropout?: number;
}

/** [N, 3, H, W] -> [N, numClasses]; 3.5 million parameters with 1000 classes. */
export class MobileNetV2 extends Module {
  readonly features: Sequential;
  classifier: Sequential;

  constructor(options: MobileNetV2Options = {}) {
    const {
      numClasses = 1000,
      widthMult = 1,
      dropout = 0.2,
    } = checkOptions('MobileNetV2', options, ['widthMult', 'dropout', 'numClasses']);
    super();
    let inChannels = divisibleBy8(32 * widthMult);
    this.features = new Sequential(convNorm(3, inChannels, { stride: 2, activation }));
    for (const [expand, base, repeats, stride] of STAGES) {
      const channels = divisibleBy8(base * widthMult);
      for (let i = 0; i < repeats; i++) {
        this.features.append(new InvertedResidual(inChannels, channels, i === 0 ? stride : 1, expand));
        inChannels = channels;
      }
    }
    const last = divisibleBy8(1280 * Math.max(1, widthMult));
    this.features.append(convNorm(inChannels, last, { kernelSize: 1, activation }));
    this.classifier = new Sequential(new Dropout(dropout), new Linear(last, numClasses));
    initialiseConvolutions(this);
    initialiseLinears(this);
  }

  forward(x: Tensor): Tensor {
    return this.classifier.call(globalMean(this.features.call(x)));
  }
}

/** MobileNetV2 for 224x224 images. */
export const mobilenetV2 = (options: MobileNetV2Options = {}): MobileNetV2 => new MobileNetV2(options);
