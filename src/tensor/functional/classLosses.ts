/**
 * Losses over classes: cross entropy and negative log likelihood. The picked log-probability is a masked sum over the
 * class dim, so that forward and backward stay row-wise.
 */

import * as build from '../../graph/build.ts';
import { isFloat } from '../../graph/dtype.ts';
import type { Node } from '../../graph/node.ts';
import { raised } from '../autocast.ts';
import { shapeText } from '../convert.ts';
import { checkFloat, checkInt, checkTensor } from '../operands.ts';
import { coordinate, strictIndex } from '../ops/along.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import type { LossOptions, Reduction } from './lossParts.ts';

export interface ClassLossOptions extends LossOptions {
  /** A factor for each class, [C]. */
  readonly weight?: Tensor | null;
  /** Targets of this class do not count; -100 by default. */
  readonly ignoreIndex?: number;
}

export interface CrossEntropyOptions extends ClassLossOptions {
  /** Moves this much of the target's mass to the uniform distribution, 0 to 1. */
  readonly labelSmoothing?: number;
}

/** Class dim 1, or 0 for one unbatched row. */
const classDim = (x: Tensor): number => (x.ndim === 1 ? 0 : 1);

function checkTarget(op: string, x: Tensor, target: Tensor): number {
  checkFloat(op, 'input', x);
  checkInt(op, 'target', target);
  const dim = classDim(x);
  const expected = x.shape.filter((_, d) => d !== dim);
  if (x.ndim === 0 || target.ndim !== expected.length || target.shape.some((n, d) => n !== expected[d]))
    throw new RangeError(
      `${op}: target: expected class indices ${shapeText(expected)} for input ${shapeText(x.shape)}, got ${shapeText(target.shape)}`,
    );
  return dim;
}

function checkWeight(op: string, x: Tensor, weight: Tensor | null | undefined, dim: number): void {
  if (!weight) return;
  checkTensor(op, 'weight', weight);
  if (weight.ndim !== 1 || weight.shape[0] !== x.shape[dim])
    throw new RangeError(`${op}: weight: expected [${x.shape[dim]}], got ${shapeText(weight.shape)}`);
}

interface Picked {
  /** For each row the sum over classes of values at the target, which is the value there. */
  readonly at: (values: Tensor) => Tensor;
  /** Which rows count. */
  readonly counted: Tensor;
}

/** Reading at the target's class; ignored rows read 0. Targets outside the classes fail the program. */
function picker(op: string, x: Tensor, target: Tensor, dim: number, ignoreIndex: number): Picked {
  const classes = x.shape[dim]!;
  const counted = target.ne(ignoreIndex);
  // In i32, which has twice the lanes of i64.
  const safe = build.cast(strictIndex(counted.where(target.to('i64'), 0).node, classes, op), 'i32');
  const kept = x.shape.map((n, d) => (d === dim ? 1 : n));
  const index: Node = build.broadcastTo(build.reshape(safe, kept), x.shape);
  const hot = build.compare('eq', coordinate(x.shape, dim, 1, 'i32'), index);
  const mask = new Tensor(hot).logicalAnd(counted.unsqueeze(dim));
  return { at: values => mask.where(values, 0).sum(dim), counted };
}

/** Sums or averages rows; the mean divides by the weights of the rows that count. */
function reduceRows(op: string, loss: Tensor, weights: Tensor, reduction: Reduction): Tensor {
  switch (reduction) {
    case 'none':
      return loss;
    case 'sum':
      return loss.sum();
    case 'mean':
      return loss.sum().div(weights.sum());
    default:
      throw new TypeError(`${op}: reduction: expected mean, sum or none, got ${String(reduction)}`);
  }
}

/** The weight of each row: its class's, or 1; 0 where ignored. */
function rowWeights(x: Tensor, picked: Picked, weight: Tensor | null | undefined, dim: number): Tensor {
  if (!weight) return picked.counted.to(x.dtype);
  return picked.at(spread(weight.to(x.dtype), x, dim));
}

/** A [C] tensor along the class dim of x. */
const spread = (weight: Tensor, x: Tensor, dim: number): Tensor =>
  weight.reshape(x.shape.map((n, d) => (d === dim ? n : 1))).expand(x.shape);

/**
 * Minus the log-probability of the target class: x [C], [N, C] or [N, C, ...] of log-probabilities, target the shape
 * without C.
 *
 * @throws when the program runs and a target is neither a class nor `ignoreIndex`.
 */
export function nllLoss(x: Tensor, target: Tensor, options: ClassLossOptions = {}): Tensor {
  checkOptions('nllLoss', options, ['weight', 'ignoreIndex', 'reduction']);
  x = raised(x);
  const { weight, ignoreIndex = -100, reduction = 'mean' } = options;
  const dim = checkTarget('nllLoss', x, target);
  checkWeight('nllLoss', x, weight, dim);
  const picked = picker('nllLoss', x, target, dim, ignoreIndex);
  const weights = rowWeights(x, picked, weight, dim);
  const loss = picked.at(x).neg();
  return reduceRows('nllLoss', weight ? loss.mul(weights) : loss, weights, reduction);
}

/**
 * Softmax cross entropy of logits x [C], [N, C] or [N, C, ...] with class indices (the shape without C) or class
 * probabilities (x's shape).
 *
 * @throws when the program runs and a target is neither a class nor `ignoreIndex`.
 */
export function crossEntropy(x: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkFloat('crossEntropy', 'input', x);
  checkTensor('crossEntropy', 'target', target);
  x = raised(x);
  checkOptions('crossEntropy', options, ['weight', 'ignoreIndex', 'reduction', 'labelSmoothing']);
  const { weight, ignoreIndex = -100, reduction = 'mean', labelSmoothing = 0 } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new RangeError(`crossEntropy: labelSmoothing: expected 0 to 1, got ${labelSmoothing}`);
  if (isFloat(target.dtype)) return probabilityEntropy(x, target, weight, reduction, labelSmoothing);
  const dim = checkTarget('crossEntropy', x, target);
  checkWeight('crossEntropy', x, weight, dim);
  const logs = x.logSoftmax(dim);
  const picked = picker('crossEntropy', x, target, dim, ignoreIndex);
  const weights = rowWeights(x, picked, weight, dim);
  const hard = weight ? picked.at(logs).neg().mul(weights) : picked.at(logs).neg();
  if (labelSmoothing === 0) return reduceRows('crossEntropy', hard, weights, reduction);
  const everyClass = weight ? logs.mul(spread(weight.to(x.dtype), x, dim)) : logs;
  const smooth = picked.counted.where(everyClass.sum(dim).neg(), 0);
  const blended = hard.mul(1 - labelSmoothing).add(smooth.mul(labelSmoothing / x.shape[dim]!));
  return reduceRows('crossEntropy', blended, weights, reduction);
}

function probabilityEntropy(
  x: Tensor,
  target: Tensor,
  weight: Tensor | null | undefined,
  reduction: Reduction,
  labelSmoothing: number,
): Tensor {
  if (x.ndim === 0 || target.ndim !== x.ndim || target.shape.some((n, d) => n !== x.shape[d]))
    throw new RangeError(
      `crossEntropy: target: ${target.dtype} ${shapeText(target.shape)} came for an input ${shapeText(x.shape)}: expected probabilities of its shape, or class indices as integers, target.to('i64')`,
    );
  const dim = classDim(x);
  checkWeight('crossEntropy', x, weight, dim);
  const classes = x.shape[dim]!;
  const mass = labelSmoothing > 0 ? target.mul(1 - labelSmoothing).add(labelSmoothing / classes) : target;
  let terms = x.logSoftmax(dim).mul(mass);
  if (weight) terms = terms.mul(spread(weight.to(x.dtype), x, dim));
  const loss = terms.sum(dim).neg();
  if (reduction === 'mean') return loss.sum().div(x.numel() / classes);
  return reduceRows('crossEntropy', loss, loss, reduction);
}
