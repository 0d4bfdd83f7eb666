import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  arrayDataset,
  ConcatDataset,
  DataLoader,
  type Dataset,
  MappedDataset,
  moduleDataset,
  randomSplit,
  TensorDataset,
} from '../../src/data/index.ts';
import { Tensor } from '../../src/tensor/index.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
const numbers = (n: number): Dataset<number> => arrayDataset(Array.from({ length: n }, (_, i) => i));
const asArrays = { collateFn: (samples: number[]) => samples };

describe('DataLoader', () => {
  test('an epoch hands out every sample once, in batches, in the same order for the same seed', () => {
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        fc.boolean(),
        fc.nat(99),
        (n, batchSize, shuffle, dropLast, seed) => {
          const make = (): DataLoader<number, number[]> =>
            new DataLoader(numbers(n), { batchSize, shuffle, dropLast, seed, ...asArrays });
          const loader = make();
          const batches = [...loader];
          expect(batches).toHaveLength(loader.length);
          expect(loader.length).toBe(dropLast ? Math.floor(n / batchSize) : Math.ceil(n / batchSize));
          const full = dropLast ? batches : batches.slice(0, -1);
          for (const batch of full) expect(batch).toHaveLength(batchSize);
          const seen = batches.flat();
          expect(new Set(seen).size).toBe(seen.length);
          expect(seen).toHaveLength(dropLast ? loader.length * batchSize : n);
          if (!shuffle) expect(seen).toEqual(seen.map((_, i) => i));
          expect([...make()]).toEqual(batches);
        },
      ),
    );
  });

  test('each epoch has an order of its own', () => {
    const loader = new DataLoader(numbers(50), { batchSize: 50, shuffle: true, seed: 1, ...asArrays });
    const [first] = [...loader];
    const [second] = [...loader];
    expect(second).not.toEqual(first);
    expect([...second!].sort()).toEqual([...first!].sort());
  });

  test('resumes in the middle of an epoch with the same batches', () => {
    const make = (): DataLoader<number, number[]> =>
      new DataLoader(numbers(20), { batchSize: 3, shuffle: true, seed: 5, ...asArrays });
    const whole = make();
    const expected = [[...whole], [...whole], [...whole]];
    const first = make();
    [...first];
    const iterator = first[Symbol.iterator]();
    iterator.next();
    iterator.next();
    const state = JSON.parse(JSON.stringify(first.state()));
    expect(state).toEqual({ seed: 5, epoch: 1, position: 2 });
    const resumed = make();
    resumed.loadState(state);
    expect([[...resumed], [...resumed]]).toEqual([expected[1]!.slice(2), expected[2]]);
    expect(() => make().loadState({ seed: 5, epoch: 0, position: 8 })).toThrow('does not fit a loader of 7 batches');
  });

  test('a loop left early is followed by the next epoch', () => {
    const loader = new DataLoader(numbers(6), { batchSize: 2, shuffle: true, ...asArrays });
    for (const _ of loader) break;
    const second = [...loader];
    const whole = new DataLoader(numbers(6), { batchSize: 2, shuffle: true, ...asArrays });
    [...whole];
    expect(second).toEqual([...whole]);
  });

  test('asynchronous datasets need `for await`, which keeps the order', async () => {
    const slow: Dataset<number> = {
      length: 10,
      get: index => new Promise(resolve => setTimeout(() => resolve(index), (index * 7) % 5)),
    };
    const loader = new DataLoader(slow, { batchSize: 3, ...asArrays });
    expect(() => [...loader]).toThrow('reads asynchronously; use `for await`');
    const seen: number[][] = [];
    for await (const batch of new DataLoader(slow, { batchSize: 3, prefetchFactor: 3, ...asArrays })) seen.push(batch);
    expect(seen).toEqual([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]);
  });

  test('a failing sample rejects the loop at its batch', async () => {
    const failing: Dataset<number> = {
      length: 4,
      get: async index => {
        if (index === 2) throw new Error('sample 2 is damaged');
        return index;
      },
    };
    const seen: number[] = [];
    await expect(async () => {
      for await (const batch of new DataLoader(failing, asArrays)) seen.push(...batch);
    }).rejects.toThrow('sample 2 is damaged');
    expect(seen).toEqual([0, 1]);
  });

  test('options out of range are named', () => {
    expect(() => new DataLoader(numbers(1), { batchSize: 0 })).toThrow(
      'batchSize is 0, expected an integer of at least 1',
    );
    expect(() => new DataLoader(numbers(1), { numWorkers: 1 })).toThrow('needs a dataset made by moduleDataset');
  });
});

describe('workers', () => {
  const module = (): string =>
    pathToFileURL(
      folder.write(
        'squares.mjs',
        `import { threadId } from 'node:worker_threads';
         export default ({ n, bad }) => ({
           length: n,
           get: (i, epoch) => {
             if (i === bad) throw new Error('no square of ' + i);
             return { square: i * i, epoch, row: Float32Array.of(i, -i), inWorker: threadId !== 0 };
           },
         });`,
      ),
    ).href;

  test('read every batch, in order, in threads', async () => {
    const dataset = await moduleDataset<{ square: number }>(module(), { n: 23 });
    const loader = new DataLoader(dataset, { batchSize: 4, numWorkers: 2, shuffle: true, seed: 2 });
    const here = new DataLoader(dataset, { batchSize: 4, shuffle: true, seed: 2 });
    type Batch = Record<'square' | 'epoch' | 'row' | 'inWorker', Tensor>;
    for (const epoch of [0, 1]) {
      const expected = [...here] as unknown as Batch[];
      let k = 0;
      for await (const batch of loader as unknown as AsyncIterable<Batch>) {
        expect(batch.square.toArray()).toEqual(expected[k]!.square.toArray());
        expect(batch.row.toArray()).toEqual(expected[k]!.row.toArray());
        expect([...batch.epoch.data()].every(value => value === epoch)).toBe(true);
        expect(batch.inWorker.data().every(Boolean)).toBe(true);
        k++;
      }
      expect(k).toBe(loader.length);
    }
  });

  test('report what failed', async () => {
    const dataset = await moduleDataset(module(), { n: 5, bad: 3 });
    await expect(async () => {
      for await (const _ of new DataLoader(dataset, { numWorkers: 1 }));
    }).rejects.toThrow('DataLoader: reading in a worker failed: no square of 3');
    const empty = pathToFileURL(folder.write('empty.mjs', 'export const x = 1;')).href;
    await expect(moduleDataset(empty)).rejects.toThrow('has no function as its default export');
  });
});

describe('datasets', () => {
  test('TensorDataset gives rows and batches', () => {
    const x = Tensor.from([[1, 2], [3, 4], [5, 6]]); // biome-ignore format: a matrix
    const y = Tensor.from(BigInt64Array.of(7n, 8n, 9n));
    const dataset = new TensorDataset(x, y);
    expect(dataset.get(1).map(t => t.toArray())).toEqual([[3, 4], 8]);
    const batches = [...new DataLoader(dataset, { batchSize: 2 })] as unknown as Tensor[][];
    expect(batches.map(batch => batch.map(t => t.toArray()))).toEqual([
      [[[1, 2], [3, 4]], [7, 8]],
      [[[5, 6]], [9]],
    ]); // biome-ignore format: matrices
    expect(batches[0]!.map(t => t.dtype)).toEqual(['f32', 'i64']);
    expect(() => new TensorDataset(x, Tensor.from([1]))).toThrow('shapes [3, 2] and [1] differ in their first size');
  });

  test('random splits are disjoint, complete and seeded', () => {
    const parts = randomSplit(numbers(10), [0.75, 0.25], { seed: 4 });
    expect(parts.map(part => part.length)).toEqual([8, 2]);
    const all = parts.flatMap(part => Array.from({ length: part.length }, (_, i) => part.get(i, 0) as number));
    expect([...all].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(
      randomSplit(numbers(10), [8, 2], { seed: 4 }).flatMap(part =>
        Array.from({ length: part.length }, (_, i) => part.get(i, 0)),
      ),
    ).toEqual(all);
    expect(() => randomSplit(numbers(10), [3, 3])).toThrow('add up to 6, expected 10 samples or fractions of 1');
  });

  test('a subset of a tensor dataset keeps its batches', () => {
    const dataset = new TensorDataset(Tensor.from([10, 11, 12, 13]));
    const [, tail] = randomSplit(dataset, [2, 2], { seed: 1 });
    const [batch] = [...new DataLoader(tail!, { batchSize: 2 })] as unknown as Tensor[][];
    expect(batch![0]!.toArray()).toEqual([0, 1].map(i => (tail!.get(i, 0) as readonly Tensor[])[0]!.item()));
  });

  test('concatenation counts through, and mapping draws from (seed, epoch, index)', () => {
    const both = new ConcatDataset([numbers(2), numbers(3)]);
    expect(Array.from({ length: both.length }, (_, i) => both.get(i, 0))).toEqual([0, 1, 0, 1, 2]);
    expect(() => both.get(5, 0)).toThrow('index 5 is out of range for 5 samples');
    const noisy = new MappedDataset(numbers(3), (x, random) => x + random.uniform(), { seed: 3 });
    expect(noisy.get(2, 0)).toBe(noisy.get(2, 0));
    expect(noisy.get(2, 1)).not.toBe(noisy.get(2, 0));
  });

  test('collate refuses what does not stack', () => {
    const collated = (samples: unknown[]): unknown =>
      [...new DataLoader(arrayDataset(samples), { batchSize: samples.length })][0];
    expect(() => collated([Float32Array.of(1), Float32Array.of(1, 2)])).toThrow('sample 1 has 2 elements, the first 1');
    expect(() => collated([null])).toThrow('samples are null');
    expect(collated(['a', 'b'])).toEqual(['a', 'b']);
    expect((collated([true, false]) as Tensor).dtype).toBe('bool');
    expect((collated([1n, 2n]) as Tensor).dtype).toBe('i64');
  });
});
