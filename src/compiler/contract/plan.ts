/**
 * Choosing the schedule of a dense problem: register tile, blocks of k, which operand is packed where, and how the output is cut into tasks.
 * Pure arithmetic on sizes and the target's caches; results depend on shapes alone, never on the number of threads.
 */
import { bytesOf } from '../../graph/dtype.ts';
import { registerScalar } from '../loops.ts';
import { lanesFor, processorsOf, type Target } from '../target.ts';
import { extent, type Problem, product, type View } from './problem.ts';
import { wantedTasks } from './tasks.ts';
import { type Lines, leastTraffic, packsForAll } from './traffic.ts';

/**
 * How an operand reaches the microkernel: `direct` from where it lies; `shared` packed as a whole by all threads in a first stage; `private`
 * packed by the task that needs it.
 */
export type Source = 'direct' | 'shared' | 'private';

/** The k space in blocks: every point of `prefix` and every chunk of `split` is a block, which runs over all of `inner`. */
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
  /** Runs of m that panels do not cross (`mPanels` counts those of all), where A is read in place and steps evenly within a run only. */
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

/** Whether A is an image with its channels innermost, or whatever stands beside weights that are packed once: rows that need not be packed. */
export const besideWeights = (p: Problem): boolean =>
  comesPacked(p.b) || (p.m.length > 1 && p.k.length > 1 && p.a.lin[p.k[p.k.length - 1]!] === 1);

/** Shortest block of k that hides how long those lines take. */
const TOUCHED = 48;

/** Elements of windows that may be unfolded as a whole (16 MB of f32). */
const SHARED_MOST = 4 << 20;

/** What a load costs beside multiply-adds that could hide it where rows are read where they lie, each a stream of its own: panels, taps and dot products. */
export const LOAD_CYCLES = 0.1;
/**
 * The same where all is packed; three times both for vectors of B, which come from the second cache. With everything in the first cache 6 x 4, 8 x 3 and 13 x 2 are level at 96 to 99 %
 * of peak; in whole products 6 x 4, which asks for 21 bytes a cycle, is 3 to 10 % slower than 8 x 3, as is 13 x 2 of rows in place (1024 x 384 of 1536: 7.2, 6.6 and 7.3 ms).
 */
const PACKED_LOAD_CYCLES = 0.05;

const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/**
 * Cycles per step of k of a tile of `rows` (on average) x `vectors`: the largest of multiply-adds at two a cycle, loads at two a cycle, the
 * latency of the chains (4 cycles), and six instructions a cycle with the loop's own. Null where it needs too many registers; one
 * is left to the engine.
 */
export function tileCycles(
  rows: number,
  vectors: number,
  target: Target,
  height = rows,
  direct = false,
): number | null {
  const live = rows * vectors + (target.keepsOrder ? Math.min(rows, vectors) + 1 : rows + vectors);
  if (live > target.vectorRegisters - 1) return null;
  const loop = target.keepsOrder ? 1 : 6;
  const load = direct ? LOAD_CYCLES : PACKED_LOAD_CYCLES;
  const busy = target.keepsOrder ? load : 0;
  const sums = height * vectors;
  const loads = height + vectors;
  return Math.max(sums / 2, loads / 2, 4, (sums + height + loads + loop) / 6) + 0.25 + busy * (loads + 2 * vectors);
}

/** Estimated cycles per step of k of a whole output in such tiles; null where one needs too many registers. */
export function tileCost(
  m: number,
  n: number,
  lanes: number,
  rows: number,
  vectors: number,
  target: Target,
  direct = false,
): number | null {
  const panels = ceilDiv(m, rows);
  const cycles = tileCycles(rows, vectors, target, m / panels, direct);
  return cycles === null ? null : panels * ceilDiv(n, vectors * lanes) * cycles;
}

/** Register tile of least estimated time over the whole output. */
export function chooseTile(
  m: number,
  n: number,
  lanes: number,
  target: Target,
  direct = false,
): { readonly rows: number; readonly vectors: number } {
  let best = { rows: 1, vectors: 1 };
  let least = Number.POSITIVE_INFINITY;
  for (let vectors = 1; tileCycles(1, vectors, target) !== null; vectors++) {
    if (vectors > 1 && (vectors - 1) * lanes >= n) break;
    for (let rows = 1; rows <= m; rows++) {
      const cost = tileCost(m, n, lanes, rows, vectors, target, direct);
      if (cost === null) break;
      if (cost < least * 0.999) {
        least = cost;
        best = { rows, vectors };
      }
    }
  }
  return best;
}

/** Register tile of least estimated time among those that divide `m` rows and `n` columns. */
export function dividingTile(
  m: number,
  n: number,
  lanes: number,
  target: Target,
): { readonly rows: number; readonly vectors: number } {
  let best = { rows: 1, vectors: 1 };
  let least = Number.POSITIVE_INFINITY;
  for (let vectors = 1; vectors * lanes <= n; vectors++) {
    for (let rows = 1; rows <= m; rows++) {
      const cycles = tileCycles(rows, vectors, target);
      if (cycles === null || n % (vectors * lanes) !== 0 || m % rows !== 0) continue;
      if (cycles / (rows * vectors) >= least * 0.999) continue;
      best = { rows, vectors };
      least = cycles / (rows * vectors);
    }
  }
  return best;
}

/** At most `most` vectors that divide a row of `n`, if as many as half of them do. */
function evenVectors(most: number, n: number, lanes: number): number {
  for (let vectors = most; vectors >= most / 2; vectors--) if (n % (vectors * lanes) === 0) return vectors;
  return most;
}

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

/** Below so many points a block's sums go to memory and back more often than packing costs (3x3, 128 channels, input gradient: 138 -> 175 GFLOP/s). */
const LONG_RUN = 128;

/** Whether vectors of the accumulator's lanes load from where the operand lies, widened on the way or as they are. */
const isLoadable = (p: Problem, view: View): boolean =>
  view.guards.length === 0 && !view.prologue && registerScalar(view.dtype) === p.acc;

const isPlain = (p: Problem, view: View): boolean => isLoadable(p, view) && bytesOf(view.dtype) === bytesOf(p.acc);

/**
 * Points of k that a sweep takes in a row at least, and columns for each of them: entering a row costs some 6 cycles for every tile, packing 0.7 for
 * every element of A.
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

/** Blocks of at most `most` points; a block covers whole inner dims, as many as fit. `linear` views must stay linear in a block. */
export function blocksOf(p: Problem, most: number, linear: readonly View[]): KBlocks {
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
  const chunk = ceilDiv(size, chunks);
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
 * Share of the second cache that a block of A takes where B streams past it: tiles ask for B ahead, so nothing is gained by more, and with a third or more lines are pushed
 * out (2048 x 2048 of 1024, 8 x 3, blocks of 48 to 96 rows: 97 % of peak, 192 rows: 91 %).
 */
const BLOCK_SHARE = 0.2;
/** The same for panels of B that stay there while A passes. */
const RESIDENT_SHARE = 0.45;
/** Rows that such a block should have, or B, which passes once per block, asks the third cache for more than half of what it gives (128 / rows bytes a cycle). */
const BLOCK_ROWS = 96;
/** Blocks of k are cut where rows would be fewer than this share of those. */
const ROWS_SHARE = 0.65;

/** What a schedule may do otherwise than the cost model says; sums have the same order, hence the same bits, whatever is chosen. */
export interface PlanChoice {
  readonly tile?: { readonly rows: number; readonly vectors: number };
  /** Points of a block of k at most. */
  readonly points?: number;
  /** Whether operands are packed even where they could be read where they lie. */
  readonly packs?: boolean;
}

/** The schedule for `p` on `target`. */
export function planOf(p: Problem, target: Target, choice: PlanChoice = {}): Plan {
  const bytes = bytesOf(p.acc);
  const lanes = lanesFor(target, bytes);
  const m = extent(p, p.m);
  const n = extent(p, p.n);
  const batches = extent(p, p.batch);

  const kInner = p.k[p.k.length - 1];
  const along = (view: View, dims: readonly number[]): number =>
    dims.length === 0 ? 0 : view.lin[dims[dims.length - 1]!]!;
  const forward = (view: View): boolean => view.lin.every(s => s >= 0);
  // Pixels of an image that is kept channels last are rows in place, run by run, as are the points of k: nothing is unfolded.
  const runLength = product(p.m.slice(p.m.length - evenDims(p, p.a, p.m)).map(d => p.dims[d]!.size));
  const inRuns = (): boolean => {
    if (
      choice.packs ||
      !target.keepsOrder ||
      !besideWeights(p) ||
      !isPlain(p, p.a) ||
      !forward(p.a) ||
      kInner === undefined
    )
      return false;
    if (along(p.a, p.k) !== 1 || linearRun(p, p.a) < Math.max(SHORT_RUN, n / RUN_PER_COLUMN)) return false;
    return !collides(along(p.a, p.m) * bytes, chooseTile(runLength, n, lanes, target).rows, IMAGE_LINES);
  };
  const mRuns = runLength < m && inRuns() ? m / runLength : 1;
  // A is read where it lies when a packed copy would be used for few columns, or when its rows run along k.
  const mayRead =
    !choice.packs &&
    p.m.length <= 1 &&
    isPlain(p, p.a) &&
    forward(p.a) &&
    linearRun(p, p.a) >= Math.min(LONG_RUN, extent(p, p.k));
  const alongK = kInner === undefined || along(p.a, p.k) === 1;
  const tile = choice.tile ?? chooseTile(m / mRuns, n, lanes, target, mRuns > 1 || (mayRead && alongK));
  const { rows } = tile;
  // B is read where it lies by so few rows that a packed copy would not be used again; the fewest rows widen it as they read.
  const inPlaceB =
    !choice.packs &&
    p.n.length === 1 &&
    forward(p.b) &&
    along(p.b, p.n) === 1 &&
    (isPlain(p, p.b) ? !comesPacked(p.b) && m <= 4 * rows : isLoadable(p, p.b) && m <= 2 * rows);
  const vectors = inPlaceB && m <= rows ? evenVectors(tile.vectors, n, lanes) : tile.vectors;
  const width = lanes * vectors;
  const runPanels = ceilDiv(m / mRuns, rows);
  const mPanels = mRuns * runPanels;
  const low = Math.floor(m / mRuns / runPanels);
  const tall = (m / mRuns) % runPanels;
  const nPanels = ceilDiv(n, width);
  const directA =
    mRuns > 1 ||
    (p.m.length <= 1 && inRuns()) ||
    (mayRead && (n < 8 * lanes || (alongK && !collides(along(p.a, p.m) * bytes, rows))));
  const directB = inPlaceB && n % width === 0;
  const linear = [...(directA && !inRuns() ? [p.a] : []), ...(directB ? [p.b] : [])];
  // A panel of B lives in the first cache, or streams from the second where the processor fetches ahead of a loop that runs in order.
  const panelBytes = target.keepsOrder ? Math.max(target.l1Bytes * 0.75, target.l2Bytes / 5) : target.l1Bytes * 0.75;
  const cache = target.l2Bytes * 0.4;
  const blockBytes = target.keepsOrder ? target.l2Bytes * BLOCK_SHARE : cache;
  const streams = target.keepsOrder === true && n * extent(p, p.k) * bytes > cache && m > BLOCK_ROWS;
  const longest = blockBytes / (BLOCK_ROWS * bytes);
  const cut = streams && extent(p, p.k) * ROWS_SHARE > longest ? longest : Number.POSITIVE_INFINITY;
  const points = choice.points ?? Math.floor(Math.min(panelBytes / (width * bytes), cut));
  const k = blocksOf(p, Math.max(lanes, points), linear);

  const most = low + (tall > 0 ? 1 : 0);
  const mBlock = Math.max(1, Math.floor(blockBytes / (k.length * most * bytes)));
  // Panels of B that stay in the second cache beside a block of A.
  const resident = Math.floor((k.count === 1 ? target.l2Bytes * RESIDENT_SHARE : cache) / (k.length * width * bytes));
  // Columns (rows) of a task: what fits the cache beside the other side's block, but tasks enough for the threads.
  const fits = (panels: number, size: number): number =>
    Math.max(1, Math.min(panels, Math.floor(cache / (k.length * size * bytes))));
  const wanted = wantedTasks(p, target);
  const spread = (panels: number, most: number, others: number): number =>
    ceilDiv(panels, Math.min(panels, Math.max(1, ceilDiv(panels, most), Math.floor(wanted / others))));
  let mTask = mPanels;
  let nTask = nPanels;
  let rowsOuter = false;
  let [mPackers, nPackers] = [1, 1];
  if (m <= n) {
    nTask = spread(nPanels, fits(nPanels, width), batches);
    mTask = spread(mPanels, mPanels, batches * ceilDiv(nPanels, nTask));
  } else {
    mTask = spread(mPanels, fits(mPanels, low + 1), batches);
    nTask = spread(nPanels, nPanels, batches * ceilDiv(mPanels, mTask));
  }
  /** Whether an operand may be packed as a whole: not where that unfolds windows into much more data. */
  const isShareable = (view: View, lines: number): boolean =>
    batches === 1 && lines * k.total <= Math.max(2 * view.elements, SHARED_MOST);
  // Between blocks of k, columns that all tasks read do not stay in the cache (512 x 256 of 2048: 15 x 1 tasks read 34 MB, 3 x 4 read 22).
  const passes = k.count === 1 || streams || (nTask === nPanels && n * k.total * bytes > cache);
  const byTraffic = passes && (directA || isShareable(p.a, m)) && (directB || isShareable(p.b, n)) && batches === 1;
  const linesOf = (panels: number, size: number, packed: boolean): Lines => ({
    panels,
    width: size,
    packed,
    fits: panels * size * k.total * bytes <= target.l2Bytes,
  });
  const rowLines = linesOf(mPanels, most, !directA && !comesPacked(p.a));
  const columnLines = linesOf(nPanels, width, !directB && !comesPacked(p.b));
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
  const mTasks = ceilDiv(mPanels, mTask);
  const nTasks = ceilDiv(nPanels, nTask);
  // What several tasks would pack again is packed once, by all, unless that takes longer.
  const again = (side: Lines, tasks: number, packers: number): boolean =>
    byTraffic ? packsForAll(side, packers) : tasks > 1;
  const source = (direct: boolean, side: Lines, tasks: number, packers: number, view: View, lines: number): Source => {
    if (direct) return 'direct';
    if (batches === 1 && comesPacked(view)) return 'shared';
    return again(side, tasks, packers) && isShareable(view, lines) ? 'shared' : 'private';
  };
  const a = source(directA, rowLines, nTasks, mPackers, p.a, m);
  const b = source(directB, columnLines, mTasks, nPackers, p.b, n);
  const tasks = batches * mTasks * nTasks;
  // Rows that lie side by side pass like packed ones, by columns that the task has in its cache from packing them.
  const ready = b === 'private' && nTask > 1;
  const dense = directA && mRuns === 1 && k.count === 1 && isDense(p, p.a);
  const passing = (a === 'shared' && mTask > mBlock) || (ready && (a === 'shared' || dense));
  const aPasses = target.keepsOrder === true && passing && nTask <= resident;
  return {
    lanes, vectors, width, low, tall, mPanels, mRuns, nPanels, k, a, b,
    mTask, nTask, mBlock: aPasses ? 1 : ceilDiv(mTask, ceilDiv(mTask, mBlock)), mTasks, nTasks, rowsOuter, batches, tasks, unroll: target.keepsOrder ? 2 : 1,
    masksMemory: target.masksMemory ?? false, aPasses, touches: target.keepsOrder === true && k.length >= TOUCHED,
  }; // biome-ignore format: a record
}
