/**
 * Algebra of the reindex primitive's axis maps: ranges, composition, and the map that undoes one (the heart of every
 * gradient of a view, a window or a convolution). Pure functions over plain data; builds no nodes.
 */
import type { AxisMap } from './node.ts';

export const axis = (terms: readonly (readonly [number, number])[], offset = 0, div = 1): AxisMap => ({
  terms: terms.filter(([, coef]) => coef !== 0),
  offset,
  div,
});

/** The axis that follows output dim `dim` unchanged. */
export const identityAxis = (dim: number): AxisMap => axis([[dim, 1]]);

/** Smallest and largest numerator an axis map takes over the output shape (which must not be empty). */
export function numeratorRange(map: AxisMap, outShape: readonly number[]): readonly [number, number] {
  let lo = map.offset;
  let hi = map.offset;
  for (const [dim, coef] of map.terms) {
    const reach = coef * (outShape[dim]! - 1);
    if (reach < 0) lo += reach;
    else hi += reach;
  }
  return [lo, hi];
}

/** Whether every output element reads a valid position of an axis of `size` elements: then no guard is needed. */
export function alwaysInside(map: AxisMap, size: number, outShape: readonly number[]): boolean {
  if (outShape.some(n => n === 0)) return true;
  const divides = map.offset % map.div === 0 && map.terms.every(([, coef]) => coef % map.div === 0);
  if (!divides) return false;
  const [lo, hi] = numeratorRange(map, outShape);
  return lo >= 0 && hi / map.div <= size - 1;
}

/** Whether every output element is outside of an axis of `size` elements. */
export function neverInside(map: AxisMap, size: number, outShape: readonly number[]): boolean {
  if (outShape.some(n => n === 0)) return false;
  const [lo, hi] = numeratorRange(map, outShape);
  return hi < 0 || lo > (size - 1) * map.div;
}

export const isUnguarded = (
  axes: readonly AxisMap[],
  inShape: readonly number[],
  outShape: readonly number[],
): boolean => axes.every((map, a) => alwaysInside(map, inShape[a]!, outShape));

export function isIdentity(axes: readonly AxisMap[], inShape: readonly number[], outShape: readonly number[]): boolean {
  return (
    inShape.length === outShape.length &&
    axes.every((map, a) => {
      if (inShape[a] !== outShape[a]) return false;
      if (inShape[a] === 1 && map.terms.length === 0) return map.offset === 0;
      const [first] = map.terms;
      return map.terms.length === 1 && first![0] === a && first![1] === 1 && map.offset === 0 && map.div === 1;
    })
  );
}

/**
 * The single map equal to reading through `outer` into the result of `inner`, or null where one map cannot say it:
 * `outer` must stay inside the intermediate shape and divide evenly (so that only `inner` guards).
 */
export function composeAxes(
  inner: readonly AxisMap[],
  outer: readonly AxisMap[],
  middleShape: readonly number[],
  outShape: readonly number[],
): readonly AxisMap[] | null {
  if (!isUnguarded(outer, middleShape, outShape)) return null;
  const composed: AxisMap[] = [];
  for (const map of inner) {
    const terms = new Map<number, number>();
    let offset = map.offset;
    for (const [dim, coef] of map.terms) {
      const through = outer[dim]!;
      offset += (coef * through.offset) / through.div;
      for (const [d, c] of through.terms) terms.set(d, (terms.get(d) ?? 0) + (coef * c) / through.div);
    }
    composed.push(axis([...terms], offset, map.div));
  }
  // Diagonals stay apart: a dim that comes to stand in two axes could not be solved for.
  const seen = new Set<number>();
  for (const map of composed) {
    for (const [dim] of map.terms) {
      if (seen.has(dim)) return null;
      seen.add(dim);
    }
  }
  return composed;
}

/** How to send values back through a reindex: read them through `axes` in `shape`, then sum `sumAxes` of the result. */
export interface Inverse {
  /** Output dims of the reindex that no axis reads (broadcast): sum them first. */
  readonly broadcastDims: readonly number[];
  /**
   * Shape after the inverse reindex: the input's shape (1 where an axis is read at one fixed position), then one axis
   * per window offset left to sum.
   */
  readonly shape: readonly number[];
  /** One map per output dim of the reindex, `broadcastDims` left out. */
  readonly axes: readonly AxisMap[];
  readonly sumAxes: readonly number[];
}

/** A dim of the reindex as an affine expression of the inverse's coordinates. */
interface Solved {
  readonly terms: readonly (readonly [dim: number, coef: number])[];
  readonly offset: number;
}

/**
 * The transpose of a reindex with fill 0. An axis read at position (c0*d0 + c1*d1 + ... + offset) / div is undone by
 * solving for its longest dim: d0 = (div*h - c1*d1 - ... - offset) / c0, with h the axis and d1... summed. Axes of one
 * dim are solved first: a dim that stands in another axis as well (the inverse of a window has such) is known there.
 */
export function invert(axes: readonly AxisMap[], inShape: readonly number[], outShape: readonly number[]): Inverse {
  const used = new Set(axes.flatMap(map => map.terms.map(([dim]) => dim)));
  const broadcastDims = outShape.map((_, d) => d).filter(d => !used.has(d));
  const position = new Map<number, number>();
  for (let d = 0; d < outShape.length; d++) if (used.has(d)) position.set(d, position.size);

  // An axis read at one fixed position has nothing to solve: it comes back with size 1, and the caller pads it into
  // place.
  const shape = inShape.map((n, a) => (axes[a]!.terms.length === 0 ? 1 : n));
  const result: AxisMap[] = Array.from({ length: position.size });
  const known = new Map<number, Solved>();
  const order = axes.map((_, a) => a).sort((a, b) => axes[a]!.terms.length - axes[b]!.terms.length);
  for (const a of order) {
    const map = axes[a]!;
    if (map.terms.length === 0) continue;
    const open = map.terms.filter(([dim]) => !known.has(dim));
    let solved = open[0];
    if (!solved) throw new Error('internal: a reindex reads two axes by the same dims');
    for (const term of open) if (outShape[term[0]]! > outShape[solved[0]]!) solved = term;
    const sums = new Map<number, number>([[a, map.div]]);
    let offset = -map.offset;
    for (const [dim, coef] of map.terms) {
      if (dim === solved[0]) continue;
      let here = known.get(dim);
      if (!here) {
        const summed = shape.push(outShape[dim]!) - 1;
        here = { terms: [[summed, 1]], offset: 0 };
        known.set(dim, here);
        result[position.get(dim)!] = identityAxis(summed);
      }
      offset -= coef * here.offset;
      for (const [d, c] of here.terms) sums.set(d, (sums.get(d) ?? 0) - coef * c);
    }
    const sign = solved[1] < 0 ? -1 : 1;
    const terms = [...sums].map(([d, c]) => [d, sign * c] as const);
    const div = Math.abs(solved[1]);
    result[position.get(solved[0])!] = axis(terms, sign * offset, div);
    if (div === 1) known.set(solved[0], { terms, offset: sign * offset });
  }
  return {
    broadcastDims,
    shape,
    axes: result,
    sumAxes: shape.map((_, d) => d).slice(inShape.length),
  };
}
