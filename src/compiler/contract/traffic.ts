/**
 * Cutting the output of one product into tasks by what passes between the second cache and what lies behind it: that
 * takes time which multiply-adds do not hide, some 9 GB/s on the machine this was measured on. Pure arithmetic on
 * counts of panels.
 */

import { dealtTasks, taskStart } from './tasks.ts';
import { ceilDiv } from './tile.ts';

/** One side of a product: rows of A or columns of B. */
export interface Lines {
  readonly panels: number;
  /** Lines of a panel. */
  readonly width: number;
  /** Whether they are packed in every run. */
  readonly packed: boolean;
  /** Whether all of them together fit into the second cache. */
  readonly fits: boolean;
}

export interface Cuts {
  /** Tasks that threads want, and the most there may be. */
  readonly wanted: number;
  readonly most: number;
  /** Panels of rows that stay in the second cache while columns pass. */
  readonly block: number;
  /** Panels of columns that stay there beside one such block. */
  readonly resident: number;
  /** Processors whose threads share the tasks. */
  readonly processors: number;
  /** Whether a task packs all of k at once, so that the one behind it finds what both read. */
  readonly whole: boolean;
}

export interface Tasks {
  readonly mTask: number;
  readonly nTask: number;
  readonly rowsOuter: boolean;
  /** Tasks that would pack the same rows, and the same columns. */
  readonly mPackers: number;
  readonly nPackers: number;
}

/** Share of the wanted tasks that there must be at least. */
const ENOUGH_TASKS = 0.5;
/**
 * What packing costs in lines that are asked for ahead and read: by all threads, into memory that is read again later,
 * in some cache or behind it; by a task into its own, which stays. (2048 x 2048 of 2048 in 16 tasks of rows: 101.9 ms
 * with shared rows, 98.0 with rows that every task packs for itself, 98.9 where two tasks pack the same. 400 x 400 of
 * 1000: 1.86 ms with shared columns, 2.00 where two tasks pack the same.)
 */
const PACKED_FOR_ALL = 20;
const PACKED_WITHIN = 6;
const PACKED_FOR_ONE = 4;
/** Blocks of rows that stay where a task packs its own. */
const BLOCKS = 2;
/** Lines that a core could read in the time of so many sums. */
const SUMS_PER_LINE = 8;

const forAll = (side: Lines): number => (side.fits ? PACKED_WITHIN : PACKED_FOR_ALL);

/** Whether a side that so many tasks read is better packed once, by all, than by each of them. */
export const packsForAll = (side: Lines, tasks: number): boolean => tasks * PACKED_FOR_ONE > forAll(side);

/**
 * What the latest of so many threads takes beyond its share, as a part of that share, where tasks are dealt out in
 * `blockOf`'s order (5 panels of columns cut in 3, outside of 4 tasks of rows, fall into 200 and 300 of 500 for two).
 */
export function idleShare(
  outer: number,
  outerTasks: number,
  inner: number,
  innerTasks: number,
  threads: number,
): number {
  const before = (task: number): number => {
    const whole = Math.floor(task / innerTasks);
    const begun = taskStart(outer, outerTasks, whole);
    const rest = taskStart(outer, outerTasks, whole + 1) - begun;
    return begun * inner + rest * taskStart(inner, innerTasks, task % innerTasks);
  };
  const starts = dealtTasks(outerTasks * innerTasks, threads).map(before);
  const most = starts.reduce((longest, at, t) => (t === 0 ? 0 : Math.max(longest, at - starts[t - 1]!)), 0);
  return (most * threads) / (outer * inner) - 1;
}

/**
 * Panels per task of least traffic: a task reads its rows once, and its columns once for every block of rows, or once
 * if they stay. The tasks of one range of the outer side follow one another, so every thread packs it once. What
 * threads share unevenly, as many as there are processors, counts as lost time. (384 x 1536 of 1024, both packed: 4 x 4
 * tasks of shared panels 8.5 ms, 1 x 16 that pack their own columns 7.1.)
 */
export function leastTraffic(m: Lines, n: Lines, cuts: Cuts): Tasks {
  const { wanted, most, block, resident } = cuts;
  const threads = Math.max(2, cuts.processors);
  const enough = ENOUGH_TASKS * Math.min(wanted, m.panels * n.panels);
  const [rows, columns] = [m.panels * m.width, n.panels * n.width];
  /** What a side costs that so many tasks pack, in panels that stay in the cache up to `most`. */
  const packing = (side: Lines, packers: number, panels: number, most: number): number => {
    if (!side.packed) return 0;
    const each = packsForAll(side, packers) || panels > most ? forAll(side) : packers * PACKED_FOR_ONE;
    return side.panels * side.width * each;
  };
  /** Tasks that pack the same range of one side, of `used`, where `others` tasks read it. */
  const packersOf = (outer: boolean, used: number, others: number): number =>
    outer && cuts.whole ? Math.min(others, Math.ceil(threads / used)) : others;
  /** Whether all rows stay while columns pass. */
  const stay = m.panels <= BLOCKS * block;
  let best: Tasks = { mTask: m.panels, nTask: n.panels, rowsOuter: false, mPackers: 1, nPackers: 1 };
  let least = Number.POSITIVE_INFINITY;
  for (let mTasks = 1; mTasks <= Math.min(m.panels, most); mTasks++) {
    const mTask = ceilDiv(m.panels, mTasks);
    const usedM = ceilDiv(m.panels, mTask);
    for (let nTasks = ceilDiv(enough, mTasks); nTasks <= Math.min(n.panels, Math.max(1, most / mTasks)); nTasks++) {
      const nTask = ceilDiv(n.panels, nTasks);
      const usedN = ceilDiv(n.panels, nTask);
      if (usedM * usedN < enough) continue;
      for (const rowsOuter of [false, true]) {
        const mPackers = packersOf(rowsOuter, usedM, usedN);
        const nPackers = packersOf(!rowsOuter, usedN, usedM);
        const passes = nTask <= resident ? 1 : ceilDiv(mTask, block);
        const packed = packing(m, mPackers, mTask, BLOCKS * block) + packing(n, nPackers, nTask, resident);
        // Rows that stay are read by every thread whose columns need them, from the cache of the one that wrote them.
        const readers = stay ? Math.min(usedN, rowsOuter ? Math.ceil(threads / usedM) : threads) : usedN;
        const read = readers * rows + (nTask <= resident ? nPackers : usedM * passes) * columns + packed;
        if (read >= least * 0.999) continue;
        const idle = rowsOuter
          ? idleShare(m.panels, usedM, n.panels, usedN, threads)
          : idleShare(n.panels, usedN, m.panels, usedM, threads);
        const cost = read + (idle * rows * columns) / SUMS_PER_LINE;
        if (cost >= least * 0.999) continue;
        least = cost;
        best = { mTask, nTask, rowsOuter, mPackers, nPackers };
      }
    }
  }
  return best;
}
