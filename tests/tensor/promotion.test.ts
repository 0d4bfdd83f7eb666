/**
 * Every pair of dtypes against torch.result_type (PyTorch 1.13): columns in the order of DTYPES below. Where PyTorch
 * says i16, which does not exist here, the next wider type stands.
 */
import { expect, test } from 'vitest';
import '../support/backend.ts';
import { type DType, full, type Tensor } from '../../src/index.ts';

const DTYPES: readonly DType[] = ['f32', 'f64', 'f16', 'bf16', 'i32', 'i64', 'u8', 'i8', 'bool'];

// torch.result_type(torch.ones([1], dtype=row), torch.ones([1], dtype=column))
const DIMENSIONED: { readonly [D in DType]: string } = {
  f32: 'f32 f64 f32 f32 f32 f32 f32 f32 f32',
  f64: 'f64 f64 f64 f64 f64 f64 f64 f64 f64',
  f16: 'f32 f64 f16 f32 f16 f16 f16 f16 f16',
  bf16: 'f32 f64 f32 bf16 bf16 bf16 bf16 bf16 bf16',
  i32: 'f32 f64 f16 bf16 i32 i64 i32 i32 i32',
  i64: 'f32 f64 f16 bf16 i64 i64 i64 i64 i64',
  u8: 'f32 f64 f16 bf16 i32 i64 u8 i32 u8',
  i8: 'f32 f64 f16 bf16 i32 i64 i32 i8 i8',
  bool: 'f32 f64 f16 bf16 i32 i64 u8 i8 bool',
};

// torch.result_type(torch.ones([1], dtype=row), torch.ones([], dtype=column))
const ZERO_DIM: { readonly [D in DType]: string } = {
  f32: 'f32 f32 f32 f32 f32 f32 f32 f32 f32',
  f64: 'f64 f64 f64 f64 f64 f64 f64 f64 f64',
  f16: 'f16 f16 f16 f16 f16 f16 f16 f16 f16',
  bf16: 'bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16',
  i32: 'f32 f64 f16 bf16 i32 i32 i32 i32 i32',
  i64: 'f32 f64 f16 bf16 i64 i64 i64 i64 i64',
  u8: 'f32 f64 f16 bf16 u8 u8 u8 u8 u8',
  i8: 'f32 f64 f16 bf16 i8 i8 i8 i8 i8',
  bool: 'f32 f64 f16 bf16 i32 i64 u8 i8 bool',
};

// torch.result_type(torch.ones([1], dtype=row), True | 2 | 2.5)
const NUMBERS: { readonly [D in DType]: string } = {
  f32: 'f32 f32 f32',
  f64: 'f64 f64 f64',
  f16: 'f16 f16 f16',
  bf16: 'bf16 bf16 bf16',
  i32: 'i32 i32 f32',
  i64: 'i64 i64 f32',
  u8: 'u8 u8 f32',
  i8: 'i8 i8 f32',
  bool: 'bool i64 f32',
};

const one = (dtype: DType, shape: readonly number[]): Tensor => full(shape, 1, { dtype });
const dtypesOf = (row: DType, others: readonly (Tensor | number | boolean)[]): string =>
  others.map(other => one(row, [1]).mul(other).dtype).join(' ');

test.each(DTYPES)('%s with every other', row => {
  const columns = (shape: readonly number[]): Tensor[] => DTYPES.map(dtype => one(dtype, shape));
  expect(dtypesOf(row, columns([1]))).toBe(DIMENSIONED[row]);
  expect(dtypesOf(row, columns([]))).toBe(ZERO_DIM[row]);
  expect(dtypesOf(row, [true, 2, 2.5])).toBe(NUMBERS[row]);
});
