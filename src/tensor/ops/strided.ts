/**
 * Views by strides, and finite differences along dims. Functions here have the tensor first and become methods of
 * Tensor.
 */

import * as build from '../../graph/build.ts';
import { isFloat } from '../../graph/dtype.ts';
import { axis } from '../../graph/reindex.ts';
import { checkShape, shapeText } from '../convert.ts';
import { cat } from '../joins.ts';
import { checkTensor, checkWhole, describe, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

/** Elements offset + i * stride[0] + j * stride[1] + ... of x in C order, as a tensor of shape `size`. */
export function asStrided(x: Tensor, size: readonly number[], stride: readonly number[], storageOffset = 0): Tensor {
  return strided('asStrided', x, size, stride, storageOffset);
}

function strided(op: string, x: Tensor, size: readonly number[], stride: readonly number[], offset: number): Tensor {
  checkTensor(op, 'input', x);
  checkShape(op, size);
  if (!Array.isArray(stride) || stride.length !== size.length)
    throw new RangeError(`${op}: stride: expected ${size.length} numbers, got ${describe(stride)}`);
  for (const n of stride) checkWhole(op, 'stride', n, 0);
  checkWhole(op, 'storageOffset', offset, 0);
  const last = size.reduce((at, n, d) => at + (n - 1) * stride[d]!, offset);
  if (size.every(n => n > 0) && last >= x.numel())
    throw new RangeError(`${op}: element ${last} is beyond the ${x.numel()} elements of ${shapeText(x.shape)}`);
  const flat = build.reshape(x.node, [x.numel()]);
  const terms = stride.map((coef, d) => [d, coef] as const).filter(([, coef]) => coef !== 0);
  return new Tensor(build.reindex(flat, size, [axis(terms, offset)]));
}

/** x with the elements of source at the places of asStrided. */
export function asStridedScatter(
  x: Tensor,
  source: Tensor,
  size: readonly number[],
  stride: readonly number[],
  storageOffset = 0,
): Tensor {
  const op = 'asStridedScatter';
  checkTensor(op, 'input', x);
  checkTensor(op, 'source', source);
  const positions = new Tensor(build.reshape(build.iota(x.numel(), 'i64'), x.shape));
  const places = strided(op, positions, size, stride, storageOffset);
  if (shapeText(source.shape) !== shapeText(size))
    throw new RangeError(`${op}: source: expected ${shapeText(size)}, got ${shapeText(source.shape)}`);
  return x
    .reshape([-1])
    .indexPut([places.reshape([-1])], source.reshape([-1]))
    .reshape(x.shape);
}

export interface GradientOptions {
  /** Distance of neighbours: a number, one for each dim, or the coordinates of each dim as vectors; 1 by default. */
  readonly spacing?: number | readonly (number | Tensor)[] | null;
  /** Dims to differentiate along, all by default. */
  readonly dim?: number | readonly number[] | null;
  /** Accuracy at the ends, 1 or 2. */
  readonly edgeOrder?: number;
}

/** Second-order central differences along each of `dim`, one tensor each; one-sided ones at the ends. */
export function gradient(x: Tensor, options: GradientOptions = {}): Tensor[] {
  checkOptions('gradient', options, ['spacing', 'dim', 'edgeOrder']);
  checkTensor('gradient', 'input', x);
  const { spacing = null, dim = null, edgeOrder = 1 } = options;
  if (edgeOrder !== 1 && edgeOrder !== 2)
    throw new RangeError(`gradient: edgeOrder: expected 1 or 2, got ${describe(edgeOrder)}`);
  const listed = dim === null ? x.shape.map((_, d) => d) : typeof dim === 'number' ? [dim] : dim;
  const dims = listed.map(d => normalDim('gradient', d, x.ndim));
  if (new Set(dims).size !== dims.length) throw new RangeError(`gradient: dim: ${shapeText(listed)} names a dim twice`);
  const steps =
    spacing === null ? dims.map(() => 1) : Array.isArray(spacing) ? spacing : dims.map(() => spacing as number);
  if (steps.length !== dims.length)
    throw new RangeError(`gradient: spacing: expected one for each of ${dims.length} dims, got ${steps.length}`);
  return dims.map((d, i) => {
    const n = x.shape[d]!;
    if (n <= edgeOrder)
      throw new RangeError(
        `gradient: input: expected more than ${edgeOrder} elements along dim ${d}, got ${shapeText(x.shape)}`,
      );
    const step = steps[i] as number | Tensor;
    if (step instanceof Tensor && (step.ndim !== 1 || step.numel() !== n))
      throw new RangeError(`gradient: spacing: expected coordinates [${n}] for dim ${d}, got ${shapeText(step.shape)}`);
    const slopes = along(x.dtype === 'f64' ? x : x.to('f32'), d, step, edgeOrder);
    return isFloat(x.dtype) ? slopes.to(x.dtype) : slopes;
  });
}

function along(x: Tensor, d: number, step: number | Tensor, edgeOrder: number): Tensor {
  const n = x.shape[d]!;
  const at = (from: number, count: number): Tensor => x.narrow(d, from, count);
  const shape = x.shape.map((_, i) => (i === d ? -1 : 1));
  /** Distances between neighbours, broadcast along d; a plain number where all are equal. */
  const gap = (from: number, count: number): number | Tensor => {
    if (!(step instanceof Tensor)) return step;
    const places = step.to(x.dtype);
    return places
      .narrow(0, from + 1, count)
      .sub(places.narrow(0, from, count))
      .reshape(shape);
  };
  const less = (a: Tensor, b: Tensor, h: number | Tensor): Tensor => a.sub(b).div(h);
  const slopes = less(at(1, n - 1), at(0, n - 1), gap(0, n - 1));
  const slope = (i: number): Tensor => slopes.narrow(d, i, 1);
  // Between two neighbours the slopes are weighted by the other's distance.
  const inner = (from: number, count: number): Tensor => {
    const [left, right] = [slopes.narrow(d, from, count), slopes.narrow(d, from + 1, count)];
    if (!(step instanceof Tensor)) return left.add(right).mul(0.5);
    const [h1, h2] = [gap(from, count) as Tensor, gap(from + 1, count) as Tensor];
    return left.mul(h2).add(right.mul(h1)).div(h1.add(h2));
  };
  /** Second order at an end: the first slope, less what the next one differs over the distance to the middle. */
  const end = (first: number, next: number): Tensor => {
    if (!(step instanceof Tensor)) return slope(first).mul(1.5).sub(slope(next).mul(0.5));
    const [h1, h2] = [gap(first, 1) as Tensor, gap(next, 1) as Tensor];
    return slope(first).add(slope(first).sub(slope(next)).mul(h1).div(h1.add(h2)));
  };
  const [head, tail] = edgeOrder === 1 ? [slope(0), slope(n - 2)] : [end(0, 1), end(n - 2, n - 3)];
  return cat(n > 2 ? [head, inner(0, n - 2), tail] : [head, tail], d);
}
