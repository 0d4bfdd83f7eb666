/**
 * Datasets: things with a length and samples by index, or streams of samples. Subsets, splits, concatenation, mapping.
 */
import { shapeText } from '../tensor/convert.ts';
import type { HostArray, Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import type { Image } from './image.ts';
import { RandomStream } from './random.ts';
import { type Columns, gatherRows } from './rows.ts';

/** Samples by index. */
export interface Dataset<T> {
  readonly length: number;
  /**
   * Sample `index` of [0, length). `epoch` counts the passes over the data, for datasets that vary their samples from
   * pass to pass (augmentation). A dataset whose samples come from files may answer with a promise; then only the
   * asynchronous iterator of a loader can read it.
   */
  get(index: number, epoch: number): T | Promise<T>;
  /** A whole batch at once, already collated; a loader without its own `collateFn` prefers it where it exists. */
  batch?(indices: ArrayLike<number>, epoch: number): Collated;
}

/** What a collated batch is made of. */
export type Collated = Tensor | readonly Collated[] | { readonly [name: string]: Collated } | readonly string[];

/**
 * What a batch of samples of type T collates to: tensors in the place of numbers, tensors, arrays of numbers and
 * images.
 */
export type CollatedOf<T> = unknown extends T
  ? Collated
  : T extends Tensor | number | bigint | boolean | HostArray | Image
    ? Tensor
    : T extends string
      ? readonly string[]
      : { readonly [K in keyof T]: CollatedOf<T[K]> };

/** Samples in an order of its own, possibly without end. */
export interface IterableDataset<T> {
  /** Samples from the first one on, anew in every loop. */
  [Symbol.iterator](): Iterator<T>;
}

/** Rows of tensors that have equal first sizes: sample i is row i of each. */
export class TensorDataset implements Dataset<readonly Tensor[]> {
  readonly length: number;
  private readonly columns: Columns;

  /** @throws Error when the first sizes differ or a tensor has no dimensions. */
  constructor(...tensors: readonly Tensor[]) {
    const first = tensors[0];
    if (!first) throw new Error('TensorDataset: no tensors given');
    for (const tensor of tensors)
      if (tensor.shape.length === 0 || tensor.shape[0] !== first.shape[0])
        throw new Error(
          `TensorDataset: shapes ${shapeText(first.shape)} and ${shapeText(tensor.shape)} differ in their first size`,
        );
    this.length = first.shape[0]!;
    this.columns = tensors.map(tensor => ({ dtype: tensor.dtype, shape: tensor.shape, data: tensor.data() }));
  }

  get(index: number): readonly Tensor[] {
    return this.batch([index]).map(row => row.reshape(row.shape.slice(1)));
  }

  /** Rows `indices` of each tensor. @throws RangeError for one that is not there */
  batch(indices: ArrayLike<number>): Tensor[] {
    for (let i = 0; i < indices.length; i++)
      if (!(indices[i]! >= 0 && indices[i]! < this.length))
        throw new RangeError(`TensorDataset: index ${indices[i]} is out of range for ${this.length} samples`);
    return gatherRows(this.columns, indices);
  }
}

/** Chosen samples of a dataset, in the given order. */
export class Subset<T> implements Dataset<T> {
  private readonly of: Dataset<T>;
  private readonly indices: ArrayLike<number>;
  readonly batch?: (indices: ArrayLike<number>, epoch: number) => Collated;

  constructor(of: Dataset<T>, indices: ArrayLike<number>) {
    this.of = of;
    this.indices = indices;
    if (of.batch)
      this.batch = (chosen, epoch) =>
        of.batch!(
          Array.from(chosen, i => this.indices[i]!),
          epoch,
        );
  }

  get length(): number {
    return this.indices.length;
  }

  get(index: number, epoch: number): T | Promise<T> {
    return this.of.get(this.indices[index]!, epoch);
  }
}

/** The seed of what is drawn at random. */
export interface SeedOption {
  /** 0 by default. */
  readonly seed?: number;
}

/**
 * Splits at random into parts of the given lengths (which add up to the dataset's), or fractions (which add up to 1;
 * the first parts get what rounding leaves). The same seed gives the same split.
 */
export function randomSplit<T>(dataset: Dataset<T>, lengths: readonly number[], options: SeedOption = {}): Subset<T>[] {
  const { seed = 0 } = checkOptions('randomSplit', options, ['seed']);
  const counts = splitCounts(dataset.length, lengths);
  const order = new RandomStream(seed).permutation(dataset.length);
  let at = 0;
  return counts.map(count => new Subset(dataset, order.subarray(at, (at += count))));
}

function splitCounts(total: number, lengths: readonly number[]): readonly number[] {
  const sum = lengths.reduce((a, n) => a + n, 0);
  if (sum === total && lengths.every(n => Number.isInteger(n) && n >= 0)) return lengths;
  if (Math.abs(sum - 1) > 1e-9 || lengths.some(n => n < 0))
    throw new Error(
      `randomSplit: lengths ${shapeText(lengths)} add up to ${sum}, expected ${total} samples or fractions of 1`,
    );
  const counts = lengths.map(fraction => Math.floor(fraction * total));
  const left = total - counts.reduce((a, n) => a + n, 0);
  for (let i = 0; i < left; i++) counts[i % counts.length]!++;
  return counts;
}

/** Datasets one after the other. */
export class ConcatDataset<T> implements Dataset<T> {
  private readonly parts: readonly Dataset<T>[];
  readonly length: number;

  constructor(parts: readonly Dataset<T>[]) {
    this.parts = parts;
    this.length = parts.reduce((a, part) => a + part.length, 0);
  }

  get(index: number, epoch: number): T | Promise<T> {
    let local = index;
    for (const part of this.parts) {
      if (local < part.length) return part.get(local, epoch);
      local -= part.length;
    }
    throw new Error(`ConcatDataset: index ${index} is out of range for ${this.length} samples`);
  }
}

/**
 * A dataset whose samples go through `map`, which may draw from a stream of random numbers of its own: the stream
 * depends on (seed, epoch, index) alone, so augmentation is the same for any order of reading and any number of
 * workers.
 */
export class MappedDataset<T, U> implements Dataset<U> {
  private readonly of: Dataset<T>;
  private readonly map: (sample: T, random: RandomStream) => U;
  private readonly seed: number;

  constructor(of: Dataset<T>, map: (sample: T, random: RandomStream) => U, options: SeedOption = {}) {
    const { seed = 0 } = checkOptions('MappedDataset', options, ['seed']);
    this.of = of;
    this.map = map;
    this.seed = seed;
  }

  get length(): number {
    return this.of.length;
  }

  get(index: number, epoch: number): U | Promise<U> {
    const random = new RandomStream(this.seed, epoch, index);
    const sample = this.of.get(index, epoch);
    return sample instanceof Promise ? sample.then(s => this.map(s, random)) : this.map(sample, random);
  }
}

/** Samples held in an array. */
export const arrayDataset = <T>(samples: readonly T[]): Dataset<T> => ({
  length: samples.length,
  get: index => samples[index]!,
});
