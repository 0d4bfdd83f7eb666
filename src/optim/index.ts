/**
 * Optimizers, learning rate schedules and gradient clipping. Imports the Tensor API and the runtime's cells; only
 * averages of weights and second-order methods know modules.
 */
export { Adadelta, type AdadeltaOptions } from './adadelta.ts';
export { Adagrad, type AdagradOptions } from './adagrad.ts';
export { Adam, type AdamOptions, AdamW, SparseAdam } from './adam.ts';
export { Adamax, type AdamaxOptions } from './adamax.ts';
export { ASGD, type ASGDOptions } from './asgd.ts';
export {
  AveragedModel,
  type AveragedModelOptions,
  type AverageFn,
  getEmaAvgFn,
  SWALR,
  type SWALROptions,
  updateBn,
} from './averaged.ts';
export { ChainedScheduler, MultiplicativeLR } from './chained.ts';
export { clipGradNorm, clipGradValue, gradNorm, type NormTypeOption } from './clip.ts';
export * from './cosine.ts';
export { CyclicLR, type CyclicLROptions } from './cyclic.ts';
export * from './decays.ts';
export { GradScaler, type GradScalerOptions, type GradScalerState } from './gradScaler.ts';
export { KFAC, type KFACOptions } from './kfac.ts';
export { LAMB, type LAMBOptions } from './lamb.ts';
export { type Closure, LBFGS, type LBFGSOptions } from './lbfgs.ts';
export { Lion, type LionOptions } from './lion.ts';
export { NAdam, type NAdamOptions } from './nadam.ts';
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
export { RAdam, type RAdamOptions } from './radam.ts';
export { RMSprop, type RMSpropOptions } from './rmsprop.ts';
export { Rprop, type RpropOptions } from './rprop.ts';
export { type Factors, Scheduler, type SchedulerState } from './scheduler.ts';
export { SequentialLR } from './sequential.ts';
export { SGD, type SGDOptions } from './sgd.ts';
export { Shampoo, type ShampooOptions } from './shampoo.ts';
