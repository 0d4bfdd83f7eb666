/**
 * autocast: which types operations compute in, and numbers of torch.autocast('cpu', dtype=torch.bfloat16) of PyTorch
 * 1.13 (its layer norm does not take f32 weights there, so the input was cast to f32 for it, as autocast does here).
 */
import { describe, expect, it, test } from 'vitest';
import '../support/backend.ts';
import { autocast, compile, einsum, F, ones, Parameter, randn, Tensor, tensor } from '../../src/index.ts';

/** sin(0.37 * seed * (i + 1)) / 2. */
const waves = (seed: number, ...shape: readonly number[]): Tensor =>
  Tensor.from(
    Float32Array.from({ length: shape.reduce((a, n) => a * n, 1) }, (_, i) => Math.sin(0.37 * (i + 1) * seed) * 0.5),
    { shape },
  );
const norm = (x: Tensor): number => Number(x.to('f32').norm().item());
const close = (got: number, want: number, relative: number): void =>
  expect(Math.abs(got - want) / Math.abs(want)).toBeLessThan(relative);

describe('types', () => {
  const x = randn([4, 6]);
  const half = x.to('bf16');
  const image = randn([1, 2, 5, 5]);
  test.each([
    ['matmul', () => x.matmul(x.t()), 'bf16'],
    ['linear', () => F.linear(x, ones([3, 6]), ones([3])), 'bf16'],
    ['conv2d', () => F.conv2d(image, randn([3, 2, 3, 3]), ones([3])), 'bf16'],
    ['convTranspose2d', () => F.convTranspose2d(image, randn([2, 3, 3, 3])), 'bf16'],
    ['einsum', () => einsum('ij,kj->ik', x, x), 'bf16'],
    ['addmm', () => ones([4, 4]).addmm(x, x.t()), 'bf16'],
    ['attention', () => F.scaledDotProductAttention(x, x, x), 'bf16'],
    ['softmax', () => half.softmax(-1), 'f32'],
    ['layerNorm', () => F.layerNorm(half, [6]), 'f32'],
    ['crossEntropy', () => F.crossEntropy(half, tensor([0, 1, 2, 3], { dtype: 'i64' })), 'f32'],
    ['mseLoss', () => F.mseLoss(half, half), 'f32'],
    ['sum', () => half.sum(), 'f32'],
    ['exp', () => half.exp(), 'f32'],
    ['pow', () => half.abs().pow(1.5), 'f32'],
    ['relu', () => half.relu(), 'bf16'],
    ['gelu', () => F.gelu(half), 'bf16'],
    ['add of both', () => half.add(x), 'f32'],
    ['batchNorm', () => F.batchNorm(half, null, null, ones([6]), null, { training: true }), 'bf16'],
    ['f64 is left alone', () => x.to('f64').matmul(x.to('f64').t()), 'f64'],
    ['integers are left alone', () => ones([2, 2], { dtype: 'i32' }).matmul(ones([2, 2], { dtype: 'i32' })), 'i32'],
    ['switched off inside', () => autocast({ enabled: false }, () => x.matmul(x.t())), 'f32'],
  ] as const)('%s', (_, fn, dtype) => {
    expect(autocast({ dtype: 'bf16' }, fn).dtype).toBe(dtype);
  });

  it('f16 too, and nothing outside or after an error', () => {
    expect(autocast({ dtype: 'f16' }, () => x.matmul(x.t())).dtype).toBe('f16');
    const fails = (): void => {
      throw new Error('stop');
    };
    expect(() => autocast({}, fails)).toThrow('stop');
    expect(x.matmul(x.t()).dtype).toBe('f32');
  });

  it('refuses what it cannot do', () => {
    expect(() => autocast({ dtype: 'f64' as 'f16' }, () => x)).toThrow(
      'autocast: dtype: expected bf16 or f16, got f64',
    );
    expect(() => autocast({}, async () => x)).toThrow('autocast: the function returned a promise');
    expect(() => autocast({ dtpe: 'f16' } as object, () => x)).toThrow('autocast: unknown option dtpe');
    expect(() => autocast((() => x) as object, {} as () => Tensor)).toThrow('autocast: options: expected an object');
    expect(() => autocast({}, undefined as never)).toThrow('autocast: expected a function, got undefined');
  });
});

it('what is written by index into sums of another precision is f32', () => {
  const messages = ones([3, 2]);
  const index = tensor([0, 2, 0], { dtype: 'i64' });
  const mask = tensor([true, false, true]);
  autocast({ dtype: 'bf16' }, () => {
    const half = messages.matmul(ones([2, 2])); // bf16 twos
    expect(half.dtype).toBe('bf16');
    for (const [sums, updates] of [
      [ones([3, 2]), half],
      [half.div(2), half.to('f32')],
    ] as const) {
      // biome-ignore format: one line
      const results = [
        sums.indexAdd(0, index, updates),
        sums.scatterAdd(0, index.unsqueeze(1).expand([3, 2]), updates),
        sums.indexPut([index], updates, { accumulate: true }),
      ];
      for (const result of results) {
        expect(result.dtype).toBe('f32');
        expect(result.toArray()).toEqual([[5, 5], [1, 1], [3, 3]]); // biome-ignore format: one line
      }
      const placed = sums.maskedScatter(mask.unsqueeze(1), updates);
      expect([placed.dtype, placed.toArray()]).toEqual(['f32', [[2, 2], [1, 1], [2, 2]]]); // biome-ignore format: one line
    }
  });
  expect(() => messages.indexAdd(0, index, messages.to('bf16'))).toThrow(
    'indexAdd: dtypes differ: input f32, source bf16',
  );
});

describe('numbers of PyTorch', () => {
  it('a small network and its gradients', () => {
    const weights = [waves(1.3, 32, 24), waves(1.7, 32), waves(2.1, 32), waves(2.3, 5, 32)].map(w => new Parameter(w));
    const [w1, b1, gain, w2] = weights as [Parameter, Parameter, Parameter, Parameter];
    const x = waves(1, 6, 24);
    const y = tensor([0, 1, 2, 3, 4, 0], { dtype: 'i64' });
    const loss = autocast({ dtype: 'bf16' }, () => {
      const h = F.layerNorm(F.gelu(F.linear(x, w1, b1)), [32], gain);
      return F.crossEntropy(F.linear(h, w2), y);
    });
    loss.backward();
    close(Number(loss.item()), 1.384450912475586, 2e-3);
    for (const [i, weight] of weights.entries()) {
      expect(weight.grad!.dtype).toBe('f32');
      close(
        norm(weight.grad!),
        [0.3137720823287964, 0.14903606474399567, 0.89626145362854, 0.82436203956604][i]!,
        1e-2,
      );
    }
  });

  it('a convolution and its gradient', () => {
    const kernel = new Parameter(waves(1.9, 4, 3, 3, 3));
    const z = autocast({ dtype: 'bf16' }, () => F.conv2d(waves(1.1, 2, 3, 9, 9), kernel, null, { padding: 1 }));
    z.to('f32').square().sum().backward();
    close(norm(z), 11.126814842224121, 2e-3);
    close(norm(kernel.grad!), 267.4871826171875, 1e-2);
  });
});

it('a compiled function is recorded anew for each type', () => {
  const f = compile((x: Tensor) => x.matmul(x.t()));
  const x = randn([3, 4]);
  expect(f(x).dtype).toBe('f32');
  expect(autocast({ dtype: 'bf16' }, () => f(x)).dtype).toBe('bf16');
  expect(f(x).dtype).toBe('f32');
});
