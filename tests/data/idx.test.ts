import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseIdx, readIdx } from '../../src/data/idx.ts';
import { readMnist } from '../../src/data/mnist.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

/** i16 of shape [2, 3], big-endian: 1, -2, 3, 256, 5, 6. */
const SMALL = Uint8Array.from([
  0, 0, 11, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 0xff, 0xfe, 0, 3, 1, 0, 0, 5, 0, 6,
]); // biome-ignore format: bytes

test('reads dims and big-endian elements, gzipped or not by content', () => {
  const expected = { dtype: 'i32', shape: [2, 3], data: Int32Array.from([1, -2, 3, 256, 5, 6]) };
  expect(parseIdx(SMALL)).toEqual(expected);
  expect(readIdx(folder.write('plain.gz', SMALL))).toEqual(expected);
  expect(readIdx(folder.write('zipped', gzipSync(SMALL)))).toEqual(expected);
});

test('every truncation and every extra byte is refused by name, gzipped or not', () => {
  for (let length = 0; length < SMALL.length; length++) {
    expect(() => parseIdx(SMALL.subarray(0, length), 'cut.idx')).toThrow(/^cut\.idx: /);
    const path = folder.write('cut.gz', gzipSync(SMALL.subarray(0, length)));
    expect(() => readIdx(path)).toThrow(path);
  }
  const zipped = gzipSync(SMALL);
  for (let length = 0; length < zipped.length; length++) {
    const path = folder.write('cut.gz', zipped.subarray(0, length));
    expect(() => readIdx(path)).toThrow(path);
  }
  const long = new Uint8Array([...SMALL, 0]);
  expect(() => parseIdx(long, 'long.idx')).toThrow(
    'long.idx: i16 of shape [2, 3] needs 12 bytes, and 13 follow the header',
  );
});

test('a header that lies about its size allocates nothing', () => {
  const huge = Uint8Array.from([0, 0, 14, 2, 0, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 1, 2, 3]);
  expect(() => parseIdx(huge)).toThrow('needs');
  expect(() => readIdx(folder.write('huge.gz', gzipSync(huge)))).toThrow('needs');
});

test('random bytes give one clear error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
      expect(() => parseIdx(Uint8Array.from([1, ...bytes]), 'noise')).toThrow(/^noise: not a valid IDX file: /);
    }),
  );
  expect(() => readIdx(folder.file('absent'))).toThrow(`cannot read ${folder.file('absent')}: no such file or folder`);
});

test('MNIST folders with missing or mismatched parts are named', () => {
  expect(() => readMnist(folder.file('nowhere'), 'train')).toThrow('no such file or folder');
  expect(() => readMnist(folder.path, 'train')).toThrow(
    'no train-images-idx3-ubyte[.gz] or train10k-images-idx3-ubyte[.gz] there',
  );
  folder.write('t10k-images-idx3-ubyte', Uint8Array.from([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9]));
  expect(() => readMnist(folder.path, 'test')).toThrow('t10k-labels-idx1-ubyte[.gz] is not');
  folder.write('t10k-labels-idx1-ubyte', Uint8Array.from([0, 0, 8, 1, 0, 0, 0, 2, 1, 2]));
  expect(() => readMnist(folder.path, 'test')).toThrow('u8 of shape [2], expected u8 labels [1]');
  folder.write('t10k-labels-idx1-ubyte', Uint8Array.from([0, 0, 8, 1, 0, 0, 0, 1, 10]));
  expect(() => readMnist(folder.path, 'test')).toThrow('label 10 of image 0, expected 0 to 9');
});

testWithData('real MNIST: 10,000 + 10,000 images; the published first labels', 'mnist', () => {
  const train = readMnist(sharedData('mnist'), 'train');
  const test = readMnist(sharedData('mnist'), 'test');
  expect([train.count, train.size, test.count]).toEqual([10_000, 28, 10_000]);
  expect([...train.labels.subarray(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
  expect([...test.labels.subarray(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
});
