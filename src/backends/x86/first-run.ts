/**
 * The first run of a program begins while its code is still being written: another thread computes what the first segments hold, while this one writes
 * the next. It is the same kernels in the same order over the same memory. Knows threads and code, not bindings.
 */
import type { Machine } from './machine.ts';
import type { CodePages } from './memory/native.ts';
import type { ProgramEmitter } from './program-code.ts';

/** Runs all steps with the addresses at `args`. `finishCode` writes what is left and says where the whole code is. */
export function runWhileWritten(
  machine: Machine,
  emitter: ProgramEmitter,
  args: number,
  finishCode: () => number,
): void {
  const { native, pool, threads } = machine;
  // One processor writes.
  const beside = Math.max(1, threads - 1);
  const borrowed: CodePages[] = [];
  const borrow = (pages: CodePages): number => {
    borrowed.push(pages);
    return pages.address;
  };
  /** Steps before the end of each segment that no thread has begun on. */
  const ends: number[] = [];
  let copied = { base: 0, steps: 0 };
  let begun = 0;
  // A segment at a time, so that this thread need not wait for long once it has nothing left to write.
  const leadNext = (): void => {
    const until = ends.shift()!;
    // Pages are never written and executable at once, so each time there is a copy of what is there.
    if (until > copied.steps) copied = { base: borrow(machine.loadCode(emitter.segments())), steps: emitter.ready };
    pool.lead(borrow(native.load(emitter.runFrom(copied.base, begun, until))), args, beside);
    begun = until;
  };
  try {
    do {
      ends.push(emitter.ready);
      if (!pool.leads) leadNext();
    } while (emitter.advance());
    const rest = emitter.runFrom(finishCode(), begun, emitter.ready);
    const entry = borrow(native.load(rest));
    pool.wait();
    pool.run(entry, args, threads);
  } finally {
    pool.wait();
    for (const pages of borrowed) native.release(pages);
  }
}
