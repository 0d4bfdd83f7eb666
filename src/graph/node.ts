/**
 * A graph is pure dataflow over about thirty primitives. This file says which primitives there are, what each one's
 * attributes are, and what a node is. How nodes are built (shape rules, simplification) is in build.ts; what they mean
 * in numbers is what backends/reference computes; their derivatives are in ../transform. Knows nothing of tensors,
 * kernels or backends.
 */
import type { Choice, Loop } from './control.ts';
import type { DType, HostArray } from './dtype.ts';
import type { MatrixRoutine } from './matrix.ts';
import type { Variable } from './storage.ts';

/** Elementwise, one input, dtype kept (isNan: to bool). `not` is logical on bool and bitwise on integers. */
export const UNARY = [
  'neg', 'abs', 'sign', 'floor', 'ceil', 'trunc', 'round', 'sqrt', 'exp', 'expm1', 'log', 'log1p',
  'sin', 'cos', 'tan', 'tanh', 'sigmoid', 'erf', 'atan', 'lgamma', 'digamma', 'not',
] as const; // biome-ignore format: a table
export type Unary = (typeof UNARY)[number];

/**
 * Elementwise, two inputs of one shape and dtype, dtype kept. `div` on integers truncates; `floorDiv` and `mod` floor
 * (the remainder has the divisor's sign); `min` and `max` propagate NaN; `and`, `or`, `xor` are logical on bool,
 * bitwise on integers.
 */
export const BINARY = [
  'add', 'sub', 'mul', 'div', 'floorDiv', 'mod', 'pow', 'atan2', 'min', 'max', 'and', 'or', 'xor', 'shl', 'shr',
] as const; // biome-ignore format: a table
export type Binary = (typeof BINARY)[number];

/** Elementwise, two inputs of one shape and dtype, result bool. (`gt`, `ge`, `ne` are built from these.) */
export const COMPARE = ['eq', 'lt', 'le'] as const;
export type Compare = (typeof COMPARE)[number];

export type ReduceKind = 'sum' | 'prod' | 'max' | 'min';
export type ScatterKind = 'set' | 'add' | 'mul' | 'max' | 'min';
export type ScanKind = 'sum' | 'prod' | 'max' | 'min';

/**
 * Where one axis of a reindexed input is read: position = (sum of coef * dim + offset) / div over the output's dims.
 * A position that is not an integer, or outside the axis, reads `fill` instead. A dim may stand in two axes, as in the
 * inverse of a window: axes d and (h - d) / stride.
 */
export interface AxisMap {
  readonly terms: readonly (readonly [dim: number, coef: number])[];
  readonly offset: number;
  readonly div: number;
}

/**
 * One part of a graph that gradients recompute instead of keeping its values: all between `inputs` and the barriers
 * that hold this.
 */
export interface Checkpoint {
  readonly inputs: readonly Node[];
}

/**
 * Derivatives that a function brings along, for one application of it. Pure functions over nodes: `args` are what the
 * derivative is by, `results` all results of the function; cotangents and tangents are null where they are zero.
 */
export interface CustomRule {
  readonly vjp: (
    args: readonly Node[],
    results: readonly Node[],
    cotangents: readonly (Node | null)[],
  ) => (Node | null)[];
  readonly jvp: (
    args: readonly Node[],
    results: readonly Node[],
    tangents: readonly (Node | null)[],
  ) => (Node | null)[];
  /** The function itself, for results that nobody has kept. */
  readonly results: (args: readonly Node[]) => readonly Node[];
  /** How many results there are. */
  readonly count: number;
}

/** Attributes of every primitive, by name. */
export interface Attrs {
  // ---- leaves
  /** A literal known at compile time, shape []. Part of the structural hash. */
  constant: { readonly value: number | bigint };
  /** A host array (the node's `value`); bound when the program runs, so not part of the hash. */
  data: object;
  /** The value a variable has when the program starts; stale once the variable has moved past `version`. */
  variable: { readonly variable: Variable; readonly version: number };
  /** A value given per call (arguments of compiled functions and of transforms). */
  placeholder: { readonly name: string };
  /** 0, 1, 2, ... along a shape [n]. */
  iota: object;

  // ---- elementwise
  unary: { readonly fn: Unary };
  binary: { readonly fn: Binary };
  compare: { readonly fn: Compare };
  /** (bool, a, b) -> a where true, else b. */
  where: object;
  /** Numeric conversion to the node's dtype; float to integer truncates towards zero, to bool is != 0. */
  cast: object;
  /** Reinterprets the bits: f32 <-> i32, f64 <-> i64. */
  bitcast: object;
  /** Identity on an index; fails the program when an element is outside [-size, size); negative ones are wrapped. */
  checkIndex: { readonly size: number; readonly what: string };
  /** Identity with no derivative. */
  detach: object;
  /**
   * (x, ...after) -> x. An identity that is never merged with one of another group, which keeps recomputed values apart
   * from the first ones, and whose readers are computed after `after`. With `checkpoint`, gradients recompute what
   * computed x.
   */
  barrier: { readonly group: number; readonly checkpoint?: Checkpoint };
  /**
   * (result, ...args) -> result. An identity whose derivative by args is the rule's; the rule's results are numbered by
   * `output`.
   */
  custom: { readonly rule: CustomRule; readonly output: number };

  // ---- reindex: where elements come from
  reshape: object;
  /** Affine gather: permute, expand, slice, flip, pad, dilate, sliding windows and their inverses. */
  reindex: { readonly axes: readonly AxisMap[]; readonly fill: number };
  /**
   * (x, index): x[pre, n, post] at index[...] along `axis` -> [pre, ...index, post]; fails when an index is outside [0,
   * n).
   */
  gather: { readonly axis: number; readonly what: string };

  /** Parts one after another along `axis`; equal shapes otherwise. */
  concat: { readonly axis: number };

  // ---- reindex-reduce: where elements go to
  /** Reduces `axes` (sorted, distinct), which leave the shape. */
  reduce: { readonly kind: ReduceKind; readonly axes: readonly number[] };
  /** i64 position of the first maximum (NaN counts as one) or minimum along `axis`, which leaves the shape. */
  argReduce: { readonly kind: 'max' | 'min'; readonly axis: number };
  /** Inclusive scan along `axis`, from the end when `reverse`. */
  scan: { readonly kind: ScanKind; readonly axis: number; readonly reverse: boolean };
  /**
   * (base, index, updates): base[pre, n, post], updates [pre, ...index, post] combined into base at index along `axis`,
   * in index order. Where an index is outside [0, n) it fails, or with `drop` leaves the update out; indices inside are
   * distinct then. A variable assigned a dropping scatter into itself is written in place, at those rows alone: how
   * optimizers update tables. Dropping has no derivative.
   */
  scatter: { readonly kind: ScatterKind; readonly axis: number; readonly what: string; readonly drop: boolean };
  /**
   * Contraction of two inputs over labelled axes (einsum without repeats): labels in `a` and `b` but not in `out` are
   * summed. Every label stands in at least two of the three. Half types accumulate in f32.
   */
  contract: { readonly a: readonly number[]; readonly b: readonly number[]; readonly out: readonly number[] };

  // ---- routines
  /** i64 permutation that sorts `axis` stably; NaN is largest. */
  argSort: { readonly axis: number; readonly descending: boolean };
  /** Algorithms over the last two dims, batched over all others; see matrix.ts. */
  matrix: { readonly routine: MatrixRoutine };
  /**
   * (key: i64[2] = seed, counter) -> i32 bits of Philox 4x32-10 (Salmon et al., SC'11) of any shape: element i is word
   * i mod 4 of block counter + floor(i / 4), counter in the low two words of the 128-bit counter and seed as the 64-bit
   * key.
   */
  random: object;

  // ---- control flow: see control.ts
  /** (carries, xs, constants) -> one result of a loop. */
  loop: { readonly loop: Loop; readonly output: number };
  /** (condition, ...operands) -> one result of the body that the condition, a bool [], chooses. */
  choose: { readonly choice: Choice; readonly output: number };
}

export type Primitive = keyof Attrs;

let nodes = 0;

/**
 * One value: immutable, of known shape and dtype. `inputs` may be dropped once `value` is there and no gradient needs
 * them.
 */
export class Node<P extends Primitive = Primitive> {
  // Declared only, as the constructor writes them all: V8 would first define each, in a function of its own (decision 284).
  declare readonly id: number;
  declare readonly op: P;
  declare inputs: readonly Node[];
  declare readonly attrs: Attrs[P];
  declare shape: readonly number[];
  declare readonly dtype: DType;
  /** Elements. */
  declare readonly size: number;
  /**
   * Whether a parameter that requires a gradient is among its ancestors. Only a variable's own leaf changes it later
   * (freezing).
   */
  declare requiresGrad: boolean;
  /** The computed value, once evaluated. A node with a value is a leaf for every later program. */
  declare value: HostArray | null;

  constructor(
    op: P,
    inputs: readonly Node[],
    attrs: Attrs[P],
    shape: readonly number[],
    dtype: DType,
    requiresGrad: boolean,
  ) {
    this.id = ++nodes;
    this.op = op;
    this.inputs = inputs;
    this.attrs = attrs;
    this.shape = shape;
    this.dtype = dtype;
    this.requiresGrad = requiresGrad;
    let size = 1;
    for (let d = 0; d < shape.length; d++) size *= shape[d]!;
    this.size = size;
    this.value = null;
  }

  /** Whether the shape is this one. From then on it is the very list, so that the next question is one comparison. */
  hasShape(shape: readonly number[]): boolean {
    const own = this.shape;
    if (own.length !== shape.length) return false;
    for (let d = 0; d < own.length; d++) if (own[d] !== shape[d]) return false;
    this.shape = shape;
    return true;
  }

  is<Q extends Primitive>(op: Q): this is Node<Q> {
    return (this.op as Primitive) === op;
  }
}

/** Whether a node is a barrier of group 0: it only marks what is differentiated by (build.ts, `marked`). */
export const isMark = (node: Node): boolean => node.is('barrier') && node.attrs.group === 0;
