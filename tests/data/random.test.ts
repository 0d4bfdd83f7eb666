import { describe, expect, test } from 'vitest';
import { philox, RandomStream } from '../../src/data/random.ts';

// Known answers of Random123 (kat_vectors, philox4x32 10 rounds).
test('Philox 4x32-10 gives the published words', () => {
  const words = (counter: readonly [number, number, number, number], key0: number, key1: number): string[] => {
    const out = new Uint32Array(4);
    philox(counter, key0, key1, out);
    return Array.from(out, w => w.toString(16).padStart(8, '0'));
  };
  expect(words([0, 0, 0, 0], 0, 0)).toEqual(['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']);
  const ones = 0xffffffff;
  expect(words([ones, ones, ones, ones], ones, ones)).toEqual(['408f276d', '41c83b0e', 'a20bc7c6', '6d5451fd']);
  expect(words([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0xa4093822, 0x299f31d0)).toEqual([
    'd16cfe09',
    '94fdcceb',
    '5001e420',
    '24126ea1',
  ]);
});

describe('RandomStream', () => {
  const draw = (stream: RandomStream, n: number): number[] => Array.from({ length: n }, () => stream.uniform());

  test('is the same for the same names and differs for others', () => {
    expect(draw(new RandomStream(7, 1, 2), 9)).toEqual(draw(new RandomStream(7, 1, 2), 9));
    const others = [
      new RandomStream(8, 1, 2),
      new RandomStream(7, 2, 2),
      new RandomStream(7, 1, 3),
      new RandomStream(7 + 2 ** 32, 1, 2),
    ];
    for (const other of others) expect(draw(other, 4)).not.toEqual(draw(new RandomStream(7, 1, 2), 4));
  });

  test('uniform and normal have their moments', () => {
    const stream = new RandomStream(1);
    const n = 40_000;
    const uniform = draw(stream, n);
    // Standard error of the mean: sqrt(1 / 12 / n) = 0.0014.
    expect(Math.abs(uniform.reduce((a, x) => a + x) / n - 0.5)).toBeLessThan(0.007);
    const normal = Array.from({ length: n }, () => stream.normal());
    expect(Math.abs(normal.reduce((a, x) => a + x) / n)).toBeLessThan(0.025);
    expect(Math.abs(normal.reduce((a, x) => a + x * x) / n - 1)).toBeLessThan(0.036);
  });

  test('permutations are permutations, and every place is equally likely', () => {
    const counts = new Array(5).fill(0);
    for (let seed = 0; seed < 5000; seed++) {
      const order = new RandomStream(seed).permutation(5);
      expect([...order].sort()).toEqual([0, 1, 2, 3, 4]);
      counts[order.indexOf(0)]++;
    }
    // Five standard deviations of a binomial(5000, 0.2).
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(142);
  });
});
