/**
 * A block of packed products: on tiles, by dot products in vectors, or, where parts of f32 cannot be, by plain multiply-adds (whole.ts).
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg, Tiles } from '../../loops.ts';
import type { Extent } from '../cursor.ts';
import { zero } from '../indices.ts';
import type { Scratch } from '../spec.ts';
import type { PackedPlan } from './plan.ts';
import { type PackedProblem, STEP, tileKind } from './problem.ts';
import type { PanelAt } from './side.ts';
import { loadRange, needsWhole } from './steps.ts';
import { multiplyWhole, wholeRoom } from './whole.ts';

/** Two panels, and the sums of their tile, [rows][width]. */
export interface Block {
  readonly a: PanelAt;
  readonly b: PanelAt;
  readonly to: Reg;
}

/** Adds one block's products of `length` points to its sums; the first block (null: the only one) sets them. */
export type Multiply = (slot: Reg, length: Extent, block: Block, first: Reg | null, ahead: Tiles['ahead']) => void;

export function openMultiply(
  b: LoopBuilder,
  q: PackedProblem,
  plan: PackedPlan,
  slots: number,
  scratch: Scratch,
): Multiply {
  if (q.by === 'dot') return (_, length, block, first) => multiplyVectors(b, q, plan, length, block, first);
  const onTiles = (steps: Reg | number, block: Block, first: Reg | null, ahead: Tiles['ahead']): void => {
    const tiles = (add: boolean): void =>
      b.emit({
        op: 'tiles',
        kind: tileKind(q),
        a: block.a.words,
        b: block.b.words,
        c: block.to,
        steps,
        rows: plan.rows === STEP ? 1 : 2,
        columns: plan.width === STEP ? 1 : 2,
        add,
        ...(ahead ? { ahead } : {}),
      });
    if (!first) tiles(false);
    else
      b.if(
        first,
        () => tiles(false),
        () => tiles(true),
      );
  };
  const { points } = q.step;
  const stepsOf = (length: Extent): Reg | number =>
    typeof length === 'number'
      ? Math.ceil(length / points)
      : b.bin('shrU', b.add(length, b.i32(points - 1)), b.i32(Math.log2(points)));
  if (q.by !== 'parts') return (_, length, block, first, ahead) => onTiles(stepsOf(length), block, first, ahead);
  const room = wholeRoom(scratch, plan.rows, plan.width, slots);
  return (slot, length, block, first, ahead) => {
    const steps = stepsOf(length);
    const [x, y] = [loadRange(b, block.a.range!), loadRange(b, block.b.range!)];
    b.if(
      needsWhole(b, x, y),
      () =>
        multiplyWhole(
          b,
          q,
          room,
          slot,
          steps,
          { at: block.a.words, range: x },
          { at: block.b.words, range: y },
          block.to,
          first,
        ),
      () => onTiles(steps, block, first, ahead),
    );
  };
}

function multiplyVectors(
  b: LoopBuilder,
  q: PackedProblem,
  plan: PackedPlan,
  length: Extent,
  from: Block,
  first: Reg | null,
): void {
  const { lanes, rows, width } = plan;
  const { acc } = q.p;
  const vectors = width / lanes;
  const sums = Array.from({ length: rows }, () => Array.from({ length: vectors }, () => b.copy(zero(b, acc, lanes))));
  const each = (visit: (sum: Reg, offset: number) => void): void => {
    for (const [r, row] of sums.entries())
      for (const [v, sum] of row.entries()) visit(sum, (r * width + v * lanes) * 4);
  };
  if (first)
    b.if(
      first,
      () => {},
      () => each((sum, offset) => b.load(acc, from.to, offset, lanes, sum)),
    );
  const [a, c] = [b.copy(from.a.words), b.copy(from.b.words)];
  const one = b.i32(1);
  b.for(0, length, 1, () => {
    const columns = Array.from({ length: vectors }, (_, v) => b.load('i32', c, v * lanes * 4, lanes));
    for (const [r, row] of sums.entries()) {
      const x = b.splat(b.load('i32', a, r * 4), lanes);
      for (const [v, sum] of row.entries()) b.dot(acc === 'f32' ? 'bf16' : 'i16', x, columns[v]!, sum, sum);
    }
    b.advance(a, one, rows * 4, a);
    b.advance(c, one, width * 4, c);
  });
  each((sum, offset) => b.store(acc, from.to, sum, offset));
}
