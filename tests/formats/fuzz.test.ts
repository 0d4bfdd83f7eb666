/**
 * Every reader of weights on damaged files: cut at every byte, and with bytes changed. Either the file is still one, or an error names it; nothing crashes, hangs or
 * allocates by what a file claims.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { npyChunks, openWeights, safetensorsChunks, saveNpz } from '../../src/formats/index.ts';
import { Tensor } from '../../src/tensor/index.ts';
import { unpack } from '../support/modelFiles.ts';
import { testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
const weights = { 'fc.weight': Tensor.from([[1, 2], [3, 4]]), step: Tensor.from([7n]), mask: Tensor.from([true, false]) }; // biome-ignore format: one row

/** Opens a file and reads everything in it; errors must name the file. */
async function readsOrNames(bytes: Uint8Array, ending: string): Promise<void> {
  const file = folder.write(`damaged${ending}`, bytes);
  try {
    const opened = await openWeights(file);
    try {
      for (const tensor of opened.tensors) tensor.read();
    } finally {
      opened.close();
    }
  } catch (error) {
    expect((error as Error).message).toContain(file);
    expect((error as Error).message).not.toContain('internal');
  }
}

async function fuzz(bytes: Uint8Array, ending: string): Promise<void> {
  await readsOrNames(bytes, ending);
  for (let end = 0; end < bytes.length; end++) await readsOrNames(bytes.subarray(0, end), ending);
  let seed = 1;
  for (let round = 0; round < 600; round++) {
    const copy = Uint8Array.from(bytes);
    for (let k = 0; k < 1 + (round % 4); k++) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      copy[(seed >>> 8) % copy.length] = seed >>> 24;
    }
    await readsOrNames(copy, ending);
  }
}

test('safetensors', () => fuzz(Buffer.concat(safetensorsChunks(weights, { note: 'x' })), '.safetensors'));
test('npy', () => fuzz(Buffer.concat(npyChunks(weights['fc.weight'])), '.npy'));

test.each([false, true])('npz, compressed: %s', async compress => {
  const file = folder.file('whole.npz');
  saveNpz(file, { step: weights.step }, { compress });
  await fuzz(readFileSync(file), '.npz');
});

test('GGUF', async () => {
  const text = (value: string): Buffer => Buffer.concat([number(value.length, 8), Buffer.from(value)]);
  const number = (value: number, bytes: 4 | 8): Buffer => {
    const out = Buffer.alloc(bytes);
    out.writeUInt32LE(value);
    return out;
  };
  const info = [text('w'), number(1, 4), number(32, 8), number(2, 4), number(0, 8)];
  const key = [text('list'), number(9, 4), number(8, 4), number(2, 8), text('a'), text('b')];
  const head = Buffer.concat([Buffer.from('GGUF'), number(3, 4), number(1, 8), number(1, 8), ...key, ...info]);
  const data = Buffer.alloc(((32 - (head.length % 32)) % 32) + 18, 1);
  await fuzz(Buffer.concat([head, data]), '.gguf');
});

testWithData('PyTorch, zip and legacy', 'models/pytorch-small-visible.tar.gz', async () => {
  unpack('models/pytorch-small-visible.tar.gz', folder.path);
  for (const name of ['reader-simple_legacy.pt', 'module-embedding--embedding.pt'])
    await fuzz(readFileSync(path.join(folder.path, 'burn-pt', name)), '.pt');
});
