/**
 * The weights of a TensorFlow.js model: a JSON manifest beside binary shards, elements plain or quantised to 8 or 16
 * bits (tfjs-core's io/types.ts and io_utils.ts `decodeWeights`).
 */

import { basename, dirname, join } from 'node:path';
import { f16Value } from '../../graph/half.ts';
import { sizeOf } from '../../graph/shape.ts';
import { Tensor } from '../../tensor/index.ts';
import { dtypeFor, type FileType, fileBytesOf } from '../elements.ts';
import { type Json, shown } from '../json.ts';
import { type OpenSource, openFile } from '../source.ts';
import { type StoredTensor, tensorOf } from '../weights.ts';

type JsonObject = { readonly [key: string]: Json };

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const TYPES: Readonly<Record<string, FileType>> = {
  float32: 'f32', float16: 'f16', int32: 'i32', uint8: 'u8', int8: 'i8', bool: 'bool', int64: 'i64', float64: 'f64',
}; // biome-ignore format: a table

interface Quantisation {
  readonly type: 'uint8' | 'uint16' | 'float16';
  readonly scale: number;
  readonly min: number;
}

/** One group of the manifest: its shards, one after the other, hold its weights one after the other. */
interface Shards {
  read(offset: number, length: number): Uint8Array<ArrayBuffer>;
  readonly size: number;
}

/** The tensors of a manifest, and how to close its shards. @throws Error naming file, weight and field */
export function manifestTensors(
  manifest: Json,
  path: string,
): { readonly tensors: readonly StoredTensor[]; close(): void } {
  const fail = (what: string): never => {
    throw new Error(`${path}: not a valid weights manifest: ${what}`);
  };
  if (!Array.isArray(manifest)) return fail('it is no list of groups');
  const open: OpenSource[] = [];
  const close = (): void => {
    for (const file of open) file.close();
  };
  try {
    const tensors = manifest.flatMap((group: Json, g) => {
      if (!isObject(group) || !Array.isArray(group['weights']) || !Array.isArray(group['paths']))
        return fail(`group ${g} has no lists "paths" and "weights"`);
      const shards = shardsOf(group['paths'], dirname(path), open, fail);
      let offset = 0;
      return group['weights'].map((entry: Json) => {
        const tensor = storedWeight(entry, shards, offset, path, fail);
        offset += tensor.bytes;
        return tensor;
      });
    });
    return { tensors, close };
  } catch (error) {
    close();
    throw error;
  }
}

function shardsOf(paths: readonly Json[], folder: string, open: OpenSource[], fail: (what: string) => never): Shards {
  const files = paths.map(name => {
    if (typeof name !== 'string' || name !== basename(name) || name === '..')
      return fail(`the shard ${JSON.stringify(name)} is no file beside the manifest`);
    const file = openFile(join(folder, name));
    open.push(file);
    return file;
  });
  const read = (offset: number, length: number): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(length);
    let start = 0;
    for (const file of files) {
      const from = Math.max(offset, start);
      const to = Math.min(offset + length, start + file.size);
      if (from < to) bytes.set(file.read(from - start, to - from), from - offset);
      start += file.size;
    }
    return bytes;
  };
  return { read, size: files.reduce((sum, file) => sum + file.size, 0) };
}

function storedWeight(
  entry: Json,
  shards: Shards,
  offset: number,
  path: string,
  fail: (what: string) => never,
): StoredTensor {
  if (!isObject(entry) || typeof entry['name'] !== 'string') return fail('a weight has no name');
  const { name, shape, dtype, quantization } = entry as {
    name: string;
    shape?: Json;
    dtype?: Json;
    quantization?: Json;
  };
  const where = `${path}: weight ${JSON.stringify(name)}`;
  if (!Array.isArray(shape) || !shape.every(n => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0))
    return fail(`${name} has shape ${shown(shape)}, expected a list of sizes`);
  const dims = shape as readonly number[];
  const type = typeof dtype === 'string' && Object.hasOwn(TYPES, dtype) ? TYPES[dtype]! : null;
  if (!type) {
    if (typeof dtype !== 'string') return fail(`${name} has no dtype`);
    const read = (): never => {
      throw new Error(`${where} is ${dtype}, which Tenon has no dtype for`);
    };
    // Strings and complex numbers cannot be skipped without reading them: what follows in the group is refused by its
    // size.
    return {
      name,
      dtype: null,
      storedAs: dtype,
      shape: dims,
      bytes: dtype === 'complex64' ? sizeOf(dims) * 8 : 0,
      read,
    };
  }
  const packed = quantization === undefined ? null : quantisation(quantization, name, fail);
  const width = packed ? (packed.type === 'uint8' ? 1 : 2) : fileBytesOf(type);
  const bytes = sizeOf(dims) * width;
  if (offset + bytes > shards.size)
    return fail(`${name} ends at byte ${offset + bytes} of shards of ${shards.size} bytes`);
  const read = (): Tensor => {
    const raw = shards.read(offset, bytes);
    return packed ? unpacked(raw, packed, type, dims) : tensorOf(raw, type, dims, where);
  };
  return {
    name,
    dtype: dtypeFor(type),
    storedAs: packed ? `${dtype} in ${packed.type}` : String(dtype),
    shape: dims,
    bytes,
    read,
  };
}

function quantisation(value: Json, name: string, fail: (what: string) => never): Quantisation {
  if (!isObject(value)) return fail(`${name} has a quantization that is no object`);
  const { dtype, scale = 1, min = 0 } = value as { dtype?: Json; scale?: Json; min?: Json };
  if (dtype !== 'uint8' && dtype !== 'uint16' && dtype !== 'float16')
    return fail(`${name} is quantised to ${shown(dtype)}, expected uint8, uint16 or float16`);
  if (typeof scale !== 'number' || typeof min !== 'number')
    return fail(`${name} has a quantization without scale and min`);
  return { type: dtype, scale, min };
}

/** q * scale + min, in f32; rounded for integers. */
function unpacked(raw: Uint8Array<ArrayBuffer>, q: Quantisation, type: FileType, shape: readonly number[]): Tensor {
  const stored = q.type === 'uint8' ? raw : new Uint16Array(raw.buffer, raw.byteOffset, raw.length / 2);
  const values = new Float32Array(stored.length);
  for (let i = 0; i < stored.length; i++)
    values[i] = q.type === 'float16' ? f16Value(stored[i]!) : stored[i]! * q.scale + q.min;
  const tensor = Tensor.from(values, { shape: [...shape] });
  return type === 'f32' ? tensor : tensor.round().to(dtypeFor(type));
}
