/**
 * Between JavaScript data and tensors: nested arrays, typed arrays, numbers in; numbers and nested arrays out. Knows
 * host arrays and data nodes, no Tensor.
 */
import { MOST_ELEMENTS } from '../graph/build/node.ts';
import * as build from '../graph/build.ts';
import { type DType, type HostArray, hostArray, isDType } from '../graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../graph/half.ts';
import type { Node } from '../graph/node.ts';

export type Scalar = number | bigint | boolean;
/** A number, or arrays of numbers of any depth. */
export type NestedInput = Scalar | readonly NestedInput[];
/** What `toArray` gives: booleans for bool, bigints only for an i64 beyond 2^53. */
export type Nested = number | Nested[];
export type TensorData =
  | Float32Array
  | Float64Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Int8Array
  | Uint8ClampedArray
  | Uint16Array
  | Int16Array
  | Uint32Array;

interface FromOptions {
  readonly dtype?: DType;
  readonly shape?: readonly number[];
}

export const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** Sizes must be whole and not negative. */
export function checkShape(op: string, shape: readonly number[]): void {
  if (!Array.isArray(shape)) throw new TypeError(`${op}: shape: expected an array of sizes, got ${typeof shape}`);
  for (const n of shape)
    if (!Number.isSafeInteger(n) || n < 0)
      throw new RangeError(`${op}: shape: sizes must be whole numbers of at least 0, got ${shapeText(shape)}`);
  const size = shape.reduce((a, n) => a * n, 1);
  if (size > MOST_ELEMENTS) throw new RangeError(`${op}: shape ${shapeText(shape)} has more than 2^31 - 2^16 elements`);
}

export function checkDType(op: string, dtype: unknown): asserts dtype is DType {
  if (!isDType(dtype))
    throw new TypeError(`${op}: dtype: expected f32, f64, f16, bf16, i32, i64, u8, i8 or bool, got ${String(dtype)}`);
}

/** Writes a JavaScript value as an element of `dtype`: halves round, integers truncate and wrap, bool is != 0. */
export function writer(dtype: DType, into: HostArray): (i: number, value: Scalar) => void {
  switch (dtype) {
    case 'f16':
      return (i, value) => {
        into[i] = f16Bits(Number(value));
      };
    case 'bf16':
      return (i, value) => {
        into[i] = bf16Bits(Number(value));
      };
    case 'i64':
      return (i, value) => {
        (into as BigInt64Array)[i] =
          typeof value === 'bigint' ? value : BigInt(Number.isFinite(Number(value)) ? Math.trunc(Number(value)) : 0);
      };
    case 'bool':
      return (i, value) => {
        into[i] = Number(value) !== 0 ? 1 : 0;
      };
    default:
      return (i, value) => {
        into[i] = Number(value);
      };
  }
}

/** Reads element i as a JavaScript number (a bigint only for an i64 beyond 2^53). */
export function reader(dtype: DType, from: HostArray): (i: number) => number {
  switch (dtype) {
    case 'f16':
      return i => f16Value(from[i] as number);
    case 'bf16':
      return i => bf16Value(from[i] as number);
    case 'i64':
      return i => {
        const value = (from as BigInt64Array)[i]!;
        const number = Number(value);
        return Number.isSafeInteger(number) ? number : (value as unknown as number);
      };
    default:
      return i => from[i] as number;
  }
}

const TYPED: readonly (readonly [new (n: number) => ArrayLike<unknown>, DType])[] = [
  [Float32Array, 'f32'],
  [Float64Array, 'f64'],
  [Int32Array, 'i32'],
  [BigInt64Array, 'i64'],
  [Uint8Array, 'u8'],
  [Uint8ClampedArray, 'u8'],
  [Int8Array, 'i8'],
  [Int16Array, 'i32'],
  [Uint16Array, 'i32'],
  [Uint32Array, 'i64'],
];

function fromTyped(data: TensorData, options: FromOptions): Node {
  const known = TYPED.find(([array]) => data instanceof array);
  if (!known) throw new TypeError(`Tensor.from: typed arrays of type ${data.constructor.name} are not supported`);
  const shape = options.shape ?? [data.length];
  checkShape('Tensor.from', shape);
  const size = shape.reduce((a, n) => a * n, 1);
  if (size !== data.length)
    throw new RangeError(
      `Tensor.from: shape ${shapeText(shape)} holds ${size} elements, and the data has ${data.length}`,
    );
  // A Uint16Array asked to be a half type carries its bits.
  if (data instanceof Uint16Array && (options.dtype === 'f16' || options.dtype === 'bf16'))
    return build.data(data.slice(), shape, options.dtype);
  const natural = known[1];
  const dtype = options.dtype ?? natural;
  const host = hostArray(dtype, size);
  if (dtype === natural && host.constructor === data.constructor) (host as Float32Array).set(data as Float32Array);
  else {
    const write = writer(dtype, host);
    for (let i = 0; i < size; i++) write(i, data[i]!);
  }
  return build.data(host, shape, dtype);
}

function nestedShape(data: NestedInput): number[] {
  const shape: number[] = [];
  let level: NestedInput = data;
  while (Array.isArray(level)) {
    shape.push(level.length);
    if (level.length === 0) break;
    level = level[0] as NestedInput;
  }
  return shape;
}

/** What came in the place of a number, and what makes a tensor of it. */
function elementText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  const { name } = value.constructor;
  if (ArrayBuffer.isView(value)) return `${name} (rows of typed arrays: one long one, with shape)`;
  return 'node' in value ? `${name} (stack and cat join tensors)` : name;
}

/** Fills `into` depth first, checking that every row has the length its level must have. */
function flatten(data: NestedInput, shape: readonly number[], depth: number, into: Scalar[]): void {
  if (depth === shape.length) {
    if (Array.isArray(data)) throw new TypeError('Tensor.from: rows are nested to different depths');
    if (typeof data !== 'number' && typeof data !== 'bigint' && typeof data !== 'boolean')
      throw new TypeError(`Tensor.from: expected numbers, booleans or bigints, got ${elementText(data)}`);
    into.push(data);
    return;
  }
  if (!Array.isArray(data)) throw new TypeError('Tensor.from: rows are nested to different depths');
  if (data.length !== shape[depth])
    throw new RangeError(`Tensor.from: rows of dim ${depth} differ in length: ${shape[depth]} and ${data.length}`);
  for (const part of data) flatten(part, shape, depth + 1, into);
}

/** The data node of `Tensor.from`. */
export function fromData(data: NestedInput | TensorData, options: FromOptions): Node {
  if (options.dtype !== undefined) checkDType('Tensor.from', options.dtype);
  if (ArrayBuffer.isView(data)) return fromTyped(data as TensorData, options);
  const values: Scalar[] = [];
  const nested = nestedShape(data as NestedInput);
  flatten(data as NestedInput, nested, 0, values);
  const shape = options.shape ?? nested;
  checkShape('Tensor.from', shape);
  if (shape.reduce((a, n) => a * n, 1) !== values.length)
    throw new RangeError(`Tensor.from: shape ${shapeText(shape)} does not hold data of shape ${shapeText(nested)}`);
  let dtype = options.dtype;
  if (!dtype) {
    const every = (type: string): boolean => values.length > 0 && values.every(value => typeof value === type);
    dtype = every('boolean') ? 'bool' : every('bigint') ? 'i64' : 'f32';
  }
  const host = hostArray(dtype, values.length);
  const write = writer(dtype, host);
  values.forEach((value, i) => {
    write(i, value);
  });
  return build.data(host, shape, dtype);
}

/** @throws Error unless there is one element to read */
export function expectOne({ size, shape }: Node): void {
  if (size !== 1) throw new Error(`item: a tensor of shape ${shapeText(shape)} has ${size} elements, expected one`);
}

/** The one element, as JavaScript has it. */
export function itemOf(data: HostArray, dtype: DType): number | boolean {
  if (dtype === 'f32') return data[0] as number;
  const value = reader(dtype, data)(0);
  return dtype === 'bool' ? value !== 0 : value;
}

export function nestedOf(data: HostArray, shape: readonly number[], dtype: DType): Nested {
  const read = reader(dtype, data);
  const element = dtype === 'bool' ? (i: number) => (read(i) !== 0) as unknown as number : read;
  let at = 0;
  const level = (depth: number): Nested => {
    if (depth === shape.length) return element(at++);
    return Array.from({ length: shape[depth]! }, () => level(depth + 1));
  };
  return level(0);
}
