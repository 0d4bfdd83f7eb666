/**
 * What a training run is, as its callbacks see it. Types only.
 */
import type { AnyModule } from '../nn/index.ts';
import type { AnyOptimizer, ReduceLROnPlateau, Scheduler } from '../optim/index.ts';
import type { Tensor } from '../tensor/index.ts';

/**
 * Batches of one epoch per loop. With a length there is an ETA; with a state, a run can be resumed in the middle of an
 * epoch.
 */
export interface Loader<B> {
  /** One epoch, for `for await`. */
  [Symbol.asyncIterator]?(): AsyncIterator<B>;
  /** One epoch, for a plain `for`; `fit` prefers the asynchronous one. */
  [Symbol.iterator]?(): Iterator<B>;
  /** Batches per epoch. */
  readonly length?: number;
  /** Where the data stands, as plain JSON, for checkpoints. */
  state?(): object;
  /** Goes on from a saved state. */
  loadState?(state: never): void;
}

/** One optimizer step. */
export interface StepReport {
  /** Steps of the whole run, this one included. */
  readonly step: number;
  /** Epoch of this step, from 1. */
  readonly epoch: number;
  /** Batch of the epoch, from 1. */
  readonly batch: number;
  /** Batches per epoch, if the loader knows. */
  readonly batches: number | undefined;
  /** Samples of the batch. */
  readonly samples: number;
  readonly loss: number;
  /** Mean loss per sample of the epoch so far. */
  readonly meanLoss: number;
  /** Learning rate the step was made with (of the first group). */
  readonly lr: number;
  /** Norm of the gradients before clipping, where they are clipped. */
  readonly gradNorm: number | undefined;
  /** Samples per second since this process started or resumed the epoch. */
  readonly samplesPerSecond: number;
}

/** One epoch: the mean training loss, and `val_loss` and metrics where there is a validation set. */
export interface EpochReport {
  readonly epoch: number;
  readonly step: number;
  readonly seconds: number;
  readonly samplesPerSecond: number;
  readonly lr: number;
  /** `train_loss`, `val_loss`, and validation metrics as `val_<name>`. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Where a run stands within its data; plain JSON. */
export interface Position {
  /** Epochs finished. */
  epoch: number;
  /** Batches of the present epoch that are done. */
  batch: number;
  /** Steps of the whole run. */
  step: number;
  /** Sum of sample losses and number of samples of the present epoch. */
  lossSum: number;
  samples: number;
}

/** A running `fit`. */
export interface Run {
  readonly model: AnyModule;
  readonly optimizers: readonly AnyOptimizer[];
  readonly scheduler: Scheduler | ReduceLROnPlateau | null;
  readonly loader: Loader<unknown>;
  readonly validation: Loader<unknown> | null;
  readonly callbacks: readonly Callback[];
  /** Epochs wanted. */
  readonly epochs: number;
  readonly position: Position;
  /** Reports of all finished epochs. */
  readonly history: EpochReport[];
  /** Why the run is to stop early, or null. */
  readonly stopped: string | null;
  /** Ends the run after the present step or epoch. */
  stop(reason: string): void;
}

/** Something that follows a run. Hooks are called in the order of the callbacks; promises are waited for. */
export interface Callback {
  /** Key of its state in checkpoints. */
  readonly name: string;
  /** Before the first step; a checkpoint is resumed here. */
  onStart?(run: Run): void | Promise<void>;
  /** After every optimizer step. */
  onStep?(run: Run, report: StepReport): void | Promise<void>;
  /** After every epoch and its validation. */
  onEpoch?(run: Run, report: EpochReport): void | Promise<void>;
  /** After every callback's `onStep`, schedules included: everything that belongs to the step has happened. */
  afterStep?(run: Run, report: StepReport): void | Promise<void>;
  /** After every callback's `onEpoch`. */
  afterEpoch?(run: Run, report: EpochReport): void | Promise<void>;
  /** When the run is over: finished, stopped or failed. */
  onEnd?(run: Run): void | Promise<void>;
  /** What must survive in a checkpoint, as plain JSON. */
  state?(): unknown;
  /** The tensors that must survive in a checkpoint, by name. */
  tensors?(): Readonly<Record<string, Tensor>>;
  /** Goes on from what `state` and `tensors` gave. */
  loadState?(state: never, tensors: Readonly<Record<string, Tensor>>): void;
}
