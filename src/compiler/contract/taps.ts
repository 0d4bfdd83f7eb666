/**
 * Contraction without packing, for few rows: vectors of B are read where they lie (or from a padded copy), at offsets that a small table gives
 * for every point of k, the taps of a filter. For depthwise and grouped convolution, and layers of few channels.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder, Reg } from '../loops.ts';
import { lanesFor, type Target } from '../target.ts';
import {
  advance,
  allGuards,
  asReg,
  type Cursor,
  type Extent,
  origin,
  sizesOf,
  step,
  stepAll,
  violations,
  whenInside,
} from './cursor.ts';
import { affine, unravel, zero } from './indices.ts';
import { addProduct } from './micro.ts';
import { laneWords, packPanel } from './pack.ts';
import { stage, stagedLayout } from './pad.ts';
import { keepsPacked, LOAD_CYCLES } from './plan.ts';
import { extent, type Problem, type View } from './problem.ts';
import type { Scratch } from './spec.ts';
import {
  type Coords,
  finish,
  finishesInRegisters,
  outputGroups,
  outputIndex,
  storesVectors,
  storeTile,
} from './store.ts';
import { eachTask, slotsOf, wantedTasks } from './tasks.ts';

const needsStage = (view: View, p: Problem): boolean =>
  view.guards.length > 0 || view.dtype !== p.acc || view.prologue !== undefined;

/** Taps whose offsets are kept in the table, at most. */
const MAX_TAPS = 1 << 14;

/** Below so many taps, setting up a tile weighs more than its shape. */
const FEW_TAPS = 64;

/** Whether this schedule serves `p`: few rows, and vectors along the innermost dim of n can be read from B. */
export function suitsTaps(p: Problem, target: Target): boolean {
  const lanes = lanesFor(target, bytesOf(p.acc));
  const run = p.n[p.n.length - 1];
  if (run === undefined || extent(p, p.k) > MAX_TAPS) return false;
  if (p.dims[run]!.size < (p.masks ? lanes / 4 : lanes)) return false;
  const along = (needsStage(p.b, p) ? stagedLayout(p, p.b) : p.b)?.lin[run];
  if (along !== 1 && along !== 2) return false;
  const length = p.dims[run]!.size;
  const filled = length / (Math.ceil(length / lanes) * lanes);
  // With masks the alternative gathers lanes, some 22 cycles a vector against one for every other row.
  const least = p.masks ? 1 / (1 + 22 / extent(p, p.m)) : 0.7;
  if (filled < least && extent(p, p.m) > 3) return false;
  // Packing copies an element once for every tap that reads it, and pays for that over the rows.
  const readsPerElement = (extent(p, p.k) * extent(p, p.n) * extent(p, p.batch)) / p.b.elements;
  // A plain matrix is better widened on the way, or packed once.
  if (target.keepsOrder && readsPerElement <= 1 && (p.b.dtype !== p.acc || keepsPacked(p.b))) return false;
  // Where engines keep no order, packing is dear, and rows up to here were faster this way (3x3, 64 channels: 51 -> 56 of 62 GFLOP/s); where they do,
  // they are wherever vectors are whole (5x5, 6 to 16 channels, batch of 64 innermost: 111 -> 165).
  const many = target.keepsOrder ? (length % lanes === 0 ? 32 : 12) : 64;
  return extent(p, p.m) <= (along === 1 && readsPerElement >= 4 ? many : 12);
}

/** Rows and vectors (a multiple of `multiple`, if there is such a tile) of the tile; vectors take `loads` loads each, whole cache lines if `aligned`; `within`: so many vectors are cut into whole tiles. */
function tileOf(
  m: number,
  units: number,
  loads: number,
  multiple: number,
  aligned: boolean,
  within: number | null,
  target: Target,
): [rows: number, vectors: number] | null {
  const registers = target.vectorRegisters - 1;
  let best: [number, number] | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (let r = 1; r <= m; r++) {
    for (let v = multiple; v <= units && r * v + (target.keepsOrder ? 1 : r) + v * loads <= registers; v += multiple) {
      if (within !== null && within % v !== 0) continue;
      const height = m / Math.ceil(m / r);
      // Vectors that cross cache lines count as two loads.
      const reads = target.keepsOrder ? (height + (aligned ? 1 : 2) * v * loads) / 2 : 0;
      const issue = (height * v + 2 * height + v * (2 * loads) + 4) / 6;
      const busy = target.keepsOrder ? LOAD_CYCLES * (height + 2 * v * loads) : 0;
      const cost = (Math.ceil(m / r) / v) * (Math.max((height * v) / 2, 4, issue, reads) + busy);
      if (cost < least * 0.999) {
        least = cost;
        best = [r, v];
      }
    }
  }
  return best;
}

/** A vector of the tile: where it reads B, and where it belongs. */
interface Place {
  readonly at: Reg;
  /** Positions of B's guards there, at the first tap. */
  readonly pos: readonly Reg[];
  /** Element of the output for row 0 of m. */
  readonly out: Reg;
  /** Composite index over n. */
  readonly n: Reg;
  /** Leading lanes that the vector before it has stored already: a number where it is known when compiling. */
  readonly skip: Extent;
  /** Which lanes exist and how many, where not all do. */
  readonly mask: Reg | null;
  readonly exist: Reg | null;
  /** Elements from the tile's first vector to this one in B, where they always lie in one row. */
  readonly shift: number | null;
  readonly coords: Coords;
}

/** Every other element, from two loads of which the second starts one early, so that nothing behind the last one is touched. */
function loadEven(b: LoopBuilder, p: Problem, at: Reg, lanes: number): Reg {
  const half = lanes / 2;
  const order = Array.from({ length: lanes }, (_, i) => (i < half ? 2 * i : lanes + 2 * (i - half) + 1));
  return b.shuffle(b.load(p.acc, at, 0, lanes), b.load(p.acc, at, (lanes - 1) * bytesOf(p.acc), lanes), order);
}

/** Steps of k between two guards from which on it pays to jump over the taps that lie outside. */
const STEPS_PER_GUARD = 4;

/** The taps in the order in which B lies in memory. */
function inMemoryOrder(p: Problem): Problem {
  return { ...p, k: [...p.k].sort((x, y) => Math.abs(p.b.lin[y]!) - Math.abs(p.b.lin[x]!)) };
}

/**
 * Whether taps outside of the image are jumped over: where vectors run along a dim that no guard knows (a batch kept innermost), all of them are outside
 * together. Nothing is copied then, and a 5x5 window over a padded 10x10 image has half the products.
 */
function skipsTaps(p: Problem, lanes: number): boolean {
  const { b: view } = p;
  const run = p.n[p.n.length - 1]!;
  if (view.guards.length === 0 || view.dtype !== p.acc || view.prologue || view.lin[run] !== 1) return false;
  if (p.dims[run]!.size % lanes !== 0 || view.guards.some(guard => guard.coefs[run] !== 0)) return false;
  const k = inMemoryOrder(p).k;
  let steps = 1;
  for (let i = k.length - 1; i >= 0 && view.guards.every(guard => guard.coefs[k[i]!] === 0); i--)
    steps *= p.dims[k[i]!]!.size;
  return steps >= STEPS_PER_GUARD;
}

/** Emits the whole kernel. */
export function lowerTaps(b: LoopBuilder, problem: Problem, target: Target, scratch: Scratch): void {
  const bytes = bytesOf(problem.acc);
  const lanes = lanesFor(target, bytes);
  const skips = skipsTaps(problem, lanes);
  const staged = needsStage(problem.b, problem) && !skips;
  const view = staged ? stage(b, problem, problem.b, lanes, 'staged b', scratch, 0) : problem.b;
  const p: Problem = skips ? inMemoryOrder(problem) : { ...problem, b: view };
  const run = p.n[p.n.length - 1]!;
  const rowDims = p.n.slice(0, -1);
  const length = p.dims[run]!.size;
  const stride = p.b.lin[run]!;
  const [M, N, K] = [extent(p, p.m), extent(p, p.n), extent(p, p.k)];
  const batches = extent(p, p.batch);
  const perRow = Math.ceil(length / lanes);
  const ragged = length % lanes !== 0;
  const units = (N / length) * perRow;
  const mGroups = outputGroups(p, p.m);
  const nGroups = outputGroups(p, p.n);
  const inRegisters = storesVectors(p, nGroups) && mGroups.length <= 1 && finishesInRegisters(b, p, lanes, run);
  // The last vector of a ragged row is masked, or overlaps the one before. A plain store may run twice, what is fused may not: with tiles of whole rows
  // it is known which vectors those are (and a tile is cheaper to set up).
  const wants = ragged && inRegisters && ((p.epilogue && !p.masks) || K < FEW_TAPS) ? perRow : 1;
  // What jumps over taps does so for the vectors of one row.
  const rowOnly = skips ? perRow : null;
  const [most, vectors] =
    tileOf(M, units, stride, wants, !ragged, rowOnly, target) ?? tileOf(M, units, stride, 1, !ragged, rowOnly, target)!;
  const wholeRows = vectors % perRow === 0;
  const straight = inRegisters && (!p.epilogue || !ragged || wholeRows || p.masks);
  // Vectors that always lie in one row share an address.
  const inRow = vectors === perRow || (!ragged && perRow % vectors === 0);
  const mPanels = Math.ceil(M / most);
  const low = Math.floor(M / mPanels);
  const tall = M % mPanels;
  const height = low + (tall > 0 ? 1 : 0);
  const rowsOf = (panel: Reg): { first: Reg; rows: Reg | number } => {
    if (tall === 0) return { first: b.mul(panel, b.i32(low)), rows: low };
    const first = b.add(b.mul(panel, b.i32(low)), b.bin('min', panel, b.i32(tall)));
    return { first, rows: b.add(b.i32(low), b.cvt('i32', b.cmp('lt', panel, b.i32(tall)))) };
  };
  const sum = (...terms: (readonly [Reg, number])[]): Reg => affine(b, terms, 0);

  // The first stage: offsets of the taps, and A with the rows of a panel side by side.
  const table = skips ? -1 : scratch.room('taps', 'i32', K);
  if (!skips)
    b.parallel(K, k => {
      const at = stepAll(b, p.b, { index: b.i32(0), pos: [] }, p.k, unravel(b, k, sizesOf(p, p.k)));
      b.store('i32', b.addr(table, k), b.mul(at.index, b.i32(bytes)));
    });
  const packed = scratch.room('packed a', p.acc, batches * M * K);
  const packedAt = (batch: Reg, row: Reg): Reg => b.addr(packed, b.mul(sum([batch, M], [row, 1]), b.i32(K)));
  const words = laneWords(p.a, lanes);
  const laneRoom = target.masksMemory ? scratch.room('lanes of a', 'i32', slotsOf(batches * mPanels) * words) : null;
  eachTask(b, batches * mPanels, (index, slot) => {
    const lanesAt = laneRoom === null ? null : b.addr(laneRoom, b.mul(slot, b.i32(words)));
    const [batch, panel] = unravel(b, index, [batches, mPanels]);
    const at = stepAll(b, p.a, origin(b, p.a), p.batch, unravel(b, batch!, sizesOf(p, p.batch)));
    const { first, rows } = rowsOf(panel!);
    const block = { dims: p.k, extents: sizesOf(p, p.k), length: K };
    const to = packedAt(batch!, first);
    packPanel(b, p, p.a, p.m, lanes, { at, first, width: rows, most: height, block, to, lanesAt });
  });
  b.barrier();

  const bands = Math.ceil(wantedTasks(p, target) / batches);
  const panels = Math.ceil(units / vectors);
  const perTask = Math.ceil(panels / bands);
  const nTasks = Math.ceil(panels / perTask);
  const tasks = batches * nTasks;
  const width = vectors * lanes;
  const tiles = straight ? -1 : scratch.room('tiles', p.acc, slotsOf(tasks) * height * width);
  const down = mGroups[0]?.inner;
  const downStep = down === undefined ? 0 : p.out.lin[down]!;

  /** Sums of `rows` rows from `first` on, over all taps. */
  const sweep = (rows: number, batch: Reg, first: Reg, places: readonly Place[]): Reg[][] => {
    const sums = Array.from({ length: rows }, () => places.map(() => b.copy(zero(b, p.acc, lanes))));
    /** One tap: `offset` bytes from every place in B, the rows at `a`. */
    const add = (a: Reg, offset: Reg): void => {
      const left = (r: number): Reg => b.splat(b.load(p.acc, a, r * bytes), lanes);
      const early = target.keepsOrder ? null : sums.map((_, r) => left(r));
      const start = b.advance(places[0]!.at, offset, 1);
      const y = places.map(({ at, shift, mask }, v) => {
        if (shift !== null && stride === 1 && mask) return b.loadMasked(p.acc, start, mask, shift * bytes);
        if (shift !== null && stride === 1) return b.load(p.acc, start, shift * bytes, lanes);
        const here = v === 0 ? start : b.advance(at, offset, 1);
        if (mask && stride === 1) return b.loadMasked(p.acc, here, mask);
        if (mask) return b.gather(p.acc as 'f32' | 'i32', here, b.iota(lanes, stride), mask);
        return stride === 1 ? b.load(p.acc, here, 0, lanes) : loadEven(b, p, here, lanes);
      });
      for (const [r, line] of sums.entries()) {
        const x = early ? early[r]! : left(r);
        for (const [v, value] of line.entries()) addProduct(b, p.acc, x, y[v]!, value);
      }
    };
    /** All taps inside of the image, from `level` of k on; a tap's rows of A lie where they would if all were. */
    const inside = (level: number, at: Cursor, a: Reg): void => {
      const dim = p.k[level];
      if (dim === undefined) {
        add(a, b.mul(at.index, b.i32(bytes)));
        return;
      }
      const deeper = p.k.slice(level + 1);
      const moves = (g: number, d: number): boolean => p.b.guards[g]!.coefs[d] !== 0;
      const settled = allGuards(p.b).filter(g => moves(g, dim) && !deeper.some(d => moves(g, d)));
      const here: Cursor = { index: b.copy(at.index), pos: at.pos.map((x, g) => (moves(g, dim) ? b.copy(x) : x)) };
      const rowsAt = b.copy(a);
      b.for(0, p.dims[dim]!.size, 1, () => {
        whenInside(b, violations(b, p.b, here, settled, 0, 1), () => inside(level + 1, here, rowsAt));
        advance(b, p.b, here, dim, 1);
        b.advance(rowsAt, b.i32(rows * extent(p, deeper)), bytes, rowsAt);
      });
    };
    if (skips) {
      const start: Cursor = { index: b.i32(0), pos: places[0]!.pos };
      // What no tap moves (a window of one row over a border of two) holds for all of them.
      const still = allGuards(p.b).filter(g => p.k.every(d => p.b.guards[g]!.coefs[d] === 0));
      whenInside(b, violations(b, p.b, start, still, 0, 1), () => inside(0, start, packedAt(batch, first)));
      return sums;
    }
    const a = b.copy(packedAt(batch, first));
    const tap = b.copy(b.addr(table));
    b.for(0, K, 1, () => {
      add(a, b.load('i32', tap));
      b.advance(a, b.i32(rows), bytes, a);
      b.advance(tap, b.i32(1), 4, tap);
    });
    return sums;
  };

  /** Finishes sums in registers. */
  const store = (sums: readonly (readonly Reg[])[], first: Reg, places: readonly Place[]): void => {
    for (const [v, place] of places.entries()) {
      const put = (): void => {
        const index = sum([first, downStep], [place.out, 1]);
        for (const [r, line] of sums.entries()) {
          const coords = new Map(place.coords);
          if (down !== undefined) coords.set(down, r === 0 ? first : b.add(first, b.i32(r)));
          const at = r === 0 ? index : b.add(index, b.i32(r * downStep));
          if (!p.epilogue || typeof place.skip !== 'number' || place.skip === 0) {
            finish(b, p, line[v]!, coords, at, run, place.mask);
            continue;
          }
          for (let lane = place.skip; lane < lanes; lane++) {
            coords.set(run, b.add(place.coords.get(run)!, b.i32(lane)));
            finish(b, p, b.extract(line[v]!, lane), coords, b.add(at, b.i32(lane)), null);
          }
        }
      };
      if (units % vectors !== 0) b.if(b.cmp('lt', place.n, b.i32(N)), put);
      else put();
    }
  };

  eachTask(b, tasks, (index, slot) => {
    const tile = straight ? null : b.addr(tiles, b.mul(slot, b.i32(height * width)));
    const [batchIndex, band] = unravel(b, index, [batches, nTasks]);
    const batch = unravel(b, batchIndex!, sizesOf(p, p.batch));
    const coords: Coords = new Map(p.batch.map((d, i) => [d, batch[i]!] as const));
    const batchB = stepAll(b, p.b, origin(b, p.b), p.batch, batch);
    const batchOut = outputIndex(b, p, coords);
    const from = b.mul(band!, b.i32(perTask));
    const until = b.bin('min', b.i32(panels), b.add(from, b.i32(perTask)));

    // Where the next vector stands: its row, x in it, and the row's place in B, in the output and in n. Moves by additions;
    // rows are located by division once each.
    const first = b.mul(from, b.i32(vectors));
    const row = b.copy(b.bin('divU', first, b.i32(perRow)));
    const x = b.copy(b.mul(b.bin('remU', first, b.i32(perRow)), b.i32(lanes)));
    const [rowB, rowOut] = [b.reg('i32'), b.reg('i32')];
    const rowPos = p.b.guards.map(() => b.reg('i32'));
    const rowCoords = rowDims.map(() => b.reg('i32'));
    const enterRow = (): void => {
      // Vectors beyond the last row repeat it; they are not stored.
      const at = unravel(b, b.bin('min', row, b.i32(N / length - 1)), sizesOf(p, rowDims));
      for (const [i, coordinate] of at.entries()) b.move(rowCoords[i]!, coordinate);
      const start = stepAll(b, p.b, batchB, rowDims, at);
      b.move(rowB, start.index);
      for (const [g, pos] of start.pos.entries()) b.move(rowPos[g]!, pos);
      b.move(rowOut, sum([batchOut, 1], ...rowDims.map((d, i) => [at[i]!, p.out.lin[d]!] as const)));
    };
    const nextRow = (): void => {
      b.add(row, b.i32(1), row);
      enterRow();
    };
    const place = (start: Reg, skip: Extent, shift: number | null, exist: Reg | null = null): Place => {
      const here = new Map([...coords, [run, start]]);
      if (straight && p.epilogue) for (const [i, d] of rowDims.entries()) here.set(d, b.copy(rowCoords[i]!));
      return {
        at: b.addr(p.b.buffer, step(b, p.b, { index: rowB, pos: [] }, run, start).index),
        pos: rowPos.map(x => b.copy(x)),
        out: b.add(rowOut, start),
        n: b.add(b.mul(row, b.i32(length)), start),
        skip,
        shift,
        mask: exist && b.firstLanes(exist, lanes),
        exist,
        coords: here,
      };
    };
    /** The last vector of a row starts early, so that nothing beyond the row is read. */
    const nextPlace = (v: number): Place => {
      if (wholeRows) {
        const wanted = (v % perRow) * lanes;
        const start = p.masks ? wanted : Math.min(wanted, length - lanes);
        const exist = start + lanes > length ? b.i32(length - start) : null;
        const next = place(b.i32(start), wanted - start, inRow ? start : null, exist);
        if (v % perRow === perRow - 1) nextRow();
        return next;
      }
      const overlaps = ragged && !p.masks;
      const start = overlaps ? b.bin('min', x, b.i32(length - lanes)) : b.copy(x);
      const exist = ragged && p.masks ? b.bin('min', b.i32(lanes), b.sub(b.i32(length), x)) : null;
      const next = place(start, overlaps ? b.sub(x, start) : 0, inRow ? v * lanes : null, exist);
      b.add(x, b.i32(lanes), x);
      if (inRow && v + 1 < vectors) return next;
      b.if(b.cmp('ge', x, b.i32(length)), () => {
        b.move(x, b.i32(0));
        nextRow();
      });
      return next;
    };
    enterRow();
    b.for(from, until, 1, () => {
      const places = Array.from({ length: vectors }, (_, v) => nextPlace(v));
      b.for(0, mPanels, 1, panel => {
        const { first: firstRow, rows: count } = rowsOf(panel);
        const rows = (n: number): void => {
          const sums = sweep(n, batchIndex!, firstRow, places);
          if (straight) store(sums, firstRow, places);
          else
            for (const [r, line] of sums.entries())
              for (const [v, value] of line.entries()) b.store(p.acc, tile!, value, (r * width + v * lanes) * bytes);
        };
        if (tall === 0) rows(low);
        else
          b.if(
            b.cmp('lt', panel, b.i32(tall)),
            () => rows(low + 1),
            () => rows(low),
          );
        if (straight) return;
        for (const [v, place] of places.entries())
          storeTile(b, p, mGroups, nGroups, lanes, {
            from: b.advance(tile!, b.i32(v * lanes), bytes),
            pitch: width,
            m: firstRow,
            rows: count,
            n: place.n,
            columns: lanes,
            batch: coords,
            ...(place.skip === 0 ? {} : { skip: asReg(b, place.skip) }),
            ...(place.exist ? { exist: place.exist } : {}),
          });
      });
    });
  });
}
