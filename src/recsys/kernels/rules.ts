/**
 * The row optimizers as loop IR: the twins of those in table/optimizers.ts, in f64 with the same operations in the same
 * order.
 */
import type { LoopBuilder } from '../../compiler/loop-builder.ts';
import type { Reg } from '../../compiler/loops.ts';
import type { RowOptimizer } from '../table/options.ts';
import { type Chunk, loadWide, storeWide } from './writing.ts';

/** One row and its gradient, while the kernel is written. Offsets are in bytes. */
export interface RowUpdate {
  readonly b: LoopBuilder;
  readonly n: number;
  readonly chunks: readonly Chunk[];
  /** Weights at `row + weights`, state at `row + state`. */
  readonly row: Reg;
  readonly weights: number;
  readonly state: number;
  /** The gradient is at `gradient + from`. */
  readonly gradient: Reg;
  readonly from: number;
  /** f64: the shows that came with the gradient. */
  readonly shows: Reg;
  /** f64: what the rule's `begin` worked out for this push. */
  readonly rate: Reg;
  /** f64 [..]: Adam's bias correction by step, its last entry for all steps beyond; and i32: its last index. */
  readonly corrections: { readonly buffer: number; readonly last: Reg };
}

type Writer<T extends RowOptimizer['type']> = (spec: Extract<RowOptimizer, { type: T }>, update: RowUpdate) => void;

const f64 = (b: LoopBuilder, value: number, like: Reg): Reg => b.const('f64', value, like.type.lanes);

/** The elements of a chunk, one after the other. */
const elements = (b: LoopBuilder, value: Reg, n: number): Reg[] =>
  value.type.lanes === 1 ? [value] : Array.from({ length: n }, (_, lane) => b.extract(value, lane));

/** How many of a chunk's lanes are weights. */
const sizeOf = (chunk: Chunk, n: number): number => Math.min(chunk.lanes, n - chunk.at);

const WRITERS: { readonly [T in RowOptimizer['type']]: Writer<T> } = {
  sgd({ lr = 0.05 }, { b, chunks, row, weights, gradient, from }) {
    for (const chunk of chunks) {
      const g = loadWide(b, gradient, from, chunk);
      const w = loadWide(b, row, weights, chunk);
      storeWide(b, row, weights, chunk, b.sub(w, b.mul(f64(b, lr, g), g)));
    }
  },

  rowAdagrad(
    { lr = 0.05, initialG2sum = 3, bound = 10 },
    { b, n, chunks, row, weights, state, gradient, from, shows },
  ) {
    const one: Chunk = { at: 0, lanes: 1, mask: null };
    const sum = loadWide(b, row, state, one);
    const first = f64(b, initialG2sum, sum);
    const rate = b.mul(f64(b, lr, sum), b.un('sqrt', b.bin('div', first, b.add(first, sum))));
    const squares = b.copy(f64(b, 0, sum));
    for (const chunk of chunks) {
      const g = b.bin('div', loadWide(b, gradient, from, chunk), b.splat(shows, chunk.lanes));
      const moved = b.sub(loadWide(b, row, weights, chunk), b.mul(b.splat(rate, chunk.lanes), g));
      const high = f64(b, bound, g);
      const low = f64(b, -bound, g);
      const bounded = b.select(b.cmp('gt', moved, high), high, b.select(b.cmp('lt', moved, low), low, moved));
      storeWide(b, row, weights, chunk, bounded);
      for (const square of elements(b, b.mul(g, g), sizeOf(chunk, n))) b.move(squares, b.add(squares, square));
    }
    storeWide(b, row, state, one, b.add(sum, b.bin('div', squares, f64(b, n, sum))));
  },

  adagrad({ lr = 0.01, eps = 1e-10 }, { b, chunks, row, weights, state, gradient, from }) {
    for (const chunk of chunks) {
      const g = loadWide(b, gradient, from, chunk);
      const sum = b.add(loadWide(b, row, state, chunk), b.mul(g, g));
      storeWide(b, row, state, chunk, sum);
      const step = b.bin('div', b.mul(f64(b, lr, g), g), b.add(b.un('sqrt', sum), f64(b, eps, g)));
      storeWide(b, row, weights, chunk, b.sub(loadWide(b, row, weights, chunk), step));
    }
  },

  adam({ betas: [beta1, beta2] = [0.9, 0.999], eps = 1e-8 }, update) {
    const { b, n, chunks, row, weights, state, gradient, from, rate } = update;
    for (const chunk of chunks) {
      const g = loadWide(b, gradient, from, chunk);
      const mean = loadWide(b, row, state, chunk);
      const first = b.add(mean, b.mul(f64(b, 1 - beta1, g), b.sub(g, mean)));
      const square = loadWide(b, row, state + 4 * n, chunk);
      const second = b.add(square, b.mul(f64(b, 1 - beta2, g), b.sub(b.mul(g, g), square)));
      storeWide(b, row, state, chunk, first);
      storeWide(b, row, state + 4 * n, chunk, second);
      const step = b.bin('div', b.mul(b.splat(rate, chunk.lanes), first), b.add(b.un('sqrt', second), f64(b, eps, g)));
      storeWide(b, row, weights, chunk, b.sub(loadWide(b, row, weights, chunk), step));
    }
  },

  sharedAdam({ lr = 1e-3, betas: [beta1, beta2] = [0.9, 0.999], eps = 1e-8 }, update) {
    const { b, n, chunks, row, weights, state, gradient, from, corrections } = update;
    const one: Chunk = { at: 0, lanes: 1, mask: null };
    const step = b.add(loadWide(b, row, state + 8, one), b.const('f64', 1));
    const at = b.bin('min', b.cvt('i32', step), corrections.last);
    const rate = b.mul(b.const('f64', lr), b.load('f64', b.addr(corrections.buffer, at)));
    const mean = loadWide(b, row, state, one);
    const square = loadWide(b, row, state + 4, one);
    const firsts = b.copy(b.const('f64', 0));
    const seconds = b.copy(b.const('f64', 0));
    for (const chunk of chunks) {
      const { lanes } = chunk;
      const g = loadWide(b, gradient, from, chunk);
      const kept = (of: Reg, beta: number): Reg => b.splat(b.mul(b.const('f64', beta), of), lanes);
      const first = b.add(kept(mean, beta1), b.mul(f64(b, 1 - beta1, g), g));
      const second = b.add(kept(square, beta2), b.mul(b.mul(f64(b, 1 - beta2, g), g), g));
      const moved = b.bin('div', b.mul(b.splat(rate, lanes), first), b.add(b.un('sqrt', second), f64(b, eps, g)));
      storeWide(b, row, weights, chunk, b.sub(loadWide(b, row, weights, chunk), moved));
      for (const x of elements(b, first, sizeOf(chunk, n))) b.move(firsts, b.add(firsts, x));
      for (const x of elements(b, second, sizeOf(chunk, n))) b.move(seconds, b.add(seconds, x));
    }
    storeWide(b, row, state, one, b.bin('div', firsts, b.const('f64', n)));
    storeWide(b, row, state + 4, one, b.bin('div', seconds, b.const('f64', n)));
    storeWide(b, row, state + 8, one, step);
  },

  ftrl({ lr = 0.05, beta = 1, l1 = 0, l2 = 0 }, { b, n, chunks, row, weights, state, gradient, from }) {
    for (const chunk of chunks) {
      const g = loadWide(b, gradient, from, chunk);
      const c = (value: number): Reg => f64(b, value, g);
      const zero = c(0);
      const w = loadWide(b, row, weights, chunk);
      const before = loadWide(b, row, state + 4 * n, chunk);
      const after = b.add(before, b.mul(g, g));
      const z = loadWide(b, row, state, chunk);
      // The z that gives the initial weight; where there is none, z is what it was.
      const start = b.sub(b.mul(b.un('neg', w), c(beta / lr + l2)), b.mul(b.bin('copysign', c(1), w), c(l1)));
      const given = b.select(b.cmp('eq', w, zero), z, start);
      const untouched = b.select(b.cmp('eq', z, zero), given, z);
      const from0 = b.select(b.cmp('eq', before, zero), untouched, z);
      const root = b.un('sqrt', after);
      const spread = b.bin('div', b.sub(root, b.un('sqrt', before)), c(lr));
      const moved = b.add(from0, b.sub(g, b.mul(spread, w)));
      storeWide(b, row, state, chunk, moved);
      storeWide(b, row, state + 4 * n, chunk, after);
      const upper = b.sub(b.mul(b.bin('copysign', c(1), moved), c(l1)), moved);
      const value = b.bin('div', upper, b.add(b.bin('div', b.add(c(beta), root), c(lr)), c(l2)));
      const small = b.cmp('le', b.un('abs', moved), c(l1));
      storeWide(b, row, weights, chunk, b.select(small, zero, value));
    }
  },
};

/** Writes the update of one row. */
export function writeUpdate(spec: RowOptimizer, update: RowUpdate): void {
  (WRITERS[spec.type] as Writer<RowOptimizer['type']>)(spec as never, update);
}
