/**
 * Pooling layers over [N, C, ...]. The functional forms do the work.
 */
import { F, type Tensor } from '../tensor/index.ts';
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
}

/** A window and its settings. */
abstract class Pool<O> extends Module {
  readonly kernelSize: Size;
  readonly options: O;

  constructor(kernelSize: Size, options: O = {} as O) {
    super();
    this.kernelSize = kernelSize;
    this.options = options;
  }
}

/** The largest of each window of [N, C, L]. */
export class MaxPool1d extends Pool<MaxPoolOptions> {
  forward(x: Tensor): Tensor {
    return F.maxPool1d(x, this.kernelSize, this.options);
  }
}

/** The largest of each window of [N, C, H, W]. */
export class MaxPool2d extends Pool<MaxPoolOptions> {
  forward(x: Tensor): Tensor {
    return F.maxPool2d(x, this.kernelSize, this.options);
  }
}

/** The largest of each window of [N, C, D, H, W]. */
export class MaxPool3d extends Pool<MaxPoolOptions> {
  forward(x: Tensor): Tensor {
    return F.maxPool3d(x, this.kernelSize, this.options);
  }
}

/** The mean of each window of [N, C, L]. */
export class AvgPool1d extends Pool<AvgPoolOptions> {
  forward(x: Tensor): Tensor {
    return F.avgPool1d(x, this.kernelSize, this.options);
  }
}

/** The mean of each window of [N, C, H, W]. */
export class AvgPool2d extends Pool<AvgPoolOptions> {
  forward(x: Tensor): Tensor {
    return F.avgPool2d(x, this.kernelSize, this.options);
  }
}

/** The mean of each window of [N, C, D, H, W]. */
export class AvgPool3d extends Pool<AvgPoolOptions> {
  forward(x: Tensor): Tensor {
    return F.avgPool3d(x, this.kernelSize, this.options);
  }
}

/** Pools whose windows are chosen so that the output has a given size. */
abstract class AdaptivePool extends Module {
  readonly outputSize: Size;

  constructor(outputSize: Size) {
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

/** Maxima over windows that give [N, C, outputSize]. */
export class AdaptiveMaxPool1d extends AdaptivePool {
  forward(x: Tensor): Tensor {
    return F.adaptiveMaxPool1d(x, this.outputSize);
  }
}

/** Maxima over windows that give [N, C, ...outputSize]. */
export class AdaptiveMaxPool2d extends AdaptivePool {
  forward(x: Tensor): Tensor {
    return F.adaptiveMaxPool2d(x, this.outputSize);
  }
}
