/**
 * ONNX's element types: their codes, the dtype we hold them in, and the ranges of those that have no dtype of their
 * own. Narrow and unsigned integers live in the next wider dtype, float8 and float4 in f32 (every value of theirs is
 * exact there).
 */
import type { DType } from '../../graph/dtype.ts';

/** Element types of ONNX tensors, by their names in TensorProto.DataType, in lower case. */
export type ElementType =
  | 'float' | 'uint8' | 'int8' | 'uint16' | 'int16' | 'int32' | 'int64' | 'string' | 'bool' | 'float16' | 'double'
  | 'uint32' | 'uint64' | 'complex64' | 'complex128' | 'bfloat16' | 'float8e4m3fn' | 'float8e4m3fnuz' | 'float8e5m2'
  | 'float8e5m2fnuz' | 'uint4' | 'int4' | 'float4e2m1' | 'float8e8m0' | 'uint2' | 'int2'; // biome-ignore format: a table

/** TensorProto.DataType in order of its codes, from 1. */
const CODES: readonly ElementType[] = [
  'float', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool', 'float16', 'double',
  'uint32', 'uint64', 'complex64', 'complex128', 'bfloat16', 'float8e4m3fn', 'float8e4m3fnuz', 'float8e5m2',
  'float8e5m2fnuz', 'uint4', 'int4', 'float4e2m1', 'float8e8m0', 'uint2', 'int2',
]; // biome-ignore format: a table

export const typeOfCode = (code: number): ElementType | null => CODES[code - 1] ?? null;
export const codeOf = (type: ElementType): number => CODES.indexOf(type) + 1;

/** Types that tensors of ours can hold. Strings are host-side values, complex numbers do not exist here. */
export type NumericType = Exclude<ElementType, 'string' | 'complex64' | 'complex128'>;

interface Info {
  readonly dtype: DType;
  readonly bits: number;
  readonly kind: 'float' | 'int' | 'uint' | 'bool';
}

export const TYPES: { readonly [T in NumericType]: Info } = {
  float: { dtype: 'f32', bits: 32, kind: 'float' },
  double: { dtype: 'f64', bits: 64, kind: 'float' },
  float16: { dtype: 'f16', bits: 16, kind: 'float' },
  bfloat16: { dtype: 'bf16', bits: 16, kind: 'float' },
  float8e4m3fn: { dtype: 'f32', bits: 8, kind: 'float' },
  float8e4m3fnuz: { dtype: 'f32', bits: 8, kind: 'float' },
  float8e5m2: { dtype: 'f32', bits: 8, kind: 'float' },
  float8e5m2fnuz: { dtype: 'f32', bits: 8, kind: 'float' },
  float8e8m0: { dtype: 'f32', bits: 8, kind: 'float' },
  float4e2m1: { dtype: 'f32', bits: 4, kind: 'float' },
  int64: { dtype: 'i64', bits: 64, kind: 'int' },
  int32: { dtype: 'i32', bits: 32, kind: 'int' },
  int16: { dtype: 'i32', bits: 16, kind: 'int' },
  int8: { dtype: 'i8', bits: 8, kind: 'int' },
  int4: { dtype: 'i8', bits: 4, kind: 'int' },
  int2: { dtype: 'i8', bits: 2, kind: 'int' },
  uint64: { dtype: 'i64', bits: 64, kind: 'uint' },
  uint32: { dtype: 'i64', bits: 32, kind: 'uint' },
  uint16: { dtype: 'i32', bits: 16, kind: 'uint' },
  uint8: { dtype: 'u8', bits: 8, kind: 'uint' },
  uint4: { dtype: 'u8', bits: 4, kind: 'uint' },
  uint2: { dtype: 'u8', bits: 2, kind: 'uint' },
  bool: { dtype: 'bool', bits: 8, kind: 'bool' },
};

export const isNumeric = (type: ElementType): type is NumericType => type in TYPES;

/** The type a tensor of `dtype` has when nothing says otherwise. */
export const NATURAL: { readonly [D in DType]: NumericType } = {
  f32: 'float', f64: 'double', f16: 'float16', bf16: 'bfloat16', i32: 'int32', i64: 'int64', u8: 'uint8', i8: 'int8', bool: 'bool',
}; // biome-ignore format: a table

/** Smallest and largest value of an integer type. */
export function integerRange(type: NumericType): readonly [low: bigint, high: bigint] {
  const { bits, kind } = TYPES[type];
  const n = BigInt(bits);
  return kind === 'uint' ? [0n, (1n << n) - 1n] : [-(1n << (n - 1n)), (1n << (n - 1n)) - 1n];
}

/** Whether the type is narrower than the dtype that holds it, so that results must be wrapped or rounded into it. */
export const isNarrow = (type: NumericType): boolean => NATURAL[TYPES[type].dtype] !== type && type !== 'uint64';
