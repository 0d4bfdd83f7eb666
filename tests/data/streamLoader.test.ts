import { expect, test } from 'vitest';
import { StreamLoader } from '../../src/data/index.ts';

const stream = {
  *[Symbol.iterator]() {
    for (let i = 0; i < 7; i++) yield i;
  },
};
const collate = (samples: number[]): number[] => samples;

test('batches come in the order of the stream, the last one shorter or dropped', () => {
  expect([...new StreamLoader(stream, { batchSize: 3, collateFn: collate })]).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
  expect([...new StreamLoader(stream, { batchSize: 3, dropLast: true, collateFn: collate })]).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
});

test('resumes behind the batches that were handed out; the loop after that is whole', () => {
  const first = new StreamLoader(stream, { batchSize: 2, collateFn: collate });
  const iterator = first[Symbol.iterator]();
  iterator.next();
  iterator.next();
  const resumed = new StreamLoader(stream, { batchSize: 2, collateFn: collate });
  resumed.loadState(JSON.parse(JSON.stringify(first.state())));
  expect([[...resumed], [...resumed].length]).toEqual([[[4, 5], [6]], 4]);
  expect(() => resumed.loadState({ position: -1 })).toThrow('position is -1');
  expect(() => new StreamLoader(stream, { batchSize: 0 })).toThrow('batchSize is 0');
});
