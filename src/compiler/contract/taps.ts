/**
 * Contraction without packing, for few rows: vectors of B are read where they lie (or from a padded copy), at offsets that a small table gives
 * for every point of k, the taps of a filter. For depthwise and grouped convolution, and layers of few channels.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder, Reg } from '../loops.ts';
import { lanesFor, type Target } from '../target.ts';
import { origin, sizesOf, step, stepAll } from './cursor.ts';
import { multiplyAdd } from './micro.ts';
import { affine, unravel, zero } from './naive.ts';
import { packPanel } from './pack.ts';
import { stage, stagedLayout } from './pad.ts';
import { MAX_SLOTS, wantedTasks } from './plan.ts';
import { extent, type Problem, type View } from './problem.ts';
import type { Scratch } from './spec.ts';
import { type Coords, outputGroups, outputIndex, storesVectors, storeTile } from './store.ts';

const needsStage = (view: View, p: Problem): boolean =>
  view.guards.length > 0 || view.dtype !== p.acc || view.prologue !== undefined;

/** Taps whose offsets are kept in the table, at most. */
const MAX_TAPS = 1 << 14;

/** Whether this schedule serves `p`: few rows, and vectors along the innermost dim of n can be read from B. */
export function suitsTaps(p: Problem, target: Target): boolean {
  const lanes = lanesFor(target, bytesOf(p.acc));
  const run = p.n[p.n.length - 1];
  if (run === undefined || p.dims[run]!.size < lanes || extent(p, p.k) > MAX_TAPS) return false;
  const along = (needsStage(p.b, p) ? stagedLayout(p, p.b) : p.b)?.lin[run];
  if (along !== 1 && along !== 2) return false;
  // Packing copies an element once for every tap that reads it, and pays for that over the rows.
  const readsPerElement = (extent(p, p.k) * extent(p, p.n) * extent(p, p.batch)) / p.b.elements;
  return extent(p, p.m) <= (along === 1 && readsPerElement >= 4 ? 64 : 12);
}

/** Rows and vectors of the tile; vectors `loads` loads each. */
function tileOf(m: number, units: number, loads: number, target: Target): [rows: number, vectors: number] {
  const registers = target.vectorRegisters - 1;
  let best: [number, number] = [1, 1];
  let least = Number.POSITIVE_INFINITY;
  for (let r = 1; r <= m; r++) {
    for (let v = 1; v <= units && r * v + r + v * loads <= registers; v++) {
      const height = m / Math.ceil(m / r);
      const cost =
        (Math.ceil(m / r) / v) * Math.max((height * v) / 2, 4, (height * v + 2 * height + v * (2 * loads) + 4) / 6);
      if (cost < least * 0.999) {
        least = cost;
        best = [r, v];
      }
    }
  }
  return best;
}

/** Emits the whole kernel. */
export function lowerTaps(b: LoopBuilder, problem: Problem, target: Target, scratch: Scratch): void {
  const bytes = bytesOf(problem.acc);
  const lanes = lanesFor(target, bytes);
  const view = needsStage(problem.b, problem) ? stage(b, problem, problem.b, lanes, 'staged b', scratch, 0) : problem.b;
  const p: Problem = { ...problem, b: view };
  const run = p.n[p.n.length - 1]!;
  const rowDims = p.n.slice(0, -1);
  const length = p.dims[run]!.size;
  const stride = p.b.lin[run]!;
  const [M, N, K] = [extent(p, p.m), extent(p, p.n), extent(p, p.k)];
  const batches = extent(p, p.batch);
  const perRow = Math.ceil(length / lanes);
  const units = (N / length) * perRow;
  const [maxRows, vectors] = tileOf(M, units, stride, target);
  const mPanels = Math.ceil(M / maxRows);
  const low = Math.floor(M / mPanels);
  const tall = M % mPanels;
  const height = low + (tall > 0 ? 1 : 0);

  // The first stage: offsets of the taps, and A with rows side by side.
  const table = scratch('taps', 'i32', K);
  b.parallel(K, k => {
    const at = stepAll(b, p.b, { index: b.i32(0), pos: [] }, p.k, unravel(b, k, sizesOf(p, p.k)));
    b.store('i32', b.addr(table, k), b.mul(at.index, b.i32(bytes)));
  });
  const packed = scratch('packed a', p.acc, batches * M * K);
  const block = { dims: p.k, extents: sizesOf(p, p.k), length: K };
  const rowsOf = (i: Reg): { first: Reg; rows: Reg | number } => {
    if (tall === 0) return { first: b.mul(i, b.i32(low)), rows: low };
    const first = b.add(b.mul(i, b.i32(low)), b.bin('min', i, b.i32(tall)));
    return { first, rows: b.add(b.i32(low), b.cvt('i32', b.cmp('lt', i, b.i32(tall)))) };
  };
  b.parallel(batches * mPanels, index => {
    const [batch, panel] = unravel(b, index, [batches, mPanels]);
    const at = stepAll(b, p.a, origin(b, p.a), p.batch, unravel(b, batch!, sizesOf(p, p.batch)));
    const { first, rows } = rowsOf(panel!);
    const to = b.addr(
      packed,
      b.mul(
        affine(
          b,
          [
            [batch!, M],
            [first, 1],
          ],
          0,
        ),
        b.i32(K),
      ),
    );
    packPanel(b, p, p.a, p.m, lanes, { at, first, width: rows, most: height, block, to });
  });
  b.barrier();

  const mGroups = outputGroups(p, p.m);
  const nGroups = outputGroups(p, p.n);
  const straight = !p.epilogue && storesVectors(p, nGroups) && mGroups.length <= 1;
  const bands = Math.ceil(wantedTasks(p) / batches);
  const panels = Math.ceil(units / vectors);
  const perTask = Math.ceil(panels / bands);
  const nTasks = Math.ceil(panels / perTask);
  const tasks = batches * nTasks;
  const slots = Math.min(tasks, MAX_SLOTS);
  const width = vectors * lanes;
  const tiles = straight ? -1 : scratch('tiles', p.acc, slots * height * width);
  const outBytes = bytesOf(p.out.dtype);

  b.parallel(slots, iteration => {
    const slot = slots === 1 ? b.i32(0) : b.bin('divU', b.mul(b.thread(), b.i32(slots)), b.threads());
    const tile = straight ? null : b.addr(tiles, b.mul(slot, b.i32(height * width)));
    const task = (index: Reg): void => {
      const [batchIndex, band] = unravel(b, index, [batches, nTasks]);
      const batch = unravel(b, batchIndex!, sizesOf(p, p.batch));
      const coords: Coords = new Map(p.batch.map((d, i) => [d, batch[i]!] as const));
      const batchB = stepAll(b, p.b, origin(b, p.b), p.batch, batch).index;
      const batchOut = outputIndex(b, p, coords);
      const from = b.mul(band!, b.i32(perTask));
      const until = b.bin('min', b.i32(panels), b.add(from, b.i32(perTask)));

      // Where the next vector stands: its row, x in it, and the row's place in B, in the output and in n. Moves by additions;
      // rows are located by division once each.
      const first = b.mul(from, b.i32(vectors));
      const row = b.copy(b.bin('divU', first, b.i32(perRow)));
      const x = b.copy(b.mul(b.bin('remU', first, b.i32(perRow)), b.i32(lanes)));
      const [rowB, rowOut] = [b.reg('i32'), b.reg('i32')];
      const enterRow = (): void => {
        // Vectors beyond the last row repeat it; they are not stored.
        const inside = b.bin('min', row, b.i32(N / length - 1));
        const at = unravel(b, inside, sizesOf(p, rowDims));
        b.move(rowB, stepAll(b, p.b, { index: batchB, pos: [] }, rowDims, at).index);
        b.move(rowOut, affine(b, rowDims.map((d, i) => [at[i]!, p.out.lin[d]!] as const).concat([[batchOut, 1]]), 0));
      };
      enterRow();
      b.for(from, until, 1, () => {
        const places = Array.from({ length: vectors }, () => {
          // The last vector of a row starts early, so that nothing beyond the row is read.
          const start = length % lanes === 0 ? b.copy(x) : b.bin('min', x, b.i32(length - lanes));
          const place = {
            at: b.addr(p.b.buffer, step(b, p.b, { index: rowB, pos: [] }, run, start).index),
            out: b.add(rowOut, start),
            n: b.add(b.mul(row, b.i32(length)), start),
            skip: length % lanes === 0 ? null : b.sub(x, start),
          };
          b.move(x, b.add(x, b.i32(lanes)));
          b.if(b.cmp('ge', x, b.i32(length)), () => {
            b.move(x, b.i32(0));
            b.move(row, b.add(row, b.i32(1)));
            enterRow();
          });
          return place;
        });
        const rows = (count: number, firstRow: Reg): void => {
          const sums = Array.from({ length: count }, () => places.map(() => b.copy(zero(b, p.acc, lanes))));
          const a = b.copy(
            b.addr(
              packed,
              b.mul(
                affine(
                  b,
                  [
                    [batchIndex!, M],
                    [firstRow, 1],
                  ],
                  0,
                ),
                b.i32(K),
              ),
            ),
          );
          const tap = b.copy(b.addr(table));
          b.for(0, K, 1, () => {
            const offset = b.load('i32', tap);
            const rowValues = sums.map((_, r) => b.splat(b.load(p.acc, a, r * bytes), lanes));
            const values = places.map(({ at }) => {
              const here = b.advance(at, offset, 1);
              const low4 = b.load(p.acc, here, 0, lanes);
              if (stride === 1) return low4;
              const high = b.load(p.acc, here, (lanes - 1) * bytes, lanes);
              const half = lanes / 2;
              return b.shuffle(
                low4,
                high,
                Array.from({ length: lanes }, (_, i) => (i < half ? 2 * i : lanes + 2 * (i - half) + 1)),
              );
            });
            for (const [r, line] of sums.entries())
              for (const [v, sum] of line.entries()) b.move(sum, multiplyAdd(b, p.acc, rowValues[r]!, values[v]!, sum));
            b.move(a, b.advance(a, b.i32(count), bytes));
            b.move(tap, b.advance(tap, b.i32(1), 4));
          });
          const limit = b.i32(N);
          for (const [v, place] of places.entries()) {
            const put = (): void => {
              if (!straight) {
                for (const [r, line] of sums.entries())
                  b.store(p.acc, tile!, line[v]!, (r * width + v * lanes) * bytes);
                return;
              }
              const down = mGroups.length === 0 ? 0 : p.out.lin[mGroups[0]!.inner]!;
              const to = b.addr(
                p.out.buffer,
                affine(
                  b,
                  [
                    [firstRow, down],
                    [place.out, 1],
                  ],
                  0,
                ),
              );
              for (const [r, line] of sums.entries())
                b.store(p.out.dtype, r === 0 ? to : b.advance(to, b.i32(r * down), outBytes), line[v]!);
            };
            if (straight && units % vectors !== 0) b.if(b.cmp('lt', place.n, limit), put);
            else put();
          }
        };
        b.for(0, mPanels, 1, panel => {
          const { first: firstRow, rows: count } = rowsOf(panel);
          if (tall === 0) rows(low, firstRow);
          else
            b.if(
              b.cmp('lt', panel, b.i32(tall)),
              () => rows(low + 1, firstRow),
              () => rows(low, firstRow),
            );
          if (straight) return;
          for (const [v, place] of places.entries()) {
            storeTile(b, p, mGroups, nGroups, lanes, {
              from: v === 0 ? tile! : b.advance(tile!, b.i32(v * lanes), bytes),
              pitch: width, m: firstRow, rows: count, n: place.n, columns: lanes, batch: coords,
              ...(place.skip ? { skip: place.skip } : {}),
            }); // biome-ignore format: a record
          }
        });
      });
    };
    if (slots === tasks) {
      task(iteration);
      return;
    }
    const share = (i: Reg): Reg => b.bin('divU', b.mul(i, b.i32(tasks)), b.i32(slots));
    b.for(share(iteration), share(b.add(iteration, b.i32(1))), 1, task);
  });
}
