/**
 * Indices that no sane program has: every operation that reads or writes where a value says either refuses with one
 * sentence or stays inside. On machine code between guard pages as well (project x86-guard), where one step outside
 * ends the process.
 */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import { compile, F, Parameter, Tensor, zeros } from '../../src/index.ts';
import { Embedding } from '../../src/nn/index.ts';

const ROWS = 7;
const table = Tensor.from(Array.from({ length: ROWS * 3 }, (_, i) => i), { shape: [ROWS, 3], dtype: 'f32' }); // biome-ignore format: a table

const HOSTILE: readonly (readonly [string, bigint])[] = [
  ['just past the end', BigInt(ROWS)],
  ['just before the start', BigInt(-ROWS - 1)],
  ['2^31', 2n ** 31n],
  ['-2^31', -(2n ** 31n)],
  ['2^32, whose low half is 0', 2n ** 32n],
  ['2^32 + 3', 2n ** 32n + 3n],
  ['2^53', 2n ** 53n],
  ['the largest', 2n ** 63n - 1n],
  ['the smallest', -(2n ** 63n)],
];

/** Each takes three indices along the table's rows, one of which is hostile. */
const OPERATIONS: { readonly [name: string]: (index: Tensor) => Tensor } = {
  indexSelect: index => table.indexSelect(0, index),
  gather: index => table.gather(0, index.unsqueeze(1).expand([3, 3])),
  take: index => table.select(1, 0).take(index),
  embedding: index => F.embedding(index, table),
  embeddingBag: index => F.embeddingBag(index.reshape([1, 3]), table),
  indexAdd: index => table.indexAdd(0, index, zeros([3, 3]).add(1)),
  indexCopy: index => table.indexCopy(0, index, zeros([3, 3])),
  indexFill: index => table.indexFill(0, index, 5),
  scatter: index => table.scatter(0, index.unsqueeze(1).expand([3, 3]), zeros([3, 3])),
  scatterAdd: index => table.scatterAdd(0, index.unsqueeze(1).expand([3, 3]), zeros([3, 3]).add(1)),
  nllLoss: index => F.nllLoss(zeros([3, ROWS]), index),
  crossEntropy: index => F.crossEntropy(zeros([3, ROWS]), index),
  'the gradient of a gather': index => {
    const p = new Parameter(table);
    p.indexSelect(0, index).sum().backward();
    return p.grad!;
  },
};

describe.each(HOSTILE)('%s', (_, index) => {
  it.each(Object.entries(OPERATIONS))('%s', (name, operation) => {
    const indices = Tensor.from(BigInt64Array.of(1n, index, 6n));
    expect(() => operation(indices).data(), name).toThrow(/out of range/);
    expect(() => compile(operation)(indices).data(), `${name}, compiled`).toThrow(/out of range/);
  });
});

describe('conversions', () => {
  // NaN converts to 0 and infinities to the extremes; an index made of them is checked as any other.
  const from = (values: readonly number[]): Tensor => Tensor.from(Float32Array.from(values)).long();
  it('NaN is row 0', () => {
    expect([...table.indexSelect(0, from([Number.NaN, 2, 6])).data()]).toEqual([0, 1, 2, 6, 7, 8, 18, 19, 20]);
  });
  it.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30, -1e30, 7, -7.5, 3e9])('%s is refused', value => {
    expect(() => table.indexSelect(0, from([0, value, 1])).data()).toThrow(/out of range/);
  });
});

it('an update that fails leaves the table as it was', () => {
  const p = new Embedding(ROWS, 3);
  const before = [...p.weight.data()];
  const step = compile((index: Tensor) => {
    const result = p.forward(index).sum();
    p.weight.assign(p.weight.mul(2));
    return result;
  });
  expect(() => step(Tensor.from(BigInt64Array.of(1n, 2n ** 40n)))).toThrow(/out of range/);
  expect([...p.weight.data()]).toEqual(before);
});

it('nor does one whose failure lies in what is prepared once, of tensors that the function closes over', () => {
  const p = new Parameter(zeros([400]).add(1));
  const index = Tensor.from(BigInt64Array.of(1n, 99n));
  const step = compile((x: Tensor) => {
    const result = x.mul(p).sum().add(table.indexSelect(0, index).sin().sum());
    p.assign(p.mul(2));
    return result;
  });
  for (let i = 0; i < 3; i++) expect(() => step(zeros([400]))).toThrow(/index 99 is out of range/);
  expect(p.data()[0]).toBe(1);
});

describe('offsets and lengths', () => {
  const i64 = (...values: number[]): Tensor => Tensor.from(values, { dtype: 'i64' });
  it.each<[string, Tensor, string]>([
    ['begin behind the first', i64(1, 2), 'embeddingBag: offsets: expected the first to be 0, got 1'],
    ['begin before the first', i64(-1, 2), 'embeddingBag: offsets: expected the first to be 0, got 1'],
    ['reach beyond the last', i64(0, 5), 'embeddingBag: offsets: expected at most 3, the last is 2 more'],
  ])('bags that %s', (_, offsets, sentence) => {
    expect(() => F.embeddingBag(i64(0, 1, 2), table, { offsets }).data()).toThrow(sentence);
  });
  it('bags that are empty, also the last', () => {
    const bags = F.embeddingBag(i64(0, 1, 2), table, { offsets: i64(0, 0, 3), mode: 'sum' });
    expect(bags.toArray()).toEqual([
      [0, 0, 0],
      [9, 12, 15],
      [0, 0, 0],
    ]);
    expect(F.embeddingBag(i64(), table, { offsets: i64() }).shape).toEqual([0, 3]);
  });
  it('more time steps than there are', () => {
    const scores = zeros([5, 1, 4]).logSoftmax(2);
    expect(() => F.ctcLoss(scores, i64(1, 2).reshape([1, 2]), [9], [2]).data()).toThrow(
      'ctcLoss: inputLengths: 9 came, logProbs has 5 time steps',
    );
  });
});

describe('windows of odd geometry', () => {
  const x = (h: number, w: number): Tensor => Tensor.from(Array.from({ length: h * w }, (_, i) => (i % 7) - 3), { shape: [1, 1, h, w], dtype: 'f32' }); // biome-ignore format: a table
  /** Element by element. */
  const pooled = (h: number, w: number, k: number, stride: number, padding: number, dilation: number): number[] => {
    const out: number[] = [];
    const count = (n: number): number => Math.floor((n + 2 * padding - dilation * (k - 1) - 1) / stride) + 1;
    for (let i = 0; i < count(h); i++)
      for (let j = 0; j < count(w); j++) {
        let most = Number.NEGATIVE_INFINITY;
        for (let a = 0; a < k; a++)
          for (let b = 0; b < k; b++) {
            const [y, z] = [i * stride - padding + a * dilation, j * stride - padding + b * dilation];
            if (y >= 0 && y < h && z >= 0 && z < w) most = Math.max(most, ((y * w + z) % 7) - 3);
          }
        out.push(most);
      }
    return out;
  };
  it.each([
    [1, 1, 1, 1, 0, 1],
    [1, 65, 1, 3, 0, 1],
    [5, 17, 3, 2, 1, 1],
    [7, 33, 5, 4, 2, 1],
    [13, 13, 3, 1, 1, 4],
    [9, 31, 2, 5, 1, 3],
    [2, 129, 2, 1, 0, 1],
  ])('max over [%i, %i], kernel %i, stride %i, padding %i, dilation %i', (h, w, k, stride, padding, dilation) => {
    expect([...F.maxPool2d(x(h, w), k, { stride, padding, dilation }).data()]).toEqual(pooled(h, w, k, stride, padding, dilation)); // biome-ignore format: short
    const unfolded = F.unfold(x(h, w), k, { stride, padding, dilation });
    const back = F.fold(unfolded, [h, w], k, { stride, padding, dilation });
    const ones = F.fold(F.unfold(x(h, w).mul(0).add(1), k, { stride, padding, dilation }), [h, w], k, { stride, padding, dilation }); // biome-ignore format: short
    expect([...back.data()]).toEqual([...x(h, w).mul(ones).add(0).data()]);
  });
});
