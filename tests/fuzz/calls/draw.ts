/**
 * What calls of the public API are drawn from: the values so far, evaluated on the reference backend as they are made,
 * and fresh leaves.
 */
import { type DType, isFloat, Tensor } from '../../../src/index.ts';
import type { Random } from '../random.ts';

/** A tensor that came from no call; inputs of the program are arguments, the others are closed over. */
export interface Leaf {
  readonly tensor: Tensor;
  readonly input: boolean;
}

/** One call of the public API on earlier values. */
export interface Call {
  readonly name: string;
  readonly from: readonly number[];
  readonly of: (...xs: Tensor[]) => Tensor;
}

export type Entry = Leaf | Call;

/** A value there is: where it stands among the entries, and what it is on the reference backend. */
export interface Held {
  readonly at: number;
  readonly tensor: Tensor;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Makes a call on a value, or null where the value does not suit it. */
export type Maker = (d: Draw, x: Held) => Call | null;

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Ones, primes, and just under, at and over vectors. */
export const SIZES = [1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 19, 31, 32, 33];
/** Some that are cut into pieces and shared out between threads. */
const LARGE_SIZES = [...SIZES, 48, 63, 64, 65, 96, 127, 128, 129, 200, 257];
const DTYPES: readonly DType[] = ['f32', 'f32', 'f32', 'f32', 'f64', 'f64', 'bf16', 'f16', 'i32', 'i64', 'u8', 'i8', 'bool']; // biome-ignore format: a table

export class Draw {
  readonly r: Random;
  readonly entries: Entry[] = [];
  readonly held: Held[] = [];
  /** Elements of a drawn shape. */
  readonly mostElements: number;
  /** Products of a drawn convolution or contraction. */
  readonly mostWork: number;
  private readonly sizes: readonly number[];

  constructor(r: Random) {
    this.r = r;
    const large = r.once(8);
    this.mostElements = large ? 30_000 : 3000;
    this.mostWork = large ? 4_000_000 : 400_000;
    this.sizes = large ? LARGE_SIZES : SIZES;
  }

  dtype(): DType {
    return this.r.pick(DTYPES);
  }

  shape(rank = this.r.int(5)): number[] {
    const shape = Array.from({ length: rank }, () => this.r.pick(this.sizes));
    while (sizeOf(shape) > this.mostElements) shape[this.r.int(rank)] = 1 + this.r.int(3);
    if (rank > 0 && this.r.once(30)) shape[this.r.int(rank)] = 0;
    return shape;
  }

  hold(entry: Entry, tensor: Tensor): Held {
    const held = { at: this.entries.length, tensor, shape: tensor.shape, dtype: tensor.dtype };
    this.entries.push(entry);
    this.held.push(held);
    return held;
  }

  /** Numbers in (-2, 2), small whole ones, or truth values, of no backend's making. */
  numbers(shape: readonly number[], dtype: DType): Tensor {
    const { r } = this;
    const whole = (): number => r.int(dtype === 'bool' ? 2 : 7) - (dtype === 'u8' || dtype === 'bool' ? 0 : 3);
    const data = Array.from({ length: sizeOf(shape) }, isFloat(dtype) ? () => 4 * r.next() - 2 : whole);
    return Tensor.from(data, { shape, dtype: isFloat(dtype) ? 'f64' : 'i64' })
      .to(dtype)
      .eval();
  }

  leaf(shape: readonly number[], dtype: DType): Held {
    if (sizeOf(shape) > 4 * this.mostElements) throw new Error('too large for a leaf');
    const tensor = this.numbers(shape, dtype);
    return this.hold({ tensor, input: isFloat(dtype) && !this.r.once(4) }, tensor);
  }

  /** One of the values, the last ones more often. */
  take(): Held {
    const { r, held } = this;
    return r.once(3) ? r.pick(held) : held[held.length - 1 - r.int(Math.min(3, held.length))]!;
  }

  /** A value of exactly this shape and dtype. */
  like(shape: readonly number[], dtype: DType): Held {
    const fitting = this.held.filter(v => v.dtype === dtype && v.shape.join() === shape.join());
    return fitting.length > 0 && !this.r.once(3) ? this.r.pick(fitting) : this.leaf(shape, dtype);
  }

  /** One that `shape` broadcasts with, now and then of another dtype. */
  partner(x: Held, dtype = this.r.once(8) ? this.dtype() : x.dtype): Held {
    const { r } = this;
    if (r.once(2)) return this.like(x.shape, dtype);
    const shape = x.shape.map(n => (r.once(3) ? 1 : n)).slice(r.once(3) ? r.int(x.shape.length + 1) : 0);
    return this.like(shape, dtype);
  }

  /** A dim, now and then counted from the end. */
  dim(x: Held): number {
    const rank = x.shape.length;
    if (rank === 0) throw new Error('no dims');
    return this.r.int(rank) - (this.r.once(3) ? rank : 0);
  }

  /** Whole numbers in [0, size), closed over by the call. */
  indices(shape: readonly number[], size: number, dtype: 'i32' | 'i64' = 'i64'): Tensor {
    const data = Array.from({ length: sizeOf(shape) }, () => this.r.int(size));
    return Tensor.from(data, { shape, dtype });
  }

  mask(shape: readonly number[]): Tensor {
    return this.numbers(shape, 'bool');
  }

  dims(x: Held): number[] | null {
    const some = x.shape.map((_, d) => d).filter(() => this.r.once(2));
    return some.length > 0 ? some : null;
  }
}

/** A call by its name with the arguments that are no tensors. */
export function call(name: string, args: unknown, from: readonly Held[], of: (...xs: Tensor[]) => Tensor): Call {
  const shown =
    args === null
      ? ''
      : ` ${JSON.stringify(args, (_, v) => (v instanceof Tensor ? `[${v.shape}] ${v.dtype} ${JSON.stringify(v.toArray())}` : v))}`;
  return { name: `${name}${shown}`, from: from.map(x => x.at), of };
}

/** The last size, or the size of a dim. */
export const at = (x: Held, dim: number): number => x.shape.at(dim)!;
