/**
 * What fusion makes: groups of values that become one kernel each. A group says which values it computes and at which
 * coordinates of its iteration space; how they are looped over is lowering's business. Imports the flow, index
 * expressions and contraction plans.
 */
import type { ContractPlan } from './absorb.ts';
import type { Value } from './flow.ts';
import type { Ix, VarAtom } from './index-expr.ts';

interface Group {
  /** Kernels only read what kernels of lower stages made. */
  stage: number;
  /** Values computed here, and where in the space. */
  readonly members: Map<Value, readonly Ix[]>;
  /** Members that end up in memory, in flow order. */
  stores: Value[];
  /** Whether it computes lasting values, which are kept from run to run. Members are all of one kind. */
  readonly lasting: boolean;
}

/** Elementwise values and reductions over one space. */
export interface SpaceKernel extends Group {
  readonly kind: 'space';
  readonly shape: readonly number[];
  readonly vars: readonly VarAtom[];
  /** Per dim of the space: whether it survives the kernel's reductions; null while there are none. */
  kept: readonly boolean[] | null;
  readonly reductions: Value<'reduce'>[];
  /** Few results of many elements: done in chunks first, so nothing of full size may join. */
  split: boolean;
}

/** A contraction with what is computed from its result on the spot. */
export interface ContractKernel extends Group {
  readonly kind: 'contract';
  readonly value: Value<'contract'>;
  readonly plan: ContractPlan;
  readonly shape: readonly number[];
}

/**
 * Products, what is computed from their rows, and products over the result, in blocks of rows that are never stored
 * whole: attention and its gradient. `made` are the values of full size that stay inside.
 */
export interface ChainKernel extends Group {
  readonly kind: 'chain';
  readonly products: readonly ContractKernel[];
  readonly rows: SpaceKernel;
  readonly results: readonly ContractKernel[];
  readonly made: ReadonlySet<Value>;
}

/** Primitives that are no expression over their inputs: each is a kernel of its own. */
export const ROUTINES = ['concat', 'argReduce', 'scan', 'scatter', 'argSort', 'random', 'matrix'] as const;
export type RoutinePrimitive = (typeof ROUTINES)[number];

/** One operation that is no expression. */
export interface RoutineKernel extends Group {
  readonly kind: 'routine';
  readonly value: Value<RoutinePrimitive>;
}

/** Brings a value to a place of its own: an output that is (or shares memory with) something else, or a variable. */
export interface CopyKernel extends Group {
  readonly kind: 'copy';
  readonly from: Value;
  readonly to: { readonly kind: 'output' | 'leaf'; readonly index: number };
}

/** Brings an operand that many contractions read into the form in which they read it (packings.ts). */
export interface PackKernel extends Group {
  readonly kind: 'pack';
  /** When the first of them was made. */
  readonly born: number;
}

/** What fusion makes. */
export type Kernel = SpaceKernel | ContractKernel | ChainKernel | RoutineKernel | CopyKernel;
