/**
 * Staging an operand: a dense copy in which the padding is really there, so that what follows reads without guards, in
 * the accumulator's type and behind the prologue. Pays where each element is read for few products. Imports problem,
 * cursor and loop IR.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import { numeratorRange } from '../../graph/reindex.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { type Extent, loadOne, loadRun, loadsVectors } from './cursor.ts';
import { affine, unravel, zero } from './indices.ts';
import { jumps, type Problem, product, type View } from './problem.ts';
import type { Scratch } from './spec.ts';

/** An axis of the copy: a guarded axis over its range of positions, or a dim that no guard knows. */
interface Axis {
  readonly from: number;
  readonly to: number;
  readonly stride: number;
  /** Size of the source axis; outside of [0, size) the copy holds 0. */
  readonly size: number;
  readonly guard: number | null;
  readonly dim: number | null;
}

/** Axes of the copy, outermost first; `inOrder` if points of k are to come in the order of the sums. */
function axesOf(p: Problem, view: View): Axis[] | null {
  const inOrder = jumps(p, view, view === p.a ? p.b : p.a);
  const sizes = p.dims.map(dim => dim.size);
  const axes: Axis[] = [];
  for (const [g, guard] of view.guards.entries()) {
    const terms = guard.coefs.flatMap((c, d) => (c === 0 ? [] : [[d, c] as const]));
    const [from, to] = numeratorRange({ terms, offset: guard.offset, div: 1 }, sizes);
    axes.push({ from, to, stride: guard.stride, size: guard.size, guard: g, dim: null });
  }
  for (const [dim, lin] of view.lin.entries()) {
    const guarded = view.guards.reduce((sum, g) => sum + g.coefs[dim]! * g.stride, 0);
    const isGuarded = view.guards.some(g => g.coefs[dim] !== 0);
    if (isGuarded && guarded !== lin) return null;
    if (!isGuarded && lin !== 0) {
      if (lin < 0) return null;
      axes.push({ from: 0, to: sizes[dim]! - 1, stride: lin, size: sizes[dim]!, guard: null, dim });
    }
  }
  const farthest = Math.max(...p.k.map(d => Math.abs(view.lin[d]!)));
  const rank = (axis: Axis): number =>
    inOrder && axis.dim !== null && p.k.includes(axis.dim)
      ? farthest * (1 + p.k.length - p.k.indexOf(axis.dim))
      : outwardness(axis);
  return axes.sort((x, y) => rank(y) - rank(x));
}

/**
 * Neighbours in memory stay neighbours in the copy, so an axis that moves nowhere (of one element, or spread out) is
 * not to come between them.
 */
const outwardness = ({ stride, size }: Axis): number => (stride === 0 || size === 1 ? Number.MAX_VALUE : stride);

/** Where everything lies in the copy that `stage` makes. */
export interface Layout {
  readonly elements: number;
  readonly base: number;
  readonly lin: readonly number[];
}

function layoutOf(view: View, axes: readonly Axis[]): Layout & { readonly spans: readonly number[] } {
  const spans = axes.map(axis => axis.to - axis.from + 1);
  const strides = spans.map((_, i) => product(spans.slice(i + 1)));
  const lin = view.lin.map((_, d) =>
    axes.reduce((sum, axis, i) => {
      const coef = axis.guard === null ? Number(axis.dim === d) : view.guards[axis.guard]!.coefs[d]!;
      return sum + coef * strides[i]!;
    }, 0),
  );
  const base = axes.reduce((sum, axis, i) => {
    const offset = axis.guard === null ? 0 : view.guards[axis.guard]!.offset;
    return sum + (offset - axis.from) * strides[i]!;
  }, 0);
  return { elements: product(spans), base, lin, spans };
}

/**
 * The copy `stage` would make, or null when there is none worth making (overlapping reads or wide padding would
 * multiply the data).
 */
export function stagedLayout(p: Problem, view: View): Layout | null {
  const axes = axesOf(p, view);
  if (!axes) return null;
  const layout = layoutOf(view, axes);
  return layout.elements <= 4 * view.elements + 4096 ? layout : null;
}

/** Vectors of a row that are written out one by one. */
const UNROLLED = 8;

/** Lanes low to high of a vector, 0 elsewhere. */
function loadMasked(b: LoopBuilder, mem: 'f32' | 'i32', p: Reg, low: number, high: number, lanes: number): Reg {
  if (low === 0 && high === lanes) return b.load(mem, p, 0, lanes);
  const upper = b.firstLanes(b.i32(high), lanes);
  return b.loadMasked(mem, p, low === 0 ? upper : b.bin('andnot', upper, b.firstLanes(b.i32(low), lanes)));
}

/**
 * Emits the copy (a parallel region; the caller sets a barrier behind it) and returns the view of it: no guards, no
 * prologue. `slack` elements behind it may be read. The copy has `dtype`, the accumulator's by default.
 */
export function stage(
  b: LoopBuilder,
  p: Problem,
  view: View,
  lanes: number,
  name: string,
  scratch: Scratch,
  slack: number,
  dtype: DType = p.acc,
): View {
  const axes = axesOf(p, view);
  if (!axes) throw new Error('internal: stage of a view that has no dense copy');
  const { spans, elements, base: from, lin } = layoutOf(view, axes);
  const buffer = scratch.room(name, dtype, elements + slack);
  const length = spans[spans.length - 1] ?? 1;
  const inner = axes[axes.length - 1] ?? { from: 0, to: 0, stride: 0, size: 1, guard: null, dim: null };
  const copy: Copy = { p, view, lanes, dtype, outer: axes.slice(0, -1), inner, length };
  const byMasks = p.masks && inner.stride === 1 && !view.prologue && view.dtype === p.acc && length <= UNROLLED * lanes;
  b.parallel(product(spans.slice(0, -1)), row => {
    const at = unravel(b, row, spans.slice(0, -1)).map((x, i) => affine(b, [[x, 1]], copy.outer[i]!.from));
    const dest = b.copy(b.addr(buffer, affine(b, [[row, length]], 0)));
    const violated = outside(b, copy, at);
    const line = (inside: boolean): void => {
      if (byMasks) copyMasked(b, copy, at, dest, inside);
      else if (inside) copyLine(b, copy, at, dest);
      else putZeros(b, copy, dest, inner.to - inner.from + 1);
    };
    if (violated)
      b.if(
        b.cmp('ge', violated, b.i32(0)),
        () => line(true),
        () => line(false),
      );
    else line(true);
  });

  return {
    buffer,
    dtype,
    prologue: undefined,
    base: from,
    lin,
    guards: [],
    packedAhead: false,
    lasting: false,
    elements,
  };
}

/** What is copied, line by line: the innermost axis, for all places of those around it. */
interface Copy {
  readonly p: Problem;
  readonly view: View;
  readonly lanes: number;
  readonly dtype: DType;
  readonly outer: readonly Axis[];
  readonly inner: Axis;
  readonly length: number;
}

/**
 * Negative where a line lies outside of one of the guards around it (violations are joined by their sign bits); null
 * where none can.
 */
function outside(b: LoopBuilder, { outer }: Copy, at: readonly Reg[]): Reg | null {
  let violated: Reg | null = null;
  for (const [i, axis] of outer.entries()) {
    if (axis.guard === null || (axis.from >= 0 && axis.to < axis.size)) continue;
    const one = b.bin('or', at[i]!, b.sub(b.i32(axis.size - 1), at[i]!));
    violated = violated ? b.bin('or', violated, one) : one;
  }
  return violated;
}

/** Element of the view where position `from` of the line at `at` lies. */
function lineStart(b: LoopBuilder, { view, outer, inner }: Copy, at: readonly Reg[], from: number): Reg {
  const base = view.base - view.guards.reduce((sum, g) => sum + g.offset * g.stride, 0);
  return affine(
    b,
    outer.map((axis, i) => [at[i]!, axis.stride] as const),
    base + from * inner.stride,
  );
}

/** A short line in whole vectors, masked where they reach outside. */
function copyMasked(b: LoopBuilder, copy: Copy, at: readonly Reg[], dest: Reg, inside: boolean): void {
  const { p, view, lanes, inner, length, dtype } = copy;
  const start = lineStart(b, copy, at, 0);
  for (let c = 0; c < length; c += lanes) {
    // Lanes of this vector that lie inside of the source axis.
    const position = inner.from + c;
    const low = Math.min(lanes, Math.max(0, -position));
    const high = Math.max(low, Math.min(lanes, inner.size - position, inner.to + 1 - position));
    const from = (): Reg => b.addr(view.buffer, b.add(start, b.i32(position)));
    const value =
      inside && high > low
        ? loadMasked(b, view.dtype as 'f32' | 'i32', from(), low, high, lanes)
        : zero(b, p.acc, lanes);
    const offset = c * bytesOf(dtype);
    if (c + lanes <= length) b.store(p.acc, dest, value, offset);
    else b.storeMasked(p.acc, dest, value, b.firstLanes(b.i32(length - c), lanes), offset);
  }
}

/** Writes `count` elements at `dest`, which moves on; `wide` ones in vectors as far as they go. */
function put(
  b: LoopBuilder,
  { lanes, dtype }: Copy,
  dest: Reg,
  count: number,
  value: (i: Extent, lanes: number) => Reg,
  wide: boolean,
): void {
  const one = (x: Reg): void => {
    b.store(dtype, dest, x);
    b.advance(dest, b.i32(x.type.lanes), bytesOf(dtype), dest);
  };
  const whole = wide ? count - (count % lanes) : 0;
  if (whole > 0) b.for(0, whole, lanes, i => one(value(i, lanes)));
  if (count > whole) b.for(whole, count, 1, i => one(value(i, 1)));
}

const putZeros = (b: LoopBuilder, copy: Copy, dest: Reg, count: number): void =>
  put(b, copy, dest, count, (_, n) => zero(b, copy.p.acc, n), true);

/** A line of any kind, with zeros before and behind what lies inside. */
function copyLine(b: LoopBuilder, copy: Copy, at: readonly Reg[], dest: Reg): void {
  const { p, view, inner } = copy;
  const first = Math.max(inner.from, 0);
  const last = Math.min(inner.to, inner.size - 1);
  const start = lineStart(b, copy, at, first);
  putZeros(b, copy, dest, Math.min(Math.max(0, first - inner.from), inner.to - inner.from + 1));
  const value = (i: Extent, n: number): Reg => {
    const index = b.add(start, b.mul(i as Reg, b.i32(inner.stride)));
    return n === 1 ? loadOne(b, view, index) : loadRun(b, view, p.acc, index, inner.stride, n);
  };
  put(b, copy, dest, Math.max(0, last - first + 1), value, inner.stride === 1 && loadsVectors(view, p.acc));
  putZeros(b, copy, dest, Math.min(Math.max(0, inner.to - last), inner.to - inner.from + 1));
}
