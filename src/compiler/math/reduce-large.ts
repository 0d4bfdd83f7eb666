/**
 * Reduction of large arguments by pi/2 (Payne and Hanek): x is an integer m times 2^e, and of m * 2^e * (2 / pi) only
 * the product modulo 4 matters, so a window of 2 / pi starting at bit e is enough. Lanes pick their windows with
 * selects (a barrel shifter over the words of 2 / pi), so it runs on vectors without memory. May import scope.ts and
 * the types of trig.ts; knows nothing of dtypes or graphs.
 */
import type { Reg } from '../loops.ts';
import type { Scope } from './scope.ts';
import type { Reduced } from './trig.ts';

/** The first 1280 bits of 2 / pi, 32 a word (A. Ziv's table in fdlibm is the same number in 24-bit words). */
const TWO_OVER_PI: readonly number[] = [
  0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561, 0xb7246e3a,
  0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41,
  0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f, 0x6d367ecf,
  0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08,
  0x56033046, 0xfc7b6bab, 0xf0cfbc20, 0x9af4361d,
]; // biome-ignore format: a table

/** pi/2 in two parts, the first of 13 or 33 bits. */
const HALF_PI = {
  f32: [1.570556640625, 0.00023968616989661923],
  f64: [1.5707963267341256, 6.077100506506192e-11],
} as const;

/** `count` words from word `at` (a register below 2^steps) on, of `words`; past the end it reads anything. */
function pickWords(s: Scope, words: readonly Reg[], at: Reg, steps: number, count: number): readonly Reg[] {
  const { b } = s;
  let row = [...words];
  for (let step = steps - 1; step >= 0; step--) {
    const by = 2 ** step;
    const on = b.cmp('ne', b.bin('and', at, s.i(by)), s.i(0));
    const kept = by - 1 + count;
    row = row.slice(0, kept).map((word, i) => (row[i + by] ? b.select(on, row[i + by]!, word) : word));
  }
  return row.slice(0, count);
}

/**
 * The angle and the quadrant from |x| = parts + rest quarter turns beyond it: parts short enough to be exact times the
 * head of pi/2, each small against the one before it unless that is 0.
 */
function finish(s: Scope, x: Reg, parts: readonly Reg[], rest: Reg, quadrant: Reg): Reduced {
  const { b } = s;
  const [first, second] = HALF_PI[s.float];
  let minor = b.mul(rest, s.c(first + second));
  for (const part of parts) minor = b.fma(part, s.c(second), minor);
  let r = s.c(0);
  for (const part of parts) {
    const next = b.mul(part, s.c(first));
    const sum = b.add(r, next);
    minor = b.add(minor, b.sub(next, b.sub(sum, r)));
    r = sum;
  }
  const main = r;
  r = b.add(main, minor);
  const low = b.sub(minor, b.sub(r, main));
  const negative = b.cmp('lt', x, s.c(0));
  const turned = (value: Reg): Reg => b.select(negative, b.un('neg', value), value);
  return { r: turned(r), low: turned(low), quadrant: turned(quadrant) };
}

function reduceLarge32(s: Scope, x: Reg): Reduced {
  const { b } = s;
  const bits = b.bitcast('i32', b.un('abs', x));
  const m = b.bin('or', b.bin('and', bits, s.i(0x7fffff)), s.i(0x800000));
  // |x| = m 2^e with e = exponent field - 150. The window starts at the bit of weight 2^(1 - e); one zero word comes first.
  const position = b.add(b.bin('shrU', bits, s.i(23)), s.i(30 - 150));
  const words = [s.i(0), ...TWO_OVER_PI.slice(0, 7).map(word => s.i(word | 0))];
  const picked = pickWords(s, words, b.bin('shrU', position, s.i(5)), 3, 4);
  // The rest of the shift is a product with 2^shift: vectors shift all their lanes by one count only.
  const shift = b.bin('and', position, s.i(31));
  const power = b.cvt('i32', b.bitcast('f32', b.bin('shl', b.add(shift, s.i(127)), s.i(23))));
  const by = b.select(b.cmp('eq', shift, s.i(31)), s.i(0x80000000 | 0), power);
  const window = (k: number): Reg => b.bin('or', b.mul(picked[k]!, by), b.bin('mulHiU', picked[k + 1]!, by));

  // m times the 96-bit window modulo 2^96: its upper 64 bits, with the binary point after the first two.
  const a1 = window(1);
  const middle = b.mul(m, a1);
  const low = b.add(middle, b.bin('mulHiU', m, window(2)));
  const carry = b.cvt('i32', b.cmp('ltU', low, middle));
  const high = b.add(b.add(b.mul(m, window(0)), b.bin('mulHiU', m, a1)), carry);
  const quadrant = b.bin('shrU', b.add(high, s.i(0x20000000)), s.i(30));
  const signed = b.sub(high, b.bin('shl', quadrant, s.i(30)));
  const head = b.bin('and', b.add(signed, s.i(2 ** 18)), s.i(-(2 ** 19)));
  const tail = b.sub(signed, head);
  const next = b.bin('and', b.add(tail, s.i(2 ** 7)), s.i(-(2 ** 8)));
  const turns = (bits: Reg): Reg => b.mul(b.cvt('f32', bits), s.c(2 ** -30));
  const lowest = b.mul(b.cvt('f32', b.bin('shrU', low, s.i(8))), s.c(2 ** -54));
  return finish(s, x, [turns(head), turns(next)], b.add(turns(b.sub(tail, next)), lowest), quadrant);
}

function reduceLarge64(s: Scope, x: Reg): Reduced {
  const { b } = s;
  const mask = s.i(0xffffffffn);
  const upper = (v: Reg): Reg => b.bin('shrU', v, s.i(32));
  const lower = (v: Reg): Reg => b.bin('and', v, mask);
  const bits = b.bitcast('i64', b.un('abs', x));
  const m = b.bin('or', b.bin('and', bits, s.i(0xfffffffffffffn)), s.i(0x10000000000000n));
  // As above with e = exponent field - 1075 and two zero words first; a word sits in the lower half of an i64.
  const position = b.add(b.bin('shrU', bits, s.i(52)), s.i(62 - 1075));
  const words = [s.i(0), s.i(0), ...TWO_OVER_PI.slice(0, 38).map(word => s.i(word))];
  const picked = pickWords(s, words, b.bin('shrU', position, s.i(5)), 6, 7);
  const shift = b.bin('and', position, s.i(31));
  // 2^shift as an integer: the fraction bits of 2^52 + 2^shift.
  const power = b.bitcast('f64', b.bin('shl', b.add(shift, s.i(1023)), s.i(52)));
  const by = b.bin('and', b.bitcast('i64', b.add(power, s.c(2 ** 52))), s.i(0xfffffffffffffn));
  const window = picked.slice(0, 6).map((word, k) => lower(b.add(b.mul(word, by), upper(b.mul(picked[k + 1]!, by)))));

  // m times the 192-bit window modulo 2^192, column by column: its upper 128 bits.
  const mHigh = upper(m);
  const mLow = lower(m);
  const byLow = window.map(word => b.mul(word, mLow));
  const byHigh = window.map(word => b.mul(word, mHigh));
  const limbs: Reg[] = [];
  let carry = s.i(0);
  for (let j = 4; j >= 0; j--) {
    let column = b.add(b.add(lower(byLow[j]!), upper(byLow[j + 1]!)), b.add(lower(byHigh[j + 1]!), carry));
    if (j + 2 < 6) column = b.add(column, upper(byHigh[j + 2]!));
    limbs[j] = lower(column);
    carry = upper(column);
  }
  const join = (high: Reg, low: Reg): Reg => b.bin('or', b.bin('shl', high, s.i(32)), low);
  const high = join(limbs[0]!, limbs[1]!);
  const low = join(limbs[2]!, limbs[3]!);
  const quadrant = b.bin('shrU', b.add(high, s.i(1n << 61n)), s.i(62));
  const signed = b.sub(high, b.bin('shl', quadrant, s.i(62)));
  const head = b.bin('and', b.add(signed, s.i(2n ** 41n)), s.i(-(2n ** 42n)));
  const tail = b.cvt('f64', b.sub(signed, head));
  const lowest = b.mul(b.cvt('f64', b.bin('shrU', low, s.i(1))), s.c(2 ** -125));
  return finish(s, x, [b.mul(b.cvt('f64', head), s.c(2 ** -62))], b.fma(tail, s.c(2 ** -62), lowest), quadrant);
}

/** The reduction of trig.ts for finite |x| from about 1000 on; anything for other lanes. */
export function reduceLarge(s: Scope, x: Reg): Reduced {
  return s.float === 'f32' ? reduceLarge32(s, x) : reduceLarge64(s, x);
}
