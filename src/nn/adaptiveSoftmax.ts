/**
 * Adaptive softmax: few parameters for rare classes (Grave et al. 2017).
 */
import { cat, type Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { ModuleList, Sequential } from './containers.ts';
import { Linear } from './linear.ts';
import { Module } from './module.ts';

export interface AdaptiveLogSoftmaxOptions {
  /** By what factor each rarer cluster's vectors shrink; 4 by default. */
  readonly divValue?: number;
  /** Whether the head has a bias; false by default. */
  readonly headBias?: boolean;
}

/** What the forward pass gives: the log-probability of each target [N], and the mean negative of them. */
export interface AdaptiveLogSoftmaxResult {
  readonly output: Tensor;
  readonly loss: Tensor;
}

/**
 * Log-softmax over `nClasses` classes sorted by falling frequency. Classes below cutoffs[0] are told apart by the head
 * itself; those from cutoffs[i] to the next cutoff form a cluster that the head knows as one, and whose own layer tells
 * its members apart.
 */
export class AdaptiveLogSoftmaxWithLoss extends Module<[input: Tensor, target: Tensor], AdaptiveLogSoftmaxResult> {
  readonly head: Linear;
  readonly tail: ModuleList<Sequential>;
  readonly inFeatures: number;
  readonly nClasses: number;
  /** Ends of the shortlist and of each cluster; the last is nClasses. */
  readonly cutoffs: readonly number[];

  constructor(
    inFeatures: number,
    nClasses: number,
    cutoffs: readonly number[],
    options: AdaptiveLogSoftmaxOptions = {},
  ) {
    const { divValue = 4, headBias = false } = checkOptions('AdaptiveLogSoftmaxWithLoss', options, [
      'divValue',
      'headBias',
    ]);
    super();
    const rising = cutoffs.every((cutoff, i) => Number.isInteger(cutoff) && cutoff > (cutoffs[i - 1] ?? 0));
    if (cutoffs.length === 0 || !rising || cutoffs.at(-1)! >= nClasses)
      throw new RangeError(
        `AdaptiveLogSoftmaxWithLoss: cutoffs [${cutoffs}] came, expected rising whole numbers between 1 and ${nClasses - 1}`,
      );
    this.inFeatures = inFeatures;
    this.nClasses = nClasses;
    this.cutoffs = [...cutoffs, nClasses];
    this.head = new Linear(inFeatures, cutoffs[0]! + cutoffs.length, { bias: headBias });
    this.tail = new ModuleList(
      cutoffs.map((start, i) => {
        const hidden = Math.floor(inFeatures / divValue ** (i + 1));
        return new Sequential(
          new Linear(inFeatures, hidden, { bias: false }),
          new Linear(hidden, this.cutoffs[i + 1]! - start, { bias: false }),
        );
      }),
    );
  }

  /** Log-probabilities of all classes: [N, inFeatures] -> [N, nClasses]. */
  logProb(input: Tensor): Tensor {
    const shortlist = this.cutoffs[0]!;
    const head = this.head.call(input).logSoftmax(1);
    const clusters = Array.from(this.tail, (layer, i) =>
      layer
        .call(input)
        .logSoftmax(1)
        .add(head.narrow(1, shortlist + i, 1)),
    );
    return cat([head.narrow(1, 0, shortlist), ...clusters], 1);
  }

  /** The likeliest class of each row: [N, inFeatures] -> i64 [N]. */
  predict(input: Tensor): Tensor {
    return this.logProb(input).argmax(1);
  }

  /**
   * [N, inFeatures] (or [inFeatures]) and targets [N] (or []). Every cluster is computed for every row: shapes do not
   * depend on targets.
   */
  forward(input: Tensor, target: Tensor): AdaptiveLogSoftmaxResult {
    const rows = input.ndim === 1 ? input.unsqueeze(0) : input;
    const picked = this.logProb(rows)
      .gather(1, target.reshape([-1, 1]))
      .squeeze(1);
    return { output: input.ndim === 1 ? picked.squeeze(0) : picked, loss: picked.mean().neg() };
  }
}
