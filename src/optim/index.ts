/**
 * Optimizers, learning rate schedules and gradient clipping. Imports the Tensor API and the runtime's cells; knows no modules.
 */
export { Adagrad, type AdagradOptions } from './adagrad.ts';
export { Adam, type AdamOptions, AdamW, SparseAdam } from './adam.ts';
export { clipGradNorm, clipGradValue, gradNorm } from './clip.ts';
export * from './cosine.ts';
export * from './decays.ts';
export {
  type AnyOptimizer,
  type BaseHyper,
  type GroupOptions,
  Optimizer,
  type OptimizerState,
  ParamGroup,
  type Params,
  type Update,
} from './optimizer.ts';
export { type PlateauOptions, type PlateauState, ReduceLROnPlateau } from './plateau.ts';
export { RMSprop, type RMSpropOptions } from './rmsprop.ts';
export { Scheduler, type SchedulerState } from './scheduler.ts';
export { SequentialLR } from './sequential.ts';
export { SGD, type SGDOptions } from './sgd.ts';
