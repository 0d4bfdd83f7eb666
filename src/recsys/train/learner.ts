/**
 * The interface between a trainer and what drives it (streams, examples, the command line).
 */
import type { SparseBatch } from '../batch.ts';

export interface StepResult {
  /** Mean loss of the batch before the step's update. */
  readonly loss: number;
  /** [size, tasks] probabilities before the step's update; valid until the next step. */
  readonly predictions: Float32Array;
}

/** Learns from one batch after the other: pull, dense forward and backward, push. */
export interface BatchLearner {
  /** Trains on one batch. */
  step(batch: SparseBatch): StepResult;
  /** [size, tasks] probabilities; changes nothing. Valid until the next call. */
  predict(batch: SparseBatch): Float32Array;
  /** Writes everything a restart needs into a folder: dense weights, optimizer state, tables, step count. */
  save(folder: string): void;
  /** @throws Error in one sentence where the folder does not fit; everything is as before. */
  load(folder: string): void;
}
