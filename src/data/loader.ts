/**
 * DataLoader: shuffled batches of a dataset, in this thread or from worker threads, resumable to the batch.
 */
import { checkOptions } from '../tensor/options.ts';
import type { CollatedOf, Dataset } from './dataset.ts';
import { RandomStream } from './random.ts';
import { collate as defaultCollate } from './rows.ts';
import type { Sampler } from './samplers.ts';
import { isModuleDataset, WorkerPool } from './workers.ts';

export interface LoaderOptions<T, B> {
  /** Samples per batch. Default 1. */
  readonly batchSize?: number;
  /** A new order every epoch, from `seed` and the epoch's number. Default false: the dataset's own order. */
  readonly shuffle?: boolean;
  /** Which samples an epoch takes, in which order; instead of `shuffle`. */
  readonly sampler?: Sampler;
  /** Of the order of samples. Default 0. */
  readonly seed?: number;
  /** Leaves out a last batch that is not full. Default false. */
  readonly dropLast?: boolean;
  /** Samples to a batch; by default `collate` of this package (or the dataset's own `batch`). */
  readonly collateFn?: (samples: T[]) => B;
  /** Threads that read samples; needs a dataset made by `moduleDataset`. Default 0: this thread. */
  readonly numWorkers?: number;
  /** Batches asked for ahead, per worker (or in all without workers). Default 2. */
  readonly prefetchFactor?: number;
}

const ORDER = ['batchSize', 'shuffle', 'sampler', 'seed', 'dropLast'] as const;
const READING = ['collateFn', 'numWorkers', 'prefetchFactor'] as const;

/** Where a loader stands; plain JSON. */
export interface LoaderState {
  readonly seed: number;
  readonly epoch: number;
  /** Batches of this epoch already handed out. */
  readonly position: number;
}

/**
 * Iterating runs one epoch: `for (const batch of loader)` for datasets in memory, `for await` for any. Each new loop is
 * the next epoch, also after a loop that was left early; after `loadState` it goes on in the middle of the epoch where
 * `state` was taken, with the same batches.
 */
export class DataLoader<T, B = CollatedOf<T>> implements Iterable<B>, AsyncIterable<B> {
  readonly dataset: Dataset<T>;
  readonly batchSize: number;
  private readonly shuffle: boolean;
  private readonly sampler: Sampler | null;
  private readonly dropLast: boolean;
  private readonly collateFn: ((samples: T[]) => B) | null;
  private readonly numWorkers: number;
  private readonly prefetchFactor: number;
  private seed: number;
  private epoch = 0;
  private position = 0;
  /** Whether the next loop goes on at `position` instead of starting an epoch. */
  private resuming = true;

  constructor(dataset: Dataset<T>, options: LoaderOptions<T, B> = {}) {
    checkOptions('DataLoader', options, [...ORDER, ...READING]);
    const { batchSize = 1, numWorkers = 0, prefetchFactor = 2, seed = 0 } = options;
    const count = (name: string, value: number, least: number): number => {
      if (!Number.isInteger(value) || value < least)
        throw new Error(`DataLoader: ${name} is ${value}, expected an integer of at least ${least}`);
      return value;
    };
    if (typeof dataset?.get !== 'function')
      throw new TypeError(
        `DataLoader: dataset: expected something with length and get(index)${Array.isArray(dataset) ? '; for an array, arrayDataset(samples)' : ''}`,
      );
    this.dataset = dataset;
    this.batchSize = count('batchSize', batchSize, 1);
    this.numWorkers = count('numWorkers', numWorkers, 0);
    this.prefetchFactor = count('prefetchFactor', prefetchFactor, 1);
    this.seed = seed;
    this.shuffle = options.shuffle ?? false;
    this.sampler = options.sampler ?? null;
    if (this.sampler && this.shuffle)
      throw new Error('DataLoader: shuffle and sampler both came: a sampler decides the order itself');
    if (this.sampler && typeof this.sampler.indices !== 'function')
      throw new TypeError(
        'DataLoader: sampler: expected a Sampler, such as new SubsetRandomSampler(indices) or new WeightedRandomSampler(weights)',
      );
    this.dropLast = options.dropLast ?? false;
    this.collateFn = options.collateFn ?? null;
    if (numWorkers > 0 && !isModuleDataset(dataset))
      throw new Error(
        'DataLoader: numWorkers needs a dataset made by moduleDataset, which workers can build for themselves',
      );
  }

  /** Batches per epoch. */
  get length(): number {
    const batches = (this.sampler ?? this.dataset).length / this.batchSize;
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  /** Where the loader stands within its epoch, for `loadState`. */
  state(): LoaderState {
    return { seed: this.seed, epoch: this.epoch, position: this.position };
  }

  /** The next loop hands out what would have followed when `state` was taken. */
  loadState(state: LoaderState): void {
    if (![state.seed, state.epoch, state.position].every(Number.isSafeInteger) || state.position > this.length)
      throw new Error(`DataLoader.loadState: ${JSON.stringify(state)} does not fit a loader of ${this.length} batches`);
    this.seed = state.seed;
    this.epoch = state.epoch;
    this.position = state.position;
    this.resuming = true;
  }

  /** One epoch. @throws Error for a dataset that reads asynchronously, and with workers: those want `for await` */
  *[Symbol.iterator](): Generator<B, void, undefined> {
    if (this.numWorkers > 0) throw new Error('DataLoader: a loader with workers is asynchronous; use `for await`');
    for (const indices of this.startEpoch()) {
      const batch = this.read(indices);
      if (batch instanceof Promise)
        throw new Error('DataLoader: this dataset reads asynchronously; use `for await` instead of `for`');
      this.position++;
      yield batch;
    }
    this.endEpoch();
  }

  /** One epoch, of any dataset. */
  async *[Symbol.asyncIterator](): AsyncGenerator<B, void, undefined> {
    const pool =
      this.numWorkers > 0 && isModuleDataset(this.dataset) ? new WorkerPool<T>(this.dataset, this.numWorkers) : null;
    const ahead = this.prefetchFactor * Math.max(1, this.numWorkers);
    try {
      const batches = this.startEpoch();
      const epoch = this.epoch;
      const pending: Promise<B>[] = [];
      const fill = (): void => {
        while (pending.length < ahead) {
          const next = batches.next();
          if (next.done) return;
          const batch = pool
            ? pool.read(next.value, epoch).then(samples => this.gather(samples))
            : Promise.resolve(this.read(next.value));
          // A batch that fails is reported when its turn comes, not as an unhandled rejection before.
          batch.catch(() => {});
          pending.push(batch);
        }
      };
      for (fill(); pending.length > 0; fill()) {
        const batch = await pending.shift()!;
        this.position++;
        yield batch;
      }
      this.endEpoch();
    } finally {
      await pool?.close();
    }
  }

  /** The index lists of the batches that are left of the epoch. */
  private startEpoch(): Generator<ArrayLike<number>, void, undefined> {
    if (!this.resuming) {
      this.epoch++;
      this.position = 0;
    }
    this.resuming = false;
    return batchesOf(this.order(), this.position, this.length, this.batchSize);
  }

  /** The samples of the epoch, in order. */
  private order(): Uint32Array {
    const { seed, epoch, sampler } = this;
    const { length } = this.dataset;
    if (this.shuffle) return new RandomStream(seed, epoch).permutation(length);
    if (!sampler) return Uint32Array.from({ length }, (_, i) => i);
    const drawn = Array.from(sampler.indices(seed, epoch));
    const bad = drawn.find(index => !Number.isInteger(index) || index < 0 || index >= length);
    if (bad !== undefined)
      throw new RangeError(`DataLoader: sampler: index ${bad} came for a dataset of ${length} samples`);
    return Uint32Array.from(drawn);
  }

  private endEpoch(): void {
    this.epoch++;
    this.position = 0;
    this.resuming = true;
  }

  private read(indices: ArrayLike<number>): B | Promise<B> {
    const { dataset, epoch } = this;
    if (!this.collateFn && dataset.batch) return dataset.batch(indices, epoch) as B;
    const samples = Array.from(indices, index => dataset.get(index, epoch));
    return samples.some(sample => sample instanceof Promise)
      ? Promise.all(samples).then(ready => this.gather(ready))
      : this.gather(samples as T[]);
  }

  private gather(samples: T[]): B {
    return this.collateFn ? this.collateFn(samples) : (defaultCollate(samples) as B);
  }
}

function* batchesOf(
  order: Uint32Array,
  from: number,
  to: number,
  size: number,
): Generator<ArrayLike<number>, void, undefined> {
  for (let batch = from; batch < to; batch++) yield order.subarray(batch * size, (batch + 1) * size);
}
