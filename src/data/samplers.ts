/**
 * Samplers: in which order, and how often, a loader takes the samples of a dataset. An order depends on seed and epoch
 * alone, so that a loader can be resumed. Imports random streams only.
 */
import { checkOptions } from '../tensor/options.ts';
import { RandomStream } from './random.ts';

/** What a `DataLoader` takes as its `sampler`. */
export interface Sampler {
  /** Samples per epoch. */
  readonly length: number;
  /** The indices of an epoch, in order; the same for the same seed and epoch. */
  indices(seed: number, epoch: number): ArrayLike<number>;
}

/** Some samples of a dataset, in random order (torch.utils.data.SubsetRandomSampler). */
export class SubsetRandomSampler implements Sampler {
  private readonly subset: ArrayLike<number>;

  constructor(indices: ArrayLike<number>) {
    this.subset = indices;
  }

  get length(): number {
    return this.subset.length;
  }

  indices(seed: number, epoch: number): Uint32Array {
    return new RandomStream(seed, epoch).permutation(this.length).map(i => this.subset[i]!);
  }
}

/**
 * Samples drawn with probabilities in proportion to `weights`, one weight per sample of the dataset, as for classes
 * that are rare (torch.utils.data.WeightedRandomSampler). Without replacement the draws are those of Efraimidis and
 * Spirakis (2006).
 */
export class WeightedRandomSampler implements Sampler {
  /** Draws per epoch. */
  readonly length: number;
  private readonly weights: ArrayLike<number>;
  private readonly replacement: boolean;

  /**
   * `replacement` (default true): whether a sample may be drawn again.
   * @throws RangeError when the weights do not allow so many draws
   */
  constructor(
    weights: ArrayLike<number>,
    numSamples: number = weights.length,
    options: { readonly replacement?: boolean } = {},
  ) {
    const { replacement = true } = checkOptions('WeightedRandomSampler', options, ['replacement']);
    const bad = Array.from(weights).findIndex(weight => !(weight >= 0 && weight < Number.POSITIVE_INFINITY));
    if (bad >= 0)
      throw new RangeError(
        `WeightedRandomSampler: weights[${bad}]: expected a number of at least 0, got ${weights[bad]}`,
      );
    if (!Number.isSafeInteger(numSamples) || numSamples < 1)
      throw new RangeError(
        `WeightedRandomSampler: numSamples: expected a whole number of at least 1, got ${numSamples}`,
      );
    const drawable = Array.from(weights).filter(weight => weight > 0).length;
    if (drawable < (replacement ? 1 : numSamples))
      throw new RangeError(
        `WeightedRandomSampler: ${drawable} weights are above 0, expected at least ${replacement ? 1 : numSamples}`,
      );
    this.weights = weights;
    this.length = numSamples;
    this.replacement = replacement;
  }

  indices(seed: number, epoch: number): Uint32Array {
    const random = new RandomStream(seed, epoch);
    return this.replacement ? this.draw(random) : this.choose(random);
  }

  /** By the inverse of the cumulative distribution. */
  private draw(random: RandomStream): Uint32Array {
    let total = 0;
    const ends = Float64Array.from(this.weights, weight => (total += weight));
    return Uint32Array.from({ length: this.length }, () => firstAbove(ends, random.uniform(0, total)));
  }

  /**
   * Each sample waits for an exponential time with its weight as the rate; those that wait least are chosen, in that
   * order.
   */
  private choose(random: RandomStream): Uint32Array {
    const waits = Float64Array.from(this.weights, weight => -Math.log(1 - random.uniform()) / weight);
    const order = Uint32Array.from(waits, (_, i) => i).filter(i => this.weights[i]! > 0);
    return order.sort((i, j) => waits[i]! - waits[j]! || i - j).slice(0, this.length);
  }
}

/** The first place whose value is above `x`, in ascending values of which the last one is. */
function firstAbove(ascending: Float64Array, x: number): number {
  let [low, high] = [0, ascending.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! > x) high = middle;
    else low = middle + 1;
  }
  return low;
}
