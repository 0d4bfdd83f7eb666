/**
 * The softmax family, as few row-wise primitives so that one kernel can hold them. Functions here have the tensor first
 * and become methods of Tensor.
 */

import type { DType } from '../../graph/dtype.ts';
import { isFloat } from '../../graph/dtype.ts';
import { raised } from '../autocast.ts';
import { composite } from '../composite.ts';
import { checkTensor, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';

export interface SoftmaxOptions {
  /** Converts first. */
  readonly dtype?: DType;
}

function prepared(op: string, x: Tensor, dim: number, options: SoftmaxOptions): { input: Tensor; d: number } {
  checkOptions(op, options, ['dtype']);
  checkTensor(op, 'input', x);
  const input = options.dtype ? x.to(options.dtype) : raised(x);
  if (!isFloat(input.dtype)) throw new TypeError(`${op}: input: expected a float tensor, got ${input.dtype}`);
  return { input, d: normalDim(op, dim, input.ndim) };
}

/** Half types are computed in f32 and rounded once. */
export const inWide = (x: Tensor, body: (x: Tensor) => Tensor): Tensor =>
  x.dtype === 'f16' || x.dtype === 'bf16' ? body(x.to('f32')).to(x.dtype) : body(x);

/** exp(x) / sum(exp(x)) along `dim`. */
export function softmax(x: Tensor, dim: number, options: SoftmaxOptions = {}): Tensor {
  const { input, d } = prepared('softmax', x, dim, options);
  if (input.ndim === 0 || input.shape[d] === 0) return input.mul(0).add(1);
  const result = inWide(input, wide => {
    const e = wide.sub(wide.detach().amax(d, { keepdim: true })).exp();
    return e.div(e.sum(d, { keepdim: true }));
  });
  return composite('softmax', [input], { axis: d - input.ndim }, result);
}

/** log(softmax(x)) along `dim`, exact for improbable entries. */
export function logSoftmax(x: Tensor, dim: number, options: SoftmaxOptions = {}): Tensor {
  const { input, d } = prepared('logSoftmax', x, dim, options);
  if (input.ndim === 0 || input.shape[d] === 0) return input.mul(0);
  const result = inWide(input, wide => {
    const shifted = wide.sub(wide.detach().amax(d, { keepdim: true }));
    return shifted.sub(shifted.exp().sum(d, { keepdim: true }).log());
  });
  return composite('logSoftmax', [input], { axis: d - input.ndim }, result);
}

/** softmax(-x). */
export function softmin(x: Tensor, dim: number, options: SoftmaxOptions = {}): Tensor {
  const { input, d } = prepared('softmin', x, dim, options);
  return softmax(input.neg(), d);
}
