import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { BLOCKS, type BlockName, dequantise } from '../../src/formats/gguf/blocks.ts';
import { openGguf } from '../../src/formats/index.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

const blocks: Record<string, { bytes: string; weights: string }> = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../fixtures/gguf-blocks.json'), 'utf8'),
);

test.each(Object.keys(BLOCKS) as BlockName[])('%s has the weights of GGML’s own loops, to the bit', name => {
  const { bytes, weights } = blocks[name]!;
  const got = dequantise(Buffer.from(bytes, 'base64'), name);
  expect(Buffer.from(got.buffer).equals(Buffer.from(weights, 'base64'))).toBe(true);
  expect(got.length).toBe(BLOCKS[name].weights);
});

testWithData('metadata of a file llama.cpp wrote', 'gguf/ggml-vocab-gpt-2.gguf', () => {
  const file = openGguf(sharedData('gguf/ggml-vocab-gpt-2.gguf'));
  expect(file.format).toBe('GGUF v3');
  expect(file.tensors).toEqual([]);
  expect(file.metadata['general.architecture']).toBe('gpt2');
  const tokens = file.metadata['tokenizer.ggml.tokens'] as readonly string[];
  expect([tokens.length, tokens[0], tokens.at(-1)]).toEqual([50257, '!', '<|endoftext|>']);
  file.close();
});

/** A file of version 3 written by hand: strings are text, numbers [bytes, value]. */
type Piece = string | readonly [bytes: 4 | 8, value: number] | Uint8Array;
const pack = (...pieces: readonly Piece[]): Buffer =>
  Buffer.concat(
    pieces.map(piece => {
      if (typeof piece === 'string') return Buffer.concat([pack([8, Buffer.byteLength(piece)]), Buffer.from(piece)]);
      if (piece instanceof Uint8Array) return Buffer.from(piece);
      const bytes = Buffer.alloc(piece[0]);
      if (piece[0] === 4) bytes.writeUInt32LE(piece[1]);
      else bytes.writeBigUInt64LE(BigInt(piece[1]));
      return bytes;
    }),
  );
const magic = Buffer.from('GGUF');
const head = (tensors: number, keys: number): Buffer => pack(magic, [4, 3], [8, tensors], [8, keys]);
const aligned = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);

test('tensors: shapes are turned round, blocks come as f32', () => {
  const q8 = Buffer.alloc(34, 3);
  q8.writeUInt16LE(0x3800, 0); // 0.5
  const f32 = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
  const bytes = Buffer.concat([
    aligned(
      pack(
        head(2, 1),
        'general.name',
        [4, 8],
        'tiny',
        'w',
        [4, 2],
        [8, 3],
        [8, 2],
        [4, 0],
        [8, 0],
        'q',
        [4, 1],
        [8, 32],
        [4, 8],
        [8, 32],
      ),
    ),
    aligned(f32),
    q8,
  ]);
  const file = openGguf(folder.write('tiny.gguf', bytes));
  expect({ ...file.metadata }).toEqual({ 'general.name': 'tiny' });
  const [w, q] = file.tensors;
  expect([w!.name, w!.shape, w!.read().toArray()]).toEqual([
    'w',
    [2, 3],
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
  ]);
  expect([q!.storedAs, q!.dtype, q!.read().toArray()]).toEqual(['q8_0', 'f32', new Array(32).fill(1.5)]);
});

describe('a file that lies is refused by name, offset and field', () => {
  const one = (...info: readonly Piece[]): Buffer => aligned(pack(head(1, 0), 'w', ...info));
  test.each<[string, Buffer, RegExp]>([
    ['no magic', Buffer.alloc(64), /does not start with GGUF/],
    ['a version from the future', pack(magic, [4, 9], [8, 0], [8, 0]), /at byte 4: its version is 9/],
    ['keys that are not there', head(0, 1e9), /the length of key 0 of 1000000000 takes 8 bytes, and 0 are left/],
    ['a text longer than the file', pack(head(0, 1), [8, 1e12], [8, 0]), /key 0 of 1 claims 1000000000000 bytes/],
    ['a list longer than the file', pack(head(0, 1), 'k', [4, 9], [4, 4], [8, 1e15]), /claims 1000000000000000 items/],
    ['an unknown value type', pack(head(0, 1), 'k', [4, 77], [8, 0]), /k has type 77/],
    ['a repeated key', pack(head(0, 2), 'k', [4, 4], [4, 1], 'k', [4, 4], [4, 1]), /the key "k" is repeated/],
    ['too many dims', one([4, 99], [8, 1]), /w has 99 dims/],
    ['a tensor past the end', one([4, 1], [8, 1000], [4, 0], [8, 0]), /tensor "w" ends at byte/],
    ['a size that no memory holds', one([4, 2], [8, 2 ** 40], [8, 2 ** 40], [4, 0], [8, 0]), /no memory holds/],
    ['an unknown tensor type', one([4, 1], [8, 1], [4, 200], [8, 0]), /unknown type 200/],
    ['rows that are no whole blocks', one([4, 1], [8, 31], [4, 8], [8, 0]), /multiples of 32/],
  ])('%s', (name, bytes, message) => {
    const path = folder.write('bad.gguf', bytes);
    expect(() => openGguf(path), name).toThrow(message);
    expect(() => openGguf(path), name).toThrow(path);
  });
});
