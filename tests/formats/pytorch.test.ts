import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { loadWeights, openPyTorch, savePyTorch } from '../../src/formats/index.ts';
import { streamPyTorch } from '../../src/formats/pytorch/writer.ts';
import { DTYPES, Tensor } from '../../src/tensor/index.ts';
import { EXPECTED, expectedTensors, fingerprint, unpack } from '../support/modelFiles.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

testWithData('files that PyTorch wrote hold the tensors an independent reader found', EXPECTED, async () => {
  unpack('models/pytorch-small-visible.tar.gz', folder.path);
  let files = 0;
  for (const [name, expected] of Object.entries(expectedTensors())) {
    if (!name.startsWith('pytorch/')) continue;
    const packed = /^pytorch\/(burn-pt|candle)\//.test(name);
    const file = packed ? path.join(folder.path, name.slice('pytorch/'.length)) : sharedData('models', name);
    if (!expected.tensors) {
      await expect(openPyTorch(file), name).rejects.toThrow(/^.*broken\.pt: /);
      continue;
    }
    const opened = await openPyTorch(file);
    const found = Object.fromEntries(opened.tensors.map(tensor => [tensor.name, fingerprint(tensor)]));
    // The independent reader turns a tensor without dims into one of shape [1].
    const wanted = Object.entries(expected.tensors).map(([key, { dtype, shape, sha256_le_contiguous }]) => [
      key,
      { dtype, shape: found[key]?.shape.length === 0 && shape.join() === '1' ? [] : shape, sha256_le_contiguous },
    ]);
    expect(found, name).toEqual(Object.fromEntries(wanted));
    expect(opened.format.includes(expected.format.split(' ')[1]!), name).toBe(true);
    opened.close();
    files++;
  }
  expect(files).toBeGreaterThan(20);
});

/** A file whose data.pkl is the given pickle. */
function zipped(name: string, pickle: string | Uint8Array, entries: Record<string, Uint8Array> = {}): string {
  const file = folder.file(name);
  const bytes = typeof pickle === 'string' ? Buffer.from(pickle, 'latin1') : pickle;
  writeFileSync(file, zipSync({ 'model/data.pkl': bytes, ...entries }, { level: 0 }));
  return file;
}

describe('nothing is executed', () => {
  test.each([
    ['os.system', "cos\nsystem\n(S'touch /tmp/x'\ntR."],
    ['builtins.eval', 'cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.'],
    ['posix.system', '\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.'],
    ['torch.hub.load', 'ctorch.hub\nload\n)R.'],
    ['__builtin__.getattr', 'c__builtin__\ngetattr\n.'],
    ['torch._utils.__dict__', 'ctorch._utils\n__dict__\n.'],
    ['my_model.Net', '(imy_model\nNet\n.'],
    ['__torch__.Net', 'c__torch__\nNet\n)\x81.'],
  ])('%s is refused by name', async (name, pickle) => {
    const file = zipped('evil.pt', pickle);
    await expect(openPyTorch(file)).rejects.toThrow(`${file}: pickle at byte `);
    await expect(openPyTorch(file)).rejects.toThrow(`asks for ${name}, which is not on the list`);
  });
});

const tensor = (storage: string, tail: string): string =>
  `ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\n${storage}tQ${tail}I00\nNtR.`;

describe('damaged files are named', () => {
  const four = { 'model/data/0': new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer) };
  test.each([
    ['cut off', 'X\xff\xff\x00\x00abc', /byte 0: .*65535|is cut off/],
    ['an unknown opcode', '\x01.', /byte 0: unknown opcode 0x01/],
    ['an empty stack', '.', /the stack is empty/],
    ['a missing mark', 't.', /no mark/],
    ['an empty memo', 'h\x07.', /memo 7 was never written/],
    ['a huge integer', '\x8b\xff\xff\xff\x7f.', /an integer of 2147483647 bytes/],
    ['a list inside of itself', ']q\x00h\x00a.', /contains itself/],
    ['a tensor past its storage', tensor('I4\n', 'I2\n(I3\nt(I1\nt'), /ends at element 5 of a storage of 4/],
    ['negative strides', tensor('I4\n', 'I0\n(I3\nt(I-1\nt'), /strides/],
    ['a storage type that is none', "(S'storage'\nctorch\nSize\nS'0'\nS'cpu'\nI4\ntQ.", /no storage/],
  ])('%s', async (_, pickle, message) => {
    const file = zipped('damaged.pt', pickle, four);
    await expect(openPyTorch(file)).rejects.toThrow(message);
    await expect(openPyTorch(file)).rejects.toThrow(file);
  });

  test('a storage shorter than it says, and one that is not there', async () => {
    const lying = await openPyTorch(zipped('short.pt', tensor('I8\n', 'I0\n(I8\nt(I1\nt'), four));
    expect(() => lying.tensors[0]!.read()).toThrow(/ends at byte 32 of a storage of 16/);
    const missing = await openPyTorch(zipped('missing.pt', tensor('I4\n', 'I0\n(I4\nt(I1\nt')));
    expect(() => missing.tensors[0]!.read()).toThrow(/storage 0 is not in the zip/);
  });

  test('an expanded tensor out of proportion to its file is not allocated', async () => {
    const file = await openPyTorch(zipped('expanded.pt', tensor('I4\n', 'I0\n(I100000000\nt(I0\nt'), four));
    expect(() => file.tensors[0]!.read()).toThrow(/would take 400000000 bytes, over 32 times/);
  });

  test('shared parts that multiply', async () => {
    // 40 lists, each holding the one before twice: 2^40 leaves from 200 bytes.
    let pickle = ']q\x00N\x61';
    for (let i = 0; i < 40; i++)
      pickle += `0](h${String.fromCharCode(i)}h${String.fromCharCode(i)}eq${String.fromCharCode(i + 1)}`;
    await expect(openPyTorch(zipped('laughs.pt', `${pickle}.`))).rejects.toThrow(/shared too often/);
  });

  test('a zip bomb', async () => {
    const file = folder.file('bomb.pt');
    writeFileSync(
      file,
      zipSync({ 'model/data.pkl': Buffer.from('N.'), 'model/data/0': new Uint8Array(5e6) }, { level: 9 }),
    );
    await expect(openPyTorch(file)).rejects.toThrow(/over 100 times as much/);
  });

  test('a zip without a pickle', async () => {
    const file = folder.file('other.pt');
    writeFileSync(file, zipSync({ 'readme.txt': Buffer.from('hi') }));
    await expect(openPyTorch(file)).rejects.toThrow(
      `${file}: not a PyTorch file: no entry of the zip is named data.pkl`,
    );
  });
});

test('layouts: transposed, expanded, empty and zero-dimensional tensors', async () => {
  const storage = { 'model/data/0': new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer) };
  const open = async (name: string, tail: string) => {
    const file = await openPyTorch(zipped(name, tensor('I6\n', tail), storage));
    return file.tensors[0]!.read().toArray();
  };
  expect(await open('t.pt', 'I0\n(I3\nI2\nt(I1\nI3\nt')).toEqual([
    [1, 4],
    [2, 5],
    [3, 6],
  ]);
  expect(await open('e.pt', 'I2\n(I2\nI2\nt(I0\nI1\nt')).toEqual([
    [3, 4],
    [3, 4],
  ]);
  expect(await open('z.pt', 'I0\n(I0\nI2\nt(I2\nI1\nt')).toEqual([]);
  expect(await open('s.pt', 'I5\n(t(t')).toBe(6);
});

test('what savePyTorch writes is read again, every dtype and no dims; too large a file is refused', async () => {
  const file = path.join(folder.path, 'written.pt');
  const values: Record<string, Tensor> = {
    'layer.weight': Tensor.from([[1.5, -2, 3], [0.25, 1e-9, 4]]), // biome-ignore format: a matrix
    none: Tensor.from(2.5),
    ünï: Tensor.from([1, 2]).to('bf16'),
  };
  for (const dtype of DTYPES) values[dtype] = Tensor.from([1, 0, 3]).to(dtype);
  savePyTorch(file, values);
  const read = await loadWeights(file);
  expect(Object.keys(read)).toEqual(Object.keys(values));
  for (const [name, value] of Object.entries(values)) {
    expect([read[name]!.dtype, read[name]!.shape]).toEqual([value.dtype, value.shape]);
    expect(read[name]!.toArray()).toEqual(value.toArray());
  }
  const large = { name: 'w', dtype: 'f32', shape: [2 ** 30], data: () => new Float32Array(0) } as const;
  expect(() => [...streamPyTorch([large], 'large.pt')]).toThrow(
    'cannot write large.pt: 4294967296 bytes are more than its zip holds',
  );
});
