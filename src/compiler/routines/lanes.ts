/**
 * Lane numbers, and the walk over the columns of [outer, n, inner] buffers in vectors. May import the loop IR; knows
 * nothing of what is computed on a column.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';

/** 0, 1, 2, ... along the lanes. */
export function laneNumbers(b: LoopBuilder, lanes: number): Reg {
  let numbers = b.const('i32', 0, lanes);
  for (let lane = 1; lane < lanes; lane++) numbers = b.insert(numbers, lane, b.i32(lane));
  return numbers;
}

/** a * scale + c for scalar integers; the constants fold when they are 1 or 0. */
export function scaled(b: LoopBuilder, a: Reg, scale: number, c: Reg | null = null): Reg {
  const product = scale === 1 ? a : b.mul(a, b.i32(scale));
  return c ? b.add(product, c) : product;
}

/** The smaller of two scalar integers. */
export const lesser = (b: LoopBuilder, x: Reg, y: Reg): Reg => b.select(b.cmp('lt', y, x), y, x);

/** Visits columns j .. j + lanes * vectors - 1 of row block `o`. */
type Visit = (o: Reg, j: Reg, lanes: number, vectors: number) => void;

/**
 * Shares the columns of [outer, inner] out among threads: first blocks of `vectors` vectors, then what is left of each
 * row by one vector and by one element. Which columns go together depends on the shape alone.
 */
export function eachColumn(
  b: LoopBuilder,
  outer: number,
  inner: number,
  lanes: number,
  vectors: number,
  visit: Visit,
): void {
  const width = lanes * vectors;
  const blocks = Math.floor(inner / width);
  if (blocks > 0)
    b.parallel(outer * blocks, i => {
      if (blocks === 1) return visit(i, b.i32(0), lanes, vectors);
      const o = b.bin('div', i, b.i32(blocks));
      visit(o, b.mul(b.sub(i, b.mul(o, b.i32(blocks))), b.i32(width)), lanes, vectors);
    });
  const left = blocks * width;
  if (left === inner) return;
  const single = left + Math.floor((inner - left) / lanes) * lanes;
  b.parallel(outer, o => {
    if (lanes > 1 && single > left) b.for(left, single, lanes, j => visit(o, j, lanes, 1));
    const rest = lanes > 1 ? single : left;
    if (rest < inner) b.for(rest, inner, 1, j => visit(o, j, 1, 1));
  });
}
