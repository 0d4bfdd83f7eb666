/**
 * Orthogonal polynomials P_n(x), x and the degree n tensors that broadcast: by their recurrences P_(k+1) = (a x + b)
 * P_k - c P_(k-1), for all degrees at once. Degrees are truncated to whole numbers; negative ones give 0. No gradient
 * flows to n.
 */
import * as build from '../../graph/build.ts';
import { checkTensor, knownNumbers, type TensorLike } from '../operands.ts';
import { Tensor } from '../tensor.ts';
import { elementwise } from './elementary.ts';

/** The largest degree when degrees are not known yet (inside compile); a larger one fails the program. */
const HIGHEST = 64;

/** P_1 = a x + b, and from k = 1 on P_(k+1) = (a x + b) P_k - c P_(k-1). */
interface Family {
  readonly first: readonly [a: number, b: number];
  readonly next: (k: number) => readonly [a: number, b: number, c: number];
}

/** How many steps the degrees ask for, and the degrees, checked when the program runs where they are not known now. */
function degrees(op: string, n: TensorLike): { readonly most: number; readonly n: TensorLike } {
  if (typeof n === 'number') return { most: n, n };
  if (!(n instanceof Tensor)) return { most: Number(n), n };
  const known = knownNumbers(n);
  if (known) return { most: known.reduce((a, b) => (b > a ? b : a), 0), n };
  const whole = build.checkIndex(n.relu().long().node, HIGHEST + 1, op);
  return { most: HIGHEST, n: n.lt(0).where(n, new Tensor(whole).to(n.dtype)) };
}

/**
 * The r-th derivatives by x of P_n: P^(r)_(k+1) = (a x + b) P^(r)_k + r a P^(r-1)_k - c P^(r)_(k-1). All steps run
 * forward, so that what a degree does not reach cannot overflow into its gradient.
 */
function evaluate({ first, next }: Family, order: number, x: Tensor, degree: Tensor, most: number): Tensor {
  const d = degree.detach().trunc();
  const linear = (a: number, b: number): Tensor => (b === 0 ? x.mul(a) : x.mul(a).add(b));
  const zero = x.mul(0);
  let before = Array.from({ length: order + 1 }, (_, r) => (r === 0 ? zero.add(1) : zero));
  let p = before.map((_, r) => (r === 0 ? linear(...first) : r === 1 ? zero.add(first[0]) : zero));
  let value = d.lt(0).where(0, before[order]!);
  for (let k = 1; k <= most; k++) {
    value = d.eq(k).where(p[order]!, value);
    const [a, b, c] = next(k);
    const factor = linear(a, b);
    const after = p.map((own, r) => {
      const grown = factor.mul(own).sub(before[r]!.mul(c));
      return r === 0 ? grown : grown.add(p[r - 1]!.mul(r * a));
    });
    [before, p] = [p, after];
  }
  return d.isnan().where(Number.NaN, value);
}

function derivative(op: string, family: Family, order: number, x: TensorLike, n: TensorLike, most: number): Tensor {
  return elementwise(op, [x, n], (y, degree) => evaluate(family, order, y, degree, most), [
    ([y, degree]) => derivative(op, family, order + 1, y!, degree!, most),
    null,
  ]);
}

const polynomial =
  (name: string, family: Family) =>
  (x: TensorLike, n: TensorLike): Tensor => {
    const op = `special.${name}`;
    if (!(x instanceof Tensor)) checkTensor(op, 'n', n);
    const known = degrees(op, n);
    return derivative(op, family, 0, x, known.n, known.most);
  };

const chebyshev = (a: number, b: number): Family => ({ first: [a, b], next: () => [2, 0, 1] });
/** The family at 2 x - 1, orthogonal on [0, 1]. */
const shifted = ({ first, next }: Family): Family => ({
  first: [2 * first[0], first[1] - first[0]],
  next: k => {
    const [a, b, c] = next(k);
    return [2 * a, b - a, c];
  },
});

const T = chebyshev(1, 0);
const U = chebyshev(2, 0);
const V = chebyshev(2, -1);
const W = chebyshev(2, 1);

/** Chebyshev's polynomials of the first kind, T_n(cos t) = cos(n t). */
export const chebyshevPolynomialT = polynomial('chebyshevPolynomialT', T);
/** Chebyshev's polynomials of the second kind, U_n(cos t) = sin((n + 1) t) / sin t. */
export const chebyshevPolynomialU = polynomial('chebyshevPolynomialU', U);
/** Chebyshev's polynomials of the third kind. */
export const chebyshevPolynomialV = polynomial('chebyshevPolynomialV', V);
/** Chebyshev's polynomials of the fourth kind. */
export const chebyshevPolynomialW = polynomial('chebyshevPolynomialW', W);
/** Chebyshev's polynomials of the first kind at 2 x - 1, for x in [0, 1]. */
export const shiftedChebyshevPolynomialT = polynomial('shiftedChebyshevPolynomialT', shifted(T));
/** Chebyshev's polynomials of the second kind at 2 x - 1, for x in [0, 1]. */
export const shiftedChebyshevPolynomialU = polynomial('shiftedChebyshevPolynomialU', shifted(U));
/** Chebyshev's polynomials of the third kind at 2 x - 1, for x in [0, 1]. */
export const shiftedChebyshevPolynomialV = polynomial('shiftedChebyshevPolynomialV', shifted(V));
/** Chebyshev's polynomials of the fourth kind at 2 x - 1, for x in [0, 1]. */
export const shiftedChebyshevPolynomialW = polynomial('shiftedChebyshevPolynomialW', shifted(W));

/** Hermite's polynomials of the physicists: H_(k+1) = 2 x H_k - 2 k H_(k-1). */
export const hermitePolynomialH = polynomial('hermitePolynomialH', { first: [2, 0], next: k => [2, 0, 2 * k] });

/** Hermite's polynomials of the statisticians: He_(k+1) = x He_k - k He_(k-1). */
export const hermitePolynomialHe = polynomial('hermitePolynomialHe', { first: [1, 0], next: k => [1, 0, k] });

/** Laguerre's polynomials: (k + 1) L_(k+1) = (2k + 1 - x) L_k - k L_(k-1). */
export const laguerrePolynomialL = polynomial('laguerrePolynomialL', {
  first: [-1, 1],
  next: k => [-1 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1)],
});

/** Legendre's polynomials: (k + 1) P_(k+1) = (2k + 1) x P_k - k P_(k-1). */
export const legendrePolynomialP = polynomial('legendrePolynomialP', {
  first: [1, 0],
  next: k => [(2 * k + 1) / (k + 1), 0, k / (k + 1)],
});
