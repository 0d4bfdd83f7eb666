/**
 * The blocked contraction (Goto and van de Geijn, 2008; BLIS): tasks over blocks of the output, each sweeping blocks of
 * k with a packed panel of B in the first cache and panels of A from the second, through the register-tiled
 * microkernel. Follows a Plan.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { asReg, type Extent, REACH, sizesOf } from './cursor.ts';
import { unravel, zero } from './indices.ts';
import { type Ahead, type Stream, sweep } from './micro.ts';
import { evenDims, type Plan } from './plan.ts';
import { extent, type Problem, product } from './problem.ts';
import { eachBlock, openSide, type RunningBlock, type Side, strideOf } from './sides.ts';
import type { Scratch, SharedReads } from './spec.ts';
import {
  type Coords,
  finish,
  finishesInRegisters,
  type Group,
  LINE,
  locate,
  type Meanwhile,
  outputGroups,
  outputIndex,
  storesVectors,
  storeTile,
  touchesOf,
} from './store.ts';
import { blockOf, eachTask, renewedFor, slotsOf } from './tasks.ts';

/** Panels of m: the first `tall` ones have a row more. */
function sideA(p: Problem, plan: Plan): Side {
  const most = plan.low + (plan.tall > 0 ? 1 : 0);
  const lines = extent(p, p.m);
  return {
    view: p.a,
    minor: p.m,
    source: plan.a,
    panels: plan.mPanels,
    lines,
    most,
    even: plan.tall === 0 && lines === plan.mPanels * plan.low,
    taskLines: Math.min(lines, plan.mTask * most),
    panel: (b, i) => {
      if (plan.mRuns > 1) {
        const [run, part] = unravel(b, i, [plan.mRuns, plan.mPanels / plan.mRuns]);
        const before = b.mul(run!, b.i32(lines / plan.mRuns));
        const first = b.add(before, b.add(b.mul(part!, b.i32(plan.low)), b.bin('min', part!, b.i32(plan.tall))));
        if (plan.tall === 0) return { first, count: plan.low };
        return { first, count: b.add(b.i32(plan.low), b.cvt('i32', b.cmp('lt', part!, b.i32(plan.tall)))) };
      }
      if (plan.tall === 0) return { first: b.mul(i, b.i32(plan.low)), count: plan.low };
      const tall = b.i32(plan.tall);
      return {
        first: b.add(b.mul(i, b.i32(plan.low)), b.bin('min', i, tall)),
        count: b.add(b.i32(plan.low), b.cvt('i32', b.cmp('lt', i, tall))),
      };
    },
  };
}

const sideB = (p: Problem, plan: Plan): Side => ({
  view: p.b,
  minor: p.n,
  source: plan.b,
  panels: plan.nPanels,
  lines: plan.nPanels * plan.width,
  most: plan.width,
  even: extent(p, p.n) === plan.nPanels * plan.width,
  taskLines: plan.nTask * plan.width,
  panel: (b, i) => ({ first: b.mul(i, b.i32(plan.width)), count: plan.width }),
});

/** Emits the schedule `plan` of problem `p`. */
export function lowerPanels(b: LoopBuilder, p: Problem, plan: Plan, scratch: Scratch): void {
  const bytes = bytesOf(p.acc);
  const { lanes, width, k } = plan;
  const mGroups = outputGroups(p, p.m);
  const nGroups = outputGroups(p, p.n);
  const slots = slotsOf(plan.tasks);
  const [rowSide, columnSide] = [sideA(p, plan), sideB(p, plan)];
  const a = openSide(b, p, plan, rowSide, 'a', slots, scratch);
  const c = openSide(b, p, plan, columnSide, 'b', slots, scratch);
  // Sums wait here between blocks of k, or for an epilogue.
  const area = k.count > 1 ? rowSide.taskLines * columnSide.taskLines : rowSide.most * width;
  const tiles = scratch.room('tiles', p.acc, slots * area);

  const packsA = a.packShared();
  const packsB = c.packShared();
  if (packsA || packsB) b.barrier();

  eachTask(b, plan.tasks, (task, slot, earliest) => {
    const own = blockOf(b, task, plan);
    const [mLo, mHi] = own.m;
    const [nLo, nHi] = own.n;
    const batch = unravel(b, own.batch, sizesOf(p, p.batch));
    const coords: Coords = new Map(p.batch.map((d, i) => [d, batch[i]!] as const));
    const firstRow = rowSide.panel(b, mLo).first;
    const sums = b.addr(tiles, b.mul(slot, b.i32(area)));

    const renewed = k.count > 1 ? null : renewedFor(b, plan, task, earliest);

    eachBlock(b, p, plan, (block, blockIndex) => {
      const rowsAt = a.enter(slot, batch, block, mLo, mHi, plan.rowsOuter ? renewed : null);
      const columnsAt = c.enter(slot, batch, block, nLo, nHi, plan.rowsOuter ? null : renewed);
      b.for(mLo, mHi, { step: plan.mBlock, trips: Math.ceil(plan.mTask / plan.mBlock) }, from => {
        const until = b.bin('min', mHi, b.add(from, b.i32(plan.mBlock)));
        b.for(nLo, nHi, { step: 1, trips: plan.nTask }, nPanel => {
          const n = columnSide.panel(b, nPanel).first;
          const alongB = plan.b === 'direct' ? strideOf(p.b, p.k) : width;
          const dtype = plan.b === 'direct' ? p.b.dtype : p.acc;
          const streamB: Stream = { dtype, from: columnsAt(n), across: lanes, along: alongB };
          const full = fullColumns(b, p, plan, nGroups, n);
          b.for(from, until, { step: 1, trips: Math.min(plan.mBlock, plan.mTask) }, mPanel => {
            const { first, count } = rowSide.panel(b, mPanel);
            const fromA = rowsAt(first);
            const before = b.mul(b.sub(nPanel, nLo), b.i32(rowSide.taskLines));
            const tile =
              k.count > 1 ? b.advance(sums, b.mul(b.add(before, b.sub(first, firstRow)), b.i32(width)), bytes) : sums;
            const run = (rows: number): void => {
              const streamA: Stream =
                plan.a === 'direct'
                  ? directRows(p, block, fromA)
                  : { dtype: p.acc, from: fromA, across: 1, along: rows };
              const { length } = block;
              const ahead = aheadOf(b, p, plan, {
                a: () => b.advance(streamA.from, asReg(b, length), rows * bytes),
                b: () => b.advance(streamB.from, nextPanel(b, plan, blockIndex), k.length * bytes),
                rows,
                row: () => b.sub(mPanel, from),
                column: () => b.sub(nPanel, nLo),
              });
              const at = { first, n, nGroups, ahead, batch: coords };
              runTile(b, p, plan, mGroups, { rows, streamA, streamB, tile, blockIndex, length, full, ...at });
            };
            if (plan.tall === 0) run(plan.low);
            else
              b.if(
                b.cmp('gt', count as Reg, b.i32(plan.low)),
                () => run(plan.low + 1),
                () => run(plan.low),
              );
            const store = (): void => {
              const place = { m: first, rows: count, n, columns: width, batch: coords };
              storeTile(b, p, mGroups, nGroups, lanes, { from: tile, pitch: width, ...place });
            };
            const stored = (): void => {
              if (!full) store();
              else if (full !== 'always') b.if(b.cmp('lt', full, b.i32(0)), store);
            };
            if (blockIndex) b.if(b.cmp('eq', blockIndex, b.i32(k.count - 1)), stored);
            else stored();
          });
        });
      });
    });
  });
}

/** Where fewer tiles share a panel, asking ahead keeps the reads waiting that are wanted now. */
const LEAST_TILES = 4;

/**
 * What comes from the third cache is asked for ahead: the tiles that share a panel of B ask for the next one, a share
 * each, and those that share a panel of A where panels of A pass by. (A block of A in the second cache, B from the
 * third: 84 to 90 -> 97 to 100 % of peak.) Null where nothing packed passes, or too few tiles share it.
 */
function aheadOf(
  b: LoopBuilder,
  p: Problem,
  plan: Plan,
  next: { readonly [of in 'a' | 'b' | 'row' | 'column']: () => Reg } & { readonly rows: number },
): Ahead | null {
  const bytes = bytesOf(p.acc);
  const trips = Math.floor(plan.k.length / plan.unroll);
  const share = (panel: () => Reg, lines: number, tile: () => Reg, tiles: number): Ahead => {
    const each = Math.ceil((plan.unroll * lines * bytes) / tiles);
    return { from: b.advance(panel(), b.mul(tile(), b.i32(trips)), each), bytes: each };
  };
  if (plan.unroll < 2) return null;
  if (plan.aPasses) return share(next.a, next.rows, next.column, plan.nTask);
  if (plan.b === 'direct' || plan.mBlock < LEAST_TILES || plan.nPanels === 1) return null;
  return share(next.b, plan.width, next.row, plan.mBlock);
}

/**
 * Lines from a panel of B to the one that a task reads after it: of the next block where it has no other, of its
 * neighbour elsewhere.
 */
function nextPanel(b: LoopBuilder, plan: Plan, blockIndex: Reg | null): Reg {
  const { width, nPanels, k } = plan;
  if (!blockIndex || plan.nTask > 1 || plan.b !== 'shared') return b.i32(width);
  const block = nPanels * width;
  return b.select(b.cmp('eq', blockIndex, b.i32(k.count - 1)), b.i32(width - (k.count - 1) * block), b.i32(block));
}

/** A where it lies: a block of k in the rows that it steps evenly through. */
function directRows(p: Problem, block: RunningBlock, from: Reg): Stream {
  const outer = block.dims.length - evenDims(p, p.a, block.dims);
  const stream = { dtype: p.acc, from, across: strideOf(p.a, p.m), along: strideOf(p.a, p.k) };
  if (outer <= 0) return stream;
  const rows = block.dims.slice(0, outer).map((d, i) => ({ extent: block.extents[i]!, step: p.a.lin[d]! }));
  return { ...stream, rows, rowLength: product(block.dims.slice(outer).map(d => p.dims[d]!.size)) };
}

/**
 * Whether finished sums may go from registers straight to the output: little to fuse, rows evenly apart, and all
 * columns of the panel in one run. Null when never; else 'always' or a register that is negative where not.
 */
function fullColumns(b: LoopBuilder, p: Problem, plan: Plan, n: readonly Group[], first: Reg): Reg | 'always' | null {
  const inner = n[n.length - 1];
  if (!inner || inner.size < plan.width || !storesVectors(p, n) || outputGroups(p, p.m).length > 1) return null;
  if (!finishesInRegisters(b, p, plan.lanes, inner.inner)) return null;
  if (inner.size % plan.width === 0) return 'always';
  const x = n.length === 1 ? first : b.bin('remU', first, b.i32(inner.size));
  return b.sub(b.i32(inner.size - plan.width), x);
}

interface TileRun {
  readonly rows: number;
  readonly streamA: Stream;
  readonly streamB: Stream;
  readonly tile: Reg;
  readonly blockIndex: Reg | null;
  readonly length: Extent;
  readonly full: Reg | 'always' | null;
  readonly ahead: Ahead | null;
  readonly first: Reg;
  readonly n: Reg;
  readonly nGroups: readonly Group[];
  readonly batch: Coords;
}

/**
 * Lines that finishing the tile will want, in the last block of k; where sums wait between blocks, those of the tile
 * behind this one.
 */
function touching(b: LoopBuilder, p: Problem, plan: Plan, m: readonly Group[], run: TileRun): Meanwhile | null {
  if (!plan.touches) return null;
  const { width, lanes, k } = plan;
  const { blockIndex, rows, nGroups, n, batch } = run;
  const tile = { rows, m: run.first, n, columns: width, batch };
  const results = touchesOf(b, p, m, nGroups, lanes, tile);
  if (!blockIndex) return results;
  const last = b.cmp('eq', blockIndex, b.i32(k.count - 1));
  const rowBytes = width * bytesOf(p.acc);
  const each = (row: Reg): void => {
    if (results) b.if(last, () => results.each(row));
    const next = b.advance(run.tile, b.add(row, b.i32(rows)), rowBytes);
    for (let at = 0; at < rowBytes; at += LINE) b.prefetch(next, at, true);
  };
  return { times: rows, each };
}

/**
 * One register tile over one block of k: sums start at zero or where the last block left them, and go to scratch or to
 * the output.
 */
function runTile(b: LoopBuilder, p: Problem, plan: Plan, mGroups: readonly Group[], run: TileRun): void {
  const bytes = bytesOf(p.acc);
  const { lanes, vectors, width } = plan;
  const sums = Array.from({ length: run.rows }, () => Array.from({ length: vectors }, () => zero(b, p.acc, lanes)));
  const each = (fill: (sum: Reg, row: number, vector: number) => void): void => {
    for (const [r, tile] of sums.entries()) for (const [v, sum] of tile.entries()) fill(sum, r, v);
  };
  if (run.blockIndex) {
    b.if(b.cmp('ne', run.blockIndex, b.i32(0)), () =>
      each((sum, r, v) => b.load(p.acc, run.tile, (r * width + v * lanes) * bytes, lanes, sum)),
    );
  }
  sweep(
    b,
    p.acc,
    lanes,
    sums,
    run.length,
    run.streamA,
    run.streamB,
    plan.unroll,
    run.ahead,
    touching(b, p, plan, mGroups, run),
  );
  const keep = (): void => each((sum, r, v) => b.store(p.acc, run.tile, sum, (r * width + v * lanes) * bytes));
  if (!run.full) {
    keep();
    return;
  }
  const direct = (): void => {
    const columns = locate(b, run.nGroups, run.n, run.batch);
    const inner = run.nGroups[run.nGroups.length - 1]!.inner;
    const x = columns.get(inner)!;
    const down = mGroups[0]?.inner;
    const index = outputIndex(b, p, down === undefined ? columns : new Map([...columns, [down, run.first]]));
    const pitch = down === undefined ? 0 : p.out.lin[down]!;
    if (!p.epilogue && sums.length * pitch * bytesOf(p.out.dtype) < REACH) {
      const at = b.addr(p.out.buffer, index);
      each((sum, r, v) => b.store(p.out.dtype, at, sum, (r * pitch + v * lanes) * bytesOf(p.out.dtype)));
      return;
    }
    // Column by column: what the rows of one share is read once, and stays in a register.
    for (let v = 0; v < vectors; v++) {
      const shared: SharedReads = new Map();
      if (v > 0) columns.set(inner, b.add(x, b.i32(v * lanes)));
      for (const [r, tile] of sums.entries()) {
        const row = new Map(columns);
        if (down !== undefined) row.set(down, r === 0 ? run.first : b.add(run.first, b.i32(r)));
        const offset = v * lanes + r * pitch;
        finish(b, p, tile[v]!, row, offset === 0 ? index : b.add(index, b.i32(offset)), inner, null, shared);
      }
    }
  };
  const last = run.blockIndex ? b.cmp('eq', run.blockIndex, b.i32(plan.k.count - 1)) : null;
  const whole = run.full === 'always' ? null : b.cmp('ge', run.full, b.i32(0));
  const choose = (m: Reg | null, yes: () => void): void => (m ? b.if(m, yes, keep) : yes());
  choose(last, () => choose(whole, direct));
}
