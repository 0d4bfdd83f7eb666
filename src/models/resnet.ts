/**
 * Residual networks (He et al. 2016) for ImageNet and for CIFAR, with torchvision's parameter names.
 */
import { BatchNorm2d, Conv2d, init, Linear, MaxPool2d, Module, Sequential } from '../nn/index.ts';
import type { Tensor } from '../tensor/index.ts';

const conv = (inChannels: number, outChannels: number, kernel: number, stride = 1): Conv2d =>
  new Conv2d(inChannels, outChannels, kernel, { stride, padding: (kernel - 1) / 2, bias: false });

/** The projection on the shortcut, where the block changes size or channels. */
function shortcut(inChannels: number, outChannels: number, stride: number): Sequential | null {
  if (stride === 1 && inChannels === outChannels) return null;
  return new Sequential(conv(inChannels, outChannels, 1, stride), new BatchNorm2d(outChannels));
}

/** Two 3x3 convolutions around which the input is added. */
export class BasicBlock extends Module {
  static readonly expansion = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(inChannels: number, channels: number, stride: number) {
    super();
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

  constructor(inChannels: number, channels: number, stride: number) {
    super();
    const outChannels = channels * Bottleneck.expansion;
    this.conv1 = conv(inChannels, channels, 1);
    this.bn1 = new BatchNorm2d(channels);
    this.conv2 = conv(channels, channels, 3, stride);
    this.bn2 = new BatchNorm2d(channels);
    this.conv3 = conv(channels, outChannels, 1);
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

export interface ResNetOptions {
  readonly block: typeof BasicBlock | typeof Bottleneck;
  /** Blocks in each of the four stages. */
  readonly layers: readonly [number, number, number, number];
  /** 1000 by default. */
  readonly classes?: number;
  /** 'imagenet': 7x7 convolution of stride 2 and max pooling; 'cifar': one 3x3 convolution. 'imagenet' by default. */
  readonly stem?: 'imagenet' | 'cifar';
}

/** [N, 3, H, W] -> [N, classes]. */
export class ResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly maxpool: MaxPool2d | null;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly fc: Linear;

  constructor({ block, layers, classes = 1000, stem = 'imagenet' }: ResNetOptions) {
    super();
    this.conv1 = stem === 'imagenet' ? conv(3, 64, 7, 2) : conv(3, 64, 3);
    this.bn1 = new BatchNorm2d(64);
    this.maxpool = stem === 'imagenet' ? new MaxPool2d(3, { stride: 2, padding: 1 }) : null;
    let inChannels = 64;
    const stage = (channels: number, count: number, stride: number): Sequential => {
      const blocks = Array.from({ length: count }, (_, i) => {
        const made = new block(inChannels, channels, i === 0 ? stride : 1);
        inChannels = channels * block.expansion;
        return made;
      });
      return new Sequential(...blocks);
    };
    this.layer1 = stage(64, layers[0], 1);
    this.layer2 = stage(128, layers[1], 2);
    this.layer3 = stage(256, layers[2], 2);
    this.layer4 = stage(512, layers[3], 2);
    this.fc = new Linear(inChannels, classes);
    // The variance of activations is to survive a hundred ReLUs: torchvision's choice for convolutions.
    for (const module of this.modules())
      if (module instanceof Conv2d) init.kaimingNormal_(module.weight, { mode: 'fanOut', nonlinearity: 'relu' });
  }

  forward(x: Tensor): Tensor {
    let y = this.bn1.call(this.conv1.call(x)).relu();
    if (this.maxpool) y = this.maxpool.call(y);
    for (const layer of [this.layer1, this.layer2, this.layer3, this.layer4]) y = layer.call(y);
    return this.fc.call(y.mean([2, 3]));
  }
}

export interface ResNetChoice {
  /** 1000 by default (10 for CIFAR). */
  readonly classes?: number;
}

/** ResNet-18 for 32x32 images: 11.2 million parameters with 10 classes. */
export const resnet18Cifar = ({ classes = 10 }: ResNetChoice = {}): ResNet =>
  new ResNet({ block: BasicBlock, layers: [2, 2, 2, 2], classes, stem: 'cifar' });

/** ResNet-18 for 224x224 images: 11.7 million parameters. */
export const resnet18 = ({ classes = 1000 }: ResNetChoice = {}): ResNet =>
  new ResNet({ block: BasicBlock, layers: [2, 2, 2, 2], classes });

/** ResNet-50 for 224x224 images: 25.6 million parameters. */
export const resnet50 = ({ classes = 1000 }: ResNetChoice = {}): ResNet =>
  new ResNet({ block: Bottleneck, layers: [3, 4, 6, 3], classes });
