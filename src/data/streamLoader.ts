/**
 * Batches of a dataset that is a stream: samples come in an order of its own, and there is no index to shuffle.
 */
import { checkOptions } from '../tensor/options.ts';
import type { CollatedOf, IterableDataset } from './dataset.ts';
import { collate as defaultCollate } from './rows.ts';

export interface StreamLoaderOptions<T, B> {
  /** Samples per batch. Default 1. */
  readonly batchSize?: number;
  /** Leaves out a last batch that is not full. Default false. */
  readonly dropLast?: boolean;
  /** Samples to a batch; by default `collate` of this package. */
  readonly collateFn?: (samples: T[]) => B;
}

/** Where a stream's loader stands; plain JSON. */
export interface StreamLoaderState {
  /** Batches of the present pass already handed out. */
  readonly position: number;
}

/**
 * Each loop is one pass over the stream. After `loadState` the next loop reads past the batches that were handed out
 * before, so the stream must give the same samples again.
 */
export class StreamLoader<T, B = CollatedOf<T>> implements Iterable<B> {
  readonly batchSize: number;
  private readonly dataset: IterableDataset<T>;
  private readonly dropLast: boolean;
  private readonly collateFn: (samples: T[]) => B;
  private position = 0;
  private skip = 0;

  constructor(dataset: IterableDataset<T>, options: StreamLoaderOptions<T, B> = {}) {
    checkOptions('StreamLoader', options, ['batchSize', 'dropLast', 'collateFn']);
    const { batchSize = 1, dropLast = false, collateFn = samples => defaultCollate(samples) as B } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new Error(`StreamLoader: batchSize is ${batchSize}, expected an integer of at least 1`);
    this.dataset = dataset;
    this.batchSize = batchSize;
    this.dropLast = dropLast;
    this.collateFn = collateFn;
  }

  /** Where the loader stands within its pass, for `loadState`. */
  state(): StreamLoaderState {
    return { position: this.position };
  }

  /** The next loop starts behind the batches that were handed out when `state` was taken. */
  loadState({ position }: StreamLoaderState): void {
    if (!Number.isSafeInteger(position) || position < 0)
      throw new Error(`StreamLoader.loadState: position is ${position}, expected a whole number`);
    this.skip = position;
  }

  /** One pass over the stream. */
  *[Symbol.iterator](): Generator<B, void, undefined> {
    this.position = 0;
    for (const samples of this.batches()) {
      this.position++;
      if (this.position <= this.skip) continue;
      this.skip = 0;
      yield this.collateFn(samples);
    }
    this.position = 0;
    this.skip = 0;
  }

  private *batches(): Generator<T[], void, undefined> {
    let samples: T[] = [];
    for (const sample of this.dataset) {
      samples.push(sample);
      if (samples.length < this.batchSize) continue;
      yield samples;
      samples = [];
    }
    if (samples.length > 0 && !this.dropLast) yield samples;
  }
}
