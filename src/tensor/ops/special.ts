/**
 * Special functions that are methods in PyTorch; more are in tenon.special. Functions here have the tensor first and
 * become methods of Tensor.
 */
import { checkTensor } from '../operands.ts';
import * as special from '../special/index.ts';
import type { Tensor } from '../tensor.ts';

/** The modified Bessel function of the first kind, order 0. */
export function i0(x: Tensor): Tensor {
  checkTensor('i0', 'input', x);
  return special.i0(x);
}

/** 1 - erf(x), with its small values' digits. */
export function erfc(x: Tensor): Tensor {
  checkTensor('erfc', 'input', x);
  return special.erfc(x);
}

/** The inverse of erf on (-1, 1). */
export function erfinv(x: Tensor): Tensor {
  checkTensor('erfinv', 'input', x);
  return special.erfinv(x);
}

/** The n-th derivative of digamma. */
export function polygamma(x: Tensor, n: number): Tensor {
  return special.polygamma(n, x);
}

/** The regularised lower incomplete gamma function P(x, other). */
export function igamma(x: Tensor, other: Tensor): Tensor {
  checkTensor('igamma', 'input', x);
  checkTensor('igamma', 'other', other);
  return special.gammainc(x, other);
}

/** The regularised upper incomplete gamma function Q(x, other). */
export function igammac(x: Tensor, other: Tensor): Tensor {
  checkTensor('igammac', 'input', x);
  checkTensor('igammac', 'other', other);
  return special.gammaincc(x, other);
}
