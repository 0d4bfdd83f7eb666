/**
 * Norms of vectors and matrices, condition numbers, ranks.
 */
import type { DType } from '../../graph/dtype.ts';
import { shapeText } from '../convert.ts';
import { checkFloat, checkTensor, normalDim } from '../operands.ts';
import type { Dims } from '../ops/reduce.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { svdvals } from './factor.ts';
import { checkMatrix, checkSquare, symmetricOf } from './matrices.ts';
import { invEx } from './solve.ts';
import { type Tolerance, toleranceOf } from './tolerance.ts';

export interface NormOptions {
  readonly keepdim?: boolean;
  /** Converts first. */
  readonly dtype?: DType;
}

/** The p-norm (2 by default) of the elements over `dim`, all of them by default. */
export function vectorNorm(x: Tensor, p = 2, dim?: Dims, options: NormOptions = {}): Tensor {
  checkTensor('linalg.vectorNorm', 'input', x);
  return x.norm(p, dim, options);
}

export type MatrixOrder = number | 'fro' | 'nuc';

/**
 * A norm of matrices over two dims (the last two by default): 'fro', 'nuc' (sum of singular values), 2 and -2 (largest
 * and smallest singular value), 1 and -1 (largest and smallest column sum), Infinity and -Infinity (row sums).
 */
export function matrixNorm(
  x: Tensor,
  p: MatrixOrder = 'fro',
  dim: readonly number[] = [-2, -1],
  options: NormOptions = {},
): Tensor {
  checkOptions('linalg.matrixNorm', options, ['keepdim', 'dtype']);
  checkTensor('linalg.matrixNorm', 'input', x);
  const input = options.dtype ? x.to(options.dtype) : x;
  checkFloat('linalg.matrixNorm', 'input', input);
  if (dim.length !== 2) throw new RangeError(`linalg.matrixNorm: dim: expected two dims, got ${shapeText(dim)}`);
  const [rows, cols] = dim.map(d => normalDim('linalg.matrixNorm', d, x.ndim)) as [number, number];
  if (rows === cols || x.ndim < 2)
    throw new RangeError(`linalg.matrixNorm: dim: expected two different dims of ${shapeText(x.shape)}`);
  const { keepdim = false } = options;
  if (p === 'fro') return input.norm(2, [rows, cols], { keepdim });
  const shaped = (found: Tensor): Tensor => (keepdim ? found : found.squeeze([rows, cols]));
  if (p === 'nuc' || p === 2 || p === -2) {
    const values = svdvals(input.movedim([rows, cols], [-2, -1]));
    const found = p === 'nuc' ? values.sum(-1) : p === 2 ? values.amax(-1) : values.amin(-1);
    return shaped(found.unsqueeze(-1).unsqueeze(-1).movedim([-2, -1], [rows, cols]));
  }
  const along = Math.abs(p) === 1 ? rows : Math.abs(p) === Number.POSITIVE_INFINITY ? cols : -1;
  if (along < 0)
    throw new RangeError(
      `linalg.matrixNorm: p: expected fro, nuc, 1, -1, 2, -2, Infinity or -Infinity, got ${String(p)}`,
    );
  const other = along === rows ? cols : rows;
  const sums = input.abs().sum(along, { keepdim: true });
  return shaped(p > 0 ? sums.amax(other, { keepdim: true }) : sums.amin(other, { keepdim: true }));
}

/**
 * vectorNorm of everything without p and dim; of one dim, or of a vector; matrixNorm of two dims, or of a matrix with
 * p.
 */
export function norm(x: Tensor, p?: MatrixOrder | null, dim?: Dims, options: NormOptions = {}): Tensor {
  checkTensor('linalg.norm', 'input', x);
  const dims = dim === undefined || dim === null ? null : typeof dim === 'number' ? [dim] : dim;
  const given = p !== undefined && p !== null;
  if (dims?.length === 2 && (given || x.ndim >= 2)) return matrixNorm(x, p ?? 'fro', dims, options);
  if (!dims && given && x.ndim === 2) return matrixNorm(x, p, [0, 1], options);
  if (!dims && given && x.ndim > 2)
    throw new RangeError(`linalg.norm: dim: must be given for a tensor of ${x.ndim} dims with p`);
  if (p === 'nuc' || p === 'fro') throw new TypeError(`linalg.norm: p: ${p} is a norm of matrices`);
  return vectorNorm(x, p ?? 2, dims, options);
}

/**
 * The condition number of matrices f32 or f64 by a norm: 2 (null, the default) and -2 by singular values, of any shape;
 * the others of square matrices as norm(A) norm(A⁻¹).
 */
export function cond(x: Tensor, p: MatrixOrder | null = null): Tensor {
  checkMatrix('linalg.cond', 'input', x);
  if (p === null || p === 2 || p === -2) {
    const values = svdvals(x);
    const [first, last] = [values.select(-1, 0), values.select(-1, -1)];
    return p === -2 ? last.div(first) : first.div(last);
  }
  checkSquare('linalg.cond', 'input', x);
  return matrixNorm(x, p).mul(matrixNorm(invEx(x).inverse, p));
}

/**
 * i64 [...]: how many singular values of matrices [..., m, n] are above max(atol, rtol * the largest). rtol is max(m,
 * n) times the dtype's precision by default, and 0 with an atol; `hermitian` reads the lower triangle of symmetric
 * matrices only.
 */
export function matrixRank(x: Tensor, options: Tolerance & { readonly hermitian?: boolean } = {}): Tensor {
  checkOptions('linalg.matrixRank', options, ['atol', 'rtol', 'hermitian']);
  checkMatrix('linalg.matrixRank', 'input', x);
  const { atol, rtol } = toleranceOf('linalg.matrixRank', x, options);
  const values = svdvals(options.hermitian ? symmetricOf('linalg.matrixRank', x) : x);
  const batch = values.shape.slice(0, -1);
  if (values.shape.at(-1) === 0) return values.sum(-1).long();
  const least = rtol.mul(values.select(-1, 0)).maximum(atol).expand(batch);
  return values.gt(least.unsqueeze(-1)).sum(-1);
}
