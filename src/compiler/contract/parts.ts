/**
 * f32 in three parts of bf16, which matrix registers multiply (`Tiles` of kind `f32`): x = h + m + l, each what the one
 * before leaves, rounded to nearest, so that the three are x exactly (8 + 8 + 8 bits). Which numbers can be cut so:
 * what cannot is found by the largest magnitude of a block, kept beside it. Imports loop IR only.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';

/** Parts of a number, and bytes that they take. */
export const PARTS = 3;
export const PARTS_BYTES = 6;

const bits = (b: LoopBuilder, x: Reg, value: number): Reg => b.const('i32', value, x.type.lanes);

/** The parts of x, largest first, as i32: the upper halves are bf16, the lower ones are 0. */
function partsOf(b: LoopBuilder, x: Reg): Reg[] {
  const parts: Reg[] = [];
  let rest = x;
  for (let part = 1; part < PARTS; part++) {
    const near = b.add(b.bitcast('i32', rest), bits(b, x, 0x8000));
    const upper = b.bin('and', near, bits(b, x, -0x10000));
    parts.push(upper);
    rest = b.sub(rest, b.bitcast('f32', upper));
  }
  return [...parts, b.bitcast('i32', rest)];
}

/**
 * Stores words of the parts of two vectors of f32, x in the lower halves: those of each part `apart` bytes behind those
 * of the one before, from `offset` bytes behind `to` on. `largest` (i32, of as many lanes) becomes the magnitudes'
 * maximum by lane.
 */
export function storeParts(b: LoopBuilder, x: Reg, y: Reg, to: Reg, offset: number, apart: number, largest: Reg): void {
  const magnitude = (v: Reg): Reg => b.bin('and', b.bitcast('i32', v), bits(b, v, 0x7fffffff));
  for (const v of [x, y]) b.bin('max', largest, magnitude(v), largest);
  const [low, high] = [partsOf(b, x), partsOf(b, y)];
  // Of numbers below 2^-109 the last part is denormal and longer than bf16: what of it counts as zero must not reach
  // into x's word.
  high[PARTS - 1] = b.bin('and', high[PARTS - 1]!, bits(b, y, -0x10000));
  for (let part = 0; part < PARTS; part++) {
    const word = b.bin('or', b.bin('shrU', low[part]!, bits(b, x, 16)), high[part]!);
    b.store('i32', to, word, offset + part * apart);
  }
}

/** Bits of 2^exponent as f32. */
const power = (exponent: number): number => (exponent + 127) << 23;

/**
 * Parts of less than 2^-126 count as zero: where the largest number is 2^-100, what is lost is below 2^-26 of it. Above
 * 2^127 the first part may round to infinity.
 */
export const LEAST = -100;
export const MOST = 127;
/** Exponents of the largest product, between which neither it overflows nor what its parts lose counts. */
export const LEAST_PRODUCT = -90;
export const MOST_PRODUCT = 120;

/**
 * Whether numbers up to magnitude x times numbers up to magnitude y (scalar i32, bits of f32) are multiplied by parts
 * as exactly as by f32: i32 that is negative where they are not, which then must be multiplied as they are. Infinities
 * and NaN are magnitudes above all others.
 */
export function hinderedBy(b: LoopBuilder, x: Reg, y: Reg): Reg {
  const i32 = (value: number): Reg => b.i32(value);
  const large = b.sub(i32(power(MOST) - 1), b.bin('max', x, y));
  // Whoever is all zeros hinders nobody but the infinite.
  const small = b.sub(b.bin('min', x, y), i32(power(LEAST)));
  const exponents = b.add(b.bin('shrU', x, i32(23)), b.bin('shrU', y, i32(23)));
  const far = b.bin(
    'or',
    b.sub(exponents, i32(LEAST_PRODUCT + 2 * 127)),
    b.sub(i32(MOST_PRODUCT + 2 * 127), exponents),
  );
  const none = b.sub(b.bin('min', x, y), i32(1));
  return b.bin('or', large, b.bin('andnot', b.bin('or', small, far), none));
}
