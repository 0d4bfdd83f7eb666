/** The examples on real data: networks beat linear models, losses fall. One seed each, where ../shared has the data. */
import { describe, expect } from 'vitest';
import { adult } from '../../examples/recsys/adult.ts';
import { movies } from '../../examples/recsys/movies.ts';
import { amazon, census, samples } from '../../examples/recsys/samples.ts';
import { testWithData } from '../support/sharedData.ts';

const valuesOf = (text: string): number[] => text.split(', ').map(Number);

describe('recommendation on public data', () => {
  for (const [name, example, floor] of [
    ['adult', adult, 0.927],
    ['movies', movies, 0.79],
  ] as const)
    testWithData(`${name}: DeepFM and DCN-V2 are above logistic regression and FM`, 'recsys', async () => {
      const [lr, fm, ...deep] = (await example([1])).map(({ value }) => Number(value));
      expect(deep.length).toBe(2);
      for (const area of deep) expect(area).toBeGreaterThan(Math.max(lr!, fm!, floor));
    });

  testWithData('MMoE learns both tasks of the census sample', 'recsys', async () => {
    for (const { value } of await census([1])) expect(Number(value)).toBeGreaterThan(0.6);
  });

  testWithData('DIN learns the Amazon sample', 'recsys', async () => {
    const [known, unseen] = (await amazon([1])).map(({ value }) => Number(value));
    expect(known).toBeGreaterThan(0.95);
    expect(unseen).toBeGreaterThan(0.4);
  });

  testWithData('every format sample is read and trained', 'recsys', async () => {
    for (const { value } of await samples()) {
      const [first, last] = valuesOf(value) as [number, number];
      expect(last).toBeLessThan(first);
    }
  });
});
