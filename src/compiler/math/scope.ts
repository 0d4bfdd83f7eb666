/**
 * A LoopBuilder bound to one float type and lane count, so that long formulas read like formulas. Everything that computes a
 * transcendental function goes through it. May import the loop IR only; knows nothing of dtypes, graphs or machines.
 */
import type { LoopBuilder, Reg } from '../loops.ts';

export type FloatScalar = 'f32' | 'f64';

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

/** Horner's rule: coefficients from the highest power down to the constant term. */
export function horner(s: Scope, x: Reg, coefficients: readonly number[]): Reg {
  let acc = s.c(coefficients[0]!);
  for (const c of coefficients.slice(1)) acc = s.b.fma(acc, x, s.c(c));
  return acc;
}
