/**
 * Files in, batches out: threads, shuffle, batches and bad lines put together.
 */
import { availableProcessors } from '../../compiler/processors.ts';
import { checkOptions } from '../../tensor/options.ts';
import type { SparseBatch } from '../batch.ts';
import { Features } from '../features/features.ts';
import type { FeatureSpec } from '../features/spec.ts';
import { rebatch } from './batches.ts';
import { checkFormat, type Format } from './format.ts';
import { readUnits } from './lanes.ts';
import type { Block } from './lines.ts';
import { type BadLineOptions, Quarantine } from './quarantine.ts';
import { type ShuffleOptions, shuffled } from './shuffle.ts';
import { planUnits } from './unit.ts';

export interface ReaderOptions {
  readonly format: Format;
  readonly features: FeatureSpec | Features;
  /** Examples per batch. */
  readonly batchSize: number;
  /** Leaves out a last batch that is not full; false by default. */
  readonly dropLast?: boolean;
  /**
   * Reading threads; 0 reads in this one. As many as there are processors to use, at most 4, by default. What is read does not
   * depend on it.
   */
  readonly threads?: number;
  /** In the files' order by default. */
  readonly shuffle?: ShuffleOptions;
  readonly badLines?: BadLineOptions;
}

/** What a reader has read so far. */
export interface ReaderStats {
  /** Lines that are not empty, bad ones included. */
  readonly lines: number;
  readonly bad: number;
  /** Unpacked bytes. */
  readonly bytes: number;
}

/**
 * Batches of log files. Each loop reads the files again.
 * Files may be plain, gzip or zstd whatever they are called; large plain ones are read in several stretches at once.
 */
export class BatchReader implements AsyncIterable<SparseBatch> {
  readonly features: Features;
  private readonly files: readonly string[];
  private readonly options: ReaderOptions;
  private quarantine: Quarantine;
  private bytes = 0;

  /** @throws Error in one sentence where features or format are wrong */
  constructor(files: readonly string[], options: ReaderOptions) {
    const { features, batchSize } = checkOptions('BatchReader', options, [
      'format',
      'features',
      'batchSize',
      'dropLast',
      'threads',
      'shuffle',
      'badLines',
    ]);
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new Error(`BatchReader: batchSize is ${batchSize}, expected a whole number of at least 1`);
    checkFormat(options.format);
    this.features = features instanceof Features ? features : new Features(features);
    this.files = files;
    this.options = options;
    this.quarantine = new Quarantine(options.badLines);
  }

  /** Of the present or last loop. */
  get stats(): ReaderStats {
    return { lines: this.quarantine.lines, bad: this.quarantine.bad, bytes: this.bytes };
  }

  /** @throws Error naming the file that cannot be read, or when too many lines are bad */
  async *[Symbol.asyncIterator](): AsyncGenerator<SparseBatch, void, undefined> {
    const { format, batchSize, dropLast = false, shuffle, badLines } = this.options;
    const { threads = Math.min(4, availableProcessors()) } = this.options;
    const { schema } = this.features;
    this.quarantine = new Quarantine(badLines).begin();
    this.bytes = 0;
    const blocks = this.counted(readUnits(planUnits(this.files, format), format, this.features, batchSize, threads));
    yield* rebatch(shuffle ? shuffled(blocks, schema, shuffle) : blocks, schema, batchSize, dropLast);
  }

  private async *counted(blocks: AsyncIterable<Block>): AsyncGenerator<SparseBatch, void, undefined> {
    for await (const { batch, lines, bytes, bad } of blocks) {
      this.bytes += bytes;
      this.quarantine.add(lines, bad);
      if (batch.size > 0) yield batch;
    }
    this.quarantine.end();
  }
}
