/**
 * Floating-point remainder and floored quotient, exact for any ratio of the operands. May import the loop IR; knows
 * nothing of graphs.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { scopeOf } from './scope.ts';

/**
 * |x| mod |y| for valid operands (x finite, y not zero), by long division: each round subtracts the largest |y| * 2^k that fits,
 * which is exact (the operands are within a factor of two), so the rounds number the bits of the quotient.
 */
function magnitudeRemainder(b: LoopBuilder, x: Reg, y: Reg, valid: Reg): Reg {
  const s = scopeOf(b, x);
  const exponentMask = s.i(s.float === 'f32' ? 0x7f800000 : 0x7ff0000000000000n);
  const divisor = b.un('abs', y);
  const infinity = s.c(Number.POSITIVE_INFINITY);
  // Where the quotient itself overflows, the divisor is lifted first (it is below 2 there, then once more below 2).
  const lift = s.c(s.float === 'f32' ? 2 ** 126 : 2 ** 1022);
  const rest = b.copy(b.select(valid, b.un('abs', x), s.c(0)));
  b.while(
    () => b.anyTrue(b.cmp('ge', rest, b.select(valid, divisor, infinity))),
    () => {
      let lifted = divisor;
      for (let step = 0; step < 2; step++) {
        const overflows = b.cmp('eq', b.bin('div', rest, lifted), infinity);
        lifted = b.select(overflows, b.mul(lifted, lift), lifted);
      }
      const power = b.bitcast(s.float, b.bin('and', b.bitcast(s.int, b.bin('div', rest, lifted)), exponentMask));
      const product = b.mul(lifted, power);
      // A quotient rounded up to a power of two overshoots once.
      const fitting = b.select(b.cmp('gt', product, rest), b.mul(product, s.c(0.5)), product);
      b.move(rest, b.select(b.cmp('ge', rest, divisor), b.sub(rest, fitting), rest));
    },
  );
  return rest;
}

/**
 * x - y * floor(x / y) without intermediate rounding: the divisor's sign (a zero has the sign of x, like
 * `torch.remainder`), NaN for infinite x or zero y.
 */
export function floatModulo(b: LoopBuilder, x: Reg, y: Reg): Reg {
  const s = scopeOf(b, x);
  const zero = s.c(0);
  const finite = b.cmp('lt', b.un('abs', x), s.c(Number.POSITIVE_INFINITY));
  const valid = b.bin('and', b.bin('and', finite, b.cmp('ne', y, zero)), b.cmp('eq', y, y));
  const truncated = b.bin('copysign', magnitudeRemainder(b, x, y, valid), x);
  const negative = b.bin('xor', b.cmp('lt', truncated, zero), b.cmp('lt', y, zero));
  const straddles = b.bin('and', b.cmp('ne', truncated, zero), negative);
  const floored = b.select(straddles, b.add(truncated, y), truncated);
  return b.select(valid, floored, s.c(Number.NaN));
}

/**
 * The floor of the quotient: as `torch.floor_divide`, from the exact remainder, so no quotient rounds up to the next
 * integer.
 */
export function floatFloorDivide(b: LoopBuilder, x: Reg, y: Reg): Reg {
  const s = scopeOf(b, x);
  const zero = s.c(0);
  const quotient = b.bin('div', x, y);
  const whole = b.bin('div', b.sub(x, floatModulo(b, x, y)), y);
  const nearest = b.un('nearest', whole);
  const signed = b.select(b.cmp('eq', nearest, zero), b.bin('copysign', zero, quotient), nearest);
  // Zero divisors give the infinity or NaN of the division.
  return b.select(b.cmp('eq', y, zero), quotient, signed);
}
