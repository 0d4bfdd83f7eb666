/**
 * Batch normalisation with running statistics (Ioffe and Szegedy 2015).
 */
import { type Parameter, type Tensor, tensor } from '../tensor/index.ts';
import { blank } from './init.ts';
import { Module } from './module.ts';

export interface BatchNormOptions {
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number;
  /** Weight of the newest batch in the running statistics; 0.1 by default. null takes the plain average over all batches. */
  readonly momentum?: number | null;
  /** Whether there is a scale and a shift per channel; true by default. */
  readonly affine?: boolean;
  /** Whether running statistics are kept; without them evaluation uses the batch's own. true by default. */
  readonly trackRunningStats?: boolean;
}

/** What the three share: statistics per channel (dim 1) over all other dims. */
abstract class BatchNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly runningMean: Parameter | null = null;
  readonly runningVar: Parameter | null = null;
  readonly numBatchesTracked: Parameter | null = null;
  readonly numFeatures: number;
  readonly eps: number;
  readonly momentum: number | null;

  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super();
    const { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true } = options;
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
        `${this.constructor.name}: input [${x.shape}] came, expected ${this.ranks.join(' or ')} dimensions with ${this.numFeatures} channels in dimension 1`,
      );
    const perChannel = x.shape.map((n, d) => (d === 1 ? n : 1));
    const useBatch = this.training || !this.runningMean;
    let centred: Tensor;
    let variance: Tensor;
    if (useBatch) {
      const dims = x.shape.map((_, d) => d).filter(d => d !== 1);
      const mean = x.mean(dims);
      centred = x.sub(mean.reshape(perChannel));
      variance = centred.mul(centred).mean(dims);
      if (this.training) this.track(mean.detach(), variance.detach(), x.numel() / this.numFeatures);
    } else {
      centred = x.sub(this.runningMean!.reshape(perChannel));
      variance = this.runningVar!;
    }
    const scale = variance.add(this.eps).rsqrt();
    const y = centred.mul((this.weight ? scale.mul(this.weight) : scale).reshape(perChannel));
    return this.bias ? y.add(this.bias.reshape(perChannel)) : y;
  }

  /** Moves the running statistics towards a batch's of `count` values per channel; the variance is kept unbiased. */
  private track(mean: Tensor, variance: Tensor, count: number): void {
    const { runningMean, runningVar, numBatchesTracked } = this;
    if (!runningMean || !runningVar || !numBatchesTracked) return;
    if (count < 2)
      throw new Error(`${this.constructor.name}: more than one value per channel is needed in training, ${count} came`);
    numBatchesTracked.assign(numBatchesTracked.add(1));
    const unbiased = variance.mul(count / (count - 1));
    if (this.momentum === null) {
      const share = numBatchesTracked.to(runningMean.dtype).reciprocal();
      runningMean.assign(runningMean.add(mean.sub(runningMean).mul(share)));
      runningVar.assign(runningVar.add(unbiased.sub(runningVar).mul(share)));
    } else {
      runningMean.assign(runningMean.mul(1 - this.momentum).add(mean.mul(this.momentum)));
      runningVar.assign(runningVar.mul(1 - this.momentum).add(unbiased.mul(this.momentum)));
    }
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
