/**
 * Primitives that sum over what is read: reductions, running ones, scatter, and the transpose of a reindex.
 */
import { isInt } from '../dtype.ts';
import type { AxisMap, Node, ReduceKind, ScanKind, ScatterKind } from '../node.ts';
import { invert } from '../reindex.ts';
import { sameShape } from '../shape.ts';
import { sumIntoContract } from './contract.ts';
import { fail, node, pending } from './node.ts';
import { full, pad, reindex, reshape } from './reindex.ts';

export function reduce(kind: ReduceKind, x: Node, axes: readonly number[]): Node {
  if (axes.length === 0) return x;
  const sorted = [...axes].sort((a, b) => a - b);
  const shape = x.shape.filter((_, d) => !sorted.includes(d));
  if (sorted.every(d => x.shape[d] === 1)) return reshape(x, shape);
  if (kind === 'sum') {
    const pushed = sumIntoContract(x, sorted);
    if (pushed) return pushed;
  }
  if (pending(x, 'reduce') && x.attrs.kind === kind) {
    const kept = x.inputs[0]!.shape.map((_, d) => d).filter(d => !x.attrs.axes.includes(d));
    return reduce(kind, x.inputs[0]!, [...x.attrs.axes, ...sorted.map(d => kept[d]!)]);
  }
  return node('reduce', [x], { kind, axes: sorted }, shape, x.dtype);
}

export function argReduce(kind: 'max' | 'min', x: Node, axisOf: number): Node {
  return node(
    'argReduce',
    [x],
    { kind, axis: axisOf },
    x.shape.filter((_, d) => d !== axisOf),
    'i64',
  );
}

export function scan(kind: ScanKind, x: Node, axisOf: number, reverse = false): Node {
  return node('scan', [x], { kind, axis: axisOf, reverse }, x.shape, x.dtype);
}

export function scatter(
  kind: ScatterKind,
  base: Node,
  index: Node,
  updates: Node,
  axisOf: number,
  what = 'scatter',
  drop = false,
): Node {
  const expected = [...base.shape.slice(0, axisOf), ...index.shape, ...base.shape.slice(axisOf + 1)];
  if (!isInt(index.dtype) || base.dtype !== updates.dtype || !sameShape(expected, updates.shape))
    fail(`scatter of ${updates.dtype} [${updates.shape}] by ${index.dtype} [${index.shape}] into [${base.shape}]`);
  return node('scatter', [base, index, updates], { kind, axis: axisOf, what, drop }, base.shape, base.dtype);
}

/** The transpose of `reindex` (fill 0): sends `cotangent`, of the reindex's shape, back to the input's shape. */
export function reindexTranspose(cotangent: Node, axes: readonly AxisMap[], inShape: readonly number[]): Node {
  if (cotangent.size === 0) return full(0, inShape, cotangent.dtype);
  // An axis read at one fixed position that does not exist: nothing was read at all.
  const missed = axes.some(({ terms, offset, div }, a) => {
    const position = offset / div;
    return terms.length === 0 && (!Number.isInteger(position) || position < 0 || position >= inShape[a]!);
  });
  if (missed) return full(0, inShape, cotangent.dtype);
  const back = invert(axes, inShape, cotangent.shape);
  const narrowed = reduce('sum', cotangent, back.broadcastDims);
  const placed = reduce('sum', reindex(narrowed, back.shape, back.axes), back.sumAxes);
  const lo = axes.map((map, a) => (placed.shape[a] === inShape[a] ? 0 : map.offset / map.div));
  return pad(
    placed,
    lo,
    inShape.map((n, a) => n - placed.shape[a]! - lo[a]!),
  );
}
