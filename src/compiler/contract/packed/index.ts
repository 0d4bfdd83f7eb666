/**
 * The blocked contraction over words of packed elements: panels are packed into words, then multiplied on tiles (AMX) or by dot products in
 * vectors (AVX512_BF16, VNNI). Same loops as panels.ts; sums always pass through scratch.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg, Tiles } from '../../loops.ts';
import type { Target } from '../../target.ts';
import { asReg, type Cursor, type Extent, sizesOf, step } from '../cursor.ts';
import { unravel, zero } from '../indices.ts';
import { comesPacked } from '../plan.ts';
import { extent, type Problem, type View } from '../problem.ts';
import { cursorAt, eachBlock, type RunningBlock } from '../sides.ts';
import type { Scratch } from '../spec.ts';
import { type Coords, LINE, outputGroups, storeTile, touchesOf } from '../store.ts';
import { blockOf, eachTask, slotsOf } from '../tasks.ts';
import { type Layout, needsStaging, packWords, STEP } from './pack.ts';
import { type PackedPlan, type PackedSource, packedPlan } from './plan.ts';
import { type PackedProblem, packedProblem, tileKind } from './problem.ts';

export { suitsWords } from './problem.ts';

/** One operand: a row of panels over its minor dims. */
interface Side {
  readonly view: View;
  readonly minor: readonly number[];
  readonly source: PackedSource;
  readonly layout: Layout;
  readonly panels: number;
  /** Lines of a panel. */
  readonly width: number;
  /** Panels of a task at most. */
  readonly taskPanels: number;
}

/** Words and panels that are packed together at most: lines of memory that lie pages apart are then read several at a time. */
const WORDS_TOGETHER = 32;
const PANELS_TOGETHER = 8;
/** Groups of panels there should be, for threads to share. */
const PACKING_TASKS = 4;

/** Panels that are packed together: neighbours of the same rows of memory, with one k dim. */
const panelsTogether = ({ p }: PackedProblem, { view, minor, panels, layout }: Side): number =>
  p.k.length === 1 && layout === 'words' && view.lin[minor[minor.length - 1] ?? -1] === 1
    ? Math.max(1, Math.min(PANELS_TOGETHER, Math.floor(panels / PACKING_TASKS)))
    : 1;

interface OpenSide {
  /** Emits the stage in which all threads pack, if this side has one; says whether it runs here, and they must meet behind it. */
  packShared(): boolean;
  /** Packs panels lo to hi for a task that enters a block, if they are its own; says where a panel is found. */
  enter(slot: Reg, batch: readonly Reg[], block: RunningBlock, index: Extent, lo: Reg, hi: Reg): (panel: Reg) => Reg;
}

function openSide(
  b: LoopBuilder,
  q: PackedProblem,
  plan: PackedPlan,
  side: Side,
  name: string,
  slots: number,
  scratch: Scratch,
): OpenSide {
  const { p } = q;
  const { view, minor, layout, width } = side;
  const panelWords = width * plan.blockWords;
  const shared = side.source === 'shared';
  const panels = shared ? side.panels * plan.k.count : slots * side.taskPanels;
  const keeps = shared && comesPacked(view);
  const buffer = (keeps ? scratch.kept : scratch.room)(`words of ${name}`, 'i32', panels * panelWords);
  const stages = shared ? slotsOf(Math.ceil(side.panels / panelsTogether(q, side))) : slots;
  const staging = needsStaging(q, view, minor, layout)
    ? scratch.room(`staged ${name}`, 'i32', stages * panelWords)
    : buffer;
  const at = (index: Reg): Reg => b.addr(buffer, b.mul(index, b.i32(panelWords)));
  const pack = (slot: Reg, panel: Reg, cursor: Cursor, block: RunningBlock, to: Reg): void =>
    packWords(b, q, view, minor, layout, q.by === 'tiles' ? STEP : 1, {
      at: cursor,
      first: b.mul(panel, b.i32(width)),
      width,
      block,
      lo: plan.k.inner.length === 0 ? block.lo : 0,
      to,
      staging: b.addr(staging, b.mul(slot, b.i32(panelWords))),
    });
  const together = panelsTogether(q, side);
  /** A block in parts of some words, where panels are packed together. */
  const inParts = (
    at: Cursor,
    block: RunningBlock,
    fill: (at: Cursor, part: RunningBlock, before: Reg) => void,
  ): void => {
    const [dim] = block.dims;
    const [length] = block.extents;
    if (together === 1 || dim === undefined || length === undefined) {
      fill(at, block, b.i32(0));
      return;
    }
    b.for(0, length, WORDS_TOGETHER, x => {
      const count = b.bin('min', b.i32(WORDS_TOGETHER), b.sub(asReg(b, length), x));
      const part = { ...block, extents: [count], length: count, lo: b.add(asReg(b, block.lo), x) };
      fill(step(b, view, at, dim, x), part, x);
    });
  };
  const inShared = (index: Extent, panel: Reg): Reg => at(b.add(b.mul(asReg(b, index), b.i32(side.panels)), panel));
  return {
    packShared() {
      if (!shared) return false;
      const groups = Math.ceil(side.panels / together);
      const fill = (): void =>
        eachTask(b, groups, (group, slot) => {
          const lo = b.mul(group, b.i32(together));
          const hi = b.bin('min', b.add(lo, b.i32(together)), b.i32(side.panels));
          eachBlock(b, p, plan, (block, index) => {
            const at = cursorAt(b, p, plan, view, [], block);
            inParts(at, block, (from, part, before) =>
              b.for(lo, hi, 1, panel =>
                pack(slot, panel, from, part, b.advance(inShared(index ?? 0, panel), before, width * 4)),
              ),
            );
          });
        });
      if (keeps) scratch.prepare(fill);
      else fill();
      return !keeps;
    },
    enter(slot, batch, block, index, lo, hi) {
      if (shared) return panel => inShared(index, panel);
      const cursor = cursorAt(b, p, plan, view, batch, block);
      const first = b.mul(slot, b.i32(side.taskPanels));
      const place = (panel: Reg): Reg => at(b.add(first, b.sub(panel, lo)));
      b.for(lo, hi, 1, panel => pack(slot, panel, cursor, block, place(panel)));
      return place;
    },
  };
}

/** Adds one block's products to the sums at `to`, [rows][width]; the first block sets them. */
function multiply(
  b: LoopBuilder,
  q: PackedProblem,
  plan: PackedPlan,
  length: Extent,
  from: { readonly a: Reg; readonly b: Reg; readonly to: Reg },
  first: Reg | null,
  ahead: Tiles['ahead'],
): void {
  if (q.by === 'dot') {
    multiplyVectors(b, q, plan, length, from, first);
    return;
  }
  const steps =
    typeof length === 'number' ? Math.ceil(length / STEP) : b.bin('shrU', b.add(length, b.i32(STEP - 1)), b.i32(4));
  const tiles = (add: boolean): void =>
    b.emit({
      op: 'tiles',
      kind: tileKind(q),
      a: from.a,
      b: from.b,
      c: from.to,
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
}

function multiplyVectors(
  b: LoopBuilder,
  q: PackedProblem,
  plan: PackedPlan,
  length: Extent,
  from: { readonly a: Reg; readonly b: Reg; readonly to: Reg },
  first: Reg | null,
): void {
  const { lanes, rows, width } = plan;
  const { acc } = q.p;
  const vectors = width / lanes;
  const sums = Array.from({ length: rows }, () => Array.from({ length: vectors }, () => zero(b, acc, lanes)));
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
  const [a, c] = [b.copy(from.a), b.copy(from.b)];
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

/** Emits the whole schedule of `problem`, which has no guards. */
export function lowerWords(b: LoopBuilder, problem: Problem, target: Target, scratch: Scratch): void {
  const q = packedProblem(problem, target);
  const { p } = q;
  const plan = packedPlan(q, target);
  const groups = { m: outputGroups(p, p.m), n: outputGroups(p, p.n) };
  const slots = slotsOf(plan.tasks);
  const [a, c] = openSides(b, q, plan, slots, scratch);
  const tile = plan.rows * plan.width;
  // Sums wait here between blocks of k.
  const area = plan.k.count > 1 ? plan.mTask * plan.nTask * tile : tile;
  const sums = scratch.room('sums', p.acc, slots * area);
  const packsA = a.packShared();
  const packsB = c.packShared();
  if (packsA || packsB) b.barrier();

  eachTask(b, plan.tasks, (task, slot) => {
    const block = blockOf(b, task, plan);
    const [mLo, mHi] = block.m;
    const [nLo, nHi] = block.n;
    const batch = unravel(b, block.batch, sizesOf(p, p.batch));
    const coords: Coords = new Map(p.batch.map((d, i) => [d, batch[i]!] as const));
    const own = b.addr(sums, b.mul(slot, b.i32(area)));
    eachBlock(b, p, plan, (kBlock, index) => {
      const rowsAt = a.enter(slot, batch, kBlock, index ?? 0, mLo, mHi);
      const columnsAt = c.enter(slot, batch, kBlock, index ?? 0, nLo, nHi);
      const isFirst = index && b.cmp('eq', index, b.i32(0));
      b.for(mLo, mHi, { step: plan.mBlock, trips: Math.ceil(plan.mTask / plan.mBlock) }, from => {
        const until = b.bin('min', mHi, b.add(from, b.i32(plan.mBlock)));
        b.for(nLo, nHi, { step: 1, trips: plan.nTask }, n => {
          const fromB = columnsAt(n);
          b.for(from, until, { step: 1, trips: Math.min(plan.mBlock, plan.mTask) }, m => {
            const before = b.add(b.mul(b.sub(n, nLo), b.i32(plan.mTask)), b.sub(m, mLo));
            const to = index ? b.advance(own, before, tile * 4) : own;
            const first = b.mul(m, b.i32(plan.rows));
            // The tiles that share a panel of columns ask for the next one, a share each.
            const ahead =
              plan.linesAhead > 0
                ? {
                    from: b.advance(
                      b.advance(fromB, b.i32(plan.blockWords), plan.width * 4),
                      b.mul(b.sub(m, from), b.i32(plan.blockWords / STEP)),
                      plan.linesAhead * LINE,
                    ),
                    lines: plan.linesAhead,
                  }
                : undefined;
            multiply(b, q, plan, kBlock.length, { a: rowsAt(m), b: fromB, to }, isFirst, ahead);
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
      layout: q.by === 'tiles' ? 'lines' : 'words',
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
    meanwhile: plan.linesAhead > 0 ? touches : null,
  });
}
