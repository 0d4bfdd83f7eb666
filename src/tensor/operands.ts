/**
 * What ops need before they can build nodes: reading operands (tensors or plain numbers), PyTorch's promotion,
 * broadcasting, and checked dims. Every message names the op and the argument.
 */
import * as build from '../graph/build.ts';
import { type DType, isFloat, kindOf, type Operand, resultType as typeOf } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { type Scalar, shapeText } from './convert.ts';
import { Tensor } from './tensor.ts';

/** An operand: a tensor, or a plain value that takes the tensor's dtype as PyTorch's scalars do. */
export type TensorLike = Tensor | Scalar;

const isScalar = (value: unknown): value is Scalar =>
  typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean';

export function checkTensor(op: string, name: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor)) throw new TypeError(`${op}: ${name}: expected a tensor, got ${describe(value)}`);
}

/** What came, in words. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value instanceof Tensor) return `a tensor ${value.dtype} ${shapeText(value.shape)}`;
  if (Array.isArray(value)) return 'an array';
  if (isScalar(value) || typeof value === 'string') return `${typeof value} ${String(value)}`;
  return typeof value;
}

function operand(op: string, value: TensorLike): Operand {
  if (value instanceof Tensor) return { dtype: value.dtype, rank: value.ndim > 0 ? 'dimensioned' : 'zeroDim' };
  if (!isScalar(value)) throw new TypeError(`${op}: expected a tensor or a number, got ${describe(value)}`);
  if (typeof value === 'boolean') return { dtype: 'bool', rank: 'scalar' };
  if (typeof value === 'bigint' || Number.isInteger(value)) return { dtype: 'i64', rank: 'scalar' };
  return { dtype: 'f32', rank: 'scalar' };
}

/** The dtype operands compute in. */
export const resultDType = (op: string, values: readonly TensorLike[]): DType =>
  typeOf(values.map(value => operand(op, value)));

/** Shape that all shapes broadcast to: trailing dims align, size-1 dims stretch. */
export function broadcastShapes(op: string, shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map(shape => shape.length));
  const out = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    shape.forEach((n, i) => {
      const d = rank - shape.length + i;
      if (out[d] === 1) out[d] = n;
      else if (n !== 1 && n !== out[d])
        throw new RangeError(
          `${op}: shapes ${shapes.map(shapeText).join(' and ')} do not broadcast: ${out[d]} meets ${n}`,
        );
    });
  }
  return out;
}

/** The node of an operand in `dtype`. */
export function nodeOf(value: TensorLike, dtype: DType): Node {
  if (value instanceof Tensor) return build.cast(value.node, dtype);
  return build.constant(typeof value === 'boolean' ? Number(value) : value, dtype);
}

/**
 * The dtype in which tensors and numbers meet (torch.result_type): numbers and tensors without dims count less than
 * tensors with dims.
 */
export const resultType = (...values: readonly TensorLike[]): DType => resultDType('resultType', values);

/** Operands promoted to one dtype (`dtype`, when given) and broadcast to one shape. */
export function promoted(op: string, values: readonly TensorLike[], dtype = resultDType(op, values)): Node[] {
  if (!values.some(value => value instanceof Tensor))
    throw new TypeError(`${op}: expected at least one tensor, got ${values.map(describe).join(' and ')}`);
  const shape = broadcastShapes(
    op,
    values.map(value => (value instanceof Tensor ? value.shape : [])),
  );
  return values.map(value => build.broadcastTo(nodeOf(value, dtype), shape));
}

/** The dtype true-float operations compute in: integers and bool become f32. */
export const floatDType = (dtype: DType): DType => (isFloat(dtype) ? dtype : 'f32');

/** The operand as a float node. */
export function floatNode(op: string, x: TensorLike): Node {
  const dtype = floatDType(resultDType(op, [x]));
  return nodeOf(x, dtype);
}

export function checkFloat(op: string, name: string, x: Tensor): void {
  checkTensor(op, name, x);
  if (!isFloat(x.dtype)) throw new TypeError(`${op}: ${name}: expected a float tensor, got ${x.dtype}`);
}

/** An i64, i32, u8 or i8 tensor. */
export function checkInt(op: string, name: string, x: Tensor): void {
  checkTensor(op, name, x);
  if (kindOf(x.dtype) !== 'int') throw new TypeError(`${op}: ${name}: expected an integer tensor, got ${x.dtype}`);
}

/** A dim in [0, rank), negative ones counted from the end; rank 0 allows 0 and -1 as PyTorch does. */
export function normalDim(op: string, dim: number, rank: number): number {
  const n = Math.max(rank, 1);
  if (!Number.isInteger(dim)) throw new TypeError(`${op}: dim: expected a whole number, got ${describe(dim)}`);
  if (dim < -n || dim >= n) throw new RangeError(`${op}: dim ${dim} is out of range for a tensor of ${rank} dims`);
  return dim < 0 ? dim + n : dim;
}

/** Distinct dims, sorted; undefined means all of them. */
export function normalDims(op: string, dims: number | readonly number[] | undefined | null, rank: number): number[] {
  if (dims === undefined || dims === null) return Array.from({ length: rank }, (_, d) => d);
  const list = typeof dims === 'number' ? [dims] : dims;
  if (!Array.isArray(list))
    throw new TypeError(`${op}: dim: expected a whole number or an array of them, got ${describe(dims)}`);
  const out = list.map(dim => normalDim(op, dim, rank));
  if (new Set(out).size !== out.length) throw new RangeError(`${op}: dims ${shapeText(list)} name a dim twice`);
  return rank === 0 ? [] : out.sort((a, b) => a - b);
}

export function checkWhole(op: string, name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`${op}: ${name}: expected a whole number of at least ${least}, got ${describe(value)}`);
}

/** PyTorch's `out` has no place where values do not change: it would be left out silently. */
export function refuseOut(op: string, options: unknown): void {
  if (typeof options === 'object' && options !== null && 'out' in options)
    throw new TypeError(`${op}: out: tensors are immutable; use the result`);
}

/** Both operands are tensors, as PyTorch has it for this op. */
export function checkTensors(op: string, x: Tensor, other: Tensor): void {
  checkTensor(op, 'input', x);
  checkTensor(op, 'other', other);
}

/**
 * The elements as numbers where they are known without computing anything: only then can bad ones be refused at once.
 */
export function knownNumbers(x: Tensor): number[] | null {
  const { value } = x.node;
  return value && x.dtype !== 'f16' && x.dtype !== 'bf16' ? Array.from(value, Number) : null;
}

/** Complains unless `shape` is an array of whole numbers; their sizes are another matter. */
export function checkSizes(op: string, shape: unknown, name = 'shape'): asserts shape is readonly number[] {
  if (!Array.isArray(shape) || !shape.every(n => Number.isSafeInteger(n)))
    throw new TypeError(`${op}: ${name}: expected an array of whole numbers, got ${describe(shape)}`);
}

/** Sizes (or dims) as PyTorch takes them: `[2, 3]`, or `2, 3`. */
export type SizeArgs = readonly [sizes: readonly number[]] | readonly number[];

/** The list that was given whole or number by number. @throws TypeError unless they are whole numbers */
export function sizesOf(op: string, given: SizeArgs, name = 'shape'): readonly number[] {
  const sizes = given.length === 1 && typeof given[0] !== 'number' ? given[0] : given;
  checkSizes(op, sizes, name);
  return sizes;
}

/** Where a slice with Python's rules starts and how many elements it has; the step may be negative. */
export function sliceRange(
  op: string,
  size: number,
  start: number | null | undefined,
  end: number | null | undefined,
  step: number,
): { start: number; length: number } {
  if (!Number.isInteger(step) || step === 0)
    throw new RangeError(`${op}: step: expected a whole number other than 0, got ${step}`);
  for (const [name, at] of Object.entries({ start, end }))
    if (at !== undefined && at !== null && !Number.isInteger(at) && Math.abs(at) !== Number.POSITIVE_INFINITY)
      throw new RangeError(`${op}: ${name}: expected a whole number, got ${describe(at)}`);
  const limit = (value: number, lo: number, hi: number): number =>
    Math.min(Math.max(value < 0 ? value + size : value, lo), hi);
  const [lo, hi] = step > 0 ? [0, size] : [-1, size - 1];
  const from = start === undefined || start === null ? (step > 0 ? 0 : size - 1) : limit(start, lo, hi);
  const to = end === undefined || end === null ? (step > 0 ? size : -1) : limit(end, lo, hi);
  return { start: from, length: Math.max(0, Math.ceil((to - from) / step)) };
}
