/**
 * Reductions over dims: sums, extremes, moments, norms, counts. `dim` is one dim, several, or all by default; `keepdim`
 * leaves them with size 1. Functions here have the tensor first and become methods of Tensor.
 */

import * as build from '../../graph/build.ts';
import { type DType, isFloat } from '../../graph/dtype.ts';
import type { Node, ReduceKind } from '../../graph/node.ts';
import { raised } from '../autocast.ts';
import { composite } from '../composite.ts';
import { shapeText } from '../convert.ts';
import { matrixNorm } from '../linalg/norms.ts';
import { checkFloat, checkTensor, normalDim, normalDims } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

export type Dims = number | readonly number[] | null;

export interface ReduceOptions {
  readonly keepdim?: boolean;
}

export interface SumOptions extends ReduceOptions {
  /** Converts first. */
  readonly dtype?: DType;
}

const keptShape = (shape: readonly number[], dims: readonly number[]): number[] =>
  shape.map((n, d) => (dims.includes(d) ? 1 : n));

function reduced(kind: ReduceKind, x: Node, dims: readonly number[], keepdim = false): Node {
  const out = build.reduce(kind, x, dims);
  return keepdim ? build.reshape(out, keptShape(x.shape, dims)) : out;
}

/** An empty list of dims means all of them, as in PyTorch. */
const dimsOf = (op: string, dim: Dims | undefined, x: Tensor): number[] =>
  normalDims(op, Array.isArray(dim) && dim.length === 0 ? null : dim, x.ndim);

const countOf = (x: Tensor, dims: readonly number[]): number => dims.reduce((a, d) => a * x.shape[d]!, 1);

/** Integers and bool sum to i64, half types to f32 under autocast. */
const sumDType = (x: Tensor, dtype?: DType): DType => dtype ?? (isFloat(x.dtype) ? raised(x).dtype : 'i64');

/** The sum; of integers and bool in i64. */
export function sum(x: Tensor, dim?: Dims, options: SumOptions = {}): Tensor {
  checkOptions('sum', options, ['dtype', 'keepdim']);
  checkTensor('sum', 'input', x);
  const dims = dimsOf('sum', dim, x);
  return new Tensor(reduced('sum', build.cast(x.node, sumDType(x, options.dtype)), dims, options.keepdim));
}

/** The sum, counting NaN as 0. */
export function nansum(x: Tensor, dim?: Dims, options: SumOptions = {}): Tensor {
  checkTensor('nansum', 'input', x);
  return sum(isFloat(x.dtype) ? x.isnan().where(0, x) : x, dim, options);
}

/** The product; of integers and bool in i64. */
export function prod(x: Tensor, dim?: Dims, options: SumOptions = {}): Tensor {
  checkOptions('prod', options, ['dtype', 'keepdim']);
  checkTensor('prod', 'input', x);
  const dims = dimsOf('prod', dim, x);
  return new Tensor(reduced('prod', build.cast(x.node, sumDType(x, options.dtype)), dims, options.keepdim));
}

/** Half types average in f32, where their sums do not overflow. */
const wide = (x: Node): Node => (x.dtype === 'f16' || x.dtype === 'bf16' ? build.cast(x, 'f32') : x);

function meanNode(x: Node, dims: readonly number[], keepdim: boolean, count: number): Node {
  const total = reduced('sum', x, dims, keepdim);
  return build.binary('div', total, build.full(count, total.shape, total.dtype));
}

/**
 * The average.
 *
 * @throws for integers and bool: say `dtype`, as in PyTorch.
 */
export function mean(x: Tensor, dim?: Dims, options: SumOptions = {}): Tensor {
  checkOptions('mean', options, ['dtype', 'keepdim']);
  checkTensor('mean', 'input', x);
  const input = options.dtype ? x.to(options.dtype) : x;
  if (!isFloat(input.dtype))
    throw new TypeError(`mean: input: expected a float tensor, got ${input.dtype}; convert it or pass dtype`);
  const dims = dimsOf('mean', dim, input);
  const { keepdim = false } = options;
  const out = meanNode(wide(input.node), dims, keepdim, countOf(input, dims));
  return composite('mean', [input], { dims, keepdim }, new Tensor(build.cast(out, input.dtype)));
}

/** The average of the elements that are not NaN. */
export function nanmean(x: Tensor, dim?: Dims, options: SumOptions = {}): Tensor {
  checkFloat('nanmean', 'input', x);
  const counts = x.isnan().logicalNot().sum(dim, { keepdim: options.keepdim });
  return nansum(x, dim, options).div(counts);
}

export interface VarOptions extends ReduceOptions {
  /** Divides by n - correction; 1 by default (Bessel's), 0 for the population's. */
  readonly correction?: number;
  /** PyTorch's older word for it: true is correction 1, false correction 0. */
  readonly unbiased?: boolean;
}

const VAR_OPTIONS = ['correction', 'unbiased', 'keepdim'] as const;

function moments(
  op: string,
  x: Tensor,
  dim: Dims | undefined,
  options: VarOptions,
): { mean: Node; variance: Node; dims: number[] } {
  const { unbiased = true, correction = unbiased ? 1 : 0 } = checkOptions(op, options, VAR_OPTIONS);
  if (options.correction !== undefined && options.unbiased !== undefined)
    throw new TypeError(`${op}: correction ${correction} and unbiased ${unbiased} came, expected one of them`);
  checkFloat(op, 'input', x);
  const dims = dimsOf(op, dim, x);
  const count = countOf(x, dims);
  const input = wide(x.node);
  const center = meanNode(input, dims, true, count);
  const centered = build.binary('sub', input, build.broadcastTo(center, input.shape));
  const squares = reduced('sum', build.binary('mul', centered, centered), dims, options.keepdim);
  const divisor = build.full(Math.max(0, count - correction), squares.shape, squares.dtype);
  return { mean: center, variance: build.binary('div', squares, divisor), dims };
}

/** The variance, about the mean. */
function variance(x: Tensor, dim?: Dims, options: VarOptions = {}): Tensor {
  return new Tensor(build.cast(moments('var', x, dim, options).variance, x.dtype));
}

export { variance as var };

/** The standard deviation: the square root of the variance. */
export function std(x: Tensor, dim?: Dims, options: VarOptions = {}): Tensor {
  const { variance } = moments('std', x, dim, options);
  return new Tensor(build.cast(build.unary('sqrt', variance), x.dtype));
}

/** Variance and mean at once. */
export function varMean(x: Tensor, dim?: Dims, options: VarOptions = {}): [Tensor, Tensor] {
  const { variance, mean, dims } = moments('varMean', x, dim, options);
  const center = options.keepdim
    ? mean
    : build.reshape(
        mean,
        x.shape.filter((_, d) => !dims.includes(d)),
      );
  return [new Tensor(build.cast(variance, x.dtype)), new Tensor(build.cast(center, x.dtype))];
}

/** Standard deviation and mean at once. */
export function stdMean(x: Tensor, dim?: Dims, options: VarOptions = {}): [Tensor, Tensor] {
  const [variance, mean] = varMean(x, dim, options);
  return [variance.sqrt(), mean];
}

function extreme(op: string, kind: 'max' | 'min', x: Tensor, dim: Dims | undefined, keepdim = false): Tensor {
  checkTensor(op, 'input', x);
  const dims = dimsOf(op, dim, x);
  if (countOf(x, dims) === 0)
    throw new RangeError(`${op}: input: dims to reduce must not be empty, got shape ${shapeText(x.shape)}`);
  return new Tensor(reduced(kind, x.node, dims, keepdim));
}

/** The largest value; the gradient is shared evenly among equal ones. */
export function amax(x: Tensor, dim?: Dims, options: ReduceOptions = {}): Tensor {
  checkOptions('amax', options, ['keepdim']);
  return extreme('amax', 'max', x, dim, options.keepdim);
}

/** The smallest value; the gradient is shared evenly among equal ones. */
export function amin(x: Tensor, dim?: Dims, options: ReduceOptions = {}): Tensor {
  checkOptions('amin', options, ['keepdim']);
  return extreme('amin', 'min', x, dim, options.keepdim);
}

/** amin and amax at once. */
export function aminmax(
  x: Tensor,
  options: ReduceOptions & { readonly dim?: number } = {},
): { min: Tensor; max: Tensor } {
  const { dim, keepdim } = checkOptions('aminmax', options, ['keepdim', 'dim']);
  checkTensor('aminmax', 'input', x);
  if (x.numel() === 0 && (dim === undefined || x.shape[normalDim('aminmax', dim, x.ndim)] === 0))
    throw new RangeError(`aminmax: input: dims to reduce must not be empty, got shape ${shapeText(x.shape)}`);
  // PyTorch keeps a dim that a tensor without dims does not have.
  const input = x.ndim === 0 && keepdim ? x.reshape([1]) : x;
  return { min: amin(input, dim, { keepdim }), max: amax(input, dim, { keepdim }) };
}

function argExtreme(
  op: string,
  kind: 'max' | 'min',
  x: Tensor,
  dim: number | null | undefined,
  keepdim = false,
): Tensor {
  checkTensor(op, 'input', x);
  if (dim === undefined || dim === null) {
    if (x.numel() === 0)
      throw new RangeError(`${op}: input: expected at least one element, got shape ${shapeText(x.shape)}`);
    const flat = build.argReduce(kind, build.reshape(x.node, [x.numel()]), 0);
    return new Tensor(
      keepdim
        ? build.reshape(
            flat,
            x.shape.map(() => 1),
          )
        : flat,
    );
  }
  const d = normalDim(op, dim, x.ndim);
  if (x.ndim === 0) return new Tensor(build.full(0, [], 'i64'));
  if (x.shape[d] === 0)
    throw new RangeError(`${op}: input: dim ${dim} must not be empty, got shape ${shapeText(x.shape)}`);
  const index = build.argReduce(kind, x.dtype === 'bool' ? build.cast(x.node, 'u8') : x.node, d);
  return new Tensor(keepdim ? build.reshape(index, keptShape(x.shape, [d])) : index);
}

/** i64 position of the first largest value, along `dim` or of the flattened tensor. */
export function argmax(x: Tensor, dim?: number | null, options: ReduceOptions = {}): Tensor {
  checkOptions('argmax', options, ['keepdim']);
  return argExtreme('argmax', 'max', x, dim, options.keepdim);
}

/** i64 position of the first smallest value, along `dim` or of the flattened tensor. */
export function argmin(x: Tensor, dim?: number | null, options: ReduceOptions = {}): Tensor {
  checkOptions('argmin', options, ['keepdim']);
  return argExtreme('argmin', 'min', x, dim, options.keepdim);
}

/** Truth in the dtype that it has in PyTorch: bool, and u8 of u8. */
const truth = (x: Tensor, node: Node): Tensor => new Tensor(x.dtype === 'u8' ? build.cast(node, 'u8') : node);

/** Whether all elements are true (not 0): bool, of u8 u8. */
export function all(x: Tensor, dim?: Dims, options: ReduceOptions = {}): Tensor {
  checkOptions('all', options, ['keepdim']);
  checkTensor('all', 'input', x);
  return truth(x, reduced('min', build.cast(x.node, 'bool'), dimsOf('all', dim, x), options.keepdim));
}

/** Whether any element is true (not 0): bool, of u8 u8. */
export function any(x: Tensor, dim?: Dims, options: ReduceOptions = {}): Tensor {
  checkOptions('any', options, ['keepdim']);
  checkTensor('any', 'input', x);
  return truth(x, reduced('max', build.cast(x.node, 'bool'), dimsOf('any', dim, x), options.keepdim));
}

/** How many elements are not 0, i64. */
export function countNonzero(x: Tensor, dim?: Dims): Tensor {
  checkTensor('countNonzero', 'input', x);
  return sum(x.to('bool'), dim);
}

/** log(sum(exp(x))), without overflow. */
export function logsumexp(x: Tensor, dim?: Dims, options: ReduceOptions = {}): Tensor {
  checkOptions('logsumexp', options, ['keepdim']);
  checkTensor('logsumexp', 'input', x);
  const input = isFloat(x.dtype) ? x : x.to('f32');
  const dims = dimsOf('logsumexp', dim, input);
  if (countOf(input, dims) === 0) return sum(input.exp(), dims, options).log();
  const largest = input.detach().amax(dims, { keepdim: true });
  // Of an infinite maximum nothing is subtracted: inf - inf would be NaN.
  const shift = largest.isfinite().where(largest, 0);
  const out = input.sub(shift).exp().sum(dims, { keepdim: true }).log().add(shift);
  return options.keepdim ? out : out.reshape(input.shape.filter((_, d) => !dims.includes(d)));
}

/**
 * The p-norm of the elements: p a number, Infinity, -Infinity, 0 (how many are not 0), or 'fro' (2); 'nuc' of two dims,
 * the sum of singular values.
 */
export function norm(x: Tensor, p: number | 'fro' | 'nuc' = 2, dim?: Dims, options: SumOptions = {}): Tensor {
  checkOptions('norm', options, ['dtype', 'keepdim']);
  checkTensor('norm', 'input', x);
  const input = options.dtype ? x.to(options.dtype) : raised(x);
  checkFloat('norm', 'input', input);
  const { keepdim = false } = options;
  if (p === 'fro') return norm(input, 2, dim, { keepdim });
  if (p === 'nuc') return nuclearNorm(input, dim, keepdim);
  if (typeof p !== 'number') throw new TypeError(`norm: p: expected a number, fro or nuc, got ${String(p)}`);
  if (p === Number.POSITIVE_INFINITY) return amax(input.abs(), dim, { keepdim });
  if (p === Number.NEGATIVE_INFINITY) return amin(input.abs(), dim, { keepdim });
  if (p === 0) return input.ne(0).to(input.dtype).sum(dim, { keepdim });
  if (p === 1) return input.abs().sum(dim, { keepdim });
  if (p === 2) return rootOf(input.mul(input).sum(dim, { keepdim }), 2);
  if (p >= 1) return rootOf(input.abs().pow(p).sum(dim, { keepdim }), p);
  // The slope of |x|^p is infinite at 0: PyTorch's choice there is 0.
  const zero = input.eq(0);
  const powers = zero.where(1, input).abs().pow(p);
  if (p > 0) return rootOf(zero.where(0, powers).sum(dim, { keepdim }), p);
  // One zero makes the whole norm 0.
  return zero.any(dim, { keepdim }).where(0, powers.sum(dim, { keepdim }).pow(1 / p));
}

function nuclearNorm(x: Tensor, dim: Dims | undefined, keepdim: boolean): Tensor {
  const dims = dim === undefined || dim === null ? x.shape.map((_, d) => d) : typeof dim === 'number' ? [dim] : dim;
  if (dims.length !== 2) throw new RangeError(`norm: dim: the nuclear norm is one of two dims, got ${shapeText(dims)}`);
  return matrixNorm(x, 'nuc', dims, { keepdim });
}

/** x^(1/p) with gradient 0 at 0 (PyTorch's choice), where the true one is infinite. */
function rootOf(x: Tensor, p: number): Tensor {
  if (!x.requiresGrad) return p === 2 ? x.sqrt() : x.pow(1 / p);
  const zero = x.eq(0);
  const safe = zero.where(1, x);
  return zero.where(0, p === 2 ? safe.sqrt() : safe.pow(1 / p));
}
