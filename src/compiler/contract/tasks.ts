/**
 * Sharing tasks among threads: which block of the output a task is, a parallel loop over a schedule's tasks, and the
 * scratch area a thread may call its own in it.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { processorsOf, type Target } from '../target.ts';
import { unravel } from './indices.ts';
import { extent, type Problem } from './problem.ts';

/** Iterations of the parallel loop at most, hence areas. */
const MAX_SLOTS = 64;
/** Tasks that are cut at most. */
export const MAX_TASKS = MAX_SLOTS;

/** Areas of scratch that `count` tasks need. */
export const slotsOf = (count: number): number => Math.min(count, MAX_SLOTS);

/** Tasks that a small product is cut into, and a large one, on few processors. */
const FEW_TASKS = 16;
const MANY_TASKS = 32;

/**
 * Tasks worth having, so that as many threads as there are processors share them evenly: each of at least some half a
 * microsecond, and beyond one for each of a few milliseconds.
 */
export function wantedTasks(p: Problem, target: Target): number {
  const products = extent(p, p.batch) * extent(p, p.m) * extent(p, p.n) * extent(p, p.k);
  const each = Math.min(Math.max(FEW_TASKS, processorsOf(target)), MAX_SLOTS);
  const few = Math.min(each, Math.floor(products / 20_000));
  return Math.max(1, few, Math.min(Math.max(MANY_TASKS, each), Math.floor(products / 64_000_000)));
}

/** First task of each of `threads`, and the end of the last's: as `eachTask` deals them out. */
export function dealtTasks(count: number, threads: number): number[] {
  const slots = slotsOf(count);
  return Array.from({ length: threads + 1 }, (_, t) => Math.floor((Math.floor((t * slots) / threads) * count) / slots));
}

/** Parts that sums are cut into, `most` at most, so that `blocks` of results make some `tasks` for threads to share. */
export const chunksFor = (blocks: number, tasks: number, most: number): number =>
  Math.max(1, Math.min(Math.ceil(tasks / blocks), Math.floor(most)));

/** The largest multiple of `unit` up to `most` that divides `n`, itself a multiple. */
export function evenPart(n: number, unit: number, most: number): number {
  for (let size = Math.max(unit, most - (most % unit)); size > unit; size -= unit) if (n % size === 0) return size;
  return unit;
}

/**
 * Runs `fill` for every task; `slot` (below `slotsOf(count)`) is the running thread's own, which takes tasks from
 * `first` on one after another.
 */
export function eachTask(b: LoopBuilder, count: number, fill: (task: Reg, slot: Reg, first: Reg) => void): void {
  const slots = slotsOf(count);
  b.parallel(slots, iteration => {
    const slot = slotHere(b, slots);
    if (slots === count) {
      fill(iteration, slot, slot);
      return;
    }
    const share = (i: Reg): Reg => shareOf(b, i, count);
    b.for(share(iteration), share(b.add(iteration, b.i32(1))), 1, task => fill(task, slot, share(slot)));
  });
}

/** The same where `fill` goes through tasks itself, from `from` on and up to `to`: one at least. */
export function eachShare(b: LoopBuilder, count: number, fill: (from: Reg, to: Reg, slot: Reg) => void): void {
  const slots = slotsOf(count);
  b.parallel(slots, iteration => {
    const slot = slotHere(b, slots);
    fill(shareOf(b, iteration, count), shareOf(b, b.add(iteration, b.i32(1)), count), slot);
  });
}

/**
 * The first iteration of a thread's share: distinct among the threads that have one, however many threads there are.
 */
const slotHere = (b: LoopBuilder, slots: number): Reg =>
  slots === 1 ? b.i32(0) : b.bin('divU', b.mul(b.thread(), b.i32(slots)), b.threads());

const shareOf = (b: LoopBuilder, iteration: Reg, count: number): Reg =>
  b.bin('divU', b.mul(iteration, b.i32(count)), b.i32(slotsOf(count)));

/** How panels of rows and columns are cut into tasks. */
export interface Cut {
  readonly batches: number;
  readonly mPanels: number;
  readonly nPanels: number;
  readonly mTasks: number;
  readonly nTasks: number;
  /**
   * Whether a thread, whose tasks follow one another, takes all columns of some rows, and not all rows of some columns.
   */
  readonly rowsOuter: boolean;
}

/** First panel of each task of `tasks`, and the end of the last: sizes differ by one at most. */
export const taskStart = (panels: number, tasks: number, at: number): number => Math.floor((at * panels) / tasks);

/**
 * Whether `task` is its thread's first (from `earliest` on) of one range of the outer side: it packs what the others
 * find. Null where no two share a range.
 */
export function renewedFor(b: LoopBuilder, { rowsOuter, mTasks, nTasks }: Cut, task: Reg, earliest: Reg): Reg | null {
  const inner = rowsOuter ? nTasks : mTasks;
  return inner === 1 ? null : b.cmp('eq', b.mul(b.sub(task, earliest), b.bin('remU', task, b.i32(inner))), b.i32(0));
}

/** The batch of a task and its panels of rows and columns, from and to. */
export function blockOf(b: LoopBuilder, task: Reg, cut: Cut): { batch: Reg; m: [Reg, Reg]; n: [Reg, Reg] } {
  const { batches, mPanels, nPanels, mTasks, nTasks, rowsOuter } = cut;
  const [batch, outer, inner] = unravel(b, task, rowsOuter ? [batches, mTasks, nTasks] : [batches, nTasks, mTasks]);
  const bounds = (at: Reg, panels: number, tasks: number): [Reg, Reg] => {
    const start = (x: Reg): Reg =>
      panels % tasks === 0 ? b.mul(x, b.i32(panels / tasks)) : b.bin('divU', b.mul(x, b.i32(panels)), b.i32(tasks));
    return [start(at), start(b.add(at, b.i32(1)))];
  };
  const [mBlock, nBlock] = rowsOuter ? [outer!, inner!] : [inner!, outer!];
  return { batch: batch!, m: bounds(mBlock, mPanels, mTasks), n: bounds(nBlock, nPanels, nTasks) };
}
