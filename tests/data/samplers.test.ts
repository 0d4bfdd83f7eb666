import { describe, expect, test } from 'vitest';
import {
  arrayDataset,
  DataLoader,
  type Sampler,
  SubsetRandomSampler,
  WeightedRandomSampler,
} from '../../src/data/index.ts';

const counts = (indices: ArrayLike<number>, n: number): number[] => {
  const found = new Array<number>(n).fill(0);
  for (const index of Array.from(indices)) found[index]!++;
  return found;
};

describe('samplers', () => {
  test('with replacement, samples come in proportion to their weights', () => {
    const weights = [1, 0, 3, 6];
    const found = counts(new WeightedRandomSampler(weights, 20_000).indices(1, 0), 4);
    // A count of n draws with probability p has the standard deviation sqrt(n p (1 - p)), at most 71 here.
    for (const [i, n] of found.entries()) expect(Math.abs(n - (20_000 * weights[i]!) / 10)).toBeLessThan(300);
    expect(found[1]).toBe(0);
  });

  test('without replacement, each comes once, the heaviest first most often', () => {
    const sampler = new WeightedRandomSampler([1, 0, 3, 6], 3, { replacement: false });
    const firsts = new Array<number>(4).fill(0);
    for (let epoch = 0; epoch < 2000; epoch++) {
      const order = sampler.indices(1, epoch);
      expect([...order].sort()).toEqual([0, 2, 3]);
      firsts[order[0]!]!++;
    }
    // The first draw has the probabilities of the weights: 200, 600 and 1200 of 2000, standard deviation at most 22.
    expect(Math.abs(firsts[0]! - 200)).toBeLessThan(80);
    expect(Math.abs(firsts[3]! - 1200)).toBeLessThan(100);
  });

  test('a loader takes what its sampler says, and resumes in the middle of an epoch', () => {
    const dataset = arrayDataset(Array.from({ length: 10 }, (_, i) => i));
    const options = {
      batchSize: 2,
      seed: 3,
      sampler: new SubsetRandomSampler([1, 3, 5, 7, 9]),
      collateFn: (x: number[]) => x,
    };
    const loader = new DataLoader(dataset, options);
    expect(loader.length).toBe(3);
    const [first, second] = [[...loader], [...loader]];
    expect(first.flat().sort()).toEqual([1, 3, 5, 7, 9]);
    expect(first).not.toEqual(second);
    const resumed = new DataLoader(dataset, options);
    resumed.loadState({ seed: 3, epoch: 1, position: 1 });
    expect([...resumed]).toEqual(second.slice(1));
  });

  test.each([
    [
      () => new WeightedRandomSampler([1, -1]),
      'WeightedRandomSampler: weights[1]: expected a number of at least 0, got -1',
    ],
    [() => new WeightedRandomSampler([0, 0]), 'WeightedRandomSampler: 0 weights are above 0, expected at least 1'],
    [
      () => new WeightedRandomSampler([1, 0], 2, { replacement: false }),
      'WeightedRandomSampler: 1 weights are above 0, expected at least 2',
    ],
    [
      () => new DataLoader(arrayDataset([1]), { shuffle: true, sampler: new SubsetRandomSampler([0]) }),
      'DataLoader: shuffle and sampler both came: a sampler decides the order itself',
    ],
    [
      () => new DataLoader(arrayDataset([1]), { sampler: [0] as unknown as Sampler }),
      'DataLoader: sampler: expected a Sampler, such as new SubsetRandomSampler(indices)',
    ],
    [
      () => [...new DataLoader(arrayDataset([1]), { sampler: new SubsetRandomSampler([1]) })],
      'DataLoader: sampler: index 1 came for a dataset of 1 samples',
    ],
  ])('bad input %#', (run, sentence) => {
    expect(run).toThrow(sentence);
  });
});
