/**
 * Normalisations, each as mean, centred variance, scale and shift, so that one row-wise kernel can hold them.
 */

import { isFloat } from '../../graph/dtype.ts';
import { raised } from '../autocast.ts';
import { composite } from '../composite.ts';
import { shapeText } from '../convert.ts';
import { checkFloat, checkTensor, checkWhole, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Parameter } from '../parameter.ts';
import type { Tensor } from '../tensor.ts';
import { avgPool2d } from './pool.ts';

/** Half types are normalised in f32 and rounded once. */
const wide = (x: Tensor): Tensor => (x.dtype === 'f16' || x.dtype === 'bf16' ? x.to('f32') : x);

/** A checked input, in f32 under autocast. */
function precise(op: string, x: Tensor): Tensor {
  checkFloat(op, 'input', x);
  return raised(x);
}

/** (x - mean) / sqrt(var + eps) over `dims`. */
function standardise(x: Tensor, dims: readonly number[], eps: number): Tensor {
  const centered = x.sub(x.mean(dims, { keepdim: true }));
  const variance = centered.mul(centered).mean(dims, { keepdim: true });
  return centered.mul(variance.add(eps).rsqrt());
}

function affine(x: Tensor, weight?: Tensor | null, bias?: Tensor | null): Tensor {
  const scaled = weight ? x.mul(weight) : x;
  return bias ? scaled.add(bias) : scaled;
}

function checkTrailing(
  op: string,
  x: Tensor,
  normalizedShape: readonly number[],
  ...others: (Tensor | null | undefined)[]
): number[] {
  checkTensor(op, 'input', x);
  if (!isFloat(x.dtype)) throw new TypeError(`${op}: input: expected a float tensor, got ${x.dtype}`);
  const lead = x.ndim - normalizedShape.length;
  if (normalizedShape.length === 0 || lead < 0 || normalizedShape.some((n, d) => n !== x.shape[lead + d]))
    throw new RangeError(
      `${op}: normalizedShape ${shapeText(normalizedShape)} is not the end of the input's shape ${shapeText(x.shape)}`,
    );
  for (const other of others)
    if (other && (other.ndim !== normalizedShape.length || other.shape.some((n, d) => n !== normalizedShape[d])))
      throw new RangeError(
        `${op}: weight and bias: expected ${shapeText(normalizedShape)}, got ${shapeText(other.shape)}`,
      );
  return normalizedShape.map((_, d) => lead + d);
}

/** Normalises over the trailing dims `normalizedShape` (Ba et al. 2016); weight and bias have that shape. */
export function layerNorm(
  input: Tensor,
  normalizedShape: readonly number[],
  weight?: Tensor | null,
  bias?: Tensor | null,
  eps = 1e-5,
): Tensor {
  const x = precise('layerNorm', input);
  const dims = checkTrailing('layerNorm', x, normalizedShape, weight, bias);
  const result = affine(standardise(wide(x), dims, eps), weight, bias).to(x.dtype);
  return composite('layerNorm', [x, weight, bias], { axis: dims[0]! - x.ndim, eps }, result);
}

/**
 * Divides by the root of the mean square over the trailing dims (Zhang and Sennrich 2019); eps is the dtype's by
 * default.
 */
export function rmsNorm(
  input: Tensor,
  normalizedShape: readonly number[],
  weight?: Tensor | null,
  eps?: number | null,
): Tensor {
  const x = precise('rmsNorm', input);
  const dims = checkTrailing('rmsNorm', x, normalizedShape, weight);
  const values = wide(x);
  const small = eps ?? (values.dtype === 'f64' ? Number.EPSILON : 1.1920928955078125e-7);
  const scale = values.mul(values).mean(dims, { keepdim: true }).add(small).rsqrt();
  const result = affine(values.mul(scale), weight).to(x.dtype);
  return composite('rmsNorm', [x, weight], { axis: -normalizedShape.length, eps: small }, result);
}

/** Normalises each of `numGroups` groups of channels (Wu and He 2018); weight and bias are [channels]. */
export function groupNorm(
  input: Tensor,
  numGroups: number,
  weight?: Tensor | null,
  bias?: Tensor | null,
  eps = 1e-5,
): Tensor {
  const x = precise('groupNorm', input);
  checkWhole('groupNorm', 'numGroups', numGroups, 1);
  if (x.ndim < 2) throw new RangeError(`groupNorm: input: expected at least 2 dims, got ${shapeText(x.shape)}`);
  const channels = x.shape[1]!;
  if (channels % numGroups !== 0)
    throw new RangeError(`groupNorm: ${channels} channels do not divide into ${numGroups} groups`);
  const rows = wide(x).reshape([x.shape[0]!, numGroups, x.numel() === 0 ? 0 : -1]);
  const normal = standardise(rows, [2], eps).reshape(x.shape);
  const result = affine(normal, perChannel('groupNorm', x, weight), perChannel('groupNorm', x, bias)).to(x.dtype);
  return composite('groupNorm', [x, weight, bias], { numGroups, eps }, result);
}

/** A [channels] tensor shaped to broadcast along dim 1 of x. */
function perChannel(op: string, x: Tensor, value: Tensor | null | undefined): Tensor | null {
  if (!value) return null;
  if (value.numel() !== x.shape[1])
    throw new RangeError(`${op}: weight and statistics: expected [${x.shape[1]}], got ${shapeText(value.shape)}`);
  return value.reshape(x.shape.map((_, d) => (d === 1 ? x.shape[1]! : 1)));
}

export interface BatchNormOptions {
  /** Uses (and blends into the running ones) the batch's statistics; otherwise the running ones. Off by default. */
  readonly training?: boolean;
  /** Weight of the new statistics in the running ones, 0.1 by default. */
  readonly momentum?: number;
  /** 1e-5 by default. */
  readonly eps?: number;
}

/** running <- (1 - momentum) * running + momentum * value, where running is a parameter. */
function blend(running: Tensor | null | undefined, value: Tensor, momentum: number): void {
  if (running instanceof Parameter) running.assign(running.mul(1 - momentum).add(value.detach().mul(momentum)));
}

/**
 * The variance of x, whose mean is `mean`: the mean square around a point that stands still, less the square of the
 * mean's distance from it, which is 0 and has the gradient 0. (Through the moving mean, the gradient sums over x what
 * it has just made of x: batch norm's took two more passes.)
 */
function varianceAround(x: Tensor, mean: Tensor, dims: readonly number[]): Tensor {
  const still = mean.detach();
  const [around, moved] = [x.sub(still), mean.sub(still)];
  return around.mul(around).mean(dims, { keepdim: true }).sub(moved.mul(moved));
}

/**
 * Normalises each channel (dim 1) over batch and space (Ioffe and Szegedy 2015). Running statistics are [channels]; in
 * training those that are parameters are updated, with the unbiased variance.
 */
export function batchNorm(
  x: Tensor,
  runningMean?: Tensor | null,
  runningVar?: Tensor | null,
  weight?: Tensor | null,
  bias?: Tensor | null,
  options: BatchNormOptions = {},
): Tensor {
  checkOptions('batchNorm', options, ['training', 'momentum', 'eps']);
  checkFloat('batchNorm', 'input', x);
  const { training = false, momentum = 0.1, eps = 1e-5 } = options;
  if (x.ndim === 1 && x.numel() === 0) return x;
  if (x.ndim < 2) throw new RangeError(`batchNorm: input: expected at least 2 dims, got ${shapeText(x.shape)}`);
  const input = wide(x);
  const dims = x.shape.map((_, d) => d).filter(d => d !== 1);
  const count = dims.reduce((a, d) => a * x.shape[d]!, 1);
  const [scale, shift] = [perChannel('batchNorm', x, weight), perChannel('batchNorm', x, bias)];
  const factorOf = (variance: Tensor): Tensor => {
    const factor = variance.add(eps).rsqrt();
    return scale ? factor.mul(scale) : factor;
  };
  if (training) {
    if (count <= 1)
      throw new RangeError(`batchNorm: training needs more than one value per channel, got ${shapeText(x.shape)}`);
    const mean = input.mean(dims, { keepdim: true });
    const centered = input.sub(mean);
    const variance = varianceAround(input, mean, dims);
    blend(runningMean, mean.reshape([-1]), momentum);
    blend(runningVar, variance.reshape([-1]).mul(count / (count - 1)), momentum);
    return affine(centered.mul(factorOf(variance)), null, shift).to(x.dtype);
  }
  const [mean, variance] = [perChannel('batchNorm', x, runningMean), perChannel('batchNorm', x, runningVar)];
  if (!mean || !variance) throw new TypeError('batchNorm: running statistics must be given outside training');
  // Two operations an element, as PyTorch has it: the others are of channels alone, and done once where weights last.
  const factor = factorOf(variance);
  const moved = mean.mul(factor).neg();
  const result = affine(input, factor, shift ? shift.add(moved) : moved).to(x.dtype);
  return composite('batchNorm', [x, runningMean, runningVar, weight, bias], { eps }, result);
}

export interface InstanceNormOptions {
  readonly runningMean?: Tensor | null;
  readonly runningVar?: Tensor | null;
  readonly weight?: Tensor | null;
  readonly bias?: Tensor | null;
  /** Statistics of the input (the default), or the running ones. */
  readonly useInputStats?: boolean;
  readonly momentum?: number;
  readonly eps?: number;
}

/** Normalises each channel of each instance over space (Ulyanov et al. 2016). */
export function instanceNorm(input: Tensor, options: InstanceNormOptions = {}): Tensor {
  checkOptions('instanceNorm', options, [
    'runningMean',
    'runningVar',
    'weight',
    'bias',
    'useInputStats',
    'momentum',
    'eps',
  ]);
  const x = precise('instanceNorm', input);
  const { runningMean, runningVar, weight, bias, useInputStats = true, momentum = 0.1, eps = 1e-5 } = options;
  if (!useInputStats) return batchNorm(x, runningMean, runningVar, weight, bias, { eps });
  if (x.ndim < 3) throw new RangeError(`instanceNorm: input: expected at least 3 dims, got ${shapeText(x.shape)}`);
  const dims = x.shape.map((_, d) => d).slice(2);
  const count = dims.reduce((a, d) => a * x.shape[d]!, 1);
  if (count <= 1)
    throw new RangeError(`instanceNorm: input: expected more than one value per channel, got ${shapeText(x.shape)}`);
  if (runningMean || runningVar) {
    blend(runningMean, x.mean(dims).mean(0), momentum);
    blend(runningVar, x.var(dims).mean(0), momentum);
  }
  const normal = standardise(wide(x), dims, eps);
  const result = affine(normal, perChannel('instanceNorm', x, weight), perChannel('instanceNorm', x, bias)).to(x.dtype);
  return composite('instanceNorm', [x, weight, bias], { eps }, result);
}

export interface LocalResponseNormOptions {
  readonly alpha?: number;
  readonly beta?: number;
  readonly k?: number;
}

/** Divides by a power of the mean square over `size` neighbouring channels (Krizhevsky et al. 2012). */
export function localResponseNorm(x: Tensor, size: number, options: LocalResponseNormOptions = {}): Tensor {
  checkOptions('localResponseNorm', options, ['alpha', 'beta', 'k']);
  checkFloat('localResponseNorm', 'input', x);
  checkWhole('localResponseNorm', 'size', size, 1);
  const { alpha = 1e-4, beta = 0.75, k = 1 } = options;
  if (x.ndim < 3) throw new RangeError(`localResponseNorm: input: expected at least 3 dims, got ${shapeText(x.shape)}`);
  if (x.numel() === 0) return x;
  const [n, channels] = x.shape as [number, number];
  const squares = x.mul(x).reshape([n, 1, channels, -1]);
  const before = Math.floor(size / 2);
  const after = Math.floor((size - 1) / 2);
  const padded = squares.constantPad([0, 0, before, after]);
  const mean = avgPool2d(padded, [size, 1], { stride: 1 }).reshape(x.shape);
  return x.div(mean.mul(alpha).add(k).pow(beta));
}

/** x divided by its p-norm along `dim` (2 and 1 by default), or by eps where that is larger. */
export function normalize(
  x: Tensor,
  options: { readonly p?: number; readonly dim?: number | readonly number[]; readonly eps?: number } = {},
): Tensor {
  checkOptions('normalize', options, ['p', 'dim', 'eps']);
  checkFloat('normalize', 'input', x);
  const { p = 2, dim = 1, eps = 1e-12 } = options;
  if (typeof dim === 'number') normalDim('normalize', dim, x.ndim);
  return x.div(x.norm(p, dim, { keepdim: true }).clampMin(eps));
}
