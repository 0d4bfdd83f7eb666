/**
 * Normalisations that return the statistics they used (without a gradient), under torch's names for them.
 */
import { shapeText } from '../convert.ts';
import { zeros } from '../creation.ts';
import { checkFloat } from '../operands.ts';
import type { Tensor } from '../tensor.ts';
import { batchNorm, layerNorm } from './normalise.ts';

export interface NormWithStatistics {
  readonly output: Tensor;
  readonly mean: Tensor;
  /** 1 / sqrt(variance + eps). */
  readonly rstd: Tensor;
}

/** layerNorm, and mean and reciprocal deviation of each row with the normalised dims kept as 1. */
export function nativeLayerNorm(
  x: Tensor,
  normalizedShape: readonly number[],
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
): NormWithStatistics {
  checkFloat('nativeLayerNorm', 'input', x);
  const lead = x.ndim - normalizedShape.length;
  if (normalizedShape.length === 0 || lead < 0 || normalizedShape.some((n, d) => n !== x.shape[lead + d]))
    throw new RangeError(
      `nativeLayerNorm: normalizedShape ${shapeText(normalizedShape)} is not the end of the input's shape ${shapeText(x.shape)}`,
    );
  for (const [name, part] of [
    ['weight', weight],
    ['bias', bias],
  ] as const)
    if (part && shapeText(part.shape) !== shapeText(normalizedShape))
      throw new RangeError(
        `nativeLayerNorm: ${name}: expected ${shapeText(normalizedShape)}, got ${shapeText(part.shape)}`,
      );
  const dims = normalizedShape.map((_, d) => lead + d);
  const mean = x.mean(dims, { keepdim: true });
  const rstd = x.var(dims, { keepdim: true, correction: 0 }).add(eps).rsqrt();
  return { output: layerNorm(x, normalizedShape, weight, bias, eps), mean: mean.detach(), rstd: rstd.detach() };
}

/** batchNorm, and mean and reciprocal deviation of each channel in training, which are empty otherwise. */
export function nativeBatchNorm(
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  runningMean: Tensor | null,
  runningVar: Tensor | null,
  training: boolean,
  momentum: number,
  eps: number,
): NormWithStatistics {
  checkFloat('nativeBatchNorm', 'input', x);
  const output = batchNorm(x, runningMean, runningVar, weight, bias, { training, momentum, eps });
  if (!training) return { output, mean: zeros([0], { dtype: x.dtype }), rstd: zeros([0], { dtype: x.dtype }) };
  const dims = x.shape.map((_, d) => d).filter(d => d !== 1);
  const fixed = x.detach();
  return { output, mean: fixed.mean(dims), rstd: fixed.var(dims, { correction: 0 }).add(eps).rsqrt() };
}
