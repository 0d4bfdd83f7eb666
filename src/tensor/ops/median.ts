/**
 * Middle values along one dim with their positions, under `median` and `nanmedian` of Tensor.
 */
import * as build from '../../graph/build.ts';
import { shapeText } from '../convert.ts';
import { normalDim } from '../operands.ts';
import { Tensor, type ValuesAndIndices } from '../tensor.ts';
import { takeAlong } from './along.ts';

/** The middle value (the lower of two) and where it is, along `dim`; NaN if there is one. */
export function medianAlong(x: Tensor, dim: number, keepdim = false, skipNaN = false): ValuesAndIndices {
  const d = normalDim('median', dim, x.ndim);
  if (x.ndim === 0) return { values: x, indices: new Tensor(build.full(0, [], 'i64')) };
  const size = x.shape[d]!;
  if (size === 0) throw new RangeError(`median: dim ${dim} must not be empty, got shape ${shapeText(x.shape)}`);
  const order = x.argsort(d);
  const nans = x.detach().isnan().sum(d, { keepdim: true });
  const half = Math.floor((size - 1) / 2);
  // NaN sorts last: with one present the answer is the first NaN, or the middle of the others.
  const present = nans.neg().add(size);
  const place = skipNaN
    ? present.gt(0).where(present.sub(1).div(2, { roundingMode: 'floor' }), 0)
    : nans.gt(0).where(present, half);
  const indices = takeAlong(order, place, d);
  const values = takeAlong(x, indices, d);
  return keepdim ? { values, indices } : { values: values.squeeze(d), indices: indices.squeeze(d) };
}
