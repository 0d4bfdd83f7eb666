/**
 * The Tensor: an immutable, lazy value, as its user sees it. Holds a graph node and reads it on demand; every operation
 * is a plain function of ops/ whose first argument is the tensor, and becomes a method of the same name here. Imports
 * graph and runtime; knows nothing of modules or optimizers.
 */
import type { DType, HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { whole } from '../graph/storage.ts';
import { evaluate, evaluateAsync, isTracing, noteMade } from '../runtime/index.ts';
import { backward } from './backward.ts';
import { expectOne, fromData, itemOf, type Nested, type NestedInput, nestedOf, type TensorData } from './convert.ts';
import { checkTensor, normalDim, refuseOut } from './operands.ts';
import * as advanced from './ops/advanced.ts';
import * as compare from './ops/compare.ts';
import * as creationLike from './ops/creationLike.ts';
import * as distinct from './ops/distinct.ts';
import * as elementwise from './ops/elementwise.ts';
import { extremeAlong } from './ops/extreme.ts';
import * as histogram from './ops/histogram.ts';
import * as indexing from './ops/indexing.ts';
import * as math from './ops/math.ts';
import * as matmul from './ops/matmul.ts';
import * as matrix from './ops/matrix.ts';
import { medianAlong } from './ops/median.ts';
import * as numbers from './ops/numbers.ts';
import * as reduce from './ops/reduce.ts';
import * as scan from './ops/scan.ts';
import * as segments from './ops/segments.ts';
import * as select from './ops/select.ts';
import * as shape from './ops/shape.ts';
import * as softmax from './ops/softmax.ts';
import * as sort from './ops/sort.ts';
import * as special from './ops/special.ts';
import * as statistics from './ops/statistics.ts';
import * as strided from './ops/strided.ts';
import * as views from './ops/views.ts';
import { checkOptions } from './options.ts';
import { formatTensor } from './print.ts';
import { isInsideTransform } from './symbolic.ts';

/** Functions whose first argument is the tensor, as its methods. */
type Methods<Ops> = {
  readonly [K in keyof Ops]: Ops[K] extends (...all: infer A) => infer T ? (...rest: Rest<A>) => T : never;
};

/** What follows the tensor; of sizes, which come as an array or one by one, either. */
type Rest<All> = All extends readonly [x: unknown, ...rest: infer R] ? R : never;

/**
 * Every function that is a method, by name. Made of its modules, so that published declarations keep the functions'
 * docs.
 */
type Ops = typeof advanced &
  typeof compare &
  typeof creationLike &
  typeof distinct &
  typeof elementwise &
  typeof histogram &
  typeof indexing &
  typeof math &
  typeof matmul &
  typeof matrix &
  typeof numbers &
  typeof reduce &
  typeof scan &
  typeof segments &
  typeof select &
  typeof shape &
  typeof softmax &
  typeof sort &
  typeof special &
  typeof statistics &
  typeof strided &
  typeof views;

const OPS: readonly Readonly<Record<string, unknown>>[] = [
  advanced,
  compare,
  creationLike,
  distinct,
  elementwise,
  histogram,
  indexing,
  math,
  matmul,
  matrix,
  numbers,
  reduce,
  scan,
  segments,
  select,
  shape,
  softmax,
  sort,
  special,
  statistics,
  strided,
  views,
];

/** What a two-valued reduction or a sort returns. */
export interface ValuesAndIndices {
  readonly values: Tensor;
  readonly indices: Tensor;
}

export interface Tensor extends Methods<Ops> {}

/**
 * An immutable array of numbers of one dtype. Lazy: operations describe what to compute, and reading a value (`item`,
 * `data`, `toArray`, printing) computes it. Made by `tensor`, `zeros`, `randn`, ...; every operation is a method and a
 * function of the same name.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods of OPS are installed below
export class Tensor {
  readonly #node: Node;

  /** Wraps a graph node; users call `Tensor.from`, `zeros`, `randn`, ... */
  constructor(node: Node) {
    this.#node = node;
    if (!node.value && !isTracing() && !isInsideTransform()) noteMade(node);
  }

  /** The graph node that computes this tensor. */
  get node(): Node {
    return this.#node;
  }

  /**
   * A tensor of given data: a number, boolean or bigint, nested arrays of them, or a typed array (with `shape`, default
   * one dim). Numbers default to f32, booleans to bool, bigints to i64; typed arrays keep their type. The data is
   * copied.
   *
   * @throws when rows differ in length, or `shape` does not hold the data.
   */
  static from(
    data: NestedInput | TensorData,
    options: { readonly dtype?: DType; readonly shape?: readonly number[] } = {},
  ): Tensor {
    return new Tensor(fromData(data, options));
  }

  /** Sizes of the dims. */
  get shape(): readonly number[] {
    return this.node.shape;
  }

  get dtype(): DType {
    return this.node.dtype;
  }

  /** Number of dims. */
  get ndim(): number {
    return this.node.shape.length;
  }

  /** Number of dims, as `ndim`. */
  dim(): number {
    return this.ndim;
  }

  /** All sizes, or the size of one dim (negative counts from the end). */
  size(): readonly number[];
  size(dim: number): number;
  size(dim?: number): readonly number[] | number {
    if (dim === undefined) return this.shape;
    return this.shape[normalDim('size', dim, this.ndim)]!;
  }

  /** Number of elements. */
  numel(): number {
    return this.node.size;
  }

  /** Whether a parameter that requires a gradient is among the tensor's ancestors. */
  get requiresGrad(): boolean {
    return this.node.requiresGrad;
  }

  /** Dims in reverse order (of a matrix: the transpose). */
  get T(): Tensor {
    return this.permute(this.shape.map((_, d) => this.ndim - 1 - d));
  }

  /** T (there are no complex dtypes). */
  get H(): Tensor {
    return this.T;
  }

  /** mT (there are no complex dtypes). */
  get mH(): Tensor {
    return this.mT;
  }

  /** The last two dims swapped; a tensor without dims as it is. */
  get mT(): Tensor {
    return this.ndim === 0 ? this : this.transpose(-2, -1);
  }

  /**
   * The elements in C order, evaluated now. bool is one byte each, f16 and bf16 are their 16-bit patterns (use
   * `toArray` for numbers). Not a copy: do not write into it.
   */
  data(): HostArray {
    const node = this.node;
    if (!node.value) evaluate([node]);
    return whole(node.value!, node.size);
  }

  /** `data()` without blocking. */
  async dataAsync(): Promise<HostArray> {
    const node = this.node;
    if (!node.value) await evaluateAsync([node]);
    return whole(node.value!, node.size);
  }

  /**
   * The only element as a JavaScript value: a boolean for bool, a number otherwise (a bigint for an i64 beyond 2^53).
   *
   * @throws when the tensor has not exactly one element.
   */
  item(): number {
    const { node } = this;
    const { value, dtype } = node;
    // The loss of a small step, read after each: no calls (decision 284).
    if (value?.length === 1 && dtype === 'f32') return value[0] as number;
    expectOne(node);
    return itemOf(value ? whole(value, 1) : this.data(), dtype) as number;
  }

  /** `item()` without blocking. */
  async itemAsync(): Promise<number> {
    const data = await this.dataAsync();
    expectOne(this.node);
    return itemOf(data, this.dtype) as number;
  }

  /** The elements as nested arrays (a plain value when the tensor has no dims). */
  toArray(): Nested {
    return nestedOf(this.data(), this.shape, this.dtype);
  }

  /** `toArray()` without blocking. */
  async toArrayAsync(): Promise<Nested> {
    return nestedOf(await this.dataAsync(), this.shape, this.dtype);
  }

  /** Evaluates and prints, as `tensor([[1.0000, 2.0000]], f32 [1, 2])`; beyond 1000 elements only the borders. */
  toString(): string {
    return formatTensor(this.data(), this.shape, this.dtype);
  }

  /** Nested numbers, so that JSON.stringify of results holds their values. */
  toJSON(): Nested {
    return this.toArray();
  }

  /** Text in templates. JavaScript's operators would silently join texts or give NaN. @throws TypeError for them */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.toString();
    throw new TypeError(
      'tensors have no operators: write a.add(b) for a + b, a.lt(b) for a < b, and a.item() for a number',
    );
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** Computes the value now (otherwise the first read does) and returns the tensor. */
  eval(): this {
    this.data();
    return this;
  }

  /**
   * The largest element (its gradient shared evenly among equal ones), or values and first positions along `dim`, or
   * the elementwise larger of two.
   */
  max(): Tensor;
  max(dim: number, options?: { readonly keepdim?: boolean }): ValuesAndIndices;
  max(other: Tensor): Tensor;
  max(dimOrOther?: number | Tensor, options: { readonly keepdim?: boolean } = {}): Tensor | ValuesAndIndices {
    checkOptions('max', options, ['keepdim']);
    if (dimOrOther === undefined) return this.amax();
    if (typeof dimOrOther !== 'number') return this.maximum(dimOrOther);
    return extremeAlong('max', this, dimOrOther, options.keepdim);
  }

  /**
   * The smallest element (its gradient shared evenly among equal ones), or values and first positions along `dim`, or
   * the elementwise smaller of two.
   */
  min(): Tensor;
  min(dim: number, options?: { readonly keepdim?: boolean }): ValuesAndIndices;
  min(other: Tensor): Tensor;
  min(dimOrOther?: number | Tensor, options: { readonly keepdim?: boolean } = {}): Tensor | ValuesAndIndices {
    checkOptions('min', options, ['keepdim']);
    if (dimOrOther === undefined) return this.amin();
    if (typeof dimOrOther !== 'number') return this.minimum(dimOrOther);
    return extremeAlong('min', this, dimOrOther, options.keepdim);
  }

  /** The middle element (the lower of two; NaN if there is one), or middle values and their positions along `dim`. */
  median(): Tensor;
  median(dim: number, options?: { readonly keepdim?: boolean }): ValuesAndIndices;
  median(dim?: number, options: { readonly keepdim?: boolean } = {}): Tensor | ValuesAndIndices {
    checkOptions('median', options, ['keepdim']);
    if (dim === undefined) return medianAlong(this.reshape([-1]), 0).values;
    return medianAlong(this, dim, options.keepdim);
  }

  /** median that leaves NaN out. */
  nanmedian(): Tensor;
  nanmedian(dim: number, options?: { readonly keepdim?: boolean }): ValuesAndIndices;
  nanmedian(dim?: number, options: { readonly keepdim?: boolean } = {}): Tensor | ValuesAndIndices {
    checkOptions('nanmedian', options, ['keepdim']);
    if (dim === undefined) return medianAlong(this.reshape([-1]), 0, false, true).values;
    return medianAlong(this, dim, options.keepdim, true);
  }

  /**
   * Adds the gradient of this tensor to `.grad` of every parameter it was computed from. `gradient` is the cotangent,
   * of this tensor's shape; a tensor of one element needs none.
   */
  backward(gradient?: Tensor): void {
    backward(this, gradient);
  }
}

type Op = (x: Tensor, ...rest: readonly unknown[]) => unknown;

function methodOf(name: string, ops: (typeof OPS)[number]) {
  let op: Op;
  return function (this: Tensor, ...rest: readonly unknown[]): unknown {
    checkTensor(name, 'input', this);
    refuseOut(name, rest[rest.length - 1]);
    op ??= ops[name] as Op;
    return op(this, ...rest);
  };
}

// Behind the class's own prototype, in an object that V8 keeps as a table: to add hundreds of methods to any other
// takes milliseconds of every start.
const methods = Object.create(null);
for (const ops of OPS)
  for (const name of Object.keys(ops))
    Reflect.defineProperty(methods, name, { value: methodOf(name, ops), writable: true, configurable: true });
Object.setPrototypeOf(methods, Object.prototype);
Object.setPrototypeOf(Tensor.prototype, methods);
