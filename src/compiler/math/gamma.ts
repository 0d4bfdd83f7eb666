/**
 * lgamma and digamma: a polynomial over [1, 3.5] around their zeros, Stirling's series (refitted) above, a step of the
 * recurrence below 1, and the reflection formula for negative arguments, where the error is relative to the larger of
 * the two terms that meet there. May import its neighbours; knows nothing of dtypes, graphs or machines.
 */
import type { Reg } from '../loops.ts';
import { GAMMA } from './gamma-tables.ts';
import { headOf, log2Pair, type Pair } from './pow.ts';
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
  const low = s.c(0);
  return { sin: sineOf(s, { r, low, quadrant }), cos: sineOf(s, { r, low, quadrant: b.add(quadrant, s.i(1)) }) };
}

/** x * y and what its rounding lost (Dekker). */
function exactProduct(s: Scope, x: Reg, y: Reg): Pair {
  const { b } = s;
  const [xHead, yHead] = [headOf(s, x), headOf(s, y)];
  const [xTail, yTail] = [b.sub(x, xHead), b.sub(y, yHead)];
  const high = b.mul(x, y);
  const crossed = b.add(b.add(b.sub(b.mul(xHead, yHead), high), b.mul(xHead, yTail)), b.mul(xTail, yHead));
  return { high, low: b.add(crossed, b.mul(xTail, yTail)) };
}

/** log(x) of a positive finite number as the sum of a part with half the bits and a small one. */
function logPair(s: Scope, x: Reg): Pair {
  const { b } = s;
  const log2 = log2Pair(s, x);
  const [ln2Head, ln2Tail] = LN2[s.float];
  const main = b.mul(log2.high, s.c(ln2Head));
  const minor = b.fma(log2.high, s.c(ln2Tail), b.mul(log2.low, s.c(Math.LN2)));
  const high = headOf(s, b.add(main, minor));
  return { high, low: b.sub(minor, b.sub(high, main)) };
}

/** The sum of a polynomial as its rounded value and what the last addition lost; the constant term is the largest. */
function hornerPair(s: Scope, x: Reg, coefficients: readonly number[]): Pair {
  const { b } = s;
  const constant = s.c(coefficients.at(-1)!);
  const rest = b.mul(x, horner(s, x, coefficients.slice(0, -1)));
  const high = b.add(constant, rest);
  return { high, low: b.sub(rest, b.sub(high, constant)) };
}

/**
 * log gamma(x) for x >= 3.5: (x - 1/2) (log x - 1), with the logarithm in two parts, and what is small. Nothing
 * overflows before the result does.
 */
function stirling(s: Scope, x: Reg): Reg {
  const { b } = s;
  const { high, low } = logPair(s, x);
  const less = b.sub(high, s.c(1));
  const factor = b.sub(x, s.c(0.5));
  const factorHead = headOf(s, factor);
  const product = b.mul(factorHead, less);
  const rest = b.fma(b.sub(factor, factorHead), less, b.mul(factor, low));
  const inverse = b.bin('div', s.c(1), x);
  const series = b.mul(inverse, horner(s, b.mul(inverse, inverse), GAMMA[s.float].stirling));
  // (log(2 pi) - 1) / 2
  return b.add(product, b.add(rest, b.add(series, s.c(0.4189385332046727))));
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
  const polynomial = hornerPair(s, b.sub(u, s.c(MIDDLE)), GAMMA[s.float].lgamma);
  const { high: parabola, low: lost } = exactProduct(s, u, b.sub(u, one));
  const minor = b.fma(parabola, polynomial.low, b.mul(lost, polynomial.high));
  // The zeros at 1 and 2 are +0.
  const near = b.add(b.fma(parabola, polynomial.high, minor), s.c(0));
  const base = b.select(b.cmp('lt', argument, s.c(SERIES)), near, stirling(s, argument));
  // gamma(x) = gamma(1 + x) / x, and gamma(-a) gamma(1 + a) = -pi / sin(pi a).
  const sine = b.mul(b.un('abs', sinCosPi(s, magnitude).sin), s.c(1 / Math.PI));
  const factor = b.select(negative, sine, magnitude);
  const { high, low } = logPair(s, factor);
  const lower = b.sub(b.sub(b.select(negative, b.un('neg', base), base), low), high);
  // What is so far below 0 that gamma overflows is a whole number.
  const pole = b.bin('or', b.cmp('eq', factor, s.c(0)), b.cmp('eq', base, infinity));
  const finite = b.select(below, b.select(pole, infinity, lower), base);
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
  // The distance from the root in two parts: what the first difference rounds away (Knuth), and the root's own second
  // part.
  const distance = b.sub(u, s.c(root[0]));
  const back = b.sub(distance, u);
  const distanceLost = b.sub(b.sub(u, b.sub(distance, back)), b.add(s.c(root[0]), back));
  const polynomial = hornerPair(s, b.sub(u, s.c(MIDDLE)), coefficients);
  const minor = b.fma(distance, polynomial.low, b.mul(b.sub(distanceLost, s.c(root[1])), polynomial.high));
  const near = b.fma(distance, polynomial.high, minor);
  const inverse = b.bin('div', one, argument);
  const square = b.mul(inverse, inverse);
  const series = b.fma(square, horner(s, square, psi), b.mul(inverse, s.c(0.5)));
  const { high, low } = logPair(s, argument);
  const far = b.add(high, b.sub(low, series));
  const base = b.select(b.cmp('lt', argument, s.c(SERIES)), near, far);
  // digamma(x) = digamma(1 + x) - 1 / x, and digamma(-a) = digamma(1 + a) + pi / tan(pi a).
  const { sin, cos } = sinCosPi(s, magnitude);
  const cotangent = b.bin('div', b.mul(cos, s.c(Math.PI)), sin);
  const reciprocal = b.bin('div', one, x);
  const whole = exactProduct(s, reciprocal, x);
  const remainder = b.mul(b.sub(b.sub(one, whole.high), whole.low), reciprocal);
  // Of an infinite reciprocal there is none.
  const lost = b.select(b.cmp('eq', remainder, remainder), remainder, s.c(0));
  const reflected = b.select(negative, b.add(base, cotangent), b.sub(b.sub(base, lost), reciprocal));
  const lower = b.select(below, reflected, base);
  const finite = b.select(b.cmp('eq', x, s.c(Number.POSITIVE_INFINITY)), x, lower);
  const pole = b.bin('and', negative, b.cmp('eq', sin, s.c(0)));
  return b.select(pole, s.c(Number.NaN), finite);
}
