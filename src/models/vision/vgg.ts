/**
 * VGG (Simonyan and Zisserman 2015), with and without batch norm, with torchvision's parameter names.
 */
import {
  AdaptiveAvgPool2d,
  BatchNorm2d,
  Conv2d,
  Dropout,
  Linear,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
} from '../../nn/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import { type ClassifierOptions, initialiseConvolutions, initialiseLinears } from './blocks.ts';

/** Convolutions of each of the five stages, by depth. */
const STAGES = {
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
} as const;

export interface VGGOptions extends ClassifierOptions {
  /** 0.5 by default. */
  readonly dropout?: number;
}

export interface VGGConfig extends VGGOptions {
  /** Number of layers with weights. */
  readonly depth: keyof typeof STAGES;
  /** Whether each convolution is followed by batch norm; false by default. */
  readonly batchNorm?: boolean;
  /** Divides all channels and hidden features: for experiments; 1 by default. */
  readonly shrink?: number;
}

/** [N, 3, H, W] (at least 32x32; made for 224x224) -> [N, numClasses]. */
export class VGG extends Module {
  readonly features: Sequential;
  readonly avgpool = new AdaptiveAvgPool2d(7);
  classifier: Sequential;

  constructor(options: VGGConfig) {
    const {
      depth,
      batchNorm = false,
      numClasses = 1000,
      dropout = 0.5,
      shrink = 1,
    } = checkOptions('VGG', options, ['depth', 'batchNorm', 'shrink', 'dropout', 'numClasses']);
    super();
    this.features = new Sequential();
    let inChannels = 3;
    STAGES[depth].forEach((count, stage) => {
      const channels = Math.min(64 * 2 ** stage, 512) / shrink;
      for (let i = 0; i < count; i++) {
        this.features.append(new Conv2d(inChannels, channels, 3, { padding: 1 }));
        if (batchNorm) this.features.append(new BatchNorm2d(channels));
        this.features.append(new ReLU());
        inChannels = channels;
      }
      this.features.append(new MaxPool2d(2));
    });
    const hidden = 4096 / shrink;
    this.classifier = new Sequential(
      new Linear(inChannels * 49, hidden),
      new ReLU(),
      new Dropout(dropout),
      new Linear(hidden, hidden),
      new ReLU(),
      new Dropout(dropout),
      new Linear(hidden, numClasses),
    );
    initialiseConvolutions(this);
    initialiseLinears(this);
  }

  forward(x: Tensor): Tensor {
    return this.classifier.call(this.avgpool.call(this.features.call(x)).flatten(1));
  }
}

/** 132.9 million parameters. */
export const vgg11 = (options: VGGOptions = {}): VGG => new VGG({ ...options, depth: 11 });
/** vgg11 with batch norm. */
export const vgg11Bn = (options: VGGOptions = {}): VGG => new VGG({ ...options, depth: 11, batchNorm: true });
/** 133.0 million parameters. */
export const vgg13 = (options: VGGOptions = {}): VGG => new VGG({ ...options, depth: 13 });
/** vgg13 with batch norm. */
export const vgg13Bn = (options: VGGOptions = {}): VGG => new VGG({ ...options, depth: 13, batchNorm: true });
/** 138.4 million parameters. */
export const vgg16 = (options: VGGOptions = {}): VGG => new VGG({ ...options, depth: 16 });
/** vgg16 with batch norm. */
export const vgg16Bn = (options: VGGOptions = {}): VGG => new VGG({ ...options, depth: 16, batchNorm: true });
/** 143.7 million parameters. */
export const vgg19 = (options: VGGOptions = {}): VGG => new VGG({ ...options, depth: 19 });
/** vgg19 with batch norm. */
export const vgg19Bn = (options: VGGOptions = {}): VGG => new VGG({ ...options, depth: 19, batchNorm: true });
