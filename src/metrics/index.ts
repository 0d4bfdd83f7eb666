/**
 * Metrics: numbers that say how good predictions are. Each one takes batches with `update`, answers with `compute`, and
 * hands its state out and in (`state`, `merge`), so that parts computed apart add up to the whole. May import tensor;
 * knows no models, losses with gradients (those are tensor/functional) or training loops.
 */

export { AUC, type AucOptions, auc, StreamingAUC, type StreamingAucState } from './auc.ts';
export { Calibration, type CalibrationBin, type CalibrationReport, type CalibrationState } from './calibration.ts';
export {
  Accuracy,
  ConfusionMatrix,
  type ConfusionState,
  type CountState,
  type PrecisionRecall,
  TopK,
} from './classification.ts';
export { GroupedAUC, type GroupedAucState, type GroupWeight } from './grouped.ts';
export { LogLoss, MAE, Mean, type MeanState, MSE, Perplexity } from './means.ts';
export type { Metric, MetricInput } from './metric.ts';
export {
  type MeasuresState,
  type ProgressiveReport,
  type ProgressiveState,
  ProgressiveValidation,
} from './progressive.ts';
export { HitRateAtK, NDCGAtK, type NdcgOptions, RecallAtK } from './ranking.ts';
