/**
 * Which signs get a row, and which rows a vector: pure functions of a table's settings and of what was pushed.
 */
import { tagSign, uniformOf } from './hash.ts';
import type { TableSettings } from './options.ts';

/** Counters of the hash that random admission draws from, apart from those of the weights. */
const ADMISSION_COUNTER = 1 << 30;

/** What shows and clicks are worth. */
export function scoreOf({ score: { nonclick, click: clicked } }: TableSettings, show: number, click: number): number {
  return (show - click) * nonclick + click * clicked;
}

/**
 * Whether a sign without a row gets one at a push, the table's `step`th: chances below 1 are drawn from the sign, the
 * seed and the step.
 */
export function enters(
  settings: TableSettings,
  hash: number,
  hi: number,
  lo: number,
  show: number,
  click: number,
  step: number,
): boolean {
  const { admission, seed } = settings;
  if (admission.type === 'always' || admission.type === 'count') return true;
  const chance = admission.type === 'probability' ? admission.p : scoreOf(settings, show, click);
  return chance >= 1 || uniformOf(hash, tagSign(hi, lo), ADMISSION_COUNTER + step, seed) < chance;
}

/** Whether a row of these statistics gets its vector. */
export function admits(settings: TableSettings, show: number, click: number): boolean {
  const { admission } = settings;
  if (admission.type === 'count') return show >= admission.n;
  if (admission.type === 'score') return scoreOf(settings, show, click) >= (admission.threshold ?? 10);
  return true;
}
