/**
 * Routines: operations that are no expression over their inputs (scans, arg reductions, sorting, random bits, scatter,
 * matrix factorisations), written in loop IR over contiguous buffers viewed as [outer, n, inner]. Each fills the whole
 * body of one kernel (top level: parallel, once, barrier), names its buffers by index, and says first which scratch
 * buffers it wants. May import ../math, the loop IR and the target; knows nothing of graphs' nodes, memory plans or
 * machines.
 */
import type { DType } from '../../graph/dtype.ts';
import type { ReduceKind, ScanKind, ScatterKind } from '../../graph/node.ts';

export { argReduceScratch, lowerArgReduce } from './arg-reduce.ts';
export { argSortScratch, lowerArgSort } from './arg-sort.ts';
export { concatScratch, lowerConcat } from './concat.ts';
export { lowerMatrix, matrixScratch } from './matrix/index.ts';
export { lowerRandom, randomScratch } from './random.ts';
export { lowerScan, scanScratch } from './scan.ts';
export { lowerScatter, scatterScratch } from './scatter.ts';

/** A scratch buffer a routine wants in its kernel; the routine gets the buffers' indices in the same order. */
export interface Scratch {
  readonly dtype: DType;
  readonly elements: number;
}

/** Index of a buffer of the kernel. */
export type BufferIndex = number;

/**
 * Parts [outer, n_p, inner] one after another along n; output [outer, sum of n_p, inner]. Bits are moved as they are.
 */
export interface ConcatSpec {
  readonly dtype: DType;
  readonly outer: number;
  readonly inner: number;
  readonly parts: readonly { readonly n: number; readonly input: BufferIndex }[];
  readonly output: BufferIndex;
}

/**
 * Inclusive scan of input [outer, n, inner] along n, from the end when `reverse`; output likewise (may be the same
 * buffer).
 */
export interface ScanSpec {
  readonly kind: ScanKind;
  readonly dtype: DType;
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly reverse: boolean;
  readonly input: BufferIndex;
  readonly output: BufferIndex;
}

/**
 * Position of the first extreme of input [outer, n, inner] along n (the first NaN where there is one); output i64
 * [outer, inner].
 */
export interface ArgReduceSpec {
  readonly kind: Extract<ReduceKind, 'max' | 'min'>;
  readonly dtype: DType;
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly input: BufferIndex;
  readonly output: BufferIndex;
}

/** The permutation that sorts input [outer, n, inner] along n stably, NaN largest; output i64 [outer, n, inner]. */
export interface ArgSortSpec {
  readonly dtype: DType;
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly descending: boolean;
  readonly input: BufferIndex;
  readonly output: BufferIndex;
}

/** `size` i32 words of Philox 4x32-10 from key i64 [2] = seed, counter. */
export interface RandomSpec {
  readonly size: number;
  readonly key: BufferIndex;
  readonly output: BufferIndex;
}

/**
 * Combines updates [pre, count, post] into base [pre, n, post] at index [count] along n, in index order. An index
 * outside [0, n) fails at `site` (null: does not fail) and its updates are skipped. `base` is a buffer (the output
 * itself when done in place), or one number for all elements.
 */
export interface ScatterSpec {
  readonly kind: ScatterKind;
  readonly dtype: DType;
  readonly indexDtype: DType;
  readonly pre: number;
  readonly n: number;
  readonly count: number;
  readonly post: number;
  readonly base: { readonly buffer: BufferIndex } | { readonly value: number | bigint };
  readonly index: BufferIndex;
  readonly updates: BufferIndex;
  readonly output: BufferIndex;
  readonly site: number | null;
}
