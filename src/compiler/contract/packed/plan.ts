/**
 * The schedule of a problem over words: panels, blocks of k, tasks. Pure arithmetic on sizes and caches, so results depend on shapes alone.
 */

import { lanesFor, processorsOf, type Target } from '../../target.ts';
import { blocksOf, comesPacked, type KBlocks } from '../plan.ts';
import { extent, product, type View } from '../problem.ts';
import { LINE } from '../store.ts';
import { wantedTasks } from '../tasks.ts';
import { ceilDiv } from '../tile.ts';
import { type Lines, leastTraffic, packsForAll } from '../traffic.ts';
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
  /** Lines of the next panel of columns that a tile asks for in every step; 0 where nothing is asked for ahead. */
  readonly linesAhead: number;
  readonly mTasks: number;
  readonly nTasks: number;
  readonly rowsOuter: boolean;
  readonly batches: number;
  readonly tasks: number;
}

/** Words of a block in tiles: one block where it goes, as every further one moves all sums to the third cache and back (2048 x 2048 of 2048: a third of the time). */
const TILE_WORDS = 1024;
/** The same in vectors. */
const DOT_WORDS = 512;
/** Share of the second cache for a block of rows in tiles: tiles ask for more lines a cycle than the third cache gives if columns pass too often. */
const BLOCK_SHARE = 0.5;
/** Words from which on lines of results and of the next panel are asked for ahead. */
const LEAST_AHEAD = 96;
/** Sums pass by once per block, so they may take more than the cache has room for. */
const SUMS_SHARE = 4;
/** Bytes of unfolded windows that may be packed as a whole. */
const SHARED_MOST = 16 << 20;
/** Tasks of tiles at most, on few processors: each is short. */
const TILE_TASKS = 16;
const WORD = 4;

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
  const inTiles = q.by === 'tiles';
  const k = blocksOf(p, inTiles ? TILE_WORDS : DOT_WORDS, []);
  const blockWords = ceilDiv(k.length, STEP) * STEP;
  const cache = target.l2Bytes * 0.4;
  const fits = (panels: number, lines: number): number =>
    Math.max(1, Math.min(panels, Math.floor(cache / (blockWords * lines * WORD))));
  // A product of words takes as long as some eight of single elements.
  const wanted = Math.min(
    wantedTasks(p, target),
    inTiles ? Math.max(TILE_TASKS, processorsOf(target)) : Number.POSITIVE_INFINITY,
  );
  const spread = (panels: number, most: number, others: number): number =>
    ceilDiv(panels, Math.min(panels, Math.max(1, ceilDiv(panels, most), Math.floor(wanted / others))));
  const words = product(p.k.map(d => p.dims[d]!.size));
  const isShareable = (view: View, lines: number): boolean =>
    lines * words * WORD <= Math.max(2 * view.elements * WORD, SHARED_MOST);
  let mTask = mPanels;
  let nTask = nPanels;
  let rowsOuter = false;
  if (m <= n) {
    nTask = spread(nPanels, fits(nPanels, width), batches);
    mTask = spread(mPanels, mPanels, batches * ceilDiv(nPanels, nTask));
  } else {
    mTask = spread(mPanels, fits(mPanels, rows), batches);
    nTask = spread(nPanels, nPanels, batches * ceilDiv(mPanels, mTask));
  }
  const mBlock = Math.max(1, Math.floor((target.l2Bytes * BLOCK_SHARE) / (blockWords * rows * WORD)));
  const linesOf = (panels: number, size: number, view: View): Lines => ({
    panels,
    width: size,
    packed: !comesPacked(view),
    fits: panels * size * words * WORD <= target.l2Bytes,
  });
  const [rowLines, columnLines] = [linesOf(mPanels, rows, p.a), linesOf(nPanels, width, p.b)];
  const byTraffic = inTiles && batches === 1 && isShareable(p.a, mPanels * rows) && isShareable(p.b, nPanels * width);
  if (byTraffic)
    ({ mTask, nTask, rowsOuter } = leastTraffic(rowLines, columnLines, {
      wanted,
      most: Math.max(wanted, ceilDiv(mPanels, mTask) * ceilDiv(nPanels, nTask)),
      block: mBlock,
      resident: fits(nPanels, width),
      processors: processorsOf(target),
      whole: false,
    }));
  if (k.count > 1) {
    const area = Math.max(1, Math.floor((SUMS_SHARE * cache) / (rows * width * WORD)));
    nTask = Math.max(1, Math.min(nTask, Math.floor(area / Math.min(mTask, area))));
    mTask = Math.max(1, Math.min(mTask, Math.floor(area / nTask)));
  }
  const mBlocks = inTiles ? ceilDiv(mTask, ceilDiv(mTask, mBlock)) : Math.min(mTask, fits(mTask, rows));
  const mTasks = ceilDiv(mPanels, mTask);
  const nTasks = ceilDiv(nPanels, nTask);
  const again = (side: Lines, tasks: number): boolean => (byTraffic ? packsForAll(side, tasks) : tasks > 1);
  const source = (side: Lines, tasks: number, view: View): PackedSource =>
    batches === 1 && (comesPacked(view) || (again(side, tasks) && isShareable(view, side.panels * side.width)))
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
    a: source(rowLines, nTasks, p.a),
    b: source(columnLines, mTasks, p.b),
    mTask,
    nTask,
    mBlock: mBlocks,
    linesAhead: inTiles && nPanels > 1 && blockWords >= LEAST_AHEAD ? ceilDiv(STEP * width * WORD, LINE * mBlocks) : 0,
    mTasks,
    nTasks,
    rowsOuter,
    batches,
    tasks: batches * mTasks * nTasks,
  };
}
