/**
 * Normalisations that look at one sample at a time.
 */
import { shapeText } from '../tensor/convert.ts';
import { arange, F, type Parameter, type Tensor, tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { RUNNING_NORM } from './batchNorm.ts';
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
  weight: Parameter | null;
  bias: Parameter | null;
  readonly normalizedShape: readonly number[];
  readonly eps: number;

  constructor(normalizedShape: number | readonly number[], options: LayerNormOptions = {}) {
    super();
    checkOptions('LayerNorm', options, ['eps', 'elementwiseAffine', 'bias']);
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
  weight: Parameter | null;
  readonly normalizedShape: readonly number[];
  readonly eps: number | undefined;

  constructor(
    normalizedShape: number | readonly number[],
    options: { readonly eps?: number; readonly elementwiseAffine?: boolean } = {},
  ) {
    super();
    checkOptions('RMSNorm', options, ['eps', 'elementwiseAffine']);
    const { eps, elementwiseAffine = true } = options;
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
  weight: Parameter | null;
  bias: Parameter | null;
  readonly numGroups: number;
  readonly eps: number;

  constructor(numGroups: number, numChannels: number, options: NormOptions = {}) {
    super();
    checkOptions('GroupNorm', options, ['eps', 'affine']);
    const { eps = 1e-5, affine = true } = options;
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

export interface InstanceNormOptions extends NormOptions {
  /** Weight of the newest batch in the running statistics; 0.1 by default. */
  readonly momentum?: number;
  /** Whether running statistics are kept, which evaluation then uses; false by default. */
  readonly trackRunningStats?: boolean;
}

/** Statistics per sample and channel (Ulyanov et al. 2016). */
abstract class InstanceNorm extends Module {
  weight: Parameter | null;
  bias: Parameter | null;
  readonly runningMean: Parameter | null = null;
  readonly runningVar: Parameter | null = null;
  readonly numBatchesTracked: Parameter | null = null;
  readonly numFeatures: number;
  readonly eps: number;
  readonly momentum: number;

  constructor(numFeatures: number, options: InstanceNormOptions = {}) {
    super();
    checkOptions(this.constructor.name, options, RUNNING_NORM);
    const { eps = 1e-5, momentum = 0.1, affine = false, trackRunningStats = false } = options;
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? blank([numFeatures], 1) : null;
    this.bias = affine ? blank([numFeatures]) : null;
    if (trackRunningStats) {
      this.runningMean = this.registerBuffer('runningMean', blank([numFeatures]));
      this.runningVar = this.registerBuffer('runningVar', blank([numFeatures], 1));
      // Stays 0, as in PyTorch: there for the state dict.
      this.numBatchesTracked = this.registerBuffer('numBatchesTracked', tensor(0n, { dtype: 'i64' }));
    }
  }

  /** Dimensions of a batch; one less is a single sample. */
  protected abstract readonly rank: number;

  forward(x: Tensor): Tensor {
    const single = x.ndim === this.rank - 1;
    if ((!single && x.ndim !== this.rank) || x.shape[single ? 0 : 1] !== this.numFeatures)
      throw new Error(
        `${this.constructor.name}: input ${shapeText(x.shape)} came, expected ${this.rank} dimensions with ${this.numFeatures} channels in dimension 1 (or one sample without the first)`,
      );
    const { weight, bias, runningMean, runningVar, momentum, eps } = this;
    const useInputStats = this.training || !runningMean;
    const options = { weight, bias, runningMean, runningVar, useInputStats, momentum, eps };
    const y = F.instanceNorm(single ? x.unsqueeze(0) : x, options);
    return single ? y.squeeze(0) : y;
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

export interface LocalResponseNormOptions {
  /** 1e-4 by default. */
  readonly alpha?: number;
  /** 0.75 by default. */
  readonly beta?: number;
  /** 1 by default. */
  readonly k?: number;
}

/** x / (k + alpha * mean of squares over `size` neighbouring channels)^beta (Krizhevsky et al. 2012). */
export class LocalResponseNorm extends Module {
  readonly size: number;
  readonly options: LocalResponseNormOptions;

  constructor(size: number, options: LocalResponseNormOptions = {}) {
    checkOptions(new.target.name, options, ['alpha', 'beta', 'k']);
    super();
    this.size = size;
    this.options = options;
  }

  forward(x: Tensor): Tensor {
    return F.localResponseNorm(x, this.size, this.options);
  }
}

/**
 * The older LocalResponseNorm of [N, C, H, W], as PyTorch computes it: the sum of squares is divided by `size` also at
 * the first and last channels, an even size sees size - 1 channels, and the sum that slides along the channels keeps
 * the first one for good.
 */
export class CrossMapLRN2d extends LocalResponseNorm {
  override forward(x: Tensor): Tensor {
    const { alpha = 1e-4, beta = 0.75, k = 1 } = this.options;
    if (x.ndim !== 4) throw new RangeError(`CrossMapLRN2d: input ${shapeText(x.shape)} came, expected 4 dimensions`);
    const reach = Math.floor((this.size + 1) / 2);
    const channels = x.shape[1]!;
    const at = arange(channels);
    const apart = at.unsqueeze(0).sub(at.unsqueeze(1));
    const seen = apart
      .abs()
      .lt(reach)
      .logicalOr(at.eq(0).unsqueeze(0).logicalAnd(at.ge(reach).unsqueeze(1)));
    const squares = x.mul(x).flatten(2);
    const sums = seen.to(x.dtype).matmul(squares).reshape(x.shape);
    return x.div(
      sums
        .mul(alpha / this.size)
        .add(k)
        .pow(beta),
    );
  }
}
