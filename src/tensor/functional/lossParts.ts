/**
 * What losses share: the reduction at their end, and the check that operands fit.
 */
import { shapeText } from '../convert.ts';
import { checkTensor } from '../operands.ts';
import type { Tensor } from '../tensor.ts';

/** How a loss of many elements becomes one number, or stays. */
export type Reduction = 'mean' | 'sum' | 'none';

export interface LossOptions {
  /** 'mean' by default. */
  readonly reduction?: Reduction;
}

export function reduceLoss(op: string, loss: Tensor, reduction: Reduction = 'mean'): Tensor {
  switch (reduction) {
    case 'mean':
      return loss.mean();
    case 'sum':
      return loss.sum();
    case 'none':
      return loss;
    default:
      throw new TypeError(`${op}: reduction: expected mean, sum or none, got ${String(reduction)}`);
  }
}

export function checkSameShape(op: string, x: Tensor, target: Tensor): void {
  checkTensor(op, 'input', x);
  checkTensor(op, 'target', target);
  if (x.ndim !== target.ndim || x.shape.some((n, d) => n !== target.shape[d]))
    throw new RangeError(
      `${op}: target: shape ${shapeText(target.shape)} does not match the input's ${shapeText(x.shape)}`,
    );
}

/** The two promoted to one dtype (PyTorch's losses promote). */
export const promotedPair = (x: Tensor, target: Tensor): [Tensor, Tensor] => {
  const zero = x.detach().mul(0).add(target.detach().mul(0));
  return [x.to(zero.dtype), target.to(zero.dtype)];
};
