/**
 * Residual networks (He et al. 2016), ResNeXt (Xie et al. 2017) and wide ones (Zagoruyko and Komodakis 2016), for
 * ImageNet and for CIFAR, with torchvision's parameter names.
 */
import { BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, Sequential } from '../../nn/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import { checkChoice, checkOptions } from '../../tensor/options.ts';
import { type ClassifierOptions, globalMean, initialiseConvolutions } from './blocks.ts';

const conv = (inChannels: number, outChannels: number, kernel: number, stride = 1, groups = 1): Conv2d =>
  new Conv2d(inChannels, outChannels, kernel, { stride, padding: (kernel - 1) / 2, groups, bias: false });

/** The projection on the shortcut, where the block changes size or channels. */
function shortcut(inChannels: number, outChannels: number, stride: number): Sequential | null {
  if (stride === 1 && inChannels === outChannels) return null;
  return new Sequential(conv(inChannels, outChannels, 1, stride), new BatchNorm2d(outChannels));
}

/** How many groups the middle convolution has, and how wide each is where a stage has 64 channels. */
interface BlockShape {
  readonly groups: number;
  readonly widthPerGroup: number;
}

/** Two 3x3 convolutions around which the input is added. */
export class BasicBlock extends Module {
  static readonly expansion = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(inChannels: number, channels: number, stride: number, { groups, widthPerGroup }: BlockShape) {
    super();
    if (groups !== 1 || widthPerGroup !== 64)
      throw new RangeError(`BasicBlock: groups ${groups} of width ${widthPerGroup} came, expected 1 of width 64`);
    this.conv1 = conv(inChannels, channels, 3, stride);
    this.bn1 = new BatchNorm2d(channels);
    this.conv2 = conv(channels, channels, 3);
    this.bn2 = new BatchNorm2d(channels);
    this.downsample = shortcut(inChannels, channels, stride);
  }

  forward(x: Tensor): Tensor {
    const y = this.bn1.call(this.conv1.call(x)).relu();
    const z = this.bn2.call(this.conv2.call(y));
    return z.add(this.downsample ? this.downsample.call(x) : x).relu();
  }
}

/** 1x1, 3x3 and 1x1 convolutions; the stride is in the 3x3 (version 1.5). */
export class Bottleneck extends Module {
  static readonly expansion = 4;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(inChannels: number, channels: number, stride: number, { groups, widthPerGroup }: BlockShape) {
    super();
    const width = Math.floor((channels * widthPerGroup) / 64) * groups;
    const outChannels = channels * Bottleneck.expansion;
    this.conv1 = conv(inChannels, width, 1);
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = conv(width, width, 3, stride, groups);
    this.bn2 = new BatchNorm2d(width);
    this.conv3 = conv(width, outChannels, 1);
    this.bn3 = new BatchNorm2d(outChannels);
    this.downsample = shortcut(inChannels, outChannels, stride);
  }

  forward(x: Tensor): Tensor {
    const y = this.bn1.call(this.conv1.call(x)).relu();
    const z = this.bn2.call(this.conv2.call(y)).relu();
    const last = this.bn3.call(this.conv3.call(z));
    return last.add(this.downsample ? this.downsample.call(x) : x).relu();
  }
}

export interface ResNetOptions extends ClassifierOptions {
  readonly block: typeof BasicBlock | typeof Bottleneck;
  /** Blocks in each of the four stages. */
  readonly layers: readonly [number, number, number, number];
  /** Groups of the bottlenecks' middle convolutions; 1 by default. */
  readonly groups?: number;
  /** Their width in the first stage; 64 by default. */
  readonly widthPerGroup?: number;
  /** Channels of the stem and of the first stage, which each later stage doubles; 64 by default. */
  readonly width?: number;
  /** 'imagenet': 7x7 convolution of stride 2 and max pooling; 'cifar': one 3x3 convolution. 'imagenet' by default. */
  readonly stem?: 'imagenet' | 'cifar';
}

const OPTIONS = ['numClasses', 'block', 'layers', 'groups', 'widthPerGroup', 'width', 'stem'] as const;

/** [N, 3, H, W] -> [N, numClasses]. */
export class ResNet extends Module {
  conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly maxpool: MaxPool2d | null;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  fc: Linear;

  constructor(options: ResNetOptions) {
    super();
    checkOptions('ResNet', options, OPTIONS);
    const { block, layers, numClasses = 1000, groups = 1, widthPerGroup = 64, width = 64 } = options;
    const stem = options.stem ?? 'imagenet';
    checkChoice('ResNet', 'stem', stem, ['imagenet', 'cifar']);
    this.conv1 = stem === 'imagenet' ? conv(3, width, 7, 2) : conv(3, width, 3);
    this.bn1 = new BatchNorm2d(width);
    this.maxpool = stem === 'imagenet' ? new MaxPool2d(3, { stride: 2, padding: 1 }) : null;
    let inChannels = width;
    const stage = (channels: number, count: number, stride: number): Sequential => {
      const blocks = Array.from({ length: count }, (_, i) => {
        const made = new block(inChannels, channels, i === 0 ? stride : 1, { groups, widthPerGroup });
        inChannels = channels * block.expansion;
        return made;
      });
      return new Sequential(...blocks);
    };
    this.layer1 = stage(width, layers[0], 1);
    this.layer2 = stage(2 * width, layers[1], 2);
    this.layer3 = stage(4 * width, layers[2], 2);
    this.layer4 = stage(8 * width, layers[3], 2);
    this.fc = new Linear(inChannels, numClasses);
    initialiseConvolutions(this);
  }

  forward(x: Tensor): Tensor {
    let y = this.bn1.call(this.conv1.call(x)).relu();
    if (this.maxpool) y = this.maxpool.call(y);
    for (const layer of [this.layer1, this.layer2, this.layer3, this.layer4]) y = layer.call(y);
    return this.fc.call(globalMean(y));
  }
}

/** ResNet-18 for 32x32 images: 11.2 million parameters with 10 classes. */
export const resnet18Cifar = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ numClasses: 10, ...options, block: BasicBlock, layers: [2, 2, 2, 2], stem: 'cifar' });

/** 11.7 million parameters. */
export const resnet18 = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: BasicBlock, layers: [2, 2, 2, 2] });

/** 21.8 million parameters. */
export const resnet34 = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: BasicBlock, layers: [3, 4, 6, 3] });

/** 25.6 million parameters. */
export const resnet50 = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: Bottleneck, layers: [3, 4, 6, 3] });

/** 44.5 million parameters. */
export const resnet101 = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: Bottleneck, layers: [3, 4, 23, 3] });

/** 60.2 million parameters. */
export const resnet152 = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: Bottleneck, layers: [3, 8, 36, 3] });

/** ResNeXt-50 with 32 groups of 4: 25.0 million parameters. */
export const resnext50_32x4d = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: Bottleneck, layers: [3, 4, 6, 3], groups: 32, widthPerGroup: 4 });

/** ResNeXt-101 with 32 groups of 8: 88.8 million parameters. */
export const resnext101_32x8d = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: Bottleneck, layers: [3, 4, 23, 3], groups: 32, widthPerGroup: 8 });

/** ResNeXt-101 with 64 groups of 4: 83.5 million parameters. */
export const resnext101_64x4d = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: Bottleneck, layers: [3, 4, 23, 3], groups: 64, widthPerGroup: 4 });

/** ResNet-50 with bottlenecks twice as wide: 68.9 million parameters. */
export const wideResnet50_2 = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: Bottleneck, layers: [3, 4, 6, 3], widthPerGroup: 128 });

/** ResNet-101 with bottlenecks twice as wide: 126.9 million parameters. */
export const wideResnet101_2 = (options: ClassifierOptions = {}): ResNet =>
  new ResNet({ ...options, block: Bottleneck, layers: [3, 4, 23, 3], widthPerGroup: 128 });
