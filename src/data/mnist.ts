/**
 * MNIST's files in a folder: images and labels of the training and test part, gzipped or not, whole or the first
 * 10,000.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { shapeText } from '../tensor/convert.ts';
import type { DigitArrays } from './digits.ts';
import { readIdx } from './idx.ts';

const PREFIXES = { train: ['train', 'train10k'], test: ['t10k'] } as const;

/**
 * Reads a part of MNIST (or of a set in its format, as Fashion-MNIST) from `folder`.
 * @throws Error naming the folder or file when one is missing, is not what it should be, or images and labels do not
 * match.
 */
export function readMnist(folder: string, part: 'train' | 'test'): DigitArrays {
  const prefixes = PREFIXES[part];
  for (const prefix of prefixes) {
    const images = find(folder, `${prefix}-images-idx3-ubyte`);
    if (!images) continue;
    const labels = find(folder, `${prefix}-labels-idx1-ubyte`);
    if (!labels) throw new Error(`${folder}: ${images} is there, and ${prefix}-labels-idx1-ubyte[.gz] is not`);
    return pair(images, labels);
  }
  const expected = prefixes.map(prefix => `${prefix}-images-idx3-ubyte[.gz]`).join(' or ');
  throw new Error(
    existsSync(folder) ? `${folder}: no ${expected} there` : `cannot read ${folder}: no such file or folder`,
  );
}

const find = (folder: string, name: string): string | null =>
  [join(folder, name), join(folder, `${name}.gz`)].find(path => existsSync(path)) ?? null;

function pair(imageFile: string, labelFile: string): DigitArrays {
  const images = readIdx(imageFile);
  const labels = readIdx(labelFile);
  const [count, height, width] = images.shape;
  if (images.dtype !== 'u8' || images.shape.length !== 3 || height !== width)
    throw new Error(
      `${imageFile}: ${images.dtype} of shape ${shapeText(images.shape)}, expected u8 square images [count, size, size]`,
    );
  if (labels.dtype !== 'u8' || labels.shape.length !== 1 || labels.shape[0] !== count)
    throw new Error(`${labelFile}: ${labels.dtype} of shape ${shapeText(labels.shape)}, expected u8 labels [${count}]`);
  const odd = (labels.data as Uint8Array).findIndex(label => label > 9);
  if (odd >= 0) throw new Error(`${labelFile}: label ${labels.data[odd]} of image ${odd}, expected 0 to 9`);
  return { count: count!, size: height!, images: images.data as Uint8Array, labels: labels.data as Uint8Array };
}
