/**
 * exp, expm1, and what is one division away from them: tanh and sigmoid. x = n ln 2 + r with |r| <= ln 2 / 2, a
 * polynomial on r, and 2^n by its exponent bits. The coefficients are minimax fits (Remez) of our own; the shape is
 * that of fdlibm and Cephes. May import scope.ts; knows nothing of dtypes, graphs or machines.
 */
import type { Reg } from '../loops.ts';
import { dividesQuickly, horner, inverse, type Scope } from './scope.ts';

interface ExpTable {
  /** 1.5 * 2^(fraction bits): adding it leaves the nearest integer in the low bits. */
  readonly magic: number;
  readonly fractionBits: number;
  /** ln 2 in two parts; n times the first is exact for every exponent n. */
  readonly ln2: readonly [number, number];
  /** ln 2 in two parts, the first of half the bits of the type, and the mask that keeps as many. */
  readonly ln2Pair: readonly [number, number];
  readonly headMask: number | bigint;
  /** (exp(r) - 1 - r) / r^2, and the same with an error small against expm1. */
  readonly exp: readonly number[];
  readonly expm1: readonly number[];
  /** Beyond these the result is 0 or infinite. */
  readonly lowest: number;
  readonly highest: number;
  /**
   * What arguments are raised to where powers of two are scaled by in one instruction: a result that vanishes takes an
   * assist of 150 cycles and more down to 2^-520 (f64: 2^-3000), and nothing below (half of the scores of causal
   * attention are -Infinity).
   */
  readonly vanishing: number;
  /** Below this expm1 is -1. */
  readonly expm1Lowest: number;
  /** Below this magnitude expm1(x) and tanh(x) are x. */
  readonly tiny: number;
  readonly bias: number;
  /** Results beyond this power of two either way are built in two steps. */
  readonly step: number;
  /** tanh(x) = x + x^3 T(x^2) below tanhSmall, and 1 from tanhHighest on. */
  readonly tanh: readonly number[];
  readonly tanhSmall: number;
  readonly tanhHighest: number;
  /** From here on a sigmoid is 1. */
  readonly sigmoidHighest: number;
}

const TABLES: { readonly f32: ExpTable; readonly f64: ExpTable } = {
  f32: {
    magic: 1.5 * 2 ** 23,
    fractionBits: 23,
    ln2: [0.693145751953125, 1.428606765330187e-6],
    ln2Pair: [0.693115234375, 3.194618329871446e-5],
    headMask: -(2 ** 12),
    exp: [0.0013814480043947697, 0.0083687799051404, 0.04166839271783829, 0.1666651964187622, 0.4999999403953552],
    expm1: [
      0.00019914332369808108, 0.0013941101497039199, 0.008333273231983185, 0.04166635498404503, 0.1666666716337204, 0.5,
    ],
    lowest: -104,
    highest: 89,
    vanishing: -1000,
    expm1Lowest: -18,
    tiny: 2 ** -25,
    bias: 127,
    step: 64,
    tanh: [-0.005679309368133545, 0.020618127658963203, -0.05373400077223778, 0.1333138346672058, -0.3333328068256378],
    tanhSmall: 0.625,
    tanhHighest: 10,
    sigmoidHighest: 20,
  },
  f64: {
    magic: 1.5 * 2 ** 52,
    fractionBits: 52,
    ln2: [0.6931471803691238, 1.9082149292705877e-10],
    ln2Pair: [0.6931471675634384, 1.2996506893889889e-8],
    headMask: -(2n ** 27n),
    exp: [
      2.499991295204019e-8, 2.763037872362347e-7, 2.7557587514363036e-6, 2.4801492762802962e-5, 0.00019841269504566983,
      0.0013888888943922276, 0.008333333333495717, 0.04166666666652919, 0.1666666666666641, 0.5000000000000011,
    ],
    expm1: [
      2.0924574548375376e-9, 2.5109147272853923e-8, 2.755724231099596e-7, 2.7557243912019443e-6, 2.4801587361115706e-5,
      0.0001984126988640075, 0.0013888888888866533, 0.008333333333321532, 0.0416666666666667, 0.16666666666666677, 0.5,
    ],
    lowest: -746,
    highest: 710,
    vanishing: -8000,
    expm1Lowest: -38,
    tiny: 2 ** -55,
    bias: 1023,
    step: 512,
    tanh: [
      7.263629366550717e-6, -3.264069780232448e-5, 9.371802626077249e-5, -0.00023810476501648633, 0.0005898027286754167,
      -0.001455800322100281, 0.003592124494693356, -0.008863235283518643, 0.021869488525219572, -0.053968253967969115,
      0.1333333333333296, -0.3333333333333333,
    ],
    tanhSmall: 0.55,
    tanhHighest: 20,
    sigmoidHighest: 40,
  },
};

interface Reduced {
  /** n as a float, and n in the low bits of an integer whose other bits vanish when shifted into the exponent. */
  readonly n: Reg;
  readonly bits: Reg;
}

function nearestPower(s: Scope, x: Reg): Reduced {
  const magic = s.c(TABLES[s.float].magic);
  const shifted = s.b.fma(x, s.c(Math.LOG2E), magic);
  return { n: s.b.sub(shifted, magic), bits: s.b.bitcast(s.int, shifted) };
}

/** 2^(n + offset); offset is a register of bits already at the exponent's place. NaN in n gives anything. */
function powerOfTwo(s: Scope, reduced: Reduced, offset: Reg): Reg {
  const exponent = s.b.bin('shl', reduced.bits, s.i(TABLES[s.float].fractionBits));
  return s.b.bitcast(s.float, s.b.add(exponent, offset));
}

/** The bits that make an exponent field of `bias + power`. */
const exponentBits = (s: Scope, power: number): bigint => {
  const table = TABLES[s.float];
  return BigInt(table.bias + power) << BigInt(table.fractionBits);
};

/** What is left of x: x - n ln 2. */
function rest(s: Scope, x: Reg, n: Reg): Reg {
  const { b } = s;
  const { ln2 } = TABLES[s.float];
  return b.fma(n, s.c(-ln2[1]), b.fma(n, s.c(-ln2[0]), x));
}

/** exp(r) - 1, r what is left of x. */
function expm1OfRest(s: Scope, x: Reg, n: Reg): Reg {
  const { b } = s;
  const { exp } = TABLES[s.float];
  const r = rest(s, x, n);
  return b.fma(b.mul(r, r), horner(s, r, exp), r);
}

/** (1 + expm1) 2^n. */
function scaled(s: Scope, expm1: Reg, n: Reg): Reg {
  return s.b.bin('scale', s.b.add(expm1, s.c(1)), n);
}

/**
 * mantissa * 2^n in two steps, so that subnormal results are rounded once and large ones do not overflow early. Where
 * `vanishes`, the second factor is 0: a product that rounds to nothing costs a processor some 150 cycles (half of the
 * scores of causal attention are -Infinity).
 */
function scaleBoth(s: Scope, mantissa: Reg, reduced: Reduced, negative: Reg, vanishes: Reg | null = null): Reg {
  const { b } = s;
  const { step } = TABLES[s.float];
  const offset = b.select(negative, s.i(exponentBits(s, step)), s.i(exponentBits(s, -step)));
  const back = b.select(negative, s.c(2 ** -step), s.c(2 ** step));
  const second = vanishes ? b.select(vanishes, s.c(0), back) : back;
  return b.mul(b.mul(mantissa, powerOfTwo(s, reduced, offset)), second);
}

/** exp(x): subnormal results are rounded once, NaN stays. */
export function exp(s: Scope, x: Reg): Reg {
  const { b } = s;
  const { lowest, highest, vanishing } = TABLES[s.float];
  const clamped = b.bin('pmax', b.bin('pmin', x, s.c(highest)), s.c(b.scales ? vanishing : lowest));
  const reduced = nearestPower(s, clamped);
  const expm1 = expm1OfRest(s, clamped, reduced.n);
  if (b.scales) return scaled(s, expm1, reduced.n);
  const mantissa = b.add(expm1, s.c(1));
  return scaleBoth(s, mantissa, reduced, b.cmp('lt', x, s.c(0)), b.cmp('le', x, s.c(lowest)));
}

/**
 * 2^(high + low) for |high| up to 160 (f32) or 1100 (f64) and a small low: high and low may both matter to the last
 * bit.
 */
export function exp2Pair(s: Scope, high: Reg, low: Reg): Reg {
  const { b } = s;
  const { magic: rounding, exp, ln2Pair, headMask } = TABLES[s.float];
  const magic = s.c(rounding);
  const shifted = b.add(b.add(high, low), magic);
  const reduced = { n: b.sub(shifted, magic), bits: b.bitcast(s.int, shifted) };
  const rest = b.sub(high, reduced.n);
  const head = b.bitcast(s.float, b.bin('and', b.bitcast(s.int, b.add(rest, low)), s.i(headMask)));
  const tail = b.sub(low, b.sub(head, rest));
  const main = b.mul(head, s.c(ln2Pair[0]));
  const lost = b.fma(head, s.c(ln2Pair[1]), b.mul(tail, s.c(Math.LN2)));
  const r = b.add(main, lost);
  const tiny = b.sub(lost, b.sub(r, main));
  const expm1 = b.add(r, b.fma(b.mul(r, r), horner(s, r, exp), tiny));
  if (b.scales) return scaled(s, expm1, reduced.n);
  return scaleBoth(s, b.add(expm1, s.c(1)), reduced, b.cmp('lt', high, s.c(0)));
}

/** exp(x) where the result is known to be a normal number (or x NaN). */
export function expNormal(s: Scope, x: Reg): Reg {
  const reduced = nearestPower(s, x);
  const expm1 = expm1OfRest(s, x, reduced.n);
  if (s.b.scales) return scaled(s, expm1, reduced.n);
  return s.b.mul(s.b.add(expm1, s.c(1)), powerOfTwo(s, reduced, s.i(exponentBits(s, 0))));
}

/**
 * exp(x) - 1. The exact first part of r is added apart from the small rest, so little is lost where 2^n - 1 cancels.
 */
export function expm1(s: Scope, x: Reg): Reg {
  const { b } = s;
  const table = TABLES[s.float];
  const clamped = b.bin('pmax', b.bin('pmin', x, s.c(table.highest)), s.c(table.expm1Lowest));
  const reduced = nearestPower(s, clamped);
  const first = b.fma(reduced.n, s.c(-table.ln2[0]), clamped);
  const second = b.mul(reduced.n, s.c(-table.ln2[1]));
  const r = b.add(first, second);
  const small = b.fma(b.mul(r, r), horner(s, r, table.expm1), second);
  // Half of 2^n, because 2^n itself overflows before the result does.
  const half = powerOfTwo(s, reduced, s.i(exponentBits(s, -1)));
  const sum = b.fma(half, small, b.fma(half, first, b.sub(half, s.c(0.5))));
  const tiny = b.cmp('lt', b.un('abs', x), s.c(table.tiny));
  return b.select(tiny, x, b.add(sum, sum));
}

/** tanh(x): a polynomial near 0, else 1 - 2 / (exp(2 |x|) + 1). */
export function tanh(s: Scope, x: Reg): Reg {
  const { b } = s;
  const { tanh: coefficients, tanhSmall, tanhHighest } = TABLES[s.float];
  const square = b.mul(x, x);
  const near = b.fma(b.mul(square, x), horner(s, square, coefficients), x);
  const magnitude = b.un('abs', x);
  const clamped = b.bin('pmin', magnitude, s.c(tanhHighest));
  const grown = expNormal(s, b.add(clamped, clamped));
  const far = b.fma(inverse(s, b.add(grown, s.c(1))), s.c(-2), s.c(1));
  return b.bin('copysign', b.select(b.cmp('lt', magnitude, s.c(tanhSmall)), near, far), x);
}

/**
 * 1 / (1 + exp(-x)) as n / (1 + e) with e = exp(-|x|) and n = 1 or, below 0, e: never overflows, and is right down to
 * subnormal results. The quotient alone would be 2.2 units off, so what the sum 1 + e lost by rounding is made up for
 * to first order (1.98 at most over all f32); a line is near enough to 1 / (1 + e) for that.
 */
export function sigmoid(s: Scope, x: Reg): Reg {
  const { b } = s;
  if (b.scales) return scaledSigmoid(s, x);
  const { lowest, step } = TABLES[s.float];
  const one = s.c(1);
  const zero = s.c(0);
  const clamped = b.bin('pmax', b.un('neg', b.un('abs', x)), s.c(lowest));
  const reduced = nearestPower(s, clamped);
  const power = powerOfTwo(s, reduced, s.i(exponentBits(s, step)));
  // As in scaleBoth: what vanishes does so exactly.
  const back = b.select(b.cmp('le', clamped, s.c(lowest)), s.c(0), s.c(2 ** -step));
  const expm1 = expm1OfRest(s, clamped, reduced.n);
  const high = b.add(expm1, one);
  const e = b.mul(b.mul(high, power), back);

  const negative = b.cmp('lt', x, zero);
  const sum = b.add(e, one);
  const sumLost = b.add(b.sub(one, sum), e);
  const quotient = b.bin('div', b.select(negative, e, one), sum);
  const remainder = b.mul(quotient, b.un('neg', sumLost));
  return b.fma(remainder, b.fma(e, s.c(-0.5), s.c(0.957)), quotient);
}

/**
 * The same where powers of two are scaled by in one instruction: exp(-x) = 2^-n (1 + p), so the sigmoid is 2^n / (2^n +
 * 1 + p), where 2^n + 1 is exact unless one of them hardly counts.
 */
function scaledSigmoid(s: Scope, x: Reg): Reg {
  const { b } = s;
  const { vanishing, sigmoidHighest, exp } = TABLES[s.float];
  const clamped = b.bin('pmax', b.bin('pmin', x, s.c(sigmoidHighest)), s.c(vanishing));
  const { n } = nearestPower(s, clamped);
  const r = rest(s, clamped, n);
  const power = b.bin('scale', s.c(1), n);
  // -p, by the polynomial of exp at -r.
  const turned = exp.map((c, i) => ((exp.length - i) % 2 === 0 ? c : -c));
  const minus = (first: Reg): Reg => b.fma(b.mul(r, r), horner(s, r, turned), first);
  if (!dividesQuickly(s)) {
    const less = minus(r);
    return b.mul(inverse(s, b.add(power, s.c(1)), less), power);
  }
  // What the sum loses is made up for: 1.70 units at most, and 2.33 without, where the power is 2^-24.
  const sum = b.add(power, s.c(1));
  const lost = b.sub(power, b.sub(sum, s.c(1)));
  return b.bin('div', power, b.sub(sum, minus(b.sub(r, lost))));
}
