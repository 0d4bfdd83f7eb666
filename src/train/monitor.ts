/**
 * Which metric decides, and which way is better.
 */
import { checkChoice } from '../tensor/options.ts';

export interface MetricDirection {
  /** Name of the metric in an epoch's report; 'val_loss' by default, 'train_loss' where there is no validation. */
  readonly monitor?: string;
  /** Whether smaller or larger is better; by default 'min' for names that end in loss, 'max' for others. */
  readonly mode?: 'min' | 'max';
}

/** @throws TypeError for another mode than the two */
export function checkMode(what: string, { mode }: MetricDirection): void {
  if (mode !== undefined) checkChoice(what, 'mode', mode, ['min', 'max']);
}

/** The best epoch so far. */
export interface Best {
  readonly epoch: number;
  readonly value: number;
}

/** The monitored value of a report. @throws Error naming the metrics there are */
export function metricOf(
  what: string,
  metrics: Readonly<Record<string, number>>,
  { monitor: asked }: MetricDirection,
): { readonly monitor: string; readonly value: number } {
  const monitor = asked ?? ('val_loss' in metrics ? 'val_loss' : 'train_loss');
  const value = metrics[monitor];
  if (value === undefined)
    throw new Error(`${what}: there is no metric "${monitor}"; the run has ${Object.keys(metrics).join(', ')}`);
  return { monitor, value };
}

/** Whether `value` improves on `best` by more than `minDelta`. */
export function isBetter(
  value: number,
  best: number | undefined,
  { monitor = 'val_loss', mode }: MetricDirection,
  minDelta = 0,
): boolean {
  if (best === undefined) return !Number.isNaN(value);
  const smaller = (mode ?? (monitor.endsWith('loss') ? 'min' : 'max')) === 'min';
  return smaller ? value < best - minDelta : value > best + minDelta;
}
