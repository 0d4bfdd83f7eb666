/**
 * Applications of ONNX operators drawn at random: what the tables of drawnTensors.ts and drawnModels.ts are written in.
 */
import type { AttributeProto, NodeProto, TensorProto } from '../../../src/formats/onnx/proto/schema.ts';
import { model, port } from './models.ts';

/** Element types of the draws: ONNX's code, onnxruntime's name and the array of both. */
const TYPES = {
  float: [1, 'float32', Float32Array],
  uint8: [2, 'uint8', Uint8Array],
  int8: [3, 'int8', Int8Array],
  uint16: [4, 'uint16', Uint16Array],
  int16: [5, 'int16', Int16Array],
  int32: [6, 'int32', Int32Array],
  int64: [7, 'int64', BigInt64Array],
  string: [8, 'string', Array],
  bool: [9, 'bool', Uint8Array],
  float16: [10, 'float16', Uint16Array],
  double: [11, 'float64', Float64Array],
  uint32: [12, 'uint32', Uint32Array],
  uint64: [13, 'uint64', BigUint64Array],
} as const;

export type Type = keyof typeof TYPES;
export const codeOf = (type: Type): number => TYPES[type][0];
export const ortTypeOf = (type: Type): (typeof TYPES)[Type][1] => TYPES[type][1];

export const FLOATS: readonly Type[] = ['float', 'double', 'float16'];
export const SIGNED: readonly Type[] = ['int8', 'int16', 'int32', 'int64'];
export const UNSIGNED: readonly Type[] = ['uint8', 'uint16', 'uint32', 'uint64'];
export const NUMBERS: readonly Type[] = [...FLOATS, ...SIGNED, ...UNSIGNED];
export const ANY: readonly Type[] = [...NUMBERS, 'bool', 'string'];

type Data = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;
/** One input with its values. */
export interface Input {
  readonly type: Type;
  readonly dims: readonly number[];
  readonly data: Data | BigInt64Array | BigUint64Array | string[];
}

export type Attribute = Partial<AttributeProto>;
const encoder = new TextEncoder();

export const A = {
  int: (name: string, value: number | boolean): Attribute => ({ name, type: 2, i: BigInt(Number(value)) }),
  float: (name: string, f: number): Attribute => ({ name, type: 1, f }),
  text: (name: string, value: string): Attribute => ({ name, type: 3, s: encoder.encode(value) }),
  ints: (name: string, values: readonly number[]): Attribute => ({ name, type: 7, ints: values.map(BigInt) }),
  floats: (name: string, values: readonly number[]): Attribute => ({ name, type: 6, floats: [...values] }),
  texts: (name: string, values: readonly string[]): Attribute => ({
    name,
    type: 8,
    strings: values.map(value => encoder.encode(value)),
  }),
};

/** One node with its inputs (null: left out). */
export interface Application {
  readonly op: string;
  readonly domain?: string;
  readonly opset: number;
  readonly attributes: readonly Attribute[];
  readonly inputs: readonly (Input | null)[];
  readonly outputs: number;
}

/** What a table's entry gives; the opset is drawn among those of the entry. */
export type Drawn = Pick<Application, 'inputs'> & Partial<Pick<Application, 'attributes' | 'outputs'>>;
export type Entry = (draw: Draw) => Drawn;

/** An operator: the versions to draw from, and its draws. */
export interface Operator {
  readonly opsets: readonly number[];
  readonly entry: Entry;
  readonly domain?: string;
}

const RECENT = [13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26];
/** Opset versions from `first` on. */
export const SINCE = (first: number): number[] => [7, 8, 9, 10, 11, 12, ...RECENT].filter(v => v >= first);

/** Mulberry32. */
const generator = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};

const toHalf = (value: number): number => {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24);
  const exponent = ((bits >>> 23) & 0xff) - 127;
  return sign | (((exponent + 15) << 10) + Math.round((size / 2 ** exponent - 1) * 1024));
};

const WORDS = ['a', 'b', 'tenon', 'Monday', '', 'äöü', 'b c'];

export class Draw {
  readonly #next: () => number;
  readonly opset: number;

  constructor(seed: number, opsets: readonly number[]) {
    this.#next = generator(seed);
    this.opset = this.pick(opsets);
  }

  /** A whole number from low to high, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.#next() * (high - low + 1));
  }

  real(low: number, high: number): number {
    return low + this.#next() * (high - low);
  }

  flag(): boolean {
    return this.#next() < 0.5;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)]!;
  }

  some<T>(list: readonly T[]): T[] {
    return list.filter(() => this.flag());
  }

  shuffled<T>(list: readonly T[]): T[] {
    return list.map(item => [this.#next(), item] as const).sort(([a], [b]) => a - b).map(([, item]) => item); // biome-ignore format: one line
  }

  /** Sizes from 1 to 4. */
  shape(low = 1, high = 4): number[] {
    return Array.from({ length: this.int(low, high) }, () => this.int(1, 4));
  }

  /** A shape that broadcasts with `dims`. */
  broadcast(dims: readonly number[]): number[] {
    return dims.slice(this.int(0, dims.length)).map(n => (this.#next() < 0.3 ? 1 : n));
  }

  axis(rank: number): number {
    return this.int(-rank, rank - 1);
  }

  tensor(type: Type, dims: readonly number[], low = -3, high = 3): Input {
    const length = dims.reduce((a, n) => a * n, 1);
    const unsigned = type.startsWith('u');
    return this.of(
      type,
      dims,
      Array.from({ length }, () => {
        if (type === 'bool') return this.int(0, 1);
        if (FLOATS.includes(type)) return this.real(low, high);
        return this.int(unsigned ? Math.max(0, Math.ceil(low)) : Math.ceil(low), Math.floor(high));
      }),
    );
  }

  /** The numbers given; for strings, words chosen by them. */
  of(type: Type, dims: readonly number[], values: readonly number[]): Input {
    if (type === 'string') return { type, dims, data: values.map(() => this.pick(WORDS)) };
    if (type === 'int64') return { type, dims, data: BigInt64Array.from(values, BigInt) };
    if (type === 'uint64') return { type, dims, data: BigUint64Array.from(values, BigInt) };
    if (type === 'float16') return { type, dims, data: Uint16Array.from(values, toHalf) };
    return { type, dims, data: TYPES[type][2].from(values) as Data };
  }

  int64s(values: readonly number[]): Input {
    return this.of('int64', [values.length], values);
  }

  scalar(type: Type, value: number): Input {
    return this.of(type, [], [value]);
  }

  /** An attribute, or half of the time none: the default. */
  maybe(...attributes: readonly Attribute[]): Attribute[] {
    return attributes.filter(() => this.flag());
  }
}

const protoOf = (name: string, { type, dims, data }: Input): Partial<TensorProto> => ({
  name,
  dims: [...dims],
  dataType: codeOf(type),
  ...(Array.isArray(data)
    ? { stringData: data.map(text => encoder.encode(text)) }
    : { rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }),
});

/** The file: inputs whose place is in `constants` are stored in it. */
export function fileOf(application: Application, constants: ReadonlySet<number>): Uint8Array {
  const { op, domain = '', opset, inputs, attributes, outputs } = application;
  const names = inputs.map((input, i) => (input ? `x${i}` : ''));
  const present = inputs.flatMap((input, i) => (input ? [[input, i] as const] : []));
  const results = Array.from({ length: outputs }, (_, k) => `y${k}`);
  return model(
    {
      name: op,
      input: present.filter(([, i]) => !constants.has(i)).map(([input, i]) => port(names[i]!, input.dims, codeOf(input.type))), // biome-ignore format: one line
      initializer: present.filter(([, i]) => constants.has(i)).map(([input, i]) => protoOf(names[i]!, input)) as TensorProto[], // biome-ignore format: one line
      output: results.map(name => ({ name, type: null })),
      node: [
        { opType: op, domain, input: names, output: results, attribute: attributes as AttributeProto[] },
      ] as NodeProto[],
    },
    {
      irVersion: 10,
      opsetImport: domain === '' ? [{ domain, version: opset }] : [{ domain: '', version: 21 }, { domain, version: opset }], // biome-ignore format: one line
    },
  );
}

/** The inputs as TensorProto bytes' fields, for our reader. */
export const inputProto = protoOf;
