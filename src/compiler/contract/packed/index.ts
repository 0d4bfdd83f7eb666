/**
 * The blocked contraction over packed panels: words of narrow types, multiplied on tiles (AMX) or by dot products in vectors (AVX512_BF16, VNNI), and f32 in three parts of
 * bf16, on tiles. Same loops as panels.ts; sums always pass through scratch.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import type { Target } from '../../target.ts';
import { sizesOf } from '../cursor.ts';
import { unravel } from '../indices.ts';
import { extent, type Problem } from '../problem.ts';
import { eachBlock } from '../sides.ts';
import type { Scratch } from '../spec.ts';
import { type Coords, LINE, outputGroups, storeTile, touchesOf } from '../store.ts';
import { blockOf, eachTask, renewedFor, slotsOf } from '../tasks.ts';
import { openMultiply } from './multiply.ts';
import { type PackedPlan, packedPlan } from './plan.ts';
import { type PackedProblem, packedProblem, partsProblem } from './problem.ts';
import { openSide } from './side.ts';

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
  // Sums wait here between blocks of k.
  const area = plan.k.count > 1 ? plan.mTask * plan.nTask * tile : tile;
  const sums = scratch.room('sums', p.acc, slots * area);
  const multiply = openMultiply(b, q, plan, slots, scratch);
  const lineBytes = (plan.blockPoints / q.step.points) * q.step.words * 4;
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
    eachBlock(b, p, plan, (kBlock, index) => {
      const rows = a.enter(slot, batch, kBlock, index ?? 0, mLo, mHi, plan.rowsOuter ? renewed : first);
      const columns = c.enter(slot, batch, kBlock, index ?? 0, nLo, nHi, plan.rowsOuter ? first : renewed);
      const isFirst = index && b.cmp('eq', index, b.i32(0));
      b.for(mLo, mHi, { step: plan.mBlock, trips: Math.ceil(plan.mTask / plan.mBlock) }, from => {
        const until = b.bin('min', mHi, b.add(from, b.i32(plan.mBlock)));
        if (plan.rowsPass) rows.pass(from);
        b.for(nLo, nHi, { step: 1, trips: plan.nTask }, n => {
          if (!plan.rowsPass) columns.pass(n);
          const fromB = columns.at(n);
          b.for(from, until, { step: 1, trips: Math.min(plan.mBlock, plan.mTask) }, m => {
            const before = b.add(b.mul(b.sub(n, nLo), b.i32(plan.mTask)), b.sub(m, mLo));
            const to = index ? b.advance(own, before, tile * 4) : own;
            const first = b.mul(m, b.i32(plan.rows));
            const fromA = rows.at(m);
            // The tiles that share a panel ask for the next one, a share each.
            const [passes, share] = plan.rowsPass ? [fromA, b.sub(n, nLo)] : [fromB, b.sub(m, from)];
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
            multiply(slot, kBlock.length, { a: fromA, b: fromB, to }, isFirst, ahead);
            const store = (): void =>
              storeFinished(b, p, plan, groups, { from: to, m, n, first, batch: coords }, from, until);
            if (index) b.if(b.cmp('eq', index, b.i32(plan.k.count - 1)), store);
            else store();
          });
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

/** Sums of a tile: where they are, its panels, its first line. */
interface Finished {
  readonly from: Reg;
  readonly m: Reg;
  readonly n: Reg;
  readonly first: Reg;
  readonly batch: Coords;
}

/**
 * Stores the results of a tile. Meanwhile each asks for what the one behind it (the tiles from `lo` to `until` of a column of panels) will read and write
 * when it is done, which takes longer than its products.
 */
function storeFinished(
  b: LoopBuilder,
  p: Problem,
  plan: PackedPlan,
  groups: { readonly m: ReturnType<typeof outputGroups>; readonly n: ReturnType<typeof outputGroups> },
  { from, m, n, first, batch }: Finished,
  lo: Reg,
  until: Reg,
): void {
  const lines = extent(p, p.m);
  const behind = b.cmp('lt', b.add(m, b.i32(1)), until);
  const touches = touchesOf(b, p, groups.m, groups.n, plan.lanes, {
    rows: plan.rows,
    m: b.mul(b.select(behind, b.add(m, b.i32(1)), lo), b.i32(plan.rows)),
    n: b.mul(b.select(behind, n, b.add(n, b.i32(1))), b.i32(plan.width)),
    columns: plan.width,
    batch,
  });
  const left = b.sub(b.i32(lines), first);
  const rows = lines % plan.rows === 0 ? plan.rows : b.bin('min', b.i32(plan.rows), left);
  storeTile(b, p, groups.m, groups.n, plan.lanes, {
    from,
    pitch: plan.width,
    m: first,
    rows,
    n: b.mul(n, b.i32(plan.width)),
    columns: plan.width,
    batch,
    meanwhile: plan.touches ? touches : null,
  });
}
