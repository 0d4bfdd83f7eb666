/**
 * The blocked contraction over packed panels: words of narrow types, multiplied on tiles (AMX) or by dot products in
 * vectors (AVX512_BF16, VNNI), and f32 in three parts of bf16, on tiles. Same loops as panels.ts; sums always pass
 * through scratch.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import type { Target } from '../../target.ts';
import { sizesOf } from '../cursor.ts';
import { affine, unravel } from '../indices.ts';
import { extent, type Problem } from '../problem.ts';
import { eachBlock } from '../sides.ts';
import type { Scratch } from '../spec.ts';
import { type Coords, LINE, outputGroups, storeTile, touchesOf } from '../store.ts';
import { blockOf, eachTask, renewedFor, slotsOf } from '../tasks.ts';
import { openMultiply } from './multiply.ts';
import { type PackedPlan, packedPlan } from './plan.ts';
import { type PackedProblem, packedProblem, partsProblem } from './problem.ts';
import { openSide } from './side.ts';
import { inTurns, type TileAt } from './turns.ts';

export { suitsWords } from './problem.ts';
export { suitsParts } from './suits.ts';

/** Emits the whole schedule of `p` over words; it has no guards. */
export const lowerWords = (b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void =>
  lowerPacked(b, packedProblem(p, target), target, scratch);

/** Emits the whole schedule of `p`, of f32, over parts. */
export const lowerParts = (b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void =>
  lowerPacked(b, partsProblem(p), target, scratch);

function lowerPacked(b: LoopBuilder, q: PackedProblem, target: Target, scratch: Scratch): void {
  const { p } = q;
  const plan = packedPlan(q, target);
  const groups = { m: outputGroups(p, p.m), n: outputGroups(p, p.n) };
  const slots = slotsOf(plan.tasks);
  const [a, c] = openSides(b, q, plan, slots, scratch);
  const tile = plan.rows * plan.width;
  // Sums wait here between blocks of k, or until the next tile has been multiplied.
  const area = plan.k.count > 1 ? plan.mTask * plan.nTask * tile : 2 * tile;
  const sums = scratch.room('sums', p.acc, slots * area);
  const multiply = openMultiply(b, q, plan, slots, scratch);
  const lineBytes = (plan.blockPoints / q.step.points) * q.step.words * 4;
  const lines = extent(p, p.m);
  const pieceRows = plan.rows / plan.pieces;
  const packsA = a.packShared();
  const packsB = c.packShared();
  if (packsA || packsB) b.barrier();

  eachTask(b, plan.tasks, (task, slot, earliest) => {
    const block = blockOf(b, task, plan);
    const [mLo, mHi] = block.m;
    const [nLo, nHi] = block.n;
    const batch = unravel(b, block.batch, sizesOf(p, p.batch));
    const coords: Coords = new Map(p.batch.map((d, i) => [d, batch[i]!] as const));
    const own = b.addr(sums, b.mul(slot, b.i32(area)));
    const renewed = plan.renews ? renewedFor(b, plan, task, earliest) : null;
    // What passes by all tasks of a thread is packed by its first.
    const passesAll = plan.renews && plan.batches === 1 && (plan.rowsOuter ? plan.nTasks : plan.mTasks) === 1;
    const first = passesAll && plan.tasks > 1 ? b.cmp('eq', task, earliest) : null;
    /** A piece of a tile's results, from its first row on. */
    const pieceOf = ({ m, n }: TileAt, piece: Reg) => ({
      m: affine(b, [[m, plan.rows], [piece, pieceRows]], 0), // biome-ignore format: a sum
      n: b.mul(n, b.i32(plan.width)),
      columns: plan.width,
      batch: coords,
    });
    eachBlock(b, p, plan, (kBlock, index) => {
      const rows = a.enter(slot, batch, kBlock, index ?? 0, mLo, mHi, plan.rowsOuter ? renewed : first);
      const columns = c.enter(slot, batch, kBlock, index ?? 0, nLo, nHi, plan.rowsOuter ? first : renewed);
      const isFirst = index && b.cmp('eq', index, b.i32(0));
      const isLast = index && b.cmp('eq', index, b.i32(plan.k.count - 1));
      b.for(mLo, mHi, { step: plan.mBlock, trips: Math.ceil(plan.mTask / plan.mBlock) }, from => {
        const until = b.bin('min', mHi, b.add(from, b.i32(plan.mBlock)));
        /** Where the sums of a tile are: those of the only block of k wait for one turn. */
        const sumsOf = ({ m, n }: TileAt, turn: Reg): Reg => {
          const before = b.add(b.mul(b.sub(n, nLo), b.i32(plan.mTask)), b.sub(m, mLo));
          return b.advance(own, index ? before : b.bin('and', turn, b.i32(1)), tile * 4);
        };
        if (plan.rowsPass) rows.pass(from);
        inTurns(b, { m: [from, until], n: [nLo, nHi] }, plan.pieces, isLast, {
          enter: n => {
            if (!plan.rowsPass) columns.pass(n);
          },
          multiply(at, turn) {
            const [fromA, fromB] = [rows.at(at.m), columns.at(at.n)];
            // The tiles that share a panel ask for the next one, a share each.
            const [passes, share] = plan.rowsPass ? [fromA, b.sub(at.n, nLo)] : [fromB, b.sub(at.m, from)];
            const ahead =
              plan.linesAhead > 0
                ? {
                    from: b.advance(
                      b.advance(passes.words, b.i32(1), lineBytes * (plan.rowsPass ? plan.rows : plan.width)),
                      b.mul(share, b.i32(plan.blockPoints / q.step.points)),
                      plan.linesAhead * LINE,
                    ),
                    lines: plan.linesAhead,
                  }
                : undefined;
            return multiply(slot, kBlock.length, { a: fromA, b: fromB, to: sumsOf(at, turn) }, isFirst, ahead);
          },
          asks: (at, piece) =>
            plan.asks
              ? touchesOf(b, p, groups.m, groups.n, plan.lanes, { ...pieceOf(at, piece), rows: pieceRows })
              : null,
          finish(at, turn, piece, meanwhile) {
            const results = pieceOf(at, piece);
            const count =
              lines % plan.rows === 0 ? pieceRows : b.bin('min', b.i32(pieceRows), b.sub(b.i32(lines), results.m));
            const from = b.advance(sumsOf(at, turn), piece, pieceRows * plan.width * 4);
            storeTile(b, p, groups.m, groups.n, plan.lanes, {
              ...results,
              from,
              pitch: plan.width,
              rows: count,
              meanwhile,
              inTurns: q.by === 'dot',
            });
          },
        });
      });
    });
  });
}

/** Both operands, as panels. */
function openSides(b: LoopBuilder, q: PackedProblem, plan: PackedPlan, slots: number, scratch: Scratch) {
  const { p } = q;
  const a = openSide(
    b,
    q,
    plan,
    {
      view: p.a,
      minor: p.m,
      source: plan.a,
      layout: q.by === 'dot' ? 'words' : 'lines',
      panels: plan.mPanels,
      width: plan.rows,
      taskPanels: plan.mTask,
    },
    'a',
    slots,
    scratch,
  );
  const c = openSide(
    b,
    q,
    plan,
    {
      view: p.b,
      minor: p.n,
      source: plan.b,
      layout: 'words',
      panels: plan.nPanels,
      width: plan.width,
      taskPanels: plan.nTask,
    },
    'b',
    slots,
    scratch,
  );
  return [a, c] as const;
}
