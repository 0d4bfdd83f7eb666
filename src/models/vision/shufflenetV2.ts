/**
 * ShuffleNetV2 (Ma et al. 2018), with torchvision's parameter names.
 */
import { BatchNorm2d, ChannelShuffle, Conv2d, Linear, MaxPool2d, Module, ReLU, Sequential } from '../../nn/index.ts';
import { cat, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import { type ClassifierOptions, convNorm, globalMean } from './blocks.ts';

const pointwise = (inChannels: number, outChannels: number): Module[] => [
  new Conv2d(inChannels, outChannels, 1, { bias: false }),
  new BatchNorm2d(outChannels),
  new ReLU(),
];

const depthwise = (channels: number, stride: number): Module[] => [
  new Conv2d(channels, channels, 3, { stride, padding: 1, groups: channels, bias: false }),
  new BatchNorm2d(channels),
];

/**
 * Two branches whose channels are shuffled at the end: with stride 1 each takes half of the channels, with stride 2 all
 * of them.
 */
class ShuffleUnit extends Module {
  readonly branch1: Sequential;
  readonly branch2: Sequential;
  readonly shuffle = new ChannelShuffle(2);
  readonly stride: number;

  constructor(inChannels: number, outChannels: number, stride: number) {
    super();
    const half = outChannels / 2;
    this.stride = stride;
    this.branch1 =
      stride === 1
        ? new Sequential()
        : new Sequential(...depthwise(inChannels, stride), ...pointwise(inChannels, half));
    this.branch2 = new Sequential(
      ...pointwise(stride === 1 ? half : inChannels, half),
      ...depthwise(half, stride),
      ...pointwise(half, half),
    );
  }

  forward(x: Tensor): Tensor {
    const [kept, changed] = this.stride === 1 ? (x.chunk(2, 1) as [Tensor, Tensor]) : [this.branch1.call(x), x];
    return this.shuffle.call(cat([kept, this.branch2.call(changed)], 1));
  }
}

export interface ShuffleNetV2Options extends ClassifierOptions {
  /** Channels after the stem, after each of the three stages, and after the last convolution. */
  readonly channels: readonly [number, number, number, number, number];
  /** Units in each stage; [4, 8, 4] by default. */
  readonly repeats?: readonly [number, number, number];
}

/** [N, 3, H, W] -> [N, numClasses]. */
export class ShuffleNetV2 extends Module {
  readonly conv1: Sequential;
  readonly maxpool = new MaxPool2d(3, { stride: 2, padding: 1 });
  readonly stage2: Sequential;
  readonly stage3: Sequential;
  readonly stage4: Sequential;
  readonly conv5: Sequential;
  fc: Linear;

  constructor(options: ShuffleNetV2Options) {
    const {
      channels,
      repeats = [4, 8, 4],
      numClasses = 1000,
    } = checkOptions('ShuffleNetV2', options, ['channels', 'repeats', 'numClasses']);
    super();
    const stage = (i: 0 | 1 | 2): Sequential =>
      new Sequential(
        ...Array.from(
          { length: repeats[i] },
          (_, unit) =>
            new ShuffleUnit(unit === 0 ? channels[i] : channels[i + 1]!, channels[i + 1]!, unit === 0 ? 2 : 1),
        ),
      );
    const activation = (): Module => new ReLU();
    this.conv1 = convNorm(3, channels[0], { stride: 2, activation });
    this.stage2 = stage(0);
    this.stage3 = stage(1);
    this.stage4 = stage(2);
    this.conv5 = convNorm(channels[3], channels[4], { kernelSize: 1, activation });
    this.fc = new Linear(channels[4], numClasses);
  }

  forward(x: Tensor): Tensor {
    let y = this.maxpool.call(this.conv1.call(x));
    for (const stage of [this.stage2, this.stage3, this.stage4]) y = stage.call(y);
    return this.fc.call(globalMean(this.conv5.call(y)));
  }
}

/** Half as wide: 1.4 million parameters. */
export const shufflenetV2_x0_5 = (options: ClassifierOptions = {}): ShuffleNetV2 =>
  new ShuffleNetV2({ ...options, channels: [24, 48, 96, 192, 1024] });

/** 2.3 million parameters. */
export const shufflenetV2_x1_0 = (options: ClassifierOptions = {}): ShuffleNetV2 =>
  new ShuffleNetV2({ ...options, channels: [24, 116, 232, 464, 1024] });

/** 3.5 million parameters. */
export const shufflenetV2_x1_5 = (options: ClassifierOptions = {}): ShuffleNetV2 =>
  new ShuffleNetV2({ ...options, channels: [24, 176, 352, 704, 1024] });

/** 7.4 million parameters. */
export const shufflenetV2_x2_0 = (options: ClassifierOptions = {}): ShuffleNetV2 =>
  new ShuffleNetV2({ ...options, channels: [24, 244, 488, 976, 2048] });
