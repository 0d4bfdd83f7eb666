/**
 * torch.special, as far as it follows from the primitives.
 */
import { isFloat } from '../graph/dtype.ts';
import { checkTensor, type TensorLike } from './operands.ts';
import type { Tensor } from './tensor.ts';

function real(op: string, x: Tensor): Tensor {
  checkTensor(`special.${op}`, 'input', x);
  return isFloat(x.dtype) ? x : x.to('f32');
}

export const xlogy = (x: Tensor, other: TensorLike): Tensor => x.xlogy(other);
export const xlog1py = (x: Tensor, other: TensorLike): Tensor => x.xlog1py(other);
export const expit = (x: Tensor): Tensor => x.sigmoid();
export const logit = (x: Tensor, eps?: number | null): Tensor => x.logit(eps);
export const expm1 = (x: Tensor): Tensor => x.expm1();
export const log1p = (x: Tensor): Tensor => x.log1p();
export const erf = (x: Tensor): Tensor => x.erf();
export const erfc = (x: Tensor): Tensor => x.erfc();
export const erfinv = (x: Tensor): Tensor => x.erfinv();
export const gammaln = (x: Tensor): Tensor => x.lgamma();
export const digamma = (x: Tensor): Tensor => x.digamma();
export const multigammaln = (x: Tensor, p: number): Tensor => x.mvlgamma(p);
export const logsumexp = (x: Tensor, dim: number, options: { readonly keepdim?: boolean } = {}): Tensor =>
  x.logsumexp(dim, options);
export const sinc = (x: Tensor): Tensor => x.sinc();
export const exp2 = (x: Tensor): Tensor => x.exp2();

/** -x log(x), 0 at 0, -Infinity below. */
export function entr(x: Tensor): Tensor {
  const input = real('entr', x);
  const positive = input.gt(0);
  const value = positive.where(input, 1).log().mul(input).neg();
  const outside = input.eq(0).where(0, Number.NEGATIVE_INFINITY);
  return input.isnan().where(input, positive.where(value, outside)).to(input.dtype);
}

/** The area under the normal density up to x. */
export function ndtr(x: Tensor): Tensor {
  return real('ndtr', x).mul(Math.SQRT1_2).erf().add(1).mul(0.5);
}

/** The inverse of ndtr. */
export function ndtri(x: Tensor): Tensor {
  return real('ndtri', x).mul(2).sub(1).erfinv().mul(Math.SQRT2);
}
