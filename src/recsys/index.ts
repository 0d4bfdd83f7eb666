/**
 * Recommendation at industrial scale: embedding tables of 64-bit signs, sparse batches, click, sequence, multi-task and retrieval models, and
 * one training step over them (pull, dense forward and backward, push). Imports the rooms of the Tensor API; knows nothing of the command
 * line. Nothing in here assumes one process: a table answers for the signs it is given, whoever else holds the others.
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
export { type FeatureRecord, Features, type FieldValue } from './features/features.ts';
export { avazuFeatures, criteoFeatures } from './features/presets.ts';
export { hashSign } from './features/slots.ts';
export type { DenseSpec, FeatureSpec, LabelSpec, SlotSpec } from './features/spec.ts';
export type { Format } from './read/format.ts';
export type { BadLine } from './read/lines.ts';
export type { BadLineOptions } from './read/quarantine.ts';
export { BatchReader, type ReaderOptions, type ReaderStats } from './read/reader.ts';
export type { ShuffleOptions } from './read/shuffle.ts';
export type { BatchLearner, StepResult } from './step.ts';
export type { Admission, Eviction, InitSpec, RowOptimizer, ScoreSpec, TableOptions } from './table/options.ts';
export type { Lookup, SaveMode, SaveReport, ShrinkReport, SparseTable, TableRow } from './table/sparse-table.ts';
export { EmbeddingTable } from './table/table.ts';
