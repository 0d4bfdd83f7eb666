/**
 * The zeta function of Hurwitz, polygamma and incomplete gamma functions.
 */
import { checkTensor, checkWhole, type TensorLike } from '../operands.ts';
import type { Tensor } from '../tensor.ts';
import { elementwise } from './elementary.ts';
import { LEGENDRE } from './tables.ts';

/** B(2j) / (2j)!, j = 1, 2, ... of Euler and Maclaurin's formula. */
const BERNOULLI = [
  1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
  -3617 / 10670622842880000, 43867 / 5109094217170944000, -174611 / 802857662698291200000,
]; // biome-ignore format: a table

/** Terms that are added one by one, also those of negative q. */
const TERMS = 10;
/** Negative arguments down to here have all their terms. */
const LOWEST = -32;

/** Sum over k >= 0 of (q + k)^-x for x > 1, by Euler and Maclaurin (DLMF 25.11.28). */
function hurwitz(x: Tensor, q: Tensor): Tensor {
  let sum = q.pow(x.neg());
  // Negative q are shifted up term by term; positive ones skip that.
  let start = q;
  const negative = q.lt(0);
  for (let k = 1; k <= -LOWEST; k++) {
    const next = q.add(k);
    const counts = negative.logicalAnd(q.add(k - 1).lt(0));
    sum = counts.where(sum.add(next.pow(x.neg())), sum);
    start = counts.where(next, start);
  }
  for (let k = 1; k < TERMS; k++) sum = sum.add(start.add(k).pow(x.neg()));
  // The tail from w on: w^(1 - x) / (x - 1) + w^-x / 2 + sum of B(2j) / (2j)! x (x + 1) ... (x + 2j - 2) w^(-x - 2j +
  // 1)
  const w = start.add(TERMS);
  const power = w.pow(x.neg());
  let tail = power.mul(w).div(x.sub(1)).add(power.mul(0.5));
  let factor = power.mul(x).div(w);
  BERNOULLI.forEach((b, j) => {
    if (j > 0) {
      const rising = x.add(2 * j - 1).mul(x.add(2 * j));
      factor = factor.mul(rising.div(w.mul(w)));
    }
    tail = tail.add(factor.mul(b));
  });
  return sum.add(tail);
}

/**
 * The zeta function of Hurwitz, sum over k >= 0 of (q + k)^-x: infinite at x = 1 and, for negative whole q, everywhere;
 * NaN for x < 1, and for negative other q where x is not whole.
 */
export const zeta = (x: TensorLike, q: TensorLike): Tensor =>
  elementwise(
    'special.zeta',
    [x, q],
    (a, b) => {
      const whole = b.floor().eq(b);
      const below = b.le(0);
      const pole = a.eq(1).logicalOr(below.logicalAnd(whole));
      const undefined_ = a.lt(1).logicalOr(below.logicalAnd(whole.logicalNot()).logicalAnd(a.floor().ne(a)));
      const fine = pole.logicalOr(undefined_).logicalNot();
      const value = hurwitz(fine.where(a, 2), fine.where(b, 1));
      const out = undefined_.where(Number.NaN, pole.where(Number.POSITIVE_INFINITY, value));
      const wild = a.isnan().logicalOr(b.isnan());
      return wild.where(Number.NaN, out);
    },
    [null, ([s, p]) => zeta(s!.add(1), p!).mul(s!).neg()],
  );

/** The n-th derivative of digamma. */
export function polygamma(n: number, x: Tensor): Tensor {
  checkWhole('special.polygamma', 'n', n, 0);
  checkTensor('special.polygamma', 'input', x);
  if (n === 0) return x.digamma();
  return elementwise(
    'special.polygamma',
    [x],
    y => {
      let factorial = n % 2 === 1 ? 1 : -1;
      for (let k = 2; k <= n; k++) factorial *= k;
      return zeta(n + 1, y).mul(factorial);
    },
    [([z]) => polygamma(n + 1, z!)],
  );
}

// ------------------------------------------------------------------------------------------------ incomplete gamma
// functions

/** From here on of a, the integral is taken by quadrature. */
const LARGE = 20;
/** Terms of the series and of the continued fraction that a < LARGE needs. */
const STEPS = { f32: 36, f64: 64 } as const;

/** x^a exp(-x) / gamma(a + 1). */
const prefactor = (a: Tensor, x: Tensor): Tensor => a.mul(x.log()).sub(x).sub(a.add(1).lgamma()).exp();

/** P(a, x) for x <= max(a, 2): prefactor * sum of x^n / ((a + 1) ... (a + n)) (DLMF 8.7.1). */
function lowerSeries(a: Tensor, x: Tensor, steps: number): Tensor {
  let sum = x.div(a.add(steps)).add(1);
  for (let n = steps - 1; n >= 1; n--) sum = x.div(a.add(n)).mul(sum).add(1);
  return sum.mul(prefactor(a, x));
}

/** Q(a, x) for x > max(a, 2): Legendre's continued fraction (DLMF 8.9.2). */
function upperFraction(a: Tensor, x: Tensor, steps: number): Tensor {
  const first = x.sub(a).add(1);
  let fraction = first.add(2 * steps);
  for (let n = steps; n >= 1; n--) fraction = first.add(2 * (n - 1)).add(a.sub(n).mul(n).div(fraction));
  return prefactor(a, x).mul(a).div(fraction);
}

/**
 * P(a, x) where x < a - 1 or Q(a, x) above, for a >= LARGE: the density between x and where it has vanished, by Gauss
 * and Legendre (as in Numerical Recipes 6.2.2). Scaled by its value at its top, a - 1.
 */
function byQuadrature(a: Tensor, x: Tensor): { readonly value: Tensor; readonly above: Tensor } {
  const top = a.sub(1);
  const spread = top.sqrt();
  const above = x.gt(top);
  const end = above.where(
    x.add(spread.mul(6)).maximum(top.add(spread.mul(12))),
    x
      .sub(spread.mul(6))
      .minimum(top.sub(spread.mul(8)))
      .clamp(0, null),
  );
  const [middle, half] = [x.add(end).mul(0.5), end.sub(x).mul(0.5)];
  let sum: Tensor | null = null;
  for (const [node, weight] of LEGENDRE)
    for (const sign of [-1, 1]) {
      const u = middle.add(half.mul(sign * node)).sub(top);
      const term = u.div(top).log1p().mul(top).sub(u).exp().mul(weight);
      sum = sum ? sum.add(term) : term;
    }
  const height = top.mul(top.log()).sub(top).sub(a.lgamma()).exp();
  return { value: sum!.mul(half.abs()).mul(height), above };
}

/** Both regularised functions, each computed where it is the smaller one. */
function incomplete(a: Tensor, x: Tensor): { readonly p: Tensor; readonly q: Tensor } {
  const fine = a.gt(0).logicalAnd(x.gt(0)).logicalAnd(a.isfinite()).logicalAnd(x.isfinite());
  const [s, y] = [fine.where(a, 1), fine.where(x, 1)];
  const steps = STEPS[a.dtype as 'f32' | 'f64'];
  const below = y.le(s.clamp(2, null));
  const [small, large] = [s.clamp(null, LARGE), s.clamp(LARGE, null)];
  const reach = small.clamp(2, null);
  const direct = below.where(
    lowerSeries(small, y.minimum(reach), steps),
    upperFraction(small, y.maximum(reach), steps),
  );
  const quadrature = byQuadrature(large, y);
  const isLarge = s.gt(LARGE);
  const isQ = isLarge.where(quadrature.above, below.logicalNot());
  const value = isLarge.where(quadrature.value, direct);
  const other = value.neg().add(1);
  // Edges: P is 0 at x = 0 and 1 at a = 0 or x = Infinity; where two of them meet there is no value.
  const one = x.eq(Number.POSITIVE_INFINITY).logicalOr(a.eq(0));
  const zero = x.eq(0).logicalOr(a.eq(Number.POSITIVE_INFINITY));
  const broken = a.lt(0).logicalOr(x.lt(0)).logicalOr(one.logicalAnd(zero)).logicalOr(a.isnan()).logicalOr(x.isnan());
  const edged = (inside: Tensor, atOne: number): Tensor =>
    broken.where(Number.NaN, one.where(atOne, zero.where(1 - atOne, inside)));
  return { p: edged(isQ.where(other, value), 1), q: edged(isQ.where(value, other), 0) };
}

/** d/dx P(a, x) = x^(a - 1) exp(-x) / gamma(a). */
const density = (a: Tensor, x: Tensor): Tensor => a.sub(1).xlogy(x).sub(x).sub(a.lgamma()).exp();

/** The regularised lower incomplete gamma function P(a, x), a and x not negative. Its gradient flows to x alone. */
export const gammainc = (a: TensorLike, x: TensorLike): Tensor =>
  elementwise('special.gammainc', [a, x], (s, y) => incomplete(s, y).p, [null, ([b, z]) => density(b!, z!)]);

/** The regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x). Its gradient flows to x alone. */
export const gammaincc = (a: TensorLike, x: TensorLike): Tensor =>
  elementwise('special.gammaincc', [a, x], (s, y) => incomplete(s, y).q, [null, ([b, z]) => density(b!, z!).neg()]);
