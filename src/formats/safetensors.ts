/**
 * safetensors: an 8-byte header length, a JSON header, then the tensors' bytes
 * (https://github.com/huggingface/safetensors, "Format"). Reading trusts nothing: every length and offset is checked
 * against the file before anything is allocated by it.
 */

import { bytesOf, type DType, type HostArray } from '../graph/dtype.ts';
import { sizeOf } from '../graph/shape.ts';
import { shapeText } from '../tensor/convert.ts';
import { Tensor } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import { writeAtomic } from './atomic.ts';
import { dtypeFor, encodeElements, type FileType, fileBytesOf } from './elements.ts';
import { type Json, parseJson, shown } from './json.ts';
import { type ByteSource, bytesSource, openFile, withFile } from './source.ts';
import { type StoredTensor, tensorOf, type WeightsFile } from './weights.ts';

/** The header's own limit in the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;

const FILE_TYPES: Readonly<Record<string, FileType>> = {
  F64: 'f64', F32: 'f32', F16: 'f16', BF16: 'bf16', I64: 'i64', I32: 'i32', I16: 'i16', I8: 'i8',
  U64: 'u64', U32: 'u32', U16: 'u16', U8: 'u8', BOOL: 'bool',
}; // biome-ignore format: a table

const NAMES: { readonly [D in DType]: string } = {
  f32: 'F32', f64: 'F64', f16: 'F16', bf16: 'BF16', i32: 'I32', i64: 'I64', u8: 'U8', i8: 'I8', bool: 'BOOL',
}; // biome-ignore format: a table

/** What one safetensors file holds. */
export interface SafetensorsFile {
  readonly tensors: Record<string, Tensor>;
  /** The `__metadata__` entry: strings by name. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Where one tensor of a file lies; offsets count from the end of the header. */
interface Entry {
  readonly name: string;
  readonly type: FileType;
  readonly storedAs: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads a safetensors file. I16 and U16 come as i32, U32 and U64 as i64; the other dtypes as they are.
 * @throws Error naming the file and what is wrong with it, where it is missing, truncated, or its header lies.
 */
export function loadSafetensors(path: string): SafetensorsFile {
  return withFile(path, readFrom);
}

/** The same from bytes in memory; `name` is what errors call them. */
export function parseSafetensors(bytes: Uint8Array, name = 'safetensors'): SafetensorsFile {
  return readFrom(bytesSource(bytes, name));
}

/**
 * Writes `tensors` (and string `metadata`) as one safetensors file, atomically. Tensors are ordered by falling element
 * size, then name, so that every one is aligned.
 * @throws TypeError for what is no tensor, Error naming the file where it cannot be written; an existing file is then
 * left as it was.
 */
export function saveSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  writeAtomic(path, safetensorsChunks(tensors, metadata));
}

/** A tensor to be written: what it is now, its elements when their turn comes. */
export interface PendingTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  data(): HostArray;
}

/** The bytes of a safetensors file, in order: header, then one chunk per tensor (views of the tensors' data). */
export const safetensorsChunks = (
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] => [
  ...streamSafetensors(
    Object.entries(tensors).map(([name, tensor]) => {
      if (!(tensor instanceof Tensor))
        throw new TypeError(`safetensors: "${name}" is no tensor (of a model, save model.stateDict())`);
      return { name, dtype: tensor.dtype, shape: tensor.shape, data: () => tensor.data() };
    }),
    metadata,
  ),
];

/** The same, holding one tensor's elements at a time. */
export function* streamSafetensors(
  tensors: readonly PendingTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Generator<Uint8Array> {
  const ordered = [...tensors].sort((a, b) => bytesOf(b.dtype) - bytesOf(a.dtype) || (a.name < b.name ? -1 : 1));
  const entries: string[] = [];
  for (const [name, value] of Object.entries(metadata))
    if (typeof value !== 'string')
      throw new TypeError(`safetensors: metadata ${name}: expected a string, got ${describe(value)}`);
  if (Object.keys(metadata).length > 0) entries.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const { name, dtype, shape } of ordered) {
    if (name === '__metadata__') throw new Error('saveSafetensors: a tensor is named __metadata__, which is reserved');
    const end = offset + sizeOf(shape) * bytesOf(dtype);
    // Written entry by entry: a JavaScript object would reorder names that look like integers.
    entries.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype: NAMES[dtype], shape, data_offsets: [offset, end] })}`,
    );
    offset = end;
  }
  const json = new TextEncoder().encode(`{${entries.join(',')}}`);
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  header.set(json, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  yield header;
  for (const tensor of ordered) yield encodeElements(tensor.data());
}

/**
 * Opens a safetensors file without reading its tensors; `openWeights` takes the `*.index.json` of a sharded model, too.
 * @throws Error naming the file and what is wrong with it
 */
export function openSafetensors(path: string): WeightsFile {
  const file = openFile(path);
  try {
    const { entries, metadata } = readHeader(file);
    return { path, format: 'safetensors', tensors: entries, metadata, close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

function readFrom(source: ByteSource): SafetensorsFile {
  const { entries, metadata } = readHeader(source);
  const tensors: Record<string, Tensor> = Object.create(null);
  for (const entry of entries) tensors[entry.name] = entry.read();
  return { tensors, metadata };
}

interface Header {
  readonly entries: readonly StoredTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

function readHeader(source: ByteSource): Header {
  const fail = (what: string): never => {
    throw new Error(`${source.name}: not a valid safetensors file: ${what}`);
  };
  if (source.size < 8) fail(`it has ${source.size} bytes, and the header length alone takes 8`);
  const claimed = new DataView(source.read(0, 8).buffer).getBigUint64(0, true);
  if (claimed > BigInt(Math.min(MAX_HEADER_BYTES, source.size - 8)))
    fail(
      `the header length at byte 0 is ${claimed}, and ${source.size - 8} bytes follow (at most ${MAX_HEADER_BYTES} are allowed)`,
    );
  const headerBytes = Number(claimed);
  const dataStart = 8 + headerBytes;
  const dataBytes = source.size - dataStart;
  let header: Json;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(source.read(8, headerBytes));
    header = parseJson(text, { maxDepth: 4 });
  } catch (error) {
    return fail(`the header at byte 8 is not JSON: ${(error as Error).message}`);
  }
  if (!isObject(header)) return fail('the header at byte 8 is not a JSON object');

  const entries: Entry[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isObject(value) || !Object.values(value).every(v => typeof v === 'string'))
        fail('__metadata__ is not an object of strings');
      metadata = value as Readonly<Record<string, string>>;
    } else entries.push(checkEntry(name, value, dataBytes, fail));
  }
  checkCoverage(entries, dataBytes, fail);
  const tensors = entries.map(({ name, type, storedAs, shape, begin, end }) => ({
    name,
    dtype: dtypeFor(type),
    storedAs,
    shape,
    bytes: end - begin,
    read: () =>
      tensorOf(
        source.read(dataStart + begin, end - begin),
        type,
        shape,
        `${source.name}: tensor ${JSON.stringify(name)}`,
      ),
  }));
  return { entries: tensors, metadata };
}

function checkEntry(name: string, value: Json, dataBytes: number, fail: (what: string) => never): Entry {
  const tensor = `tensor ${JSON.stringify(name)}`;
  if (!isObject(value)) return fail(`${tensor} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  const type = typeof dtype === 'string' && Object.hasOwn(FILE_TYPES, dtype) ? FILE_TYPES[dtype]! : null;
  if (!type) return fail(`${tensor} has dtype ${shown(dtype)}, expected one of ${Object.keys(FILE_TYPES).join(', ')}`);
  if (!isCounts(shape)) return fail(`${tensor} has shape ${shown(shape)}, expected a list of sizes`);
  if (!isCounts(offsets) || offsets.length !== 2)
    return fail(`${tensor} has data_offsets ${shown(offsets)}, expected [begin, end]`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes)
    return fail(`${tensor} lies at data_offsets [${begin}, ${end}], and the file has ${dataBytes} bytes of data`);
  const bytes = shape.reduce((a, n) => a * n, fileBytesOf(type));
  if (bytes !== end - begin)
    return fail(
      `${tensor} of ${dtype} ${shapeText(shape)} needs ${bytes} bytes, and its data_offsets [${begin}, ${end}] span ${end - begin}`,
    );
  return { name, type, storedAs: String(dtype), shape, begin, end };
}

/**
 * As in the reference implementation, the tensors must cover the data exactly: no overlap, no hole, nothing after the
 * last.
 */
function checkCoverage(entries: readonly Entry[], dataBytes: number, fail: (what: string) => never): void {
  let covered = 0;
  let last = '';
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < covered)
      fail(
        `tensor ${JSON.stringify(name)} at data_offsets [${begin}, ${end}] overlaps tensor ${JSON.stringify(last)}, which ends at ${covered}`,
      );
    if (begin > covered) fail(`bytes ${covered} to ${begin} of the data belong to no tensor`);
    covered = end;
    last = name;
  }
  if (covered !== dataBytes) fail(`the tensors end at byte ${covered} of the data, and the file has ${dataBytes}`);
}

const isObject = (value: Json): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isCounts = (value: Json | undefined): value is readonly number[] =>
  Array.isArray(value) && value.every(n => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0);
