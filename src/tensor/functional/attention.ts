/**
 * Attention as a function.
 */
import { shapeText } from '../convert.ts';
import { ones } from '../creation.ts';
import { checkFloat, checkTensor } from '../operands.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { dropout } from './dropout.ts';

export interface AttentionOptions {
  /** bool (true takes part) or float (added to the scores), broadcast to [..., L, S]. */
  readonly attnMask?: Tensor | null;
  /** Position i sees positions up to i only; not together with a mask. */
  readonly isCausal?: boolean;
  /** Probability of dropping a weight, 0 by default. Applies always: pass 0 outside training. */
  readonly dropoutP?: number;
  /** Factor of the scores, 1 / sqrt(E) by default. */
  readonly scale?: number | null;
}

/**
 * softmax(query key^T * scale + mask) value: query [..., L, E], key [..., S, E], value [..., S, V]; result [..., L, V]
 * (Vaswani et al. 2017).
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const op = 'scaledDotProductAttention';
  checkTensor(op, 'value', value);
  if (value.ndim < 2) throw new RangeError(`${op}: value: expected at least 2 dims, got ${shapeText(value.shape)}`);
  return weightsOf(op, query, key, options).matmul(value);
}

/** softmax(query key^T * scale + mask): how much each of the S values counts at each of the L places, [..., L, S]. */
export function attentionWeights(query: Tensor, key: Tensor, options: AttentionOptions = {}): Tensor {
  return weightsOf('attentionWeights', query, key, options);
}

function weightsOf(op: string, query: Tensor, key: Tensor, options: AttentionOptions): Tensor {
  checkOptions(op, options, ['attnMask', 'isCausal', 'dropoutP', 'scale']);
  checkFloat(op, 'query', query);
  checkTensor(op, 'key', key);
  const { attnMask = null, isCausal = false, dropoutP = 0, scale = null } = options;
  if (query.ndim < 2 || key.ndim < 2 || query.shape.at(-1) !== key.shape.at(-1))
    throw new RangeError(`${op}: sizes do not match: query ${shapeText(query.shape)}, key ${shapeText(key.shape)}`);
  if (attnMask && isCausal) throw new TypeError(`${op}: attnMask and isCausal exclude each other`);
  const factor = scale ?? 1 / Math.sqrt(query.shape.at(-1)!);
  let scores = query.mul(factor).matmul(key.transpose(-2, -1));
  const mask = isCausal ? ones([query.shape.at(-2)!, key.shape.at(-2)!], { dtype: 'bool' }).tril() : attnMask;
  if (mask) scores = mask.dtype === 'bool' ? mask.where(scores, Number.NEGATIVE_INFINITY) : scores.add(mask);
  const weights = scores.softmax(-1);
  return dropoutP > 0 ? dropout(weights, { p: dropoutP }) : weights;
}
