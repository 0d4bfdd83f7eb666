/**
 * Max pooling over windows whose places are drawn at random.
 */
import * as build from '../../graph/build.ts';
import type { Generator } from '../../runtime/index.ts';
import { shapeText } from '../convert.ts';
import { checkFloat, checkTensor } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { rand } from '../random.ts';
import { Tensor, type ValuesAndIndices } from '../tensor.ts';
import { batched, perDim, type Sizes } from './geometry.ts';

export interface FractionalPoolOptions {
  /** Sizes of the result; this or outputRatio. */
  readonly outputSize?: Sizes | null;
  /** The result's sizes as parts of the input's, between 0 and 1. */
  readonly outputRatio?: number | readonly number[] | null;
  /** Uniform numbers [batch, channels, dims] from [0, 1) that place the windows; drawn by default. */
  readonly randomSamples?: Tensor | null;
  readonly generator?: Generator;
}

/**
 * First positions [N, C, out] of windows of `kernel` along a dim of `size`: floor((i + u) a) - floor(u a), the last at
 * the end.
 */
function starts(sample: Tensor, size: number, kernel: number, out: number): Tensor {
  if (out === 1)
    return sample
      .mul(0)
      .add(size - kernel)
      .unsqueeze(-1)
      .long();
  const alpha = (size - kernel) / (out - 1);
  const i = new Tensor(build.iota(out, sample.dtype));
  const u = sample.unsqueeze(-1);
  const first = u.add(i).mul(alpha).floor().sub(u.mul(alpha).floor());
  return i
    .lt(out - 1)
    .where(first, size - kernel)
    .long();
}

function fractional(
  op: string,
  dims: number,
  x: Tensor,
  kernelSize: Sizes,
  options: FractionalPoolOptions,
): ValuesAndIndices {
  checkFloat(op, 'input', x);
  const { outputSize = null, outputRatio = null, randomSamples = null, generator } = options;
  const kernel = perDim(op, 'kernelSize', kernelSize, dims, 1);
  const { input, restore } = batched(op, x, dims);
  const [n, c, ...sizes] = input.shape as [number, number, ...number[]];
  if ((outputSize === null) === (outputRatio === null))
    throw new TypeError(`${op}: exactly one of outputSize and outputRatio must be given`);
  const ratios = typeof outputRatio === 'number' ? sizes.map(() => outputRatio) : outputRatio;
  if (ratios && (ratios.length !== dims || ratios.some(r => !(r > 0 && r < 1))))
    throw new RangeError(`${op}: outputRatio: expected ${dims} numbers between 0 and 1, got ${shapeText(ratios)}`);
  const out = ratios
    ? sizes.map((size, d) => Math.floor(size * ratios[d]!))
    : perDim(op, 'outputSize', outputSize!, dims, 1);
  sizes.forEach((size, d) => {
    if (out[d]! + kernel[d]! - 1 > size || out[d]! < 1)
      throw new RangeError(
        `${op}: kernelSize ${shapeText(kernel)} and output ${shapeText(out)} do not fit input ${shapeText(x.shape)}`,
      );
  });
  const samples = randomSamples ?? rand([n, c, dims], { dtype: x.dtype, ...(generator ? { generator } : {}) });
  checkTensor(op, 'randomSamples', samples);
  if (shapeText(samples.shape) !== shapeText([n, c, dims]))
    throw new RangeError(`${op}: randomSamples: expected ${shapeText([n, c, dims])}, got ${shapeText(samples.shape)}`);
  // Flat positions in the channel [N, C, ...out, ...kernel]. PyTorch's samples name the last dim first.
  let places = new Tensor(build.full(0, [1, 1], 'i64')).reshape([1, 1, ...out.map(() => 1), ...kernel.map(() => 1)]);
  sizes.forEach((size, d) => {
    const sample = samples.select(2, dims - 1 - d).detach();
    const first = starts(sample, size, kernel[d]!, out[d]!).reshape([
      n,
      c,
      ...out.map((m, i) => (i === d ? m : 1)),
      ...kernel.map(() => 1),
    ]);
    const within = new Tensor(build.iota(kernel[d]!, 'i64')).reshape(kernel.map((m, i) => (i === d ? m : 1)));
    places = places.mul(size).add(first.add(within));
  });
  const cells = out.reduce((a, m) => a * m, 1);
  const window = kernel.reduce((a, m) => a * m, 1);
  const flat = places.expand([n, c, ...out, ...kernel]).reshape([n, c, cells * window]);
  const spread = input.reshape([n, c, sizes.reduce((a, m) => a * m, 1)]);
  const { values, indices } = spread.gather(2, flat).reshape([n, c, cells, window]).max(3);
  const chosen = flat.reshape([n, c, cells, window]).gather(3, indices.unsqueeze(3)).squeeze(3);
  return { values: restore(values.reshape([n, c, ...out])), indices: restore(chosen.reshape([n, c, ...out])) };
}

/**
 * Overloads of a fractional max pool: the values, or with `returnIndices` also their flat positions in each channel.
 */
export interface FractionalPool {
  (x: Tensor, kernelSize: Sizes, options: FractionalPoolOptions & { readonly returnIndices: true }): ValuesAndIndices;
  (x: Tensor, kernelSize: Sizes, options?: FractionalPoolOptions & { readonly returnIndices?: false }): Tensor;
}

const poolOf = (op: string, dims: number): FractionalPool =>
  ((x: Tensor, kernelSize: Sizes, options: FractionalPoolOptions & { readonly returnIndices?: boolean } = {}) => {
    checkOptions(op, options, ['outputSize', 'outputRatio', 'randomSamples', 'generator', 'returnIndices']);
    const found = fractional(op, dims, x, kernelSize, options);
    return options.returnIndices ? found : found.values;
  }) as FractionalPool;

/**
 * Fractional max pooling (Graham 2014) of [batch, channels, height, width]; with `returnIndices` also the flat
 * positions in each channel.
 */
export const fractionalMaxPool2d: FractionalPool = poolOf('fractionalMaxPool2d', 2);
/** Fractional max pooling (Graham 2014) of [batch, channels, depth, height, width]. */
export const fractionalMaxPool3d: FractionalPool = poolOf('fractionalMaxPool3d', 3);
