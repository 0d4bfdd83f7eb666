/**
 * EfficientNet B0 to B7 (Tan and Le 2019), with torchvision's parameter names.
 */
import { Dropout, init, Linear, Module, Sequential, SiLU } from '../../nn/index.ts';
import { F, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import {
  type ClassifierOptions,
  type ConvNormOptions,
  convNorm,
  divisibleBy8,
  globalMean,
  initialiseConvolutions,
  SqueezeExcitation,
  StochasticDepth,
} from './blocks.ts';

/** Rows of the paper's table 1: expansion, kernel, stride of the first, input and output channels, repeats. */
const STAGES = [
  [1, 3, 1, 32, 16, 1],
  [6, 3, 2, 16, 24, 2],
  [6, 5, 2, 24, 40, 2],
  [6, 3, 2, 40, 80, 3],
  [6, 5, 1, 80, 112, 3],
  [6, 5, 2, 112, 192, 4],
  [6, 3, 1, 192, 320, 1],
] as const;

interface Unit {
  readonly expand: number;
  readonly kernelSize: number;
  readonly stride: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly drop: number;
  readonly norm: ConvNormOptions['norm'];
}

const activation = (): Module => new SiLU();

/** Widen, filter each channel by itself, squeeze and excite, narrow; the input is added where the shapes agree. */
class MBConv extends Module {
  readonly block: Sequential;
  readonly stochasticDepth: StochasticDepth;
  readonly useResidual: boolean;

  constructor({ expand, kernelSize, stride, inChannels, outChannels, drop, norm }: Unit) {
    super();
    const expanded = divisibleBy8(inChannels * expand);
    const squeezed = Math.max(1, Math.floor(inChannels / 4));
    this.useResidual = stride === 1 && inChannels === outChannels;
    this.block = new Sequential(
      ...(expanded === inChannels ? [] : [convNorm(inChannels, expanded, { kernelSize: 1, activation, norm })]),
      convNorm(expanded, expanded, { kernelSize, stride, groups: expanded, activation, norm }),
      new SqueezeExcitation(expanded, squeezed, { activation: F.silu }),
      convNorm(expanded, outChannels, { kernelSize: 1, norm }),
    );
    this.stochasticDepth = new StochasticDepth(drop);
  }

  forward(x: Tensor): Tensor {
    const y = this.block.call(x);
    return this.useResidual ? this.stochasticDepth.call(y).add(x) : y;
  }
}

export interface EfficientNetOptions extends ClassifierOptions {
  /** Dropout before the classifier. */
  readonly dropout?: number;
  /** Probability of dropping the last block's branch, falling to 0 at the first; 0.2 by default. */
  readonly stochasticDepthProb?: number;
}

export interface EfficientNetConfig extends EfficientNetOptions {
  /** Factor of all channels. */
  readonly widthMult: number;
  /** Factor of the repeats in each stage. */
  readonly depthMult: number;
  /** Settings of the batch norms. */
  readonly norm?: ConvNormOptions['norm'];
}

const OPTIONS = ['dropout', 'stochasticDepthProb', 'numClasses', 'widthMult', 'depthMult', 'norm'] as const;

/** [N, 3, H, W] -> [N, numClasses]. */
export class EfficientNet extends Module {
  readonly features: Sequential;
  classifier: Sequential;

  constructor(config: EfficientNetConfig) {
    super();
    checkOptions('EfficientNet', config, OPTIONS);
    const { widthMult, depthMult, dropout = 0.2, stochasticDepthProb = 0.2, numClasses = 1000, norm } = config;
    const scaled = (channels: number): number => divisibleBy8(channels * widthMult);
    const repeatsOf = (repeats: number): number => Math.ceil(repeats * depthMult);
    const total = STAGES.reduce((sum, [, , , , , repeats]) => sum + repeatsOf(repeats), 0);
    let before = 0;
    const stages = STAGES.map(([expand, kernelSize, stride, inBase, outBase, repeats]) => {
      const outChannels = scaled(outBase);
      const units = Array.from({ length: repeatsOf(repeats) }, (_, i) => {
        const inChannels = i === 0 ? scaled(inBase) : outChannels;
        const drop = (stochasticDepthProb * before++) / total;
        return new MBConv({ expand, kernelSize, stride: i === 0 ? stride : 1, inChannels, outChannels, drop, norm });
      });
      return new Sequential(...units);
    });
    const last = scaled(320);
    this.features = new Sequential(
      convNorm(3, scaled(32), { stride: 2, activation, norm }),
      ...stages,
      convNorm(last, 4 * last, { kernelSize: 1, activation, norm }),
    );
    const head = new Linear(4 * last, numClasses);
    this.classifier = new Sequential(new Dropout(dropout), head);
    initialiseConvolutions(this);
    const bound = 1 / Math.sqrt(numClasses);
    init.uniform_(head.weight, -bound, bound);
    init.zeros_(head.bias!);
  }

  forward(x: Tensor): Tensor {
    return this.classifier.call(globalMean(this.features.call(x)));
  }
}

/** torchvision's batch norm of the three largest, whose weights came from TensorFlow. */
const TF_NORM = { eps: 1e-3, momentum: 0.01 };

/** For 224x224 images: 5.3 million parameters. */
export const efficientnetB0 = (options: EfficientNetOptions = {}): EfficientNet =>
  new EfficientNet({ dropout: 0.2, ...options, widthMult: 1, depthMult: 1 });
/** For 240x240 images: 7.8 million parameters. */
export const efficientnetB1 = (options: EfficientNetOptions = {}): EfficientNet =>
  new EfficientNet({ dropout: 0.2, ...options, widthMult: 1, depthMult: 1.1 });
/** For 288x288 images: 9.1 million parameters. */
export const efficientnetB2 = (options: EfficientNetOptions = {}): EfficientNet =>
  new EfficientNet({ dropout: 0.3, ...options, widthMult: 1.1, depthMult: 1.2 });
/** For 300x300 images: 12.2 million parameters. */
export const efficientnetB3 = (options: EfficientNetOptions = {}): EfficientNet =>
  new EfficientNet({ dropout: 0.3, ...options, widthMult: 1.2, depthMult: 1.4 });
/** For 380x380 images: 19.3 million parameters. */
export const efficientnetB4 = (options: EfficientNetOptions = {}): EfficientNet =>
  new EfficientNet({ dropout: 0.4, ...options, widthMult: 1.4, depthMult: 1.8 });
/** For 456x456 images: 30.4 million parameters. */
export const efficientnetB5 = (options: EfficientNetOptions = {}): EfficientNet =>
  new EfficientNet({ dropout: 0.4, ...options, widthMult: 1.6, depthMult: 2.2, norm: TF_NORM });
/** For 528x528 images: 43.0 million parameters. */
export const efficientnetB6 = (options: EfficientNetOptions = {}): EfficientNet =>
  new EfficientNet({ dropout: 0.5, ...options, widthMult: 1.8, depthMult: 2.6, norm: TF_NORM });
/** For 600x600 images: 66.3 million parameters. */
export const efficientnetB7 = (options: EfficientNetOptions = {}): EfficientNet =>
  new EfficientNet({ dropout: 0.5, ...options, widthMult: 2, depthMult: 3.1, norm: TF_NORM });
