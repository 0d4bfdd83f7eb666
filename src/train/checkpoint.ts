/**
 * Checkpoints of a run: everything that the next step depends on, so that a resumed run gives the same bits as one that
 * was never stopped.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { SchedulerState } from '../optim/index.ts';
import { defaultGenerator, type Tensor } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import { checkOptions } from '../tensor/options.ts';
import { type CheckpointContent, readCheckpoint, writeCheckpoint } from './checkpointFile.ts';
import { type Best, checkMode, isBetter, type MetricDirection, metricOf } from './monitor.ts';
import type { Callback, EpochReport, Position, Run, StepReport } from './run.ts';

export interface CheckpointOptions extends MetricDirection {
  /** Where the files lie; made if it is not there. */
  readonly folder: string;
  /** Steps between two checkpoints, on top of one per epoch; none by default. */
  readonly everySteps?: number;
  /** How many of the newest checkpoints stay; 2 by default, so that there is one to fall back on. */
  readonly keep?: number;
  /** Whether `fit` goes on from the newest checkpoint in the folder, if there is one; false by default. */
  readonly resume?: boolean;
  /** Told about checkpoints that cannot be read and about where a run resumes; `console.warn` by default. */
  readonly onNotice?: (sentence: string) => void;
}

/** The JSON part of a checkpoint. */
interface SavedState {
  readonly position: Position;
  readonly history: EpochReport[];
  readonly optimizers: readonly { readonly groups: readonly { readonly lr: number; readonly params: number }[] }[];
  readonly scheduler: object | null;
  readonly generator: { readonly seed: string; readonly counter: string };
  readonly loader: object | null;
  /** Where the validation data stands: a shuffled loader's order depends on it, and so the rounding of the sums. */
  readonly validation: object | null;
  readonly callbacks: Record<string, unknown>;
}

const NAME = /^checkpoint-(\d+)\.safetensors$/;

/** Entries of `tensors` whose names start with `prefix`, without it. */
const under = (tensors: Readonly<Record<string, Tensor>>, prefix: string): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );

const prefixed = (prefix: string, tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]));

/** Everything the next step of `run` depends on. */
export function captureRun(run: Run): CheckpointContent {
  const optimizers = run.optimizers.map(optimizer => optimizer.stateDict());
  const state: SavedState = {
    position: run.position,
    history: run.history,
    optimizers: optimizers.map(({ groups }) => ({ groups })),
    scheduler: run.scheduler?.stateDict() ?? null,
    generator: defaultGenerator.state(),
    loader: run.loader.state?.() ?? null,
    validation: run.validation?.state?.() ?? null,
    callbacks: Object.fromEntries(
      run.callbacks.filter(callback => callback.state).map(callback => [callback.name, callback.state!()]),
    ),
  };
  const tensors = Object.assign(
    prefixed('model.', run.model.stateDict()),
    ...optimizers.map((optimizer, i) => prefixed(`optimizer${i}.`, optimizer.tensors)),
    ...run.callbacks.map(callback => prefixed(`callback.${callback.name}.`, callback.tensors?.() ?? {})),
  );
  return { tensors, state };
}

/**
 * Puts `run` where it was when `content` was captured.
 * @throws Error when it belongs to another model or other optimizers
 */
export function restoreRun(run: Run, content: CheckpointContent): void {
  const state = content.state as SavedState;
  if (state.optimizers.length !== run.optimizers.length)
    throw new Error(
      `resume: the checkpoint has ${state.optimizers.length} optimizers, the run ${run.optimizers.length}`,
    );
  run.model.loadStateDict(under(content.tensors, 'model.'));
  run.optimizers.forEach((optimizer, i) => {
    optimizer.loadStateDict({ ...state.optimizers[i]!, tensors: under(content.tensors, `optimizer${i}.`) });
  });
  if (state.scheduler) run.scheduler?.loadStateDict(state.scheduler as SchedulerState & never);
  defaultGenerator.setState(state.generator);
  if (state.loader) run.loader.loadState?.(state.loader as never);
  if (state.validation) run.validation?.loadState?.(state.validation as never);
  for (const callback of run.callbacks)
    if (callback.name in state.callbacks)
      callback.loadState?.(
        state.callbacks[callback.name] as never,
        under(content.tensors, `callback.${callback.name}.`),
      );
  Object.assign(run.position, state.position);
  run.history.splice(0, run.history.length, ...state.history);
}

/** The checkpoints of a folder, newest first. */
export function checkpointsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter(name => NAME.test(name))
    .sort((a, b) => Number(NAME.exec(b)![1]) - Number(NAME.exec(a)![1]))
    .map(name => join(folder, name));
}

/**
 * The newest readable checkpoint of a folder, or null when there is none at all. `onNotice` hears of each that is
 * damaged.
 * @throws Error when there are checkpoints and none can be read
 */
export function newestCheckpoint(
  folder: string,
  onNotice: (sentence: string) => void,
): { readonly path: string; readonly content: CheckpointContent } | null {
  const paths = checkpointsIn(folder);
  for (const path of paths) {
    try {
      return { path, content: readCheckpoint(path) };
    } catch (error) {
      onNotice(`checkpoint refused: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (paths.length > 0) throw new Error(`resume: none of the ${paths.length} checkpoints in ${folder} can be read`);
  return null;
}

/**
 * Writes `checkpoint-<step>.safetensors` after every epoch (and every `everySteps` steps, and when the run is stopped),
 * keeps the newest ones and `best.safetensors`, and resumes from them.
 */
export class Checkpoint implements Callback {
  readonly name = 'checkpoint';
  readonly #options: CheckpointOptions;
  #best: Best | null = null;
  #savedStep = -1;

  constructor(options: CheckpointOptions) {
    checkOptions('Checkpoint', options, ['folder', 'everySteps', 'keep', 'resume', 'onNotice', 'monitor', 'mode']);
    checkMode('Checkpoint', options);
    if (typeof options.folder !== 'string')
      throw new TypeError(`Checkpoint: folder: expected a path, got ${describe(options.folder)}`);
    this.#options = options;
  }

  /** The best epoch so far. */
  get best(): Best | null {
    return this.#best;
  }

  onStart(run: Run): void {
    const { folder, resume = false, onNotice = console.warn } = this.#options;
    mkdirSync(folder, { recursive: true });
    if (!resume) {
      // They would be taken for newer ones of this run, or pushed out by it.
      if (checkpointsIn(folder).length > 0)
        throw new Error(`${folder} holds checkpoints of an earlier run: resume it, or choose another folder`);
      return;
    }
    const found = newestCheckpoint(folder, onNotice);
    if (!found) return;
    restoreRun(run, found.content);
    this.#savedStep = run.position.step;
    onNotice(`resumed from ${found.path} at step ${run.position.step}`);
  }

  /** Writes a checkpoint now and drops the oldest. */
  save(run: Run): void {
    if (this.#savedStep === run.position.step) return;
    const { folder, keep = 2 } = this.#options;
    writeCheckpoint(join(folder, `checkpoint-${run.position.step}.safetensors`), captureRun(run));
    this.#savedStep = run.position.step;
    for (const path of checkpointsIn(folder).slice(Math.max(1, keep))) rmSync(path, { force: true });
  }

  afterStep(run: Run, { step }: StepReport): void {
    const { everySteps } = this.#options;
    if (everySteps !== undefined && step % everySteps === 0) this.save(run);
  }

  afterEpoch(run: Run, { epoch, metrics }: EpochReport): void {
    const { value } = metricOf('Checkpoint', metrics, this.#options);
    const better = isBetter(value, this.#best?.value, this.#options);
    if (better) this.#best = { epoch, value };
    // An epoch's end says more than its last step did: it is saved even where that step was.
    this.#savedStep = -1;
    this.save(run);
    if (better) writeCheckpoint(join(this.#options.folder, 'best.safetensors'), captureRun(run));
  }

  onEnd(run: Run): void {
    if (run.stopped) this.save(run);
  }

  state(): Best | null {
    return this.#best;
  }

  loadState(best: Best | null): void {
    this.#best = best;
  }
}
