/**
 * Pickles of named arrays: Paddle's `.pdparams` and `.pdopt`, Jittor's `.pkl`, MegEngine's `.pkl` and `.mge`, and any
 * other dict of numpy arrays.
 */
import { type ByteSource, openFile } from '../source.ts';
import type { WeightsFile } from '../weights.ts';
import { arrayTensor } from './array.ts';
import { Cursor } from './cursor.ts';
import { type Builder, unpickle } from './machine.ts';
import { NumpyArray, numpyGlobal, pythonGlobal } from './numpy.ts';
import { named } from './tree.ts';

/** What stands behind Jittor's pickle: 20 bytes of SHA-1, then this. */
const JITTOR_END = 'HCAJSLHD';
/** Paddle's table of structured names, which is no parameter. */
const PADDLE_NAMES = 'StructuredToParameterName@@';

/** A MegEngine tensor is built from (array, dtype, device); its state (quantisation) is not needed. */
class MegEngineTensor {
  readonly array: NumpyArray;

  constructor(array: unknown) {
    if (!(array instanceof NumpyArray)) throw new Error('a tensor without array');
    this.array = array;
  }
}

const megengine: Builder = ([array]) => new MegEngineTensor(array);

const MEGENGINE: ReadonlySet<string> = new Set([
  'megengine.tensor.Tensor',
  'megengine.tensor.Parameter',
  'megengine.core.tensor.Tensor',
]);

const global = (name: string): Builder | null =>
  pythonGlobal(name) ?? numpyGlobal(name) ?? (MEGENGINE.has(name) ? megengine : null);

/**
 * Opens a pickle of named arrays; nested names are joined by dots.
 * @throws Error naming file, byte and name for a pickle that asks for anything but arrays and plain containers, and for
 * a damaged file
 */
export function openPickle(path: string): WeightsFile {
  const file = openFile(path);
  try {
    const seen = new Set<string>();
    const root = unpickle(new Cursor(file), {
      global: name => {
        seen.add(name);
        return global(name);
      },
    });
    const tensors = [];
    const metadata: Record<string, unknown> = Object.create(null);
    for (const [name, leaf] of named(paddleNamed(root), file.size, path)) {
      const value = leaf instanceof MegEngineTensor ? leaf.array : leaf;
      if (value instanceof NumpyArray)
        tensors.push(arrayTensor(name, value, `${path}: tensor ${JSON.stringify(name)}`, file.size));
      else metadata[name] = value;
    }
    return { path, format: formatOf(file, root, seen), tensors, metadata, close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

function formatOf(file: ByteSource, root: unknown, globals: ReadonlySet<string>): string {
  const end = file.read(Math.max(0, file.size - JITTOR_END.length), Math.min(JITTOR_END.length, file.size));
  if (Buffer.from(end).toString('latin1') === JITTOR_END) return 'Jittor (pickle)';
  if ([...globals].some(name => MEGENGINE.has(name))) return 'MegEngine (pickle)';
  if (root instanceof Map && (root.has(PADDLE_NAMES) || [...root.values()].some(isPaddlePair)))
    return 'Paddle (pickle)';
  return 'pickle';
}

/** Newer Paddle saves a tensor as (name, array). */
const isPaddlePair = (value: unknown): value is [string, NumpyArray] =>
  Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && value[1] instanceof NumpyArray;

/** A dict whose (name, array) pairs are their arrays: the key says the structured name. */
const paddleNamed = (root: unknown): unknown =>
  root instanceof Map ? new Map([...root].map(([key, value]) => [key, isPaddlePair(value) ? value[1] : value])) : root;
