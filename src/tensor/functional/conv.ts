/**
 * Convolutions and their transposes in one, two and three dims: a window view and one contraction, so that both
 * gradients are contractions too.
 */

import * as build from '../../graph/build.ts';
import type { AxisMap } from '../../graph/node.ts';
import { axis, identityAxis } from '../../graph/reindex.ts';
import { lowered } from '../autocast.ts';
import { composite } from '../composite.ts';
import { shapeText } from '../convert.ts';
import { checkTensor, checkWhole } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import { batched, outputSizes, perDim, type Sizes, windows } from './geometry.ts';

export interface ConvOptions {
  readonly stride?: Sizes;
  /** Zeros on both sides; 'same' keeps the sizes (stride 1), 'valid' is 0. */
  readonly padding?: Sizes | 'same' | 'valid';
  readonly dilation?: Sizes;
  /** Channels are cut into this many groups that do not see each other. */
  readonly groups?: number;
}

export interface ConvTransposeOptions {
  readonly stride?: Sizes;
  readonly padding?: Sizes;
  /** Added to one side of the output. */
  readonly outputPadding?: Sizes;
  readonly dilation?: Sizes;
  readonly groups?: number;
}

/** Checked operands, in autocast's type where it is on. */
function operands(
  op: string,
  input: Tensor,
  kernels: Tensor,
  shift: Tensor | null | undefined,
  dims: number,
): [x: Tensor, weight: Tensor, bias: Tensor | null] {
  checkTensor(op, 'input', input);
  checkTensor(op, 'weight', kernels);
  if (shift) checkTensor(op, 'bias', shift);
  const [x, weight, bias] = [lowered(input), lowered(kernels), shift ? lowered(shift) : null];
  if (bias && bias.dtype !== x.dtype) throw new TypeError(`${op}: dtypes differ: input ${x.dtype}, bias ${bias.dtype}`);
  if (weight.ndim !== dims + 2)
    throw new RangeError(`${op}: weight: expected ${dims + 2} dims, got ${shapeText(weight.shape)}`);
  if (x.dtype !== weight.dtype) throw new TypeError(`${op}: dtypes differ: input ${x.dtype}, weight ${weight.dtype}`);
  if (x.dtype === 'bool') throw new TypeError(`${op}: bool is not supported`);
  return [x, weight, bias];
}

function addBias(op: string, y: Tensor, bias: Tensor | null | undefined, channels: number, dims: number): Tensor {
  if (!bias) return y;
  if (bias.ndim !== 1 || bias.shape[0] !== channels)
    throw new RangeError(`${op}: bias: expected [${channels}], got ${shapeText(bias.shape)}`);
  return y.add(bias.reshape([channels, ...new Array<number>(dims).fill(1)]));
}

/** Zeros before and after, which differ for 'same' with an even kernel. */
function paddings(
  op: string,
  padding: Sizes | 'same' | 'valid',
  kernel: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): { before: number[]; extra: number[] } {
  const none = kernel.map(() => 0);
  if (padding === 'valid') return { before: none, extra: none };
  if (padding === 'same') {
    if (stride.some(s => s !== 1)) throw new RangeError(`${op}: padding same needs stride 1, got ${shapeText(stride)}`);
    const total = kernel.map((k, d) => dilation[d]! * (k - 1));
    return { before: total.map(n => Math.floor(n / 2)), extra: total.map(n => n % 2) };
  }
  if (typeof padding === 'string')
    throw new TypeError(`${op}: padding: expected numbers, same or valid, got ${padding}`);
  return { before: perDim(op, 'padding', padding, kernel.length, 0), extra: none };
}

function conv(
  op: string,
  dims: number,
  given: Tensor,
  kernels: Tensor,
  shift: Tensor | null | undefined,
  options: ConvOptions,
): Tensor {
  checkOptions(op, options, ['stride', 'padding', 'dilation', 'groups']);
  const [x, weight, bias] = operands(op, given, kernels, shift, dims);
  const { groups = 1 } = options;
  checkWhole(op, 'groups', groups, 1);
  const { input, restore } = batched(op, x, dims);
  const [n, channels, ...sizes] = input.shape as [number, number, ...number[]];
  const [out, perGroup, ...kernel] = weight.shape as [number, number, ...number[]];
  if (channels !== perGroup * groups || out % groups !== 0)
    throw new RangeError(
      `${op}: channels do not match: input ${shapeText(x.shape)}, weight ${shapeText(weight.shape)}, groups ${groups}`,
    );
  const stride = perDim(op, 'stride', options.stride ?? 1, dims, 1);
  const dilation = perDim(op, 'dilation', options.dilation ?? 1, dims, 1);
  const { before, extra } = paddings(op, options.padding ?? 0, kernel, stride, dilation);
  const window = { kernel, stride, padding: before, dilation };
  const room = sizes.map((size, d) => size + extra[d]!);
  const outSizes = outputSizes(op, room, window);

  // x [n, g, c, ...spatial] seen through windows, w [g, m, c, ...kernel], result [n, g, m, ...out].
  const { axes: g, label } = groupAxis(groups);
  const viewed = windows(build.reshape(input.node, [n, ...g, perGroup, ...sizes]), dims, outSizes, window);
  const filters = build.reshape(weight.node, [...g, out / groups, perGroup, ...kernel]);
  const [labelN, labelC, labelM] = [0, 2, 3];
  const labelsOut = outSizes.map((_, d) => 4 + d);
  const labelsKernel = kernel.map((_, d) => 4 + dims + d);
  const y = build.contract(
    viewed,
    filters,
    [labelN, ...label, labelC, ...labelsOut, ...labelsKernel],
    [...label, labelM, labelC, ...labelsKernel],
    [labelN, ...label, labelM, ...labelsOut],
  );
  const result = restore(addBias(op, new Tensor(build.reshape(y, [n, out, ...outSizes])), bias, out, dims));
  if (x.ndim !== dims + 2) return result;
  const after = before.map((p, d) => p + extra[d]!);
  return composite('conv', [x, weight, bias], { stride, dilation, groups, before, after }, result);
}

/**
 * The axis of the groups and its label, 1. A single group is no axis at all: dropping it later would put a reshape
 * between windows and contraction, and the input's gradient would no longer merge into one contraction.
 */
const groupAxis = (groups: number): { axes: number[]; label: number[] } =>
  groups === 1 ? { axes: [], label: [] } : { axes: [groups], label: [1] };

function convTranspose(
  op: string,
  dims: number,
  given: Tensor,
  kernels: Tensor,
  shift: Tensor | null | undefined,
  options: ConvTransposeOptions,
): Tensor {
  checkOptions(op, options, ['stride', 'padding', 'outputPadding', 'dilation', 'groups']);
  const [x, weight, bias] = operands(op, given, kernels, shift, dims);
  const { groups = 1 } = options;
  checkWhole(op, 'groups', groups, 1);
  const { input, restore } = batched(op, x, dims);
  const [n, channels, ...sizes] = input.shape as [number, number, ...number[]];
  const [inChannels, perGroup, ...kernel] = weight.shape as [number, number, ...number[]];
  if (channels !== inChannels || channels % groups !== 0)
    throw new RangeError(
      `${op}: channels do not match: input ${shapeText(x.shape)}, weight ${shapeText(weight.shape)}, groups ${groups}`,
    );
  const stride = perDim(op, 'stride', options.stride ?? 1, dims, 1);
  const padding = perDim(op, 'padding', options.padding ?? 0, dims, 0);
  const dilation = perDim(op, 'dilation', options.dilation ?? 1, dims, 1);
  const outputPadding = perDim(op, 'outputPadding', options.outputPadding ?? 0, dims, 0);
  outputPadding.forEach((extra, d) => {
    if (extra >= stride[d]! && extra >= dilation[d]!)
      throw new RangeError(
        `${op}: outputPadding: ${shapeText(outputPadding)} must be smaller than stride ${shapeText(stride)} or dilation ${shapeText(dilation)}`,
      );
  });
  const outSizes = sizes.map(
    (size, d) => (size - 1) * stride[d]! - 2 * padding[d]! + dilation[d]! * (kernel[d]! - 1) + outputPadding[d]! + 1,
  );
  if (outSizes.some(size => size < 1))
    throw new RangeError(`${op}: the output would have sizes ${shapeText(outSizes)} for input ${shapeText(x.shape)}`);

  // Output position o takes kernel position k from input position (o + padding - k * dilation) / stride, where that is
  // whole.
  const { axes: g, label } = groupAxis(groups);
  const lead = 2 + g.length;
  const axes: AxisMap[] = Array.from({ length: lead }, (_, d) => identityAxis(d));
  for (let s = 0; s < dims; s++) {
    const terms = [
      [lead + s, 1],
      [lead + dims + s, -dilation[s]!],
    ] as const;
    axes.push(axis(terms, padding[s]!, stride[s]!));
  }
  const grouped = build.reshape(input.node, [n, ...g, channels / groups, ...sizes]);
  const viewed = build.reindex(grouped, [n, ...g, channels / groups, ...outSizes, ...kernel], axes);
  const filters = build.reshape(weight.node, [...g, channels / groups, perGroup, ...kernel]);
  const labelsOut = outSizes.map((_, d) => 4 + d);
  const labelsKernel = kernel.map((_, d) => 4 + dims + d);
  const y = build.contract(
    viewed,
    filters,
    [0, ...label, 2, ...labelsOut, ...labelsKernel],
    [...label, 2, 3, ...labelsKernel],
    [0, ...label, 3, ...labelsOut],
  );
  const out = perGroup * groups;
  const result = restore(addBias(op, new Tensor(build.reshape(y, [n, out, ...outSizes])), bias, out, dims));
  if (x.ndim !== dims + 2) return result;
  return composite('convTranspose', [x, weight, bias], { stride, dilation, groups, padding, outputPadding }, result);
}

/**
 * x [batch, in, length] (batch optional), weight [out, in / groups, kernel], bias [out]. Cross-correlation, as
 * everywhere.
 */
export const conv1d = (x: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor =>
  conv('conv1d', 1, x, weight, bias, options);

/** x [batch, in, height, width] (batch optional), weight [out, in / groups, kh, kw], bias [out]. */
export const conv2d = (x: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor =>
  conv('conv2d', 2, x, weight, bias, options);

/** x [batch, in, depth, height, width] (batch optional), weight [out, in / groups, kd, kh, kw], bias [out]. */
export const conv3d = (x: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor =>
  conv('conv3d', 3, x, weight, bias, options);

/** The transpose (gradient) of conv1d: x [batch, in, length], weight [in, out / groups, kernel], bias [out]. */
export const convTranspose1d = (
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTransposeOptions = {},
): Tensor => convTranspose('convTranspose1d', 1, x, weight, bias, options);

/** The transpose (gradient) of conv2d: x [batch, in, height, width], weight [in, out / groups, kh, kw], bias [out]. */
export const convTranspose2d = (
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTransposeOptions = {},
): Tensor => convTranspose('convTranspose2d', 2, x, weight, bias, options);

/** The transpose (gradient) of conv3d: x [batch, in, d, h, w], weight [in, out / groups, kd, kh, kw], bias [out]. */
export const convTranspose3d = (
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTransposeOptions = {},
): Tensor => convTranspose('convTranspose3d', 3, x, weight, bias, options);
