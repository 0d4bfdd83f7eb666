/**
 * profile(fn): where the time of some work goes, as a Chrome trace (chrome://tracing, https://ui.perfetto.dev).
 */
import { collect, type TraceEvent } from '../runtime/index.ts';
import { synchronously } from './options.ts';

export interface Profile {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: 'ms';
}

/**
 * Runs `fn` and records every trace, compilation, program and kernel under it. Kernels are timed one by one, so the
 * whole is somewhat slower than without.
 *
 * @param fn synchronous work; a promise is refused, as what happens later is not in the trace
 * @param file where to write the trace as JSON (Node only); by default it is only returned
 * @returns the trace: complete events, microseconds
 */
export function profile(fn: () => void, file?: string): Profile {
  const traceEvents = collect(() => synchronously('profile', 'in the trace', fn));
  const result: Profile = { traceEvents, displayTimeUnit: 'ms' };
  if (file !== undefined) {
    const fs = globalThis.process?.getBuiltinModule?.('node:fs');
    if (!fs) throw new Error('profile: there is no file system here; use the returned trace');
    fs.writeFileSync(file, JSON.stringify(result));
  }
  return result;
}
