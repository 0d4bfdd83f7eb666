/**
 * Values of the transcendental functions at f64 arguments, to some forty digits, by decimal.js: the series and
 * identities are the textbook's (DLMF numbers beside them), the arithmetic is arbitrary.
 * tests/compiler/math-figures.ts, made by mpmath, holds them to account.
 */
import { Decimal } from 'decimal.js';
import { EXACT } from './exact.ts';

const DIGITS = 50;
/** Enough for the remainder of 1.8e308 by pi / 2. */
const REDUCTION_DIGITS = 400;
const precision = (digits: number): void => void Decimal.set({ precision: digits });
Decimal.set({ minE: -9e15, maxE: 9e15 });

precision(REDUCTION_DIGITS);
const HALF_PI = Decimal.acos(0);
precision(DIGITS);
const PI = HALF_PI.times(2);

const powers = new Map<number, Decimal>();
/** 2^exponent. */
function powerOfTwo(exponent: number): Decimal {
  let power = powers.get(exponent);
  if (!power) {
    precision(REDUCTION_DIGITS);
    power = new Decimal(2).pow(exponent);
    precision(DIGITS);
    powers.set(exponent, power);
  }
  return power;
}

const bits = new DataView(new ArrayBuffer(8));
/** The number itself; Decimal's constructor takes the shortest digits that name it. */
export function decimalOf(x: number): Decimal {
  bits.setFloat64(0, x);
  const field = (bits.getUint32(0) >>> 20) & 2047;
  const fraction = (bits.getUint32(0) & 0xfffff) * 2 ** 32 + bits.getUint32(4);
  const mantissa = field === 0 ? fraction : fraction + 2 ** 52;
  const power = powerOfTwo(Math.max(1, field) - 1075);
  precision(REDUCTION_DIGITS);
  const value = power.times(Math.sign(x) * mantissa);
  precision(DIGITS);
  return value;
}

/** The sum of a power series, by its first term and each next one. */
function series(first: Decimal, next: (k: number) => Decimal): Decimal {
  let sum = first;
  for (let k = 1; ; k++) {
    const term = next(k);
    sum = sum.plus(term);
    if (term.isZero() || term.e < sum.e - DIGITS) return sum;
  }
}

const exp = (x: Decimal): Decimal => x.exp();

function expm1(x: Decimal): Decimal {
  if (x.abs().gt(0.1)) return exp(x).minus(1);
  let term = x;
  return series(x, k => {
    term = term.times(x).div(k + 1);
    return term;
  });
}

/** Odd powers of s, each over its exponent, all with the sign of s or by turns (DLMF 4.6.4, 4.24.3). */
function oddPowers(s: Decimal, alternating: boolean): Decimal {
  const square = alternating ? s.times(s).neg() : s.times(s);
  let power = s;
  return series(s, k => {
    power = power.times(square);
    return power.div(2 * k + 1);
  });
}

const log1p = (x: Decimal): Decimal => (x.abs().gt(0.1) ? x.plus(1).ln() : oddPowers(x.div(x.plus(2)), false).times(2));

const atan = (x: Decimal): Decimal => (x.abs().gt(0.1) ? x.atan() : oddPowers(x, true));

/** sin(x + quarters * pi / 2). */
function sine(x: Decimal, quarters = 0): Decimal {
  precision(REDUCTION_DIGITS);
  const turns = x.div(HALF_PI).round();
  const rest = x.minus(turns.times(HALF_PI));
  const quadrant = turns.mod(4).plus(4 + quarters).mod(4).toNumber(); // biome-ignore format: short
  precision(DIGITS);
  // Rounded to the fewer digits first.
  const angle = rest.plus(0);
  const value = quadrant % 2 === 0 ? angle.sin() : angle.cos();
  return quadrant < 2 ? value : value.neg();
}

function tanh(x: Decimal): Decimal {
  const e = expm1(x.times(2));
  return e.div(e.plus(2));
}

/** DLMF 7.6.2: no term has another sign. */
function erf(x: Decimal): Decimal {
  const square = x.times(x);
  // 1 - erfc, which is below 10^-300 here.
  if (square.gt(700)) return new Decimal(x.s);
  let term = x;
  const sum = series(x, k => {
    term = term
      .times(square)
      .times(2)
      .div(2 * k + 1);
    return term;
  });
  return sum.times(2).times(exp(square.neg())).div(PI.sqrt());
}

/** DLMF 7.9.1, by as many levels as digits need. */
function erfc(x: Decimal): Decimal {
  if (x.lt(2)) return new Decimal(1).minus(erf(x));
  let fraction = x;
  for (let k = Math.ceil(1200 / x.toNumber() ** 2) + 40; k >= 1; k--)
    fraction = x.plus(new Decimal(k).div(2).div(fraction));
  return exp(x.times(x).neg()).div(PI.sqrt()).div(fraction);
}

/** DLMF 7.12.1, where few of its terms are enough. */
function farErfcx(x: Decimal): Decimal {
  const square = x.times(x).times(2);
  let term = new Decimal(1);
  const sum = series(term, k => {
    term = term.times(1 - 2 * k).div(square);
    return term;
  });
  return sum.div(x).div(PI.sqrt());
}

/** B(2), B(4), ... (DLMF 24.5.3). */
const BERNOULLI = ((): Decimal[] => {
  const all: Decimal[] = [new Decimal(1)];
  for (let n = 1; n <= 60; n++) {
    let sum = new Decimal(0);
    let binomial = new Decimal(1);
    for (let k = 0; k < n; k++) {
      sum = sum.plus(binomial.times(all[k]!));
      binomial = binomial.times(n + 1 - k).div(k + 1);
    }
    all.push(sum.neg().div(n + 1));
  }
  return all.filter((_, n) => n >= 2 && n % 2 === 0);
})();
/** From here on Stirling's series has fifty digits. */
const STIRLING_FROM = 40;

/** DLMF 5.11.1, 5.5.1 and 5.5.3. */
function lgamma(x: Decimal): Decimal {
  if (x.lt(0))
    return PI.div(sine(PI.times(x)).abs())
      .ln()
      .minus(lgamma(new Decimal(1).minus(x)));
  let z = x;
  let product = new Decimal(1);
  for (; z.lt(STIRLING_FROM); z = z.plus(1)) product = product.times(z);
  const square = z.times(z);
  let power = z;
  let sum = new Decimal(0);
  BERNOULLI.forEach((b, j) => {
    sum = sum.plus(b.div(power.times((2 * j + 2) * (2 * j + 1))));
    power = power.times(square);
  });
  return z.minus(0.5).times(z.ln()).minus(z).plus(PI.times(2).ln().div(2)).plus(sum).minus(product.ln()); // biome-ignore format: one sum
}

/** DLMF 5.11.2, 5.5.2 and 5.5.4. */
function digamma(x: Decimal): Decimal {
  if (x.lt(0)) {
    const turned = PI.times(x);
    return digamma(new Decimal(1).minus(x)).minus(PI.times(sine(turned, 1)).div(sine(turned)));
  }
  let z = x;
  let shift = new Decimal(0);
  for (; z.lt(STIRLING_FROM); z = z.plus(1)) shift = shift.plus(new Decimal(1).div(z));
  const square = z.times(z);
  let power = square;
  let sum = new Decimal(0);
  BERNOULLI.forEach((b, j) => {
    sum = sum.plus(b.div(power.times(2 * j + 2)));
    power = power.times(square);
  });
  return z.ln().minus(new Decimal(0.5).div(z)).minus(sum).minus(shift);
}

function atan2(y: Decimal, x: Decimal): Decimal {
  const angle = atan(y.div(x));
  return x.gt(0) ? angle : y.gt(0) ? angle.plus(PI) : angle.minus(PI);
}

const reciprocal = (x: Decimal): Decimal => new Decimal(1).div(x);
const sinh = (x: Decimal): Decimal => expm1(x).minus(expm1(x.neg())).div(2);
const asinh = (x: Decimal): Decimal => {
  const size = x.abs();
  const root = size.times(size).plus(1).sqrt();
  return log1p(size.plus(size.times(size).div(root.plus(1)))).times(x.s);
};
/** Of arguments of at least 1. */
const acosh = (x: Decimal): Decimal => log1p(x.minus(1).plus(x.minus(1).times(x.plus(1)).sqrt()));
const atanh = (x: Decimal): Decimal => log1p(x.times(2).div(new Decimal(1).minus(x))).div(2);
const asin = (x: Decimal): Decimal =>
  x.abs().eq(1) ? HALF_PI.times(x.s) : atan(x.div(new Decimal(1).minus(x).times(x.plus(1)).sqrt()));
/** 2 asin(sqrt((1 - x) / 2)): no cancellation near 1. */
const acos = (x: Decimal): Decimal => asin(new Decimal(1).minus(x).div(2).sqrt()).times(2);

const log = (x: Decimal): Decimal => (x.minus(1).abs().lt(0.1) ? log1p(x.minus(1)) : x.ln());

/** Newton's steps from the f64 nearest to it, which double the digits. */
function erfinv(x: Decimal): Decimal {
  const size = x.abs();
  let y = new Decimal(EXACT.erfinv(size.toNumber()));
  for (let i = 0; i < 3; i++) {
    const beyond = size.lt(0.5) ? erf(y).minus(size) : new Decimal(1).minus(size).minus(erfc(y));
    y = y.minus(
      beyond
        .times(exp(y.times(y)))
        .times(PI.sqrt())
        .div(2),
    );
  }
  return y.times(x.s);
}

/** By name: of finite arguments where the function is finite, and not zero. */
export const UNARY_ORACLE = {
  exp,
  expm1,
  log,
  log1p,
  sin: (x: Decimal) => sine(x),
  cos: (x: Decimal) => sine(x, 1),
  tanh,
  sigmoid: (x: Decimal) => reciprocal(exp(x.neg()).plus(1)),
  erf,
  atan,
  lgamma,
  digamma,
  tan: (x: Decimal) => sine(x).div(sine(x, 1)),
  asin,
  acos,
  sinh,
  cosh: (x: Decimal) => exp(x).plus(exp(x.neg())).div(2),
  asinh,
  acosh,
  atanh,
  exp2: (x: Decimal) => exp(x.times(new Decimal(2).ln())),
  log2: (x: Decimal) => log(x).div(new Decimal(2).ln()),
  log10: (x: Decimal) => log(x).div(new Decimal(10).ln()),
  erfc,
  erfcx: (x: Decimal) => (x.gt(1e6) ? farErfcx(x) : exp(x.times(x)).times(erfc(x))),
  rsqrt: (x: Decimal) => reciprocal(x.sqrt()),
  erfinv,
  logit: (x: Decimal) => log(x.div(new Decimal(1).minus(x))),
} as const satisfies { readonly [fn: string]: (x: Decimal) => Decimal };

export const BINARY_ORACLE = { pow: (x: Decimal, y: Decimal) => exp(y.times(log(x))), atan2 } as const;

export type OracleUnary = keyof typeof UNARY_ORACLE;

/**
 * Distance of `got` from the exact value, in units of the last place of a float with so many bits, at that value;
 * infinity counts as the number after the largest.
 */
export function errorInUlps(got: number, exact: Decimal, width: 24 | 53): number {
  const [smallest, largest] = width === 24 ? [-149, 127] : [-1074, 1023];
  if (Number.isNaN(got)) return Number.POSITIVE_INFINITY;
  const beyond = powerOfTwo(largest + 1);
  const size = exact.abs();
  if (size.gte(beyond) || !Number.isFinite(got)) {
    const clamped = size.gte(beyond) ? beyond.times(exact.s) : exact;
    const reached = Number.isFinite(got) ? decimalOf(got) : beyond.times(Math.sign(got));
    return reached
      .minus(clamped)
      .abs()
      .div(powerOfTwo(largest - width + 1))
      .toNumber();
  }
  // The binary exponent, by way of f64: off by one only beside a power of two, where the larger unit is the fair one.
  const near = size.toNumber();
  const exponent = near === 0 ? smallest : Math.floor(Math.log2(near));
  return decimalOf(got).minus(exact).abs().div(powerOfTwo(Math.max(smallest, exponent - width + 1))).toNumber(); // biome-ignore format: one quotient
}
