/**
 * Choosing the schedule of a dense problem: panels (tile.ts says of what size), blocks of k, which operand is packed
 * where, and how the output is cut into tasks. Pure arithmetic on sizes and the target's caches; results depend on
 * shapes alone, never on the number of threads.
 */
import { bytesOf } from '../../graph/dtype.ts';
import { registerScalar } from '../loops.ts';
import { lanesFor, processorsOf, type Target } from '../target.ts';
import { extent, type Problem, product, type View } from './problem.ts';
import { wantedTasks } from './tasks.ts';
import { ceilDiv, chooseTile, evenVectors } from './tile.ts';
import { type Lines, leastTraffic, packsForAll } from './traffic.ts';

/**
 * How an operand reaches the microkernel: `direct` from where it lies; `shared` packed as a whole by all threads in a
 * first stage; `private` packed by the task that needs it.
 */
export type Source = 'direct' | 'shared' | 'private';

/**
 * The k space in blocks: every point of `prefix` and every chunk of `split` is a block, which runs over all of `inner`.
 */
export interface KBlocks {
  readonly prefix: readonly number[];
  readonly split: number | null;
  /** Coordinates of `split` per block (the last may be shorter). */
  readonly chunk: number;
  readonly chunks: number;
  readonly inner: readonly number[];
  readonly innerLength: number;
  readonly count: number;
  /** Points of the longest block, and of all. */
  readonly length: number;
  readonly total: number;
}

export interface Plan {
  readonly lanes: number;
  readonly vectors: number;
  /** Columns of a panel: lanes * vectors. */
  readonly width: number;
  /** Panels of m have `low + 1` rows (the first `tall` ones) or `low`. */
  readonly low: number;
  readonly tall: number;
  readonly mPanels: number;
  /**
   * Runs of m that panels do not cross (`mPanels` counts those of all), where A is read in place and steps evenly
   * within a run only.
   */
  readonly mRuns: number;
  readonly nPanels: number;
  readonly k: KBlocks;
  readonly a: Source;
  readonly b: Source;
  /** Panels per task, and panels of m per cache block within a task. */
  readonly mTask: number;
  readonly nTask: number;
  readonly mBlock: number;
  readonly mTasks: number;
  readonly nTasks: number;
  /** Whether the tasks of a thread are all columns of some rows; see `Cut`. */
  readonly rowsOuter: boolean;
  readonly batches: number;
  /** Steps of k per trip of the microkernel's loop. */
  readonly unroll: number;
  readonly tasks: number;
  readonly masksMemory: boolean;
  /** Whether packed panels of A pass by panels of B that stay in the second cache, rather than the other way round. */
  readonly aPasses: boolean;
  /** Whether the lines of a tile's results are asked for before its products are summed. */
  readonly touches: boolean;
}

/** Whether an operand is found packed: a kernel of its own has done that. */
export const comesPacked = (view: View): boolean => view.packedAhead && !view.prologue && view.guards.length === 0;

/**
 * Whether A is an image with its channels innermost, or whatever stands beside weights that are packed once: rows that
 * need not be packed.
 */
export const besideWeights = (p: Problem): boolean =>
  comesPacked(p.b) || (p.m.length > 1 && p.k.length > 1 && p.a.lin[p.k[p.k.length - 1]!] === 1);

/** Shortest block of k that hides how long those lines take. */
const TOUCHED = 48;

/** Elements of windows that may be unfolded as a whole (16 MB of f32). */
const SHARED_MOST = 4 << 20;

/** Whether `view` steps evenly through `dims` (outermost first), so that they are one linear run. */
const isLinear = (p: Problem, view: View, dims: readonly number[]): boolean =>
  dims.every((d, i) => {
    const inner = dims[i + 1];
    return inner === undefined || view.lin[d] === p.dims[inner]!.size * view.lin[inner]!;
  });

/** Innermost dims of `dims` that `view` steps evenly through: how many of them. */
export function evenDims(p: Problem, view: View, dims: readonly number[]): number {
  let at = dims.length - 1;
  while (at > 0 && isLinear(p, view, dims.slice(at - 1))) at--;
  return dims.length - Math.max(0, at);
}

/** Points of k that `view` steps evenly through: a block of an operand that is read in place has no more. */
function linearRun(p: Problem, view: View): number {
  return product(p.k.slice(p.k.length - evenDims(p, view, p.k)).map(d => p.dims[d]!.size));
}

/**
 * Below so many points a block's sums go to memory and back more often than packing costs (3x3, 128 channels, input
 * gradient: 138 -> 175 GFLOP/s).
 */
const LONG_RUN = 128;

/** Whether vectors of the accumulator's lanes load from where the operand lies, widened on the way or as they are. */
const isLoadable = (p: Problem, view: View): boolean =>
  view.guards.length === 0 && !view.prologue && registerScalar(view.dtype) === p.acc;

const isPlain = (p: Problem, view: View): boolean => isLoadable(p, view) && bytesOf(view.dtype) === bytesOf(p.acc);

/**
 * Points of k that a sweep takes in a row at least, and columns for each of them: entering a row costs some 6 cycles
 * for every tile, packing 0.7 for every element of A.
 */
const SHORT_RUN = 3;
const RUN_PER_COLUMN = 48;

/** Whether rows of A are whole, and lie one behind the other. */
const isDense = (p: Problem, view: View): boolean =>
  p.m.length === 1 && linearRun(p, view) === extent(p, p.k) && view.lin[p.m[0]!] === extent(p, p.k);

/** Bytes after which addresses meet in the same set of a first cache, and lines of a set that one operand may take. */
const SET_BYTES = 4096;
const SET_LINES = 7;
/** The same for rows of an image, which packing would cost as much. */
const IMAGE_LINES = 8;

/** Whether `rows` lines that lie `strideBytes` apart push each other out of the first cache. */
export function collides(strideBytes: number, rows: number, lines = SET_LINES): boolean {
  let [a, b] = [SET_BYTES, strideBytes];
  while (b > 0) [a, b] = [b, a % b];
  return rows > (lines * SET_BYTES) / a;
}

/**
 * Blocks of at most `most` points; a block covers whole inner dims, as many as fit. `linear` views must stay linear in
 * a block. Blocks of one dim have a multiple of `unit` points, but for the last.
 */
export function blocksOf(p: Problem, most: number, linear: readonly View[], unit = 1): KBlocks {
  const sizes = p.k.map(d => p.dims[d]!.size);
  let at = sizes.length - 1;
  let innerLength = 1;
  while (at > 0 && innerLength * sizes[at]! <= most && linear.every(v => isLinear(p, v, p.k.slice(at - 1)))) {
    innerLength *= sizes[at]!;
    at--;
  }
  if (at < 0)
    return { prefix: [], split: null, chunk: 1, chunks: 1, inner: [], innerLength: 1, count: 1, length: 1, total: 1 };
  const size = sizes[at]!;
  const chunks = ceilDiv(size, Math.max(1, Math.floor(most / innerLength)));
  const even = ceilDiv(size, chunks);
  const chunk = innerLength > 1 ? even : Math.min(size, ceilDiv(even, unit) * unit);
  const prefix = p.k.slice(0, at);
  const used = ceilDiv(size, chunk);
  return {
    prefix,
    split: p.k[at]!,
    chunk,
    chunks: used,
    inner: p.k.slice(at + 1),
    innerLength,
    count: product(sizes.slice(0, at)) * used,
    length: chunk * innerLength,
    total: product(sizes),
  };
}

/**
 * Share of the second cache that a block of A takes where B streams past it: tiles ask for B ahead, so nothing is
 * gained by more, and with a third or more lines are pushed out (2048 x 2048 of 1024, 8 x 3, blocks of 48 to 96 rows:
 * 97 % of peak, 192 rows: 91 %).
 */
const BLOCK_SHARE = 0.2;
/** The same for panels of B that stay there while A passes. */
const RESIDENT_SHARE = 0.45;
/**
 * Rows that such a block should have, or B, which passes once per block, asks the third cache for more than half of
 * what it gives (128 / rows bytes a cycle).
 */
const BLOCK_ROWS = 96;
/** Blocks of k are cut where rows would be fewer than this share of those. */
const ROWS_SHARE = 0.65;

/**
 * What a schedule may do otherwise than the cost model says; sums have the same order, hence the same bits, whatever is
 * chosen.
 */
export interface PlanChoice {
  readonly tile?: { readonly rows: number; readonly vectors: number };
  /** Points of a block of k at most. */
  readonly points?: number;
  /** Whether operands are packed even where they could be read where they lie. */
  readonly packs?: boolean;
}

/** Panels of both operands, and which operands are read where they lie. */
interface Panels {
  readonly lanes: number;
  readonly vectors: number;
  readonly width: number;
  readonly low: number;
  readonly tall: number;
  /** Rows of a panel at most. */
  readonly most: number;
  readonly mPanels: number;
  readonly mRuns: number;
  readonly nPanels: number;
  readonly directA: boolean;
  readonly directB: boolean;
  /** Operands that must stay linear within a block of k. */
  readonly linear: readonly View[];
}

const along = (view: View, dims: readonly number[]): number =>
  dims.length === 0 ? 0 : view.lin[dims[dims.length - 1]!]!;
const isForward = (view: View): boolean => view.lin.every(s => s >= 0);

/**
 * Whether rows of A (pixels of an image that is kept channels last) are read in place in runs of `length`, as are the
 * points of k: nothing is unfolded.
 */
function readsRuns(p: Problem, target: Target, choice: PlanChoice, length: number): boolean {
  const [n, bytes] = [extent(p, p.n), bytesOf(p.acc)];
  if (choice.packs || !target.keepsOrder || !besideWeights(p) || !isPlain(p, p.a) || !isForward(p.a)) return false;
  if (p.k.length === 0 || along(p.a, p.k) !== 1) return false;
  if (linearRun(p, p.a) < Math.max(SHORT_RUN, n / RUN_PER_COLUMN)) return false;
  const { rows } = chooseTile(length, n, lanesFor(target, bytes), target);
  return !collides(along(p.a, p.m) * bytes, rows, IMAGE_LINES);
}

function panelsOf(p: Problem, target: Target, choice: PlanChoice): Panels {
  const bytes = bytesOf(p.acc);
  const lanes = lanesFor(target, bytes);
  const [m, n] = [extent(p, p.m), extent(p, p.n)];
  const runLength = product(p.m.slice(p.m.length - evenDims(p, p.a, p.m)).map(d => p.dims[d]!.size));
  const inRuns = readsRuns(p, target, choice, runLength);
  const mRuns = runLength < m && inRuns ? m / runLength : 1;
  // A is read where it lies when a packed copy would be used for few columns, or when its rows run along k.
  const mayRead =
    !choice.packs &&
    p.m.length <= 1 &&
    isPlain(p, p.a) &&
    isForward(p.a) &&
    linearRun(p, p.a) >= Math.min(LONG_RUN, extent(p, p.k));
  const alongK = p.k.length === 0 || along(p.a, p.k) === 1;
  const tile = choice.tile ?? chooseTile(m / mRuns, n, lanes, target, mRuns > 1 || (mayRead && alongK));
  const { rows } = tile;
  // B is read where it lies by so few rows that a packed copy would not be used again; the fewest rows widen it as they
  // read.
  const inPlaceB =
    !choice.packs &&
    p.n.length === 1 &&
    isForward(p.b) &&
    along(p.b, p.n) === 1 &&
    (isPlain(p, p.b) ? !comesPacked(p.b) && m <= 4 * rows : isLoadable(p, p.b) && m <= 2 * rows);
  const vectors = inPlaceB && m <= rows ? evenVectors(tile.vectors, n, lanes) : tile.vectors;
  const width = lanes * vectors;
  const runPanels = ceilDiv(m / mRuns, rows);
  const low = Math.floor(m / mRuns / runPanels);
  const tall = (m / mRuns) % runPanels;
  const directA =
    mRuns > 1 ||
    (p.m.length <= 1 && inRuns) ||
    (mayRead && (n < 8 * lanes || (alongK && (target.readsFarRows || !collides(along(p.a, p.m) * bytes, rows)))));
  const directB = inPlaceB && n % width === 0;
  const linear = [...(directA && !inRuns ? [p.a] : []), ...(directB ? [p.b] : [])];
  return {
    lanes, vectors, width, low, tall, most: low + (tall > 0 ? 1 : 0),
    mPanels: mRuns * runPanels, mRuns, nPanels: ceilDiv(n, width), directA, directB, linear,
  }; // biome-ignore format: a record
}

/** Blocks of k, and what of them the caches hold. */
interface CacheBlocks {
  readonly k: KBlocks;
  /** Whether B streams past blocks of A. */
  readonly streams: boolean;
  /** Bytes of the second cache that operands and sums of a task may take. */
  readonly cache: number;
  /** Panels of A of a block, and panels of B that stay in the second cache beside it. */
  readonly mBlock: number;
  readonly resident: number;
}

function cacheBlocks(
  p: Problem,
  target: Target,
  choice: PlanChoice,
  { width, lanes, most, linear }: Panels,
): CacheBlocks {
  const bytes = bytesOf(p.acc);
  const [m, n, points] = [extent(p, p.m), extent(p, p.n), extent(p, p.k)];
  // A panel of B lives in the first cache, or streams from the second where the processor fetches ahead of a loop that
  // runs in order.
  const panelBytes = target.keepsOrder ? Math.max(target.l1Bytes * 0.75, target.l2Bytes / 5) : target.l1Bytes * 0.75;
  const cache = target.l2Bytes * 0.4;
  const blockBytes = target.keepsOrder ? target.l2Bytes * BLOCK_SHARE : cache;
  const streams = target.keepsOrder === true && n * points * bytes > cache && m > BLOCK_ROWS;
  const longest = blockBytes / (BLOCK_ROWS * bytes);
  const cut = streams && points * ROWS_SHARE > longest ? longest : Number.POSITIVE_INFINITY;
  const block = choice.points ?? Math.floor(Math.min(panelBytes / (width * bytes), cut));
  const k = blocksOf(p, Math.max(lanes, block), linear);
  const mBlock = Math.max(1, Math.floor(blockBytes / (k.length * most * bytes)));
  const resident = Math.floor((k.count === 1 ? target.l2Bytes * RESIDENT_SHARE : cache) / (k.length * width * bytes));
  return { k, streams, cache, mBlock, resident };
}

/** Whether an operand may be packed as a whole: not where that unfolds windows into much more data. */
const isShareable = (p: Problem, view: View, lines: number): boolean =>
  extent(p, p.batch) === 1 && lines * extent(p, p.k) <= Math.max(2 * view.elements, SHARED_MOST);

/** How the output is cut into tasks, in panels, and who packs what for them. */
interface Cuts {
  readonly mTask: number;
  readonly nTask: number;
  readonly rowsOuter: boolean;
  /** Whether operands are packed for all tasks together, or by which of them. */
  readonly sharesA: boolean;
  readonly sharesB: boolean;
}

function cutsOf(p: Problem, target: Target, panels: Panels, blocks: CacheBlocks): Cuts {
  const { width, low, most, mPanels, nPanels, directA, directB } = panels;
  const { k, streams, cache, mBlock, resident } = blocks;
  const bytes = bytesOf(p.acc);
  const [m, n, batches] = [extent(p, p.m), extent(p, p.n), extent(p, p.batch)];
  const wanted = wantedTasks(p, target);
  let { mTask, nTask } = cachedCut(p, panels, blocks, wanted);
  // Between blocks of k, columns that all tasks read do not stay in the cache (512 x 256 of 2048: 15 x 1 tasks read 34
  // MB, 3 x 4 read 22).
  const passes = k.count === 1 || streams || (nTask === nPanels && n * k.total * bytes > cache);
  const byTraffic =
    passes && (directA || isShareable(p, p.a, m)) && (directB || isShareable(p, p.b, n)) && batches === 1;
  const linesOf = (panels: number, size: number, packed: boolean): Lines => ({
    panels,
    width: size,
    packed,
    fits: panels * size * k.total * bytes <= target.l2Bytes,
  });
  const rowLines = linesOf(mPanels, most, !directA && !comesPacked(p.a));
  const columnLines = linesOf(nPanels, width, !directB && !comesPacked(p.b));
  let rowsOuter = false;
  let [mPackers, nPackers] = [1, 1];
  if (byTraffic)
    ({ mTask, nTask, rowsOuter, mPackers, nPackers } = leastTraffic(rowLines, columnLines, {
      wanted,
      most: Math.max(wanted, ceilDiv(mPanels, mTask) * ceilDiv(nPanels, nTask)),
      block: mBlock,
      resident,
      processors: processorsOf(target),
      whole: k.count === 1,
    }));
  // Partial sums of a task stay in the cache, unless tiles ask for them ahead.
  if (k.count > 1 && !(streams && byTraffic)) {
    nTask = Math.min(nTask, Math.max(1, Math.floor(cache / (mTask * (low + 1) * width * bytes))));
    const rowsMost = Math.max(1, Math.floor(cache / (nTask * width * (low + 1) * bytes)));
    mTask = Math.min(mTask, rowsMost);
  }
  // What several tasks would pack again is packed once, by all, unless that takes longer.
  const again = (side: Lines, tasks: number, packers: number): boolean =>
    byTraffic ? packsForAll(side, packers) : tasks > 1;
  return {
    mTask,
    nTask,
    rowsOuter,
    sharesA: again(rowLines, ceilDiv(nPanels, nTask), mPackers),
    sharesB: again(columnLines, ceilDiv(mPanels, mTask), nPackers),
  };
}

/** Columns (rows) of a task: what fits the cache beside the other side's block, but tasks enough for the threads. */
function cachedCut(
  p: Problem,
  { width, low, mPanels, nPanels }: Panels,
  { k, cache }: CacheBlocks,
  wanted: number,
): { readonly mTask: number; readonly nTask: number } {
  const batches = extent(p, p.batch);
  const fits = (panels: number, size: number): number =>
    Math.max(1, Math.min(panels, Math.floor(cache / (k.length * size * bytesOf(p.acc)))));
  const spread = (panels: number, most: number, others: number): number =>
    ceilDiv(panels, Math.min(panels, Math.max(1, ceilDiv(panels, most), Math.floor(wanted / others))));
  if (extent(p, p.m) <= extent(p, p.n)) {
    const nTask = spread(nPanels, fits(nPanels, width), batches);
    return { nTask, mTask: spread(mPanels, mPanels, batches * ceilDiv(nPanels, nTask)) };
  }
  const mTask = spread(mPanels, fits(mPanels, low + 1), batches);
  return { mTask, nTask: spread(nPanels, nPanels, batches * ceilDiv(mPanels, mTask)) };
}

/** The schedule for `p` on `target`. */
export function planOf(p: Problem, target: Target, choice: PlanChoice = {}): Plan {
  const panels = panelsOf(p, target, choice);
  const blocks = cacheBlocks(p, target, choice, panels);
  const { mTask, nTask, rowsOuter, sharesA, sharesB } = cutsOf(p, target, panels, blocks);
  const { lanes, vectors, width, low, tall, mPanels, mRuns, nPanels, directA, directB } = panels;
  const { k, mBlock, resident } = blocks;
  const batches = extent(p, p.batch);
  const [mTasks, nTasks] = [ceilDiv(mPanels, mTask), ceilDiv(nPanels, nTask)];
  const source = (direct: boolean, shares: boolean, view: View, lines: number): Source => {
    if (direct) return 'direct';
    if (batches === 1 && comesPacked(view)) return 'shared';
    return shares && isShareable(p, view, lines) ? 'shared' : 'private';
  };
  const a = source(directA, sharesA, p.a, extent(p, p.m));
  const b = source(directB, sharesB, p.b, extent(p, p.n));
  // Rows that lie side by side pass like packed ones, by columns that the task has in its cache from packing them.
  const ready = b === 'private' && nTask > 1;
  const dense = directA && mRuns === 1 && k.count === 1 && isDense(p, p.a);
  const passing = (a === 'shared' && mTask > mBlock) || (ready && (a === 'shared' || dense));
  const aPasses = target.keepsOrder === true && passing && nTask <= resident;
  return {
    lanes, vectors, width, low, tall, mPanels, mRuns, nPanels, k, a, b,
    mTask, nTask, mBlock: aPasses ? 1 : ceilDiv(mTask, ceilDiv(mTask, mBlock)), mTasks, nTasks, rowsOuter, batches,
    tasks: batches * mTasks * nTasks, unroll: target.keepsOrder ? 2 : 1,
    masksMemory: target.masksMemory ?? false, aPasses, touches: target.keepsOrder === true && k.length >= TOUCHED,
  }; // biome-ignore format: a record
}
