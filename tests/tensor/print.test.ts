import { expect, test } from 'vitest';
import '../support/backend.ts';
import { arange, full, tensor, zeros } from '../../src/index.ts';

test('floats print with four decimals in aligned columns', () => {
  expect(
    String(
      tensor([
        [1, -2.5],
        [100.125, 3],
      ]),
    ),
  ).toMatchInlineSnapshot(`
    "tensor([[  1.0000,  -2.5000],
            [100.1250,   3.0000]], f32 [2, 2])"
  `);
});

test('whole floats print a bare point, special values their names', () => {
  expect(String(tensor([1, Number.NaN, Number.POSITIVE_INFINITY, -0]))).toMatchInlineSnapshot(
    `"tensor([ 1., nan, inf, -0.], f32 [4])"`,
  );
});

test('sizes that differ by more than a thousand print in scientific form', () => {
  expect(String(tensor([1e-5, 12345.678]))).toMatchInlineSnapshot(`"tensor([1.0000e-05, 1.2346e+04], f32 [2])"`);
});

test('integers, booleans, scalars and empty tensors', () => {
  expect(String(tensor([10n, -2n]))).toMatchInlineSnapshot(`"tensor([10, -2], i64 [2])"`);
  expect(String(tensor([[true], [false]]))).toMatchInlineSnapshot(`
    "tensor([[ true],
            [false]], bool [2, 1])"
  `);
  expect(String(tensor(0.5))).toMatchInlineSnapshot(`"tensor(0.5000, f32 [])"`);
  expect(String(zeros([0, 3]))).toMatchInlineSnapshot(`"tensor([], f32 [0, 3])"`);
  expect(String(full([2], 1.5, { dtype: 'bf16' }))).toMatchInlineSnapshot(`"tensor([1.5000, 1.5000], bf16 [2])"`);
});

test('more than a thousand elements show their borders', () => {
  expect(String(arange(2000).reshape([20, 100]))).toMatchInlineSnapshot(`
    "tensor([[   0,    1,    2, ...,   97,   98,   99],
            [ 100,  101,  102, ...,  197,  198,  199],
            [ 200,  201,  202, ...,  297,  298,  299],
            ...,
            [1700, 1701, 1702, ..., 1797, 1798, 1799],
            [1800, 1801, 1802, ..., 1897, 1898, 1899],
            [1900, 1901, 1902, ..., 1997, 1998, 1999]], i64 [20, 100])"
  `);
});

test('long rows wrap, and matrices of a batch stand apart', () => {
  expect(String(arange(30))).toMatchInlineSnapshot(`
    "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,
            18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29], i64 [30])"
  `);
  expect(String(arange(8).reshape([2, 2, 2]))).toMatchInlineSnapshot(`
    "tensor([[[0, 1],
             [2, 3]],

            [[4, 5],
             [6, 7]]], i64 [2, 2, 2])"
  `);
});
