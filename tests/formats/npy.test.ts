import fc from 'fast-check';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { loadNpy, loadNpz, npyChunks, parseNpy, parseNpz, saveNpy, saveNpz } from '../../src/formats/index.ts';
import { DTYPES, type DType, Tensor, zeros } from '../../src/tensor/index.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
const header = (descr: string, order: string, shape: string): string =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }`;

/** A .npy file as numpy lays it out, of any version. */
function npy(dict: string, data: ArrayLike<number>, version = 1): Buffer {
  const lengthBytes = version === 1 ? 2 : 4;
  const text = `${dict.padEnd(Math.ceil((8 + lengthBytes + dict.length + 1) / 64) * 64 - 9 - lengthBytes)}\n`;
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntLE(text.length, 0, lengthBytes);
  return Buffer.concat([
    Buffer.of(0x93),
    Buffer.from('NUMPY'),
    Buffer.of(version, 0),
    length,
    Buffer.from(text),
    Buffer.from(data),
  ]);
}

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

// Written by numpy: python3 -c "import numpy, io, base64; f = io.BytesIO(); numpy.save(f, A);
// print(base64.b64encode(f.getvalue()))" with A = arange(6).reshape(2, 3) as <f4, as Fortran-ordered <i8, as >f8.
const BY_NUMPY = {
  f4: 'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAACAPwAAAEAAAEBAAACAQAAAoEA=',
  i8F: 'k05VTVBZAQB2AHsnZGVzY3InOiAnPGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBUcnVlLCAnc2hhcGUnOiAoMiwgMyksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAAAAAMAAAAAAAAAAQAAAAAAAAAEAAAAAAAAAAIAAAAAAAAABQAAAAAAAAA=',
  bigf8:
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPmY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAAAAD/wAAAAAAAAQAAAAAAAAABACAAAAAAAAEAQAAAAAAAAQBQAAAAAAAA=',
};
// numpy.savez_compressed(f, a=A.astype('f4'), b=numpy.array(7, dtype='i4'))
const NPZ_BY_NUMPY =
  'UEsDBBQAAAAIAAAAIQBP6QAqVQAAAJgAAAAFABQAYS5ucHkBABAAmAAAAAAAAABVAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TZqKuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6CsaaOgq1CmQDLgYwaLAHEg5ABMQNQLzAAQBQSwMEFAAAAAgAAAAhAAwtsbRGAAAAhAAAAAUAFABiLm5weQEAEACEAAAAAAAAAEYAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgbpNpoq6joJ6WX1RSlJgXn1+UkgoSd0vMKU4FihdnJBakAvkamjoKtQoUAS52BgYGAFBLAQIUAxQAAAAIAAAAIQBP6QAqVQAAAJgAAAAFAAAAAAAAAAAAAACAAQAAAABhLm5weVBLAQIUAxQAAAAIAAAAIQAMLbG0RgAAAIQAAAAFAAAAAAAAAAAAAACAAYwAAABiLm5weVBLBQYAAAAAAgACAGYAAAAJAQAAAAA=';

describe('reading what numpy wrote', () => {
  test.each([
    ['f4', 'f32'],
    ['i8F', 'i64'],
    ['bigf8', 'f64'],
  ] as const)('%s', (name, dtype) => {
    const tensor = parseNpy(Buffer.from(BY_NUMPY[name], 'base64'));
    expect([tensor.dtype, tensor.toArray()]).toEqual([
      dtype,
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    ]);
  });

  test("our bytes are numpy's", () => {
    const ours = Buffer.concat(
      npyChunks(
        Tensor.from([
          [0, 1, 2],
          [3, 4, 5],
        ]),
      ),
    );
    expect(ours.toString('base64')).toBe(BY_NUMPY.f4);
  });

  test('npz, deflated', () => {
    const { a, b } = parseNpz(Buffer.from(NPZ_BY_NUMPY, 'base64'));
    expect([a!.dtype, a!.toArray()]).toEqual([
      'f32',
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    ]);
    expect([b!.dtype, b!.shape, b!.item()]).toEqual(['i32', [], 7]);
  });

  testWithData('a real file', 'models/pytorch/blazeface-anchors.npy', () => {
    const anchors = loadNpy(sharedData('models/pytorch/blazeface-anchors.npy'));
    expect([anchors.dtype, anchors.shape]).toEqual(['f64', [896, 4]]);
    const data = anchors.data() as Float64Array;
    // numpy: x.sum() = 2688.0, x[0] = [0.03125 0.03125 1 1], x[-1] = [0.9375 0.9375 1 1].
    expect(data.reduce((a, x) => a + x, 0)).toBe(2688);
    expect([...data.subarray(0, 4), ...data.subarray(-4)]).toEqual([0.03125, 0.03125, 1, 1, 0.9375, 0.9375, 1, 1]);
  });
});

test('every dtype and version round trips', () => {
  for (const dtype of DTYPES as readonly DType[])
    for (const shape of [[2, 3], [6], [], [0, 2]]) {
      const size = shape.reduce((a, n) => a * n, 1);
      const tensor = Tensor.from([0, 1, 2, 3, 1, 0].slice(0, size), { dtype, shape });
      const path = folder.file(`${dtype}.npy`);
      saveNpy(path, tensor);
      const read = loadNpy(path);
      expect([read.dtype, read.shape, read.data()]).toEqual([dtype, shape, tensor.data()]);
    }
  for (const version of [1, 2, 3])
    expect(
      parseNpy(npy(header("'<i2'", 'False', '(3,)'), bytesOf(Int16Array.of(1, -2, 3)), version)).toArray(),
    ).toEqual([1, -2, 3]);
  const path = folder.file('x.npz');
  for (const compress of [false, true]) {
    saveNpz(path, { a: Tensor.from([1, 2]), 'b.c': Tensor.from([[true]]) }, { compress });
    const read = loadNpz(path);
    expect(Object.keys(read)).toEqual(['a', 'b.c']);
    expect(read['a']!.toArray()).toEqual([1, 2]);
    expect(read['b.c']!.data()).toEqual(Uint8Array.of(1));
  }
});

test('more than a zip holds is refused before anything is computed or written', () => {
  const path = folder.file('large.npz');
  expect(() => saveNpz(path, { a: zeros([1100, 1000, 1000]) })).toThrow(
    `cannot write ${path}: 4400000000 bytes are more than its zip holds (4 GB): write .safetensors`,
  );
});

describe('refusals', () => {
  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ['pickled objects', npy(header("'|O'", 'False', '(1,)'), [0x80, 3]), "dtype '|O' means pickled Python objects, which are refused"],
    ['structured arrays', npy(header("[('x', '<i4')]", 'False', '(1,)'), [1, 0, 0, 0]), 'it holds a structured array'],
    ['unknown dtype', npy(header("'<c8'", 'False', '(1,)'), new Uint8Array(8)), "its dtype is '<c8'"],
    ['wrong magic', Buffer.from('not a numpy file'), 'it does not start with \\x93NUMPY'],
    ['unknown version', npy(header("'<f4'", 'False', '()'), new Uint8Array(4), 4), 'its format version is 4.0'],
    ['too little data', npy(header("'<f4'", 'False', '(2,)'), new Uint8Array(4)), "'<f4' of shape (2) needs 8 bytes, and 4 follow the header"],
    ['too much data', npy(header("'<f4'", 'False', '()'), new Uint8Array(5)), 'needs 4 bytes, and 5 follow'],
    ['huge shape', npy(header("'<f4'", 'False', '(99999999999, 99999999)'), []), 'needs'],
    ['unsafe shape', npy(header("'<f4'", 'False', '(99999999999999999999,)'), []), 'its shape is'],
    ['no dict', npy('nothing', []), 'its header is not a dict'],
    ['no shape', npy("{'descr': '<f4', 'fortran_order': False}", []), 'its header has no usable shape'],
    ['long header', npy(`{'descr': '<f4', 'fortran_order': False, 'shape': (), ${' '.repeat(20_000)}}`, new Uint8Array(4)), 'at most 10000 are read'],
  ]; // biome-ignore format: a table

  test.each(cases)('%s', (_, bytes, message) => {
    expect(() => parseNpy(bytes, 'x.npy')).toThrow(message);
    expect(() => parseNpy(bytes, 'x.npy')).toThrow(/^x\.npy: not a valid \.npy file: /);
  });

  test('every truncation, and any noise, of .npy and .npz', () => {
    const array = Buffer.from(BY_NUMPY.f4, 'base64');
    for (let length = 0; length < array.length; length++)
      expect(() => parseNpy(array.subarray(0, length), 'cut')).toThrow(/^cut: not a valid \.npy file: /);
    const zip = Buffer.from(NPZ_BY_NUMPY, 'base64');
    for (let length = 0; length < zip.length; length++)
      expect(() => parseNpz(zip.subarray(0, length), 'cut')).toThrow(/^cut: /);
    fc.assert(
      fc.property(fc.nat(zip.length - 1), fc.nat(255), (at, byte) => {
        const bent = Uint8Array.from(zip);
        bent[at] = byte;
        try {
          parseNpz(bent, 'bent');
        } catch (error) {
          expect((error as Error).message).toMatch(/^bent: /);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('a zip that lies about its sizes, or holds something else', () => {
    const zip = Buffer.from(NPZ_BY_NUMPY, 'base64');
    const directory = zip.lastIndexOf('PK\x01\x02');
    const bomb = Buffer.from(zip);
    bomb.writeUInt32LE(0xfffffff0, directory + 24);
    expect(() => parseNpz(bomb, 'bomb.npz')).toThrow('b.npy claims to unpack 70 bytes into 4294967280');
    expect(() => parseNpz(zipSync({ 'readme.txt': Buffer.from('hi') }), 'odd.npz')).toThrow(
      'its entry "readme.txt" is not a .npy file',
    );
    expect(() => loadNpz(folder.file('absent.npz'))).toThrow('no such file or folder');
  });
});
