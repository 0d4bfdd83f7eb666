/**
 * How the reference backend keeps values while it computes: host arrays, except that f16 and bf16 are widened to a
 * Float32Array whose elements are rounded to the narrow type after every operation. Storing into the typed array does
 * every other rounding and wrapping.
 */

import { type DType, type HostArray, hostArray } from '../../graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../graph/half.ts';
import { sizeOf } from '../../graph/shape.ts';

export type NumberArray = Float32Array | Float64Array | Int32Array | Uint8Array | Int8Array;
export type Values = NumberArray | BigInt64Array;

const isHalf = (dtype: DType): dtype is 'f16' | 'bf16' => dtype === 'f16' || dtype === 'bf16';

/** A zeroed array to compute into. */
export const makeValues = (dtype: DType, size: number): Values =>
  (isHalf(dtype) ? new Float32Array(size) : hostArray(dtype, size)) as Values;

/** The elements of a host array, ready to compute with (shared with it unless the type is widened). */
export function fromHost(host: HostArray, dtype: DType): Values {
  if (!isHalf(dtype)) return host as Values;
  return Float32Array.from(host as Uint16Array, dtype === 'f16' ? f16Value : bf16Value);
}

/** A fresh host array of the values. */
export function toHost(values: Values, dtype: DType): HostArray {
  if (!isHalf(dtype)) return values.slice();
  return Uint16Array.from(values as Float32Array, dtype === 'f16' ? f16Bits : bf16Bits);
}

/** Rounds freshly computed elements of f16 and bf16 to their type, in place. */
export function settle<V extends Values>(values: V, dtype: DType): V {
  if (dtype === 'f16') for (let i = 0; i < values.length; i++) values[i] = f16Value(f16Bits(values[i] as number));
  if (dtype === 'bf16') for (let i = 0; i < values.length; i++) values[i] = bf16Value(bf16Bits(values[i] as number));
  return values;
}

export const isBig = (values: Values): values is BigInt64Array => values instanceof BigInt64Array;

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let d = shape.length - 2; d >= 0; d--) strides[d] = strides[d + 1]! * shape[d + 1]!;
  return strides;
}

/** For every position of `shape` in row-major order, the sum of coordinate * stride. */
export function offsetsOf(shape: readonly number[], strides: readonly number[]): Int32Array {
  let offsets = new Int32Array(1);
  shape.forEach((n, d) => {
    const next = new Int32Array(offsets.length * n);
    for (let i = 0; i < offsets.length; i++)
      for (let k = 0; k < n; k++) next[i * n + k] = offsets[i]! + k * strides[d]!;
    offsets = next;
  });
  return offsets;
}

/** A shape seen from one axis: [outer, n, inner]. */
export function around(shape: readonly number[], axis: number): { outer: number; n: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), n: shape[axis]!, inner: sizeOf(shape.slice(axis + 1)) };
}
