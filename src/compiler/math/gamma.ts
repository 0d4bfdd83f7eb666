/**
 * lgamma and digamma: a polynomial over [1, 3.5] around their zeros, Stirling's series (refitted) above, a step of the recurrence below 1, and
 * the reflection formula for negative arguments, where the error is relative to the larger of the two terms that meet there.
 * May import its neighbours; knows nothing of dtypes, graphs or machines.
 */
import type { Reg } from '../loops.ts';
import { GAMMA } from './gamma-tables.ts';
import { log } from './log.ts';
import { headOf, log2Pair } from './pow.ts';
import { horner, type Scope } from './scope.ts';
import { sineOf } from './trig.ts';

/** From here on Stirling's series is used. */
const SERIES = 3.5;
/** The polynomials are in u - MIDDLE. */
const MIDDLE = 1.25;

const LN2 = {
  f32: [0.693115234375, 3.194618329871446e-5],
  f64: [0.6931471675634384, 1.2996506893889889e-8],
} as const;

/** sin and cos of pi x, by exact reduction to quarter turns. */
function sinCosPi(s: Scope, x: Reg): { readonly sin: Reg; readonly cos: Reg } {
  const { b } = s;
  const halves = b.un('nearest', b.add(x, x));
  const r = b.mul(b.sub(x, b.mul(halves, s.c(0.5))), s.c(Math.PI));
  // halves mod 4, also where it does not fit an integer (from 2^fraction on every float is whole and even).
  const wrapped = b.sub(halves, b.mul(b.un('floor', b.mul(halves, s.c(0.25))), s.c(4)));
  const magic = s.c(s.float === 'f32' ? 1.5 * 2 ** 23 : 1.5 * 2 ** 52);
  const quadrant = b.bitcast(s.int, b.add(wrapped, magic));
  return { sin: sineOf(s, { r, quadrant }), cos: sineOf(s, { r, quadrant: b.add(quadrant, s.i(1)) }) };
}

/** log gamma(x) for x >= 3.5: the logarithm in two parts, because x log x - x loses bits. */
function stirling(s: Scope, x: Reg): Reg {
  const { b } = s;
  const log2 = log2Pair(s, x);
  const [ln2Head, ln2Tail] = LN2[s.float];
  const main = b.mul(log2.high, s.c(ln2Head));
  const minor = b.fma(log2.high, s.c(ln2Tail), b.mul(log2.low, s.c(Math.LN2)));
  const logHead = headOf(s, b.add(main, minor));
  const logTail = b.sub(minor, b.sub(logHead, main));
  const factor = b.sub(x, s.c(0.5));
  const factorHead = headOf(s, factor);
  const product = b.mul(factorHead, logHead);
  const rest = b.fma(b.sub(factor, factorHead), logHead, b.mul(factor, logTail));
  const inverse = b.bin('div', s.c(1), x);
  const series = b.mul(inverse, horner(s, b.mul(inverse, inverse), GAMMA[s.float].stirling));
  return b.add(b.sub(product, x), b.add(rest, b.add(series, s.c(0.9189385332046728))));
}

/** log |gamma(x)|; infinite at 0, at the negative integers and at both infinities. */
export function lgamma(s: Scope, x: Reg): Reg {
  const { b } = s;
  const one = s.c(1);
  const infinity = s.c(Number.POSITIVE_INFINITY);
  const magnitude = b.un('abs', x);
  const negative = b.cmp('lt', x, s.c(0));
  const below = b.cmp('lt', x, one);
  // u + 1 is the argument the formulas see: x itself, or |x| + 1 below 1; u carries no rounding.
  const u = b.select(below, magnitude, b.sub(x, one));
  const argument = b.select(below, b.add(magnitude, one), x);
  const polynomial = horner(s, b.sub(u, s.c(MIDDLE)), GAMMA[s.float].lgamma);
  // The zeros at 1 and 2 are +0.
  const near = b.add(b.mul(b.mul(u, b.sub(u, one)), polynomial), s.c(0));
  const base = b.select(b.cmp('lt', argument, s.c(SERIES)), near, stirling(s, argument));
  // gamma(x) = gamma(1 + x) / x, and gamma(-a) gamma(1 + a) = -pi / sin(pi a).
  const sine = b.mul(b.un('abs', sinCosPi(s, magnitude).sin), s.c(1 / Math.PI));
  const correction = log(s, b.select(negative, sine, magnitude));
  const lower = b.sub(b.select(negative, b.un('neg', base), base), correction);
  const finite = b.select(below, lower, base);
  return b.select(b.cmp('eq', magnitude, infinity), infinity, finite);
}

/** The derivative of log gamma; NaN at the negative integers, infinite at 0 with the sign opposite to its own. */
export function digamma(s: Scope, x: Reg): Reg {
  const { b } = s;
  const one = s.c(1);
  const { digamma: coefficients, root, psi } = GAMMA[s.float];
  const magnitude = b.un('abs', x);
  const negative = b.cmp('lt', x, s.c(0));
  const below = b.cmp('lt', x, one);
  const u = b.select(below, magnitude, b.sub(x, one));
  const argument = b.select(below, b.add(magnitude, one), x);
  const fromRoot = b.sub(b.sub(u, s.c(root[0])), s.c(root[1]));
  const near = b.mul(fromRoot, horner(s, b.sub(u, s.c(MIDDLE)), coefficients));
  const inverse = b.bin('div', one, argument);
  const square = b.mul(inverse, inverse);
  const series = b.fma(square, horner(s, square, psi), b.mul(inverse, s.c(0.5)));
  const far = b.sub(log(s, argument), series);
  const base = b.select(b.cmp('lt', argument, s.c(SERIES)), near, far);
  // digamma(x) = digamma(1 + x) - 1 / x, and digamma(-a) = digamma(1 + a) + pi / tan(pi a).
  const { sin, cos } = sinCosPi(s, magnitude);
  const cotangent = b.bin('div', b.mul(cos, s.c(Math.PI)), sin);
  const reciprocal = b.un('neg', b.bin('div', one, x));
  const finite = b.select(below, b.add(base, b.select(negative, cotangent, reciprocal)), base);
  const pole = b.bin('and', negative, b.cmp('eq', sin, s.c(0)));
  return b.select(pole, s.c(Number.NaN), finite);
}
