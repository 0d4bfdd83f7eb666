import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  loadSafetensors,
  loadWeights,
  openWeights,
  parseSafetensors,
  safetensorsChunks,
  saveSafetensors,
} from '../../src/formats/index.ts';
import { DTYPES, type DType, Tensor } from '../../src/tensor/index.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

/** A file of a JSON header (text or object) and `dataBytes` zero bytes. */
function file(header: unknown, dataBytes: number, claimed?: bigint): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = Buffer.alloc(8 + json.length + dataBytes);
  bytes.writeBigUInt64LE(claimed ?? BigInt(json.length));
  json.copy(bytes, 8);
  return bytes;
}

const f32 = (shape: readonly unknown[], begin: number, end: number): object => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

describe('round trips', () => {
  test('every dtype, zero and empty shapes, odd names, metadata', () => {
    const values = [0, 1, 2, 3, 1, 0];
    const tensors: Record<string, Tensor> = Object.fromEntries(
      DTYPES.map((dtype): [string, Tensor] => [
        `x.${dtype}`,
        Tensor.from(values, { dtype: dtype as DType, shape: [2, 3] }),
      ]),
    );
    tensors['10'] = Tensor.from([7.5], { shape: [] });
    tensors['9'] = Tensor.from([], { shape: [0, 4] });
    tensors['"ü\n'] = Tensor.from([1, 2]);
    const path = folder.file('all.safetensors');
    saveSafetensors(path, tensors, { format: 'pt', note: 'ünicode' });
    const read = loadSafetensors(path);
    expect(read.metadata).toEqual({ format: 'pt', note: 'ünicode' });
    expect(Object.keys(read.tensors).sort()).toEqual(Object.keys(tensors).sort());
    for (const [name, tensor] of Object.entries(tensors)) {
      const got = read.tensors[name]!;
      expect([got.dtype, got.shape, got.data()]).toEqual([tensor.dtype, tensor.shape, tensor.data()]);
    }
  });

  test('16-bit and unsigned integers are widened', () => {
    const bytes = file(
      { a: { dtype: 'I16', shape: [2], data_offsets: [8, 12] }, b: { dtype: 'U64', shape: [1], data_offsets: [0, 8] } },
      12,
    );
    Buffer.from(bytes.buffer, bytes.byteOffset).writeInt16LE(-2, bytes.length - 4);
    Buffer.from(bytes.buffer, bytes.byteOffset).writeInt16LE(300, bytes.length - 2);
    bytes[bytes.length - 12] = 9;
    const { tensors } = parseSafetensors(bytes);
    expect([tensors['a']!.dtype, tensors['a']!.toArray()]).toEqual(['i32', [-2, 300]]);
    expect([tensors['b']!.dtype, tensors['b']!.toArray()]).toEqual(['i64', [9]]);
    bytes[bytes.length - 5] = 0x80;
    expect(() => parseSafetensors(bytes)).toThrow('tensor "b": element 0 is 9223372036854775817, too large for i64');
  });
});

describe('lying headers', () => {
  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ['shorter than its length field', new Uint8Array(7), 'it has 7 bytes, and the header length alone takes 8'],
    ['header longer than the file', file({}, 0, 3n), 'the header length at byte 0 is 3, and 2 bytes follow'],
    ['header of 2^63 bytes', file({}, 0, 1n << 63n), 'the header length at byte 0 is 9223372036854775808'],
    ['not JSON', file('{"a"', 0), 'the header at byte 8 is not JSON: expected \':\''],
    ['not UTF-8', Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0, 0xff]), 'the header at byte 8 is not JSON'],
    ['an array', file([], 0), 'the header at byte 8 is not a JSON object'],
    ['nested', file('{"a":{"b":{"c":{"d":{"e":1}}}}}', 0), 'nested deeper than 4'],
    ['repeated name', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":1}', 0), 'the key "a" is repeated'],
    ['unknown dtype', file({ a: { dtype: 'F8_E4M3', shape: [1], data_offsets: [0, 1] } }, 1), 'tensor "a" has dtype "F8_E4M3"'],
    ['dtype of Object.prototype', file({ a: { dtype: 'toString', shape: [1], data_offsets: [0, 1] } }, 1), 'has dtype "toString"'],
    ['negative size', file({ a: f32([-1], 0, 4) }, 4), 'tensor "a" has shape [-1]'],
    ['fractional size', file({ a: f32([0.5, 2], 0, 4) }, 4), 'tensor "a" has shape [0.5,2]'],
    ['no shape', file({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), 'tensor "a" has shape nothing'],
    ['three offsets', file({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 8] } }, 8), 'has data_offsets [0,4,8]'],
    ['beyond the end', file({ a: f32([2], 0, 8) }, 4), 'lies at data_offsets [0, 8], and the file has 4 bytes of data'],
    ['backwards', file({ a: f32([1], 4, 0) }, 4), 'lies at data_offsets [4, 0]'],
    ['wrong product', file({ a: f32([3], 0, 8) }, 8), 'tensor "a" of F32 [3] needs 12 bytes, and its data_offsets [0, 8] span 8'],
    ['overflowing product', file({ a: f32([2 ** 40, 2 ** 40, 0.25], 0, 4) }, 4), 'has shape'],
    ['huge product', file({ a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4), 'needs 4.835703278458517e+24 bytes'],
    ['overlap', file({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8), 'tensor "b" at data_offsets [4, 8] overlaps tensor "a", which ends at 8'],
    ['hole', file({ a: f32([1], 4, 8) }, 8), 'bytes 0 to 4 of the data belong to no tensor'],
    ['rest', file({ a: f32([1], 0, 4) }, 8), 'the tensors end at byte 4 of the data, and the file has 8'],
    ['odd bool', Buffer.concat([file({ a: { dtype: 'BOOL', shape: [1], data_offsets: [0, 1] } }, 0), Buffer.of(2)]), 'bool element 0 is the byte 2'],
    ['metadata', file({ __metadata__: { a: 1 } }, 0), '__metadata__ is not an object of strings'],
  ]; // biome-ignore format: a table

  test.each(cases)('%s', (_, bytes, message) => {
    expect(() => parseSafetensors(bytes, 'm.safetensors')).toThrow(message);
    expect(() => parseSafetensors(bytes, 'm.safetensors')).toThrow(/^m\.safetensors: /);
  });
});

const sample = Buffer.concat(
  safetensorsChunks({ w: Tensor.from([1, 2, 3]), b: Tensor.from([true, false]) }, { made: 'here' }),
);

test('every truncation is refused, from memory and from a file', () => {
  for (let length = 0; length < sample.length; length++) {
    expect(() => parseSafetensors(sample.subarray(0, length), 'cut')).toThrow(/^cut: not a valid safetensors file: /);
    const path = folder.write('cut.safetensors', sample.subarray(0, length));
    expect(() => loadSafetensors(path)).toThrow(path);
  }
  expect(() => loadSafetensors(folder.file('absent'))).toThrow('no such file or folder');
});

test('any changed byte gives a file that reads or one clear error', () => {
  fc.assert(
    fc.property(fc.nat(sample.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Uint8Array.from(sample);
      bytes[at] = byte;
      try {
        parseSafetensors(bytes, 'bent');
      } catch (error) {
        expect((error as Error).message).toMatch(/^bent: /);
      }
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
      fc.pre(!(bytes.length >= 10 && bytes[0] === 2 && bytes[8] === 0x7b));
      expect(() => parseSafetensors(bytes, 'noise')).toThrow(/^noise: /);
    }),
  );
});

for (const name of ['burn-multi_layer', 'silero_vad_16k'])
  testWithData(`${name}: dtype, shape and bytes of every tensor`, `models/safetensors/${name}.safetensors`, () => {
    const expected = JSON.parse(readFileSync(sharedData('models/tensors-expected-visible.json'), 'utf8'))[
      `safetensors/${name}.safetensors`
    ].tensors as Record<string, { dtype: string; shape: number[]; sha256_le_contiguous: string }>;
    const { tensors } = loadSafetensors(sharedData(`models/safetensors/${name}.safetensors`));
    const found = Object.fromEntries(
      Object.entries(tensors).map(([key, tensor]) => {
        const data = tensor.data();
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        const sha256_le_contiguous = createHash('sha256').update(bytes).digest('hex');
        return [key, { dtype: tensor.dtype.toUpperCase(), sha256_le_contiguous, shape: [...tensor.shape] }];
      }),
    );
    expect(found).toEqual(expected);
  });

describe('a sharded model', () => {
  const index = (map: unknown): string =>
    folder.write('model.safetensors.index.json', JSON.stringify({ metadata: { total_size: 24 }, weight_map: map }));
  const shards = (): void => {
    saveSafetensors(folder.file('model-1.safetensors'), { a: Tensor.from([1, 2]), b: Tensor.from([3]) });
    saveSafetensors(folder.file('model-2.safetensors'), { c: Tensor.from([[4n]]) });
  };

  test('is one file of weights, opened lazily', async () => {
    shards();
    const path = index({ c: 'model-2.safetensors', a: 'model-1.safetensors', b: 'model-1.safetensors' });
    const file = await openWeights(path);
    expect(file.format).toBe('safetensors (2 shards)');
    expect(file.tensors.map(({ name, dtype, shape, bytes }) => [name, dtype, shape, bytes])).toEqual([
      ['c', 'i64', [1, 1], 8],
      ['a', 'f32', [2], 8],
      ['b', 'f32', [1], 4],
    ]);
    expect(file.metadata['total_size']).toBe(24);
    file.close();
    expect(() => file.tensors[0]!.read()).toThrow('it was closed');
    const weights = await loadWeights(path);
    expect([weights['a']!.toArray(), weights['c']!.toArray()]).toEqual([[1, 2], [[4]]]);
  });

  test.each<[string, unknown, RegExp]>([
    [
      'a shard elsewhere',
      { a: '../model-1.safetensors' },
      /"a" lies in "..\/model-1.safetensors", expected a file beside/,
    ],
    ['a shard of the root', { a: '/etc/passwd' }, /expected a file beside the index/],
    ['a shard that is not there', { a: 'model-9.safetensors' }, /model-9.safetensors: no such file/],
    ['a tensor that is not there', { z: 'model-1.safetensors' }, /tensor "z" is not in model-1.safetensors/],
    ['no map', undefined, /no object "weight_map"/],
    ['an index as a shard', { a: 'model.safetensors.index.json' }, /which is an index itself/],
  ])('%s', async (_, map, message) => {
    shards();
    await expect(openWeights(index(map))).rejects.toThrow(message);
  });

  testWithData('of PyTorch', 'models/pytorch/blazeface.pth', async () => {
    const whole = await openWeights(sharedData('models/pytorch/blazeface.pth'));
    const [first, second] = whole.tensors;
    folder.write('pytorch_model-00001-of-00001.bin', readFileSync(sharedData('models/pytorch/blazeface.pth')));
    const map = {
      [second!.name]: 'pytorch_model-00001-of-00001.bin',
      [first!.name]: 'pytorch_model-00001-of-00001.bin',
    };
    const path = folder.write('pytorch_model.bin.index.json', JSON.stringify({ weight_map: map }));
    const file = await openWeights(path);
    expect(file.format).toBe(`${whole.format} (1 shard)`);
    expect(file.tensors.map(({ name }) => name)).toEqual([second!.name, first!.name]);
    expect(file.tensors[1]!.read().toArray()).toEqual(first!.read().toArray());
    file.close();
    whole.close();
  });
});
