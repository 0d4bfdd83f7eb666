/**
 * Functions of several tensors that are no methods: cat, stack and their kin, broadcasting.
 */
import * as build from '../graph/build.ts';
import { broadcastShapes as broadcast, checkTensor, describe, normalDim, refuseOut } from './operands.ts';
import { concatenate } from './ops/join.ts';
import { Tensor } from './tensor.ts';

function checkList(op: string, tensors: unknown): asserts tensors is readonly Tensor[] {
  if (!Array.isArray(tensors)) throw new TypeError(`${op}: expected an array of tensors, got ${describe(tensors)}`);
  tensors.forEach((value, i) => {
    checkTensor(op, `tensors[${i}]`, value);
  });
}

/** The tensors one after another along `dim`; dtypes promote. */
export function cat(tensors: readonly Tensor[], dim = 0, ...options: readonly never[]): Tensor {
  refuseOut('cat', options[0]);
  checkList('cat', tensors);
  return concatenate('cat', tensors, dim);
}

/** cat under its other name. */
export const concat = (tensors: readonly Tensor[], dim = 0): Tensor => cat(tensors, dim);

/** Tensors of one shape side by side along a new dim. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  checkList('stack', tensors);
  if (tensors.length === 0) throw new RangeError('stack: expected at least one tensor, got none');
  const first = tensors[0]!;
  const d = normalDim('stack', dim, first.ndim + 1);
  for (const part of tensors)
    if (part.ndim !== first.ndim || part.shape.some((n, i) => n !== first.shape[i]))
      throw new RangeError(`stack: shapes [${first.shape.join(', ')}] and [${part.shape.join(', ')}] differ`);
  return concatenate(
    'stack',
    tensors.map(part => part.unsqueeze(d)),
    d,
  );
}

/** A function of one tensor that takes several, too, each by itself. */
function eachOf(fn: (x: Tensor) => Tensor): {
  (x: readonly Tensor[]): Tensor[];
  (x: Tensor): Tensor;
} {
  return ((x: Tensor | readonly Tensor[]) => (Array.isArray(x) ? x.map(fn) : fn(x as Tensor))) as ReturnType<
    typeof eachOf
  >;
}

/** At least one dim. */
export const atleast1d = eachOf(x => (x.ndim === 0 ? x.reshape([1]) : x));

/** At least two dims: a vector becomes a row. */
export const atleast2d = eachOf(x => (x.ndim < 2 ? x.reshape([1, x.numel()]) : x));

/** At least three dims: [n] becomes [1, n, 1], [n, m] becomes [n, m, 1]. */
export const atleast3d = eachOf(x => (x.ndim < 2 ? x.reshape([1, x.numel(), 1]) : x.ndim === 2 ? x.unsqueeze(2) : x));

/** Along dim 1 (vectors along dim 0). */
export function hstack(tensors: readonly Tensor[]): Tensor {
  checkList('hstack', tensors);
  const parts = tensors.map(x => atleast1d(x));
  return concatenate('hstack', parts, parts[0]?.ndim === 1 ? 0 : 1);
}

/** Along dim 0, vectors as rows. */
export function vstack(tensors: readonly Tensor[]): Tensor {
  checkList('vstack', tensors);
  return concatenate(
    'vstack',
    tensors.map(x => atleast2d(x)),
    0,
  );
}

/** Along dim 2. */
export function dstack(tensors: readonly Tensor[]): Tensor {
  checkList('dstack', tensors);
  return concatenate(
    'dstack',
    tensors.map(x => atleast3d(x)),
    2,
  );
}

/** Along dim 1, vectors as columns. */
export function columnStack(tensors: readonly Tensor[]): Tensor {
  checkList('columnStack', tensors);
  const parts = tensors.map(part => (part.ndim < 2 ? part.reshape([part.numel(), 1]) : part));
  return concatenate('columnStack', parts, 1);
}

/** All tensors stretched to their common shape. */
export function broadcastTensors(tensors: readonly Tensor[]): Tensor[] {
  checkList('broadcastTensors', tensors);
  const shape = broadcast(
    'broadcastTensors',
    tensors.map(part => part.shape),
  );
  return tensors.map(part => new Tensor(build.broadcastTo(part.node, shape)));
}

/** Matrices on the diagonal of a larger one; vectors count as rows. */
export function blockDiag(tensors: readonly Tensor[]): Tensor {
  checkList('blockDiag', tensors);
  const parts = tensors.map(part => {
    if (part.ndim > 2) throw new RangeError(`blockDiag: expected at most 2 dims, got [${part.shape.join(', ')}]`);
    return atleast2d(part);
  });
  const cols = parts.reduce((a, part) => a + part.shape[1]!, 0);
  let before = 0;
  const rows = parts.map(part => {
    const width = part.shape[1]!;
    const row = part.constantPad([before, cols - before - width]);
    before += width;
    return row;
  });
  return concatenate('blockDiag', rows, 0);
}

/** Every combination of one element of each vector, as rows. */
export function cartesianProd(vectors: readonly Tensor[]): Tensor {
  checkList('cartesianProd', vectors);
  if (vectors.length === 0) throw new RangeError('cartesianProd: expected at least one tensor, got none');
  for (const vector of vectors)
    if (vector.ndim !== 1) throw new RangeError(`cartesianProd: expected vectors, got [${vector.shape.join(', ')}]`);
  if (vectors.length === 1) return vectors[0]!;
  const shape = vectors.map(vector => vector.numel());
  const grids = vectors.map((vector, d) => vector.reshape(shape.map((n, i) => (i === d ? n : 1))).expand(shape));
  return stack(
    grids.map(grid => grid.reshape([-1])),
    1,
  );
}

/** The Kronecker product. */
export function kron(a: Tensor, b: Tensor): Tensor {
  checkTensor('kron', 'input', a);
  checkTensor('kron', 'other', b);
  const rank = Math.max(a.ndim, b.ndim);
  const widen = (x: Tensor): number[] => [...new Array<number>(rank - x.ndim).fill(1), ...x.shape];
  const [left, right] = [widen(a), widen(b)];
  const product = a.reshape(left.flatMap(n => [n, 1])).mul(b.reshape(right.flatMap(n => [1, n])));
  return product.reshape(left.map((n, d) => n * right[d]!));
}

/** The shape that all shapes (a number is a vector's) broadcast to: trailing dims align, dims of size 1 stretch. */
export const broadcastShapes = (...shapes: readonly (number | readonly number[])[]): number[] =>
  broadcast(
    'broadcastShapes',
    shapes.map(shape => (typeof shape === 'number' ? [shape] : shape)),
  );
