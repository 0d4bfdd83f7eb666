/**
 * A block of products by plain f32 multiply-adds, where panels cannot be cut into parts or products of parts would
 * leave the range of f32: infinities, NaN, numbers near the ends of the range. Reads the packed panels step by step,
 * joined again where they are in parts; two to three times slower than plain panels.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { zero } from '../indices.ts';
import { sweep } from '../micro.ts';
import type { Scratch } from '../spec.ts';
import { type PartsProblem, STEP } from './problem.ts';
import { copyStep, isWhole, joinStep, POINTS, type Range, type Slab } from './steps.ts';

const WORD = 4;
/** Rows whose sums are in registers. */
const ROWS = 8;

/** A panel of one side. */
export interface WholePanel {
  readonly at: Reg;
  readonly range: Range;
}

/** Room for a step of both sides, as f32. */
export function wholeRoom(scratch: Scratch, rows: number, width: number, slots: number): WholeRoom {
  const words = POINTS * (rows + width);
  return { buffer: scratch.room('whole steps', 'f32', slots * words), words, rows, width };
}

export interface WholeRoom {
  readonly buffer: number;
  readonly words: number;
  readonly rows: number;
  readonly width: number;
}

/** Adds the products of `steps` steps to the sums at `to`, [rows][width]; sets them where `isFirst` (null: always). */
export function multiplyWhole(
  b: LoopBuilder,
  q: PartsProblem,
  room: WholeRoom,
  slot: Reg,
  steps: Reg | number,
  a: WholePanel,
  c: WholePanel,
  to: Reg,
  isFirst: Reg | null,
): void {
  const { rows, width } = room;
  const vectors = width / STEP;
  const rowsAt = b.addr(room.buffer, b.mul(slot, b.i32(room.words)));
  const columnsAt = b.advance(rowsAt, b.i32(POINTS * rows), WORD);
  const stage = (panel: WholePanel, slab: Slab, area: Reg): ((step: Reg) => void) => {
    const whole = isWhole(b, panel.range);
    return step => {
      const from = b.advance(panel.at, step, slab.lines * q.step.words * WORD);
      b.if(
        whole,
        () => copyStep(b, slab, from, area),
        () => joinStep(b, slab, from, area),
      );
    };
  };
  const stageRows = stage(a, { layout: 'lines', lines: rows }, rowsAt);
  const stageColumns = stage(c, { layout: 'words', lines: width }, columnsAt);
  const clear = (): void =>
    b.for(0, rows * vectors, 1, i => b.store('f32', b.advance(to, i, STEP * WORD), zero(b, 'f32', STEP)));
  if (isFirst) b.if(isFirst, clear);
  else clear();
  b.for(0, steps, 1, step => {
    stageRows(step);
    stageColumns(step);
    b.for(0, rows, ROWS, r => {
      const own = b.advance(to, r, width * WORD);
      const offset = (row: number, v: number): number => (row * width + v * STEP) * WORD;
      const sums = Array.from({ length: ROWS }, (_, row) =>
        Array.from({ length: vectors }, (_, v) => b.copy(b.load('f32', own, offset(row, v), STEP))),
      );
      const streamA = { dtype: 'f32', from: b.advance(rowsAt, r, POINTS * WORD), across: POINTS, along: 1 } as const;
      const streamB = { dtype: 'f32', from: columnsAt, across: STEP, along: width } as const;
      sweep(b, 'f32', STEP, sums, POINTS, streamA, streamB, 1);
      for (const [row, line] of sums.entries())
        for (const [v, sum] of line.entries()) b.store('f32', own, sum, offset(row, v));
    });
  });
}
