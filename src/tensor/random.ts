/**
 * Random tensors. Every one takes the next stretch of a generator's counter (Philox 4x32-10), so a seed gives the same
 * numbers on every backend and for any number of threads.
 */

import * as build from '../graph/build.ts';
import { type DType, isFloat, kindOf } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { sizeOf } from '../graph/shape.ts';
import { defaultGenerator, type Generator } from '../runtime/index.ts';
import { composite } from './composite.ts';
import { checkDType, checkShape } from './convert.ts';
import { broadcastShapes, checkFloat, checkTensor, checkWhole, knownNumbers } from './operands.ts';
import { checkOptions, type SizeArgsWith, shapeAndOptions } from './options.ts';
import { Tensor } from './tensor.ts';

export interface RandomOptions {
  readonly dtype?: DType;
  /** Where the numbers come from; the default generator otherwise. */
  readonly generator?: Generator;
}

const RANDOM_OPTIONS = ['dtype', 'generator'] as const;

const bits = (shape: readonly number[], generator: Generator = defaultGenerator): Node =>
  build.random(generator.nextKey(sizeOf(shape)), shape);

/** The upper `count` bits of each word as a non-negative integer. */
function upperBits(words: Node, count: number): Node {
  const literal = (value: number): Node => build.full(value, words.shape, 'i32');
  return build.binary('and', build.binary('shr', words, literal(32 - count)), literal(2 ** count - 1));
}

/** Uniform in [0, 1), with as many random bits as the dtype's fraction holds. */
function uniformNode(shape: readonly number[], dtype: DType, generator?: Generator): Node {
  if (dtype === 'f64') {
    const high = build.cast(upperBits(bits(shape, generator), 26), 'f64');
    const low = build.cast(upperBits(bits(shape, generator), 27), 'f64');
    const whole = build.binary('add', build.binary('mul', high, build.full(2 ** 27, shape, 'f64')), low);
    return build.binary('mul', whole, build.full(2 ** -53, shape, 'f64'));
  }
  const count = dtype === 'f32' ? 24 : dtype === 'f16' ? 11 : 8;
  const fraction = build.cast(upperBits(bits(shape, generator), count), 'f32');
  return build.cast(build.binary('mul', fraction, build.full(2 ** -count, shape, 'f32')), dtype);
}

function checkRandom(op: string, shape: readonly number[], dtype: DType): void {
  checkShape(op, shape);
  checkDType(op, dtype);
  if (!isFloat(dtype)) throw new TypeError(`${op}: dtype: expected a float dtype, got ${dtype}`);
}

/** Uniform in [0, 1), f32 by default: `rand([2, 3])` or `rand(2, 3)`, options last. */
export function rand(...sizes: SizeArgsWith<RandomOptions>): Tensor {
  const [shape, { dtype = 'f32', generator }] = shapeAndOptions('rand', sizes, RANDOM_OPTIONS);
  checkRandom('rand', shape, dtype);
  return composite('randomUniform', [], {}, new Tensor(uniformNode(shape, dtype, generator)));
}

/**
 * Normal with mean 0 and variance 1 (Box and Muller), f32 by default: `randn([2, 3])` or `randn(2, 3)`, options last.
 */
export function randn(...sizes: SizeArgsWith<RandomOptions>): Tensor {
  const [shape, { dtype = 'f32', generator }] = shapeAndOptions('randn', sizes, RANDOM_OPTIONS);
  checkRandom('randn', shape, dtype);
  const compute = dtype === 'f64' ? 'f64' : 'f32';
  const literal = (value: number): Node => build.full(value, shape, compute);
  // 1 - u is in (0, 1]: its logarithm is finite.
  const radius = build.unary('log', build.binary('sub', literal(1), uniformNode(shape, compute, generator)));
  const angle = build.binary('mul', uniformNode(shape, compute, generator), literal(2 * Math.PI));
  const normal = build.binary(
    'mul',
    build.unary('sqrt', build.binary('mul', radius, literal(-2))),
    build.unary('cos', angle),
  );
  return composite('randomNormal', [], {}, new Tensor(build.cast(normal, dtype)));
}

/** Whole numbers in [low, high), i64 by default; `randint(high, shape)` begins at 0. */
export function randint(high: number, shape: readonly number[], options?: RandomOptions): Tensor;
export function randint(low: number, high: number, shape: readonly number[], options?: RandomOptions): Tensor;
export function randint(...given: readonly (number | readonly number[] | RandomOptions | undefined)[]): Tensor {
  const bounds = (typeof given[1] === 'number' ? given.slice(0, 2) : [0, given[0]]) as [low: number, high: number];
  const [low, high] = bounds;
  const [shape, options = {}] = given.slice(typeof given[1] === 'number' ? 2 : 1) as [
    readonly number[],
    RandomOptions?,
  ];
  const { dtype = 'i64', generator } = checkOptions('randint', options, RANDOM_OPTIONS);
  checkShape('randint', shape);
  checkDType('randint', dtype);
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || low >= high)
    throw new RangeError(`randint: expected whole numbers low < high, got ${low} and ${high}`);
  const scaled = build.binary(
    'mul',
    rand(shape, { dtype: 'f64', generator }).node,
    build.full(high - low, shape, 'f64'),
  );
  const whole = build.binary('add', build.unary('floor', scaled), build.full(low, shape, 'f64'));
  return new Tensor(build.cast(whole, dtype));
}

/** Uniform in [from, to), of x's shape and dtype. */
export function uniform(x: Tensor, from = 0, to = 1, options: { readonly generator?: Generator } = {}): Tensor {
  checkFloat('uniform', 'input', x);
  if (!(from <= to)) throw new RangeError(`uniform: from: expected at most to, got ${from} and ${to}`);
  return rand(x.shape, { dtype: x.dtype, ...options })
    .mul(to - from)
    .add(from);
}

/** A random order of 0 ... n - 1, i64. */
export function randperm(n: number, options: { readonly generator?: Generator } = {}): Tensor {
  checkOptions('randperm', options, ['generator']);
  checkWhole('randperm', 'n', n, 0);
  return new Tensor(build.argSort(bits([n], options.generator), 0));
}

/** rand of x's shape and dtype. */
export const randLike = (x: Tensor, options: RandomOptions = {}): Tensor =>
  rand(x.shape, { dtype: x.dtype, ...options });

/** randn of x's shape and dtype. */
export const randnLike = (x: Tensor, options: RandomOptions = {}): Tensor =>
  randn(x.shape, { dtype: x.dtype, ...options });

/** randint of x's shape and dtype: from `low` (0 where only one bound is given) to below `high`. */
export function randintLike(x: Tensor, high: number, options?: RandomOptions): Tensor;
export function randintLike(x: Tensor, low: number, high: number, options?: RandomOptions): Tensor;
export function randintLike(x: Tensor, first: number, second?: number | RandomOptions, last?: RandomOptions): Tensor {
  checkTensor('randintLike', 'input', x);
  const [low, high, options] = typeof second === 'number' ? [first, second, last] : [0, first, second];
  return randint(low, high, x.shape, { dtype: x.dtype, ...options });
}

/**
 * Normal of the given means and standard deviations: numbers for a tensor of `shape`, or tensors (one of the two at
 * least), whose shapes broadcast. No gradient flows to either, as in PyTorch.
 */
export function normal(mean: number, std: number, shape: readonly number[], options?: RandomOptions): Tensor;
export function normal(mean: Tensor | number, std: Tensor | number, options?: RandomOptions): Tensor;
export function normal(
  mean: Tensor | number,
  std: Tensor | number,
  shape: readonly number[] | RandomOptions = {},
  options: RandomOptions = {},
): Tensor {
  if (!Array.isArray(shape)) checkOptions('normal', shape as RandomOptions, ['dtype', 'generator']);
  const least = std instanceof Tensor ? (knownNumbers(std) ?? []).reduce((a, b) => Math.min(a, b), 0) : std;
  if (!(least >= 0)) throw new RangeError(`normal: std: expected at least 0, got ${least}`);
  if (Array.isArray(shape))
    return randn(shape as readonly number[], options)
      .mul(std)
      .add(mean)
      .detach();
  const tensors = [mean, std].filter(value => value instanceof Tensor);
  const [like] = tensors;
  if (!like) throw new TypeError('normal: shape: expected an array of sizes, where mean and std are numbers');
  for (const value of tensors) checkFloat('normal', value === mean ? 'mean' : 'std', value);
  const sizes = broadcastShapes(
    'normal',
    tensors.map(value => value.shape),
  );
  const noise = randn(sizes, { dtype: like.dtype, ...(shape as RandomOptions) });
  return noise.mul(std).add(mean).detach();
}

/** 1 with probability x, elementwise, else 0; x's dtype. */
export function bernoulli(x: Tensor, options: { readonly generator?: Generator } = {}): Tensor {
  checkFloat('bernoulli', 'input', x);
  checkOptions('bernoulli', options, ['generator']);
  const compute = x.dtype === 'f64' ? 'f64' : 'f32';
  const drawn = new Tensor(uniformNode(x.shape, compute, options.generator)).lt(x.detach()).to(x.dtype);
  return composite('bernoulli', [x], {}, drawn);
}

/** A mask that is true with probability `keep`, decided on 24 bits. */
export function keepMask(shape: readonly number[], keep: number, generator?: Generator): Tensor {
  const drawn = upperBits(bits(shape, generator), 24);
  const kept = new Tensor(build.compare('lt', drawn, build.full(Math.round(keep * 2 ** 24), shape, 'i32')));
  return composite('keepMask', [], { keep }, kept);
}

/**
 * Samples row indices with probability proportional to x, [n] or [rows, n] of non-negative weights; i64 [...,
 * numSamples]. Without replacement unless asked (Gumbel's trick: the largest of log weight plus Gumbel noise).
 */
export function multinomial(
  x: Tensor,
  numSamples: number,
  options: { readonly replacement?: boolean; readonly generator?: Generator } = {},
): Tensor {
  const { replacement = false, generator } = checkOptions('multinomial', options, ['replacement', 'generator']);
  checkTensor('multinomial', 'input', x);
  if (kindOf(x.dtype) !== 'float') throw new TypeError(`multinomial: input: expected a float tensor, got ${x.dtype}`);
  if (x.ndim !== 1 && x.ndim !== 2) throw new RangeError(`multinomial: input: expected 1 or 2 dims, got ${x.ndim}`);
  checkWhole('multinomial', 'numSamples', numSamples, 1);
  const n = x.shape[x.ndim - 1]!;
  if (!replacement && numSamples > n)
    throw new RangeError(`multinomial: numSamples: ${numSamples} samples of ${n} need replacement`);
  const weights = knownNumbers(x);
  if (weights?.some(w => !(w >= 0 && w < Number.POSITIVE_INFINITY)))
    throw new RangeError('multinomial: input: expected weights of at least 0, got a negative one, an infinity or NaN');
  for (let row = 0; weights && row < weights.length; row += n)
    if (!weights.slice(row, row + n).some(w => w > 0))
      throw new RangeError('multinomial: input: expected a positive weight in every row, got only zeros');
  const logits = x.detach().to('f32').log();
  const gumbel = (shape: readonly number[]): Tensor =>
    rand(shape, { generator }).mul(-1).add(1).log().neg().add(1e-20).log().neg();
  if (!replacement) return logits.add(gumbel(x.shape)).topk(numSamples, -1).indices;
  const shape = [...x.shape.slice(0, -1), numSamples, n];
  const drawn = logits.unsqueeze(-2).add(gumbel(shape)).argmax(-1);
  return composite('multinomial', [logits], { numSamples }, drawn);
}
