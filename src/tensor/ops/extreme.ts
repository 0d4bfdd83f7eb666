/**
 * Largest and smallest along one dim with their positions, under `max` and `min` of Tensor.
 */
import { normalDim } from '../operands.ts';
import type { Tensor, ValuesAndIndices } from '../tensor.ts';
import { takeAlong } from './along.ts';

/** Values and first positions along one dim; the gradient goes to that position. */
export function extremeAlong(op: 'max' | 'min', x: Tensor, dim: number, keepdim = false): ValuesAndIndices {
  const indices = op === 'max' ? x.argmax(dim, { keepdim: true }) : x.argmin(dim, { keepdim: true });
  const values = x.ndim === 0 ? x : takeAlong(x, indices, normalDim(op, dim, x.ndim));
  if (keepdim || x.ndim === 0) return { values, indices };
  const d = normalDim(op, dim, x.ndim);
  return { values: values.squeeze(d), indices: indices.squeeze(d) };
}
