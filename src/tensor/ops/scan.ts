/**
 * Running reductions along one dim. Functions here have the tensor first and become methods of Tensor.
 */

import * as build from '../../graph/build.ts';
import { type DType, isFloat } from '../../graph/dtype.ts';
import { raised } from '../autocast.ts';
import { shapeText } from '../convert.ts';
import { checkFloat, checkTensor, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor, type ValuesAndIndices } from '../tensor.ts';
import { coordinate, takeAlong } from './along.ts';

import { concatenate } from './join.ts';
import { logaddexp } from './math.ts';

export interface CumulativeOptions {
  /** Converts first. */
  readonly dtype?: DType;
}

function running(op: string, kind: 'sum' | 'prod', x: Tensor, dim: number, options: CumulativeOptions): Tensor {
  checkOptions(op, options, ['dtype']);
  checkTensor(op, 'input', x);
  const d = normalDim(op, dim, x.ndim);
  const input = build.cast(x.node, options.dtype ?? (isFloat(x.dtype) ? raised(x).dtype : 'i64'));
  return x.ndim === 0 ? new Tensor(input) : new Tensor(build.scan(kind, input, d));
}

/** The sum of the elements so far; of integers and bool in i64. */
export function cumsum(x: Tensor, dim: number, options: CumulativeOptions = {}): Tensor {
  return running('cumsum', 'sum', x, dim, options);
}

/** The product of the elements so far; of integers and bool in i64. */
export function cumprod(x: Tensor, dim: number, options: CumulativeOptions = {}): Tensor {
  return running('cumprod', 'prod', x, dim, options);
}

function runningExtreme(op: string, kind: 'max' | 'min', x: Tensor, dim: number): ValuesAndIndices {
  checkTensor(op, 'input', x);
  const d = normalDim(op, dim, x.ndim);
  if (x.ndim === 0) return { values: x, indices: new Tensor(build.full(0, [], 'i64')) };
  const best = new Tensor(build.scan(kind, x.detach().node, d));
  // The newest position that holds the running extreme (or a NaN), carried on.
  const here = x.detach().eq(best).logicalOr(x.detach().isnan());
  const indices = new Tensor(build.scan('max', here.where(new Tensor(coordinate(x.shape, d)), 0).node, d));
  return { values: takeAlong(x, indices, d), indices };
}

/** The largest element so far and its (last) position. */
export function cummax(x: Tensor, dim: number): ValuesAndIndices {
  return runningExtreme('cummax', 'max', x, dim);
}

/** The smallest element so far and its (last) position. */
export function cummin(x: Tensor, dim: number): ValuesAndIndices {
  return runningExtreme('cummin', 'min', x, dim);
}

/**
 * log(cumsum(exp(x))), without overflow or underflow, however far the elements are apart: sums of 2, 4, 8, ...
 * neighbours (Hillis and Steele 1986), each relative to its own largest element.
 */
export function logcumsumexp(x: Tensor, dim: number): Tensor {
  checkFloat('logcumsumexp', 'input', x);
  const d = normalDim('logcumsumexp', dim, x.ndim);
  const n = x.shape[d] ?? 1;
  let sums = x;
  for (let step = 1; step < n; step *= 2) {
    const later = logaddexp(sums.narrow(d, step, n - step), sums.narrow(d, 0, n - step));
    sums = concatenate('logcumsumexp', [sums.narrow(d, 0, step), later], d);
  }
  return sums;
}

/** The n-th difference of neighbours along `dim`, with tensors put before and after first. */
export function diff(
  x: Tensor,
  options: {
    readonly n?: number;
    readonly dim?: number;
    readonly prepend?: Tensor | null;
    readonly append?: Tensor | null;
  } = {},
): Tensor {
  checkOptions('diff', options, ['n', 'dim', 'prepend', 'append']);
  checkTensor('diff', 'input', x);
  const { n = 1, dim = -1, prepend, append } = options;
  if (!Number.isInteger(n) || n < 0) throw new RangeError(`diff: n: expected a whole number of at least 0, got ${n}`);
  if (x.ndim === 0) throw new RangeError(`diff: input: expected at least one dim, got ${shapeText(x.shape)}`);
  const d = normalDim('diff', dim, x.ndim);
  if (n === 0) return x;
  let out = x;
  if (prepend) out = concatenate('diff', [prepend, out], d);
  if (append) out = concatenate('diff', [out, append], d);
  for (let i = 0; i < n; i++) {
    const size = out.shape[d]!;
    if (size === 0) break;
    const [later, earlier] = [out.narrow(d, 1, size - 1), out.narrow(d, 0, size - 1)];
    out = out.dtype === 'bool' ? later.logicalXor(earlier) : later.sub(earlier);
  }
  return out;
}

/** The integral by the trapezoid rule along `dim`, with spacing dx or at positions x. */
export function trapezoid(
  y: Tensor,
  options: { readonly x?: Tensor | null; readonly dx?: number; readonly dim?: number } = {},
): Tensor {
  return trapezoids('trapezoid', y, options).sum(options.dim ?? -1);
}

/** trapezoid under its short name. */
export function trapz(
  y: Tensor,
  options: { readonly x?: Tensor | null; readonly dx?: number; readonly dim?: number } = {},
): Tensor {
  return trapezoid(y, options);
}

/** The running integral by the trapezoid rule. */
export function cumulativeTrapezoid(
  y: Tensor,
  options: { readonly x?: Tensor | null; readonly dx?: number; readonly dim?: number } = {},
): Tensor {
  return trapezoids('cumulativeTrapezoid', y, options).cumsum(options.dim ?? -1);
}

function trapezoids(
  op: string,
  y: Tensor,
  options: { readonly x?: Tensor | null; readonly dx?: number; readonly dim?: number },
): Tensor {
  const { x, dx = 1, dim = -1 } = checkOptions(op, options, ['x', 'dx', 'dim']);
  checkTensor(op, 'input', y);
  const d = normalDim(op, dim, y.ndim);
  const size = y.shape[d]!;
  const width = Math.max(size - 1, 0);
  const sums = y.narrow(d, Math.min(1, size), width).add(y.narrow(d, 0, width));
  if (!x) return (isFloat(y.dtype) ? sums : sums.to('f32')).mul(dx / 2);
  const steps =
    x.ndim === 1 ? x.diff().reshape(y.shape.map((_, i) => (i === d ? -1 : 1))) : x.diff({ dim: d - y.ndim });
  return sums.mul(steps).div(2);
}
