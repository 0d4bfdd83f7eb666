/**
 * Paddle's parameter records: `.pdiparams` (all persistable variables in the order of their names) and the older one
 * file per variable (SerializeToStream of paddle/fluid/framework/lod_tensor.cc and tensor_util.cc).
 */
import { sizeOf } from '../../graph/shape.ts';
import { dtypeFor, type FileType, fileBytesOf } from '../elements.ts';
import { readMessage } from '../protobuf/read.ts';
import type { ByteSource } from '../source.ts';
import { type StoredTensor, tensorOf } from '../weights.ts';
import { SCHEMA } from './schema.ts';

/** Numbers of VarType.Type as a file has them. */
const TYPES: Readonly<Record<number, FileType>> = {
  0: 'bool', 1: 'i16', 2: 'i32', 3: 'i64', 4: 'f16', 5: 'f32', 6: 'f64', 20: 'u8', 21: 'i8', 22: 'bf16',
}; // biome-ignore format: a table

/** Descriptions of tensors take a few bytes. */
const MAX_DESC_BYTES = 4096;

/** The record at `offset`, under a name. @throws Error naming file, variable and offset */
export function storedRecord(source: ByteSource, name: string, offset: number): { tensor: StoredTensor; end: number } {
  const where = `${source.name}: variable ${JSON.stringify(name)}`;
  let at = offset;
  const take = (length: number, field: string): DataView => {
    if (at + length > source.size)
      throw new Error(`${where}: ${field} at byte ${at} takes ${length} bytes, and ${source.size - at} are left`);
    const bytes = source.read(at, length);
    at += length;
    return new DataView(bytes.buffer);
  };
  const count = (field: string): number => {
    const value = take(8, field).getBigUint64(0, true);
    if (value > BigInt(source.size - at))
      throw new Error(`${where}: ${field} at byte ${at - 8} is ${value}, and ${source.size - at} bytes are left`);
    return Number(value);
  };
  const version = take(4, 'the version').getUint32(0, true);
  if (version !== 0) throw new Error(`${where}: version ${version} at byte ${offset}, expected 0`);
  const levels = count('the number of levels');
  for (let level = 0; level < levels; level++) at += count(`the size of level ${level}`);
  const tensorVersion = take(4, 'the version of the tensor').getUint32(0, true);
  if (tensorVersion !== 0) throw new Error(`${where}: tensor version ${tensorVersion} at byte ${at - 4}, expected 0`);
  const descBytes = take(4, 'the length of the description').getInt32(0, true);
  if (descBytes < 0 || descBytes > MAX_DESC_BYTES || at + descBytes > source.size)
    throw new Error(`${where}: a description of ${descBytes} bytes at byte ${at}`);
  const { dataType, dims } = readMessage(source, SCHEMA, 'TensorDesc', { offset: at, length: descBytes });
  at += descBytes;
  const type = TYPES[dataType];
  if (!type) throw new Error(`${where}: its type is number ${dataType}, which Tenon has none for`);
  if (dims.some(n => n < 0)) throw new Error(`${where}: its dims are [${dims}]`);
  const start = at;
  const bytes = sizeOf(dims) * fileBytesOf(type);
  if (!(start + bytes <= source.size))
    throw new Error(
      `${where}: ${type} [${dims}] needs ${bytes} bytes from byte ${start} on, and the file has ${source.size}`,
    );
  const read = () => tensorOf(source.read(start, bytes), type, dims, where);
  return { tensor: { name, dtype: dtypeFor(type), storedAs: type, shape: dims, bytes, read }, end: start + bytes };
}

/** All variables of one file, which must end with the last. */
export function storedRecords(source: ByteSource, names: readonly string[]): StoredTensor[] {
  const tensors: StoredTensor[] = [];
  let at = 0;
  for (const name of names) {
    const { tensor, end } = storedRecord(source, name, at);
    tensors.push(tensor);
    at = end;
  }
  if (at !== source.size)
    throw new Error(`${source.name}: ${names.length} variables end at byte ${at}, and the file has ${source.size}`);
  return tensors;
}
