/**
 * NumPy's .npy: magic, version, a Python dict literal as header, then the elements
 * (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). Pickled object arrays are refused.
 */
import { basename } from 'node:path';
import type { DType } from '../graph/dtype.ts';
import type { Tensor } from '../tensor/index.ts';
import { writeAtomic } from './atomic.ts';
import { dtypeFor, encodeElements, type FileType, fileBytesOf } from './elements.ts';
import { type ByteSource, bytesSource, openFile, withFile } from './source.ts';
import { columnMajor, gathered, type StoredTensor, tensorOf, type WeightsFile } from './weights.ts';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** numpy refuses to parse longer headers itself (`max_header_size`); shapes and a dtype take far less. */
const MAX_HEADER_BYTES = 10_000;

/** By numpy's kind letter and item size. V2 is how numpy stores the bfloat16 of ml_dtypes (JAX, TensorFlow). */
const FILE_TYPES: Readonly<Record<string, FileType>> = {
  f4: 'f32', f8: 'f64', f2: 'f16', V2: 'bf16', i1: 'i8', i2: 'i16', i4: 'i32', i8: 'i64',
  u1: 'u8', u2: 'u16', u4: 'u32', u8: 'u64', b1: 'bool',
}; // biome-ignore format: a table

const DESCR: { readonly [D in DType]: string } = {
  f32: '<f4', f64: '<f8', f16: '<f2', bf16: '<V2', i32: '<i4', i64: '<i8', u8: '|u1', i8: '|i1', bool: '|b1',
}; // biome-ignore format: a table

/**
 * Reads a .npy file: versions 1 to 3, either byte order, C or Fortran order. int16 and uint16 come as i32, uint32 and
 * uint64 as i64.
 * @throws Error naming the file and what is wrong with it; for object arrays, which are pickles, and for structured
 * ones.
 */
export function loadNpy(path: string): Tensor {
  return withFile(path, source => storedNpy(source, path).read());
}

/** Opens a .npy file as a file of one tensor, named as the file without its ending. */
export function openNpy(path: string): WeightsFile {
  const file = openFile(path);
  try {
    const tensors = [storedNpy(file, basename(path).replace(/\.npy$/, ''))];
    return { path, format: 'npy', tensors, metadata: {}, close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The same from bytes in memory; `name` is what errors call them. */
export function parseNpy(bytes: Uint8Array, name = 'npy'): Tensor {
  return storedNpy(bytesSource(bytes, name), name).read();
}

/** Writes a tensor as a .npy file (version 1, C order, little-endian), atomically. bf16 is stored as numpy's `<V2`. */
export function saveNpy(path: string, tensor: Tensor): void {
  writeAtomic(path, npyChunks(tensor));
}

/** The bytes of a .npy file, in order. */
export function npyChunks(tensor: Tensor): Uint8Array[] {
  const shape = tensor.shape.length === 1 ? `${tensor.shape[0]},` : tensor.shape.join(', ');
  const dict = `{'descr': '${DESCR[tensor.dtype]}', 'fortran_order': False, 'shape': (${shape}), }`;
  // The header ends with a newline and fills up to a multiple of 64, so that the data is aligned.
  const total = Math.ceil((10 + dict.length + 1) / 64) * 64;
  const header = new Uint8Array(total).fill(0x20);
  header.set([...MAGIC, 1, 0]);
  new DataView(header.buffer).setUint16(8, total - 10, true);
  header.set(new TextEncoder().encode(dict), 10);
  header[total - 1] = 0x0a;
  return [header, encodeElements(tensor.data())];
}

/**
 * The array of a .npy file under a name, not read yet.
 * @throws Error naming the source and what is wrong with its header
 */
export function storedNpy(source: ByteSource, name: string): StoredTensor {
  const fail = (what: string): never => {
    throw new Error(`${source.name}: not a valid .npy file: ${what}`);
  };
  if (source.size < 10) fail(`it has ${source.size} bytes, and the shortest header takes more`);
  const start = source.read(0, 10);
  if (!MAGIC.every((byte, i) => start[i] === byte)) fail('at byte 0 it does not start with \\x93NUMPY');
  const version = start[6]!;
  if (version < 1 || version > 3) fail(`at byte 6 its format version is ${version}.${start[7]}, expected 1, 2 or 3`);
  const lengthBytes = version === 1 ? 2 : 4;
  const headerStart = 8 + lengthBytes;
  if (source.size < headerStart) fail(`it ends inside the header length at byte ${source.size}`);
  const lengthView = new DataView(source.read(8, lengthBytes).buffer);
  const headerBytes = version === 1 ? lengthView.getUint16(0, true) : lengthView.getUint32(0, true);
  if (headerBytes > Math.min(MAX_HEADER_BYTES, source.size - headerStart))
    fail(
      `the header length at byte 8 is ${headerBytes}, and ${source.size - headerStart} bytes follow (at most ${MAX_HEADER_BYTES} are read)`,
    );
  const text = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(source.read(headerStart, headerBytes));
  const { descr, fortranOrder, shape } = parseHeader(text, what => fail(`at byte ${headerStart} ${what}`));

  const { type, littleEndian } = parseDescr(descr, what => fail(`at byte ${headerStart} ${what}`));
  const dataStart = headerStart + headerBytes;
  const dataBytes = source.size - dataStart;
  const bytes = shape.reduce((a, n) => a * n, fileBytesOf(type));
  if (bytes !== dataBytes)
    fail(`'${descr}' of shape (${shape}) needs ${bytes} bytes, and ${dataBytes} follow the header`);
  const read = (): Tensor => {
    const elements = source.read(dataStart, bytes);
    const rows = fortranOrder ? gathered(elements, fileBytesOf(type), shape, columnMajor(shape)) : elements;
    return tensorOf(rows, type, shape, source.name, littleEndian);
  };
  return { name, dtype: dtypeFor(type), storedAs: descr, shape, bytes, read };
}

interface NpyHeader {
  readonly descr: string;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
}

/** The dict literal numpy writes: three known keys with a string, a bool and a tuple of integers. */
function parseHeader(text: string, fail: (what: string) => never): NpyHeader {
  const field = (key: string, value: string): string => {
    const match = new RegExp(`['"]${key}['"]\\s*:\\s*(${value})\\s*[,}]`).exec(text);
    return match ? match[1]! : fail(`its header has no usable ${key}: ${JSON.stringify(text.trim().slice(0, 200))}`);
  };
  if (!/^\s*\{[^{}]*\}\s*$/.test(text)) fail(`its header is not a dict: ${JSON.stringify(text.trim().slice(0, 200))}`);
  if (/['"]descr['"]\s*:\s*[[(]/.test(text)) fail('it holds a structured array, and only plain dtypes are read');
  const descr = field('descr', `'[^']*'|"[^"]*"`).slice(1, -1);
  const fortranOrder = field('fortran_order', 'True|False') === 'True';
  const tuple = field('shape', '\\([0-9L,\\s]*\\)');
  const shape = (tuple.match(/[0-9]+/g) ?? []).map(Number);
  if (shape.some(n => !Number.isSafeInteger(n))) fail(`its shape is ${tuple}`);
  return { descr, fortranOrder, shape };
}

function parseDescr(descr: string, fail: (what: string) => never): { type: FileType; littleEndian: boolean } {
  if (/^[|<>=]?O/.test(descr))
    fail(
      `dtype '${descr}' means pickled Python objects, which are refused because unpickling runs code; save a plain array instead`,
    );
  const match = /^([|<>=]?)([a-zA-Z][0-9]+)$/.exec(descr);
  const type = match && Object.hasOwn(FILE_TYPES, match[2]!) ? FILE_TYPES[match[2]!]! : null;
  if (!match || !type) return fail(`its dtype is '${descr}', expected one of ${Object.keys(FILE_TYPES).join(', ')}`);
  return { type, littleEndian: match[1] !== '>' };
}
