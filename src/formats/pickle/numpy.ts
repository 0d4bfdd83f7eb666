/**
 * What NumPy's own pickles are made of: arrays, dtypes and scalars (numpy/core/src/multiarray/methods.c,
 * `array_reduce`). Arrays stay in the file until they are read.
 */
import type { FileType } from '../elements.ts';
import { FileBytes } from './cursor.ts';
import type { Builder, Stateful } from './machine.ts';

/** Kind and size of a dtype's name to ours. */
const TYPES: Readonly<Record<string, FileType>> = {
  f2: 'f16', f4: 'f32', f8: 'f64', b1: 'bool', i1: 'i8', i2: 'i16', i4: 'i32', i8: 'i64',
  u1: 'u8', u2: 'u16', u4: 'u32', u8: 'u64',
}; // biome-ignore format: a table

class NumpyDtype implements Stateful {
  /** As numpy spells it: `f4`, `U12`, `O8`. */
  readonly name: string;
  littleEndian = true;

  constructor(name: string) {
    this.name = name.replace(/^[<>=|]/, '');
    if (name.startsWith('>')) this.littleEndian = false;
  }

  /** The second entry of a dtype's state is its byte order. */
  setState(state: unknown): void {
    if (Array.isArray(state) && state[1] === '>') this.littleEndian = false;
  }

  get type(): FileType | null {
    return TYPES[this.name] ?? null;
  }

  /** As numpy prints it: int64 for i8. */
  get longName(): string {
    const kind = { f: 'float', i: 'int', u: 'uint', c: 'complex' }[this.name[0]!];
    if (this.name === 'b1') return 'bool';
    return kind ? `${kind}${8 * Number(this.name.slice(1))}` : this.name;
  }
}

/** An array whose elements lie in the file, or (in protocols 0 to 2, where they were text) in memory. */
export class NumpyArray implements Stateful {
  shape: readonly number[] = [];
  dtype = new NumpyDtype('f4');
  fortran = false;
  data: FileBytes | Uint8Array<ArrayBuffer> = new Uint8Array(0);

  /** (version, shape, dtype, is_fortran, data) */
  setState(state: unknown): void {
    if (!Array.isArray(state) || state.length < 4) throw new Error('the state of an array is no tuple of five');
    const [shape, dtype, fortran, data] = state.slice(-4) as [unknown, unknown, unknown, unknown];
    if (!isShape(shape)) throw new Error('the shape of an array is no tuple of sizes');
    if (!(dtype instanceof NumpyDtype)) throw new Error('the dtype of an array is none');
    if (Array.isArray(data)) throw new Error(`an array of Python objects (${dtype.name}), which holds no numbers`);
    const bytes = typeof data === 'string' ? latin1(data) : data;
    if (!(bytes instanceof FileBytes || bytes instanceof Uint8Array))
      throw new Error('the elements of an array are no bytes');
    this.shape = shape;
    this.dtype = dtype;
    this.fortran = fortran === true || fortran === 1;
    this.data = bytes as FileBytes | Uint8Array<ArrayBuffer>;
  }
}

export const isShape = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every(n => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0);

/** A text of code points below 256 as the bytes it stands for. */
function latin1(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) throw new Error(`character ${i} of a byte string is U+${code.toString(16)}`);
    bytes[i] = code;
  }
  return bytes;
}

const dtype: Builder = ([name]) => {
  if (typeof name !== 'string') throw new Error('a dtype whose name is no text');
  return new NumpyDtype(name);
};

/** scalar(dtype, bytes): an array without dims. */
const scalar: Builder = ([type, bytes]) => {
  const array = new NumpyArray();
  array.setState([[], type, false, bytes]);
  return array;
};

const BUILDERS: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ['dtype', dtype],
  ['ndarray', () => new NumpyArray()],
  ['core.multiarray._reconstruct', () => new NumpyArray()],
  ['_core.multiarray._reconstruct', () => new NumpyArray()],
  ['core.multiarray.scalar', scalar],
  ['_core.multiarray.scalar', scalar],
  // Protocol 5 without out-of-band buffers: (bytes, dtype, shape, order).
  ['core.numeric._frombuffer', fromBuffer],
  ['_core.numeric._frombuffer', fromBuffer],
]);

function fromBuffer([bytes, type, shape, order]: readonly unknown[]): NumpyArray {
  const array = new NumpyArray();
  array.setState([shape, type, order === 'F', bytes]);
  return array;
}

/** Scalar types, which pickles name but never build. */
const SCALAR_TYPE = /^(?:bool_?|u?int(?:8|16|32|64)|float(?:16|32|64))$/;
const scalarType: Builder = () => {
  throw new Error('a scalar type is called');
};

/** The builder of a numpy global, by its whole name. */
export function numpyGlobal(name: string): Builder | null {
  if (!name.startsWith('numpy.')) return null;
  const own = name.slice('numpy.'.length);
  return BUILDERS.get(own) ?? (SCALAR_TYPE.test(own) ? scalarType : null);
}

const listed: Builder = ([items]) => [...(Array.isArray(items) ? items : [])];
const asSet: Builder = ([items]) => new Set(Array.isArray(items) ? items : []);
const asGiven: Builder = ([value]) => value ?? null;

/**
 * Containers and conversions of Python itself that files of weights use; of module `builtins`, or `__builtin__` before
 * Python 3.
 */
const BUILTINS: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ['dict', pairs],
  ['list', listed],
  ['tuple', listed],
  ['set', asSet],
  ['frozenset', asSet],
  ['complex', ([re, im]) => [re, im ?? 0]],
  ['slice', args => [...args]],
  ['bytearray', ([bytes]) => (typeof bytes === 'string' ? latin1(bytes) : (bytes ?? new Uint8Array(0)))],
  ...['int', 'long', 'float', 'bool', 'str', 'bytes'].map(name => [name, asGiven] as const),
]);

const LIBRARY: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ['collections.OrderedDict', pairs],
  ['collections.defaultdict', () => new Map()],
  ['collections.Counter', ([counts]) => counts ?? new Map()],
  // How protocol 2 writes bytes: text, and its encoding.
  ['_codecs.encode', ([text]) => (typeof text === 'string' ? latin1(text) : text)],
]);

/** OrderedDict() or OrderedDict([(key, value), ...]). */
function pairs([items]: readonly unknown[]): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  if (!Array.isArray(items)) return map;
  for (const item of items) if (Array.isArray(item)) map.set(item[0], item[1]);
  return map;
}

export function pythonGlobal(name: string): Builder | null {
  const own = /^(?:builtins|__builtin__)\.(\w+)$/.exec(name)?.[1];
  return (own === undefined ? LIBRARY.get(name) : BUILTINS.get(own)) ?? null;
}
