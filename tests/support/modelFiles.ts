/**
 * Model files that others wrote, from the shared data, with the tensors an independent reader found in them.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { StoredTensor } from '../../src/formats/index.ts';
import { sharedData } from './sharedData.ts';

interface Expected {
  readonly format: string;
  readonly error?: string;
  readonly tensors?: Readonly<Record<string, { dtype: string; shape: number[]; sha256_le_contiguous: string }>>;
}

export const EXPECTED = 'models/tensors-expected-visible.json';

/** What an independent reader found in the files of shared/data/models, by path. */
export const expectedTensors = (): Readonly<Record<string, Expected>> =>
  JSON.parse(readFileSync(sharedData(EXPECTED), 'utf8'));

/** Unpacks a shared archive into `folder`. */
export function unpack(archive: string, folder: string): void {
  execFileSync('tar', ['-xzf', sharedData(archive), '-C', folder]);
}

const NARROW = { I16: Int16Array, U16: Uint16Array, U32: Uint32Array } as const;

/** Dtype in the file, shape and the hash of the elements as the file's dtype has them. */
export function fingerprint(tensor: StoredTensor): {
  dtype: string;
  shape: readonly number[];
  sha256_le_contiguous: string;
} {
  const read = tensor.read();
  const values = read.data();
  const narrow = NARROW[tensor.storedAs as keyof typeof NARROW];
  const data = narrow ? narrow.from(Array.from(values, Number)) : values;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return {
    dtype: tensor.storedAs,
    shape: read.shape,
    sha256_le_contiguous: createHash('sha256').update(bytes).digest('hex'),
  };
}
