/**
 * How many threads this process may use. Asked by every backend that has threads.
 */
import { SettingError } from './settings.ts';

/** Processors this process may use. */
export function availableProcessors(): number {
  const os = globalThis.process?.getBuiltinModule?.('node:os');
  return os?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1;
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
