/**
 * Normalisations that look at one sample at a time.
 */
import { F, type Parameter, type Tensor } from '../tensor/index.ts';
import { blank } from './init.ts';
import { Module } from './module.ts';

export interface NormOptions {
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number;
  /** Whether there is a learned scale and shift; true by default (false for instance norm). */
  readonly affine?: boolean;
}

export interface LayerNormOptions {
  /** 1e-5 by default. */
  readonly eps?: number;
  /** Whether there is a learned scale and shift; true by default. */
  readonly elementwiseAffine?: boolean;
  /** Whether the affine part has a shift; true by default. */
  readonly bias?: boolean;
}

const shapeOf = (size: number | readonly number[]): number[] => (typeof size === 'number' ? [size] : [...size]);

/** Mean 0 and variance 1 over the last dimensions, which must be `normalizedShape` (Ba et al. 2016). */
export class LayerNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly normalizedShape: readonly number[];
  readonly eps: number;

  constructor(normalizedShape: number | readonly number[], options: LayerNormOptions = {}) {
    super();
    const { eps = 1e-5, elementwiseAffine = true, bias = true } = options;
    this.normalizedShape = shapeOf(normalizedShape);
    this.eps = eps;
    this.weight = elementwiseAffine ? blank(this.normalizedShape, 1) : null;
    this.bias = elementwiseAffine && bias ? blank(this.normalizedShape) : null;
  }

  forward(x: Tensor): Tensor {
    return F.layerNorm(x, this.normalizedShape, this.weight, this.bias, this.eps);
  }
}

/** x / sqrt(mean(x²) + eps), scaled (Zhang and Sennrich 2019); eps defaults to the dtype's machine epsilon. */
export class RMSNorm extends Module {
  readonly weight: Parameter | null;
  readonly normalizedShape: readonly number[];
  readonly eps: number | undefined;

  constructor(
    normalizedShape: number | readonly number[],
    { eps, elementwiseAffine = true }: { readonly eps?: number; readonly elementwiseAffine?: boolean } = {},
  ) {
    super();
    this.normalizedShape = shapeOf(normalizedShape);
    this.eps = eps;
    this.weight = elementwiseAffine ? blank(this.normalizedShape, 1) : null;
  }

  forward(x: Tensor): Tensor {
    return F.rmsNorm(x, this.normalizedShape, this.weight, this.eps);
  }
}

/** Statistics over groups of channels and all positions: [N, C, ...] (Wu and He 2018). */
export class GroupNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly numGroups: number;
  readonly eps: number;

  constructor(numGroups: number, numChannels: number, { eps = 1e-5, affine = true }: NormOptions = {}) {
    super();
    if (numChannels % numGroups !== 0)
      throw new Error(`GroupNorm: ${numChannels} channels do not split into ${numGroups} groups`);
    this.numGroups = numGroups;
    this.eps = eps;
    this.weight = affine ? blank([numChannels], 1) : null;
    this.bias = affine ? blank([numChannels]) : null;
  }

  forward(x: Tensor): Tensor {
    return F.groupNorm(x, this.numGroups, this.weight, this.bias, this.eps);
  }
}

/** Statistics per sample and channel, always of the sample itself: a GroupNorm whose groups have one channel. */
abstract class InstanceNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly numFeatures: number;
  readonly eps: number;

  constructor(numFeatures: number, { eps = 1e-5, affine = false }: NormOptions = {}) {
    super();
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.weight = affine ? blank([numFeatures], 1) : null;
    this.bias = affine ? blank([numFeatures]) : null;
  }

  protected abstract readonly rank: number;

  forward(x: Tensor): Tensor {
    if (x.ndim !== this.rank || x.shape[1] !== this.numFeatures)
      throw new Error(
        `${this.constructor.name}: input [${x.shape}] came, expected ${this.rank} dimensions with ${this.numFeatures} channels in dimension 1`,
      );
    return F.groupNorm(x, this.numFeatures, this.weight, this.bias, this.eps);
  }
}

/** Over [N, C, L]. */
export class InstanceNorm1d extends InstanceNorm {
  protected get rank(): number {
    return 3;
  }
}

/** Over [N, C, H, W]. */
export class InstanceNorm2d extends InstanceNorm {
  protected get rank(): number {
    return 4;
  }
}

/** Over [N, C, D, H, W]. */
export class InstanceNorm3d extends InstanceNorm {
  protected get rank(): number {
    return 5;
  }
}
