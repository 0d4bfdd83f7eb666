/**
 * NaN, infinities, signed zeros and denormals go through products, reductions and row kernels as IEEE 754 and PyTorch
 * say, at sizes under, at and over vectors and tiles: nothing is skipped because a factor is 0, flushed to zero because
 * it is small, or lost in what pads a tile.
 */
import { describe, expect, it } from 'vitest';
import { F, full, Tensor } from '../../src/index.ts';

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const SIZES = [1, 5, 16, 17, 33, 70];
const DTYPES = ['f32', 'f64'] as const;
/** A denormal of which a hundred can be added exactly. */
const TINY = { f32: 2 ** -140, f64: 2 ** -1060 } as const;

const filled = (shape: readonly number[], value: number, dtype: 'f32' | 'f64'): Tensor => full(shape, value, { dtype });
const row = (values: readonly number[], dtype: 'f32' | 'f64' = 'f32'): Tensor => Tensor.from(values, { dtype });
const listed = (x: Tensor): number[] => Array.from(x.data() as Float32Array | Float64Array);

describe.each(DTYPES)('%s', dtype => {
  const tiny = TINY[dtype];

  it.each(SIZES)('products of %i: a NaN or 0 times Infinity reaches its row and column, and no other', n => {
    const a = filled([n, n], 0, dtype).data() as Float32Array | Float64Array;
    for (let i = 0; i < n; i++) a[i * n + i] = 1;
    a[0] = nan;
    const identity = Tensor.from(a, { shape: [n, n], dtype });
    const b = Array.from({ length: n * n }, (_, i) => (i === n * n - 1 ? inf : 2));
    const got = listed(identity.matmul(Tensor.from(b, { shape: [n, n], dtype })));
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        const last = j === n - 1;
        const want = i === 0 ? nan : last ? (i === n - 1 ? inf : nan) : 2;
        expect(got[i * n + j], `${i}, ${j}`).toBe(want);
      }
  });

  it.each(SIZES)('denormals of %i are multiplied, summed and scaled', n => {
    expect(listed(filled([3, n], tiny, dtype).matmul(filled([n, 2], 1, dtype)))).toEqual(Array(6).fill(n * tiny));
    expect(filled([n], tiny, dtype).sum().item()).toBe(n * tiny);
    expect(listed(filled([n], tiny, dtype).mul(0.5).add(tiny))).toEqual(Array(n).fill(1.5 * tiny));
    const image = filled([1, 1, n, 3], tiny, dtype);
    expect(listed(F.conv2d(image, filled([1, 1, 1, 3], 1, dtype)))).toEqual(Array(n).fill(3 * tiny));
    expect(listed(filled([n], tiny, dtype).cumsum(0))).toEqual(Array.from({ length: n }, (_, i) => (i + 1) * tiny));
  });

  it.each(SIZES)('reductions of %i see a NaN wherever it is', n => {
    for (const at of new Set([0, n >> 1, n - 1])) {
      const x = row(
        Array.from({ length: n }, (_, i) => (i === at ? nan : i)),
        dtype,
      );
      for (const value of [x.sum(), x.mean(), x.amax(), x.amin(), x.prod()]) expect(value.item()).toBeNaN();
      expect(Number(x.argmax().item())).toBe(at);
      expect(listed(x.softmax(0)).every(Number.isNaN)).toBe(true);
      expect(listed(F.layerNorm(x, [n])).every(Number.isNaN)).toBe(true);
    }
  });

  it.each(SIZES)('softmax of %i: -Infinity has no share, Infinity and nothing else are NaN', n => {
    const masked = row(
      Array.from({ length: n + 1 }, (_, i) => (i === n ? 3 : -inf)),
      dtype,
    );
    expect(listed(masked.softmax(0))).toEqual([...Array(n).fill(0), 1]);
    expect(listed(masked.logSoftmax(0))).toEqual([...Array(n).fill(-inf), 0]);
    expect(masked.logsumexp(0).item()).toBe(3);
    expect(listed(filled([n], -inf, dtype).softmax(0)).every(Number.isNaN)).toBe(true);
    expect(filled([n], -inf, dtype).logsumexp(0).item()).toBe(-inf);
    expect(listed(row([...Array(n).fill(0), inf], dtype).softmax(0)).at(-1)).toBeNaN();
  });
});

it('infinities of both signs sum to NaN, of one sign to themselves', () => {
  expect(row([inf, 1, inf]).sum().item()).toBe(inf);
  expect(row([inf, 1, -inf]).sum().item()).toBeNaN();
  expect(row([-inf, 3, inf]).amax().item()).toBe(inf);
});

it('zeros keep their signs through arithmetic element by element', () => {
  const zeros = row([0, -0]);
  expect(listed(zeros.neg())).toEqual([-0, 0]);
  expect(listed(zeros.mul(-1))).toEqual([-0, 0]);
  expect(listed(zeros.add(-0))).toEqual([0, -0]);
  expect(listed(zeros.sqrt())).toEqual([0, -0]);
  expect(listed(row([1, 1]).div(zeros))).toEqual([inf, -inf]);
  expect(listed(zeros.abs())).toEqual([0, 0]);
});
