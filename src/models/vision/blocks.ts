/**
 * What the image models are built from.
 */
import { BatchNorm2d, Conv2d, init, Linear, Module, Sequential } from '../../nn/index.ts';
import { F, rand, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';

/** What every image classifier may be asked for. */
export interface ClassifierOptions {
  /** Size of the output; 1000 (ImageNet) by default. */
  readonly numClasses?: number;
}

export interface ConvNormOptions {
  /** 3 by default. */
  readonly kernelSize?: number;
  /** 1 by default. */
  readonly stride?: number;
  /** 1 by default. */
  readonly groups?: number;
  /** 1 by default. */
  readonly dilation?: number;
  /** Makes the layer after the normalisation; none by default. */
  readonly activation?: () => Module;
  /** Settings of the batch norm. */
  readonly norm?: { readonly eps?: number; readonly momentum?: number };
}

/**
 * Convolution without a bias, batch norm and activation, under the keys 0, 1 and 2; sizes are kept up to the stride.
 */
export function convNorm(inChannels: number, outChannels: number, options: ConvNormOptions = {}): Sequential {
  const { kernelSize = 3, stride = 1, groups = 1, dilation = 1, activation, norm = {} } = options;
  const padding = ((kernelSize - 1) / 2) * dilation;
  return new Sequential(
    new Conv2d(inChannels, outChannels, kernelSize, { stride, padding, dilation, groups, bias: false }),
    new BatchNorm2d(outChannels, norm),
    ...(activation ? [activation()] : []),
  );
}

/** `channels` rounded to a multiple of 8, not down by more than a tenth (the rule of the MobileNet family). */
export function divisibleBy8(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

/** Scales channels by what a small network says of their means (Hu et al. 2018). */
export class SqueezeExcitation extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;
  /** Between the two convolutions. */
  readonly activation: (x: Tensor) => Tensor;
  /** From the second convolution to the factors of the channels. */
  readonly scale: (x: Tensor) => Tensor;

  constructor(
    channels: number,
    squeezed: number,
    options: { readonly activation?: (x: Tensor) => Tensor; readonly scale?: (x: Tensor) => Tensor } = {},
  ) {
    const { activation = F.relu, scale = F.sigmoid } = checkOptions('SqueezeExcitation', options, [
      'activation',
      'scale',
    ]);
    super();
    this.fc1 = new Conv2d(channels, squeezed, 1);
    this.fc2 = new Conv2d(squeezed, channels, 1);
    this.activation = activation;
    this.scale = scale;
  }

  forward(x: Tensor): Tensor {
    const means = x.mean([2, 3], { keepdim: true });
    return this.scale(this.fc2.call(this.activation(this.fc1.call(means)))).mul(x);
  }
}

/** Drops the whole branch of single samples in training, with probability p (Huang et al. 2016). */
export class StochasticDepth extends Module {
  readonly p: number;

  constructor(p: number) {
    super();
    this.p = p;
  }

  forward(x: Tensor): Tensor {
    if (!this.training || this.p === 0) return x;
    const kept = rand([x.shape[0]!, ...x.shape.slice(1).map(() => 1)]).ge(this.p);
    return kept
      .to(x.dtype)
      .mul(x)
      .div(1 - this.p);
  }
}

/** Mean over positions: [N, C, H, W] -> [N, C]. */
export const globalMean = (x: Tensor): Tensor => x.mean([2, 3]);

/**
 * Convolutions by He's normal initialiser over their outputs, and their biases 0: what most image models start from.
 */
export function initialiseConvolutions(model: Module): void {
  for (const module of model.modules()) {
    if (!(module instanceof Conv2d)) continue;
    init.kaimingNormal_(module.weight, { mode: 'fanOut', nonlinearity: 'relu' });
    if (module.bias) init.zeros_(module.bias);
  }
}

/** Linear layers by a normal initialiser, and their biases 0. */
export function initialiseLinears(model: Module, std = 0.01): void {
  for (const module of model.modules()) {
    if (!(module instanceof Linear)) continue;
    init.normal_(module.weight, 0, std);
    if (module.bias) init.zeros_(module.bias);
  }
}
