/**
 * Epilogues of contractions whose values have another width than the sums: i64 positions masking f32 scores, f64 in
 * between.
 */
import { expect, it } from 'vitest';
import { arange, manualSeed, randn, setBackend, type Tensor } from '../../src/index.ts';

const masked = (dtype: 'i32' | 'i64' | 'f64'): Tensor => {
  manualSeed(3);
  const q = randn([2, 3, 9, 8]);
  const k = randn([2, 3, 9, 8]);
  const at = arange(9, { dtype });
  const future = at.unsqueeze(0).gt(at.unsqueeze(1));
  return q.matmul(k.transpose(-2, -1)).mul(0.3).maskedFill(future, -1e9).exp();
};

it.each(['i64', 'f64'] as const)('masks of %s positions equal those of i32', dtype => {
  setBackend('wasm');
  const want = [...masked('i32').data()];
  expect([...masked(dtype).data()]).toEqual(want);
  setBackend('reference');
  masked(dtype)
    .data()
    .forEach((v, i) => {
      // exp turns the rounding of a score (a few 1e-7) into a relative one.
      expect(Math.abs(Number(want[i]) - Number(v))).toBeLessThanOrEqual(2e-6 * Math.max(1, Math.abs(Number(v))));
    });
});

it('scales f32 sums by an f64 number that all of them share', () => {
  const compute = (): number[] => {
    manualSeed(5);
    const rate = randn([1]).to('f64').abs().add(1).sqrt();
    const product = randn([7, 5]).matmul(randn([5, 18]));
    return Array.from(
      product
        .mul(rate.to('f32'))
        .add(randn([18]))
        .data(),
      Number,
    );
  };
  setBackend('reference');
  const want = compute();
  setBackend('wasm');
  compute().forEach((v, i) => {
    expect(v).toBeCloseTo(want[i]!, 4);
  });
});

it('adds a cast f64 to f32 sums', () => {
  const compute = (): number[] => {
    manualSeed(4);
    const product = randn([7, 5]).matmul(randn([5, 6]));
    return Array.from(product.add(randn([7, 6]).to('f64').mul(3).to('f32')).data(), Number);
  };
  setBackend('reference');
  const want = compute();
  setBackend('wasm');
  compute().forEach((v, i) => {
    expect(v).toBeCloseTo(want[i]!, 4);
  });
});
