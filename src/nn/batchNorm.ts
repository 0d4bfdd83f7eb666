/**
 * Batch normalisation with running statistics (Ioffe and Szegedy 2015).
 */
import { shapeText } from '../tensor/convert.ts';
import { F, type Parameter, type Tensor, tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { blank } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

export interface BatchNormOptions {
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number;
  /**
   * Weight of the newest batch in the running statistics; 0.1 by default. null takes the plain average over all
   * batches.
   */
  readonly momentum?: number | null;
  /** Whether there is a scale and a shift per channel; true by default. */
  readonly affine?: boolean;
  /** Whether running statistics are kept; without them evaluation uses the batch's own. true by default. */
  readonly trackRunningStats?: boolean;
}

/** Names of the options of norms that keep running statistics. */
export const RUNNING_NORM = ['eps', 'momentum', 'affine', 'trackRunningStats'] as const;

/** What the three share: statistics per channel (dim 1) over all other dims. */
export abstract class BatchNorm extends Module {
  weight: Parameter | null;
  bias: Parameter | null;
  readonly runningMean: Parameter | null = null;
  readonly runningVar: Parameter | null = null;
  readonly numBatchesTracked: Parameter | null = null;
  readonly numFeatures: number;
  readonly eps: number;
  momentum: number | null;

  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super();
    checkOptions(this.constructor.name, options, RUNNING_NORM);
    const { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true } = options;
    checkSizes(this.constructor.name, { numFeatures });
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? blank([numFeatures], 1) : null;
    this.bias = affine ? blank([numFeatures]) : null;
    if (trackRunningStats) {
      this.runningMean = this.registerBuffer('runningMean', blank([numFeatures]));
      this.runningVar = this.registerBuffer('runningVar', blank([numFeatures], 1));
      this.numBatchesTracked = this.registerBuffer('numBatchesTracked', tensor(0n, { dtype: 'i64' }));
    }
  }

  /** Ranks of input that are allowed. */
  protected abstract readonly ranks: readonly number[];

  forward(x: Tensor): Tensor {
    if (!this.ranks.includes(x.ndim) || x.shape[1] !== this.numFeatures)
      throw new Error(
        `${this.constructor.name}: input ${shapeText(x.shape)} came, expected ${this.ranks.join(' or ')} dimensions with ${this.numFeatures} channels in dimension 1`,
      );
    const { runningMean, runningVar, weight, bias, eps, momentum } = this;
    const training = this.training || !runningMean;
    if (this.training && this.numBatchesTracked) this.numBatchesTracked.assign(this.numBatchesTracked.add(1));
    if (momentum !== null || !training) {
      return F.batchNorm(x, runningMean, runningVar, weight, bias, { training, momentum: momentum ?? undefined, eps });
    }
    if (this.training) this.average(x);
    return F.batchNorm(x, null, null, weight, bias, { training, eps });
  }

  /** Running statistics as the plain average over all batches so far. */
  private average(x: Tensor): void {
    const { runningMean, runningVar, numBatchesTracked } = this;
    if (!runningMean || !runningVar || !numBatchesTracked) return;
    const dims = x.shape.map((_, d) => d).filter(d => d !== 1);
    const share = numBatchesTracked.to(runningMean.dtype).reciprocal();
    const values = x.detach();
    runningMean.assign(runningMean.add(values.mean(dims).sub(runningMean).mul(share)));
    runningVar.assign(runningVar.add(values.var(dims).sub(runningVar).mul(share)));
  }
}

/** Over [N, C] or [N, C, L]. */
export class BatchNorm1d extends BatchNorm {
  protected get ranks(): readonly number[] {
    return [2, 3];
  }
}

/** Over [N, C, H, W]. */
export class BatchNorm2d extends BatchNorm {
  protected get ranks(): readonly number[] {
    return [4];
  }
}

/** Over [N, C, D, H, W]. */
export class BatchNorm3d extends BatchNorm {
  protected get ranks(): readonly number[] {
    return [5];
  }
}
