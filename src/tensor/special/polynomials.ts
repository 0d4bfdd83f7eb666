/**
 * Orthogonal polynomials P_n(x), x and the degree n tensors that broadcast: by their recurrences P_(k+1) = (a x + b) P_k - c P_(k-1), for all degrees at
 * once. Degrees are truncated to whole numbers; negative ones give 0. No gradient flows to n.
 */
import * as build from '../../graph/build.ts';
import { checkTensor, knownNumbers, type TensorLike } from '../operands.ts';
import { Tensor } from '../tensor.ts';
import { elementwise } from './elementary.ts';

/** The largest degree when degrees are not known yet (inside compile); a larger one fails the program. */
const HIGHEST = 64;

interface Family {
  readonly first: (x: Tensor) => Tensor;
  /** P_(k+1) from P_k and P_(k-1). */
  readonly next: (k: number, x: Tensor, p: Tensor, before: Tensor) => Tensor;
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

const polynomial =
  (name: string, { first, next }: Family) =>
  (x: TensorLike, n: TensorLike): Tensor => {
    const op = `special.${name}`;
    if (!(x instanceof Tensor)) checkTensor(op, 'n', n);
    const known = degrees(op, n);
    return elementwise(op, [x, known.n], (y, degree) => {
      const d = degree.detach().trunc();
      let before = y.mul(0).add(1);
      let value = d.lt(0).where(0, before);
      let p = first(y);
      for (let k = 1; k <= known.most; k++) {
        value = d.eq(k).where(p, value);
        [p, before] = [next(k, y, p, before), p];
      }
      return d.isnan().where(Number.NaN, value);
    });
  };

const doubled: Family['next'] = (_, x, p, before) => x.mul(2).mul(p).sub(before);
const shift = (x: Tensor): Tensor => x.mul(2).sub(1);
/** The family at 2 x - 1, orthogonal on [0, 1]. */
const shifted = (family: Family): Family => ({
  first: x => family.first(shift(x)),
  next: (k, x, p, before) => family.next(k, shift(x), p, before),
});

const T: Family = { first: x => x, next: doubled };
const U: Family = { first: x => x.mul(2), next: doubled };
const V: Family = { first: x => x.mul(2).sub(1), next: doubled };
const W: Family = { first: x => x.mul(2).add(1), next: doubled };

/** Chebyshev's polynomials of the first kind, T_n(cos t) = cos(n t). */
export const chebyshevPolynomialT = polynomial('chebyshevPolynomialT', T);
/** Chebyshev's polynomials of the second kind, U_n(cos t) = sin((n + 1) t) / sin t. */
export const chebyshevPolynomialU = polynomial('chebyshevPolynomialU', U);
/** Chebyshev's polynomials of the third kind. */
export const chebyshevPolynomialV = polynomial('chebyshevPolynomialV', V);
/** Chebyshev's polynomials of the fourth kind. */
export const chebyshevPolynomialW = polynomial('chebyshevPolynomialW', W);
export const shiftedChebyshevPolynomialT = polynomial('shiftedChebyshevPolynomialT', shifted(T));
export const shiftedChebyshevPolynomialU = polynomial('shiftedChebyshevPolynomialU', shifted(U));
export const shiftedChebyshevPolynomialV = polynomial('shiftedChebyshevPolynomialV', shifted(V));
export const shiftedChebyshevPolynomialW = polynomial('shiftedChebyshevPolynomialW', shifted(W));

/** Hermite's polynomials of the physicists: H_(k+1) = 2 x H_k - 2 k H_(k-1). */
export const hermitePolynomialH = polynomial('hermitePolynomialH', {
  first: x => x.mul(2),
  next: (k, x, p, before) =>
    x
      .mul(2)
      .mul(p)
      .sub(before.mul(2 * k)),
});

/** Hermite's polynomials of the statisticians: He_(k+1) = x He_k - k He_(k-1). */
export const hermitePolynomialHe = polynomial('hermitePolynomialHe', {
  first: x => x,
  next: (k, x, p, before) => x.mul(p).sub(before.mul(k)),
});

/** Laguerre's polynomials: (k + 1) L_(k+1) = (2k + 1 - x) L_k - k L_(k-1). */
export const laguerrePolynomialL = polynomial('laguerrePolynomialL', {
  first: x => x.neg().add(1),
  next: (k, x, p, before) =>
    x
      .neg()
      .add(2 * k + 1)
      .mul(p)
      .sub(before.mul(k))
      .div(k + 1),
});

/** Legendre's polynomials: (k + 1) P_(k+1) = (2k + 1) x P_k - k P_(k-1). */
export const legendrePolynomialP = polynomial('legendrePolynomialP', {
  first: x => x,
  next: (k, x, p, before) =>
    x
      .mul(2 * k + 1)
      .mul(p)
      .sub(before.mul(k))
      .div(k + 1),
});
