/**
 * What a streaming run is given, and what comes of it. Types only.
 */
import type { BatchSchema, SparseBatch } from '../batch.ts';
import type { SparseTable } from '../table/sparse-table.ts';
import type { BatchLearner, StepResult } from '../train/learner.ts';
import type { StreamEvent, StreamProgress } from './events.ts';
import type { PublishedCard } from './published.ts';
import type { PassReading, StreamSource } from './source.ts';

/** What the loop asks of a learner; a SparseTrainer answers it. */
export interface StreamLearner extends BatchLearner {
  readonly table: Pick<SparseTable, 'size' | 'shrink' | 'save'>;
  /** Labels the tasks learn, by place in the schema. */
  readonly model: { readonly tasks: readonly number[]; readonly schema: BatchSchema };
  /** Writes the dense weights as safetensors. */
  saveDense(file: string): void;
  /** Learns from batches in a pipeline: results in their order, some batches later. */
  train?(batches: AsyncIterable<SparseBatch>): AsyncIterable<StepResult>;
}

export interface StreamOptions {
  readonly learner: StreamLearner;
  readonly source: StreamSource;
  readonly reading: Omit<PassReading, 'shuffle'>;
  /** Decides the shuffles. */
  readonly seed: number;
  /** Examples of the shuffle buffer; 262,144 by default, 0 keeps the order of the data. */
  readonly shuffleBuffer?: number;
  /** Where everything is written. */
  readonly folder: string;
  /** What published models say of themselves. */
  readonly card: Omit<PublishedCard, 'format' | 'version'>;
  /** Goes on from the last checkpoint in the folder, if there is one; false by default. */
  readonly resume?: boolean;
  /** Passes between two checkpoints; 1 by default. */
  readonly checkpointEvery?: number;
  /** Passes between two published deltas, 0 for none; 1 by default. */
  readonly deltaEvery?: number;
  /** Checkpoints that stay; 2 by default. */
  readonly keep?: number;
  /**
   * When a pass is measured: all of it before any of it is learned from ('pass', the default: what the published model
   * would have scored), or each batch just before it is learned from ('progressive', which costs nothing).
   */
  readonly validate?: 'pass' | 'progressive';
  /**
   * Learns through the learner's pipeline: while one batch is computed, the next is pulled and the one before pushed,
   * so rows are one push older than without. The pipeline is emptied every 64 batches, where a run can be stopped and
   * goes on to the bit. Worth it where a core is left beside the threads that compute; false by default.
   */
  readonly pipeline?: boolean;
  /** Batches per pass by which slots are shuffled for their importance; 1 by default. */
  readonly importanceBatches?: number;
  /** Stops after so many passes of this call; none by default. */
  readonly maxPasses?: number;
  /** Stops after the present batch, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Told what happened: passes, checkpoints, published models. */
  readonly onEvent?: (event: StreamEvent) => void;
  /** Told what is waited for; whole sentences. */
  readonly onNotice?: (sentence: string) => void;
  /** Called after batches, for a display. */
  readonly onProgress?: (progress: StreamProgress) => void;
}

export interface StreamResult {
  /** Of this call. */
  readonly passes: number;
  /** Learned from, over the whole run. */
  readonly total: number;
  /** AUC of all passes, each measured before it was learned from. */
  readonly auc: number;
  readonly logLoss: number;
  readonly rows: number;
  /** Whether the signal stopped it. */
  readonly stopped: boolean;
}
