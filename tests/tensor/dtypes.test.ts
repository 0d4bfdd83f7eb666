/**
 * Functions whose results have a dtype of their own, or that are for other dtypes than floats, as PyTorch 1.13 has
 * them; and slopes at exact zeros.
 */
import { expect, test } from 'vitest';
import '../support/backend.ts';
import {
  arange,
  functional,
  grad,
  linalg,
  masked,
  nextafter,
  Tensor,
  trapezoid,
  trilIndices,
} from '../../src/index.ts';

const whole = (values: readonly number[], shape?: readonly number[]): Tensor =>
  Tensor.from(values, { dtype: 'i32', ...(shape ? { shape } : {}) });
const list = (x: Tensor): number[] => Array.from(x.data(), Number);
const { bilinear, interpolate, marginRankingLoss, pairwiseDistance } = functional;

test('factors do not change the dtype of whole numbers', () => {
  const a = whole([1, 2, 3, 4], [2, 2]);
  expect([a.addmm(a, a, { alpha: 2.9, beta: 0.2 }).dtype, list(a.addmm(a, a, { alpha: 2.9, beta: 0.2 }))]).toEqual([
    'i32',
    [14, 20, 30, 44],
  ]);
  expect([a.addcmul(a, a, { value: 3.14 }).dtype, list(a.addcmul(a, a, { value: 3.14 }))]).toEqual([
    'i32',
    [4, 14, 30, 52],
  ]);
  expect(bilinear(a, a, whole([1, 0, 0, 1], [1, 2, 2])).dtype).toBe('i32');
  const none = a.gt(9);
  expect(none.select(0, 0).outer(none.select(0, 0)).dtype).toBe('bool');
  expect(none.addr(none.select(0, 0), none.select(0, 0), { alpha: 2, beta: 3 }).dtype).toBe('bool');
});

test('sums and truth of whole numbers', () => {
  const a = whole([1, 2, 3, 4], [2, 2]);
  expect([a.sumToSize([1, 2]).dtype, a.sumToSize([2, 2]).dtype]).toEqual(['i64', 'i32']);
  expect([a.to('u8').any().dtype, a.to('u8').all(0).dtype, a.any().dtype]).toEqual(['u8', 'u8', 'bool']);
  expect(masked.cumsum(a, 0).dtype).toBe('i32');
  expect(list(whole([2, 0, 2]).bincount())).toEqual([1, 0, 2]);
  expect([trapezoid(a, { dx: 2 }).dtype, list(trapezoid(a, { dx: 2 }))]).toEqual(['f32', [3, 7]]);
});

test('whole numbers where a float comes out', () => {
  const [a, b] = [whole([1, 5]), whole([4, 1])];
  expect(pairwiseDistance(a, b).item()).toBeCloseTo(5, 5);
  expect([marginRankingLoss(a, b, whole([1, -1])).dtype, marginRankingLoss(a, b, whole([1, -1])).item()]).toEqual([
    'f32',
    3.5,
  ]);
});

test('ranges of whole numbers are cut as PyTorch cuts them', () => {
  expect(list(arange(1, 5.000001, 2, { dtype: 'i64' }))).toEqual([1, 3]);
  expect(list(arange(-0.9, 2.1, 2, { dtype: 'i32' }))).toEqual([0, 2]);
  expect(() => arange(0, 1, 0.5, { dtype: 'i64' })).toThrow('arange: step 0.5 is 0 as i64');
  expect(trilIndices(2, 2, { dtype: 'i32' }).dtype).toBe('i32');
  expect(() => trilIndices(2, 2, { dtype: 'f32' })).toThrow(/^trilIndices: dtype/);
});

test('images of bytes are resampled by their nearest pixels', () => {
  const image = whole([1, 2, 3, 250], [1, 1, 2, 2]).to('u8');
  const large = interpolate(image, { scaleFactor: 2 });
  expect([large.dtype, list(large)]).toEqual(['u8', [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 250, 250, 3, 3, 250, 250]]);
  expect(() => interpolate(image, { size: [3, 3], mode: 'bilinear' })).toThrow(/^interpolate: input/);
});

test('half types stay half', () => {
  const x = Tensor.from([-1, 2, 4]).to('f16');
  expect([x.angle().dtype, x.gradient()[0]!.dtype]).toEqual(['f16', 'f16']);
  const brain = Tensor.from([1, 0, -2]).to('bf16');
  expect(list(nextafter(brain, Tensor.from([2, 1, -3]).to('bf16')).to('f64'))).toEqual([
    1.0078125,
    2 ** -133,
    -2.015625,
  ]);
  const turned = linalg.matrixExp(Tensor.from([0, 1, -1, 0], { shape: [2, 2] }).to('bf16'));
  expect([turned.dtype, list(turned.to('f32'))[0]]).toEqual(['bf16', 0.5390625]);
});

test('slopes at exact zeros are PyTorch’s', () => {
  const x = Tensor.from([0, 2, 0], { dtype: 'f64' });
  const y = Tensor.from([3, 3, 0], { dtype: 'f64' });
  const slopes = list(grad((a: Tensor) => a.xlogy(y).sum())(x));
  expect(slopes[0]).toBeCloseTo(Math.log(3), 12);
  expect(slopes.slice(1)).toEqual([slopes[0], 0]);
  expect(list(grad((a: Tensor) => a.norm(0.5))(Tensor.from([0, 4, 9], { dtype: 'f64' })))).toEqual([0, 2.5, 5 / 3]);
});
