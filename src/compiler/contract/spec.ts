/**
 * What one contraction kernel computes, as plain data: iteration dims with roles, two operands read through guarded
 * affine maps, an output with strides, and hooks fused around it. Matmul, batched matmul, einsum and every convolution
 * with both of its gradients are specs of this kind. Imports the graph's dtypes and axis maps and the loop IR; knows no
 * nodes and no machine.
 */
import type { DType } from '../../graph/dtype.ts';
import type { AxisMap } from '../../graph/node.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Reg, registerScalar } from '../loops.ts';

/**
 * What an iteration dim stands in: `batch` in both operands and the output, `m` in `a` and the output, `n` in `b` and
 * the output, `k` in both operands only (summed). A dim of the output that neither operand reads is `m` or `n`, as you
 * like.
 */
export type Role = 'batch' | 'm' | 'n' | 'k';

export type AccScalar = 'i32' | 'i64' | 'f32' | 'f64';

export interface ContractDim {
  readonly size: number;
  readonly role: Role;
}

/**
 * One axis of an operand: position = (sum of coef * dim + offset) / div over the spec's dims (`map.terms` name them by
 * their index in `ContractSpec.dims`), an element index of position * stride. Where any axis' position is not an
 * integer or outside [0, size), the operand reads 0. Unlike in the graph, a dim may stand in several axes.
 */
export interface OperandAxis {
  readonly map: AxisMap;
  readonly size: number;
  readonly stride: number;
}

/**
 * Where a prologue stands: `lanes` consecutive elements of the operand's buffer from element `index` (scalar i32) on.
 */
export interface OperandSite {
  readonly index: Reg;
  readonly lanes: number;
}

export interface ContractOperand {
  /** Kernel buffer index. */
  readonly buffer: number;
  readonly dtype: DType;
  readonly axes: readonly OperandAxis[];
  /** Element index at which position 0 of every axis lies; default 0. */
  readonly offset?: number;
  /**
   * Whether a kernel of its own packs it, ahead of this one: it keeps its value from run to run, or many kernels read
   * it in this form.
   */
  readonly packedAhead?: boolean;
  /**
   * Whether it keeps its value from run to run: what else a program reads has passed through the caches since it was
   * read last.
   */
  readonly lasting?: boolean;
  /**
   * Elementwise function of what was read, applied to elements inside only (outside stays 0). `x` has
   * `registerScalar(dtype)` and `at.lanes` lanes; the result must have the accumulator's type (`ContractSpec.acc`). It
   * may read other buffers of the same layout at `at.index`. It may run several times for one element.
   */
  readonly prologue?: (b: LoopBuilder, x: Reg, at: OperandSite) => Reg;
}

/** Where an epilogue stands: `lanes` neighbours along `vectorDim`. */
export interface OutputSite {
  /** Per dim of the spec: scalar i32 coordinate of lane 0; null for k dims. */
  readonly coords: readonly (Reg | null)[];
  /** The dim along which lane i stands i further, or null when lanes is 1. Its output stride is 1. */
  readonly vectorDim: number | null;
  readonly lanes: number;
  /** Which lanes exist, where not all do: the others must touch no memory. */
  readonly mask: Reg | null;
  /** Scalar i32: element index of lane 0 in the output buffer. */
  readonly index: Reg;
  /** What sites of the same lanes of `vectorDim` in the same block read once for all of them. */
  readonly shared: SharedReads | null;
}

/** Vectors that have been read, by whatever the epilogue knows them by. */
export type SharedReads = Map<unknown, Reg>;

export interface ContractSpec {
  readonly dims: readonly ContractDim[];
  readonly a: ContractOperand;
  readonly b: ContractOperand;
  /**
   * Type the products are summed in; default `registerScalar(a.dtype)`. What the operands' reads (after a prologue)
   * must have.
   */
  readonly acc?: AccScalar;
  /**
   * `strides` per dim in elements (0 for k dims; distinct elements for distinct coordinates), `offset` of the first
   * element, default 0.
   */
  readonly out: {
    readonly buffer: number;
    readonly dtype: DType;
    readonly strides: readonly number[];
    readonly offset?: number;
  };
  /**
   * Runs exactly once for every output element, on the finished sum. `acc` has the accumulator's type (f32 for f16 and
   * bf16, i32 for narrow integers; not yet rounded to any narrower dtype), in vectors only where `out` takes registers
   * of its width. Returns the value to store into `out` (any type that `store` takes for its dtype), or null when it
   * stored what it wanted itself.
   */
  readonly epilogue?: (b: LoopBuilder, acc: Reg, at: OutputSite) => Reg | null;
  /**
   * What the epilogue reads and writes beside `out`, at the site's first lane: lines worth having before the sum is
   * finished. Each walks along `vectorDim` with the site, an element of `bytes` at a time.
   */
  readonly touches?: (b: LoopBuilder, at: OutputSite) => readonly { readonly from: Reg; readonly bytes: number }[];
  /**
   * Whether output dims `outer` and `inner` (with strides[outer] = size[inner] * strides[inner]) may be walked as one
   * in the epilogue, that is with coords[outer] = 0 and coords[inner] running over size[outer] * size[inner]: true when
   * whatever the epilogue addresses has the same relation between its strides of the two (both 0 included). Lets
   * vectors run across rows. Default: never, where there is an epilogue.
   */
  readonly mergeable?: (outer: number, inner: number) => boolean;
}

/** Asks for a kernel buffer (64-byte aligned); returns its index. */
export type Room = (name: string, dtype: DType, elements: number) => number;

/** Where a kernel finds memory of its own. */
export interface Scratch {
  /** Contents undefined. */
  readonly room: Room;
  /** As `prepare` has filled it from operands that are packed ahead. */
  readonly kept: Room;
  /** Emits what `fill` does ahead of this kernel instead of here: a kernel body of its own. */
  readonly prepare: (fill: () => void) => void;
}

/** The type a spec's products are summed in. */
export const accumulator = (spec: ContractSpec): AccScalar => spec.acc ?? registerScalar(spec.a.dtype);
