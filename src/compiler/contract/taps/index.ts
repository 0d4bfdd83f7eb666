/**
 * Contraction without packing, for few rows: vectors of B are read where they lie (or from a padded copy), at offsets
 * that a small table gives for every point of k, the taps of a filter. For depthwise and grouped convolution, and
 * layers of few channels.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { asReg, origin, sizesOf, stepAll } from '../cursor.ts';
import { affine, unravel } from '../indices.ts';
import { laneWords, packPanel } from '../pack.ts';
import { stage, stagedLayout } from '../pad.ts';
import { comesPacked } from '../plan.ts';
import { extent, type Problem, type View } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { type Coords, outputIndex, storeTile } from '../store.ts';
import { eachTask, slotsOf, wantedTasks } from '../tasks.ts';
import { RowWalk } from './places.ts';
import { inMemoryOrder, planTaps, skipsTaps, type TapsPlan } from './plan.ts';
import { storeSums, sumTaps } from './sums.ts';

const needsStage = (view: View, p: Problem): boolean =>
  view.guards.length > 0 || view.dtype !== p.acc || view.prologue !== undefined;

/** Taps whose offsets are kept in the table, at most. */
const MAX_TAPS = 1 << 14;

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
  if (target.keepsOrder && readsPerElement <= 1 && (p.b.dtype !== p.acc || comesPacked(p.b))) return false;
  // Where engines keep no order, packing is dear, and rows up to here were faster this way (3x3, 64 channels: 51 -> 56
  // of 62 GFLOP/s); where they do, they are wherever vectors are whole (5x5, 6 to 16 channels, batch of 64 innermost:
  // 111 -> 165).
  const many = target.keepsOrder ? (length % lanes === 0 ? 32 : 12) : 64;
  return extent(p, p.m) <= (along === 1 && readsPerElement >= 4 ? many : 12);
}

/** What tasks share: A's rows of every panel side by side, and B's offset of every tap. */
interface Prepared {
  readonly packedAt: (batch: Reg, row: Reg) => Reg;
  /** -1 where taps are jumped over. */
  readonly table: number;
}

/** First row of a panel, and how many it has. */
function rowsOf(b: LoopBuilder, { low, tall }: TapsPlan, panel: Reg): { first: Reg; rows: Reg | number } {
  if (tall === 0) return { first: b.mul(panel, b.i32(low)), rows: low };
  const first = b.add(b.mul(panel, b.i32(low)), b.bin('min', panel, b.i32(tall)));
  return { first, rows: b.add(b.i32(low), b.cvt('i32', b.cmp('lt', panel, b.i32(tall)))) };
}

/** Rows of the tallest panel. */
const heightOf = ({ low, tall }: TapsPlan): number => low + (tall > 0 ? 1 : 0);

/** The first stage: offsets of the taps, and A with the rows of a panel side by side. */
function prepare(b: LoopBuilder, plan: TapsPlan, scratch: Scratch): Prepared {
  const { p, target, lanes, bytes, mPanels, skips } = plan;
  const [M, K] = [extent(p, p.m), extent(p, p.k)];
  const batches = extent(p, p.batch);
  const table = skips ? -1 : scratch.room('taps', 'i32', K);
  if (!skips)
    b.parallel(K, k => {
      const at = stepAll(b, p.b, { index: b.i32(0), pos: [] }, p.k, unravel(b, k, sizesOf(p, p.k)));
      b.store('i32', b.addr(table, k), b.mul(at.index, b.i32(bytes)));
    });
  const packed = scratch.room('packed a', p.acc, batches * M * K);
  const packedAt = (batch: Reg, row: Reg): Reg =>
    b.addr(packed, b.mul(affine(b, [[batch, M], [row, 1]], 0), b.i32(K))); // biome-ignore format: two terms
  const words = laneWords(p.a, lanes);
  const laneRoom = target.masksMemory ? scratch.room('lanes of a', 'i32', slotsOf(batches * mPanels) * words) : null;
  eachTask(b, batches * mPanels, (index, slot) => {
    const lanesAt = laneRoom === null ? null : b.addr(laneRoom, b.mul(slot, b.i32(words)));
    const [batch, panel] = unravel(b, index, [batches, mPanels]);
    const at = stepAll(b, p.a, origin(b, p.a), p.batch, unravel(b, batch!, sizesOf(p, p.batch)));
    const { first, rows } = rowsOf(b, plan, panel!);
    const block = { dims: p.k, extents: sizesOf(p, p.k), length: K };
    const to = packedAt(batch!, first);
    packPanel(b, p, p.a, p.m, lanes, { at, first, width: rows, most: heightOf(plan), block, to, lanesAt });
  });
  b.barrier();
  return { packedAt, table };
}

/** Emits the whole kernel. */
export function lowerTaps(b: LoopBuilder, problem: Problem, target: Target, scratch: Scratch): void {
  const lanes = lanesFor(target, bytesOf(problem.acc));
  const skips = skipsTaps(problem, lanes);
  const staged = needsStage(problem.b, problem) && !skips;
  const view = staged ? stage(b, problem, problem.b, lanes, 'staged b', scratch, 0) : problem.b;
  const p: Problem = skips ? inMemoryOrder(problem) : { ...problem, b: view };
  const plan = planTaps(b, p, target, lanes, skips);
  const { bytes, units, vectors, straight, mGroups, nGroups, mPanels, low, tall } = plan;
  const { packedAt, table } = prepare(b, plan, scratch);

  const batches = extent(p, p.batch);
  const bands = Math.ceil(wantedTasks(p, target) / batches);
  const panels = Math.ceil(units / vectors);
  const perTask = Math.ceil(panels / bands);
  const nTasks = Math.ceil(panels / perTask);
  const tasks = batches * nTasks;
  const width = vectors * lanes;
  const height = heightOf(plan);
  const tiles = straight ? -1 : scratch.room('tiles', p.acc, slotsOf(tasks) * height * width);

  eachTask(b, tasks, (index, slot) => {
    const tile = straight ? null : b.addr(tiles, b.mul(slot, b.i32(height * width)));
    const [batchIndex, band] = unravel(b, index, [batches, nTasks]);
    const batch = unravel(b, batchIndex!, sizesOf(p, p.batch));
    const coords: Coords = new Map(p.batch.map((d, i) => [d, batch[i]!] as const));
    const inB = stepAll(b, p.b, origin(b, p.b), p.batch, batch);
    const inOutput = outputIndex(b, p, coords);
    const from = b.mul(band!, b.i32(perTask));
    const until = b.bin('min', b.i32(panels), b.add(from, b.i32(perTask)));
    const walk = new RowWalk(b, plan, { coords, inB, inOutput }, b.mul(from, b.i32(vectors)));
    b.for(from, until, 1, () => {
      const places = Array.from({ length: vectors }, (_, v) => walk.next(v));
      b.for(0, mPanels, 1, panel => {
        const { first, rows: count } = rowsOf(b, plan, panel);
        const fill = (rows: number): void => {
          const sums = sumTaps(b, plan, { rows, places, packedAt: () => packedAt(batchIndex!, first), table });
          if (straight) storeSums(b, plan, sums, first, places);
          else
            for (const [r, line] of sums.entries())
              for (const [v, value] of line.entries()) b.store(p.acc, tile!, value, (r * width + v * lanes) * bytes);
        };
        if (tall === 0) fill(low);
        else
          b.if(
            b.cmp('lt', panel, b.i32(tall)),
            () => fill(low + 1),
            () => fill(low),
          );
        if (straight) return;
        for (const [v, place] of places.entries())
          storeTile(b, p, mGroups, nGroups, lanes, {
            from: b.advance(tile!, b.i32(v * lanes), bytes),
            pitch: width,
            m: first,
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
