/**
 * Work made of many program runs, written once for both ways of waiting: a generator yields what to run next and is
 * given the results.
 */
import type { Binding, Executable } from '../compiler/program.ts';
import type { HostArray } from '../graph/dtype.ts';

/** One run of a program. */
export interface Run {
  readonly executable: Executable;
  readonly bindings: readonly Binding[];
}

export type Work<T> = Generator<Run, T, HostArray[]>;

/** Does the work here and now. */
export function finish<T>(work: Work<T>): T {
  let state = work.next();
  while (!state.done) {
    const { executable, bindings } = state.value;
    let results: HostArray[];
    try {
      results = executable.run(bindings);
    } catch (error) {
      work.throw(error);
      throw error;
    }
    state = work.next(results);
  }
  return state.value;
}

/** Does the work without blocking the event loop, where the backend can. */
export async function finishAsync<T>(work: Work<T>): Promise<T> {
  let state = work.next();
  while (!state.done) {
    const { executable, bindings } = state.value;
    let results: HostArray[];
    try {
      results = await executable.runAsync(bindings);
    } catch (error) {
      work.throw(error);
      throw error;
    }
    state = work.next(results);
  }
  return state.value;
}
