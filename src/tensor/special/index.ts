/**
 * torch.special. Functions of floats element by element, computed in f32 or f64; integers become f32. Imports the
 * Tensor API; each function is a composition of primitives that says its own derivative where one follows from the
 * theory.
 */
import { isFloat } from '../../graph/dtype.ts';
import { checkTensor } from '../operands.ts';
import type { Dims } from '../ops/reduce.ts';
import type { Tensor } from '../tensor.ts';

export {
  airyAi,
  besselJ0,
  besselJ1,
  besselY0,
  besselY1,
  i0,
  i0e,
  i1,
  i1e,
  modifiedBesselI0,
  modifiedBesselI1,
  modifiedBesselK0,
  modifiedBesselK1,
  scaledModifiedBesselK0,
  scaledModifiedBesselK1,
  sphericalBesselJ0,
} from './bessel.ts';
export type { Unary } from './elementary.ts';
export { gammainc, gammaincc, polygamma, zeta } from './gamma.ts';
export { erfc, erfcx, erfinv, logNdtr, ndtr, ndtri } from './normal.ts';
export {
  chebyshevPolynomialT,
  chebyshevPolynomialU,
  chebyshevPolynomialV,
  chebyshevPolynomialW,
  hermitePolynomialH,
  hermitePolynomialHe,
  laguerrePolynomialL,
  legendrePolynomialP,
  shiftedChebyshevPolynomialT,
  shiftedChebyshevPolynomialU,
  shiftedChebyshevPolynomialV,
  shiftedChebyshevPolynomialW,
} from './polynomials.ts';

function real(op: string, x: Tensor): Tensor {
  checkTensor(`special.${op}`, 'input', x);
  return isFloat(x.dtype) ? x : x.to('f32');
}

export { xlog1py, xlogy } from '../ops/math.ts';
/** sigmoid under its other name. */
export const expit = (x: Tensor): Tensor => x.sigmoid();
/** log(x / (1 - x)), x kept within [eps, 1 - eps] where eps is given. */
export const logit = (x: Tensor, eps?: number | null): Tensor => x.logit(eps);
/** exp(x) - 1, exact near 0. */
export const expm1 = (x: Tensor): Tensor => x.expm1();
/** log(1 + x), exact near 0. */
export const log1p = (x: Tensor): Tensor => x.log1p();
/** The error function. */
export const erf = (x: Tensor): Tensor => x.erf();
/** Logarithm of the absolute gamma function. */
export const gammaln = (x: Tensor): Tensor => x.lgamma();
/** Derivative of gammaln. */
export const digamma = (x: Tensor): Tensor => x.digamma();
/** Logarithm of the multivariate gamma function of dimension `p`. */
export const multigammaln = (x: Tensor, p: number): Tensor => x.mvlgamma(p);
/** log(sum(exp(x))) along `dim`, without overflow. */
export const logsumexp = (x: Tensor, dim: Dims, options: { readonly keepdim?: boolean } = {}): Tensor =>
  x.logsumexp(dim, options);
/** sin(pi x) / (pi x), 1 at 0. */
export const sinc = (x: Tensor): Tensor => x.sinc();
/** 2 to the power of x. */
export const exp2 = (x: Tensor): Tensor => x.exp2();
/** digamma under its other name. */
export const psi = (x: Tensor): Tensor => x.digamma();
/** The nearest whole number, halves to even; or with `decimals` digits. */
export const round = (x: Tensor, options: { readonly decimals?: number } = {}): Tensor => x.round(options);
/** exp(x) / sum(exp(x)) along `dim`. */
export const softmax = (x: Tensor, dim: number, options: { readonly dtype?: Tensor['dtype'] } = {}): Tensor =>
  x.softmax(dim, options);
/** Logarithm of softmax along `dim`, without overflow. */
export const logSoftmax = (x: Tensor, dim: number, options: { readonly dtype?: Tensor['dtype'] } = {}): Tensor =>
  x.logSoftmax(dim, options);

/** -x log(x), 0 at 0, -Infinity below. */
export function entr(x: Tensor): Tensor {
  const input = real('entr', x);
  const positive = input.gt(0);
  const value = positive.where(input, 1).log().mul(input).neg();
  const outside = input.eq(0).where(0, Number.NEGATIVE_INFINITY);
  return input.isnan().where(input, positive.where(value, outside)).to(input.dtype);
}
