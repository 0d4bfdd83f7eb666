/**
 * Factorisations and systems under the names they have outside of torch.linalg. Functions here have the tensor first
 * and become methods of Tensor.
 */

import { zeros } from '../creation.ts';
import * as factor from '../linalg/factor.ts';
import * as linalg from '../linalg/index.ts';
import * as systems from '../linalg/solve.ts';
import { checkTensor } from '../operands.ts';
import type { Tensor } from '../tensor.ts';

/** The triangular factor L (or `upper` U) of symmetric positive definite matrices; see linalg.cholesky. */
export function cholesky(x: Tensor, upper = false): Tensor {
  return linalg.cholesky(x, { upper });
}

/** (L Lᵀ)⁻¹ of triangular matrices L, or (Uᵀ U)⁻¹. */
export function choleskyInverse(x: Tensor, upper = false): Tensor {
  return systems.choleskyInverse(x, upper);
}

/** (L Lᵀ)⁻¹ x of a triangular factor. */
export function choleskySolve(x: Tensor, l: Tensor, upper = false): Tensor {
  return systems.choleskySolve(x, l, upper);
}

/** Q and R; `some` false gives the complete Q. See linalg.qr. */
export function qr(x: Tensor, some = true): { readonly q: Tensor; readonly r: Tensor } {
  return linalg.qr(x, some ? 'reduced' : 'complete');
}

/** Packed Householder reflections; see linalg.qr for a QR factorisation with a gradient. */
export function geqrf(x: Tensor): { readonly a: Tensor; readonly tau: Tensor } {
  return factor.geqrf(x);
}

/** The first columns of the product of packed reflections; see linalg.householderProduct. */
export function orgqr(x: Tensor, tau: Tensor): Tensor {
  return linalg.householderProduct(x, tau);
}

/** A matrix times the orthogonal matrix of packed reflections. */
export function ormqr(x: Tensor, tau: Tensor, other: Tensor, left = true, transpose = false): Tensor {
  return factor.ormqr(x, tau, other, left, transpose);
}

/**
 * U, S and V (not transposed); `some` false gives complete bases, `computeUv` false zeros for U and V. See linalg.svd.
 */
export function svd(
  x: Tensor,
  some = true,
  computeUv = true,
): { readonly u: Tensor; readonly s: Tensor; readonly v: Tensor } {
  const { u, s, vh } = linalg.svd(x, { fullMatrices: !some });
  if (computeUv) return { u, s, v: vh.mT };
  const square = (n: number): Tensor => zeros([...x.shape.slice(0, -2), n, n], { dtype: x.dtype });
  return { u: square(x.shape.at(-2)!), s, v: square(x.shape.at(-1)!) };
}

/** Eigenvalues and eigenvectors (empty without `eigenvectors`) of symmetric matrices; see linalg.eigh. */
export function symeig(
  x: Tensor,
  eigenvectors = false,
  upper = true,
): { readonly eigenvalues: Tensor; readonly eigenvectors: Tensor } {
  const found = linalg.eigh(x, upper ? 'U' : 'L');
  return eigenvectors ? found : { ...found, eigenvectors: zeros([0], { dtype: x.dtype }) };
}

/** Packed LU and pivots, with i32 info as a third where `getInfos`; see linalg.luFactor. */
export function lu(x: Tensor, pivot = true, getInfos = false): Tensor[] {
  const { lu: packed, pivots, info } = linalg.luFactorEx(x, { pivot });
  return getInfos ? [packed, pivots, info] : [packed, pivots];
}

/** P, L and U of a packed LU. */
export function luUnpack(
  x: Tensor,
  pivots: Tensor,
  unpackData = true,
  unpackPivots = true,
): { readonly p: Tensor; readonly l: Tensor; readonly u: Tensor } {
  checkTensor('luUnpack', 'input', x);
  checkTensor('luUnpack', 'pivots', pivots);
  const empty = (): Tensor => zeros([0], { dtype: x.dtype });
  return {
    p: unpackPivots ? factor.permutationFrom('luUnpack', pivots, x.shape.at(-2)!, x) : empty(),
    l: unpackData ? factor.lowerOf(x) : empty(),
    u: unpackData ? factor.upperOf(x) : empty(),
  };
}

/** X with A X = x from a packed LU; see linalg.luSolve. */
export function luSolve(x: Tensor, packed: Tensor, pivots: Tensor): Tensor {
  return linalg.luSolve(packed, pivots, x);
}

/** X with A X = x of triangular matrices, and A; see linalg.solveTriangular. */
export function triangularSolve(
  x: Tensor,
  a: Tensor,
  upper = true,
  transpose = false,
  unitriangular = false,
): { readonly solution: Tensor; readonly clonedCoefficient: Tensor } {
  const solution = systems.triangular('triangularSolve', transpose ? a.mT : a, x, {
    upper: upper !== transpose,
    unitriangular,
  });
  return { solution, clonedCoefficient: a };
}

/** The largest singular values and their vectors; exact, where PyTorch's are approximate. */
export function svdLowrank(
  x: Tensor,
  options: { readonly q?: number; readonly niter?: number; readonly mean?: Tensor | null } = {},
): { readonly u: Tensor; readonly s: Tensor; readonly v: Tensor } {
  return factor.svdLowrank(x, options);
}

/** Principal components: svdLowrank of the centred rows. */
export function pcaLowrank(
  x: Tensor,
  options: { readonly q?: number | null; readonly center?: boolean; readonly niter?: number } = {},
): { readonly u: Tensor; readonly s: Tensor; readonly v: Tensor } {
  return factor.pcaLowrank(x, options);
}

/** linalg.inv. */
export function inverse(x: Tensor): Tensor {
  return linalg.inv(x);
}

/** linalg.pinv with singular values up to rcond times the largest left out. */
export function pinverse(x: Tensor, rcond = 1e-15): Tensor {
  return linalg.pinv(x, { rtol: rcond });
}

/** linalg.det. */
export function det(x: Tensor): Tensor {
  return linalg.det(x);
}

/** The logarithm of the determinant; NaN where it is negative. */
export function logdet(x: Tensor): Tensor {
  const { sign, logabsdet } = linalg.slogdet(x);
  return sign.lt(0).where(Number.NaN, logabsdet);
}

/** linalg.slogdet. */
export function slogdet(x: Tensor): { readonly sign: Tensor; readonly logabsdet: Tensor } {
  return linalg.slogdet(x);
}

/** linalg.matrixPower. */
export function matrixPower(x: Tensor, n: number): Tensor {
  return linalg.matrixPower(x, n);
}

/** linalg.matrixExp. */
export function matrixExp(x: Tensor): Tensor {
  return linalg.matrixExp(x);
}
