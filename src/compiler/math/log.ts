/**
 * log and log1p: x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), and a polynomial on f. f32 takes it in f (as
 * Cephes), f64 in f / (2 + f) (as fdlibm); the coefficients are minimax fits (Remez) of our own. May import scope.ts;
 * knows nothing of dtypes or graphs.
 */
import type { Reg } from '../loops.ts';
import { horner, type Scope } from './scope.ts';

interface LogTable {
  readonly fractionBits: number;
  readonly fractionMask: number | bigint;
  readonly bias: number;
  /** Bits of sqrt(1/2), and the bits of 1 less these. */
  readonly root: number | bigint;
  readonly fromRoot: number | bigint;
  readonly smallestNormal: number;
  readonly ln2: readonly [number, number];
  readonly polynomial: readonly number[];
  /** Above this 1 + x is x for log1p. */
  readonly large: number;
  readonly tiny: number;
}

const TABLES: { readonly f32: LogTable; readonly f64: LogTable } = {
  f32: {
    fractionBits: 23,
    fractionMask: 0x007fffff,
    bias: 127,
    root: 0x3f3504f3,
    fromRoot: 0x3f800000 - 0x3f3504f3,
    smallestNormal: 2 ** -126,
    ln2: [0.693145751953125, 1.428606765330187e-6],
    // (log(1 + f) - f + f^2 / 2) / f^3
    polynomial: [
      0.06916028261184692, -0.1179840937256813, 0.11877097189426422, -0.12383239716291428, 0.14218004047870636,
      -0.16669289767742157, 0.20002257823944092, -0.24999986588954926, 0.3333331048488617,
    ],
    large: 2 ** 30,
    tiny: 2 ** -26,
  },
  f64: {
    fractionBits: 52,
    fractionMask: 0x000fffffffffffffn,
    bias: 1023,
    root: 0x3fe6a09e667f3bcdn,
    fromRoot: 0x3ff0000000000000n - 0x3fe6a09e667f3bcdn,
    smallestNormal: 2 ** -1022,
    ln2: [0.6931471803691238, 1.9082149292705877e-10],
    // (2 atanh(s) / s - 2) / s^2 in s^2
    polynomial: [
      0.14805319770740744, 0.15313162363202426, 0.18183597053330167, 0.22222197984029712, 0.28571428747706346,
      0.39999999999392816, 0.6666666666666737,
    ],
    large: 2 ** 60,
    tiny: 2 ** -55,
  },
};

interface Split {
  /** The biased exponent in an integer register. */
  readonly exponent: Reg;
  /** The mantissa in [sqrt(1/2), sqrt(2)). */
  readonly mantissa: Reg;
}

/** Splits a positive normal number. */
function split(s: Scope, x: Reg): Split {
  const { b } = s;
  const table = TABLES[s.float];
  const shifted = b.add(b.bitcast(s.int, x), s.i(table.fromRoot));
  return {
    exponent: b.bin('shrU', shifted, s.i(table.fractionBits)),
    mantissa: b.bitcast(s.float, b.add(b.bin('and', shifted, s.i(table.fractionMask)), s.i(table.root))),
  };
}

/** An integer in [0, 2^fractionBits) less a float constant, without a conversion (which few machines have for i64). */
function exponentAsFloat(s: Scope, exponent: Reg, less: Reg): Reg {
  const magic = 2 ** TABLES[s.float].fractionBits;
  const magicBits = s.b.bitcast(s.int, s.c(magic));
  return s.b.sub(s.b.bitcast(s.float, s.b.bin('or', exponent, magicBits)), less);
}

/** A positive finite number as mantissa * 2^power, the mantissa in [sqrt(1/2), sqrt(2)), the power a float. */
export function splitPositive(s: Scope, x: Reg): { readonly power: Reg; readonly mantissa: Reg } {
  const { b } = s;
  const table = TABLES[s.float];
  const lift = table.fractionBits + 2;
  const subnormal = b.cmp('lt', x, s.c(table.smallestNormal));
  const { exponent, mantissa } = split(s, b.select(subnormal, b.mul(x, s.c(2 ** lift)), x));
  const zeroExponent = 2 ** table.fractionBits + table.bias;
  const less = b.select(subnormal, s.c(zeroExponent + lift), s.c(zeroExponent));
  return { power: exponentAsFloat(s, exponent, less), mantissa };
}

/** k ln 2 + log(1 + f). */
function combine(s: Scope, k: Reg, f: Reg): Reg {
  const { b } = s;
  const { ln2, polynomial } = TABLES[s.float];
  // The product is exact, and what the sum rounds away goes to the low part.
  const whole = b.mul(k, s.c(ln2[0]));
  const high = b.add(whole, f);
  const low = b.fma(k, s.c(ln2[1]), b.sub(f, b.sub(high, whole)));
  const square = b.mul(f, f);
  if (s.float === 'f32') {
    const rest = b.fma(square, b.fma(f, horner(s, f, polynomial), s.c(-0.5)), low);
    return b.add(high, rest);
  }
  const ratio = b.bin('div', f, b.add(f, s.c(2)));
  const z = b.mul(ratio, ratio);
  const halfSquare = b.mul(square, s.c(0.5));
  const rest = b.fma(ratio, b.fma(z, horner(s, z, polynomial), halfSquare), low);
  return b.add(high, b.sub(rest, halfSquare));
}

/** log(x): -infinity at either zero, NaN below. */
export function log(s: Scope, x: Reg): Reg {
  const { b } = s;
  const { power, mantissa } = splitPositive(s, x);
  const finite = combine(s, power, b.sub(mantissa, s.c(1)));
  const positive = b.select(b.cmp('lt', x, s.c(Number.POSITIVE_INFINITY)), finite, x);
  const otherwise = b.select(b.cmp('eq', x, s.c(0)), s.c(Number.NEGATIVE_INFINITY), s.c(Number.NaN));
  return b.select(b.cmp('gt', x, s.c(0)), positive, otherwise);
}

/** log(1 + x): f is formed from x itself, so that what 1 + x rounds away is not lost. */
export function log1p(s: Scope, x: Reg): Reg {
  const { b } = s;
  const table = TABLES[s.float];
  const { exponent, mantissa } = split(s, b.add(x, s.c(1)));
  const k = exponentAsFloat(s, exponent, s.c(2 ** table.fractionBits + table.bias));
  const shift = s.i(table.fractionBits);
  // 2^-k: its exponent field is twice the bias less that of 2^k.
  const scale = b.bitcast(s.float, b.bin('shl', b.sub(s.i(2 * table.bias), exponent), shift));
  const nearOne = b.fma(x, scale, b.sub(scale, s.c(1)));
  const f = b.select(b.cmp('gt', x, s.c(table.large)), b.sub(mantissa, s.c(1)), nearOne);
  const finite = combine(s, k, f);
  const tiny = b.cmp('lt', b.un('abs', x), s.c(table.tiny));
  const usual = b.select(b.cmp('lt', x, s.c(Number.POSITIVE_INFINITY)), b.select(tiny, x, finite), x);
  const otherwise = b.select(b.cmp('eq', x, s.c(-1)), s.c(Number.NEGATIVE_INFINITY), s.c(Number.NaN));
  return b.select(b.cmp('gt', x, s.c(-1)), usual, otherwise);
}
