/**
 * Functions that JavaScript's Math lacks, to the accuracy of f64. Plain numbers in and out.
 */

const { PI } = Math;
const EULER_GAMMA = 0.5772156649015329;

/** Sum of terms[k] * x^k. */
function polynomial(terms: readonly number[], x: number): number {
  let sum = 0;
  for (let k = terms.length - 1; k >= 0; k--) sum = sum * x + terms[k]!;
  return sum;
}

/**
 * The error function. Below 1 by the alternating-free series erf(x) = 2/sqrt(pi) exp(-x^2) sum 2^k x^(2k+1) / (2k+1)!!
 * (DLMF 7.6.2), above by the continued fraction of erfc (DLMF 7.9.1): both converge to the last bits.
 */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  const size = Math.abs(x);
  if (size >= 6) return Math.sign(x);
  // exp(-x^2) in two steps, because the rounding of x^2 would grow by x^2: the square of the head is exact.
  const head = Math.fround(x);
  const scale = (2 / Math.sqrt(PI)) * Math.exp(-head * head) * Math.exp(-(x - head) * (x + head));
  if (size < 1) {
    let term = x;
    let sum = x;
    for (let k = 1; Math.abs(term) > Math.abs(sum) * 1e-18; k++) {
      term *= (2 * x * x) / (2 * k + 1);
      sum += term;
    }
    return scale * sum;
  }
  // sqrt(pi) exp(x^2) erfc(x) = 1 / (x + (1/2) / (x + 1 / (x + (3/2) / (x + ...))))
  let fraction = size;
  for (let k = Math.ceil(20 + 350 / (x * x)); k >= 1; k--) fraction = size + k / 2 / fraction;
  return Math.sign(x) * (1 - scale / 2 / fraction);
}

/** zeta(k) - 1 by Euler-Maclaurin summation from 12 on (DLMF 25.2.9). */
function zetaMinusOne(k: number): number {
  const from = 12;
  let tail = from ** (1 - k) / (k - 1) + from ** -k / 2;
  // Bernoulli numbers B(2j) / (2j)!, times the rising product k (k + 1) ... (k + 2j - 2).
  const bernoulli = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160];
  let rising = k;
  bernoulli.forEach((b, j) => {
    tail += b * rising * from ** (-k - 2 * j - 1);
    rising *= (k + 2 * j + 1) * (k + 2 * j + 2);
  });
  for (let n = from - 1; n >= 2; n--) tail += n ** -k;
  return tail;
}

/** lgamma(2 + z) = (1 - gamma) z + sum over k >= 2 of (-1)^k (zeta(k) - 1) z^k / k (DLMF 5.7.3), for |z| <= 1/2. */
const AROUND_TWO = Array.from({ length: 34 }, (_, k) =>
  k === 0 ? 0 : k === 1 ? 1 - EULER_GAMMA : ((k % 2 === 0 ? 1 : -1) * zetaMinusOne(k)) / k,
);

/** Stirling's series: coefficients of x^-1, x^-3, ... (DLMF 5.11.1). */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156];

/** The logarithm of |gamma(x)|; infinite at 0, -1, -2, ... */
export function lgamma(x: number): number {
  if (Number.isNaN(x)) return x;
  if (!Number.isFinite(x) || (x <= 0 && Number.isInteger(x))) return Number.POSITIVE_INFINITY;
  if (x < -0.5) {
    // Reflection; the sine of the exact distance to the next integer keeps its digits.
    const sine = Math.abs(Math.sin(PI * (x - Math.round(x))));
    return Math.log(PI / (sine * Math.abs(x))) - lgamma(-x);
  }
  if (x < 0.5) return lgamma(1 + x) - Math.log(Math.abs(x));
  if (x < 1.5) return polynomial(AROUND_TWO, x - 1) - Math.log1p(x - 1);
  if (x < 12) {
    let product = 1;
    let rest = x;
    while (rest > 2.5) product *= --rest;
    return Math.log(product) + polynomial(AROUND_TWO, rest - 2);
  }
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * PI) + polynomial(STIRLING, x ** -2) / x;
}

/** The asymptotic series of digamma: coefficients of x^-2, x^-4, ... (DLMF 5.11.2). */
const DIGAMMA_TAIL = [-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12];

/**
 * The derivative of lgamma. At 0 it is -infinity with the sign of the zero turned; at negative integers NaN (as
 * PyTorch's).
 */
export function digamma(x: number): number {
  if (x === 0) return -1 / x;
  if (x < 0) {
    if (Number.isInteger(x) || x === Number.NEGATIVE_INFINITY) return Number.NaN;
    return digamma(1 - x) - PI / Math.tan(PI * (x - Math.round(x)));
  }
  let sum = 0;
  let shifted = x;
  for (; shifted < 12; shifted++) sum -= 1 / shifted;
  const squared = shifted ** -2;
  return sum + Math.log(shifted) - 0.5 / shifted + squared * polynomial(DIGAMMA_TAIL, squared);
}
