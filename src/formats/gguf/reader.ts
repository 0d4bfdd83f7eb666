/**
 * GGUF, the single file of llama.cpp and its kin: typed metadata, then tensors, plain or in GGML's block formats
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; versions 1 to 3, either byte order).
 */

import { sizeOf } from '../../graph/shape.ts';
import { shapeText } from '../../tensor/convert.ts';
import { Tensor } from '../../tensor/index.ts';
import { dtypeFor, type FileType, fileBytesOf } from '../elements.ts';
import { type ByteSource, openFile } from '../source.ts';
import { checkProportion, type StoredTensor, tensorOf, type WeightsFile } from '../weights.ts';
import { BLOCKS, type BlockName, dequantise } from './blocks.ts';

export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** GGML's type numbers. Strings without layout here (the importance-matrix formats) are listed but cannot be read. */
const TYPES: ReadonlyMap<number, FileType | BlockName | string> = new Map([
  [0, 'f32'], [1, 'f16'], [2, 'q4_0'], [3, 'q4_1'], [6, 'q5_0'], [7, 'q5_1'], [8, 'q8_0'], [9, 'q8_1'],
  [10, 'q2_K'], [11, 'q3_K'], [12, 'q4_K'], [13, 'q5_K'], [14, 'q6_K'], [15, 'q8_K'],
  [16, 'iq2_xxs'], [17, 'iq2_xs'], [18, 'iq3_xxs'], [19, 'iq1_s'], [20, 'iq4_nl'], [21, 'iq3_s'], [22, 'iq2_s'], [23, 'iq4_xs'],
  [24, 'i8'], [25, 'i16'], [26, 'i32'], [27, 'i64'], [28, 'f64'], [29, 'iq1_m'], [30, 'bf16'], [34, 'tq1_0'], [35, 'tq2_0'], [39, 'mxfp4'],
]); // biome-ignore format: a table

const PLAIN: ReadonlySet<string> = new Set(['f32', 'f16', 'f64', 'bf16', 'i8', 'i16', 'i32', 'i64']);
const isPlain = (name: string): name is FileType => PLAIN.has(name);
const isBlock = (name: string): name is BlockName => Object.hasOwn(BLOCKS, name);

const MAGIC = 'GGUF';
/** GGML's own limit. */
const MAX_DIMS = 4;
/** Lists within lists: the format allows them, nobody writes more than one level. */
const MAX_DEPTH = 8;

/**
 * Opens a GGUF file; block formats (q4_0 to q8_0, q2_K to q8_K, iq4) are read as f32. Shapes are PyTorch's (GGUF stores
 * the fastest dim first). `metadata` has the file's keys and values; 64-bit integers that a number cannot hold come as
 * bigint.
 * @throws Error naming the file, the offset and the field that is wrong
 */
export function openGguf(path: string): WeightsFile & { readonly metadata: Readonly<Record<string, GgufValue>> } {
  const file = openFile(path);
  try {
    return { path, ...readFrom(file), close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

class Reader {
  readonly source: ByteSource;
  littleEndian = true;
  /** Version 1 counts in 32 bits. */
  wide = true;
  at = 0;
  private window = new Uint8Array(0);
  private start = 0;

  constructor(source: ByteSource) {
    this.source = source;
  }

  fail(what: string, at = this.at): never {
    throw new Error(`${this.source.name}: not a valid GGUF file: at byte ${at}: ${what}`);
  }

  private view(length: number, field: string): DataView {
    if (this.at + length > this.source.size)
      this.fail(`${field} takes ${length} bytes, and ${this.source.size - this.at} are left`);
    if (this.at < this.start || this.at + length > this.start + this.window.length) {
      this.window = this.source.read(this.at, Math.min(Math.max(length, 1 << 16), this.source.size - this.at));
      this.start = this.at;
    }
    const view = new DataView(this.window.buffer, this.at - this.start, length);
    this.at += length;
    return view;
  }

  u32(field: string): number {
    return this.view(4, field).getUint32(0, this.littleEndian);
  }

  count(field: string): number {
    if (!this.wide) return this.u32(field);
    const value = this.view(8, field).getBigUint64(0, this.littleEndian);
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? this.fail(`${field} is ${value}`, this.at - 8) : Number(value);
  }

  text(field: string): string {
    const at = this.at;
    const length = this.count(`the length of ${field}`);
    if (length > this.source.size - this.at)
      this.fail(`${field} claims ${length} bytes, and ${this.source.size - this.at} are left`, at);
    const view = this.view(length, field);
    return new TextDecoder().decode(view);
  }

  value(type: number, field: string, depth = 0): GgufValue {
    if (type === 8) return this.text(field);
    if (type === 9) return this.list(field, depth);
    const scalar = SCALARS[type];
    if (!scalar) return this.fail(`${field} has type ${type}, expected 0 to 12`, this.at - 4);
    return scalar.read(this.view(scalar.bytes, field), this.littleEndian);
  }

  private list(field: string, depth: number): GgufValue {
    if (depth === MAX_DEPTH) this.fail(`${field} has lists nested deeper than ${MAX_DEPTH}`);
    const type = this.u32(field);
    const at = this.at;
    const length = this.count(`the length of ${field}`);
    // Every item takes at least its scalar, a length, or a type and a length.
    const least = type === 8 ? (this.wide ? 8 : 4) : type === 9 ? (this.wide ? 12 : 8) : (SCALARS[type]?.bytes ?? 1);
    if (length * least > this.source.size - this.at)
      this.fail(`${field} claims ${length} items, and ${this.source.size - this.at} bytes are left`, at);
    const items = new Array<GgufValue>(length);
    for (let i = 0; i < length; i++) items[i] = this.value(type, field, depth + 1);
    return items;
  }
}

interface Scalar {
  readonly bytes: number;
  readonly read: (view: DataView, littleEndian: boolean) => GgufValue;
}

const exact = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};

const SCALARS: Readonly<Record<number, Scalar>> = {
  0: { bytes: 1, read: view => view.getUint8(0) },
  1: { bytes: 1, read: view => view.getInt8(0) },
  2: { bytes: 2, read: (view, little) => view.getUint16(0, little) },
  3: { bytes: 2, read: (view, little) => view.getInt16(0, little) },
  4: { bytes: 4, read: (view, little) => view.getUint32(0, little) },
  5: { bytes: 4, read: (view, little) => view.getInt32(0, little) },
  6: { bytes: 4, read: (view, little) => view.getFloat32(0, little) },
  7: { bytes: 1, read: view => view.getUint8(0) !== 0 },
  10: { bytes: 8, read: (view, little) => exact(view.getBigUint64(0, little)) },
  11: { bytes: 8, read: (view, little) => exact(view.getBigInt64(0, little)) },
  12: { bytes: 8, read: (view, little) => view.getFloat64(0, little) },
};

interface Contents {
  readonly format: string;
  readonly tensors: readonly StoredTensor[];
  readonly metadata: Readonly<Record<string, GgufValue>>;
}

function readFrom(source: ByteSource): Contents {
  const reader = new Reader(source);
  if (source.size < 24 || new TextDecoder().decode(source.read(0, 4)) !== MAGIC)
    reader.fail(`it does not start with ${MAGIC}`);
  reader.at = 4;
  let version = reader.u32('the version');
  if (version >= 1 << 16) {
    reader.littleEndian = false;
    reader.at = 4;
    version = reader.u32('the version');
  }
  if (version < 1 || version > 3) reader.fail(`its version is ${version}, expected 1 to 3`, 4);
  reader.wide = version > 1;
  const tensorCount = reader.count('the number of tensors');
  const keyCount = reader.count('the number of keys');
  const metadata: Record<string, GgufValue> = Object.create(null);
  for (let i = 0; i < keyCount; i++) {
    const at = reader.at;
    const key = reader.text(`key ${i} of ${keyCount}`);
    if (key in metadata) reader.fail(`the key ${JSON.stringify(key)} is repeated`, at);
    metadata[key] = reader.value(reader.u32(key), key);
  }
  const infos = readInfos(reader, tensorCount);
  const alignment = metadata['general.alignment'] ?? 32;
  if (typeof alignment !== 'number' || !(alignment >= 1) || !Number.isInteger(alignment))
    return reader.fail(`general.alignment is ${String(alignment)}`);
  const dataStart = Math.ceil(reader.at / alignment) * alignment;
  return {
    format: `GGUF v${version}`,
    tensors: infos.map(info => stored(source, info, dataStart, reader.littleEndian)),
    metadata,
  };
}

interface Info {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: string;
  readonly offset: number;
}

function readInfos(reader: Reader, count: number): Info[] {
  const infos: Info[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const at = reader.at;
    const name = reader.text(`the name of tensor ${i} of ${count}`);
    if (names.has(name)) reader.fail(`the tensor ${JSON.stringify(name)} is repeated`, at);
    names.add(name);
    const dims = reader.u32(`the dims of ${name}`);
    if (dims > MAX_DIMS) reader.fail(`${name} has ${dims} dims, at most ${MAX_DIMS} are allowed`, reader.at - 4);
    const shape = Array.from({ length: dims }, (_, d) => reader.count(`dim ${d} of ${name}`)).reverse();
    const number = reader.u32(`the type of ${name}`);
    const type = TYPES.get(number) ?? reader.fail(`${name} has the unknown type ${number}`, reader.at - 4);
    infos.push({ name, shape, type, offset: reader.count(`the offset of ${name}`) });
  }
  return infos;
}

function stored(source: ByteSource, info: Info, dataStart: number, littleEndian: boolean): StoredTensor {
  const { name, shape, type } = info;
  const where = `${source.name}: tensor ${JSON.stringify(name)}`;
  const elements = sizeOf(shape);
  const block = isBlock(type) ? BLOCKS[type] : null;
  const bytes = block ? (elements / block.weights) * block.bytes : isPlain(type) ? elements * fileBytesOf(type) : 0;
  if (!Number.isSafeInteger(elements)) throw new Error(`${where} has shape ${shapeText(shape)}, which no memory holds`);
  if (block && (shape.at(-1) ?? 1) % block.weights !== 0)
    throw new Error(
      `${where} is ${type}, whose rows are multiples of ${block.weights}, and ${shape.length === 0 ? 'it has no dims' : `its last dim is ${shape.at(-1)}`}`,
    );
  const start = dataStart + info.offset;
  if (start + bytes > source.size)
    throw new Error(`${where} ends at byte ${start + bytes} of a file of ${source.size}`);
  const read = (): Tensor => {
    if (!block && !isPlain(type)) throw new Error(`${where} is ${type}, a block format that Tenon does not read`);
    if (!block) return tensorOf(source.read(start, bytes), type as FileType, shape, where, littleEndian);
    if (!littleEndian) throw new Error(`${where} is ${type} in a big-endian file, expected a little-endian one`);
    checkProportion(where, elements * 4, source.size);
    return Tensor.from(dequantise(source.read(start, bytes), type as BlockName), { dtype: 'f32', shape: [...shape] });
  };
  return { name, dtype: block ? 'f32' : isPlain(type) ? dtypeFor(type) : null, storedAs: type, shape, bytes, read };
}
