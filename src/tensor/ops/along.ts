/**
 * Reading and writing at one index per element (torch.gather and scatter), through the flat primitives of the graph.
 * Building blocks of reductions, sorting and indexing; nothing here becomes a method.
 */
import * as build from '../../graph/build.ts';
import type { Node } from '../../graph/node.ts';
import { Tensor } from '../tensor.ts';

/** Fails the program unless every index is in [0, size); negative ones are not wrapped. */
export const strictIndex = (index: Node, size: number, what: string): Node =>
  build.gather(build.iota(size, 'i64'), index, 0, what);

export const stridesOf = (shape: readonly number[]): number[] => {
  const strides = new Array<number>(shape.length).fill(1);
  for (let d = shape.length - 2; d >= 0; d--) strides[d] = strides[d + 1]! * shape[d + 1]!;
  return strides;
};

/** The coordinate along `dim` of every position of `shape`, times `scale`. */
export function coordinate(shape: readonly number[], dim: number, scale = 1, dtype: 'i64' | 'i32' = 'i64'): Node {
  const along = shape.map((_, d) => (d === dim ? shape[dim]! : 1));
  const line = build.iota(shape[dim]!, dtype);
  const scaled = scale === 1 ? line : build.binary('mul', line, build.full(scale, line.shape, dtype));
  return build.broadcastTo(build.reshape(scaled, along), shape);
}

/** Flat position in `shape` of the element that has `index` along `dim` and the index's own coordinates elsewhere. */
export function flatIndex(index: Node, shape: readonly number[], dim: number): Node {
  const strides = stridesOf(shape);
  const wide = build.cast(index, 'i64');
  let flat = strides[dim] === 1 ? wide : build.binary('mul', wide, build.full(strides[dim]!, wide.shape, 'i64'));
  for (let d = 0; d < shape.length; d++)
    if (d !== dim && index.shape[d] !== 1) flat = build.binary('add', flat, coordinate(index.shape, d, strides[d]!));
  return flat;
}

/** out[i][j] = x[index[i][j]][j] for dim 0, and so on; indices are known to be in range. */
export function takeAlong(x: Tensor, index: Tensor, dim: number): Tensor {
  const flat = build.reshape(x.node, [x.numel()]);
  return new Tensor(build.gather(flat, flatIndex(index.node, x.shape, dim), 0, 'gather'));
}
