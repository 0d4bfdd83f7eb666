/**
 * Functions that draw: dropout (random zeros, with the rest scaled up so that sums keep their expectation) and the
 * Gumbel softmax.
 */
import type { Generator } from '../../runtime/index.ts';
import { composite } from '../composite.ts';
import { arange, zerosLike } from '../creation.ts';
import { checkFloat, describe, normalDim } from '../operands.ts';
import { checkOptions, type OrAlone, withName } from '../options.ts';
import { keepMask, rand } from '../random.ts';
import type { Tensor } from '../tensor.ts';

export interface DropoutOptions {
  /** Probability of a zero, 0.5 by default. */
  readonly p?: number;
  /** Off: the input as it is. On by default. */
  readonly training?: boolean;
  readonly generator?: Generator;
}

/** The settings of a dropout, or its probability alone. */
export type Dropping = OrAlone<DropoutOptions, 'p'>;

function checked(op: string, given: Dropping): DropoutOptions {
  const options = checkOptions(op, withName<DropoutOptions, 'p'>('p', given), ['p', 'training', 'generator']);
  const { p = 0.5 } = options;
  if (typeof p !== 'number' || !(p >= 0 && p <= 1))
    throw new RangeError(`${op}: p: expected a probability from 0 to 1, got ${describe(p)}`);
  return options;
}

function drop(op: string, x: Tensor, maskShape: readonly number[], options: Dropping): Tensor {
  checkFloat(op, 'input', x);
  const { p = 0.5, training = true, generator } = checked(op, options);
  if (!training || p === 0) return x;
  if (p === 1) return x.mul(zerosLike(x));
  const dropped = keepMask(maskShape, 1 - p, generator)
    .where(x.mul(1 / (1 - p)), 0)
    .to(x.dtype);
  return maskShape === x.shape ? composite('dropout', [x], { p }, dropped) : dropped;
}

/** Zeroes elements with probability p (Srivastava et al. 2014). */
export function dropout(x: Tensor, options: Dropping = {}): Tensor {
  return drop('dropout', x, x.shape, options);
}

/** One decision for each channel: dims 0 and 1 are batch and channels. */
function dropChannels(op: string, x: Tensor, options: Dropping): Tensor {
  return drop(
    op,
    x,
    x.shape.map((n, d) => (d < 2 ? n : 1)),
    options,
  );
}

/** Zeroes whole channels of [batch, channels, length]. */
export function dropout1d(x: Tensor, options: Dropping = {}): Tensor {
  return dropChannels('dropout1d', x, options);
}

/** Zeroes whole channels of [batch, channels, height, width]. */
export function dropout2d(x: Tensor, options: Dropping = {}): Tensor {
  return dropChannels('dropout2d', x, options);
}

/** Zeroes whole channels of [batch, channels, depth, height, width]. */
export function dropout3d(x: Tensor, options: Dropping = {}): Tensor {
  return dropChannels('dropout3d', x, options);
}

const ALPHA = -1.7580993408473766;

function alphaDrop(op: string, x: Tensor, maskShape: readonly number[], options: Dropping): Tensor {
  checkFloat(op, 'input', x);
  const { p = 0.5, training = false, generator } = checked(op, options);
  if (!training || p === 0) return x;
  if (p === 1) return x.mul(zerosLike(x));
  const a = 1 / Math.sqrt((1 - p) * (1 + p * ALPHA * ALPHA));
  return keepMask(maskShape, 1 - p, generator)
    .where(x, ALPHA)
    .to(x.dtype)
    .mul(a)
    .add(-ALPHA * a * p);
}

/** Dropout that keeps mean and variance of SELU networks (Klambauer et al. 2017). Off by default, as in PyTorch. */
export function alphaDropout(x: Tensor, options: Dropping = {}): Tensor {
  return alphaDrop('alphaDropout', x, x.shape, options);
}

/** alphaDropout of whole channels. */
export function featureAlphaDropout(x: Tensor, options: Dropping = {}): Tensor {
  return alphaDrop(
    'featureAlphaDropout',
    x,
    x.shape.map((n, d) => (d < 2 ? n : 1)),
    options,
  );
}

export interface GumbelSoftmaxOptions {
  /** Temperature, 1 by default: the lower, the nearer to a choice of one. */
  readonly tau?: number;
  /** Whether ones and zeros come out, with the gradient of the soft ones; false by default. */
  readonly hard?: boolean;
  /** -1 by default. */
  readonly dim?: number;
  readonly generator?: Generator;
}

/**
 * A draw from the categories of unnormalised log-probabilities that can be differentiated (Jang et al. 2017, Maddison
 * et al. 2017).
 */
export function gumbelSoftmax(logits: Tensor, options: GumbelSoftmaxOptions = {}): Tensor {
  checkFloat('gumbelSoftmax', 'logits', logits);
  checkOptions('gumbelSoftmax', options, ['tau', 'hard', 'dim', 'generator']);
  const { tau = 1, hard = false, dim = -1, generator } = options;
  if (!(tau > 0)) throw new RangeError(`gumbelSoftmax: tau: expected a number above 0, got ${tau}`);
  const d = normalDim('gumbelSoftmax', dim, logits.ndim);
  // 1 - u is in (0, 1]; where it is 1, the logarithm of the smallest step stands for that of 0.
  const waits = rand(logits.shape, { generator })
    .neg()
    .log1p()
    .neg()
    .clampMin(2 ** -25);
  const soft = logits.sub(waits.log().to(logits.dtype)).div(tau).softmax(d);
  if (!hard) return soft;
  const places = arange(logits.shape[d]!).reshape(logits.shape.map((_, i) => (i === d ? -1 : 1)));
  const one = soft.detach().argmax(d, { keepdim: true }).eq(places).to(soft.dtype);
  return one.sub(soft.detach()).add(soft);
}
