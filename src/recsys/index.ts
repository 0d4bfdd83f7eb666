/**
 * Recommendation at industrial scale: embedding tables of 64-bit signs, sparse batches, click, sequence, multi-task and
 * retrieval models, and one training step over them (pull, dense forward and backward, push). Imports the rooms of the
 * Tensor API; knows nothing of the command line. Nothing in here assumes one process: a table answers for the signs it
 * is given, whoever else holds the others.
 */
export {
  type BatchSchema,
  bagCount,
  checkBatch,
  MISSING_LABEL,
  type Sign,
  type SparseBatch,
  signOf,
  signParts,
} from './batch.ts';
export { checkConfig, type LearnerConfig, learnerOf, type OptimizerConfig, type StreamConfig } from './config.ts';
export * from './features/index.ts';
export { SlotImportance, type SlotImportanceOptions, type SlotImportanceState, type SlotScore } from './importance.ts';
export * from './models/index.ts';
export * from './read/index.ts';
export * from './stream/index.ts';
export type { Admission, AtLimit, InitSpec, RowOptimizer, ScoreSpec, TableOptions } from './table/options.ts';
export type { Lookup, SaveMode, SaveReport, ShrinkReport, SparseTable, TableRow } from './table/sparse-table.ts';
export { EmbeddingTable } from './table/table.ts';
export type { BatchLearner, StepResult } from './train/learner.ts';
export type { Pooling } from './train/pooling.ts';
export { SparseTrainer, type TrainerOptions } from './train/trainer.ts';
