/**
 * Linear systems with matrices f32 or f64, inverses, determinants, least squares. `solve` and `inv` of a singular
 * matrix fail when their values are computed; the `...Ex` functions give infinities and NaN instead, and say where.
 */
import { sizeOf } from '../../graph/shape.ts';
import { shapeText } from '../convert.ts';
import { arange, eye, zeros } from '../creation.ts';
import { customGrad } from '../customGrad.ts';
import { stack } from '../joins.ts';
import { checkTensor, checkWhole, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { lowerOf, luFactor, permutationFrom, singularOf, svdvals, upperOf } from './factor.ts';
import {
  checkedBy,
  checkMatrix,
  checkSameDType,
  checkSquare,
  colsOf,
  identityLike,
  routine,
  rowsOf,
  sameBatch,
  solveLower,
  solveUpper,
  symmetricOf,
  withUnitDiagonal,
} from './matrices.ts';
import { type Tolerance, toleranceOf } from './tolerance.ts';

const vectors = (a: Tensor, b: Tensor): boolean =>
  b.ndim === 1 || (b.ndim === a.ndim - 1 && shapeText(b.shape) === shapeText(a.shape.slice(0, -1)));

/**
 * X with A X = B (or with `left` false X A = B): a [..., n, n]; b [..., n, k], or vectors [n] or of a's batch [..., n].
 * Leading dims broadcast.
 * @throws Error when the value is computed, where a matrix is singular
 */
export function solve(a: Tensor, b: Tensor, options: { readonly left?: boolean } = {}): Tensor {
  checkOptions('linalg.solve', options, ['left']);
  return solveNamed('linalg.solve', a, b, options.left ?? true, true);
}

/** i32 [...]: 1 where the solution of finite matrices is not finite, which is what a pivot of 0 leaves. */
function unsolved(a: Tensor, b: Tensor, x: Tensor): Tensor {
  const finite = (y: Tensor): Tensor => y.detach().isfinite().all(-1).all(-1);
  return finite(a).logicalAnd(finite(b)).logicalAnd(finite(x).logicalNot()).to('i32');
}

function solveNamed(op: string, a: Tensor, b: Tensor, left: boolean, checked = false): Tensor {
  checkSquare(op, 'a', a);
  checkTensor(op, 'b', b);
  checkSameDType(op, 'a', a, 'b', b);
  const n = rowsOf(a);
  if (vectors(a, b)) {
    if (b.shape.at(-1) !== n) throw new RangeError(`${op}: b: expected ${n} elements, got ${shapeText(b.shape)}`);
    const column = solveNamed(op, left ? a : a.mT, b.unsqueeze(-1), true, checked);
    return column.squeeze(-1);
  }
  checkMatrix(op, 'b', b);
  if (!left) return solveNamed(op, a.mT, b.mT, true, checked).mT;
  if (rowsOf(b) !== n)
    throw new RangeError(`${op}: a and b do not fit: ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
  const [matrices, right] = sameBatch(op, a, b);
  const x = routine('solve', matrices!, right!);
  if (!checked) return x;
  const sentence = `${op}: the matrix is singular: the system has no single solution (solveEx returns info instead)`;
  return checkedBy(x, unsolved(matrices!, right!, x), sentence);
}

/** solve, and i32 info [...]: 0, or the position (from 1) of the first pivot that is zero. */
export function solveEx(
  a: Tensor,
  b: Tensor,
  options: { readonly left?: boolean } = {},
): { readonly result: Tensor; readonly info: Tensor } {
  checkOptions('linalg.solveEx', options, ['left']);
  return {
    result: solveNamed('linalg.solveEx', a, b, options.left ?? true),
    info: singularOf(luFactor(a.detach()).lu),
  };
}

export interface TriangularOptions {
  /** Which triangle of `a` is read. */
  readonly upper: boolean;
  /** X A = B instead of A X = B when false. */
  readonly left?: boolean;
  /** Ones on the diagonal, whatever is there. */
  readonly unitriangular?: boolean;
}

/** X with A X = B of triangular matrices a [..., n, n], b [..., n, k]. Leading dims broadcast. */
export function solveTriangular(a: Tensor, b: Tensor, options: TriangularOptions): Tensor {
  return triangular('linalg.solveTriangular', a, b, options);
}

/** The same under another function's name. */
export function triangular(op: string, a: Tensor, b: Tensor, options: TriangularOptions): Tensor {
  checkOptions(op, options, ['upper', 'left', 'unitriangular']);
  const { upper, left = true, unitriangular = false } = options;
  checkSquare(op, 'a', a);
  checkMatrix(op, 'b', b);
  checkSameDType(op, 'a', a, 'b', b);
  if (!left) return triangular(op, a.mT, b.mT, { upper: !upper, unitriangular }).mT;
  if (rowsOf(a) !== rowsOf(b))
    throw new RangeError(`${op}: a and b do not fit: ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
  const [matrices, right] = sameBatch(op, a, b) as [Tensor, Tensor];
  const used = unitriangular ? withUnitDiagonal(matrices, upper) : matrices;
  return upper ? solveUpper(used, right) : solveLower(used, right);
}

/**
 * X with A X = B (Aᵀ X = B with `adjoint`, X A = B with `left` false) from luFactor's lu [..., n, n] and pivots; b
 * [..., n, k].
 */
export function luSolve(
  lu: Tensor,
  pivots: Tensor,
  b: Tensor,
  options: { readonly left?: boolean; readonly adjoint?: boolean } = {},
): Tensor {
  const { left = true, adjoint = false } = checkOptions('linalg.luSolve', options, ['left', 'adjoint']);
  checkSquare('linalg.luSolve', 'lu', lu);
  checkMatrix('linalg.luSolve', 'b', b);
  checkSameDType('linalg.luSolve', 'lu', lu, 'b', b);
  if (!left) return luSolve(lu, pivots, b.mT, { adjoint: !adjoint }).mT;
  if (rowsOf(lu) !== rowsOf(b))
    throw new RangeError(`linalg.luSolve: lu and b do not fit: ${shapeText(lu.shape)} and ${shapeText(b.shape)}`);
  const order = permutationFrom('linalg.luSolve', pivots, rowsOf(lu), lu);
  const [p, packed, right] = sameBatch('linalg.luSolve', order, lu, b) as [Tensor, Tensor, Tensor];
  const [l, u] = [lowerOf(packed), upperOf(packed)];
  if (!adjoint) return solveUpper(u, solveLower(l, p.mT.matmul(right)));
  return p.matmul(solveUpper(l.mT, solveLower(u.mT, right)));
}

/**
 * The inverse of matrices [..., n, n].
 * @throws Error when the value is computed, where a matrix is singular; `invEx` tells instead
 */
export function inv(x: Tensor): Tensor {
  checkSquare('linalg.inv', 'input', x);
  const { inverse, info } = invEx(x);
  return checkedBy(
    inverse,
    info,
    'linalg.inv: the input is singular: the diagonal element {} of its factor U is 0 (invEx returns info instead)',
  );
}

/**
 * inv with infinities and NaN of singular matrices, and i32 info [...]: 0, or the position (from 1) of the first pivot
 * that is zero.
 */
export function invEx(x: Tensor): { readonly inverse: Tensor; readonly info: Tensor } {
  checkSquare('linalg.invEx', 'input', x);
  return { inverse: routine('solve', x, identityLike(x)), info: singularOf(luFactor(x.detach()).lu) };
}

/** The determinant [...] of matrices [..., n, n]. Singular matrices have a gradient, too. */
export function det(x: Tensor): Tensor {
  checkSquare('linalg.det', 'input', x);
  return routine('det', x).reshape(x.shape.slice(0, -2));
}

/** Sign and logarithm of the absolute determinant, each [...]; 0 and -infinity of singular matrices. */
export function slogdet(x: Tensor): { readonly sign: Tensor; readonly logabsdet: Tensor } {
  checkSquare('linalg.slogdet', 'input', x);
  const { lu, pivots } = luFactor(x);
  const diagonal = lu.diagonal(0, -2, -1);
  const kept = pivots.eq(arange(1, pivots.shape.at(-1)! + 1, 1, { dtype: 'i32' }));
  const swaps = kept.where(1, -1).to(x.dtype).prod(-1);
  return { sign: diagonal.detach().sign().prod(-1).mul(swaps), logabsdet: diagonal.abs().log().sum(-1) };
}

/**
 * The Moore-Penrose inverse [..., n, m] of matrices [..., m, n], of singular values above max(atol, rtol * the
 * largest). `hermitian` reads the lower triangle of symmetric matrices only; its gradient is PyTorch's, that of
 * matrices of any kind at x as it came.
 */
export function pinv(
  x: Tensor,
  options: Tolerance & { readonly rcond?: number | Tensor | null; readonly hermitian?: boolean } = {},
): Tensor {
  checkOptions('linalg.pinv', options, ['atol', 'rtol', 'rcond', 'hermitian']);
  checkMatrix('linalg.pinv', 'input', x);
  const { atol, rtol } = toleranceOf('linalg.pinv', x, { ...options, rtol: options.rtol ?? options.rcond });
  const batch = x.shape.slice(0, -2);
  const pair = stack([atol.expand(batch), rtol.expand(batch)], -1).unsqueeze(-2);
  const bounds = pair.detach();
  if (!options.hermitian) return routine('pinv', x, bounds);
  checkSquare('linalg.pinv', 'input', x);
  return customGrad((a: Tensor) => routine('pinv', symmetricOf('linalg.pinv', a), bounds), {
    vjp: (cotangent, p, a) => [pinvCotangent(cotangent, p, a)],
  })(x);
}

/** The cotangent of square matrices a by that of their pseudo-inverses p (Golub and Pereyra 1973). */
function pinvCotangent(cotangent: Tensor, p: Tensor, a: Tensor): Tensor {
  const g = cotangent.mT;
  const gp = g.matmul(p);
  const left = gp.matmul(p.mT);
  const right = p.mT.matmul(p).matmul(g.sub(gp.matmul(a)));
  return left.sub(a.matmul(p).matmul(left)).add(right).sub(p.matmul(gp).mT);
}

export type LstsqDriver = 'gels' | 'gelsy' | 'gelss' | 'gelsd';

export interface Lstsq {
  /** [..., n, k], or vectors [..., n]. */
  readonly solution: Tensor;
  /** [..., k] sums of squares where m > n, else [0]; gelsy has none. */
  readonly residuals: Tensor;
  /** i64 [...], [0] for gels. */
  readonly rank: Tensor;
  /** [..., min(m, n)] for gelss and gelsd, else [0]. */
  readonly singularValues: Tensor;
}

/**
 * X that minimises |A X - B| (and |X| where there are several): a [..., m, n]; b [..., m, k], or vectors of a's batch.
 * Singular values up to rcond (max(m, n) times the dtype's precision by default) times the largest count as 0. The
 * drivers differ in what comes beside the solution.
 */
export function lstsq(
  a: Tensor,
  b: Tensor,
  rcond: number | null = null,
  options: { readonly driver?: LstsqDriver | null } = {},
): Lstsq {
  checkOptions('linalg.lstsq', options, ['driver']);
  const op = 'linalg.lstsq';
  checkMatrix(op, 'a', a);
  checkTensor(op, 'b', b);
  checkSameDType(op, 'a', a, 'b', b);
  const driver = options.driver ?? 'gelsy';
  if (!['gels', 'gelsy', 'gelss', 'gelsd'].includes(driver))
    throw new RangeError(`${op}: driver: expected gels, gelsy, gelss or gelsd, got ${String(driver)}`);
  const [m, n] = [rowsOf(a), colsOf(a)];
  const isVector = vectors(a, b);
  const right = isVector ? b.unsqueeze(-1) : b;
  checkMatrix(op, 'b', right);
  if (rowsOf(right) !== m)
    throw new RangeError(`${op}: a and b do not fit: ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
  const [matrices, columns] = sameBatch(op, a, right) as [Tensor, Tensor];
  const found = pinv(matrices, driver === 'gels' ? { rtol: 0 } : { rtol: rcond }).matmul(columns);
  const none = zeros([0], { dtype: a.dtype });
  const singular = driver === 'gelss' || driver === 'gelsd' ? svdvals(a.detach()) : none;
  const residuals =
    m > n && driver !== 'gelsy'
      ? matrices.detach().matmul(found.detach()).sub(columns.detach()).square().sum(-2)
      : none;
  return {
    solution: isVector ? found.squeeze(-1) : found,
    residuals,
    rank: driver === 'gels' ? zeros([0], { dtype: 'i64' }) : rankOf(a, rcond),
    singularValues: singular,
  };
}

function rankOf(a: Tensor, rcond: number | null): Tensor {
  const values = svdvals(a.detach());
  if (values.shape.at(-1) === 0) return values.sum(-1).long();
  const { rtol } = toleranceOf('linalg.lstsq', a, { rtol: rcond });
  return values.gt(values.narrow(-1, 0, 1).mul(rtol)).sum(-1);
}

/**
 * The inverse of the map from the last dims to the first `ind` dims, which have as many elements: of shape [...last
 * dims, ...first dims].
 */
export function tensorinv(x: Tensor, ind = 2): Tensor {
  checkTensor('linalg.tensorinv', 'input', x);
  checkWhole('linalg.tensorinv', 'ind', ind, 1);
  const [first, last] = [x.shape.slice(0, ind), x.shape.slice(ind)];
  if (sizeOf(first) !== sizeOf(last))
    throw new RangeError(
      `linalg.tensorinv: input: expected as many elements before dim ${ind} as from it on, got ${shapeText(x.shape)}`,
    );
  const matrix = x.reshape([sizeOf(first), sizeOf(last)]);
  checkSquare('linalg.tensorinv', 'input', matrix);
  return inv(matrix).reshape([...last, ...first]);
}

/** X with tensordot(A, X, X.ndim) = B: a is B's shape and then X's, after moving `dims` to its end. */
export function tensorsolve(a: Tensor, b: Tensor, dims?: readonly number[] | null): Tensor {
  const op = 'linalg.tensorsolve';
  checkTensor(op, 'a', a);
  checkTensor(op, 'b', b);
  const taken = (dims ?? []).map(d => normalDim(op, d, a.ndim));
  const moved = a.permute([...a.shape.map((_, d) => d).filter(d => !taken.includes(d)), ...taken]);
  const shape = moved.shape.slice(b.ndim);
  if (sizeOf(shape) !== b.numel() || moved.numel() !== b.numel() ** 2)
    throw new RangeError(`${op}: a and b do not fit: ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
  return solveNamed(op, moved.reshape([b.numel(), b.numel()]), b.reshape([-1]), true).reshape(shape);
}

/** (L Lᵀ)⁻¹ B from a Cholesky factor l [..., n, n] (lower, or `upper`) and b [..., n, k]. */
export function choleskySolve(b: Tensor, l: Tensor, upper = false): Tensor {
  const op = 'choleskySolve';
  checkSquare(op, 'factor', l);
  const lower = upper ? l.mT : l;
  if (!l.requiresGrad) return triangular(op, lower.mT, triangular(op, lower, b, { upper: false }), { upper: true });
  // As in PyTorch the gradient is that of all elements, of which only the triangle has a value.
  const above = lower.triu(1);
  const factor = lower.tril().add(above.sub(above.detach()));
  return solveNamed(op, factor.mT, solveNamed(op, factor, b, true), true);
}

/** (L Lᵀ)⁻¹ from a Cholesky factor l [..., n, n] (lower, or `upper`). */
export function choleskyInverse(l: Tensor, upper = false): Tensor {
  checkSquare('choleskyInverse', 'input', l);
  return choleskySolve(eye(rowsOf(l), rowsOf(l), { dtype: l.dtype }).expand(l.shape), l, upper);
}
