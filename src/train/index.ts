/**
 * The optional training loop and what can follow it: progress, early stopping, checkpoints, logs. Imports nn, optim,
 * formats and the Tensor API.
 */
export type { BatchReading } from './batches.ts';
export {
  Checkpoint,
  type CheckpointOptions,
  captureRun,
  checkpointsIn,
  newestCheckpoint,
  restoreRun,
} from './checkpoint.ts';
export { type CheckpointContent, readCheckpoint, writeCheckpoint } from './checkpointFile.ts';
export { CsvLog } from './csvLog.ts';
export { EarlyStopping, type EarlyStoppingOptions } from './earlyStopping.ts';
export { type EvaluateOptions, evaluate, evaluator, type OutputMetric } from './evaluate.ts';
export { type FitOptions, type FitResult, fit } from './fit.ts';
export type { Best, MetricDirection } from './monitor.ts';
export { clock, ProgressBar, type TextStream } from './progress.ts';
export type { Callback, EpochReport, Loader, Position, Run, StepReport } from './run.ts';
export { EventWriter, TensorBoard } from './tensorboard.ts';
