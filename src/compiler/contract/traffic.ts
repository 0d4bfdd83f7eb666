/**
 * Cutting the output of one product into tasks by what passes between the second cache and what lies behind it: that takes time which multiply-adds do not
 * hide, some 9 GB/s on the machine this was measured on. Pure arithmetic on counts of panels.
 */
import { taskStart } from './tasks.ts';

const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/** One side of a product: rows of A or columns of B. */
export interface Lines {
  readonly panels: number;
  /** Lines of a panel. */
  readonly width: number;
  /** Whether they are packed in every run. */
  readonly packed: boolean;
}

export interface Cuts {
  /** Tasks that threads want, and the most there may be. */
  readonly wanted: number;
  readonly most: number;
  /** Panels of rows that stay in the second cache while columns pass. */
  readonly block: number;
  /** Panels of columns that stay there beside one such block. */
  readonly resident: number;
}

/** Share of the wanted tasks that there must be at least. */
const ENOUGH_TASKS = 0.65;
/** What packing costs in lines read: by all threads into memory that is read again later; by a task into its own, which stays in its cache. */
const PACKED_FOR_ALL = 3;
const PACKED_FOR_ONE = 1.5;
/** Lines that a core could read in the time of so many sums. */
const SUMS_PER_LINE = 50;

/**
 * What the later of two threads takes beyond its half, as a share of that half, where the tasks of one follow those of the other in `blockOf`'s order (5 panels of
 * columns cut in 3, outside of 4 tasks of rows, fall into 200 and 300 of 500).
 */
function idleShare(outer: number, outerTasks: number, inner: number, innerTasks: number): number {
  const half = Math.floor((outerTasks * innerTasks) / 2);
  const whole = Math.floor(half / innerTasks);
  const begun = taskStart(outer, outerTasks, whole);
  const rest = taskStart(outer, outerTasks, whole + 1) - begun;
  const first = begun * inner + rest * taskStart(inner, innerTasks, half % innerTasks);
  const all = outer * inner;
  return (2 * Math.max(first, all - first)) / all - 1;
}

/**
 * Panels per task of least traffic: a task reads its rows once, and its columns once for every block of rows, or once if they stay. What
 * two threads share unevenly counts as lost time. (384 x 1536 of 1024, both packed: 4 x 4 tasks of shared panels 8.5 ms, 1 x 16 that pack their own columns 7.1.)
 */
export function leastTraffic(m: Lines, n: Lines, cuts: Cuts): { mTask: number; nTask: number; rowsOuter: boolean } {
  const { wanted, most, block, resident } = cuts;
  const enough = ENOUGH_TASKS * Math.min(wanted, m.panels * n.panels);
  const [rows, columns] = [m.panels * m.width, n.panels * n.width];
  const packing = (side: Lines, lines: number, others: number): number =>
    side.packed ? lines * (others > 1 ? PACKED_FOR_ALL : PACKED_FOR_ONE) : 0;
  let best = { mTask: m.panels, nTask: n.panels, rowsOuter: false };
  let least = Number.POSITIVE_INFINITY;
  for (let mTasks = 1; mTasks <= Math.min(m.panels, most); mTasks++) {
    const mTask = ceilDiv(m.panels, mTasks);
    const usedM = ceilDiv(m.panels, mTask);
    for (let nTasks = ceilDiv(enough, mTasks); nTasks <= Math.min(n.panels, Math.max(1, most / mTasks)); nTasks++) {
      const nTask = ceilDiv(n.panels, nTasks);
      const usedN = ceilDiv(n.panels, nTask);
      const tasks = usedM * usedN;
      if (tasks < enough) continue;
      const passes = nTask <= resident ? 1 : ceilDiv(mTask, block);
      const read = usedN * rows + usedM * passes * columns + packing(m, rows, usedN) + packing(n, columns, usedM);
      const byColumns = idleShare(n.panels, usedN, m.panels, usedM);
      const byRows = idleShare(m.panels, usedM, n.panels, usedN);
      const idle = Math.min(byRows, byColumns);
      const cost = read + (idle * rows * columns) / SUMS_PER_LINE;
      if (cost < least * 0.999) {
        least = cost;
        best = { mTask, nTask, rowsOuter: byRows < byColumns };
      }
    }
  }
  return best;
}
