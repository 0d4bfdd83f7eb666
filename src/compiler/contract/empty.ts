/**
 * Contractions over nothing: every sum is 0, and the epilogue still runs. Phases of strided input gradients that no
 * window reaches are of this kind. Imports problem, store and loop IR.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import { zero } from './indices.ts';
import { extent, type Problem } from './problem.ts';
import { finish, locate, outputGroups, outputIndex, storesVectors } from './store.ts';

/** Emits the whole kernel: one row of the output per iteration. */
export function lowerEmpty(b: LoopBuilder, p: Problem, lanes: number): void {
  const m = outputGroups(p, [...p.batch, ...p.m]);
  const n = outputGroups(p, p.n);
  const inner = n[n.length - 1];
  const columns = extent(p, p.n);
  const step = inner && storesVectors(p, n) && inner.size % lanes === 0 ? lanes : 1;
  b.parallel(extent(p, p.batch) * extent(p, p.m), row => {
    const coords = locate(b, m, row, new Map());
    b.for(0, columns, step, column => {
      const at = locate(b, n, column, coords);
      finish(b, p, zero(b, p.acc, step), at, outputIndex(b, p, at), step > 1 ? inner!.inner : null);
    });
  });
}
