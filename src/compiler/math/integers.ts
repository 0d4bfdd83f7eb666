/**
 * Integer division, shifts and extremes with every case defined: division by zero gives 0, the smallest integer by -1
 * wraps, shifts by the width or more shift everything out. May import the loop IR; knows nothing of graphs.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';

const like = (b: LoopBuilder, x: Reg, value: number): Reg => {
  const { scalar, lanes } = x.type;
  return b.const(scalar, scalar === 'i64' ? BigInt(value) : value, lanes);
};

/** No machine divides integer vectors: lane by lane. */
function divideLanes(b: LoopBuilder, fn: 'div' | 'rem', x: Reg, y: Reg): Reg {
  if (x.type.lanes === 1) return b.bin(fn, x, y);
  let result = x;
  for (let lane = 0; lane < x.type.lanes; lane++)
    result = b.insert(result, lane, b.bin(fn, b.extract(x, lane), b.extract(y, lane)));
  return result;
}

/** Truncating division. */
export function divide(b: LoopBuilder, x: Reg, y: Reg): Reg {
  const zero = like(b, x, 0);
  const byZero = b.cmp('eq', y, zero);
  const byMinusOne = b.cmp('eq', y, like(b, x, -1));
  const safe = b.select(b.bin('or', byZero, byMinusOne), like(b, x, 1), y);
  const quotient = b.select(byMinusOne, b.un('neg', x), divideLanes(b, 'div', x, safe));
  return b.select(byZero, zero, quotient);
}

/** Lanes where a floored quotient is one below the truncated one: a remainder of the other sign than the divisor. */
function straddles(b: LoopBuilder, remainder: Reg, y: Reg): Reg {
  const zero = like(b, y, 0);
  const signs = b.cmp('lt', b.bin('xor', remainder, y), zero);
  return b.bin('and', b.cmp('ne', remainder, zero), signs);
}

/** Flooring division. */
export function floorDivide(b: LoopBuilder, x: Reg, y: Reg): Reg {
  const quotient = divide(b, x, y);
  const remainder = b.sub(x, b.mul(quotient, y));
  const zero = like(b, x, 0);
  // By zero the "remainder" is x itself, but xor with a zero divisor keeps its sign: mask it out.
  const lower = b.bin('and', straddles(b, remainder, y), b.cmp('ne', y, zero));
  return b.select(lower, b.sub(quotient, like(b, x, 1)), quotient);
}

/** Remainder with the sign of the divisor; 0 for a zero divisor. */
export function modulo(b: LoopBuilder, x: Reg, y: Reg): Reg {
  const zero = like(b, x, 0);
  const trivial = b.bin('or', b.cmp('eq', y, zero), b.cmp('eq', y, like(b, x, -1)));
  const remainder = divideLanes(b, 'rem', x, b.select(trivial, like(b, x, 1), y));
  return b.select(straddles(b, remainder, y), b.add(remainder, y), remainder);
}

/** x^y by squaring, wrapping; a negative exponent gives what truncating division 1 / x^|y| would. */
export function integerPower(b: LoopBuilder, x: Reg, y: Reg): Reg {
  const zero = like(b, x, 0);
  const one = like(b, x, 1);
  const result = b.copy(one);
  const base = b.copy(x);
  const exponent = b.copy(b.select(b.cmp('lt', y, zero), zero, y));
  b.while(
    () => b.anyTrue(b.cmp('ne', exponent, zero)),
    () => {
      const odd = b.cmp('ne', b.bin('and', exponent, one), zero);
      b.move(result, b.select(odd, b.mul(result, base), result));
      b.move(base, b.mul(base, base));
      b.move(exponent, b.bin('shrU', exponent, one));
    },
  );
  const minusOne = like(b, x, -1);
  const alternating = b.select(b.cmp('ne', b.bin('and', y, one), zero), minusOne, one);
  const reciprocal = b.select(b.cmp('eq', x, one), one, b.select(b.cmp('eq', x, minusOne), alternating, zero));
  return b.select(b.cmp('lt', y, zero), reciprocal, result);
}

/** Shift of values `width` bits wide; counts outside [0, width) shift everything out. */
export function shift(b: LoopBuilder, fn: 'shl' | 'shrS', x: Reg, count: Reg, width: number): Reg {
  const zero = like(b, x, 0);
  const inside = b.bin('and', b.cmp('ge', count, zero), b.cmp('lt', count, like(b, x, width)));
  // Narrow values stand in wider registers, where all of them can be shifted out.
  const safe = b.select(inside, count, like(b, x, width < 32 ? width : width - 1));
  const shifted = b.bin(fn, x, safe);
  return fn === 'shl' ? b.select(inside, shifted, zero) : shifted;
}

export const smaller = (b: LoopBuilder, x: Reg, y: Reg): Reg => b.select(b.cmp('lt', y, x), y, x);
export const larger = (b: LoopBuilder, x: Reg, y: Reg): Reg => b.select(b.cmp('lt', x, y), y, x);
