/**
 * Walking an operand: a cursor holds the element index and the guarded positions of one point of the iteration space
 * and moves by additions only, so that no inner loop divides. Guarded loads of runs along one dim live here too.
 * Imports problem and loop IR.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Reg, registerScalar } from '../loops.ts';
import { zero } from './indices.ts';
import type { Guard, Problem, View } from './problem.ts';
import type { AccScalar } from './spec.ts';

export type Extent = Reg | number;

/** Element index and position per guard, each an i32. */
export interface Cursor {
  readonly index: Reg;
  readonly pos: readonly Reg[];
}

const addScaled = (b: LoopBuilder, sum: Reg, x: Extent, coef: number): Reg => {
  if (coef === 0 || x === 0) return sum;
  if (typeof x === 'number') return b.add(sum, b.i32(x * coef));
  return b.add(sum, coef === 1 ? x : b.mul(x, b.i32(coef)));
};

export const asReg = (b: LoopBuilder, x: Extent): Reg => (typeof x === 'number' ? b.i32(x) : x);

export const origin = (b: LoopBuilder, view: View): Cursor => ({
  index: b.i32(view.base),
  pos: view.guards.map(g => b.i32(g.offset)),
});

/** The cursor `x` further along `dim`. */
export function step(b: LoopBuilder, view: View, at: Cursor, dim: number, x: Extent): Cursor {
  return {
    index: addScaled(b, at.index, x, view.lin[dim]!),
    pos: at.pos.map((p, g) => addScaled(b, p, x, view.guards[g]!.coefs[dim]!)),
  };
}

/** The cursor `coords` further along `dims`. */
export const stepAll = (
  b: LoopBuilder,
  view: View,
  at: Cursor,
  dims: readonly number[],
  coords: readonly Extent[],
): Cursor => dims.reduce((cursor, dim, i) => step(b, view, cursor, dim, coords[i]!), at);

/**
 * A number whose sign bit is set exactly when a run of `count` steps along `dim` from position `pos` leaves the guard.
 * Violations combine by `or`, so that several guards cost one comparison.
 */
function violation(b: LoopBuilder, guard: Guard, pos: Reg, dim: number, count: number): Reg {
  const reach = count > 1 ? guard.coefs[dim]! * (count - 1) : 0;
  const low = reach < 0 ? b.add(pos, b.i32(reach)) : pos;
  const high = b.sub(b.i32(guard.size - 1 - Math.max(0, reach)), pos);
  return b.bin('or', low, high);
}

/** Guards joined: null when there are none. */
export function violations(
  b: LoopBuilder,
  view: View,
  at: Cursor,
  which: readonly number[],
  dim: number,
  count: number,
): Reg | null {
  let all: Reg | null = null;
  for (const g of which) {
    const one = violation(b, view.guards[g]!, at.pos[g]!, dim, count);
    all = all ? b.bin('or', all, one) : one;
  }
  return all;
}

const isInside = (b: LoopBuilder, violated: Reg): Reg => b.cmp('ge', violated, b.i32(0));

/** Runs `inside` where no violation is flagged. */
export function whenInside(
  b: LoopBuilder,
  violated: Reg | null,
  inside: () => void,
  outside: () => void = () => {},
): void {
  if (violated) b.if(isInside(b, violated), inside, outside);
  else inside();
}

/** One element, unguarded, through the prologue. */
export function loadOne(b: LoopBuilder, view: View, index: Reg): Reg {
  const x = b.load(view.dtype, b.addr(view.buffer, index));
  return view.prologue ? view.prologue(b, x, { index, lanes: 1 }) : x;
}

/** Whether vectors of the accumulator's lanes can be loaded from this operand. */
export const loadsVectors = (view: View, acc: AccScalar): boolean =>
  bytesOf(registerScalar(view.dtype)) === bytesOf(acc);

/** Bytes that an instruction's offset reaches. */
export const REACH = 2 ** 31;

/**
 * Loads what is i * `stride` elements behind `index`, i below `count`: `lanes` neighbours, unguarded, through the
 * prologue. From one address where there is no prologue and offsets reach.
 */
export function apart(
  b: LoopBuilder,
  view: View,
  index: Reg,
  stride: number,
  count: number,
  lanes = 1,
): (i: number) => Reg {
  const { dtype, buffer, prologue } = view;
  const bytes = stride * bytesOf(dtype);
  if (!prologue && bytes >= 0 && bytes * count < REACH) {
    const at = b.addr(buffer, index);
    return i => b.load(dtype, at, i * bytes, lanes);
  }
  return i => {
    const at = i === 0 ? index : b.add(index, b.i32(i * stride));
    const x = b.load(dtype, b.addr(buffer, at), 0, lanes);
    return prologue ? prologue(b, x, { index: at, lanes }) : x;
  };
}

/** `lanes` elements from `index` on, `stride` apart, unguarded, through the prologue. */
export function loadRun(b: LoopBuilder, view: View, acc: AccScalar, index: Reg, stride: number, lanes: number): Reg {
  if (stride === 0) return b.splat(loadOne(b, view, index), lanes);
  const vector = (at: Reg): Reg => {
    const x = b.load(view.dtype, b.addr(view.buffer, at), 0, lanes);
    return view.prologue ? view.prologue(b, x, { index: at, lanes }) : x;
  };
  if (loadsVectors(view, acc)) {
    if (stride === 1) return vector(index);
    if (stride === -1) {
      const x = vector(b.sub(index, b.i32(lanes - 1)));
      return b.shuffle(
        x,
        x,
        Array.from({ length: lanes }, (_, i) => lanes - 1 - i),
      );
    }
    if (stride === 2) {
      // The second load starts one early: it then ends on the last element wanted, never beyond.
      const low = vector(index);
      const high = vector(b.add(index, b.i32(lanes - 1)));
      const half = lanes / 2;
      return b.shuffle(
        low,
        high,
        Array.from({ length: lanes }, (_, i) => (i < half ? 2 * i : lanes + 2 * (i - half) + 1)),
      );
    }
  }
  const read = apart(b, view, index, stride, lanes);
  let x = zero(b, acc, lanes);
  for (let lane = 0; lane < lanes; lane++) x = b.insert(x, lane, read(lane));
  return x;
}

/**
 * `lanes` elements along `dim`, 0 where a guard is violated. `uniform` is the violation of the guards that `dim` does
 * not move, `along` lists the others. `staging` points at `lanes` accumulators that may be overwritten.
 */
export function loadGuardedRun(
  b: LoopBuilder,
  view: View,
  acc: AccScalar,
  at: Cursor,
  dim: number,
  lanes: number,
  uniform: Reg | null,
  along: readonly number[],
  staging: Reg,
): Reg {
  const stride = view.lin[dim]!;
  const moving = violations(b, view, at, along, dim, lanes);
  const violated = uniform && moving ? b.bin('or', uniform, moving) : (uniform ?? moving);
  if (!violated) return loadRun(b, view, acc, at.index, stride, lanes);
  const x = zero(b, acc, lanes);
  b.if(
    isInside(b, violated),
    () => b.move(x, loadRun(b, view, acc, at.index, stride, lanes)),
    () => {
      if (!moving) return;
      whenInside(b, uniform, () => {
        b.store(acc, staging, x);
        b.for(0, lanes, 1, lane => {
          const one = step(b, view, at, dim, lane);
          whenInside(b, violations(b, view, one, along, dim, 1), () =>
            b.store(acc, b.advance(staging, lane, bytesOf(acc)), loadOne(b, view, one.index)),
          );
        });
        b.load(acc, staging, 0, lanes, x);
      });
    },
  );
  return x;
}

/** One element, 0 where a guard is violated. */
export function loadGuardedOne(b: LoopBuilder, view: View, acc: AccScalar, at: Cursor, violated: Reg | null): Reg {
  if (!violated) return loadOne(b, view, at.index);
  const x = zero(b, acc);
  b.if(isInside(b, violated), () => b.move(x, loadOne(b, view, at.index)));
  return x;
}

/**
 * Nested loops over `dims` (outermost first, extents per dim) that carry cursors along by additions. `body` gets the
 * cursors and, per cursor, the joint violation of the guards that `last` does not move (computed as far out as
 * possible); `uniformFor` says which those are.
 */
export function walk(
  b: LoopBuilder,
  view: View,
  cursors: readonly Cursor[],
  dims: readonly number[],
  extents: readonly Extent[],
  uniform: readonly number[],
  body: (cursors: readonly Cursor[], violated: readonly (Reg | null)[]) => void,
): void {
  const descend = (
    level: number,
    at: readonly Cursor[],
    known: readonly (Reg | null)[],
    pending: readonly number[],
  ): void => {
    const settled = pending.filter(g => dims.slice(level).every(d => view.guards[g]!.coefs[d] === 0));
    const violated = at.map((cursor, c) => {
      const fresh = violations(b, view, cursor, settled, 0, 1);
      return fresh && known[c] ? b.bin('or', known[c]!, fresh) : (fresh ?? known[c]!);
    });
    const left = pending.filter(g => !settled.includes(g));
    const dim = dims[level];
    if (dim === undefined) {
      body(at, violated);
      return;
    }
    const moved = at.map(cursor => ({
      index: view.lin[dim] === 0 ? cursor.index : b.copy(cursor.index),
      pos: cursor.pos.map((p, g) => (view.guards[g]!.coefs[dim] === 0 ? p : b.copy(p))),
    }));
    b.for(0, extents[level]!, 1, () => {
      descend(level + 1, moved, violated, left);
      for (const cursor of moved) advance(b, view, cursor, dim, 1);
    });
  };
  descend(
    0,
    cursors,
    cursors.map(() => null),
    uniform,
  );
}

/** Moves a cursor made of mutable copies in place, `count` steps along `dim`. */
export function advance(b: LoopBuilder, view: View, cursor: Cursor, dim: number, count: number): void {
  const bump = (x: Reg, by: number): void => {
    if (by !== 0) b.add(x, b.i32(by), x);
  };
  bump(cursor.index, view.lin[dim]! * count);
  cursor.pos.forEach((p, g) => {
    bump(p, view.guards[g]!.coefs[dim]! * count);
  });
}

/** All guards of a view, by index. */
export const allGuards = (view: View): number[] => view.guards.map((_, g) => g);

/** Sizes of some dims of a problem. */
export const sizesOf = (p: Problem, dims: readonly number[]): number[] => dims.map(d => p.dims[d]!.size);
