/**
 * Sorting and what follows from it. Functions here have the tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { checkTensor, checkWhole, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor, type ValuesAndIndices } from '../tensor.ts';
import { takeAlong } from './along.ts';

export interface SortOptions {
  readonly descending?: boolean;
}

/** i64 positions that sort x along `dim`, stably; NaN counts as largest. */
export function argsort(x: Tensor, dim = -1, options: SortOptions = {}): Tensor {
  return sorting('argsort', x, dim, options);
}

function sorting(op: string, x: Tensor, dim: number, options: SortOptions): Tensor {
  checkOptions(op, options, ['descending']);
  checkTensor(op, 'input', x);
  const d = normalDim(op, dim, x.ndim);
  if (x.ndim === 0) return new Tensor(build.full(0, [], 'i64'));
  const input = x.dtype === 'bool' ? build.cast(x.node, 'u8') : x.node;
  return new Tensor(build.argSort(build.detach(input), d, options.descending ?? false));
}

/** Sorted values and where they came from, stably; NaN counts as largest. */
export function sort(x: Tensor, dim = -1, options: SortOptions = {}): ValuesAndIndices {
  const indices = sorting('sort', x, dim, options);
  return { values: x.ndim === 0 ? x : takeAlong(x, indices, normalDim('sort', dim, x.ndim)), indices };
}

/** Values sorted along dim 0. */
export function msort(x: Tensor): Tensor {
  return sort(x, 0).values;
}

/** The k largest (or smallest) values along `dim`, in order, and where they are. */
export function topk(
  x: Tensor,
  k: number,
  dim = -1,
  options: { readonly largest?: boolean; readonly sorted?: boolean } = {},
): ValuesAndIndices {
  checkOptions('topk', options, ['largest', 'sorted']);
  checkTensor('topk', 'input', x);
  checkWhole('topk', 'k', k, 0);
  const d = normalDim('topk', dim, x.ndim);
  const size = x.ndim === 0 ? 1 : x.shape[d]!;
  if (k > size) throw new RangeError(`topk: k ${k} exceeds the ${size} elements of dim ${dim}`);
  if (x.ndim === 0) return { values: x, indices: new Tensor(build.full(0, [], 'i64')) };
  const indices = argsort(x, d, { descending: options.largest ?? true }).narrow(d, 0, k);
  return { values: takeAlong(x, indices, d), indices };
}

/** The k-th smallest value along `dim` (k counts from 1) and where it is. */
export function kthvalue(
  x: Tensor,
  k: number,
  dim = -1,
  options: { readonly keepdim?: boolean } = {},
): ValuesAndIndices {
  checkOptions('kthvalue', options, ['keepdim']);
  checkTensor('kthvalue', 'input', x);
  const d = normalDim('kthvalue', dim, x.ndim);
  const size = x.ndim === 0 ? 1 : x.shape[d]!;
  if (!Number.isInteger(k) || k < 1 || k > size) throw new RangeError(`kthvalue: k: expected 1 to ${size}, got ${k}`);
  if (x.ndim === 0) return { values: x, indices: new Tensor(build.full(0, [], 'i64')) };
  const indices = argsort(x, d).narrow(d, k - 1, 1);
  const values = takeAlong(x, indices, d);
  return options.keepdim ? { values, indices } : { values: values.squeeze(d), indices: indices.squeeze(d) };
}
