/**
 * Products of vectors and matrices, powers and exponentials of matrices.
 */
import { bytesOf, isFloat } from '../../graph/dtype.ts';
import { shapeText } from '../convert.ts';
import { eye } from '../creation.ts';
import { stack } from '../joins.ts';
import { checkTensor, checkWhole, describe, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { checkSquare } from './matrices.ts';
import { inv, solveEx } from './solve.ts';

/** Inner products along `dim` (-1), which is left out; other dims broadcast. */
export function vecdot(x: Tensor, other: Tensor, options: { readonly dim?: number } = {}): Tensor {
  checkOptions('linalg.vecdot', options, ['dim']);
  checkTensor('linalg.vecdot', 'input', x);
  checkTensor('linalg.vecdot', 'other', other);
  return x.mul(other).sum(options.dim ?? -1);
}

/** The cross product of vectors of 3 along `dim` (-1). */
export function cross(x: Tensor, other: Tensor, options: { readonly dim?: number } = {}): Tensor {
  checkOptions('linalg.cross', options, ['dim']);
  checkTensor('linalg.cross', 'input', x);
  checkTensor('linalg.cross', 'other', other);
  const { dim = -1 } = options;
  if (x.ndim !== other.ndim)
    throw new RangeError(
      `linalg.cross: other: expected ${x.ndim} dims as the input, got ${shapeText(other.shape)} for ${shapeText(x.shape)}`,
    );
  const d = normalDim('linalg.cross', dim, x.ndim);
  if (x.shape[d] !== 3 || other.shape[d] !== 3)
    throw new RangeError(
      `linalg.cross: dim: expected a dim of size 3, got ${shapeText(x.shape)} and ${shapeText(other.shape)}`,
    );
  return x.cross(other, { dim: d - x.ndim });
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

/** A square matrix times itself, n times in all; of its inverse for a negative n. */
export function matrixPower(x: Tensor, n: number): Tensor {
  checkTensor('linalg.matrixPower', 'input', x);
  if (!Number.isSafeInteger(n))
    throw new TypeError(`linalg.matrixPower: n: expected a whole number, got ${describe(n)}`);
  const size = x.shape.at(-1);
  if (x.ndim < 2 || x.shape.at(-2) !== size)
    throw new RangeError(`linalg.matrixPower: input: expected square matrices, got ${shapeText(x.shape)}`);
  if (n === 0) return eye(size!, size!, { dtype: x.dtype }).expand(x.shape);
  if (n < 0) return matrixPower(inv(x), -n);
  let result: Tensor | null = null;
  let square = x;
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = result ? result.matmul(square) : square;
    if (rest > 1) square = square.matmul(square);
  }
  return result!;
}

/** Coefficients of the [13/13] Pade approximant of exp, and the largest 1-norm that it serves (Higham 2005). */
const PADE = [
  64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
  670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
];
const PADE_REACH = 5.371920351148152;
/** Squarings that there is room for: norms up to 9e7. */
const SQUARINGS = 24;

/**
 * The exponential of square matrices [..., n, n] of floats: scaling and squaring with a Pade approximant (Higham 2005),
 * in f64. How often a matrix is squared depends on its norm, so all matrices take part in all squarings.
 */
export function matrixExp(x: Tensor): Tensor {
  checkTensor('linalg.matrixExp', 'input', x);
  if (isFloat(x.dtype) && bytesOf(x.dtype) === 2) return matrixExp(x.to('f32')).to(x.dtype);
  checkSquare('matrixExp', 'input', x);
  const n = x.shape.at(-1)!;
  if (n === 0) return x;
  const wide = x.to('f64');
  const one = eye(n, n, { dtype: 'f64' });
  const norm = wide.detach().abs().sum(-2).amax(-1);
  const times = norm.div(PADE_REACH).log2().ceil().clamp(0, SQUARINGS).unsqueeze(-1).unsqueeze(-1);
  const a = wide.mul(times.neg().exp2());
  const a2 = a.matmul(a);
  const a4 = a2.matmul(a2);
  const a6 = a4.matmul(a2);
  /** Terms of even powers, from b[first] on in steps of two. */
  const series = (first: 0 | 1): Tensor => {
    const b = (k: number): number => PADE[first + k]!;
    const high = a6
      .mul(b(12))
      .add(a4.mul(b(10)))
      .add(a2.mul(b(8)));
    return a6
      .matmul(high)
      .add(a6.mul(b(6)))
      .add(a4.mul(b(4)))
      .add(a2.mul(b(2)))
      .add(one.mul(b(0)));
  };
  const odd = a.matmul(series(1));
  const even = series(0);
  let result = solveEx(even.sub(odd), even.add(odd)).result;
  for (let i = 0; i < SQUARINGS; i++) result = times.gt(i).where(result.matmul(result), result);
  return result.to(x.dtype);
}

/** The Vandermonde matrix: powers 0 to N - 1 (N the length by default) of each element as its row. */
export function vander(x: Tensor, options: { readonly N?: number | null } = {}): Tensor {
  checkOptions('linalg.vander', options, ['N']);
  checkTensor('linalg.vander', 'input', x);
  if (x.ndim === 0) return vander(x.reshape([1]), options);
  const count = options.N ?? x.shape.at(-1)!;
  checkWhole('linalg.vander', 'N', count, 1);
  const input = x.dtype === 'bool' || x.dtype === 'u8' || x.dtype === 'i8' || x.dtype === 'i32' ? x.long() : x;
  const powers = [input.mul(0).add(1)];
  while (powers.length < count) powers.push(powers[powers.length - 1]!.mul(input));
  return stack(powers, -1);
}
