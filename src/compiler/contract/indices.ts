/**
 * Index arithmetic in loop IR: affine sums, splitting a linear index into coordinates, zeros. The lowest file of the
 * schedules.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import type { AccScalar } from './spec.ts';

/** In a register of its own, which may be changed. */
export const zero = (b: LoopBuilder, scalar: AccScalar, lanes = 1): Reg =>
  b.const(scalar, scalar === 'i64' ? 0n : 0, lanes);

/** i32 register holding offset + sum of coef * dim. */
export function affine(b: LoopBuilder, terms: readonly (readonly [Reg, number])[], offset: number): Reg {
  let sum: Reg | null = null;
  for (const [x, coef] of terms) {
    if (coef === 0) continue;
    const term = coef === 1 ? x : b.mul(x, b.i32(coef));
    sum = sum ? b.add(sum, term) : term;
  }
  if (!sum) return b.i32(offset);
  return offset === 0 ? sum : b.add(sum, b.i32(offset));
}

/** Splits a linear index over `dims` (last one fastest) into coordinates. */
export function unravel(b: LoopBuilder, linear: Reg, sizes: readonly number[]): Reg[] {
  const coords: Reg[] = Array.from({ length: sizes.length });
  let rest = linear;
  for (let d = sizes.length - 1; d >= 0; d--) {
    const size = sizes[d]!;
    if (size === 1) coords[d] = b.i32(0);
    else if (sizes.slice(0, d).every(n => n === 1)) coords[d] = rest;
    else {
      const n = b.i32(size);
      coords[d] = b.bin('remU', rest, n);
      rest = b.bin('divU', rest, n);
    }
  }
  return coords;
}
