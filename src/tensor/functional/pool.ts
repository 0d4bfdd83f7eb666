/**
 * Pooling with fixed windows: the largest, the average or the p-norm of each. Adaptive windows are in adaptivePool.ts.
 */
import * as build from '../../graph/build.ts';
import { hostArray, isFloat } from '../../graph/dtype.ts';
import type { Node } from '../../graph/node.ts';
import { composite } from '../composite.ts';
import { shapeText, writer } from '../convert.ts';
import { checkTensor } from '../operands.ts';
import { coordinate } from '../ops/along.ts';
import { checkOptions } from '../options.ts';
import { Tensor, type ValuesAndIndices } from '../tensor.ts';
import { batched, outputSizes, perDim, type Sizes, type Window, windows } from './geometry.ts';

export interface MaxPoolOptions {
  /** The kernel size by default. */
  readonly stride?: Sizes | null;
  /** At most half the kernel; padded positions never win. */
  readonly padding?: Sizes;
  readonly dilation?: Sizes;
  /** Also a last window that starts inside but ends beyond the input. */
  readonly ceilMode?: boolean;
}

export interface AvgPoolOptions {
  readonly stride?: Sizes | null;
  readonly padding?: Sizes;
  readonly ceilMode?: boolean;
  /** Whether padding counts in the average; true by default. */
  readonly countIncludePad?: boolean;
  /** Divides by this instead of the window's size. */
  readonly divisorOverride?: number | null;
}

function windowOf(op: string, dims: number, kernelSize: Sizes, options: MaxPoolOptions): Window {
  const kernel = perDim(op, 'kernelSize', kernelSize, dims, 1);
  const { stride, padding = 0, dilation = 1 } = options;
  const noStride = stride === undefined || stride === null || (Array.isArray(stride) && stride.length === 0);
  const window = {
    kernel,
    stride: noStride ? kernel : perDim(op, 'stride', stride, dims, 1),
    padding: perDim(op, 'padding', padding, dims, 0),
    dilation: perDim(op, 'dilation', dilation, dims, 1),
  };
  if (window.padding.some((p, d) => 2 * p > kernel[d]!))
    throw new RangeError(
      `${op}: padding: at most half the kernel, got ${shapeText(window.padding)} for ${shapeText(kernel)}`,
    );
  return window;
}

/** i32 number of each position of a window, over the trailing kernel dims of `shape`. */
function windowPositions(shape: readonly number[], kernel: readonly number[]): Node {
  const count = kernel.reduce((a, n) => a * n, 1);
  return build.broadcastTo(build.reshape(build.iota(count, 'i32'), kernel), shape);
}

/**
 * The largest of each window and the position of the first such one in it. The value is picked by that position, so the
 * gradient goes to the first maximum, as PyTorch's does; a NaN counts as the largest.
 */
function firstLargest(seen: Node, kernel: readonly number[]): { value: Node; position: Node } {
  const dims = kernel.map((_, d) => seen.shape.length - kernel.length + d);
  const kept = seen.shape.map((n, d) => (dims.includes(d) ? 1 : n));
  const spread = (node: Node): Node => build.broadcastTo(build.reshape(node, kept), seen.shape);
  const values = build.detach(seen);
  const largest = spread(build.reduce('max', values, dims));
  const unordered = build.unary('not', build.compare('eq', values, values));
  const wins = build.binary('or', build.compare('eq', values, largest), unordered);
  const positions = windowPositions(seen.shape, kernel);
  const count = kernel.reduce((a, n) => a * n, 1);
  const position = build.reduce('min', build.where(wins, positions, build.full(count, seen.shape, 'i32')), dims);
  const picked = build.compare('eq', positions, spread(position));
  const value = build.reduce('sum', build.where(picked, seen, build.full(0, seen.shape, seen.dtype)), dims);
  return { value, position };
}

function prepareMax(op: string, dims: number, x: Tensor, kernelSize: Sizes, options: MaxPoolOptions) {
  checkTensor(op, 'input', x);
  if (!isFloat(x.dtype)) throw new TypeError(`${op}: input: expected a float tensor, got ${x.dtype}`);
  const window = windowOf(op, dims, kernelSize, options);
  const { input, restore } = batched(op, x, dims);
  if (input.shape.slice(1).some(n => n === 0))
    throw new RangeError(`${op}: input: only the batch may be empty, got ${shapeText(x.shape)}`);
  const out = outputSizes(op, input.shape.slice(2), window, options.ceilMode);
  return { input, restore, window, out, seen: windows(input.node, dims, out, window, Number.NEGATIVE_INFINITY) };
}

function maxPool(op: string, dims: number, x: Tensor, kernelSize: Sizes, options: MaxPoolOptions): Tensor {
  const { restore, window, out, seen } = prepareMax(op, dims, x, kernelSize, options);
  const axes = window.kernel.map((_, d) => seen.shape.length - dims + d);
  const value = x.requiresGrad ? firstLargest(seen, window.kernel).value : build.reduce('max', seen, axes);
  const result = restore(new Tensor(value));
  return x.ndim === dims + 2 ? composite('maxPool', [x], { ...window, out }, result) : result;
}

function maxPoolWithIndices(
  op: string,
  dims: number,
  x: Tensor,
  kernelSize: Sizes,
  options: MaxPoolOptions,
): ValuesAndIndices {
  const { input, restore, window, out, seen } = prepareMax(op, dims, x, kernelSize, options);
  const { value, position } = firstLargest(seen, window.kernel);
  const sizes = input.shape.slice(2);
  const { shape } = value;
  const literal = (n: number): Node => build.full(n, shape, 'i64');
  const at = build.cast(position, 'i64');
  // The position in the window, dim by dim, gives the position in the input.
  let flat = literal(0);
  let inner = window.kernel.reduce((a, n) => a * n, 1);
  sizes.forEach((size, d) => {
    inner /= window.kernel[d]!;
    const k = build.binary('mod', build.binary('floorDiv', at, literal(inner)), literal(window.kernel[d]!));
    const moved = build.binary('mul', k, literal(window.dilation[d]!));
    const start = build.binary('sub', coordinate(shape, 2 + d, window.stride[d]!), literal(window.padding[d]!));
    const here = build.binary('add', moved, start);
    flat = build.binary('add', build.binary('mul', flat, literal(size)), here);
  });
  if (out.length !== sizes.length) throw new Error('internal: pooling dims');
  return { values: restore(new Tensor(value)), indices: restore(new Tensor(flat)) };
}

/** How many positions of each window along one dim the average divides by. */
function windowCounts(size: number, out: number, window: Window, d: number, includePad: boolean): number[] {
  const [kernel, stride, padding] = [window.kernel[d]!, window.stride[d]!, window.padding[d]!];
  return Array.from({ length: out }, (_, o) => {
    const start = o * stride - padding;
    const end = Math.min(start + kernel, size + padding);
    return includePad ? end - start : Math.min(end, size) - Math.max(start, 0);
  });
}

function avgPool(op: string, dims: number, x: Tensor, kernelSize: Sizes, options: AvgPoolOptions): Tensor {
  checkOptions(op, options, ['stride', 'padding', 'ceilMode', 'countIncludePad', 'divisorOverride']);
  checkTensor(op, 'input', x);
  if (!isFloat(x.dtype)) throw new TypeError(`${op}: input: expected a float tensor, got ${x.dtype}`);
  const { ceilMode = false, countIncludePad = true, divisorOverride = null } = options;
  const window = windowOf(op, dims, kernelSize, options);
  const { input, restore } = batched(op, x, dims);
  const sizes = input.shape.slice(2);
  const out = outputSizes(op, sizes, window, ceilMode);
  const seen = windows(input.node, dims, out, window);
  const total = build.reduce(
    'sum',
    seen,
    window.kernel.map((_, d) => seen.shape.length - dims + d),
  );
  if (divisorOverride !== null) {
    if (divisorOverride === 0) throw new RangeError(`${op}: divisorOverride must not be 0`);
    return restore(new Tensor(total).div(divisorOverride));
  }
  const counts = sizes.map((size, d) => windowCounts(size, out[d]!, window, d, countIncludePad));
  const uniform = counts.every(list => list.every(n => n === list[0]));
  const mark = (result: Tensor): Tensor =>
    x.ndim === dims + 2 ? composite('avgPool', [x], { ...window, out, ceilMode, countIncludePad }, result) : result;
  if (uniform) return mark(restore(new Tensor(total).div(counts.reduce((a, list) => a * (list[0] ?? 1), 1))));
  let divisor = new Tensor(build.full(1, [], x.dtype));
  counts.forEach((list, d) => {
    const host = hostArray(x.dtype, list.length);
    const write = writer(x.dtype, host);
    list.forEach((n, i) => {
      write(i, n);
    });
    const along = out.map((_, i) => (i === d ? list.length : 1));
    divisor = divisor.mul(new Tensor(build.data(host, along, x.dtype)));
  });
  return mark(restore(new Tensor(total).div(divisor)));
}

/** Overloads of a max pool: the values, or with `returnIndices` also their flat positions in each channel. */
export interface MaxPool {
  (x: Tensor, kernelSize: Sizes, options: MaxPoolOptions & { readonly returnIndices: true }): ValuesAndIndices;
  (x: Tensor, kernelSize: Sizes, options?: MaxPoolOptions & { readonly returnIndices?: false }): Tensor;
}

const maxPoolOf = (op: string, dims: number): MaxPool =>
  ((x: Tensor, kernelSize: Sizes, options: MaxPoolOptions & { readonly returnIndices?: boolean } = {}) => {
    checkOptions(op, options, ['stride', 'padding', 'dilation', 'ceilMode', 'returnIndices']);
    const pool = options.returnIndices ? maxPoolWithIndices : maxPool;
    return pool(op, dims, x, kernelSize, options);
  }) as MaxPool;

/** The largest of each window of [batch, channels, length]. */
export const maxPool1d: MaxPool = maxPoolOf('maxPool1d', 1);
/** The largest of each window of [batch, channels, height, width]. */
export const maxPool2d: MaxPool = maxPoolOf('maxPool2d', 2);
/** The largest of each window of [batch, channels, depth, height, width]. */
export const maxPool3d: MaxPool = maxPoolOf('maxPool3d', 3);

/** The average of each window of [batch, channels, length]. */
export const avgPool1d = (x: Tensor, kernelSize: Sizes, options: AvgPoolOptions = {}): Tensor =>
  avgPool('avgPool1d', 1, x, kernelSize, options);

/** The average of each window of [batch, channels, height, width]. */
export const avgPool2d = (x: Tensor, kernelSize: Sizes, options: AvgPoolOptions = {}): Tensor =>
  avgPool('avgPool2d', 2, x, kernelSize, options);

/** The average of each window of [batch, channels, depth, height, width]. */
export const avgPool3d = (x: Tensor, kernelSize: Sizes, options: AvgPoolOptions = {}): Tensor =>
  avgPool('avgPool3d', 3, x, kernelSize, options);

export interface LpPoolOptions {
  readonly stride?: Sizes | null;
  readonly ceilMode?: boolean;
}

function lpPool(op: string, dims: number, x: Tensor, p: number, kernelSize: Sizes, options: LpPoolOptions): Tensor {
  checkOptions(op, options, ['stride', 'ceilMode']);
  const count = perDim(op, 'kernelSize', kernelSize, dims, 1).reduce((a, n) => a * n, 1);
  const average = avgPool(op, dims, x.pow(p), kernelSize, options);
  return average
    .sign()
    .mul(average.abs().relu())
    .mul(count)
    .pow(1 / p);
}

/** The p-norm of each window of [batch, channels, length]. */
export const lpPool1d = (x: Tensor, p: number, kernelSize: Sizes, options: LpPoolOptions = {}): Tensor =>
  lpPool('lpPool1d', 1, x, p, kernelSize, options);

/** The p-norm of each window of [batch, channels, height, width]. */
export const lpPool2d = (x: Tensor, p: number, kernelSize: Sizes, options: LpPoolOptions = {}): Tensor =>
  lpPool('lpPool2d', 2, x, p, kernelSize, options);
