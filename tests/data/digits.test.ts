import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { DigitDataset } from '../../src/data/digitDataset.ts';
import { generateDigits } from '../../src/data/digits.ts';
import { randomAffine } from '../../src/data/transforms/index.ts';

test('digits are balanced, inked and the same for the same seed', () => {
  const digits = generateDigits({ count: 100, seed: 3 });
  expect(digits.images).toHaveLength(100 * 28 * 28);
  const counts = new Array(10).fill(0);
  for (const label of digits.labels) counts[label]++;
  expect(counts).toEqual(new Array(10).fill(10));
  const ink = digits.images.reduce((a, x) => a + x, 0) / digits.images.length / 255;
  expect(ink).toBeGreaterThan(0.05);
  expect(ink).toBeLessThan(0.3);
  expect(generateDigits({ count: 100, seed: 3 }).images).toEqual(digits.images);
  expect(generateDigits({ count: 100, seed: 4 }).images).not.toEqual(digits.images);
});

test('another machine draws the same images', () => {
  const { images, labels } = generateDigits({ count: 20, seed: 1 });
  expect(createHash('sha256').update(images).update(labels).digest('hex').slice(0, 16)).toBe('4cbdf822274a7b66');
});

test('nearest neighbours on half the pixels recognise them, so a class is a shape', () => {
  const train = generateDigits({ count: 600, seed: 1 });
  const tests = generateDigits({ count: 60, seed: 2 });
  let right = 0;
  for (let t = 0; t < 60; t++) {
    let best = Number.POSITIVE_INFINITY;
    let label = -1;
    for (let i = 0; i < 600; i++) {
      let distance = 0;
      for (let p = 0; p < 784; p += 2) distance += (train.images[i * 784 + p]! - tests.images[t * 784 + p]!) ** 2;
      if (distance < best) [best, label] = [distance, train.labels[i]!];
    }
    if (label === tests.labels[t]) right++;
  }
  // Guessing gives 6 of 60.
  expect(right).toBeGreaterThan(36);
});

test('batches are normalised, and warped anew in every epoch', () => {
  const digits = generateDigits({ count: 10, seed: 1 });
  const [images, labels] = new DigitDataset(digits, { mean: 0.5, std: 0.25 }).batch([3, 7], 0);
  expect([images.shape, labels.dtype, labels.toArray()]).toEqual([
    [2, 1, 28, 28],
    'i64',
    [digits.labels[3], digits.labels[7]],
  ]);
  const pixel = 14 * 28 + 13;
  const expected = (digits.images[7 * 784 + pixel]! / 255 - 0.5) / 0.25;
  expect(images.data()[784 + pixel]).toBeCloseTo(expected, 5);

  const warped = new DigitDataset(digits, { augment: randomAffine({ shift: 2 }), seed: 1 });
  const pixels = (indices: number[], epoch: number): unknown => warped.batch(indices, epoch)[0].select(0, 0).toArray();
  expect(pixels([4, 2], 1)).toEqual(pixels([4], 1));
  expect(pixels([4], 2)).not.toEqual(pixels([4], 1));
});
