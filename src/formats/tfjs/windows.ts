/**
 * TensorFlow's convolutions and poolings over tensors with channels last, from Tenon's, which have channels second.
 * SAME padding splits what is missing evenly, the odd one behind (tf.nn.convolution).
 */
import { F, ones, type Tensor } from '../../tensor/index.ts';

export type Padding = 'same' | 'valid' | readonly (readonly [before: number, after: number])[];

export interface Window {
  readonly stride: readonly number[];
  readonly padding: Padding;
  readonly dilation?: readonly number[];
}

/** [n, ...spatial, c] -> [n, c, ...spatial]. */
export const channelsSecond = (x: Tensor): Tensor => x.movedim(-1, 1);
/** [n, c, ...spatial] -> [n, ...spatial, c]. */
export const channelsLast = (x: Tensor): Tensor => x.movedim(1, -1);

/** Pairs of zeros around each spatial dim. */
function amounts(
  sizes: readonly number[],
  kernel: readonly number[],
  { stride, padding, dilation }: Window,
): readonly (readonly [number, number])[] {
  if (padding === 'valid') return sizes.map(() => [0, 0]);
  if (padding !== 'same') return padding;
  return sizes.map((size, d) => {
    const reach = (kernel[d]! - 1) * (dilation?.[d] ?? 1) + 1;
    const total = Math.max(0, (Math.ceil(size / stride[d]!) - 1) * stride[d]! + reach - size);
    return [Math.floor(total / 2), total - Math.floor(total / 2)];
  });
}

/** Pads the spatial dims of [n, c, ...spatial]. */
const padded = (x: Tensor, pairs: readonly (readonly [number, number])[], value = 0): Tensor =>
  pairs.every(([before, after]) => before === 0 && after === 0) ? x : x.constantPad([...pairs].reverse().flat(), value);

const CONV = { 1: F.conv1d, 2: F.conv2d, 3: F.conv3d } as const;
const CONV_TRANSPOSE = { 1: F.convTranspose1d, 2: F.convTranspose2d } as const;
const MAX_POOL = { 1: F.maxPool1d, 2: F.maxPool2d, 3: F.maxPool3d } as const;
const AVG_POOL = { 1: F.avgPool1d, 2: F.avgPool2d, 3: F.avgPool3d } as const;

type Rank = 1 | 2 | 3;
const rankOf = (x: Tensor): Rank => (x.ndim - 2) as Rank;

/** x [n, ...spatial, c], kernel [...sizes, c / groups, out] -> [n, ...spatial', out]. */
export function conv(x: Tensor, kernel: Tensor, window: Window, groups = 1): Tensor {
  const input = channelsSecond(x);
  const rank = rankOf(x);
  const sizes = kernel.shape.slice(0, rank);
  const weight = kernel.permute([rank + 1, rank, ...sizes.map((_, d) => d)]);
  const ready = padded(input, amounts(input.shape.slice(2), sizes, window));
  const options = { stride: window.stride, groups, ...(window.dilation && { dilation: window.dilation }) };
  return channelsLast(CONV[rank](ready, weight, null, options));
}

/** x [n, h, w, c], kernel [kh, kw, c, multiplier] -> [n, h', w', c * multiplier]. */
export function depthwiseConv(x: Tensor, kernel: Tensor, window: Window): Tensor {
  const [kh, kw, channels, multiplier] = kernel.shape as [number, number, number, number];
  return conv(x, kernel.reshape([kh, kw, 1, channels * multiplier]), window, channels);
}

/**
 * The gradient of a convolution as a layer: x [n, ...spatial, in], kernel [...sizes, out, in]; cut or grown to
 * `outSizes` as TensorFlow does.
 */
export function convTranspose(x: Tensor, kernel: Tensor, window: Window, outSizes: readonly number[]): Tensor {
  const rank = rankOf(x) as 1 | 2;
  const sizes = kernel.shape.slice(0, rank);
  const weight = kernel.permute([rank + 1, rank, ...sizes.map((_, d) => d)]);
  const full = CONV_TRANSPOSE[rank](channelsSecond(x), weight, null, {
    stride: window.stride,
    ...(window.dilation && { dilation: window.dilation }),
  });
  const before = amounts(outSizes, sizes, window).map(([first]) => first);
  let y = full;
  outSizes.forEach((size, d) => {
    const dim = 2 + d;
    const have = y.shape[dim]! - before[d]!;
    y = y.narrow(dim, before[d]!, Math.min(size, have));
    if (have < size) y = y.constantPad([...new Array<number>(2 * (rank - 1 - d)).fill(0), 0, size - have]);
  });
  return channelsLast(y);
}

/** The largest of each window of x [n, ...spatial, c]. */
export function maxPool(x: Tensor, kernel: readonly number[], window: Window): Tensor {
  const input = channelsSecond(x);
  const ready = padded(input, amounts(input.shape.slice(2), kernel, window), Number.NEGATIVE_INFINITY);
  return channelsLast(MAX_POOL[rankOf(x)](ready, kernel, { stride: window.stride }) as Tensor);
}

/** The average of each window of x [n, ...spatial, c], padding not counted. */
export function avgPool(x: Tensor, kernel: readonly number[], window: Window): Tensor {
  const input = channelsSecond(x);
  const rank = rankOf(x);
  const pairs = amounts(input.shape.slice(2), kernel, window);
  const sums = (t: Tensor): Tensor =>
    AVG_POOL[rank](padded(t, pairs), kernel, { stride: window.stride, divisorOverride: 1 });
  if (pairs.every(([before, after]) => before + after === 0))
    return channelsLast(AVG_POOL[rank](input, kernel, { stride: window.stride }));
  const counts = sums(ones([1, 1, ...input.shape.slice(2)], { dtype: x.dtype }));
  return channelsLast(sums(input).div(counts));
}
