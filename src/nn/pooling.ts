/**
 * Pooling layers over [N, C, ...]. The functional forms do the work.
 */
import { F, type Parameter, type Tensor, type ValuesAndIndices } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import type { Size } from './conv.ts';
import { Module } from './module.ts';

export interface MaxPoolOptions {
  /** The kernel's size by default. */
  readonly stride?: Size;
  /** Cells of minus infinity on both sides; 0 by default. */
  readonly padding?: Size;
  /** 1 by default. */
  readonly dilation?: Size;
  /** Whether a last window that reaches over the end counts; false by default. */
  readonly ceilMode?: boolean;
}

export interface AvgPoolOptions {
  /** The kernel's size by default. */
  readonly stride?: Size;
  /** Zeros on both sides; 0 by default. */
  readonly padding?: Size;
  /** false by default. */
  readonly ceilMode?: boolean;
  /** Whether padding counts in the mean; true by default. */
  readonly countIncludePad?: boolean;
  /** Divides by this instead of the window's size. */
  readonly divisorOverride?: number | null;
}

/** What a max pool gives: the maxima, or with `returnIndices` also their flat positions in each channel. */
export type Pooled<I extends boolean> = I extends true ? ValuesAndIndices : Tensor;

const MAX_POOL = ['stride', 'padding', 'dilation', 'ceilMode', 'returnIndices'] as const;
const AVG_POOL = ['stride', 'padding', 'ceilMode', 'countIncludePad', 'divisorOverride'] as const;

/** The settings of an average pool. */
abstract class AvgPool extends Module {
  readonly kernelSize: Size;
  readonly options: AvgPoolOptions;

  constructor(kernelSize: Size, options: AvgPoolOptions = {}) {
    super();
    checkOptions(this.constructor.name, options, AVG_POOL);
    this.kernelSize = kernelSize;
    this.options = options;
  }
}

/** The settings of a max pool. */
abstract class MaxPool<I extends boolean> extends Module<[x: Tensor], Pooled<I>> {
  readonly kernelSize: Size;
  readonly options: MaxPoolOptions & { readonly returnIndices?: I };

  constructor(kernelSize: Size, options: MaxPoolOptions & { readonly returnIndices?: I } = {}) {
    super();
    checkOptions(this.constructor.name, options, MAX_POOL);
    this.kernelSize = kernelSize;
    this.options = options;
  }
}

/** The largest of each window of [N, C, L]; with `returnIndices` also where in its channel it stands. */
export class MaxPool1d<I extends boolean = false> extends MaxPool<I> {
  forward(x: Tensor): Pooled<I> {
    return F.maxPool1d(x, this.kernelSize, this.options as F.MaxPoolOptions) as Pooled<I>;
  }
}

/** The largest of each window of [N, C, H, W]; with `returnIndices` also where in its channel it stands. */
export class MaxPool2d<I extends boolean = false> extends MaxPool<I> {
  forward(x: Tensor): Pooled<I> {
    return F.maxPool2d(x, this.kernelSize, this.options as F.MaxPoolOptions) as Pooled<I>;
  }
}

/** The largest of each window of [N, C, D, H, W]; with `returnIndices` also where in its channel it stands. */
export class MaxPool3d<I extends boolean = false> extends MaxPool<I> {
  forward(x: Tensor): Pooled<I> {
    return F.maxPool3d(x, this.kernelSize, this.options as F.MaxPoolOptions) as Pooled<I>;
  }
}

/** The mean of each window of [N, C, L]. */
export class AvgPool1d extends AvgPool {
  forward(x: Tensor): Tensor {
    return F.avgPool1d(x, this.kernelSize, this.options);
  }
}

/** The mean of each window of [N, C, H, W]. */
export class AvgPool2d extends AvgPool {
  forward(x: Tensor): Tensor {
    return F.avgPool2d(x, this.kernelSize, this.options);
  }
}

/** The mean of each window of [N, C, D, H, W]. */
export class AvgPool3d extends AvgPool {
  forward(x: Tensor): Tensor {
    return F.avgPool3d(x, this.kernelSize, this.options);
  }
}

/** Pools whose windows are chosen so that the output has a given size. */
abstract class AdaptivePool extends Module {
  readonly outputSize: F.OutputSize;

  /** @param outputSize one size for all spatial dimensions or one each; null keeps the input's */
  constructor(outputSize: F.OutputSize) {
    super();
    this.outputSize = outputSize;
  }
}

/** Means over windows that give [N, C, outputSize]. */
export class AdaptiveAvgPool1d extends AdaptivePool {
  forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool1d(x, this.outputSize);
  }
}

/** Means over windows that give [N, C, ...outputSize]. */
export class AdaptiveAvgPool2d extends AdaptivePool {
  forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool2d(x, this.outputSize);
  }
}

/** Means over windows that give [N, C, ...outputSize]. */
export class AdaptiveAvgPool3d extends AdaptivePool {
  forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool3d(x, this.outputSize);
  }
}

/** The settings of an adaptive max pool. */
abstract class AdaptiveMaxPool<I extends boolean> extends Module<[x: Tensor], Pooled<I>> {
  readonly outputSize: F.OutputSize;
  readonly returnIndices: boolean;

  constructor(outputSize: F.OutputSize, options: { readonly returnIndices?: I } = {}) {
    const { returnIndices } = checkOptions(new.target.name, options, ['returnIndices']);
    super();
    this.outputSize = outputSize;
    this.returnIndices = returnIndices ?? false;
  }
}

/** Maxima over windows that give [N, C, outputSize]. */
export class AdaptiveMaxPool1d<I extends boolean = false> extends AdaptiveMaxPool<I> {
  forward(x: Tensor): Pooled<I> {
    const { outputSize, returnIndices } = this;
    return (
      returnIndices ? F.adaptiveMaxPool1d(x, outputSize, { returnIndices }) : F.adaptiveMaxPool1d(x, outputSize)
    ) as Pooled<I>;
  }
}

/** Maxima over windows that give [N, C, ...outputSize]. */
export class AdaptiveMaxPool2d<I extends boolean = false> extends AdaptiveMaxPool<I> {
  forward(x: Tensor): Pooled<I> {
    const { outputSize, returnIndices } = this;
    return (
      returnIndices ? F.adaptiveMaxPool2d(x, outputSize, { returnIndices }) : F.adaptiveMaxPool2d(x, outputSize)
    ) as Pooled<I>;
  }
}

/** Maxima over windows that give [N, C, ...outputSize]. */
export class AdaptiveMaxPool3d<I extends boolean = false> extends AdaptiveMaxPool<I> {
  forward(x: Tensor): Pooled<I> {
    const { outputSize, returnIndices } = this;
    return (
      returnIndices ? F.adaptiveMaxPool3d(x, outputSize, { returnIndices }) : F.adaptiveMaxPool3d(x, outputSize)
    ) as Pooled<I>;
  }
}

export interface LPPoolOptions {
  /** The kernel's size by default. */
  readonly stride?: Size;
  /** false by default. */
  readonly ceilMode?: boolean;
}

/** The p-norm of each window. */
abstract class LPPool extends Module {
  readonly normType: number;
  readonly kernelSize: Size;
  readonly options: LPPoolOptions;

  constructor(normType: number, kernelSize: Size, options: LPPoolOptions = {}) {
    checkOptions(new.target.name, options, ['stride', 'ceilMode']);
    super();
    this.normType = normType;
    this.kernelSize = kernelSize;
    this.options = options;
  }
}

/** The p-norm of each window of [N, C, L]. */
export class LPPool1d extends LPPool {
  forward(x: Tensor): Tensor {
    return F.lpPool1d(x, this.normType, this.kernelSize, this.options);
  }
}

/** The p-norm of each window of [N, C, H, W]. */
export class LPPool2d extends LPPool {
  forward(x: Tensor): Tensor {
    return F.lpPool2d(x, this.normType, this.kernelSize, this.options);
  }
}

export interface MaxUnpoolOptions {
  /** The kernel's size by default. */
  readonly stride?: Size;
  /** 0 by default. */
  readonly padding?: Size;
}

/** Maxima put back where they stood, zeros elsewhere: the partial inverse of a max pool of the same settings. */
abstract class MaxUnpool extends Module<[x: Tensor, indices: Tensor, outputSize?: readonly number[]]> {
  readonly kernelSize: Size;
  readonly options: MaxUnpoolOptions;

  constructor(kernelSize: Size, options: MaxUnpoolOptions = {}) {
    checkOptions(new.target.name, options, ['stride', 'padding']);
    super();
    this.kernelSize = kernelSize;
    this.options = options;
  }
}

/** Maxima and their `indices` in [N, C, L] -> the unpooled [N, C, L]; `outputSize` where the windows leave it open. */
export class MaxUnpool1d extends MaxUnpool {
  forward(x: Tensor, indices: Tensor, outputSize?: readonly number[]): Tensor {
    return F.maxUnpool1d(x, indices, this.kernelSize, { ...this.options, outputSize });
  }
}

/**
 * Maxima and their `indices` in [N, C, H, W] -> the unpooled [N, C, H, W]; `outputSize` where the windows leave it
 * open.
 */
export class MaxUnpool2d extends MaxUnpool {
  forward(x: Tensor, indices: Tensor, outputSize?: readonly number[]): Tensor {
    return F.maxUnpool2d(x, indices, this.kernelSize, { ...this.options, outputSize });
  }
}

/**
 * Maxima and their `indices` in [N, C, D, H, W] -> the unpooled [N, C, D, H, W]; `outputSize` where the windows leave
 * it open.
 */
export class MaxUnpool3d extends MaxUnpool {
  forward(x: Tensor, indices: Tensor, outputSize?: readonly number[]): Tensor {
    return F.maxUnpool3d(x, indices, this.kernelSize, { ...this.options, outputSize });
  }
}

export interface FractionalMaxPoolOptions {
  /** Sizes of the result; this or outputRatio. */
  readonly outputSize?: Size;
  /** The result's sizes as parts of the input's, between 0 and 1. */
  readonly outputRatio?: number | readonly number[];
  /** Uniform numbers [N, C, dimensions] that place the windows, the same at every call; drawn anew by default. */
  readonly randomSamples?: Tensor;
}

/** Maxima over windows whose places are drawn at random (Graham 2014). */
abstract class FractionalMaxPool<I extends boolean> extends Module<[x: Tensor], Pooled<I>> {
  readonly kernelSize: Size;
  readonly options: FractionalMaxPoolOptions & { readonly returnIndices?: I };
  /** A buffer under PyTorch's key, _random_samples. */
  readonly _randomSamples: Parameter | null;

  constructor(kernelSize: Size, options: FractionalMaxPoolOptions & { readonly returnIndices?: I }) {
    checkOptions(new.target.name, options, ['outputSize', 'outputRatio', 'randomSamples', 'returnIndices']);
    super();
    this._randomSamples = options.randomSamples ? this.registerBuffer('_randomSamples', options.randomSamples) : null;
    if ((options.outputSize === undefined) === (options.outputRatio === undefined))
      throw new TypeError(`${this.constructor.name}: exactly one of outputSize and outputRatio must be given`);
    this.kernelSize = kernelSize;
    this.options = options;
  }

  protected get settings(): F.FractionalPoolOptions {
    return { ...this.options, randomSamples: this._randomSamples };
  }
}

/** Of [N, C, H, W]; with `returnIndices` also where in its channel each maximum stands. */
export class FractionalMaxPool2d<I extends boolean = false> extends FractionalMaxPool<I> {
  forward(x: Tensor): Pooled<I> {
    return F.fractionalMaxPool2d(x, this.kernelSize, this.settings) as Pooled<I>;
  }
}

/** Of [N, C, D, H, W]; with `returnIndices` also where in its channel each maximum stands. */
export class FractionalMaxPool3d<I extends boolean = false> extends FractionalMaxPool<I> {
  forward(x: Tensor): Pooled<I> {
    return F.fractionalMaxPool3d(x, this.kernelSize, this.settings) as Pooled<I>;
  }
}
