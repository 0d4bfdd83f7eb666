/**
 * Readers pause while a program computes on all processors, and only where they have something ready; what is read does not depend on it.
 */
import { describe, expect, it } from 'vitest';
import { availableProcessors } from '../../../src/compiler/processors.ts';
import { BatchReader, criteoFeatures, Features } from '../../../src/recsys/index.ts';
import {
  beginTurns,
  blockMade,
  blockTaken,
  endTurns,
  followTurns,
  giveWay,
  takeTurn,
} from '../../../src/recsys/turns.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const ALL = availableProcessors();
const folder = temporaryFolder();

describe('turns', () => {
  it('pause readers that have a block ready, for as long as a program takes all processors', () => {
    const turns = beginTurns();
    const paused = (threads: number): boolean => takeTurn(threads, () => turns[0] === 1);
    followTurns(turns);
    expect(paused(ALL)).toBe(false);
    blockMade();
    expect(paused(ALL)).toBe(true);
    expect(paused(ALL - 1)).toBe(false);
    expect(() =>
      takeTurn(ALL, () => {
        throw new Error('an index is out of range');
      }),
    ).toThrow('an index');
    // Does not sleep: nothing is computed.
    giveWay();
    blockTaken(turns);
    expect(paused(ALL)).toBe(false);
    blockMade();
    endTurns(turns);
    expect(paused(ALL)).toBe(false);
  });
});

it('threads that pause again and again bring every line once, in the order of their files', async () => {
  const lines = Array.from(
    { length: 30_000 },
    (_, i) => `${i % 2}\t${i % 1000}${'\t'.repeat(12)}\ta${i}${'\t'.repeat(25)}\n`,
  );
  const file = folder.write('lines.tsv', lines.join(''));
  const features = new Features(criteoFeatures());
  const read = async (threads: number): Promise<number[]> => {
    const words: number[] = [];
    const reader = new BatchReader([file], { format: { type: 'criteo' }, features, batchSize: 1000, threads });
    for await (const { lo } of reader) {
      words.push(...lo);
      takeTurn(ALL, () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3));
    }
    return words;
  };
  const expected = await read(0);
  expect(expected.length).toBe(30_000 * 26);
  expect(await read(1)).toEqual(expected);
});
