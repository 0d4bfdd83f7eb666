/**
 * State dicts as PyTorch's zip files (torch.save since 1.6, torch/serialization.py): a pickle of an OrderedDict of
 * tensors, each over a storage of its own, and the storages as stored entries. `torch.load` reads them, with
 * `weights_only` too.
 */

import { Zip, ZipPassThrough } from 'fflate';
import { bytesOf, type DType } from '../../graph/dtype.ts';
import { sizeOf } from '../../graph/shape.ts';
import { Tensor } from '../../tensor/index.ts';
import { writeAtomic } from '../atomic.ts';
import { encodeElements } from '../elements.ts';
import type { PendingTensor } from '../safetensors.ts';

import { checkZipSize } from '../zip.ts';

const STORAGES: { readonly [D in DType]: string } = {
  f32: 'FloatStorage', f64: 'DoubleStorage', f16: 'HalfStorage', bf16: 'BFloat16Storage', i64: 'LongStorage', i32: 'IntStorage',
  u8: 'ByteStorage', i8: 'CharStorage', bool: 'BoolStorage',
}; // biome-ignore format: a table

/**
 * Writes tensors as a PyTorch file, atomically: `torch.load` gives an OrderedDict in the order of `tensors`.
 * @throws RangeError for 4 GB and more, which safetensors files hold
 */
export function savePyTorch(path: string, tensors: Readonly<Record<string, Tensor>>): void {
  const pending = Object.entries(tensors).map(([name, tensor]) => {
    if (!(tensor instanceof Tensor))
      throw new TypeError(`savePyTorch: "${name}" is no tensor (of a model, save model.stateDict())`);
    return { name, dtype: tensor.dtype, shape: tensor.shape, data: () => tensor.data() };
  });
  writeAtomic(path, streamPyTorch(pending, path));
}

/** The bytes of the file, in order, holding one tensor's elements at a time; `path` is what errors call it. */
export function* streamPyTorch(tensors: readonly PendingTensor[], path: string): Generator<Uint8Array> {
  const size = tensors.reduce((sum, { dtype, shape }) => sum + sizeOf(shape) * bytesOf(dtype), 0);
  checkZipSize(path, size);
  let ready: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    ready.push(chunk);
  });
  function* entry(name: string, bytes: Uint8Array): Generator<Uint8Array> {
    const stored = new ZipPassThrough(`archive/${name}`);
    zip.add(stored);
    stored.push(bytes, true);
    yield* ready;
    ready = [];
  }
  yield* entry('data.pkl', stateDictPickle(tensors));
  for (const [key, tensor] of tensors.entries()) yield* entry(`data/${key}`, encodeElements(tensor.data()));
  yield* entry('version', new TextEncoder().encode('3\n'));
  zip.end();
  yield* ready;
}

/** The pickle (protocol 2) of an OrderedDict of tensors. */
function stateDictPickle(tensors: readonly PendingTensor[]): Uint8Array {
  const out: number[] = [0x80, 2];
  const put = (...parts: readonly (string | number)[]): void => {
    for (const part of parts) {
      if (typeof part === 'number') out.push(part);
      else for (const byte of new TextEncoder().encode(part)) out.push(byte);
    }
  };
  const text = (value: string): void => {
    const bytes = new TextEncoder().encode(value);
    put('X');
    number(bytes.length, 4);
    for (const byte of bytes) out.push(byte);
  };
  const number = (value: number, bytes: number): void => {
    for (let i = 0, rest = value; i < bytes; i++, rest = Math.floor(rest / 256)) out.push(rest % 256);
  };
  /** BININT, or LONG1 beyond 31 bits. */
  const integer = (value: number): void => {
    if (value < 2 ** 31) {
      put('J');
      number(value, 4);
    } else {
      put(0x8a, 8);
      number(value, 8);
    }
  };
  const tuple = (values: readonly number[]): void => {
    put('(');
    for (const value of values) integer(value);
    put('t');
  };
  put('ccollections\nOrderedDict\n)R(');
  for (const [key, { name, dtype, shape }] of tensors.entries()) {
    text(name);
    put('ctorch._utils\n_rebuild_tensor_v2\n((');
    text('storage');
    put(`ctorch\n${STORAGES[dtype]}\n`);
    text(String(key));
    text('cpu');
    integer(sizeOf(shape));
    put('tQ');
    integer(0);
    tuple(shape);
    tuple(shape.map((_, d) => sizeOf(shape.slice(d + 1))));
    // requires_grad false, and no hooks.
    put(0x89, 'ccollections\nOrderedDict\n)RtR');
  }
  put('u.');
  return Uint8Array.from(out);
}
