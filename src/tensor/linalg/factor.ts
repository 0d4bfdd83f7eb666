/**
 * Factorisations of matrices f32 or f64 [..., m, n], batched over leading dims, computed in f64. Gradients of every
 * order, as long as the factors are unique: singular values, eigenvalues and pivots that are zero or equal have none.
 */
import { shapeText } from '../convert.ts';
import { arange, eye, zeros } from '../creation.ts';
import { cat } from '../joins.ts';
import { checkInt, checkTensor } from '../operands.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import {
  checkedBy,
  checkMatrix,
  checkSameDType,
  checkSquare,
  colsOf,
  columns,
  identityLike,
  routine,
  rows,
  rowsOf,
  solveUpper,
} from './matrices.ts';

/**
 * The lower (or with `upper` the upper) triangular factor of symmetric positive definite matrices, of which one
 * triangle is read (the lower one): A = L Lᵀ, or Uᵀ U.
 * @throws Error when the value is computed, where a matrix is not positive definite; `choleskyEx` tells instead
 */
export function cholesky(x: Tensor, options: { readonly upper?: boolean } = {}): Tensor {
  checkOptions('linalg.cholesky', options, ['upper']);
  checkSquare('linalg.cholesky', 'input', x);
  const { l, info } = choleskyEx(x, options);
  return checkedBy(
    l,
    info,
    'linalg.cholesky: the input is not positive definite: its leading minor of order {} is not (choleskyEx returns info instead)',
  );
}

/** The factor, NaN from the first pivot on that is not positive. */
function choleskyOf(x: Tensor, options: { readonly upper?: boolean }): Tensor {
  // The gradient is that of symmetric matrices, whichever triangle is read.
  return options.upper ? routine('cholesky', x.mT).mT : routine('cholesky', x);
}

/**
 * cholesky with NaN from the first pivot on that is not positive, and i32 info: 0, or the order (from 1) of the first
 * leading minor that is not positive.
 */
export function choleskyEx(
  x: Tensor,
  options: { readonly upper?: boolean } = {},
): { readonly l: Tensor; readonly info: Tensor } {
  checkOptions('linalg.choleskyEx', options, ['upper']);
  checkSquare('linalg.choleskyEx', 'input', x);
  const l = choleskyOf(x, options);
  return { l, info: firstOf(l.detach().diagonal(0, -2, -1).isnan()) };
}

/** i32 [...]: the position (from 1) of the first true one along the last dim, 0 where there is none. */
function firstOf(found: Tensor): Tensor {
  if (found.shape.at(-1) === 0) return found.any(-1).to('i32');
  return found.any(-1).where(found.to('u8').argmax(-1).add(1), 0).to('i32');
}

export interface PackedLU {
  /** `[..., m, n]`: L (with ones on its diagonal that are left out) below the diagonal, U from it on. */
  readonly lu: Tensor;
  /** i32 [..., min(m, n)]: the row (from 1) that row i was swapped with, in order. */
  readonly pivots: Tensor;
}

function factorLU(
  op: string,
  x: Tensor,
  pivot: boolean | undefined,
): { readonly packed: Tensor; readonly result: PackedLU } {
  checkMatrix(op, 'input', x);
  if (pivot === false) throw new RangeError(`${op}: pivot: false is not supported on the CPU`);
  const packed = routine('lu', x);
  const [m, n] = [rowsOf(x), colsOf(x)];
  const pivots = columns(packed, n, 1).squeeze(-1).narrow(-1, 0, Math.min(m, n)).to('i32');
  return { packed, result: { lu: columns(packed, 0, n), pivots } };
}

/** P L U = A by partial pivoting, packed as in LAPACK. */
export function luFactor(x: Tensor, options: { readonly pivot?: boolean } = {}): PackedLU {
  checkOptions('linalg.luFactor', options, ['pivot']);
  return factorLU('linalg.luFactor', x, options.pivot).result;
}

/** luFactor, and i32 info [...]: 0, or the position (from 1) of the first pivot that is zero. */
export function luFactorEx(
  x: Tensor,
  options: { readonly pivot?: boolean } = {},
): PackedLU & { readonly info: Tensor } {
  checkOptions('linalg.luFactorEx', options, ['pivot']);
  const { result } = factorLU('linalg.luFactorEx', x, options.pivot);
  return { ...result, info: singularOf(result.lu) };
}

/** i32 [...]: 0, or the position (from 1) of the first zero on U's diagonal. */
export const singularOf = (lu: Tensor): Tensor => firstOf(lu.detach().diagonal(0, -2, -1).eq(0));

/** P [..., m, m] of which column i has its one at row order[i]. */
const permutationOf = (order: Tensor, like: Tensor): Tensor =>
  arange(order.shape.at(-1)!, { dtype: 'i64' }).unsqueeze(-1).eq(order.long().unsqueeze(-2)).to(like.dtype);

/** The matrix P of a PackedLU whose matrix has m rows. */
export function permutationFrom(op: string, pivots: Tensor, m: number, like: Tensor): Tensor {
  checkInt(op, 'pivots', pivots);
  const k = pivots.shape.at(-1);
  if (k === undefined || k > m)
    throw new RangeError(`${op}: pivots: expected [..., at most ${m}], got ${shapeText(pivots.shape)}`);
  // Rows beyond the pivots stay where they are.
  const rest = arange(k + 1, m + 1, 1, { dtype: 'i32' }).expand([...pivots.shape.slice(0, -1), m - k]);
  const swaps = cat([pivots.to('i32'), rest], -1)
    .to(like.dtype)
    .unsqueeze(-2);
  return permutationOf(routine('permutation', swaps).squeeze(-2), like);
}

export const lowerOf = (lu: Tensor): Tensor => {
  const k = Math.min(rowsOf(lu), colsOf(lu));
  const l = columns(lu, 0, k);
  return l.tril(-1).add(identityLike(l));
};
export const upperOf = (lu: Tensor): Tensor => rows(lu, 0, Math.min(rowsOf(lu), colsOf(lu))).triu();

/** P L U = A: P [..., m, m] a permutation, L [..., m, k] with ones on its diagonal, U [..., k, n], k = min(m, n). */
export function lu(
  x: Tensor,
  options: { readonly pivot?: boolean } = {},
): { readonly p: Tensor; readonly l: Tensor; readonly u: Tensor } {
  checkOptions('linalg.lu', options, ['pivot']);
  const { packed, result } = factorLU('linalg.lu', x, options.pivot);
  const order = columns(packed.detach(), colsOf(x) + 1, 1).squeeze(-1);
  return { p: permutationOf(order, x), l: lowerOf(result.lu), u: upperOf(result.lu) };
}

/**
 * Reflections of Householder, packed as in LAPACK's geqrf: R from the diagonal on, vectors below it, and their factors
 * tau [..., min(m, n)]. No gradient; `linalg.qr` has one.
 */
export function geqrf(x: Tensor): { readonly a: Tensor; readonly tau: Tensor } {
  checkMatrix('geqrf', 'input', x);
  const [m, n] = [rowsOf(x), colsOf(x)];
  const packed = routine('geqrf', x.detach());
  return { a: rows(packed, 0, m), tau: rows(packed, m).squeeze(-2).narrow(-1, 0, Math.min(m, n)) };
}

/**
 * V [..., m, k] of reflections 1 - tau v vᵀ, and T x, Tᵀ x of their compact form 1 - V T Vᵀ (Schreiber and Van Loan
 * 1989).
 */
function compactForm(op: string, x: Tensor, tau: Tensor) {
  checkMatrix(op, 'input', x);
  checkTensor(op, 'tau', tau);
  checkSameDType(op, 'input', x, 'tau', tau);
  const [m, n] = [rowsOf(x), colsOf(x)];
  const k = tau.shape.at(-1);
  const batch = x.shape.slice(0, -2);
  if (k === undefined || k > n || shapeText(tau.shape) !== shapeText([...batch, k]))
    throw new RangeError(
      `${op}: tau: expected [${[...batch, ''].join(', ')}at most ${n}], got ${shapeText(tau.shape)}`,
    );
  const packed = columns(x, 0, k);
  const v = packed.tril(-1).add(eye(m, k, { dtype: x.dtype }));
  // T = (1 + diag(tau) striu(Vᵀ V))⁻¹ diag(tau), also for factors that are 0.
  const factors = tau.unsqueeze(-1);
  const unit = v.mT
    .matmul(v)
    .triu(1)
    .mul(factors)
    .add(eye(k, k, { dtype: x.dtype }));
  return {
    v,
    times: (y: Tensor): Tensor => solveUpper(unit, factors.mul(y)),
    timesTransposed: (y: Tensor): Tensor => factors.mul(routine('solveTriangular', unit.mT, y)),
  };
}

/**
 * The first n columns [..., m, n] of the product of the reflections that geqrf packs: input [..., m, n] with m >= n,
 * tau [..., k], k <= n.
 */
export function householderProduct(x: Tensor, tau: Tensor): Tensor {
  const { v, times } = compactForm('linalg.householderProduct', x, tau);
  const n = colsOf(x);
  if (n > rowsOf(x))
    throw new RangeError(
      `linalg.householderProduct: input: expected at least as many rows as columns, got ${shapeText(x.shape)}`,
    );
  return identityLike(x).sub(v.matmul(times(columns(v.mT, 0, n))));
}

/**
 * Q C, Qᵀ C (`transpose`), C Q or C Qᵀ (`left` false) of the orthogonal Q [m, m] that geqrf packs in input [..., m, n]
 * and tau.
 */
export function ormqr(x: Tensor, tau: Tensor, other: Tensor, left = true, transpose = false): Tensor {
  const { v, times, timesTransposed } = compactForm('ormqr', x, tau);
  checkMatrix('ormqr', 'other', other);
  checkSameDType('ormqr', 'input', x, 'other', other);
  const [m, size] = [rowsOf(x), left ? rowsOf(other) : colsOf(other)];
  if (m !== size)
    throw new RangeError(`ormqr: other: expected ${m} ${left ? 'rows' : 'columns'}, got ${shapeText(other.shape)}`);
  if (!left) return ormqr(x, tau, other.mT, true, !transpose).mT;
  const inner = v.mT.matmul(other);
  return other.sub(v.matmul(transpose ? timesTransposed(inner) : times(inner)));
}

export type QRMode = 'reduced' | 'complete' | 'r';

/**
 * Q R = A with orthonormal columns in Q and an upper triangular R, signs as in LAPACK. 'reduced': Q [..., m, k], R
 * [..., k, n], k = min(m, n); 'complete': Q [..., m, m], R [..., m, n], without a gradient where m > n; 'r': an empty
 * Q.
 */
export function qr(x: Tensor, mode: QRMode = 'reduced'): { readonly q: Tensor; readonly r: Tensor } {
  checkMatrix('linalg.qr', 'input', x);
  if (mode !== 'reduced' && mode !== 'complete' && mode !== 'r')
    throw new RangeError(`linalg.qr: mode: expected reduced, complete or r, got ${String(mode)}`);
  const [m, n] = [rowsOf(x), colsOf(x)];
  if (mode === 'complete' && m > n) {
    const { a, tau } = geqrf(x);
    const wide = cat([a, zeros([...a.shape.slice(0, -1), m - n], { dtype: a.dtype })], -1);
    return { q: householderProduct(wide, tau), r: a.triu() };
  }
  const packed = routine('qr', x);
  const r = rows(packed, m).mT;
  return mode === 'r' ? { q: zeros([0], { dtype: x.dtype }), r } : { q: rows(packed, 0, m), r };
}

export interface SVD {
  /** [..., m, k], or [..., m, m] with full matrices. */
  readonly u: Tensor;
  /** [..., k] in descending order. */
  readonly s: Tensor;
  /** [..., k, n], or [..., n, n]: V transposed. */
  readonly vh: Tensor;
}

/** Columns [..., m, k] that are orthonormal, completed to a basis [..., m, m]. No gradient flows into the new ones. */
const completed = (u: Tensor): Tensor => {
  const [m, k] = [rowsOf(u), colsOf(u)];
  return m === k ? u : cat([u, columns(qr(u.detach(), 'complete').q, k)], -1);
};

/**
 * U diag(S) Vh = A, k = min(m, n), by implicit zero-shift QR iterations on its bidiagonal form; the signs of vectors
 * are those of LAPACK's gesdd.
 */
export function svd(x: Tensor, options: { readonly fullMatrices?: boolean } = {}): SVD {
  checkOptions('linalg.svd', options, ['fullMatrices']);
  checkMatrix('linalg.svd', 'input', x);
  const m = rowsOf(x);
  const packed = routine('svd', x);
  const [u, s, v] = [rows(packed, 0, m), rows(packed, m, 1).squeeze(-2), rows(packed, m + 1)];
  if (options.fullMatrices === false) return { u, s, vh: v.mT };
  return { u: completed(u), s, vh: completed(v).mT };
}

/** Singular values [..., min(m, n)] in descending order. */
export function svdvals(x: Tensor): Tensor {
  checkMatrix('linalg.svdvals', 'input', x);
  return rows(routine('svd', x), rowsOf(x), 1).squeeze(-2);
}

/** Which triangle of a symmetric matrix is read. */
export type Triangle = 'L' | 'U';

function checkTriangle(op: string, triangle: Triangle): void {
  if (triangle !== 'L' && triangle !== 'U')
    throw new RangeError(`${op}: uplo: expected L or U, got ${String(triangle)}`);
}

/**
 * Eigenvalues [..., n] in ascending order and eigenvectors [..., n, n] (columns, with LAPACK's signs) of symmetric
 * matrices, of which one triangle is read, by QL iterations on their tridiagonal form. The gradient is that of the
 * symmetric matrix.
 */
export function eigh(x: Tensor, uplo: Triangle = 'L'): { readonly eigenvalues: Tensor; readonly eigenvectors: Tensor } {
  checkSquare('linalg.eigh', 'input', x);
  checkTriangle('linalg.eigh', uplo);
  const packed = routine(uplo === 'U' ? 'eighUpper' : 'eigh', x);
  return { eigenvalues: rows(packed, 0, 1).squeeze(-2), eigenvectors: rows(packed, 1) };
}

/** Eigenvalues [..., n] of symmetric matrices in ascending order. */
export function eigvalsh(x: Tensor, uplo: Triangle = 'L'): Tensor {
  checkSquare('linalg.eigvalsh', 'input', x);
  checkTriangle('linalg.eigvalsh', uplo);
  return eigh(x, uplo).eigenvalues;
}

export interface LDL {
  /** `[..., n, n]`: L below the diagonal blocks of D. */
  readonly ld: Tensor;
  /** i32 [..., n] as of LAPACK's sytrf: from 1, negative and twice for blocks of two rows. */
  readonly pivots: Tensor;
}

/** L D Lᵀ of symmetric matrices (the lower triangle is read) by Bunch-Kaufman pivoting. No gradient. */
export function ldlFactor(x: Tensor): LDL {
  checkSquare('linalg.ldlFactor', 'input', x);
  const packed = routine('ldl', x.detach());
  const n = colsOf(x);
  return { ld: columns(packed, 0, n), pivots: columns(packed, n).squeeze(-1).to('i32') };
}

/** ldlFactor, and i32 info [...]: 0, or the position (from 1) of the first block of D that is zero. */
export function ldlFactorEx(x: Tensor): LDL & { readonly info: Tensor } {
  const { ld, pivots } = ldlFactor(x);
  return { ld, pivots, info: firstOf(ld.diagonal(0, -2, -1).eq(0).logicalAnd(pivots.gt(0))) };
}

/** X [..., n, k] with A X = B, A as ldlFactor gives it. No gradient. */
export function ldlSolve(ld: Tensor, pivots: Tensor, b: Tensor): Tensor {
  checkSquare('linalg.ldlSolve', 'ld', ld);
  checkInt('linalg.ldlSolve', 'pivots', pivots);
  checkMatrix('linalg.ldlSolve', 'b', b);
  checkSameDType('linalg.ldlSolve', 'ld', ld, 'b', b);
  const n = rowsOf(ld);
  const batch = ld.shape.slice(0, -2);
  if (shapeText(pivots.shape) !== shapeText([...batch, n]) || rowsOf(b) !== n)
    throw new RangeError(
      `linalg.ldlSolve: pivots ${shapeText(pivots.shape)} and b ${shapeText(b.shape)} do not fit ld ${shapeText(ld.shape)}`,
    );
  const packed = cat([ld, pivots.to(ld.dtype).unsqueeze(-1)], -1).detach();
  return routine('ldlSolve', packed, b.detach().expand([...batch, n, colsOf(b)]));
}

/**
 * The q largest singular values of x - mean and their vectors: u [..., m, q], s [..., q], v [..., n, q]. Exact, where
 * PyTorch's is approximate; niter says nothing here.
 */
export function svdLowrank(
  x: Tensor,
  options: { readonly q?: number; readonly niter?: number; readonly mean?: Tensor | null } = {},
): { readonly u: Tensor; readonly s: Tensor; readonly v: Tensor } {
  const { q = 6, mean } = checkOptions('svdLowrank', options, ['q', 'niter', 'mean']);
  checkMatrix('svdLowrank', 'input', x);
  const { u, s, vh } = svd(mean ? x.sub(mean) : x, { fullMatrices: false });
  const count = Math.min(q, s.shape.at(-1)!);
  return { u: columns(u, 0, count), s: s.narrow(-1, 0, count), v: columns(vh.mT, 0, count) };
}

/** svdLowrank of x with the mean of its columns taken off (`center`, true by default). */
export function pcaLowrank(
  x: Tensor,
  options: { readonly q?: number | null; readonly center?: boolean; readonly niter?: number } = {},
): { readonly u: Tensor; readonly s: Tensor; readonly v: Tensor } {
  const { center = true } = checkOptions('pcaLowrank', options, ['q', 'center', 'niter']);
  checkMatrix('pcaLowrank', 'input', x);
  const q = options.q ?? Math.min(6, rowsOf(x), colsOf(x));
  return svdLowrank(center ? x.sub(x.mean(-2, { keepdim: true })) : x, { q });
}
