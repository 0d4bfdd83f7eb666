/**
 * Data in and out, dtypes, promotion and creation. Promotion figures: torch.result_type and torch.arange of PyTorch
 * 1.13.
 */
import { describe, expect, test } from 'vitest';
import '../support/backend.ts';
import {
  arange,
  cat,
  type DType,
  eye,
  F,
  full,
  linspace,
  manualSeed,
  meshgrid,
  ones,
  rand,
  randint,
  randn,
  randperm,
  Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';

describe('data in and out', () => {
  test('natural dtypes', () => {
    expect(tensor([1, 2]).dtype).toBe('f32');
    expect(tensor([true]).dtype).toBe('bool');
    expect(tensor([1n]).dtype).toBe('i64');
    expect(Tensor.from(new Float64Array(2)).dtype).toBe('f64');
    expect(Tensor.from(new Int32Array(2)).dtype).toBe('i32');
    expect(Tensor.from(new Uint8Array(2)).dtype).toBe('u8');
    expect(Tensor.from(new BigInt64Array(2)).dtype).toBe('i64');
  });

  test('a value that was read is as good as it was before', () => {
    const read = (t: Tensor): Tensor => {
      t.data();
      return t;
    };
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(read(x.sum(1)).sum().item()).toBe(21);
    expect(read(x.t()).t().toArray()).toEqual(x.toArray());
    expect(read(x.flatten()).reshape([3, 2]).toArray()).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(read(x.neg()).neg().sum().item()).toBe(21);
    expect(
      read(zeros([2, 3]))
        .add(x)
        .sum()
        .item(),
    ).toBe(21);
    expect(
      read(x.matmul(x.t()).expand([2, 2, 2]))
        .sum()
        .item(),
    ).toBe(2 * (14 + 32 + 32 + 77));
  });

  test('sizes and dims come as an array or one by one', () => {
    const x = zeros(2, 3, { dtype: 'i64' }).add(tensor([1, 2, 3], { dtype: 'i64' }));
    expect([x.dtype, x.shape, x.dim()]).toEqual(['i64', [2, 3], 2]);
    expect([ones(4).shape, rand(2, 1).shape, randn(1, { dtype: 'f64' }).dtype]).toEqual([[4], [2, 1], 'f64']);
    expect(x.view(3, -1).toArray()).toEqual(x.reshape([3, 2]).toArray());
    expect(x.permute(1, 0).toArray()).toEqual(x.permute([1, 0]).toArray());
    expect(x.unsqueeze(0).expand(2, -1, -1).toArray()).toEqual(x.unsqueeze(0).expand([2, -1, -1]).toArray());
    expect([x.repeat(2, 1).shape, x.tile(2).shape]).toEqual([
      [4, 3],
      [2, 6],
    ]);
    expect(randint(5, [3]).lt(5).all().item()).toBe(true);
    expect(x.clamp({ min: 2 }).toArray()).toEqual(x.clamp(2).toArray());
    expect(x.clamp({ max: 2 }).toArray()).toEqual(x.clamp(null, 2).toArray());
    expect(x.flip(0, 1).toArray()).toEqual(x.flip().toArray());
    expect(x.flip(1).toArray()).toEqual(x.flip([1]).toArray());
  });

  test('the one setting of an activation may come alone', () => {
    const x = tensor([-2, 0.25, 3]);
    expect(F.leakyRelu(x, 0.5).toArray()).toEqual([-1, 0.25, 3]);
    expect(F.elu(x, 2).toArray()).toEqual(F.elu(x, { alpha: 2 }).toArray());
    expect(F.gelu(x, 'tanh').toArray()).toEqual(F.gelu(x, { approximate: 'tanh' }).toArray());
    expect(F.hardshrink(x, 1).toArray()).toEqual([-2, 0, 3]);
    expect(F.dropout(x, 1).toArray()).toEqual([-0, 0, 0]);
  });

  test('the variance of a population is unbiased: false, or correction 0', () => {
    const x = tensor([1, 2, 3, 4]); // squares about the mean add up to 5
    expect(x.var(0, { unbiased: false }).item()).toBe(5 / 4);
    expect(x.var(0, { correction: 0 }).item()).toBe(5 / 4);
    expect(x.var(0, { unbiased: true }).item()).toBeCloseTo(5 / 3, 6);
    expect(() => x.std(0, { unbiased: true, correction: 1 })).toThrow('std: correction 1 and unbiased true came');
  });

  test('item gives a number, a boolean for bool, a bigint beyond 2^53', () => {
    expect(tensor(1.5).item()).toBe(1.5);
    expect(tensor([[true]]).item()).toBe(true);
    expect(tensor([7n]).item()).toBe(7);
    expect(tensor([2n ** 60n]).item()).toBe(2n ** 60n);
  });

  test('nested arrays come back as they went in', async () => {
    const rows = [
      [1, 2, 3],
      [4, 5, 6],
    ];
    expect(tensor(rows).toArray()).toEqual(rows);
    expect(await tensor(rows).add(1).toArrayAsync()).toEqual([
      [2, 3, 4],
      [5, 6, 7],
    ]);
    expect(tensor([[true], [false]]).toArray()).toEqual([[true], [false]]);
  });

  test('half types round to nearest even', () => {
    // 1 + 2^-8 is halfway between two bf16 values; the even one is 1. In f16 it is exact.
    expect(tensor([1 + 2 ** -8], { dtype: 'bf16' }).item()).toBe(1);
    expect(tensor([1 + 2 ** -8], { dtype: 'f16' }).item()).toBe(1 + 2 ** -8);
  });

  test('the data is copied', () => {
    const source = new Float32Array([1, 2]);
    const x = Tensor.from(source);
    source[0] = 9;
    expect(x.toArray()).toEqual([1, 2]);
  });

  test.each([
    [() => tensor([[1, 2], [3]]), 'Tensor.from: rows of dim 1 differ in length: 2 and 1'],
    [() => tensor([[1], 2]), 'Tensor.from: rows are nested to different depths'],
    [() => tensor(['a'] as never), 'Tensor.from: expected numbers, booleans or bigints, got string'],
    [() => tensor([ones(2), ones(2)] as never), 'got Tensor (stack and cat join tensors)'],
    [() => tensor([new Float32Array(2)] as never), 'got Float32Array (rows of typed arrays: one long one, with shape)'],
    [
      () => Tensor.from(new Float32Array(3), { shape: [2] }),
      'Tensor.from: shape [2] holds 2 elements, and the data has 3',
    ],
    [
      () => tensor([1], { dtype: 'int' as DType }),
      'Tensor.from: dtype: expected f32, f64, f16, bf16, i32, i64, u8, i8 or bool, got int',
    ],
    [() => tensor([1, 2]).item(), 'item: a tensor of shape [2] has 2 elements, expected one'],
    [() => zeros([-1]), 'zeros: shape: sizes must be whole numbers of at least 0, got [-1]'],
  ])('refused: %#', (make, message) => {
    expect(make).toThrow(message);
  });
});

describe('promotion is torch.result_type', () => {
  const one = (dtype: DType, dims: number): Tensor => full(new Array(dims).fill(1), 1, { dtype });
  test.each<[DType, number, DType, number, DType]>([
    ['f32', 1, 'f64', 1, 'f64'],
    ['f32', 1, 'f64', 0, 'f32'],
    ['i64', 1, 'f32', 0, 'f32'],
    ['i32', 1, 'i64', 0, 'i32'],
    ['u8', 1, 'i8', 1, 'i32'],
    ['f16', 1, 'bf16', 1, 'f32'],
    ['f16', 1, 'f32', 0, 'f16'],
    ['bool', 1, 'u8', 1, 'u8'],
    ['bool', 1, 'i64', 0, 'i64'],
  ])('%s of %i dims with %s of %i dims is %s', (a, dimsA, b, dimsB, want) => {
    expect(one(a, dimsA).add(one(b, dimsB)).dtype).toBe(want);
    expect(one(b, dimsB).mul(one(a, dimsA)).dtype).toBe(want);
  });

  test('numbers take the tensor’s dtype unless their kind is higher', () => {
    expect(one('i32', 1).add(1).dtype).toBe('i32');
    expect(one('i32', 1).add(1.5).dtype).toBe('f32');
    expect(one('f16', 1).mul(2).dtype).toBe('f16');
    expect(one('bool', 1).add(1).dtype).toBe('i64');
  });

  test('division, sums, means and comparisons', () => {
    expect(one('i32', 1).div(2).dtype).toBe('f32');
    expect(tensor([7n, -7n]).div(2, { roundingMode: 'floor' }).toArray()).toEqual([3, -4]);
    expect(tensor([7n, -7n]).div(2, { roundingMode: 'trunc' }).toArray()).toEqual([3, -3]);
    expect(one('u8', 1).sum().dtype).toBe('i64');
    expect(one('bool', 1).prod().dtype).toBe('i64');
    expect(one('i32', 1).exp().dtype).toBe('f32');
    expect(one('i32', 1).eq(1).dtype).toBe('bool');
    expect(() => one('i64', 1).mean()).toThrow(
      'mean: input: expected a float tensor, got i64; convert it or pass dtype',
    );
  });
});

describe('creation', () => {
  test('ranges', () => {
    expect(arange(4).toArray()).toEqual([0, 1, 2, 3]);
    expect(arange(4).dtype).toBe('i64');
    expect(arange(1, 2, 0.25).toArray()).toEqual([1, 1.25, 1.5, 1.75]);
    expect(arange(5, 0, -2).toArray()).toEqual([5, 3, 1]);
    expect(linspace(0, 1, 5).toArray()).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(() => arange(0, 3, 0)).toThrow('arange: step must not be 0');
    expect(() => arange(0, 3, -1)).toThrow('arange: step -1 leads away from end: start 0, end 3');
  });

  test('matrices and grids', () => {
    expect(eye(2, 3).toArray()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
    ]);
    const [x, y] = meshgrid([tensor([1, 2]), tensor([3, 4, 5])], { indexing: 'xy' });
    expect(x!.toArray()).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    expect(y!.toArray()).toEqual([
      [3, 3],
      [4, 4],
      [5, 5],
    ]);
  });

  test('cat joins on the host and in programs alike, and promotes', () => {
    const [a, b] = [tensor([[1], [2]]), tensor([[3n], [4n]])];
    const want = [
      [1, 3],
      [2, 4],
    ];
    expect(cat([a, b], 1).toArray()).toEqual(want);
    expect(cat([a.add(0), b.to('f32')], 1).toArray()).toEqual(want);
    expect(() => cat([ones([2]), ones([2, 2])])).toThrow('cat: shapes [2] and [2, 2] differ outside dim 0');
  });
});

describe('random tensors', () => {
  test('a seed gives the same numbers again, and the stream goes on', () => {
    manualSeed(3);
    const first = rand([4]).toArray();
    const second = rand([4]).toArray();
    manualSeed(3);
    expect(rand([4]).toArray()).toEqual(first);
    expect(second).not.toEqual(first);
  });

  test('means, ranges and orders', () => {
    manualSeed(1);
    const n = 20_000;
    const u = rand([n]);
    // The standard error of the mean is sqrt(1 / 12 / n) = 0.002; of the normal's 0.007 and of its variance 0.01.
    expect(Math.abs(u.mean().item() - 0.5)).toBeLessThan(0.01);
    expect(u.amin().item()).toBeGreaterThanOrEqual(0);
    expect(u.amax().item()).toBeLessThan(1);
    const z = randn([n]);
    expect(Math.abs(z.mean().item())).toBeLessThan(0.035);
    expect(Math.abs(z.var().item() - 1)).toBeLessThan(0.05);
    const k = randint(-2, 3, [n]);
    expect(k.dtype).toBe('i64');
    expect([k.amin().item(), k.amax().item()]).toEqual([-2, 2]);
    expect(randperm(50).sort().values.toArray() as number[]).toEqual(arange(50).toArray());
  });
});

test('an empty dim is chunked into as many empty parts, and has a glu (as in torch 1.13)', () => {
  expect(
    zeros([3, 0])
      .chunk(2, 1)
      .map(part => [...part.shape]),
  ).toEqual([
    [3, 0],
    [3, 0],
  ]);
  expect([...F.glu(zeros([3, 0]), 1).shape]).toEqual([3, 0]);
});
