/**
 * What the three training commands share: fit with a progress display, metrics in the run folder, checkpoints, and a
 * clean stop on Ctrl-C.
 */
import type { AnyModule } from '../nn/index.ts';
import {
  type Callback,
  Checkpoint,
  type EpochReport,
  type FitOptions,
  fit,
  type Loader,
  ProgressBar,
} from '../train/index.ts';
import { Interrupted } from './errors.ts';
import { interruptible } from './interrupt.ts';
import type { Output } from './output.ts';
import type { RunFolder } from './runFolder.ts';

export interface Training<B> {
  readonly model: AnyModule;
  readonly loader: Loader<B>;
  readonly fit: FitOptions<B>;
  /** What the validation data is called in metrics: 'test' where it takes no part in any choice, else 'val'. */
  readonly heldOut: 'test' | 'val';
}

/** Steps between two checkpoints within an epoch: what a crash loses at most. */
const CHECKPOINT_STEPS = 100;

/**
 * Trains to the end.
 * @throws Interrupted after Ctrl-C or SIGTERM, when the checkpoint is written
 */
export async function train<B>(run: RunFolder, output: Output, resume: boolean, training: Training<B>): Promise<void> {
  const { model, loader, heldOut } = training;
  const checkpoint = new Checkpoint({
    folder: run.path,
    everySteps: CHECKPOINT_STEPS,
    resume,
    onNotice: sentence => output.notice(sentence),
  });
  await interruptible(async ({ signal, heard }) => {
    const result = await fit(model, loader, {
      ...training.fit,
      callbacks: [checkpoint, reporting(run, output, heldOut)],
      signal,
    });
    if (result.stopped)
      throw new Interrupted(`stopped at step ${result.steps}; go on with --resume --out ${run.path}`, heard());
  });
}

/** Trains a model that is only compared with: no checkpoints, no display. */
export async function trainQuietly<B>({ model, loader, fit: options }: Training<B>): Promise<void> {
  await fit(model, loader, { ...options, validation: undefined, callbacks: [] });
}

/** `val_accuracy` of fit under the name of what it was measured on. */
const renamed = (metrics: EpochReport['metrics'], heldOut: string): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name.replace(/^val_/, `${heldOut}_`), value]));

const round = (value: number, digits: number): number => Number(value.toPrecision(digits));

function reporting(run: RunFolder, output: Output, heldOut: string): Callback {
  const bar = new ProgressBar();
  const fields = (report: EpochReport): Record<string, number> => ({
    epoch: report.epoch,
    step: report.step,
    ...renamed(report.metrics, heldOut),
    lr: round(report.lr, 6),
    samples_per_second: round(report.samplesPerSecond, 4),
    seconds: round(report.seconds, 4),
  });
  return {
    name: 'reporting',
    onStep: (of, report) => {
      if (!output.json) bar.onStep(of, report);
    },
    onEpoch: (of, report) => {
      output.event('epoch', fields(report));
      if (!output.json) bar.onEpoch(of, { ...report, metrics: renamed(report.metrics, heldOut) });
      run.writeMetrics(of.history.map(fields));
    },
  };
}
