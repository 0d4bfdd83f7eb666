/**
 * What is known of a value in a random graph, so that results can be compared as strictly as arithmetic allows: to the
 * bit wherever no order of summation and no approximation has come in, and otherwise within an error bound carried
 * along.
 */
import * as g from '../../src/graph/build.ts';
import { type DType, type HostArray, hostArray, isFloat } from '../../src/graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../src/graph/half.ts';
import type { Node } from '../../src/graph/node.ts';
import type { Random } from './random.ts';

export interface Value {
  readonly node: Node;
  /** Every backend must give the same value (NaN for NaN). Other floats may be off by `error`. */
  readonly exact: boolean;
  readonly error: number;
  /** Exact, and the signs of zeros are certain too: no sum has been taken. */
  readonly signed: boolean;
  /** Whole numbers where finite: sums of them are exact while they fit. */
  readonly whole: boolean;
  /** No NaN and no infinity can be among the elements. */
  readonly finite: boolean;
  /** The largest magnitude a finite element can have. */
  readonly bound: number;
}

/** Up to here whole numbers are exact. */
export const WHOLE_LIMIT: { readonly [D in DType]?: number } = {
  f32: 2 ** 24,
  f64: 2 ** 53,
  f16: 2 ** 11,
  bf16: 2 ** 8,
};
/** Largest values worth keeping: beyond, products overflow and bounds say nothing. */
export const BOUND_LIMIT: { readonly [D in DType]?: number } = { f32: 1e12, f64: 1e60, f16: 2e3, bf16: 1e12 };
/** Half a unit in the last place of 1. */
export const EPSILON: { readonly [D in DType]?: number } = {
  f32: 2 ** -24,
  f64: 2 ** -53,
  f16: 2 ** -11,
  bf16: 2 ** -8,
};

/** Sizes of one, of primes, and just under, at and over vectors and tiles. */
export const SIZES = [
  1, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 23, 27, 28, 29, 31, 32, 33, 47, 48, 49, 63, 64, 65,
]; // biome-ignore format: a table

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, n) => a * n, 1);

export const DTYPES: readonly DType[] = ['f32', 'f32', 'f32', 'f64', 'bf16', 'f16', 'i32', 'i64', 'u8', 'i8', 'bool'];

/** What an integer result is: wrapped, so always certain. */
export const integer = (node: Node): Value => ({
  node,
  exact: true,
  error: 0,
  signed: true,
  whole: true,
  finite: true,
  bound: 2 ** 63,
});

const ODD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0];
const DENORMALS: { readonly [D in DType]?: readonly number[] } = {
  f32: [1e-40, -3e-41, 2 ** -149],
  f64: [1e-310, -5e-324],
  f16: [2 ** -24, -(2 ** -16)],
  bf16: [1e-40, -(2 ** -133)],
};
const EDGES: { readonly [D in DType]?: readonly (number | bigint)[] } = {
  i32: [2 ** 31 - 1, -(2 ** 31), 0, -1],
  i64: [2n ** 63n - 1n, -(2n ** 63n), 0n, 2n ** 31n, -1n, 2n ** 53n],
  u8: [255, 0, 128],
  i8: [127, -128, 0, -1],
};

export interface LeafOptions {
  /** Whole numbers only. */
  readonly whole?: boolean;
  /** NaN, infinities, signed zeros and denormals among them; the extremes of integers. */
  readonly wild?: boolean;
  readonly bound?: number;
}

/** Host values of a leaf. */
export function leaf(
  r: Random,
  shape: readonly number[],
  dtype: DType,
  { whole = false, wild = false, bound = 3 }: LeafOptions = {},
): Value {
  const n = sizeOf(shape);
  const x = hostArray(dtype, n);
  const put = (i: number, value: number | bigint): void => {
    (x as Float64Array)[i] = value as number;
  };
  const node = (): Node => g.data(x, shape, dtype);
  if (dtype === 'bool') {
    for (let i = 0; i < n; i++) put(i, r.int(2));
    return integer(node());
  }
  if (!isFloat(dtype)) {
    for (let i = 0; i < n; i++) {
      const value = wild && r.once(10) ? r.pick(EDGES[dtype]!) : r.int(20) - (dtype === 'u8' ? 0 : 10);
      put(i, dtype === 'i64' ? BigInt(value) : value);
    }
    return integer(node());
  }
  const bits = dtype === 'bf16' ? bf16Bits : dtype === 'f16' ? f16Bits : (v: number): number => v;
  const odd = whole ? ODD : [...ODD, ...DENORMALS[dtype]!];
  for (let i = 0; i < n; i++) {
    const usual = (r.next() * 2 - 1) * bound;
    put(i, bits(wild && r.once(12) ? r.pick(odd) : whole ? Math.round(usual) : usual));
  }
  return { node: node(), exact: true, error: 0, signed: true, whole, finite: !wild, bound: Math.ceil(bound) };
}

/** Index values in [0, size) of a dtype that can hold them; now and then counted from the end. */
export function indices(r: Random, shape: readonly number[], size: number): Node {
  const dtype = r.pick(size <= 127 ? (['i64', 'i32', 'u8', 'i8'] as const) : (['i64', 'i32'] as const));
  const x = hostArray(dtype, sizeOf(shape));
  for (let i = 0; i < x.length; i++)
    (x as BigInt64Array)[i] = (dtype === 'i64' ? BigInt(r.int(size)) : r.int(size)) as bigint;
  return g.data(x, shape, dtype);
}

/** Where two results differ by more than they may, in words; null where they do not. */
export function difference(got: HostArray, want: HostArray, value: Value): string | null {
  if (got.length !== want.length) return `${got.length} elements, expected ${want.length}`;
  const { dtype } = value.node;
  const number = dtype === 'bf16' ? bf16Value : dtype === 'f16' ? f16Value : Number;
  for (let i = 0; i < got.length; i++) {
    if (typeof got[i] === 'bigint' ? got[i] === want[i] : Object.is(got[i], want[i])) continue;
    const [x, y] = [number(Number(got[i])), number(Number(want[i]))];
    if (Number.isNaN(x) && Number.isNaN(y)) continue;
    if (x === y && !(value.signed && x === 0) && dtype !== 'i64') continue;
    if (!value.exact && Math.abs(x - y) <= value.error) continue;
    const shown = (v: number): string => (Object.is(v, -0) ? '-0' : `${v}`);
    return `element ${i} of ${dtype} [${value.node.shape}] is ${shown(x)}, expected ${shown(y)}${value.exact ? '' : ` within ${value.error}`}`;
  }
  return null;
}
