/**
 * pow(x, y) = 2^(y log2 |x|), with the logarithm and the product carried in two floats: the road of fdlibm's e_pow,
 * without its branches. Halves of a float multiply exactly, so no fused multiply-add is needed. May import its
 * neighbours; knows nothing of dtypes, graphs or machines.
 */
import type { Reg } from '../loops.ts';
import { exp2Pair } from './exp.ts';
import { splitPositive } from './log.ts';
import { horner, type Scope } from './scope.ts';

interface PowTable {
  /** Keeps the upper half of a float's bits. */
  readonly headMask: number | bigint;
  /** log(m) = 2/3 s (3 + s^2 + s^4 Q(s^2)) with s = (m - 1) / (m + 1). */
  readonly polynomial: readonly number[];
  /** 2 / (3 ln 2) in two parts, and in one. */
  readonly scale: readonly [number, number, number];
  /** Results beyond 2^limit either way are infinite or zero. */
  readonly limit: number;
}

const TABLES: { readonly f32: PowTable; readonly f64: PowTable } = {
  f32: {
    headMask: -(2 ** 12),
    polynomial: [0.3513907194137573, 0.4282025098800659, 0.6000023484230042],
    scale: [0.961669921875, 0.00012677205086220056, 0.9617967009544373],
    limit: 160,
  },
  f64: {
    headMask: -(2n ** 27n),
    polynomial: [
      0.17970720081622166, 0.17514115430690222, 0.20004361809177626, 0.23076838978665123, 0.27272728238268157,
      0.33333333327, 0.42857142857163943, 0.5999999999999998,
    ],
    scale: [0.9617966860532761, 7.872699542894897e-9, 0.9617966939259756],
    limit: 1100,
  },
};

/** The upper half of a float's bits: products of two such halves are exact. */
export const headOf = (s: Scope, x: Reg): Reg =>
  s.b.bitcast(s.float, s.b.bin('and', s.b.bitcast(s.int, x), s.i(TABLES[s.float].headMask)));

export interface Pair {
  readonly high: Reg;
  readonly low: Reg;
}

/** log2 of a positive finite number; the high part has half the bits. */
export function log2Pair(s: Scope, x: Reg): Pair {
  const { b } = s;
  const { polynomial, scale } = TABLES[s.float];
  const { power, mantissa } = splitPositive(s, x);
  const one = s.c(1);
  const three = s.c(3);
  const f = b.sub(mantissa, one);
  const sum = b.add(mantissa, one);
  const inverse = b.bin('div', one, sum);
  const ratio = b.mul(f, inverse);
  // ratio = ratioHead + ratioTail, from the exact remainder of the division.
  const ratioHead = headOf(s, ratio);
  const sumHead = headOf(s, sum);
  const sumTail = b.sub(mantissa, b.sub(sumHead, one));
  const remainder = b.sub(b.sub(f, b.mul(ratioHead, sumHead)), b.mul(ratioHead, sumTail));
  const ratioTail = b.mul(inverse, remainder);
  // 3 + s^2 + s^4 Q, as a head and a tail.
  const square = b.mul(ratio, ratio);
  const headSquare = b.mul(ratioHead, ratioHead);
  const series = b.mul(b.mul(square, square), horner(s, square, polynomial));
  const rest = b.fma(ratioTail, b.add(ratioHead, ratio), series);
  const factor = headOf(s, b.add(b.add(headSquare, three), rest));
  const factorTail = b.sub(rest, b.sub(b.sub(factor, three), headSquare));
  // 3/2 log(m), then log2(m).
  const main = b.mul(ratioHead, factor);
  const minor = b.fma(ratioTail, factor, b.mul(factorTail, ratio));
  const head = headOf(s, b.add(main, minor));
  const tail = b.sub(minor, b.sub(head, main));
  const scaled = b.mul(head, s.c(scale[0]));
  const scaledTail = b.fma(head, s.c(scale[1]), b.mul(tail, s.c(scale[2])));
  const high = headOf(s, b.add(b.add(scaled, scaledTail), power));
  return { high, low: b.sub(scaledTail, b.sub(b.sub(high, power), scaled)) };
}

/** 2^(y L) for L = log2 |x|. */
function raise(s: Scope, log2: Pair, y: Reg): Reg {
  const { b } = s;
  const { limit } = TABLES[s.float];
  const yHead = headOf(s, y);
  const high = b.mul(yHead, log2.high);
  const low = b.fma(b.sub(y, yHead), log2.high, b.mul(y, log2.low));
  const beyond = b.cmp('ge', b.un('abs', high), s.c(limit));
  const clamped = b.bin('pmax', b.bin('pmin', high, s.c(limit)), s.c(-limit));
  return exp2Pair(s, clamped, b.select(beyond, s.c(0), low));
}

/**
 * pow with every special case of C and IEEE 754: pow(x, 0) = pow(1, y) = 1 even for NaN, signed zeros and infinities by
 * parity.
 */
export function pow(s: Scope, x: Reg, y: Reg): Reg {
  const { b } = s;
  const zero = s.c(0);
  const one = s.c(1);
  const infinity = s.c(Number.POSITIVE_INFINITY);
  const magnitude = b.un('abs', x);
  const usual = raise(s, log2Pair(s, magnitude), y);

  const boundless = b.cmp('eq', b.un('abs', y), infinity);
  const edge = b.bin('or', b.bin('or', b.cmp('eq', x, zero), b.cmp('eq', magnitude, infinity)), boundless);
  const grows = b.bin('xor', b.cmp('gt', magnitude, one), b.cmp('lt', y, zero));
  const size = b.select(edge, b.select(grows, infinity, zero), usual);

  const half = b.mul(y, s.c(0.5));
  const whole = b.cmp('eq', b.un('trunc', y), y);
  const odd = b.bin('and', whole, b.cmp('ne', b.un('trunc', half), half));
  const signed = b.select(odd, b.bin('copysign', size, x), size);
  const imaginary = b.bin('and', b.cmp('lt', x, zero), b.cmp('lt', magnitude, infinity));
  const real = b.select(b.bin('andnot', imaginary, whole), s.c(Number.NaN), signed);

  const unordered = b.bin('or', b.cmp('ne', x, x), b.cmp('ne', y, y));
  const result = b.select(unordered, s.c(Number.NaN), real);
  const unit = b.bin('and', b.cmp('eq', magnitude, one), b.bin('or', boundless, b.cmp('eq', x, one)));
  return b.select(b.bin('or', b.cmp('eq', y, zero), unit), one, result);
}
