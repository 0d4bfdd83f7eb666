/**
 * Where elements come from: reindex and gather, and scatter, which sends them back. Offsets are elements of row-major
 * arrays.
 */

import type { DType } from '../../graph/dtype.ts';
import { failureText } from '../../graph/failure.ts';
import type { AxisMap, ScatterKind } from '../../graph/node.ts';
import { sizeOf } from '../../graph/shape.ts';
import { bigBinary, numberBinary } from './elementwise.ts';
import { around, isBig, stridesOf, type Values } from './values.ts';

/** An index a program was given does not exist. */
function indexError(what: string, index: number | bigint, size: number): Error {
  return new Error(failureText(what, index, size));
}

/** out[...] = input at each axis map's position, or `fill` where one is no whole number or outside. */
export function reindex(
  input: Values,
  inShape: readonly number[],
  outShape: readonly number[],
  axes: readonly AxisMap[],
  fill: number,
  out: Values,
): void {
  const strides = stridesOf(inShape);
  const fillValue = isBig(out) ? BigInt(fill) : fill;
  // The numerators each output dim moves, and by how much.
  const moves = outShape.map((_, d) =>
    axes.flatMap((map, a) => map.terms.filter(([dim]) => dim === d).map(([, coef]) => ({ axis: a, coef }))),
  );
  const numerators = axes.map(map => map.offset);
  const at = outShape.map(() => 0);
  for (let i = 0; i < out.length; i++) {
    let offset = 0;
    for (let a = 0; a < axes.length; a++) {
      const position = numerators[a]! / axes[a]!.div;
      if (position < 0 || position >= inShape[a]! || !Number.isInteger(position)) {
        offset = -1;
        break;
      }
      offset += position * strides[a]!;
    }
    out[i] = offset < 0 ? fillValue : input[offset]!;
    for (let d = outShape.length - 1; d >= 0; d--) {
      at[d] = at[d]! + 1;
      for (const { axis, coef } of moves[d]!) numerators[axis]! += coef;
      if (at[d]! < outShape[d]!) break;
      for (const { axis, coef } of moves[d]!) numerators[axis]! -= coef * at[d]!;
      at[d] = 0;
    }
  }
}

/** Index values as numbers, each checked against [0, n). */
function checkedIndices(index: Values, n: number, what: string): Float64Array {
  return Float64Array.from(index as Float64Array, value => {
    if (value < 0 || value >= n) throw indexError(what, value, n);
    return Number(value);
  });
}

/** out = the parts one after another along `axis`. */
export function concat(
  parts: readonly Values[],
  shapes: readonly (readonly number[])[],
  outShape: readonly number[],
  axis: number,
  out: Values,
): void {
  const { outer, n, inner } = around(outShape, axis);
  let before = 0;
  parts.forEach((part, p) => {
    const rows = shapes[p]![axis]! * inner;
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < rows; i++) out[(o * n + before) * inner + i] = part[o * rows + i]!;
    before += shapes[p]![axis]!;
  });
}

/** out[pre, i, post] = input[pre, index[i], post]. */
export function gather(
  input: Values,
  inShape: readonly number[],
  axis: number,
  index: Values,
  what: string,
  out: Values,
): void {
  const { outer, n, inner } = around(inShape, axis);
  const indices = checkedIndices(index, n, what);
  let to = 0;
  for (let o = 0; o < outer; o++)
    for (const i of indices) {
      const from = (o * n + i) * inner;
      for (let k = 0; k < inner; k++) out[to++] = input[from + k]!;
    }
}

/**
 * out (a copy of base) [pre, index[i], post] combined with updates[pre, i, post], in index order. Without `what`,
 * indices outside are left out.
 */
export function scatter(
  kind: ScatterKind,
  dtype: DType,
  shape: readonly number[],
  axis: number,
  index: Values,
  updates: Values,
  what: string | null,
  out: Values,
): void {
  const { outer, n, inner } = around(shape, axis);
  const indices = what === null ? Float64Array.from(index as Float64Array, Number) : checkedIndices(index, n, what);
  if (sizeOf(shape) === 0) return;
  const combine = (
    kind === 'set' ? (_: number, y: number) => y : isBig(out) ? bigBinary(kind) : numberBinary(kind, dtype)
  ) as (x: unknown, y: unknown) => number;
  let from = 0;
  for (let o = 0; o < outer; o++)
    for (const i of indices) {
      const to = (o * n + i) * inner;
      if (i >= 0 && i < n) for (let k = 0; k < inner; k++) out[to + k] = combine(out[to + k], updates[from + k]);
      from += inner;
    }
}

/** The index itself, wrapped from the end where negative. */
export function checkIndex(index: Values, size: number, what: string, out: Values): void {
  index.forEach((value: number | bigint, i: number) => {
    if (value < -size || value >= size) throw indexError(what, value, size);
    out[i] = value >= 0 ? value : isBig(out) ? (value as bigint) + BigInt(size) : (value as number) + size;
  });
}
