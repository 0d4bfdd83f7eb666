/**
 * The schedule of a problem over words: panels, blocks of k, tasks. Pure arithmetic on sizes and caches, so results depend on shapes alone.
 */
import { lanesFor, type Target } from '../../target.ts';
import { blocksOf, type KBlocks, keepsPacked } from '../plan.ts';
import { extent, product, type View } from '../problem.ts';
import { wantedTasks } from '../tasks.ts';
import { STEP } from './pack.ts';
import type { PackedProblem } from './problem.ts';

export type PackedSource = 'shared' | 'private';

export interface PackedPlan {
  readonly lanes: number;
  /** Lines of a panel of m, and of n. */
  readonly rows: number;
  readonly width: number;
  readonly mPanels: number;
  readonly nPanels: number;
  readonly k: KBlocks;
  /** Words that a packed block takes at most: `k.length` padded. */
  readonly blockWords: number;
  readonly a: PackedSource;
  readonly b: PackedSource;
  readonly mTask: number;
  readonly nTask: number;
  readonly mBlock: number;
  readonly mTasks: number;
  readonly nTasks: number;
  readonly batches: number;
  readonly tasks: number;
}

/** Words of a block: a panel of 32 lines takes 64 KB (2048 x 2048 x 2048: 768 GFLOP/s with 1024, 820 with 512, 660 with 256). */
const BLOCK_WORDS = 512;
/** Sums pass by once per block, so they may take more than the cache has room for. */
const SUMS_SHARE = 4;
/** Bytes of unfolded windows that may be packed as a whole. */
const SHARED_MOST = 16 << 20;
const WORD = 4;

const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/** Rows and columns of a register tile of dot products: sums, a row of columns and one broadcast in 30 registers. */
const dotTile = (n: number, lanes: number): { rows: number; width: number } => {
  const vectors = Math.min(3, ceilDiv(n, lanes));
  return { rows: 8, width: vectors * lanes };
};

export function packedPlan(q: PackedProblem, target: Target): PackedPlan {
  const { p } = q;
  const lanes = lanesFor(target, WORD);
  const [m, n, batches] = [extent(p, p.m), extent(p, p.n), extent(p, p.batch)];
  const { rows, width } =
    q.by === 'tiles' ? { rows: m > STEP ? 2 * STEP : STEP, width: n > STEP ? 2 * STEP : STEP } : dotTile(n, lanes);
  const mPanels = ceilDiv(m, rows);
  const nPanels = ceilDiv(n, width);
  const k = blocksOf(p, BLOCK_WORDS, []);
  const blockWords = ceilDiv(k.length, STEP) * STEP;
  const cache = target.l2Bytes * 0.4;
  const fits = (panels: number, lines: number): number =>
    Math.max(1, Math.min(panels, Math.floor(cache / (blockWords * lines * WORD))));
  // A product of words takes as long as some eight of single elements.
  const wanted = Math.max(1, Math.floor(wantedTasks(p)));
  const spread = (panels: number, most: number, others: number): number =>
    ceilDiv(panels, Math.min(panels, Math.max(1, ceilDiv(panels, most), Math.floor(wanted / others))));
  let mTask = mPanels;
  let nTask = nPanels;
  if (m <= n) {
    nTask = spread(nPanels, fits(nPanels, width), batches);
    mTask = spread(mPanels, mPanels, batches * ceilDiv(nPanels, nTask));
  } else {
    mTask = spread(mPanels, fits(mPanels, rows), batches);
    nTask = spread(nPanels, nPanels, batches * ceilDiv(mPanels, mTask));
  }
  if (k.count > 1) {
    const area = Math.max(1, Math.floor((SUMS_SHARE * cache) / (rows * width * WORD)));
    nTask = Math.max(1, Math.min(nTask, Math.floor(area / Math.min(mTask, area))));
    mTask = Math.max(1, Math.min(mTask, Math.floor(area / nTask)));
  }
  const mTasks = ceilDiv(mPanels, mTask);
  const nTasks = ceilDiv(nPanels, nTask);
  const words = product(p.k.map(d => p.dims[d]!.size));
  const source = (again: boolean, lines: number, view: View): PackedSource =>
    batches === 1 &&
    (keepsPacked(view) || (again && lines * words * WORD <= Math.max(2 * view.elements * WORD, SHARED_MOST)))
      ? 'shared'
      : 'private';
  return {
    lanes,
    rows,
    width,
    mPanels,
    nPanels,
    k,
    blockWords,
    a: source(nTasks > 1, mPanels * rows, p.a),
    b: source(mTasks > 1, nPanels * width, p.b),
    mTask,
    nTask,
    mBlock: Math.min(mTask, fits(mTask, rows)),
    mTasks,
    nTasks,
    batches,
    tasks: batches * mTasks * nTasks,
  };
}
