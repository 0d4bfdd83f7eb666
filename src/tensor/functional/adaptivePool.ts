/**
 * Pooling to a given output size: window i runs from floor(i * in / out) to ceil((i + 1) * in / out).
 */
import * as build from '../../graph/build.ts';
import { hostArray, isFloat } from '../../graph/dtype.ts';
import { composite } from '../composite.ts';
import { shapeText, writer } from '../convert.ts';
import { checkTensor } from '../operands.ts';
import { coordinate } from '../ops/along.ts';
import { checkOptions } from '../options.ts';
import { Tensor, type ValuesAndIndices } from '../tensor.ts';
import { batched } from './geometry.ts';
import { maxPool1d, maxPool2d, maxPool3d } from './pool.ts';

/** One size for every spatial dim, or one each; null keeps the input's. */
export type OutputSize = number | readonly (number | null)[];

interface Bounds {
  readonly start: readonly number[];
  readonly end: readonly number[];
}

const boundsOf = (size: number, out: number): Bounds => ({
  start: Array.from({ length: out }, (_, i) => Math.floor((i * size) / out)),
  end: Array.from({ length: out }, (_, i) => Math.ceil(((i + 1) * size) / out)),
});

function prepared(op: string, dims: number, x: Tensor, outputSize: OutputSize) {
  checkTensor(op, 'input', x);
  if (!isFloat(x.dtype)) throw new TypeError(`${op}: input: expected a float tensor, got ${x.dtype}`);
  const { input, restore } = batched(op, x, dims);
  const sizes = input.shape.slice(2);
  const wanted = typeof outputSize === 'number' ? new Array<number>(dims).fill(outputSize) : [...outputSize];
  const list = wanted.length === 1 ? new Array<number | null>(dims).fill(wanted[0]!) : wanted;
  if (list.length !== dims)
    throw new RangeError(`${op}: outputSize: expected one number or ${dims}, got ${list.length}`);
  const out = list.map((n, d) => n ?? sizes[d]!);
  if (out.some(n => !Number.isInteger(n) || n < 0))
    throw new RangeError(`${op}: outputSize: expected whole numbers of at least 0, got ${shapeText(out)}`);
  if (sizes.some(n => n === 0))
    throw new RangeError(`${op}: input: spatial dims must not be empty, got ${shapeText(x.shape)}`);
  return { input, restore, sizes, out };
}

/** Averages dim d by a matrix [in, out] whose column i holds 1 / length over window i. */
function averageDim(x: Tensor, d: number, out: number): Tensor {
  const size = x.shape[d]!;
  if (out === size) return x;
  if (out === 1) return x.mean(d, { keepdim: true });
  if (out > 0 && size % out === 0) return x.unflatten(d, [out, size / out]).mean(d + 1);
  const { start, end } = boundsOf(size, out);
  const host = hostArray(x.dtype, size * out);
  const write = writer(x.dtype, host);
  for (let i = 0; i < out; i++) for (let j = start[i]!; j < end[i]!; j++) write(j * out + i, 1 / (end[i]! - start[i]!));
  const labels = x.shape.map((_, i) => i);
  const result = labels.map(label => (label === d ? x.ndim : label));
  const matrix = build.data(host, [size, out], x.dtype);
  return new Tensor(build.contract(x.node, matrix, labels, [d, x.ndim], result));
}

function adaptiveAvg(op: string, dims: number, x: Tensor, outputSize: OutputSize): Tensor {
  const { input, restore, out } = prepared(op, dims, x, outputSize);
  const result = restore(out.reduce((y, n, d) => averageDim(y, 2 + d, n), input));
  const global = x.ndim === dims + 2 && out.every(n => n === 1);
  return global ? composite('globalAvgPool', [x], {}, result) : result;
}

/** Positions of each window of one dim as [out, longest], a short window repeating its last. */
function windowTable(size: number, out: number): { table: BigInt64Array; longest: number } {
  const { start, end } = boundsOf(size, out);
  const longest = Math.max(0, ...start.map((from, i) => end[i]! - from));
  const table = new BigInt64Array(out * longest);
  for (let i = 0; i < out; i++)
    for (let k = 0; k < longest; k++) table[i * longest + k] = BigInt(Math.min(start[i]! + k, end[i]! - 1));
  return { table, longest };
}

function adaptiveMaxWithIndices(op: string, dims: number, x: Tensor, outputSize: OutputSize): ValuesAndIndices {
  const { input, restore, sizes, out } = prepared(op, dims, x, outputSize);
  const [n, c] = input.shape as [number, number];
  // Every window laid out as [n, c, ...out, window]: values, and where in the channel they stand.
  let values = input;
  let places = new Tensor(
    build.reshape(
      build.iota(
        sizes.reduce((a, s) => a * s, 1),
        'i64',
      ),
      sizes,
    ),
  );
  sizes.forEach((size, d) => {
    const { table, longest } = windowTable(size, out[d]!);
    const at = build.data(table, [out[d]!, longest], 'i64');
    values = new Tensor(build.gather(values.node, at, 2 + 2 * d, op));
    places = new Tensor(build.gather(places.node, at, 2 * d, op));
  });
  const outDims = out.map((_, d) => 2 * d);
  const windowDims = out.map((_, d) => 2 * d + 1);
  const flat = values
    .permute([0, 1, ...outDims.map(d => d + 2), ...windowDims.map(d => d + 2)])
    .reshape([n, c, ...out, -1]);
  const flatPlaces = places.permute([...outDims, ...windowDims]).reshape([...out, -1]);
  const best = flat.argmax(-1, { keepdim: true });
  const here = new Tensor(coordinate(flat.shape, flat.ndim - 1)).eq(best);
  return {
    values: restore(here.where(flat, 0).sum(-1)),
    indices: restore(here.where(flatPlaces, 0).sum(-1)),
  };
}

function adaptiveMax(op: string, dims: number, x: Tensor, outputSize: OutputSize): Tensor {
  const { restore, input, sizes, out } = prepared(op, dims, x, outputSize);
  if (out.every((n, d) => n > 0 && sizes[d]! % n === 0)) {
    const kernel = out.map((n, d) => sizes[d]! / n);
    const pool = [maxPool1d, maxPool2d, maxPool3d][dims - 1]!;
    return restore(pool(input, kernel));
  }
  return adaptiveMaxWithIndices(op, dims, x, outputSize).values;
}

/** The average over windows that make `outputSize` outputs of [batch, channels, length]. */
export const adaptiveAvgPool1d = (x: Tensor, outputSize: OutputSize): Tensor =>
  adaptiveAvg('adaptiveAvgPool1d', 1, x, outputSize);

/** The average over windows that make `outputSize` outputs of [batch, channels, height, width]. */
export const adaptiveAvgPool2d = (x: Tensor, outputSize: OutputSize): Tensor =>
  adaptiveAvg('adaptiveAvgPool2d', 2, x, outputSize);

/** The average over windows that make `outputSize` outputs of [batch, channels, depth, height, width]. */
export const adaptiveAvgPool3d = (x: Tensor, outputSize: OutputSize): Tensor =>
  adaptiveAvg('adaptiveAvgPool3d', 3, x, outputSize);

/** Overloads of an adaptive max pool: the values, or with `returnIndices` also their flat positions in each channel. */
export interface AdaptiveMaxPool {
  (x: Tensor, outputSize: OutputSize, options: { readonly returnIndices: true }): ValuesAndIndices;
  (x: Tensor, outputSize: OutputSize, options?: { readonly returnIndices?: false }): Tensor;
}

const adaptiveMaxOf = (op: string, dims: number): AdaptiveMaxPool =>
  ((x: Tensor, outputSize: OutputSize, options: { readonly returnIndices?: boolean } = {}) => {
    const { returnIndices } = checkOptions(op, options, ['returnIndices']);
    return returnIndices ? adaptiveMaxWithIndices(op, dims, x, outputSize) : adaptiveMax(op, dims, x, outputSize);
  }) as AdaptiveMaxPool;

/** The largest in windows that make `outputSize` outputs of [batch, channels, length]. */
export const adaptiveMaxPool1d: AdaptiveMaxPool = adaptiveMaxOf('adaptiveMaxPool1d', 1);
/** The largest in windows that make `outputSize` outputs of [batch, channels, height, width]. */
export const adaptiveMaxPool2d: AdaptiveMaxPool = adaptiveMaxOf('adaptiveMaxPool2d', 2);
/** The largest in windows that make `outputSize` outputs of [batch, channels, depth, height, width]. */
export const adaptiveMaxPool3d: AdaptiveMaxPool = adaptiveMaxOf('adaptiveMaxPool3d', 3);
