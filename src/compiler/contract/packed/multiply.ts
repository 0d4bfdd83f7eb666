/**
 * A block of packed products: on tiles, by dot products in vectors, or, where parts of f32 cannot be, by plain
 * multiply-adds (whole.ts).
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg, Tiles } from '../../loops.ts';
import { asReg, type Extent } from '../cursor.ts';
import { zero } from '../indices.ts';
import type { Scratch } from '../spec.ts';
import { LINE } from '../store.ts';
import type { PackedPlan } from './plan.ts';
import { type PackedProblem, STEP, tileKind } from './problem.ts';
import type { PanelAt } from './side.ts';
import { loadRange, needsWhole } from './steps.ts';
import { multiplyWhole, wholeRoom } from './whole.ts';

const WORD = 4;
/** Steps of words from which on a sum is stored on the way: some 2000 cycles. */
const LONG_BLOCK = 32;

/** Two panels, and the sums of their tile, [rows][width]. */
export interface Block {
  readonly a: PanelAt;
  readonly b: PanelAt;
  readonly to: Reg;
}

/**
 * The products of one block, a piece of its steps at a time (0 up to `plan.pieces`), between which other instructions
 * may run that no tile takes part in. What the sums are is known at `to` behind the end.
 */
export interface Products {
  readonly begin: () => void;
  readonly piece: (i: Reg) => void;
  readonly end: () => void;
}

/** Products of `length` points, added to the sums of the block, which the first one (null: the only one) sets. */
export type OpenProducts = (
  slot: Reg,
  length: Extent,
  block: Block,
  first: Reg | null,
  ahead: Tiles['ahead'],
) => Products;

const nothing = (): void => {};

export function openMultiply(
  b: LoopBuilder,
  q: PackedProblem,
  plan: PackedPlan,
  slots: number,
  scratch: Scratch,
): OpenProducts {
  if (q.by === 'dot')
    return (_, length, block, first) => ({
      begin: () => multiplyVectors(b, q, plan, length, block, first),
      piece: nothing,
      end: nothing,
    });
  const { points } = q.step;
  const stepsOf = (length: Extent): Extent =>
    typeof length === 'number'
      ? Math.ceil(length / points)
      : b.bin('shrU', b.add(length, b.i32(points - 1)), b.i32(Math.log2(points)));
  const onTiles: OpenProducts = (_, length, block, first, ahead) =>
    productsOnTiles(b, q, plan, stepsOf(length), block, first, ahead);
  if (q.by !== 'parts') return onTiles;
  const room = wholeRoom(scratch, plan.rows, plan.width, slots);
  return (slot, length, block, first, ahead) => {
    const tiles = onTiles(slot, length, block, first, ahead);
    const cuts = b.copy(b.i32(0));
    const ifCut = (then: () => void): void => b.if(b.cmp('ne', cuts, b.i32(0)), then);
    return {
      begin: () => {
        const [x, y] = [loadRange(b, block.a.range!), loadRange(b, block.b.range!)];
        const [a, c] = [
          { at: block.a.words, range: x },
          { at: block.b.words, range: y },
        ];
        b.if(
          needsWhole(b, x, y),
          () => multiplyWhole(b, q, room, slot, stepsOf(length), a, c, block.to, first),
          () => {
            b.move(cuts, b.i32(1));
            tiles.begin();
          },
        );
      },
      piece: i => ifCut(() => tiles.piece(i)),
      end: () => ifCut(tiles.end),
    };
  };
}

function productsOnTiles(
  b: LoopBuilder,
  q: PackedProblem,
  plan: PackedPlan,
  steps: Extent,
  block: Block,
  first: Reg | null,
  ahead: Tiles['ahead'],
): Products {
  const { rows: lines, width, pieces } = plan;
  const [rows, columns] = [lines === STEP ? 1 : 2, width === STEP ? 1 : 2] as const;
  const sums = (does: 'load' | 'store'): void => b.emit({ op: 'tileSums', does, c: block.to, rows, columns });
  const clear = (): void => b.emit({ op: 'tileSums', does: 'clear', rows, columns });
  const stores = q.by === 'parts' || plan.blockPoints / q.step.points >= LONG_BLOCK;
  const even = typeof steps === 'number' && steps % pieces === 0;
  /** The step at which a piece begins. */
  const start = (i: Reg): Reg =>
    even ? b.mul(i, b.i32(steps / pieces)) : b.bin('shrU', b.mul(i, asReg(b, steps)), b.i32(Math.log2(pieces)));
  return {
    begin: () => (first ? b.if(first, clear, () => sums('load')) : clear()),
    piece(i) {
      const from = start(i);
      const count = even ? steps / pieces : b.sub(start(b.add(i, b.i32(1))), from);
      const stepBytes = q.step.words * WORD;
      const multiply = (): void =>
        b.emit({
          op: 'tiles',
          kind: tileKind(q),
          a: b.advance(block.a.words, from, lines * stepBytes),
          b: b.advance(block.b.words, from, width * stepBytes),
          steps: count,
          ...(stores ? { room: block.to } : {}),
          rows,
          columns,
          ...(ahead ? { ahead: { ...ahead, from: b.advance(ahead.from, from, ahead.lines * LINE) } } : {}),
        });
      // There may be fewer steps than pieces.
      if (typeof count === 'number') multiply();
      else b.if(b.cmp('gt', count, b.i32(0)), multiply);
    },
    end: () => sums('store'),
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
  // Bytes from row to row, and from word to word.
  const [across, along] =
    plan.a === 'direct' ? [q.p.a.lin[q.p.m[0]!]! * bytesOf(q.p.a.dtype), WORD] : [WORD, rows * WORD];
  const word = (): void => {
    const columns = Array.from({ length: vectors }, (_, v) => b.load('i32', c, v * lanes * 4, lanes));
    for (const [r, row] of sums.entries()) {
      const x = b.splat(b.load('i32', a, r * across), lanes);
      for (const [v, sum] of row.entries()) b.dot(acc === 'f32' ? 'bf16' : 'i16', x, columns[v]!, sum, sum);
    }
    b.advance(a, one, along, a);
    b.advance(c, one, width * 4, c);
  };
  // With every line of these rows, that of the rows below is asked for.
  const inLines = !plan.asksRows
    ? 0
    : typeof length === 'number'
      ? length - (length % STEP)
      : b.bin('and', length, b.i32(-STEP));
  if (inLines !== 0)
    b.for(0, inLines, STEP, () => {
      for (let r = 0; r < rows; r++) b.prefetch(a, (rows + r) * across, false);
      b.for(0, STEP, 1, word);
    });
  if (inLines !== length) b.for(inLines, length, 1, word);
  each((sum, offset) => b.store(acc, from.to, sum, offset));
}
