/**
 * The blocked contraction (Goto and van de Geijn, 2008; BLIS): tasks over blocks of the output, each sweeping blocks of k with a packed
 * panel of B in the first cache and panels of A from the second, through the register-tiled microkernel. Follows a Plan.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder, Reg } from '../loops.ts';
import { asReg, type Cursor, type Extent, origin, sizesOf, step, stepAll } from './cursor.ts';
import { type Stream, sweep } from './micro.ts';
import { affine, unravel, zero } from './naive.ts';
import { type Block, packPanel } from './pack.ts';
import type { Plan } from './plan.ts';
import { extent, type Problem, type View } from './problem.ts';
import type { Scratch } from './spec.ts';
import {
  type Coords,
  finish,
  finishesInRegisters,
  type Group,
  locate,
  outputGroups,
  outputIndex,
  storesVectors,
  storeTile,
} from './store.ts';
import { eachTask, slotsOf } from './tasks.ts';

/** One block of k at run time. */
interface RunningBlock extends Block {
  readonly prefixCoords: readonly Reg[];
  /** First coordinate of the split dim. */
  readonly lo: Extent;
  /** Points of k before this block. */
  readonly before: Extent;
}

function blockAt(b: LoopBuilder, p: Problem, plan: Plan, index: Extent): RunningBlock {
  const { k } = plan;
  if (k.split === null) return { dims: [], extents: [], length: 1, prefixCoords: [], lo: 0, before: 0 };
  const size = p.dims[k.split]!.size;
  const dims = [k.split, ...k.inner];
  const inner = sizesOf(p, k.inner);
  if (k.count === 1) return { dims, extents: [size, ...inner], length: k.length, prefixCoords: [], lo: 0, before: 0 };
  const at = asReg(b, index);
  const chunks = b.i32(k.chunks);
  const prefix = k.prefix.length === 0 ? b.i32(0) : k.chunks === 1 ? at : b.bin('divU', at, chunks);
  const lo = k.chunks === 1 ? b.i32(0) : b.mul(k.prefix.length === 0 ? at : b.bin('remU', at, chunks), b.i32(k.chunk));
  const even = size % k.chunk === 0;
  const count = even ? k.chunk : b.bin('min', b.i32(k.chunk), b.sub(b.i32(size), lo));
  const length = typeof count === 'number' ? count * k.innerLength : b.mul(count, b.i32(k.innerLength));
  const before = affine(
    b,
    [
      [prefix, size * k.innerLength],
      [lo, k.innerLength],
    ],
    0,
  );
  return {
    dims,
    extents: [count, ...inner],
    length,
    prefixCoords: unravel(b, prefix, sizesOf(p, k.prefix)),
    lo,
    before,
  };
}

/** The cursor at a batch's and a block's first point. */
function cursorAt(
  b: LoopBuilder,
  p: Problem,
  plan: Plan,
  view: View,
  batch: readonly Reg[],
  block: RunningBlock,
): Cursor {
  const at = stepAll(b, view, stepAll(b, view, origin(b, view), p.batch, batch), plan.k.prefix, block.prefixCoords);
  return plan.k.split === null ? at : step(b, view, at, plan.k.split, block.lo);
}

/** First row and height of panel `i` of m. */
function rowsOf(b: LoopBuilder, plan: Plan, i: Reg): { first: Reg; height: Extent } {
  if (plan.tall === 0) return { first: b.mul(i, b.i32(plan.low)), height: plan.low };
  const tall = b.i32(plan.tall);
  return {
    first: b.add(b.mul(i, b.i32(plan.low)), b.bin('min', i, tall)),
    height: b.add(b.i32(plan.low), b.cvt('i32', b.cmp('lt', i, tall))),
  };
}

/** Elements beyond a packed operand that a vector may touch. */
const SLACK = 16;

/** Emits the schedule `plan` of problem `p`. */
export function lowerPanels(b: LoopBuilder, p: Problem, plan: Plan, scratch: Scratch): void {
  const bytes = bytesOf(p.acc);
  const { lanes, width, k } = plan;
  const M = extent(p, p.m);
  const K = extent(p, p.k);
  const mGroups = outputGroups(p, p.m);
  const nGroups = outputGroups(p, p.n);
  const slots = slotsOf(plan.tasks);
  const taskRows = Math.min(M, plan.mTask * (plan.low + (plan.tall > 0 ? 1 : 0)));
  const taskColumns = plan.nTask * width;
  const maxHeight = plan.low + (plan.tall > 0 ? 1 : 0);
  const manyBlocks = k.count > 1;

  const sharedA = plan.a === 'shared' ? scratch('packed a', p.acc, M * K + SLACK) : -1;
  const sharedB = plan.b === 'shared' ? scratch('packed b', p.acc, plan.nPanels * width * K + SLACK) : -1;
  const sizeA = taskRows * k.length + SLACK;
  const sizeB = taskColumns * k.length + SLACK;
  const sizeC = manyBlocks ? taskRows * taskColumns : maxHeight * width;
  const privateA = plan.a === 'private' ? scratch('task a', p.acc, slots * sizeA) : -1;
  const privateB = plan.b === 'private' ? scratch('task b', p.acc, slots * sizeB) : -1;
  const tiles = scratch('tiles', p.acc, slots * sizeC);

  const packA = (panel: Reg, at: Cursor, block: Block, to: (first: Reg) => Reg): void => {
    const { first, height } = rowsOf(b, plan, panel);
    packPanel(b, p, p.a, p.m, lanes, { at, first, width: height, most: maxHeight, block, to: to(first) });
  };
  const packB = (panel: Reg, at: Cursor, block: Block, to: Reg): void => {
    const first = b.mul(panel, b.i32(width));
    packPanel(b, p, p.b, p.n, lanes, { at, first, width, most: width, block, to });
  };
  const eachBlock = (fill: (block: RunningBlock, index: Reg | null) => void): void => {
    if (manyBlocks) b.for(0, k.count, 1, i => fill(blockAt(b, p, plan, i), i));
    else fill(blockAt(b, p, plan, 0), null);
  };

  if (sharedA >= 0) {
    b.parallel(plan.mPanels, panel => {
      eachBlock(block => {
        const at = cursorAt(b, p, plan, p.a, [], block);
        const start = affine(b, [[asReg(b, block.before), M]], 0);
        packA(panel, at, block, first => b.addr(sharedA, b.add(start, b.mul(first, asReg(b, block.length)))));
      });
    });
  }
  if (sharedB >= 0) {
    b.parallel(plan.nPanels, panel => {
      eachBlock(block => {
        const at = cursorAt(b, p, plan, p.b, [], block);
        const start = affine(b, [[asReg(b, block.before), plan.nPanels * width]], 0);
        const offset = b.mul(b.mul(panel, b.i32(width)), asReg(b, block.length));
        packB(panel, at, block, b.addr(sharedB, b.add(start, offset)));
      });
    });
  }
  if (sharedA >= 0 || sharedB >= 0) b.barrier();

  eachTask(b, plan.tasks, (index, slot) => {
    const area = (buffer: number, size: number): Reg => b.addr(buffer, b.mul(slot, b.i32(size)));
    const [batchIndex, nBlock, mBlock] = unravel(b, index, [plan.batches, plan.nTasks, plan.mTasks]);
    const bounds = (at: Reg, per: number, all: number): [Reg, Reg] => {
      const lo = b.mul(at, b.i32(per));
      return [lo, all % per === 0 ? b.add(lo, b.i32(per)) : b.bin('min', b.add(lo, b.i32(per)), b.i32(all))];
    };
    const [mLo, mHi] = bounds(mBlock!, plan.mTask, plan.mPanels);
    const [nLo, nHi] = bounds(nBlock!, plan.nTask, plan.nPanels);
    const batch = unravel(b, batchIndex!, sizesOf(p, p.batch));
    const batchCoords: Coords = new Map(p.batch.map((d, i) => [d, batch[i]!] as const));
    const firstRow = rowsOf(b, plan, mLo).first;

    eachBlock((block, blockIndex) => {
      const length = asReg(b, block.length);
      const atA = plan.a === 'shared' ? null : cursorAt(b, p, plan, p.a, batch, block);
      const atB = plan.b === 'shared' ? null : cursorAt(b, p, plan, p.b, batch, block);
      const baseA =
        plan.a === 'shared'
          ? b.addr(sharedA, affine(b, [[asReg(b, block.before), M]], 0))
          : plan.a === 'private'
            ? area(privateA, sizeA)
            : b.addr(p.a.buffer, atA!.index);
      const baseB =
        plan.b === 'shared'
          ? b.addr(sharedB, affine(b, [[asReg(b, block.before), plan.nPanels * width]], 0))
          : plan.b === 'private'
            ? area(privateB, sizeB)
            : b.addr(p.b.buffer, atB!.index);
      if (plan.a === 'private') {
        b.for(mLo, mHi, 1, panel =>
          packA(panel, atA!, block, first => b.advance(baseA, b.mul(b.sub(first, firstRow), length), bytes)),
        );
      }
      if (plan.b === 'private') {
        b.for(nLo, nHi, 1, panel => {
          const offset = b.mul(b.mul(b.sub(panel, nLo), b.i32(width)), length);
          packB(panel, atB!, block, b.advance(baseB, offset, bytes));
        });
      }
      b.for(mLo, mHi, plan.mBlock, from => {
        const until = b.bin('min', mHi, b.add(from, b.i32(plan.mBlock)));
        b.for(nLo, nHi, 1, nPanel => {
          const n = b.mul(nPanel, b.i32(width));
          const column = plan.b === 'private' ? b.mul(b.sub(nPanel, nLo), b.i32(width)) : n;
          const fromB =
            plan.b === 'direct' ? b.advance(baseB, n, bytes) : b.advance(baseB, b.mul(column, length), bytes);
          const alongB = plan.b === 'direct' ? strideOf(p.b, p.k) : width;
          const streamB: Stream = { dtype: p.acc, from: fromB, across: lanes, along: alongB };
          const full = fullColumns(b, p, plan, nGroups, n);
          b.for(from, until, 1, mPanel => {
            const { first, height } = rowsOf(b, plan, mPanel);
            const row = plan.a === 'private' ? b.sub(first, firstRow) : first;
            const fromA =
              plan.a === 'direct'
                ? b.advance(baseA, b.mul(first, b.i32(strideOf(p.a, p.m))), bytes)
                : b.advance(baseA, b.mul(row, length), bytes);
            const tile = manyBlocks
              ? b.advance(
                  area(tiles, sizeC),
                  b.mul(b.add(b.mul(b.sub(nPanel, nLo), b.i32(taskRows)), b.sub(first, firstRow)), b.i32(width)),
                  bytes,
                )
              : area(tiles, sizeC);
            const run = (rows: number): void => {
              const streamA: Stream =
                plan.a === 'direct'
                  ? { dtype: p.acc, from: fromA, across: strideOf(p.a, p.m), along: strideOf(p.a, p.k) }
                  : { dtype: p.acc, from: fromA, across: 1, along: rows };
              runTile(b, p, plan, mGroups, {
                  rows, streamA, streamB, tile, blockIndex, length: block.length,
                  full, first, n, nGroups, batch: batchCoords,
                }); // biome-ignore format: a record
            };
            if (plan.tall === 0) run(plan.low);
            else
              b.if(
                b.cmp('lt', mPanel, b.i32(plan.tall)),
                () => run(plan.low + 1),
                () => run(plan.low),
              );
            const store = (): void =>
                storeTile(b, p, mGroups, nGroups, lanes, {
                  from: tile, pitch: width, m: first, rows: height, n, columns: width, batch: batchCoords,
                }); // biome-ignore format: a record
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

const strideOf = (view: View, dims: readonly number[]): number => {
  const inner = dims[dims.length - 1];
  return inner === undefined ? 0 : view.lin[inner]!;
};

/**
 * Whether finished sums may go from registers straight to the output: little to fuse, rows evenly apart, and all columns of the panel in one
 * run. Null when never; else 'always' or a register that is negative where not.
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
  readonly first: Reg;
  readonly n: Reg;
  readonly nGroups: readonly Group[];
  readonly batch: Coords;
}

/** One register tile over one block of k: sums start at zero or where the last block left them, and go to scratch or to the output. */
function runTile(b: LoopBuilder, p: Problem, plan: Plan, mGroups: readonly Group[], run: TileRun): void {
  const bytes = bytesOf(p.acc);
  const { lanes, vectors, width } = plan;
  const sums = Array.from({ length: run.rows }, () =>
    Array.from({ length: vectors }, () => b.copy(zero(b, p.acc, lanes))),
  );
  const each = (fill: (sum: Reg, row: number, vector: number) => void): void => {
    for (const [r, tile] of sums.entries()) for (const [v, sum] of tile.entries()) fill(sum, r, v);
  };
  if (run.blockIndex) {
    b.if(b.cmp('ne', run.blockIndex, b.i32(0)), () =>
      each((sum, r, v) => b.move(sum, b.load(p.acc, run.tile, (r * width + v * lanes) * bytes, lanes))),
    );
  }
  sweep(b, p.acc, lanes, sums, run.length, run.streamA, run.streamB, plan.unroll);
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
    for (const [r, tile] of sums.entries()) {
      const row = new Map(columns);
      if (down !== undefined) row.set(down, r === 0 ? run.first : b.add(run.first, b.i32(r)));
      const start = r === 0 ? index : b.add(index, b.i32(r * p.out.lin[down!]!));
      for (const [v, sum] of tile.entries()) {
        const offset = b.i32(v * lanes);
        if (v > 0) row.set(inner, b.add(x, offset));
        finish(b, p, sum, row, v === 0 ? start : b.add(start, offset), inner);
      }
    }
  };
  const last = run.blockIndex ? b.cmp('eq', run.blockIndex, b.i32(plan.k.count - 1)) : null;
  const whole = run.full === 'always' ? null : b.cmp('ge', run.full, b.i32(0));
  const choose = (m: Reg | null, yes: () => void): void => (m ? b.if(m, yes, keep) : yes());
  choose(last, () => choose(whole, direct));
}
