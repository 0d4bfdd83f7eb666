/**
 * How many threads this process may use. Asked by every backend that has threads.
 */
import { processorsGiven } from './quota.ts';
import { SettingError } from './settings.ts';

/** Processors that this process may be placed on. */
export function visibleProcessors(): number {
  const os = globalThis.process?.getBuiltinModule?.('node:os');
  return os?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1;
}

function textOf(path: string): string | null {
  const fs = process.getBuiltinModule('node:fs');
  try {
    return fs.existsSync(path) ? fs.readFileSync(path, 'latin1') : null;
  } catch {
    return null;
  }
}

let given: number | undefined;

/** Processors this process may use: no more than it is given the time of. */
export function availableProcessors(): number {
  given ??= globalThis.process?.platform === 'linux' ? processorsGiven(textOf) : Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(visibleProcessors(), Math.floor(given)));
}

/**
 * `TENON_NUM_THREADS`, else one per processor.
 * @throws SettingError when the variable is no whole number of at least 1
 */
export function wantedThreads(): number {
  const asked = globalThis.process?.env?.['TENON_NUM_THREADS'];
  if (!asked) return availableProcessors();
  const threads = Number(asked);
  if (!Number.isInteger(threads) || threads < 1)
    throw new SettingError(`TENON_NUM_THREADS: "${asked}" came, expected a whole number of at least 1`);
  return threads;
}
