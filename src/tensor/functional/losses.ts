/**
 * Losses between values: regression, binary and divergence losses. Class losses are in classLosses.ts, losses between
 * vectors in distanceLosses.ts.
 */
import { noticeOnce } from '../../runtime/index.ts';
import { raised } from '../autocast.ts';
import { shapeText } from '../convert.ts';
import { zerosLike } from '../creation.ts';
import { broadcastShapes, checkFloat, checkTensor } from '../operands.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { checkSameShape, type LossOptions, promotedPair, type Reduction, reduceLoss } from './lossParts.ts';

/** Broadcasts input and target, which PyTorch allows in regression losses, with a warning as well. */
function difference(op: string, x: Tensor, target: Tensor): Tensor {
  checkTensor(op, 'input', x);
  checkTensor(op, 'target', target);
  const shape = broadcastShapes(op, [x.shape, target.shape]);
  if (shapeText(target.shape) !== shapeText(x.shape))
    noticeOnce(
      `${op}: the target's shape ${shapeText(target.shape)} is not the input's ${shapeText(x.shape)}: the loss is of all ${shapeText(shape)} pairs, which is hardly meant`,
    );
  return raised(x).sub(raised(target));
}

/** Mean squared error. */
export function mseLoss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('mseLoss', options, ['reduction']);
  const d = difference('mseLoss', x, target);
  return reduceLoss('mseLoss', d.mul(d), options.reduction);
}

/** Mean absolute error. */
export function l1Loss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('l1Loss', options, ['reduction']);
  return reduceLoss('l1Loss', difference('l1Loss', x, target).abs(), options.reduction);
}

/** Squared below `beta` (1 by default), absolute above (Girshick 2015). */
export function smoothL1Loss(
  x: Tensor,
  target: Tensor,
  options: LossOptions & { readonly beta?: number } = {},
): Tensor {
  const { beta = 1, reduction } = checkOptions('smoothL1Loss', options, ['reduction', 'beta']);
  if (!(beta >= 0)) throw new RangeError(`smoothL1Loss: beta: expected at least 0, got ${beta}`);
  const d = difference('smoothL1Loss', x, target);
  const size = d.abs();
  if (beta === 0) return reduceLoss('smoothL1Loss', size, reduction);
  const loss = size.lt(beta).where(d.mul(d).mul(0.5 / beta), size.sub(0.5 * beta));
  return reduceLoss('smoothL1Loss', loss, reduction);
}

/** Squared below `delta` (1 by default), linear above (Huber 1964). */
export function huberLoss(x: Tensor, target: Tensor, options: LossOptions & { readonly delta?: number } = {}): Tensor {
  const { delta = 1, reduction } = checkOptions('huberLoss', options, ['reduction', 'delta']);
  if (!(delta > 0)) throw new RangeError(`huberLoss: delta: expected more than 0, got ${delta}`);
  const d = difference('huberLoss', x, target);
  const size = d.abs();
  const loss = size.le(delta).where(d.mul(d).mul(0.5), size.sub(0.5 * delta).mul(delta));
  return reduceLoss('huberLoss', loss, reduction);
}

export interface BinaryLossOptions extends LossOptions {
  /** A factor for each element, broadcast. */
  readonly weight?: Tensor | null;
}

/**
 * Logarithm of a probability, at least -100, whose slope at 0 is 0 and not infinite: what saturated has no NaN for a
 * gradient.
 */
function logOf(p: Tensor, log: (p: Tensor) => Tensor, certain: Tensor, harmless: number): Tensor {
  return certain.where(-100, log(certain.where(harmless, p)).clampMin(-100));
}

/** Cross entropy of probabilities with targets from 0 to 1; logarithms are limited to -100, as in PyTorch. */
export function binaryCrossEntropy(x: Tensor, target: Tensor, options: BinaryLossOptions = {}): Tensor {
  checkOptions('binaryCrossEntropy', options, ['weight', 'reduction']);
  checkFloat('binaryCrossEntropy', 'input', x);
  checkSameShape('binaryCrossEntropy', x, target);
  x = raised(x);
  const { weight, reduction } = options;
  const yes = target.mul(logOf(x, p => p.log(), x.eq(0), 1));
  const no = target
    .neg()
    .add(1)
    .mul(logOf(x, p => p.neg().log1p(), x.eq(1), 0));
  const loss = yes.add(no).neg();
  return reduceLoss('binaryCrossEntropy', weight ? loss.mul(weight) : loss, reduction);
}

export interface LogitLossOptions extends BinaryLossOptions {
  /** A factor for the positive part, broadcast. */
  readonly posWeight?: Tensor | null;
}

/** binaryCrossEntropy of sigmoid(x), stable for any x. */
export function binaryCrossEntropyWithLogits(x: Tensor, target: Tensor, options: LogitLossOptions = {}): Tensor {
  checkOptions('binaryCrossEntropyWithLogits', options, ['posWeight', 'weight', 'reduction']);
  checkFloat('binaryCrossEntropyWithLogits', 'input', x);
  checkSameShape('binaryCrossEntropyWithLogits', x, target);
  x = raised(x);
  const { weight, posWeight, reduction } = options;
  // log(1 + exp(-x)) without overflow; the maximum's tie at 0 gives each side half, and so the right slope there.
  const soft = x
    .abs()
    .neg()
    .exp()
    .log1p()
    .add(x.neg().maximum(zerosLike(x)));
  const scaled = posWeight ? posWeight.sub(1).mul(target).add(1).mul(soft) : soft;
  const loss = target.neg().add(1).mul(x).add(scaled);
  return reduceLoss('binaryCrossEntropyWithLogits', weight ? loss.mul(weight) : loss, reduction);
}

/**
 * Divergence of the target's distribution from exp(x): x holds log-probabilities, the target probabilities (logs with
 * `logTarget`).
 */
export function klDiv(
  x: Tensor,
  target: Tensor,
  options: { readonly reduction?: Reduction | 'batchmean'; readonly logTarget?: boolean } = {},
): Tensor {
  checkOptions('klDiv', options, ['reduction', 'logTarget']);
  checkFloat('klDiv', 'input', x);
  checkTensor('klDiv', 'target', target);
  x = raised(x);
  const { reduction = 'mean', logTarget = false } = options;
  const loss = logTarget ? target.exp().mul(target.sub(x)) : target.xlogy(target).sub(target.mul(x));
  if (reduction === 'batchmean') return loss.sum().div(x.shape[0] ?? 1);
  return reduceLoss('klDiv', loss, reduction);
}

/**
 * Poisson likelihood: exp(x) - target * x, or x - target * log(x + eps) with logInput false; `full` adds Stirling's
 * term.
 */
export function poissonNllLoss(
  x: Tensor,
  target: Tensor,
  options: LossOptions & { readonly logInput?: boolean; readonly full?: boolean; readonly eps?: number } = {},
): Tensor {
  checkOptions('poissonNllLoss', options, ['reduction', 'logInput', 'full', 'eps']);
  checkTensor('poissonNllLoss', 'input', x);
  checkTensor('poissonNllLoss', 'target', target);
  broadcastShapes('poissonNllLoss', [x.shape, target.shape]);
  x = raised(x);
  const { logInput = true, full = false, eps = 1e-8, reduction } = options;
  let loss = logInput ? x.exp().sub(target.mul(x)) : x.sub(target.mul(x.add(eps).log()));
  if (full) {
    const t = target.clampMin(1);
    const stirling = t
      .mul(t.log())
      .sub(t)
      .add(
        t
          .mul(2 * Math.PI)
          .log()
          .mul(0.5),
      );
    loss = loss.add(target.gt(1).where(stirling, 0));
  }
  return reduceLoss('poissonNllLoss', loss, reduction);
}

/** Gaussian likelihood with variance given, limited below by eps (which has no gradient); `full` adds the constant. */
export function gaussianNllLoss(
  x: Tensor,
  target: Tensor,
  variance: Tensor,
  options: LossOptions & { readonly full?: boolean; readonly eps?: number } = {},
): Tensor {
  checkOptions('gaussianNllLoss', options, ['reduction', 'full', 'eps']);
  checkTensor('gaussianNllLoss', 'input', x);
  checkTensor('gaussianNllLoss', 'target', target);
  checkTensor('gaussianNllLoss', 'var', variance);
  x = raised(x);
  variance = raised(variance);
  const { full = false, eps = 1e-6, reduction } = options;
  let spread = variance;
  const same = variance.ndim === x.ndim && variance.shape.every((n, d) => n === x.shape[d]);
  if (!same) {
    if (variance.ndim === x.ndim - 1 && variance.shape.every((n, d) => n === x.shape[d]))
      spread = variance.unsqueeze(-1);
    else if (variance.ndim !== x.ndim || variance.shape[x.ndim - 1] !== 1)
      throw new RangeError(
        `gaussianNllLoss: var: shape ${shapeText(variance.shape)} does not match the input's ${shapeText(x.shape)}`,
      );
  }
  // The limit passes the gradient on unchanged, as PyTorch's does.
  const limited = spread.add(spread.detach().clampMin(eps).sub(spread.detach()));
  const d = x.sub(target);
  let loss = limited.log().add(d.mul(d).div(limited)).mul(0.5);
  if (full) loss = loss.add(0.5 * Math.log(2 * Math.PI));
  return reduceLoss('gaussianNllLoss', loss, reduction);
}

/** log(1 + exp(-target * x)), targets -1 or 1. */
export function softMarginLoss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('softMarginLoss', options, ['reduction']);
  checkSameShape('softMarginLoss', x, target);
  x = raised(x);
  return reduceLoss('softMarginLoss', target.neg().mul(x).exp().log1p(), options.reduction);
}

/** Binary cross entropy of logits averaged over the last dim, [..., C]. */
export function multilabelSoftMarginLoss(x: Tensor, target: Tensor, options: BinaryLossOptions = {}): Tensor {
  checkOptions('multilabelSoftMarginLoss', options, ['weight', 'reduction']);
  checkSameShape('multilabelSoftMarginLoss', x, target);
  x = raised(x);
  const { weight, reduction } = options;
  const [a, b] = promotedPair(x, target);
  const likely = b
    .mul(logsigmoidOf(a))
    .add(b.neg().add(1).mul(logsigmoidOf(a.neg())))
    .neg();
  const weighted = weight ? likely.mul(weight) : likely;
  return reduceLoss('multilabelSoftMarginLoss', weighted.mean(-1), reduction);
}

const logsigmoidOf = (x: Tensor): Tensor => x.minimum(zerosLike(x)).sub(x.abs().neg().exp().log1p());
