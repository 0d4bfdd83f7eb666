/**
 * Where a stream of passes comes from: what every source answers, whatever is behind it. Types, and the notices of
 * waiting.
 */
import type { SparseBatch } from '../batch.ts';
import type { Features } from '../features/features.ts';
import type { Format } from '../read/format.ts';
import type { BadLineOptions } from '../read/quarantine.ts';
import type { ReaderStats } from '../read/reader.ts';
import type { ShuffleOptions } from '../read/shuffle.ts';

/** How a pass is read. */
export interface PassReading {
  readonly format: Format;
  readonly features: Features;
  readonly batchSize: number;
  readonly shuffle?: ShuffleOptions;
  readonly threads?: number;
  readonly badLines?: BadLineOptions;
}

/** The batches of a pass; the same ones in every loop. */
export interface PassBatches extends AsyncIterable<SparseBatch> {
  /** Of the present or last loop. */
  readonly stats: ReaderStats;
}

/** Where a source stands; plain JSON that only the source understands. */
export type SourcePosition = Readonly<Record<string, unknown>>;

/** A stretch of the stream that is trained on as a whole. */
export interface Pass {
  /** YYYYMMDD. */
  readonly day: string;
  /** Within the day: HHMM of its data, or the number of its last message. */
  readonly name: string;
  /** Whether the day is known to be over with it; else it is when a pass of another day comes, or no pass does. */
  readonly endsDay?: boolean;
  /** Where the source stands after it. */
  readonly position: SourcePosition;
  /** The examples of the pass as batches. */
  read(reading: PassReading): PassBatches;
}

/** What a source is asked with. */
export interface Asking {
  /** Stops the waiting. */
  readonly signal: AbortSignal;
  /** Told what is waited for, and that it came; whole sentences. */
  readonly onNotice: (sentence: string) => void;
  /** The end of a pass that was begun before: that one is wanted again, as it was. */
  readonly again?: SourcePosition;
}

export interface StreamSource {
  /**
   * The pass after a position (null: the first), once it is complete; null when the stream is over or the waiting was
   * stopped.
   * @throws Error in one sentence where the data contradicts itself; a source that does not answer is waited for
   */
  next(after: SourcePosition | null, asking: Asking): Promise<Pass | null>;
  /** Everything up to this position is in a checkpoint: the source may forget it. */
  commit(position: SourcePosition): Promise<void>;
  /**
   * What it knows beside a position and a process that goes on from there should, as plain JSON: kept in checkpoints.
   */
  memory?(position: SourcePosition | null): unknown;
  /** Takes in what an earlier process knew, before `next`. */
  remember?(memory: unknown): void;
  /** Lets go of files and connections. */
  close(): Promise<void>;
}

/** Waits, or less when the signal comes. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
