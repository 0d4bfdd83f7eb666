/**
 * A LoopBuilder bound to one float type and lane count, so that long formulas read like formulas. Everything that
 * computes a transcendental function goes through it. May import the loop IR only; knows nothing of dtypes, graphs or
 * machines.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';

type FloatScalar = 'f32' | 'f64';

export interface Scope {
  readonly b: LoopBuilder;
  readonly float: FloatScalar;
  /** The integer type of the same width. */
  readonly int: 'i32' | 'i64';
  readonly lanes: number;
  /** A float constant in every lane. */
  c(value: number): Reg;
  /** An integer constant in every lane. */
  i(value: number | bigint): Reg;
}

/** The scope of formulas on registers like `x` (f32 or f64, any lanes). */
export function scopeOf(b: LoopBuilder, x: Reg): Scope {
  const float = x.type.scalar;
  if (float !== 'f32' && float !== 'f64') throw new Error(`internal: a float formula on a ${float} register`);
  const int = float === 'f32' ? 'i32' : 'i64';
  const lanes = x.type.lanes;
  return {
    b,
    float,
    int,
    lanes,
    c: value => b.const(float, value, lanes),
    i: value => b.const(int, int === 'i32' ? Number(value) : BigInt(value), lanes),
  };
}

/**
 * 1 / (y - less) for a normal difference whose inverse is normal: by a rough inverse and Newton's rule where the target
 * has one (at most 0.57 units off, where a division of a vector of 64 bytes takes 16 cycles), else, and where that is
 * quick, by dividing.
 * Newton's rule sees the difference as it is before it is rounded.
 */
export function inverse(s: Scope, y: Reg, less: Reg | null = null): Reg {
  const { b } = s;
  const one = s.c(1);
  const difference = less ? b.sub(y, less) : y;
  if (!b.scales || dividesQuickly(s)) return b.bin('div', one, difference);
  const minus = b.un('neg', y);
  let near = b.un('nearInverse', difference);
  for (let bits = 14; bits < (s.float === 'f32' ? 28 : 56); bits *= 2) {
    const product = b.fma(minus, near, one);
    near = b.fma(near, less ? b.fma(less, near, product) : product, near);
  }
  return near;
}

/** Whether to divide, where there is a rough inverse as well. */
export const dividesQuickly = ({ b, float }: Scope): boolean => b.dividesQuickly && float === 'f32';

/** Horner's rule: coefficients from the highest power down to the constant term. */
export function horner(s: Scope, x: Reg, coefficients: readonly number[]): Reg {
  let acc = s.c(coefficients[0]!);
  for (const c of coefficients.slice(1)) acc = s.b.fma(acc, x, s.c(c));
  return acc;
}
