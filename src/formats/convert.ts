/**
 * Weights from one format to another, tensor by tensor: memory holds one tensor at a time, and the result is there
 * whole or not at all.
 */

import { type DType, isFloat } from '../graph/dtype.ts';
import { sizeOf } from '../graph/shape.ts';
import { noGrad, type Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { writeAtomic } from './atomic.ts';
import { npyChunks } from './npy.ts';
import { streamNpz } from './npz.ts';
import { streamPyTorch } from './pytorch/writer.ts';
import { streamSafetensors } from './safetensors.ts';
import type { StoredTensor, WeightsFile } from './weights.ts';

/** Endings of what can be written. */
export const WRITABLE = ['.safetensors', '.npz', '.npy', '.pt', '.pth'] as const;

export interface ConvertOptions {
  /** Floating tensors are converted to it; by default they keep their dtype. */
  readonly dtype?: DType;
  /** Removed from the front of names that have it. */
  readonly strip?: string;
  /** Called before each tensor is read. */
  readonly onTensor?: (name: string, index: number, count: number) => void;
}

export interface Converted {
  readonly tensors: number;
  /** Elements of all tensors. */
  readonly elements: number;
}

/**
 * Writes the tensors of an open file as `path`, whose ending says how.
 * @throws Error for an ending that cannot be written, for a tensor Tenon has no dtype for, and for two tensors of one
 * name
 */
export function convertWeights(file: WeightsFile, path: string, options: ConvertOptions = {}): Converted {
  const { dtype, strip = '', onTensor } = checkOptions('convertWeights', options, ['dtype', 'strip', 'onTensor']);
  const ending = WRITABLE.find(end => path.endsWith(end));
  if (!ending) throw new Error(`cannot write ${path}: expected a name that ends with ${WRITABLE.join(', ')}`);
  const unreadable = file.tensors.find(tensor => tensor.dtype === null);
  if (unreadable)
    throw new Error(
      `${file.path}: tensor ${JSON.stringify(unreadable.name)} is ${unreadable.storedAs}, which Tenon does not read`,
    );
  let index = 0;
  const pending = file.tensors.map(tensor => {
    const target = dtype && isFloat(tensor.dtype!) ? dtype : tensor.dtype!;
    const read = (): Tensor => {
      onTensor?.(tensor.name, index++, file.tensors.length);
      return noGrad(() => tensor.read().to(target));
    };
    return { name: stripped(tensor, strip), dtype: target, shape: tensor.shape, read, data: () => read().data() };
  });
  const repeated = pending.find(({ name }, i) => pending.findIndex(other => other.name === name) !== i);
  if (repeated) throw new Error(`${file.path}: two tensors would be named ${JSON.stringify(repeated.name)}`);
  if (ending === '.safetensors') writeAtomic(path, streamSafetensors(pending, { format: 'pt' }));
  else if (ending === '.npz') writeAtomic(path, streamNpz(pending, path));
  else if (ending.startsWith('.pt')) writeAtomic(path, streamPyTorch(pending, path));
  else if (pending.length === 1) writeAtomic(path, npyChunks(pending[0]!.read()));
  else throw new Error(`cannot write ${path}: a .npy file holds one tensor, and ${file.path} has ${pending.length}`);
  return { tensors: pending.length, elements: pending.reduce((sum, { shape }) => sum + sizeOf(shape), 0) };
}

const stripped = ({ name }: StoredTensor, prefix: string): string =>
  prefix !== '' && name.startsWith(prefix) && name.length > prefix.length ? name.slice(prefix.length) : name;
