/** Cross-correlation as a node's attributes say, for every operator that convolves. */
import { F, type Tensor } from '../../../tensor/index.ts';
import type { Call } from '../call.ts';
import { padAmounts, windowsOf } from './windows.ts';

type ConvFunction = typeof F.conv2d;

const CONVS: readonly ConvFunction[] = [F.conv1d, F.conv2d, F.conv3d];

export const withoutDims = (call: Call, dims: number): never =>
  call.fail(`${dims} spatial dims are not supported (1 to 3 are)`);

interface ConvolveOptions {
  /** What stands outside of x; 0 by default. */
  readonly padValue?: number;
  /** The type narrow operands are multiplied and summed in; their own by default. */
  readonly accumulate?: 'i32';
}

/** Cross-correlation of x and w, of one dtype or accumulated in one. */
export function convolve(
  call: Call,
  x: Tensor,
  w: Tensor,
  bias: Tensor | null,
  { padValue = 0, accumulate }: ConvolveOptions = {},
): Tensor {
  const dims = x.ndim - 2;
  const conv = CONVS[dims - 1] ?? withoutDims(call, dims);
  const sizes = x.shape.slice(2);
  const windows = windowsOf(call, sizes, w.shape.slice(2));
  const { strides, dilations, before, after } = windows;
  const options = { stride: strides, dilation: dilations, groups: call.int('group', 1) };
  const wide = (t: Tensor): Tensor => (accumulate ? t.to(accumulate) : t);
  const isEven = before.every((n, d) => n === after[d]) && before.every(n => n >= 0);
  if (isEven && (padValue === 0 || before.every(n => n === 0)))
    return conv(wide(x), wide(w), bias, { ...options, padding: before });
  const padded = F.pad(x, padAmounts(windows, sizes), { value: padValue });
  return conv(wide(padded), wide(w), bias, options);
}
