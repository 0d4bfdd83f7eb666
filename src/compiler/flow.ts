/**
 * The compiler's own copy of a graph: values in topological order, with their readers. A value's `inputs` never name a
 * detach or a barrier, so passes see through them. Imports the graph's data types only.
 */
import type { DType } from '../graph/dtype.ts';
import type { Attrs, Primitive } from '../graph/node.ts';

/** One value of the program being compiled. */
export class Value<P extends Primitive = Primitive> {
  /** Position in `Flow.values`; inputs have smaller ones. */
  readonly id: number;
  readonly op: P;
  readonly attrs: Attrs[P];
  readonly inputs: readonly Value[];
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly size: number;
  /** Distinct values that read this one. */
  readonly users: Value[] = [];
  /** Index in the program's leaves, or -1. */
  readonly leaf: number;
  /** When the user's program made the node: the natural order of execution. */
  readonly born: number;
  /** What is computed before: keeps a second computation out of the kernels of the first. */
  after: Value | null = null;
  /** Barrier group the value was computed in; 0 outside of any. Values of different groups never share a kernel. */
  readonly group: number;
  private typeText: string | undefined;

  constructor(
    id: number,
    op: P,
    attrs: Attrs[P],
    inputs: readonly Value[],
    shape: readonly number[],
    dtype: DType,
    leaf: number,
    born: number,
    group: number,
  ) {
    this.id = id;
    this.op = op;
    this.attrs = attrs;
    this.inputs = inputs;
    this.shape = shape;
    this.dtype = dtype;
    this.leaf = leaf;
    this.born = born;
    this.group = group;
    let size = 1;
    for (const n of shape) size *= n;
    this.size = size;
    for (const input of inputs) {
      if (input.users[input.users.length - 1] !== this) input.users.push(this as unknown as Value);
    }
  }

  /** `f32[3,4]`. */
  get type(): string {
    this.typeText ??= `${this.dtype}[${this.shape.join()}]`;
    return this.typeText;
  }

  is<Q extends Primitive>(op: Q): this is Value<Q> {
    return (this.op as Primitive) === op;
  }
}

/** A normalised program. */
export interface Flow {
  /** Inputs before their readers; all of them are needed for an output or an update. */
  readonly values: readonly Value[];
  /** One value per program leaf, or null where nothing reads the leaf. */
  readonly leaves: readonly (Value | null)[];
  readonly outputs: readonly Value[];
  readonly updates: readonly { readonly leaf: number; readonly value: Value }[];
  /** Per leaf: the first leaf that is bound to the same variable (itself for all others). */
  readonly sameMemory: readonly number[];
  /** Whether a value depends on lasting leaves alone: it is computed before the program runs, once. */
  readonly lasts: (value: Value) => boolean;
}

/** The value whose memory a chain of reshapes shows. */
export function storage(value: Value): Value {
  let v = value;
  while (v.op === 'reshape' && v.leaf < 0) v = v.inputs[0]!;
  return v;
}

const ELEMENTWISE: ReadonlySet<Primitive> = new Set<Primitive>([
  'unary',
  'binary',
  'compare',
  'where',
  'cast',
  'bitcast',
  'checkIndex',
]);

/** Whether element i of the result depends on element i of the inputs only. */
export const isElementwise = (value: Value): boolean => value.leaf < 0 && ELEMENTWISE.has(value.op);

/** Whether the value only says where elements of another one are found. */
export const isView = (value: Value): boolean =>
  value.leaf < 0 && (value.op === 'reshape' || value.op === 'reindex' || value.op === 'gather');

/** Whether the value is a literal or counts along an axis: it needs no memory. */
export const isGenerated = (value: Value): boolean =>
  value.leaf < 0 && (value.op === 'constant' || value.op === 'iota');
