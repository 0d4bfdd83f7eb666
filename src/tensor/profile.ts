/**
 * profile(fn): where the time of some work goes, as a Chrome trace (chrome://tracing, https://ui.perfetto.dev).
 */
import { collect, type TraceEvent } from '../runtime/index.ts';

export interface Profile {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: 'ms';
}

/**
 * Runs `fn` and records every trace, compilation, program and kernel under it. Kernels are timed one by one, so the
 * whole is somewhat slower than without.
 *
 * @param fn synchronous work
 * @param file where to write the trace as JSON (Node only); by default it is only returned
 * @returns the trace: complete events, microseconds
 */
export function profile(fn: () => void, file?: string): Profile {
  const result: Profile = { traceEvents: collect(fn), displayTimeUnit: 'ms' };
  if (file !== undefined) {
    const fs = globalThis.process?.getBuiltinModule?.('node:fs');
    if (!fs) throw new Error('profile: there is no file system here; use the returned trace');
    fs.writeFileSync(file, JSON.stringify(result));
  }
  return result;
}
