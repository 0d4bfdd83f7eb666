/**
 * Indexing with Python's meaning. The expected values are NumPy's of the same expressions over np.arange(24).reshape(2,
 * 3, 4), worked out by hand.
 */
import { describe, expect, test } from 'vitest';
import '../support/backend.ts';
import { arange, cat, F, ones, Parameter, type Tensor, tensor, zeros } from '../../src/index.ts';

const x = arange(24).reshape([2, 3, 4]);

describe('index', () => {
  test('numbers, slices, new dims, dots', () => {
    expect(x.index([1, -1, 0]).item()).toBe(20);
    expect(x.index([0, '1:', '::2']).toArray()).toEqual([
      [4, 6],
      [8, 10],
    ]);
    expect(
      x
        .index(['...', { start: 3, step: -2 }])
        .select(0, 0)
        .select(0, 0)
        .toArray(),
    ).toEqual([3, 1]);
    expect(x.index([null, 0, '...', null]).shape).toEqual([1, 3, 4, 1]);
    expect(x.index(null, 0, '...', null).shape).toEqual([1, 3, 4, 1]);
    expect(x.index(0, -1).toArray()).toEqual(x.index([0, -1]).toArray());
    expect(x.index(x.gt(20)).toArray()).toEqual([21, 22, 23]);
    expect(x.index({ start: 1 }).toArray()).toEqual(x.index(['1:']).toArray());
    expect(x.index([':', 5 - 4, '::-1']).toArray()).toEqual([
      [7, 6, 5, 4],
      [19, 18, 17, 16],
    ]);
  });

  test('integer tensors, adjacent and apart', () => {
    const [i, j] = [tensor([0n, -1n]), tensor([[1n], [2n]])];
    // x[:, i, j]: the index dims stay in place.
    expect(x.index([':', i, j]).toArray()).toEqual([
      [
        [1, 9],
        [2, 10],
      ],
      [
        [13, 21],
        [14, 22],
      ],
    ]);
    // x[i, :, 1-d]: a slice between them brings the index dims to the front.
    expect(x.index([i, ':', tensor([0n, 3n])]).toArray()).toEqual([
      [0, 4, 8],
      [15, 19, 23],
    ]);
  });

  test('masks', () => {
    expect(x.index([x.gt(20)]).toArray()).toEqual([21, 22, 23]);
    expect(x.index([tensor([false, true]), 0]).toArray()).toEqual([[12, 13, 14, 15]]);
    expect(x.maskedSelect(x.remainder(10).eq(0)).toArray()).toEqual([0, 10, 20]);
    expect(x.eq(13).nonzero().toArray()).toEqual([[1, 0, 1]]);
  });

  test('indexPut replaces or adds', () => {
    const z = zeros([2, 3]);
    expect(z.indexPut([0, ':'], tensor([1, 2, 3])).toArray()).toEqual([
      [1, 2, 3],
      [0, 0, 0],
    ]);
    const twice = tensor([1n, 1n, 0n]);
    expect(z.indexPut([1, twice], 1, { accumulate: true }).toArray()).toEqual([
      [0, 0, 0],
      [1, 2, 0],
    ]);
  });
});

describe('refused at once', () => {
  test.each([
    [() => x.index([2]), 'index: index 2 is out of range for 2 elements'],
    [() => x.index([0, 0, 0, 0]), 'index: 4 indices for a tensor of 3 dims, shape [2, 3, 4]'],
    [() => x.index(['1-2']), "index: index: expected '...' or a slice such as '1:5:2', got '1-2'"],
    [() => x.index([tensor([true, false, true])]), 'index: mask of shape [3] does not match dims 0... of [2, 3, 4]'],
    [() => x.index([ones([2])]), 'index: index: expected integers or bool, got a tensor f32 [2]'],
    [() => x.select(1, 3), 'select: index 3 is out of range for 3 elements'],
    [() => x.gather(0, tensor([0n])), 'gather: index: expected as many dims as the input [2, 3, 4], got [1]'],
    [() => x.narrow(0, 1, 2), 'narrow: 2 elements from 1 exceed the 2 elements of dim 0'],
  ])('%#', (make, message) => {
    expect(make).toThrow(message);
  });
});

describe('indices of the data are checked when the program runs', () => {
  const five = arange(5, { dtype: 'f32' });
  test.each([
    [() => five.index([tensor([7n])]), 'index: index 7 is out of range for 5 elements'],
    [() => five.index([tensor([-6n])]), 'index: index -6 is out of range for 5 elements'],
    [() => five.gather(0, tensor([-1n])), 'gather: index -1 is out of range for 5 elements'],
    [() => five.indexSelect(0, tensor([5n])), 'indexSelect: index 5 is out of range for 5 elements'],
    [() => five.scatter(0, tensor([9n]), 1), 'scatter: index 9 is out of range for 5 elements'],
    [() => F.embedding(tensor([5n]), ones([5, 2])), 'embedding: index 5 is out of range for 5 elements'],
    [() => F.crossEntropy(ones([1, 3]), tensor([3n])), 'crossEntropy: index 3 is out of range for 3 elements'],
    [() => F.nllLoss(ones([1, 3]), tensor([-1n])), 'nllLoss: index -1 is out of range for 3 elements'],
    [() => F.oneHot(tensor([4n]), 3), 'oneHot: index 4 is out of range for 3 elements'],
  ])('%#', (make, message) => {
    expect(() => make().data()).toThrow(message);
  });
});

test('the gradient of a repeated index adds up', () => {
  const p = new Parameter(ones([3]));
  p.index([tensor([0n, 2n, 2n])])
    .mul(tensor([1, 10, 100]))
    .sum()
    .backward();
  expect(p.grad!.toArray()).toEqual([1, 0, 110]);
});

test('embedding gives the padding row no gradient', () => {
  const weight = new Parameter(ones([3, 2]));
  F.embedding(tensor([0n, 1n, 1n]), weight, { paddingIdx: 0 })
    .sum()
    .backward();
  expect(weight.grad!.toArray()).toEqual([
    [0, 0],
    [2, 2],
    [0, 0],
  ]);
});

test('indices that are computed may be behind a cat or a pad, where those of other positions would be outside', () => {
  const table = arange(31).mul(2).reshape([1, 31]).eval();
  const ends = tensor([7, 8, 9, 10, 11]);
  const twice = Array.from({ length: 31 }, (_, i) => 2 * i);
  const joined = (x: Tensor): number[] => cat([ends, x.add(0)], 0).toArray() as number[];
  expect(joined(table.kthvalue(1, 0).values)).toEqual([7, 8, 9, 10, 11, ...twice]);
  expect(joined(table.flatten().take(arange(10).mul(3)))).toEqual([7, 8, 9, 10, 11, ...twice.filter((_, i) => i < 30 && i % 3 === 0)]); // biome-ignore format: one line
  expect(F.pad(table.flatten().take(arange(10).mul(3).add(1)), [2, 1]).toArray()).toEqual([0, 0, ...twice.filter(n => n % 6 === 2), 0]); // biome-ignore format: one line
});

test('sums of halves by index are rounded once: 1000 ones are 1000, not the 256 or 2048 where one more is lost', () => {
  for (const dtype of ['bf16', 'f16'] as const) {
    const updates = ones([3000], { dtype });
    const index = zeros([3000], { dtype: 'i64' });
    // 3000 is 3008 in 8 bits.
    expect(zeros([2], { dtype }).scatterAdd(0, index, updates).toArray()).toEqual([dtype === 'bf16' ? 3008 : 3000, 0]);
    const table = new Parameter(ones([2, 2], { dtype }));
    F.embedding(index, table).sum().backward();
    expect(table.grad!.toArray()).toEqual([new Array(2).fill(dtype === 'bf16' ? 3008 : 3000), [0, 0]]);
    expect(updates.histc({ bins: 1, min: 0, max: 2 }).item()).toBe(dtype === 'bf16' ? 3008 : 3000);
  }
});
