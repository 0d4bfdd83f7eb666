/**
 * Memory between and after the passes of a space kernel: which costly values wait in the memory of a result, and which
 * results may take the memory of something that was read. Imports level 1.
 */
import { bytesOf } from '../../graph/dtype.ts';
import { costOf, type Expr, type ReducedExpr } from '../expr.ts';
import type { Value } from '../flow.ts';
import type { Ix } from '../index-expr.ts';
import type { MemoryWindows } from '../windows.ts';
import { eachLoaded, indicesOf, reachable } from './domain.ts';
import type { SpaceTrace, StoreExpr } from './space-trace.ts';

/** Cost from which on a value is kept in memory between passes instead of computed again. */
const SPILLED = 16;
const isCostly = (e: Expr): boolean => e.kind === 'op' && costOf(e.value) >= SPILLED;

/** Where a value waits between two passes, and which one computes it. */
export interface Spill {
  readonly value: Value;
  readonly ix: Ix;
  readonly pass: number;
}

/** Passes that must have run before an expression is known. */
export function passDepths(exprs: readonly Expr[]): Map<Expr, number> {
  const depths = new Map<Expr, number>();
  for (const e of exprs) {
    let depth = 0;
    for (const arg of e.args) depth = Math.max(depth, depths.get(arg)!);
    for (const ix of indicesOf(e))
      eachLoaded(ix, checked => {
        depth = Math.max(depth, depths.get(checked.index) ?? 0);
      });
    depths.set(e, e.kind === 'reduced' ? depth + 1 : depth);
  }
  return depths;
}

/**
 * Costly values of one pass that a later one needs again, each with a result of full size whose memory keeps it
 * meanwhile: softmax leaves its exponentials where the quotients will be.
 */
export function chooseSpills(
  trace: SpaceTrace,
  fullStores: readonly StoreExpr[],
  lastPass: number,
  sumsOf: (pass: number) => readonly ReducedExpr[],
  /** Whether a value varies along the summed loops. */
  isInner: (e: Expr) => boolean,
): Map<Expr, Spill> {
  const spills = new Map<Expr, Spill>();
  if (lastPass < 2 || fullStores.length === 0 || !trace.exprs.some(isCostly)) return spills;
  const free = new Set(fullStores);
  for (let pass = 0; pass < lastPass - 1; pass++) {
    const here = reachable(
      sumsOf(pass).map(e => e.args[0]!),
      true,
      spills,
    );
    const later = new Set<Expr>();
    for (let p = pass + 1; p < lastPass; p++)
      for (const e of reachable(
        [...sumsOf(p).map(s => s.args[0]!), ...(p === lastPass - 1 ? fullStores.map(s => s.expr) : [])],
        true,
      ))
        later.add(e);
    for (const e of here) {
      if (!isCostly(e) || spills.has(e) || !later.has(e)) continue;
      if (!isInner(e)) continue;
      // One element of memory per element of the value: both must vary along the same loops.
      const fitting = [...free].filter(s => s.value.dtype === e.dtype && trace.tracer.ixMask(s.ix) === e.mask);
      const store = fitting.find(s => s.expr === e) ?? fitting[0];
      if (!store) continue;
      free.delete(store);
      spills.set(e, { value: store.value, ix: store.ix, pass });
    }
  }
  return spills;
}

/**
 * Pairs of a stored value and a read one of equal size, where every read is at the stored element and no later than the
 * store.
 */
export function inPlacePairs(
  trace: SpaceTrace,
  windows: MemoryWindows,
  spills: Iterable<Spill>,
): { stored: Value; read: Value }[] {
  const pairs: { stored: Value; read: Value }[] = [];
  const reads = new Map<Value, Ix | null>();
  for (const e of trace.exprs) {
    if (e.kind !== 'load') continue;
    const { root } = windows.resolve(e.of);
    if (root !== e.of) {
      reads.set(root, null);
      continue;
    }
    const known = reads.get(e.of);
    if (e.conditions.length > 0 || (known !== undefined && known !== e.ix)) reads.set(e.of, null);
    else reads.set(e.of, e.ix);
  }
  const early = new Set([...spills].map(s => s.value));
  for (const { value, ix } of trace.stores) {
    if (early.has(value)) continue;
    for (const [read, at] of reads)
      if (at === ix && read.size === value.size && bytesOf(read.dtype) === bytesOf(value.dtype))
        pairs.push({ stored: value, read });
  }
  return pairs;
}
