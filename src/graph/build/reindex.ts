/**
 * Primitives that say where elements come from. Views of views are composed into one.
 */
import { type DType, isInt } from '../dtype.ts';
import type { AxisMap, Node } from '../node.ts';
import { alwaysInside, axis, composeAxes, identityAxis, isIdentity, neverInside } from '../reindex.ts';
import { sameShape } from '../shape.ts';
import { constant, uniformValue } from './leaves.ts';
import { fail, node, pending } from './node.ts';

/** A constant broadcast to `shape`. */
export const full = (value: number | bigint, shape: readonly number[], dtype: DType): Node =>
  broadcastTo(constant(value, dtype), shape);

export function reshape(x: Node, shape: readonly number[]): Node {
  if (sameShape(x.shape, shape)) return x;
  const size = shape.reduce((a, n) => a * n, 1);
  if (size !== x.size) fail(`reshape of [${x.shape}] to [${shape}]`);
  const value = uniformValue(x);
  if (value !== null) return full(value, shape, x.dtype);
  if (pending(x, 'reshape')) return reshape(x.inputs[0]!, shape);
  return node('reshape', [x], {}, shape, x.dtype);
}

export function reindex(x: Node, shape: readonly number[], axes: readonly AxisMap[], fill = 0): Node {
  if (axes.length !== x.shape.length) fail(`reindex of [${x.shape}] with ${axes.length} axis maps`);
  if (isIdentity(axes, x.shape, shape)) return x;
  if (pending(x, 'reindex')) {
    const composed = composeAxes(x.attrs.axes, axes, x.shape, shape);
    if (composed) {
      // Step 3 of a value that was padded into place at step 5 shows padding only.
      const { shape: inner } = x.inputs[0]!;
      if (composed.some((map, a) => neverInside(map, inner[a]!, shape))) return full(x.attrs.fill, shape, x.dtype);
      return reindex(x.inputs[0]!, shape, composed, x.attrs.fill);
    }
  }
  if (pending(x, 'reshape')) {
    const direct = pastUnitAxes(x.inputs[0]!.shape, x.shape, axes, shape);
    if (direct) return reindex(x.inputs[0]!, shape, direct, fill);
  }
  return node('reindex', [x], { axes, fill }, shape, x.dtype);
}

/**
 * The maps of a reindex that reads through a reshape which only adds or drops axes of size 1, over the reshape's input;
 * null for other reshapes. Keeps a contraction in sight of the sums over it (the group axis of a convolution stands
 * between them otherwise).
 */
function pastUnitAxes(
  inner: readonly number[],
  outer: readonly number[],
  axes: readonly AxisMap[],
  shape: readonly number[],
): AxisMap[] | null {
  const maps: AxisMap[] = [];
  let at = 0;
  for (const n of inner) {
    if (n === 1) {
      maps.push(axis([]));
      continue;
    }
    while (outer[at] === 1) {
      if (!alwaysInside(axes[at]!, 1, shape)) return null;
      at++;
    }
    if (outer[at] !== n) return null;
    maps.push(axes[at++]!);
  }
  for (; at < outer.length; at++) if (outer[at] !== 1 || !alwaysInside(axes[at]!, 1, shape)) return null;
  return maps;
}

/** Output dim i is input dim order[i]. */
export function permute(x: Node, order: readonly number[]): Node {
  const axes: AxisMap[] = Array.from({ length: order.length });
  order.forEach((from, to) => {
    axes[from] = identityAxis(to);
  });
  return reindex(
    x,
    order.map(d => x.shape[d]!),
    axes,
  );
}

/** Expands to `shape`: trailing dims align, and size-1 dims stretch. */
export function broadcastTo(x: Node, shape: readonly number[]): Node {
  const lead = shape.length - x.shape.length;
  const axes = x.shape.map((n, a) => {
    if (n === shape[a + lead]) return identityAxis(a + lead);
    if (n !== 1) fail(`broadcast of [${x.shape}] to [${shape}]`);
    return axis([]);
  });
  return reindex(x, shape, axes);
}

/** Element i of dim d is element start[d] + i * step[d]; steps may be negative. */
export function slice(
  x: Node,
  start: readonly number[],
  length: readonly number[],
  step: readonly number[] = start.map(() => 1),
): Node {
  return reindex(
    x,
    length,
    x.shape.map((_, d) => axis([[d, step[d]!]], start[d]!)),
  );
}

/** Adds lo and hi elements of `fill` around each dim; negative amounts crop. */
export function pad(x: Node, lo: readonly number[], hi: readonly number[], fill = 0): Node {
  return reindex(
    x,
    x.shape.map((n, d) => n + lo[d]! + hi[d]!),
    x.shape.map((_, d) => axis([[d, 1]], -lo[d]!)),
    fill,
  );
}

/** (x, index) -> x[pre, ...index, post], reading along `axis`. */
export function gather(x: Node, index: Node, axisOf: number, what = 'gather'): Node {
  if (!isInt(index.dtype)) fail(`gather by ${index.dtype}`);
  const shape = [...x.shape.slice(0, axisOf), ...index.shape, ...x.shape.slice(axisOf + 1)];
  return node('gather', [x, index], { axis: axisOf, what }, shape, x.dtype);
}

/** Parts (of equal shapes outside `axisOf`) one after another. */
export function concat(parts: readonly Node[], axisOf: number): Node {
  const [first] = parts as [Node];
  for (const part of parts)
    if (part.dtype !== first.dtype || !sameShape(dropAxis(part.shape, axisOf), dropAxis(first.shape, axisOf)))
      fail(`concat: ${first.dtype} [${first.shape}] meets ${part.dtype} [${part.shape}]`);
  const filled = parts.filter(part => part.size > 0);
  const shape = first.shape.map((n, d) => (d === axisOf ? parts.reduce((sum, part) => sum + part.shape[d]!, 0) : n));
  if (filled.length === 0) return full(0, shape, first.dtype);
  if (filled.length === 1) return filled[0]!;
  return node('concat', filled, { axis: axisOf }, shape, first.dtype);
}

const dropAxis = (shape: readonly number[], axisOf: number): number[] => shape.filter((_, d) => d !== axisOf);
