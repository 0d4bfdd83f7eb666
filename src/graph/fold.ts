/**
 * Constant folding of literals, and the rounding of a JavaScript number to a dtype's value.
 */
import { type DType, isInt } from './dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from './half.ts';
import type { Binary, Compare, Unary } from './node.ts';

/** The value a literal has once stored as `dtype` (i64 as a bigint, bool as 0 or 1). */
export function roundTo(value: number | bigint, dtype: DType): number | bigint {
  switch (dtype) {
    case 'f64':
      return Number(value);
    case 'f32':
      return Math.fround(Number(value));
    case 'f16':
      return f16Value(f16Bits(Number(value)));
    case 'bf16':
      return bf16Value(bf16Bits(Number(value)));
    case 'i64': {
      if (typeof value === 'bigint') return BigInt.asIntN(64, value);
      return Number.isFinite(value) ? BigInt.asIntN(64, BigInt(Math.trunc(value))) : 0n;
    }
    case 'bool':
      return Number(value) !== 0 ? 1 : 0;
    case 'i32':
      return Number(value) | 0;
    case 'u8':
      return Number(value) & 0xff;
    case 'i8':
      return (Number(value) << 24) >> 24;
  }
}

/**
 * Folds what is exact in f64; null leaves the rest to the backend, so that a literal rounds as a computed value would.
 */
export function foldUnary(fn: Unary, value: number | bigint, dtype: DType): number | bigint | null {
  if (typeof value === 'bigint' || dtype === 'bool') return null;
  switch (fn) {
    case 'neg':
      return -value;
    case 'abs':
      return Math.abs(value);
    case 'sqrt':
      return Math.sqrt(value);
    default:
      return null;
  }
}

export function foldBinary(fn: Binary, a: number | bigint, b: number | bigint, dtype: DType): number | bigint | null {
  // Sums and products of two f32 round correctly when computed in f64 and rounded once; of other floats they may not.
  if (typeof a === 'bigint' || typeof b === 'bigint' || (dtype !== 'f32' && dtype !== 'f64')) return null;
  switch (fn) {
    case 'add':
      return a + b;
    case 'sub':
      return a - b;
    case 'mul':
      return a * b;
    case 'div':
      return a / b;
    default:
      return null;
  }
}

export function foldCompare(fn: Compare, a: number | bigint, b: number | bigint): boolean {
  switch (fn) {
    case 'eq':
      // biome-ignore lint/suspicious/noDoubleEquals: a bigint literal may meet a number one
      return a == b;
    case 'lt':
      return a < b;
    case 'le':
      return a <= b;
  }
}

/** Conversion of a literal; null where it would saturate or wrap, which is the backend's to do. */
export function foldCast(value: number | bigint, to: DType): number | bigint | null {
  const fits = !isInt(to) || Math.abs(Number(value)) < 2 ** 31;
  return fits ? value : null;
}
