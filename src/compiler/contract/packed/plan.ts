/**
 * The schedule of a problem over words: panels, blocks of k, tasks. Pure arithmetic on sizes and caches, so results
 * depend on shapes alone.
 */

import { bytesOf } from '../../../graph/dtype.ts';
import { lanesFor, processorsOf, type Target } from '../../target.ts';
import { blocksOf, collides, comesPacked, type KBlocks } from '../plan.ts';
import { extent, type View } from '../problem.ts';
import { LINE, outputGroups, storesRows } from '../store.ts';
import { wantedTasks } from '../tasks.ts';
import { ceilDiv } from '../tile.ts';
import { idleShare, type Lines, leastTraffic, packsForAll } from '../traffic.ts';
import { cutParts, type PartsSide } from './cuts.ts';
import { type PackedProblem, STEP } from './problem.ts';
import { POINTS } from './steps.ts';

/**
 * Whether all threads pack an operand beforehand, a task its panels when it begins, or one panel after another as they
 * pass by those that stay; or whether rows are read where they lie.
 */
export type PackedSource = 'shared' | 'private' | 'passing' | 'direct';

export interface PackedPlan {
  readonly lanes: number;
  /** Lines of a panel of m, and of n. */
  readonly rows: number;
  readonly width: number;
  readonly mPanels: number;
  readonly nPanels: number;
  readonly k: KBlocks;
  /** Points that a packed block takes at most: `k.length` in whole steps. */
  readonly blockPoints: number;
  /** Whether a thread packs what its tasks have in common once. */
  readonly renews: boolean;
  readonly a: PackedSource;
  readonly b: PackedSource;
  readonly mTask: number;
  readonly nTask: number;
  readonly mBlock: number;
  /** Whether panels of rows pass by panels of columns that stay, rather than the other way round. */
  readonly rowsPass: boolean;
  /** Lines of the next panel that passes, which a tile asks for in every step; 0 where nothing is asked for ahead. */
  readonly linesAhead: number;
  /** Whether the lines of a tile's results are asked for while it is multiplied. */
  readonly asks: boolean;
  /** Whether rows are read where they lie and ask for those below. */
  readonly asksRows: boolean;
  /** Pieces that a tile is multiplied and finished in. */
  readonly pieces: number;
  readonly mTasks: number;
  readonly nTasks: number;
  readonly rowsOuter: boolean;
  readonly batches: number;
  readonly tasks: number;
}

/**
 * Words of a block in tiles: one block where it goes, as every further one moves all sums to the third cache and back
 * (2048 x 2048 of 2048: a third of the time).
 */
const TILE_WORDS = 1024;
/** The same in vectors. */
const DOT_WORDS = 512;
/**
 * Points of a block of f32 in parts: rows stay in the second cache long enough for the columns that pass (a panel of 32
 * lines has 96 KB).
 */
const PARTS_POINTS = 512;
/**
 * Share of the second cache for a block of rows in tiles: tiles ask for more lines a cycle than the third cache gives
 * if columns pass too often.
 */
const BLOCK_SHARE = 0.5;
/** Steps from which on lines of results and of the next panel are asked for ahead: some thousand cycles. */
const LEAST_AHEAD = { tiles: 6, parts: 2, dot: Number.POSITIVE_INFINITY } as const;
/** Sums pass by once per block, so they may take more than the cache has room for. */
const SUMS_SHARE = 4;
/**
 * Steps from which on a tile is finished while the next one is multiplied; below, what pieces add costs more than they
 * hide.
 */
const LEAST_STEPS = { tiles: 2, parts: 8, dot: Number.POSITIVE_INFINITY } as const;
/** Pieces of a tile at most: some steps, and two rows of results. */
const MOST_PIECES = 16;
/** Tasks of tiles at most, on few processors: each is short. */
const TILE_TASKS = 16;
const WORD = 4;

const LONGEST_BLOCK = { tiles: TILE_WORDS, dot: DOT_WORDS, parts: PARTS_POINTS } as const;

/**
 * Rows and columns of a register tile of dot products: sums, a row of columns and one broadcast in 30 registers. Two
 * vectors of columns hide how long a dot product takes as well as three do, which load less, by 1 %: where the last
 * panel of three would be emptier, it is two (2048 cubed: 443 -> 464 GFLOP/s, 1024 cubed 428 -> 456).
 */
const dotTile = (n: number, lanes: number): { rows: number; width: number } => {
  const columns = ceilDiv(n, lanes);
  const computed = (vectors: number): number => ceilDiv(columns, vectors) * vectors;
  const vectors = Math.min(columns, computed(2) < computed(3) ? 2 : 3);
  return { rows: 8, width: vectors * lanes };
};

/** Panels of both sides, and their blocks of k. */
interface Panels {
  readonly rows: number;
  readonly width: number;
  readonly mPanels: number;
  readonly nPanels: number;
  readonly k: KBlocks;
  readonly blockPoints: number;
  /** Bytes of so many points of a line. */
  readonly lineBytes: (points: number) => number;
}

/**
 * Whether the words of rows are read where they lie: dot products broadcast them one by one, so a packed copy would
 * only bring rows together (0.8 cycles a word, of 12 for 384 columns). Even where rows lie a multiple of 4096 bytes
 * apart, as each line is read by 16 words in turn (1024 x 384 of 4096: 390 -> 450 GFLOP/s).
 */
function readsRows(q: PackedProblem, rows: number): boolean {
  const { p, by } = q;
  if (by !== 'dot' || !q.words.asStored || p.m.length !== 1 || p.k.length !== 1 || comesPacked(p.a)) return false;
  const [m, { per }] = [p.m[0]!, q.words];
  return p.a.lin[p.k[0]!] === per && q.size % per === 0 && p.dims[m]!.size % rows === 0 && p.a.lin[m]! >= 0;
}

/** Lines of a set of the first cache that a panel of rows and the one below may take together. */
const SET_LINES = 8;

/** Whether such rows may ask for those of the next panel: both find room (4096 x 1024 of 4096 without: 474 -> 454). */
const asksRows = ({ p }: PackedProblem, rows: number): boolean =>
  !collides(p.a.lin[p.m[0]!]! * bytesOf(p.a.dtype), 2 * rows, SET_LINES);

function panelsOf(q: PackedProblem, lanes: number): Panels {
  const { p, step } = q;
  const [m, n] = [extent(p, p.m), extent(p, p.n)];
  const { rows, width } =
    q.by === 'dot' ? dotTile(n, lanes) : { rows: m > STEP ? 2 * STEP : STEP, width: n > STEP ? 2 * STEP : STEP };
  const k = blocksOf(p, LONGEST_BLOCK[q.by], [], q.by === 'parts' ? step.points : 1);
  return {
    rows,
    width,
    mPanels: ceilDiv(m, rows),
    nPanels: ceilDiv(n, width),
    k,
    blockPoints: ceilDiv(k.length, step.points) * step.points,
    lineBytes: points => (points / step.points) * step.words * WORD,
  };
}

/** How the output is cut into tasks, in panels, and who packs what for them. */
interface Cuts {
  /** Panels of a task at most, and tasks. */
  readonly mTask: number;
  readonly nTask: number;
  readonly mTasks: number;
  readonly nTasks: number;
  readonly mBlock: number;
  /** Whether panels of rows pass by panels of columns that stay, rather than the other way round. */
  readonly rowsPass: boolean;
  readonly rowsOuter: boolean;
  readonly a: PackedSource;
  readonly b: PackedSource;
}

/** Bytes of unfolded windows that may be packed as a whole. */
const SHARED_MOST = 16 << 20;
const isShareable = (view: View, bytes: number): boolean => bytes <= Math.max(2 * view.elements * WORD, SHARED_MOST);

/** Share of the time that more tasks must win. */
const LEAST_IDLE = 0.005;

/**
 * Tasks that `panels` are cut into, `least` or up to twice as many: as many as threads share most evenly (1024 x 1024
 * of 1024: 22 panels of columns in 11 tasks fall into 10 and 12 for two threads).
 */
function evenTasks(panels: number, least: number, threads: number): number {
  let best = least;
  for (let tasks = least + 1; tasks <= Math.min(panels, 2 * least); tasks++)
    if (idleOf(panels, tasks, threads) < idleOf(panels, best, threads) - LEAST_IDLE) best = tasks;
  return best;
}

const idleOf = (panels: number, tasks: number, threads: number): number => idleShare(panels, tasks, 1, 1, threads);

function cutsOfWords(q: PackedProblem, target: Target, panels: Panels): Cuts {
  const { p } = q;
  const { rows, width, mPanels, nPanels, k, blockPoints, lineBytes } = panels;
  const [m, n, batches] = [extent(p, p.m), extent(p, p.n), extent(p, p.batch)];
  const inTiles = q.by !== 'dot';
  const cache = target.l2Bytes * 0.4;
  const fits = (panels: number, lines: number): number =>
    Math.max(1, Math.min(panels, Math.floor(cache / (lineBytes(blockPoints) * lines))));
  // A product of words takes as long as some eight of single elements.
  const wanted = Math.min(
    wantedTasks(p, target),
    inTiles ? Math.max(TILE_TASKS, processorsOf(target)) : Number.POSITIVE_INFINITY,
  );
  const spread = (panels: number, most: number, others: number): number =>
    ceilDiv(panels, Math.min(panels, Math.max(1, ceilDiv(panels, most), Math.floor(wanted / others))));
  const threads = Math.max(2, processorsOf(target));
  /** Tasks along the side that is cut first. */
  const cut = (panels: number, lines: number): number => {
    const least = ceilDiv(panels, spread(panels, fits(panels, lines), batches));
    return inTiles || batches > 1 ? least : evenTasks(panels, least, threads);
  };
  let [mTasks, nTasks] = [cut(mPanels, rows), cut(nPanels, width)];
  const evenRows = !inTiles && m === n && idleOf(mPanels, mTasks, threads) < idleOf(nPanels, nTasks, threads);
  let mTask = ceilDiv(mPanels, mTasks);
  let nTask = ceilDiv(nPanels, nTasks);
  let rowsOuter = false;
  if (m <= n && !evenRows) {
    mTask = spread(mPanels, mPanels, batches * nTasks);
    mTasks = 1;
  } else {
    nTask = spread(nPanels, nPanels, batches * mTasks);
    nTasks = 1;
  }
  const mBlock = Math.max(1, Math.floor((target.l2Bytes * BLOCK_SHARE) / (lineBytes(blockPoints) * rows)));
  const linesOf = (panels: number, size: number, view: View): Lines => ({
    panels,
    width: size,
    packed: !comesPacked(view),
    fits: panels * size * lineBytes(k.total) <= target.l2Bytes,
  });
  const [rowLines, columnLines] = [linesOf(mPanels, rows, p.a), linesOf(nPanels, width, p.b)];
  const shares = (side: Lines, view: View): boolean => isShareable(view, side.panels * side.width * lineBytes(k.total));
  const byTraffic = inTiles && batches === 1 && shares(rowLines, p.a) && shares(columnLines, p.b);
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
  mTasks = Math.max(inTiles ? 1 : mTasks, ceilDiv(mPanels, mTask));
  nTasks = Math.max(inTiles ? 1 : nTasks, ceilDiv(nPanels, nTask));
  const again = (side: Lines, tasks: number): boolean => (byTraffic ? packsForAll(side, tasks) : tasks > 1);
  // Where few columns stay in the second cache and rows in the first, results are written along rows.
  const rowsPass = inTiles && nTask > 1 && 2 * nTask <= mTask && nTask <= fits(nPanels, width);
  const source = (side: Lines, tasks: number, view: View): PackedSource =>
    batches === 1 && (comesPacked(view) || (again(side, tasks) && shares(side, view))) ? 'shared' : 'private';
  return {
    mTask,
    nTask,
    mTasks,
    nTasks,
    mBlock: rowsPass ? 1 : inTiles ? ceilDiv(mTask, ceilDiv(mTask, mBlock)) : Math.min(mTask, fits(mTask, rows)),
    rowsPass,
    rowsOuter,
    a: readsRows(q, rows) ? 'direct' : source(rowLines, nTasks, p.a),
    b: source(columnLines, mTasks, p.b),
  };
}

/** The same for parts of f32: panels of one side stay, those of the other pass. */
function cutsOfParts({ p }: PackedProblem, target: Target, panels: Panels): Cuts {
  const { rows, width, mPanels, nPanels, k, blockPoints, lineBytes } = panels;
  const side = (panels: number, lines: number, view: View): PartsSide => ({
    panels,
    packed: comesPacked(view) ? 0 : panels * lines * k.total,
    bytes: panels * lines * lineBytes(k.total),
  });
  const [m, n] = [side(mPanels, rows, p.a), side(nPanels, width, p.b)];
  const { rowsStay, mTask, nTask, passes } = cutParts(
    m,
    n,
    {
      steps: lineBytes(k.total) / lineBytes(POINTS),
      oneBlock: k.count === 1,
      panelBytes: lineBytes(blockPoints) * Math.max(rows, width),
      batches: extent(p, p.batch),
    },
    target.l2Bytes,
    Math.max(2, processorsOf(target)),
  );
  const source = (stays: boolean, view: View, side: PartsSide): PackedSource => {
    if (comesPacked(view) && extent(p, p.batch) === 1) return 'shared';
    if (stays) return 'private';
    return passes === 'shared' && !isShareable(view, side.bytes) ? 'passing' : passes;
  };
  return {
    mTask,
    nTask,
    mTasks: ceilDiv(mPanels, mTask),
    nTasks: ceilDiv(nPanels, nTask),
    mBlock: rowsStay ? mTask : 1,
    rowsPass: !rowsStay,
    rowsOuter: rowsStay,
    a: source(rowsStay, p.a, m),
    b: source(!rowsStay, p.b, n),
  };
}

/** A power of two. Results that are not whole vectors in rows are finished column by column, in one piece. */
function piecesOf({ p, by }: PackedProblem, lanes: number, width: number, steps: number): number {
  if (steps < LEAST_STEPS[by] || !storesRows(p, outputGroups(p, p.n), lanes, width)) return 1;
  return 2 ** Math.floor(Math.log2(Math.min(MOST_PIECES, 2 * steps)));
}

export function packedPlan(q: PackedProblem, target: Target): PackedPlan {
  const lanes = lanesFor(target, WORD);
  const panels = panelsOf(q, lanes);
  const { rows, width, mPanels, nPanels, k, blockPoints, lineBytes } = panels;
  const cuts = q.by === 'parts' ? cutsOfParts(q, target, panels) : cutsOfWords(q, target, panels);
  const { mTasks, nTasks } = cuts;
  const batches = extent(q.p, q.p.batch);
  const { rowsPass } = cuts;
  const long = blockPoints / q.step.points >= LEAST_AHEAD[q.by];
  const passing = rowsPass
    ? { panels: mPanels, lines: rows, by: cuts.nTask }
    : { panels: nPanels, lines: width, by: cuts.mBlock };
  const ahead = long && passing.panels > 1;
  const packsPassing = (rowsPass ? cuts.a : cuts.b) === 'passing';
  return {
    lanes,
    rows,
    width,
    mPanels,
    nPanels,
    k,
    blockPoints,
    renews: q.by === 'parts' && k.count === 1,
    ...cuts,
    linesAhead: ahead && !packsPassing ? ceilDiv(passing.lines * lineBytes(q.step.points), LINE * passing.by) : 0,
    asks: long,
    asksRows: cuts.a === 'direct' && asksRows(q, rows),
    pieces: piecesOf(q, lanes, width, blockPoints / q.step.points),
    batches,
    tasks: batches * mTasks * nTasks,
  };
}
