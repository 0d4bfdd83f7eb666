/**
 * torch.linalg, as far as products and norms go: what needs no factorisation.
 */
import type { DType } from '../graph/dtype.ts';
import { shapeText } from './convert.ts';
import { eye } from './creation.ts';
import { stack } from './joins.ts';
import { checkFloat, checkTensor, checkWhole, normalDim } from './operands.ts';
import type { Dims } from './ops/reduce.ts';
import type { Tensor } from './tensor.ts';

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

/**
 * A norm of matrices over two dims (the last two by default): 'fro', 1 and -1 (largest and smallest column sum), Infinity and -Infinity
 * (row sums). Norms that need singular values are not there.
 */
export function matrixNorm(
  x: Tensor,
  p: number | 'fro' | 'nuc' = 'fro',
  dim: readonly number[] = [-2, -1],
  options: NormOptions = {},
): Tensor {
  checkTensor('linalg.matrixNorm', 'input', x);
  const input = options.dtype ? x.to(options.dtype) : x;
  checkFloat('linalg.matrixNorm', 'input', input);
  if (dim.length !== 2) throw new RangeError(`linalg.matrixNorm: dim: expected two dims, got ${shapeText(dim)}`);
  const [rows, cols] = dim.map(d => normalDim('linalg.matrixNorm', d, x.ndim)) as [number, number];
  if (rows === cols || x.ndim < 2)
    throw new RangeError(`linalg.matrixNorm: dim: expected two different dims of ${shapeText(x.shape)}`);
  const { keepdim = false } = options;
  if (p === 'fro') return input.norm(2, [rows, cols], { keepdim });
  const along =
    p === 1 || p === -1 ? rows : p === Number.POSITIVE_INFINITY || p === Number.NEGATIVE_INFINITY ? cols : -1;
  if (along < 0)
    throw new RangeError(`linalg.matrixNorm: p: expected fro, 1, -1, Infinity or -Infinity, got ${String(p)}`);
  const other = along === rows ? cols : rows;
  const sums = input.abs().sum(along, { keepdim: true });
  const found = (p as number) > 0 ? sums.amax(other, { keepdim: true }) : sums.amin(other, { keepdim: true });
  return keepdim ? found : found.squeeze([rows, cols]);
}

/**
 * vectorNorm of everything without p and dim; of one dim, or of a vector; matrixNorm of two dims, or of a matrix with p.
 */
export function norm(x: Tensor, p?: number | 'fro' | 'nuc' | null, dim?: Dims, options: NormOptions = {}): Tensor {
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

/** Inner products along `dim` (-1), which is left out; other dims broadcast. */
export function vecdot(x: Tensor, other: Tensor, options: { readonly dim?: number } = {}): Tensor {
  checkTensor('linalg.vecdot', 'input', x);
  checkTensor('linalg.vecdot', 'other', other);
  return x.mul(other).sum(options.dim ?? -1);
}

/** The cross product of vectors of 3 along `dim` (-1). */
export function cross(x: Tensor, other: Tensor, options: { readonly dim?: number } = {}): Tensor {
  return x.cross(other, { dim: options.dim ?? -1 });
}

/** The product of matrices in the cheapest order; the first and the last may be vectors. */
export function multiDot(tensors: readonly Tensor[]): Tensor {
  if (tensors.length < 2) throw new RangeError(`linalg.multiDot: expected at least two tensors, got ${tensors.length}`);
  const first = tensors[0]!.ndim === 1;
  const last = tensors[tensors.length - 1]!.ndim === 1;
  const matrices = tensors.map((tensor, i) => {
    checkTensor('linalg.multiDot', `tensors[${i}]`, tensor);
    const inside = i > 0 && i < tensors.length - 1;
    if (tensor.ndim !== 2 && (inside || tensor.ndim !== 1))
      throw new RangeError(`linalg.multiDot: tensors[${i}]: expected 2 dims, got ${shapeText(tensor.shape)}`);
    return tensor.ndim === 2 ? tensor : tensor.unsqueeze(i === 0 ? 0 : 1);
  });
  matrices.forEach((matrix, i) => {
    if (i > 0 && matrices[i - 1]!.shape[1] !== matrix.shape[0])
      throw new RangeError(
        `linalg.multiDot: inner sizes differ: ${shapeText(matrices[i - 1]!.shape)} x ${shapeText(matrix.shape)}`,
      );
  });
  let product = cheapest(matrices);
  if (first) product = product.squeeze(0);
  if (last) product = product.squeeze(-1);
  return product;
}

/** The textbook dynamic programme over split points. */
function cheapest(matrices: readonly Tensor[]): Tensor {
  const n = matrices.length;
  const size = [matrices[0]!.shape[0]!, ...matrices.map(matrix => matrix.shape[1]!)];
  const cost = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  const cut = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  for (let span = 1; span < n; span++)
    for (let i = 0; i + span < n; i++) {
      const j = i + span;
      cost[i]![j] = Number.POSITIVE_INFINITY;
      for (let k = i; k < j; k++) {
        const total = cost[i]![k]! + cost[k + 1]![j]! + size[i]! * size[k + 1]! * size[j + 1]!;
        if (total < cost[i]![j]!) {
          cost[i]![j] = total;
          cut[i]![j] = k;
        }
      }
    }
  const multiply = (i: number, j: number): Tensor =>
    i === j ? matrices[i]! : multiply(i, cut[i]![j]!).matmul(multiply(cut[i]![j]! + 1, j));
  return multiply(0, n - 1);
}

/** A square matrix times itself, n >= 0 times in all. */
export function matrixPower(x: Tensor, n: number): Tensor {
  checkTensor('linalg.matrixPower', 'input', x);
  checkWhole('linalg.matrixPower', 'n', n, 0);
  const size = x.shape.at(-1);
  if (x.ndim < 2 || x.shape.at(-2) !== size)
    throw new RangeError(`linalg.matrixPower: input: expected square matrices, got ${shapeText(x.shape)}`);
  if (n === 0) return eye(size!, size!, { dtype: x.dtype }).expand(x.shape);
  let result: Tensor | null = null;
  let square = x;
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = result ? result.matmul(square) : square;
    if (rest > 1) square = square.matmul(square);
  }
  return result!;
}

/** The Vandermonde matrix: powers 0 to N - 1 (N the length by default) of each element as its row. */
export function vander(x: Tensor, options: { readonly N?: number | null } = {}): Tensor {
  checkTensor('linalg.vander', 'input', x);
  if (x.ndim === 0) throw new RangeError('linalg.vander: input: expected at least one dim, got []');
  const count = options.N ?? x.shape.at(-1)!;
  checkWhole('linalg.vander', 'N', count, 1);
  const input = x.dtype === 'bool' || x.dtype === 'u8' || x.dtype === 'i8' || x.dtype === 'i32' ? x.long() : x;
  const powers = [input.mul(0).add(1)];
  while (powers.length < count) powers.push(powers[powers.length - 1]!.mul(input));
  return stack(powers, -1);
}
