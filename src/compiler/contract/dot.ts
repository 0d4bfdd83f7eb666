/**
 * Contraction by dot products: both operands run along k, so sums are vectors over k, nothing is packed or transposed,
 * and lanes are added up at the end. For few rows or columns: matrix by vector, weight gradients of small and depthwise
 * convolutions.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Reg, registerScalar } from '../loops.ts';
import { lanesFor, type Target } from '../target.ts';
import { loadRun, loadsVectors, origin, sizesOf, stepAll } from './cursor.ts';
import { unravel, zero } from './indices.ts';
import { addProduct } from './micro.ts';
import { stage, stagedLayout } from './pad.ts';
import { extent, type Problem, type View } from './problem.ts';
import type { Scratch } from './spec.ts';
import { type Coords, outputGroups, storeTile } from './store.ts';
import { eachTask, slotsOf, wantedTasks } from './tasks.ts';
import { LOAD_CYCLES } from './tile.ts';

/** The k dim both operands run along, if there is one. */
function commonRun(p: Problem): number | null {
  const at = p.k.find(d => p.a.lin[d] === 1 && p.b.lin[d] === 1);
  return at ?? null;
}

const needsStage = (view: View, p: Problem): boolean =>
  view.guards.length > 0 ||
  (p.masks && view.prologue !== undefined) ||
  registerScalar(view.dtype) !== p.acc ||
  !loadsVectors(view, p.acc);

/**
 * Lines of an operand beyond the second cache that are read at a time: more of them, and the processor fetches none far
 * enough ahead.
 */
const STREAMS = 4;

/** Rows and columns of a tile: all operands of a step and all sums in registers. */
function tileOf(p: Problem, target: Target): [rows: number, columns: number] {
  const [m, n] = [extent(p, p.m), extent(p, p.n)];
  const isFar = (view: View): boolean => view.elements * bytesOf(view.dtype) > target.l2Bytes;
  if (m === 1 && target.keepsOrder && isFar(p.b)) return [1, Math.min(n, STREAMS)];
  const registers = target.vectorRegisters - 1;
  let best: [number, number] = [1, 1];
  let least = Number.POSITIVE_INFINITY;
  for (let r = 1; r <= m; r++) {
    for (let c = 1; c <= n && r * c + r + c <= registers; c++) {
      const busy = target.keepsOrder ? LOAD_CYCLES * (r + c) : 0;
      const cycles = Math.max((r * c) / 2, 4, (r * c + 2 * (r + c) + 4) / 6) + busy;
      const cost = Math.ceil(m / r) * Math.ceil(n / c) * cycles;
      if (cost < least * 0.999) {
        least = cost;
        best = [r, c];
      }
    }
  }
  return best;
}

/** The k space: `prefix` dims give the blocks, `inner` dims and the run (`length` elements) lie within one. */
interface Blocks {
  readonly run: number;
  readonly length: number;
  readonly inner: readonly number[];
  readonly prefix: readonly number[];
  readonly count: number;
}

/**
 * Elements of k per block at most, unless both operands fit `SHARE` of the second cache: the lines of a block's tiles
 * then stay there while all tiles use them. Every block adds up the lanes of its sums, some 8 instructions each.
 */
const BLOCK = 2048;
const SHARE = 0.5;

function blocksOf(p: Problem, run: number, target: Target): Blocks {
  const fits = (p.a.elements + p.b.elements) * bytesOf(p.acc) <= SHARE * target.l2Bytes;
  const most = fits ? Number.POSITIVE_INFINITY : BLOCK;
  const others = p.k.filter(d => d !== run);
  const length = p.dims[run]!.size;
  let at = others.length;
  let block = length;
  while (at > 0 && block * p.dims[others[at - 1]!]!.size <= most) {
    at--;
    block *= p.dims[others[at]!]!.size;
  }
  return { run, length, inner: others.slice(at), prefix: others.slice(0, at), count: extent(p, others.slice(0, at)) };
}

/**
 * Where order is kept: cycles of a packed element, and what loads that cross cache lines make of the estimate (3x3, 64
 * channels, 32x32: 64 GFLOP/s by dot products, 102 packed).
 */
const PACKED = 0.5;
const UNPACKED = 1.6;

/**
 * Whether dot products serve `p` better than packing: estimated cycles of both, from what was measured on WebAssembly
 * (a packed element costs 1.6 cycles when it must be transposed; a run costs 3 cycles to enter and 9 for a ragged end).
 */
export function suitsDot(p: Problem, target: Target): boolean {
  const lanes = lanesFor(target, bytesOf(p.acc));
  const run = commonRun(p);
  if (run === null || p.dims[run]!.size < (p.masks ? lanes / 2 : 2 * lanes)) return false;
  if (![p.a, p.b].every(view => !needsStage(view, p) || stagedLayout(p, view)?.lin[run] === 1)) return false;
  const [m, n, k] = [extent(p, p.m), extent(p, p.n), extent(p, p.k)];
  const [rows, columns] = tileOf(p, target);
  const { length, count } = blocksOf(p, run, target);
  const ragged = length % lanes;
  const vectors = p.masks ? Math.ceil(length / lanes) : length / lanes;
  const perRun = vectors * Math.max(4, (rows * columns) / 2) + 3 + (ragged && !p.masks ? 9 : 0);
  const dot = Math.ceil(m / rows) * Math.ceil(n / columns) * ((k / length) * perRun + count * 25 + 10);
  if (target.keepsOrder) return dot * UNPACKED < (m * n * k) / (2 * lanes) + k * (n + m) * PACKED + (m * n) / 2;
  return dot < (m * n * k) / (2 * lanes) + k * n * 1.6 + (m * n) / 2;
}

/** Vectors of a run that are written out one by one: looping over so few costs more than they do. */
const UNROLLED = 4;

/** How the tiles of a problem are summed and shared out. */
interface Plan {
  readonly k: Blocks;
  readonly lanes: number;
  /** Elements of a run in whole vectors. */
  readonly whole: number;
  readonly m: number;
  readonly n: number;
  /** Of a tile. */
  readonly rows: number;
  readonly columns: number;
  readonly mPanels: number;
  readonly nPanels: number;
  /** Tiles of a task along each side: a band along the longer one, so that the other side is read once per task. */
  readonly mTask: number;
  readonly nTask: number;
}

function planDot(p: Problem, run: number, target: Target): Plan {
  const lanes = lanesFor(target, bytesOf(p.acc));
  const [m, n] = [extent(p, p.m), extent(p, p.n)];
  const k = blocksOf(p, run, target);
  const [rows, columns] = tileOf(p, target);
  const [mPanels, nPanels] = [Math.ceil(m / rows), Math.ceil(n / columns)];
  const bands = Math.ceil(wantedTasks(p, target) / extent(p, p.batch));
  const [mTask, nTask] =
    mPanels > nPanels ? [Math.ceil(mPanels / bands), nPanels] : [mPanels, Math.ceil(nPanels / bands)];
  const whole = k.length - (k.length % lanes);
  return { k, lanes, whole, m, n, rows, columns, mPanels, nPanels, mTask, nTask };
}

/** Emits the whole kernel. */
export function lowerDot(b: LoopBuilder, problem: Problem, target: Target, scratch: Scratch): void {
  const lanes = lanesFor(target, bytesOf(problem.acc));
  const staged = (view: View, name: string): View =>
    needsStage(view, problem) ? stage(b, problem, view, lanes, name, scratch, 0) : view;
  const p: Problem = { ...problem, a: staged(problem.a, 'staged a'), b: staged(problem.b, 'staged b') };
  if (p.a !== problem.a || p.b !== problem.b) b.barrier();

  const plan = planDot(p, commonRun(problem)!, target);
  const { k, m, n, rows, columns, mPanels, nPanels, mTask, nTask } = plan;
  const batches = extent(p, p.batch);
  const [mTasks, nTasks] = [Math.ceil(mPanels / mTask), Math.ceil(nPanels / nTask)];
  const tasks = batches * mTasks * nTasks;
  const slots = slotsOf(tasks);
  const tileSize = rows * columns;
  const areaSize = k.count > 1 ? mTask * nTask * tileSize : tileSize;
  const tiles = scratch.room('tiles', p.acc, slots * areaSize);
  const mGroups = outputGroups(p, p.m);
  const nGroups = outputGroups(p, p.n);

  eachTask(b, tasks, (index, slot) => {
    const area = b.addr(tiles, b.mul(slot, b.i32(areaSize)));
    const [batchIndex, nBand, mBand] = unravel(b, index, [batches, nTasks, mTasks]);
    const batch = unravel(b, batchIndex!, sizesOf(p, p.batch));
    const coords: Coords = new Map(p.batch.map((d, i) => [d, batch[i]!] as const));
    const mLo = b.mul(mBand!, b.i32(mTask));
    const nLo = b.mul(nBand!, b.i32(nTask));
    const mHi = b.bin('min', b.i32(mPanels), b.add(mLo, b.i32(mTask)));
    const nHi = b.bin('min', b.i32(nPanels), b.add(nLo, b.i32(nTask)));
    const block = (at: Reg | null): void => {
      const prefix = at ? unravel(b, at, sizesOf(p, k.prefix)) : [];
      const base = (view: View): Reg =>
        stepAll(b, view, stepAll(b, view, origin(b, view), p.batch, batch), k.prefix, prefix).index;
      const [baseA, baseB] = [base(p.a), base(p.b)];
      b.for(nLo, nHi, 1, nPanel => {
        const nFirst = b.mul(nPanel, b.i32(columns));
        const c = lines(b, p, p.b, p.n, n, nFirst, columns, baseB);
        b.for(mLo, mHi, 1, mPanel => {
          const mFirst = b.mul(mPanel, b.i32(rows));
          const sums = sumTile(b, p, plan, lines(b, p, p.a, p.m, m, mFirst, rows, baseA), c);
          const place = (): Reg => b.add(b.mul(b.sub(nPanel, nLo), b.i32(mTask)), b.sub(mPanel, mLo));
          const tile = at ? b.advance(area, b.mul(place(), b.i32(tileSize)), bytesOf(p.acc)) : area;
          keepSums(b, p, sums, tile, at);
          const finished = (): void =>
              storeTile(b, p, mGroups, nGroups, lanes, {
                from: tile, pitch: columns, m: mFirst, rows: b.bin('min', b.i32(rows), b.sub(b.i32(m), mFirst)),
                n: nFirst, columns, batch: coords,
              }); // biome-ignore format: a record
          if (at) b.if(b.cmp('eq', at, b.i32(k.count - 1)), finished);
          else finished();
        });
      });
    };
    if (k.count > 1) b.for(0, k.count, 1, block);
    else block(null);
  });
}

/**
 * Element indices of the lines of panel `first` of one side, clamped to its last line (what is computed twice is stored
 * once).
 */
function lines(
  b: LoopBuilder,
  p: Problem,
  view: View,
  dims: readonly number[],
  total: number,
  first: Reg,
  count: number,
  base: Reg,
): Reg[] {
  return Array.from({ length: count }, (_, i) => {
    const index = b.add(first, b.i32(i));
    const inside = total % count === 0 ? index : b.bin('min', index, b.i32(total - 1));
    return stepAll(b, view, { index: base, pos: [] }, dims, unravel(b, inside, sizesOf(p, dims))).index;
  });
}

/** Adds up the lanes of a tile's sums into `tile`, where block `at` of k finds those of the blocks before it. */
function keepSums(b: LoopBuilder, p: Problem, sums: readonly (readonly Reg[])[], tile: Reg, at: Reg | null): void {
  const each = (fill: (sum: Reg, offset: number) => void): void => {
    for (const [r, row] of sums.entries())
      for (const [i, sum] of row.entries()) fill(b.reduce('add', sum), (r * row.length + i) * bytesOf(p.acc));
  };
  const first = (): void => each((sum, offset) => b.store(p.acc, tile, sum, offset));
  const later = (): void =>
    each((sum, offset) => b.store(p.acc, tile, b.add(b.load(p.acc, tile, offset), sum), offset));
  if (at) b.if(b.cmp('eq', at, b.i32(0)), first, later);
  else first();
}

/** Sums of one tile over one block of k, from the element indices of its lines: a vector for each pair. */
function sumTile(b: LoopBuilder, p: Problem, plan: Plan, a: readonly Reg[], c: readonly Reg[]): Reg[][] {
  const { k, lanes, whole } = plan;
  const sums = a.map(() => c.map(() => zero(b, p.acc, lanes)));
  const add: AddProducts = (x, y) => {
    for (const [r, row] of sums.entries())
      for (const [i, sum] of row.entries()) addProduct(b, p.acc, x[r]!, y[i]!, sum);
  };
  const end = k.length > whole ? endOfRun(b, p, plan) : null;
  const walk = (level: number, atA: readonly Reg[], atB: readonly Reg[]): void => {
    const dim = k.inner[level];
    if (dim === undefined) {
      addWhole(b, p, plan, atA, atB, add);
      if (end) {
        const x = atA.map(at => end(p.a, at));
        const y = atB.map(at => end(p.b, at));
        add(x, y);
      }
      return;
    }
    const movingA = atA.map(x => b.copy(x));
    const movingB = atB.map(x => b.copy(x));
    b.for(0, p.dims[dim]!.size, 1, () => {
      walk(level + 1, movingA, movingB);
      for (const x of movingA) b.add(x, b.i32(p.a.lin[dim]!), x);
      for (const x of movingB) b.add(x, b.i32(p.b.lin[dim]!), x);
    });
  };
  walk(0, a, c);
  return sums;
}

type AddProducts = (x: readonly Reg[], y: readonly Reg[]) => void;

/** The whole vectors of a run. */
function addWhole(
  b: LoopBuilder,
  p: Problem,
  { lanes, whole }: Plan,
  atA: readonly Reg[],
  atB: readonly Reg[],
  add: AddProducts,
): void {
  if (whole > UNROLLED * lanes || p.a.prologue || p.b.prologue) {
    const load = (view: View, index: Reg): Reg => loadRun(b, view, p.acc, index, 1, lanes);
    b.for(0, whole, lanes, i => {
      const x = atA.map(at => load(p.a, b.add(at, i)));
      const y = atB.map(at => load(p.b, b.add(at, i)));
      add(x, y);
    });
    return;
  }
  const pointers = (view: View, at: readonly Reg[]): Reg[] => at.map(index => b.addr(view.buffer, index));
  const [fromA, fromB] = [pointers(p.a, atA), pointers(p.b, atB)];
  const loads = (view: View, from: readonly Reg[], i: number): Reg[] =>
    from.map(pointer => b.load(view.dtype, pointer, i * bytesOf(view.dtype), lanes));
  for (let i = 0; i < whole; i += lanes) add(loads(p.a, fromA, i), loads(p.b, fromB, i));
}

/** How the ragged end of a run is read. */
function endOfRun(b: LoopBuilder, p: Problem, { k, lanes, whole }: Plan): (view: View, index: Reg) => Reg {
  const fresh = k.length - whole;
  if (p.masks) {
    const rest = b.firstLanes(b.i32(fresh), lanes);
    return (view, index) =>
      b.loadMasked(view.dtype, b.addr(view.buffer, whole === 0 ? index : b.add(index, b.i32(whole))), rest);
  }
  // The last vector that fits, with zeros where it overlaps the one before (0 * inf must not arise).
  const order = Array.from({ length: lanes }, (_, i) => (i < lanes - fresh ? lanes + i : i));
  return (view, index) => {
    const last = loadRun(b, view, p.acc, b.add(index, b.i32(k.length - lanes)), 1, lanes);
    return b.shuffle(last, zero(b, p.acc, lanes), order);
  };
}
