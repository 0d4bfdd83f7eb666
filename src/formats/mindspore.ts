/**
 * MindSpore's checkpoints (`.ckpt`): one protobuf message of named tensors (mindspore/ccsrc/utils/checkpoint.proto).
 * Elements stay in the file until they are read.
 */
import { sizeOf } from '../graph/shape.ts';
import { dtypeFor, type FileType, fileBytesOf } from './elements.ts';
import { readMessage } from './protobuf/read.ts';
import { type Range, Schema } from './protobuf/schema.ts';
import { openFile } from './source.ts';
import { type StoredTensor, tensorOf, type WeightsFile } from './weights.ts';

interface Value {
  tag: string;
  tensor: { dims: number[]; type: string; content: Range | null } | null;
}

interface Messages {
  Checkpoint: { value: Value[] };
  Value: Value;
  Tensor: { dims: number[]; type: string; content: Range | null };
}

const SCHEMA = new Schema<Messages>({
  Checkpoint: { 1: 'value Value[]' },
  Value: { 1: 'tag string', 2: 'tensor Tensor' },
  Tensor: { 1: 'dims size[]', 2: 'type string', 3: 'content range' },
});

const TYPES: Readonly<Record<string, FileType>> = {
  Bool: 'bool', Int8: 'i8', Int16: 'i16', Int32: 'i32', Int64: 'i64', UInt8: 'u8', UInt16: 'u16', UInt32: 'u32', UInt64: 'u64',
  Float16: 'f16', Float32: 'f32', Float64: 'f64', BFloat16: 'bf16',
}; // biome-ignore format: a table

/** Large tensors come in several values of one tag, one after the other. */
interface Gathered {
  readonly type: string;
  readonly dims: readonly number[];
  readonly parts: Range[];
}

/** Opens a checkpoint. A scalar is stored with dims [0] and comes without dims. @throws Error naming file and tensor */
export function openMindSpore(path: string): WeightsFile {
  const file = openFile(path);
  try {
    const { value } = readMessage(file, SCHEMA, 'Checkpoint');
    const tensors = new Map<string, Gathered>();
    for (const { tag, tensor } of value) {
      if (!tensor) throw new Error(`${path}: the value ${JSON.stringify(tag)} has no tensor`);
      const content = tensor.content ?? { offset: 0, length: 0 };
      const known = tensors.get(tag);
      if (known) known.parts.push(content);
      else tensors.set(tag, { type: tensor.type, dims: tensor.dims, parts: [content] });
    }
    const stored = [...tensors].map(([name, gathered]) => storedTensor(name, gathered));
    return { path, format: 'MindSpore checkpoint', tensors: stored, metadata: {}, close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }

  function storedTensor(name: string, { type, dims, parts }: Gathered): StoredTensor {
    const where = `${path}: tensor ${JSON.stringify(name)}`;
    const element = Object.hasOwn(TYPES, type) ? TYPES[type]! : null;
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    const scalar = dims.length === 1 && dims[0] === 0 && element !== null && bytes === fileBytesOf(element);
    const shape = scalar ? [] : dims;
    if (shape.some(n => n < 0)) throw new Error(`${where} has dims [${dims}]`);
    const expected = element ? sizeOf(shape) * fileBytesOf(element) : bytes;
    if (expected !== bytes)
      throw new Error(`${where}: ${type} [${dims}] needs ${expected} bytes, and there are ${bytes}`);
    const read = () => {
      if (!element) throw new Error(`${where} is ${type}, which Tenon has no dtype for`);
      const whole = new Uint8Array(bytes);
      let at = 0;
      for (const { offset, length } of parts) {
        whole.set(file.read(offset, length), at);
        at += length;
      }
      return tensorOf(whole, element, shape, where);
    };
    return { name, dtype: element && dtypeFor(element), storedAs: type, shape, bytes, read };
  }
}
