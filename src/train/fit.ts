/**
 * The training loop, written once: optional, and no more than what a hand-written loop would do. Imports nn, optim and
 * the Tensor API.
 */
import { type AnyModule, Module } from '../nn/index.ts';
import { type AnyOptimizer, clipGradNorm, type ReduceLROnPlateau, Scheduler } from '../optim/index.ts';
import { compile, type Tensor } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import { checkChoice, checkOptions } from '../tensor/options.ts';
import { type BatchReading, batchesOf, readingOf, sampleCount } from './batches.ts';
import { breather } from './breathe.ts';
import { evaluator, type OutputMetric } from './evaluate.ts';
import type { Callback, EpochReport, Loader, Position, Run, StepReport } from './run.ts';

export interface FitOptions<B> extends BatchReading<B> {
  /** Mean loss of output and target: what is minimised, for instance `F.crossEntropy`. */
  readonly loss: (output: Tensor, target: Tensor) => Tensor;
  /** One optimizer, or several over different parameters. */
  readonly optimizer: AnyOptimizer | readonly AnyOptimizer[];
  readonly epochs: number;
  readonly scheduler?: Scheduler | ReduceLROnPlateau;
  /**
   * How often the schedule moves on; 'epoch' by default. A plateau schedule looks at `val_loss`, or `train_loss`, once
   * per epoch.
   */
  readonly scheduleBy?: 'epoch' | 'step';
  /** Data to measure after every epoch. */
  readonly validation?: Loader<B>;
  /** Metrics on the validation data. */
  readonly metrics?: Readonly<Record<string, OutputMetric>>;
  readonly callbacks?: readonly Callback[];
  /** Whether a step is one compiled program; true by default. */
  readonly compile?: boolean;
  /** Largest joint norm of the gradients. */
  readonly clipGradNorm?: number;
  /** Stops the run after the present step when aborted. */
  readonly signal?: AbortSignal;
}

export interface FitResult {
  /** Reports of all epochs, those before a resume included. */
  readonly history: readonly EpochReport[];
  /** Optimizer steps of the whole run. */
  readonly steps: number;
  /** Why it ended before the last epoch, or null. */
  readonly stopped: string | null;
}

const OPTIONS = [
  ...(['loss', 'optimizer', 'epochs', 'scheduler', 'scheduleBy', 'validation', 'metrics', 'callbacks'] as const),
  ...(['compile', 'clipGradNorm', 'signal', 'forward', 'target'] as const),
] as const;

/**
 * Trains `model` on the batches of `loader`, which is looped over once per epoch.
 *
 *     await fit(model, loader, { loss: F.crossEntropy, optimizer: new Adam(model.parameters()), epochs: 3 });
 *
 * @throws Error naming the step when the loss is not a finite number
 */
export async function fit<B>(model: AnyModule, loader: Loader<B>, options: FitOptions<B>): Promise<FitResult> {
  checkOptions('fit', options ?? {}, OPTIONS);
  checkFit(options);
  const run = new FitRun(model, loader, options);
  const step = trainingStep(model, run.optimizers, options);
  const { loss, metrics, validation, compile: compiled, forward, target } = options;
  const measure = validation && evaluator(model, { loss, metrics, compile: compiled, forward, target });
  await run.tell(callback => callback.onStart?.(run));
  try {
    while (run.position.epoch < run.epochs && !run.stopped) {
      const finished = await trainEpoch(run, loader, step, options);
      if (!finished) break;
      const trained = run.position.lossSum / run.position.samples;
      const measured = measure ? await measure(validation) : {};
      const named = Object.entries(measured).map(([name, value]) => [`val_${name}`, value] as const);
      await run.endEpoch({ train_loss: trained, ...Object.fromEntries(named) }, options.scheduleBy ?? 'epoch');
    }
  } finally {
    await run.tell(callback => callback.onEnd?.(run));
  }
  return { history: run.history, steps: run.position.step, stopped: run.stopped };
}

/** @throws TypeError for what would fail in the middle of a run, or do nothing at all */
function checkFit<B>(options: FitOptions<B>): void {
  const { loss, optimizer, epochs, scheduler, scheduleBy = 'epoch', metrics = {}, callbacks = [] } = options ?? {};
  const expect = (holds: boolean, name: string, expected: string, came: unknown): void => {
    if (!holds) throw new TypeError(`fit: ${name}: expected ${expected}, got ${describe(came)}`);
  };
  const ofModule = (loss as unknown) instanceof Module ? ', (output, target) => loss.call(output, target)' : '';
  const ofLoss = `a function of output and target, for instance F.crossEntropy${ofModule}`;
  expect(typeof loss === 'function', 'loss', ofLoss, loss);
  const optimizers: readonly (AnyOptimizer | undefined)[] = [optimizer].flat();
  const areAll = optimizers.length > 0 && optimizers.every(one => typeof one?.step === 'function');
  expect(areAll, 'optimizer', 'an optimizer, or several over different parameters', optimizer);
  expect(Number.isInteger(epochs) && epochs >= 0, 'epochs', 'a whole number of at least 0', epochs);
  expect(!scheduler || typeof scheduler.step === 'function', 'scheduler', 'a schedule of tenon/optim', scheduler);
  checkChoice('fit', 'scheduleBy', scheduleBy, ['epoch', 'step']);
  for (const [name, metric] of Object.entries(metrics))
    expect(typeof metric?.update === 'function', `metrics: ${name}`, 'a metric, such as new Accuracy()', metric);
  expect(Array.isArray(callbacks), 'callbacks', 'an array of callbacks', callbacks);
}

interface StepResult {
  readonly loss: Tensor;
  readonly norm: Tensor | null;
}

/** Forward, backward and update of one batch. */
function trainingStep<B>(
  model: AnyModule,
  optimizers: readonly AnyOptimizer[],
  options: FitOptions<B>,
): (batch: B) => StepResult {
  const { forward, target } = readingOf(model, options);
  const plain = (batch: B): StepResult => {
    for (const optimizer of optimizers) optimizer.zeroGrad();
    const loss = options.loss(forward(batch), target(batch));
    loss.backward();
    const parameters = optimizers.flatMap(optimizer => optimizer.parameters);
    if (parameters.every(parameter => !parameter.grad))
      throw new Error('fit: the loss depends on no parameter of the optimizer: was it made from another model?');
    const norm = options.clipGradNorm === undefined ? null : clipGradNorm(parameters, options.clipGradNorm);
    for (const optimizer of optimizers) optimizer.step();
    return { loss, norm };
  };
  return (options.compile ?? true) ? compile(plain) : plain;
}

/** Trains to the end of the epoch; false when the run was stopped before. */
async function trainEpoch<B>(
  run: FitRun,
  loader: Loader<B>,
  step: (batch: B) => StepResult,
  { scheduleBy, signal }: FitOptions<B>,
): Promise<boolean> {
  const { position } = run;
  run.model.train();
  run.startClock();
  for await (const batch of batchesOf(loader)) {
    const lr = run.optimizers[0]!.lr;
    const result = step(batch);
    const loss = result.loss.item();
    const samples = sampleCount(batch);
    position.step++;
    position.batch++;
    if (!Number.isFinite(loss))
      throw new Error(
        `fit: the loss is ${loss} at step ${position.step} (epoch ${position.epoch + 1}, batch ${position.batch}); try a lower learning rate or clipGradNorm`,
      );
    position.lossSum += loss * samples;
    position.samples += samples;
    run.count(samples);
    if (scheduleBy === 'step' && run.scheduler instanceof Scheduler) run.scheduler.step();
    const report: StepReport = {
      step: position.step,
      epoch: position.epoch + 1,
      batch: position.batch,
      batches: loader.length,
      samples,
      loss,
      meanLoss: position.lossSum / position.samples,
      lr,
      gradNorm: result.norm?.item(),
      samplesPerSecond: run.samplesPerSecond,
    };
    await run.tell(callback => callback.onStep?.(run, report));
    await run.tell(callback => callback.afterStep?.(run, report));
    await run.breathe();
    if (signal?.aborted) run.stop('interrupted');
    // A run that is stopped on the last batch still finishes its epoch.
    if (run.stopped && position.batch !== loader.length) return false;
  }
  if (position.batch === 0) throw new Error('fit: the loader gave no batches');
  return true;
}

type RunOptions = Pick<FitOptions<unknown>, 'optimizer' | 'scheduler' | 'callbacks' | 'epochs' | 'validation'>;

class FitRun implements Run {
  readonly model: AnyModule;
  readonly loader: Loader<unknown>;
  readonly validation: Loader<unknown> | null;
  readonly optimizers: readonly AnyOptimizer[];
  readonly scheduler: Scheduler | ReduceLROnPlateau | null;
  readonly callbacks: readonly Callback[];
  readonly epochs: number;
  readonly position: Position = { epoch: 0, batch: 0, step: 0, lossSum: 0, samples: 0 };
  readonly history: EpochReport[] = [];
  stopped: string | null = null;
  /** One for the whole run: epochs may be shorter than the time between two breaths. */
  readonly breathe = breather();
  #started = 0;
  #counted = 0;

  constructor(model: AnyModule, loader: Loader<unknown>, options: RunOptions) {
    const { optimizer, scheduler = null, callbacks = [], epochs } = options;
    this.model = model;
    this.loader = loader;
    this.validation = options.validation ?? null;
    this.optimizers = 'step' in optimizer ? [optimizer] : [...optimizer];
    this.scheduler = scheduler;
    this.callbacks = callbacks;
    this.epochs = epochs;
  }

  stop(reason: string): void {
    this.stopped ??= reason;
  }

  async tell(hook: (callback: Callback) => void | Promise<void>): Promise<void> {
    for (const callback of this.callbacks) await hook(callback);
  }

  startClock(): void {
    this.#started = performance.now();
    this.#counted = 0;
  }

  count(samples: number): void {
    this.#counted += samples;
  }

  get samplesPerSecond(): number {
    return (this.#counted * 1000) / (performance.now() - this.#started);
  }

  async endEpoch(metrics: Record<string, number>, scheduleBy: 'epoch' | 'step'): Promise<void> {
    const { position, scheduler } = this;
    const lr = this.optimizers[0]!.lr;
    if (scheduler instanceof Scheduler) {
      if (scheduleBy === 'epoch') scheduler.step();
    } else scheduler?.step(metrics['val_loss'] ?? metrics['train_loss']!);
    Object.assign(position, { epoch: position.epoch + 1, batch: 0, lossSum: 0, samples: 0 });
    const seconds = (performance.now() - this.#started) / 1000;
    const report: EpochReport = {
      epoch: position.epoch,
      step: position.step,
      seconds,
      samplesPerSecond: this.#counted / seconds,
      lr,
      metrics,
    };
    this.history.push(report);
    await this.tell(callback => callback.onEpoch?.(this, report));
    await this.tell(callback => callback.afterEpoch?.(this, report));
  }
}
