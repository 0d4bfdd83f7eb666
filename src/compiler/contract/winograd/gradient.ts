/**
 * The weight gradient of a convolution in transformed tiles: per plane the sum over tiles of gradient by image, both read in place as they were
 * transformed, accumulated for a block of kernels that stays in the second cache. Long sums are cut into chunks, which depends on shapes alone, and
 * joined when the sums are transformed back.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { affine, unravel, zero } from '../indices.ts';
import { kernelWriter } from '../kernel-gradients.ts';
import { type Stream, sweep } from '../micro.ts';
import type { Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { chunksFor, eachTask, evenPart, slotsOf } from '../tasks.ts';
import { dividingTile } from '../tile.ts';
import { channelsOf, type WeightGradient } from './convolution.ts';
import {
  type Channels,
  loadPlanes,
  PLANES,
  planeElements,
  planesOf,
  transformImage,
  transformResultGradients,
} from './tiles.ts';
import { type Matrix, transformTapGradients } from './transforms.ts';

const F32 = 4;
/** Channels of a block of kernels at most, out and in: sums of a quarter of the second cache. */
const MOST_OUT = 128;
const MOST_IN = 64;
/** Share of the second cache for the tiles of a step. */
const TILES_SHARE = 0.25;
/** Tasks there should be, for threads to share, and steps of a chunk at least. */
const TASKS = 16;
const LEAST_STEPS = 2;
/** Taps of a side of a kernel. */
const SIDE = 3;

interface GradientPlan {
  readonly lanes: number;
  readonly rows: number;
  readonly vectors: number;
  /** Channels of a block and blocks, out and in. */
  readonly outs: number;
  readonly ins: number;
  readonly outBlocks: number;
  readonly inBlocks: number;
  readonly chunks: number;
  /** Tiles of a step. */
  readonly step: number;
  readonly unroll: number;
}

function planGradient(p: Problem, g: WeightGradient, target: Target): GradientPlan {
  const lanes = lanesFor(target, F32);
  const [channels, results] = channelsOf(p, g);
  const outs = evenPart(results, lanes, MOST_OUT);
  const ins = evenPart(channels, lanes, MOST_IN);
  const { rows, vectors } = dividingTile(outs, ins, lanes, target);
  const step = Math.max(lanes, Math.floor((target.l2Bytes * TILES_SHARE) / (PLANES * (outs + ins) * F32)));
  const blocks = (results / outs) * (channels / ins);
  const chunks = chunksFor(blocks, TASKS, g.windows.tiles / (LEAST_STEPS * step));
  return {
    lanes, rows, vectors, outs, ins, outBlocks: results / outs, inBlocks: channels / ins, chunks, step,
    unroll: target.keepsOrder ? 2 : 1,
  }; // biome-ignore format: a record
}

/** Emits the whole kernel. */
export function lowerWeightGradient(
  b: LoopBuilder,
  p: Problem,
  g: WeightGradient,
  target: Target,
  scratch: Scratch,
): void {
  const { lanes, rows, vectors, outs, ins, outBlocks, inBlocks, chunks, step, unroll } = planGradient(p, g, target);
  const { windows, gradient } = g;
  const { tiles } = windows;
  const width = vectors * lanes;
  const tasks = chunks * outBlocks * inBlocks;
  const slots = slotsOf(tasks);
  const image = planesOf(step, ins, lanes);
  const imageAt = scratch.room('transformed tiles', 'f32', slots * planeElements(image));
  const results = planesOf(step, outs, lanes);
  const resultsAt = scratch.room('transformed gradients', 'f32', slots * planeElements(results));
  const sums = planesOf(outs, ins, lanes);
  const sumsAt = scratch.room('sums', 'f32', (chunks > 1 ? tasks : slots) * planeElements(sums));

  const [outer, inner] = windows.axes;
  const place = (tap: number): number => {
    const [i, j] = [Math.floor(tap / SIDE), tap % SIDE];
    return (outer.flipped ? 2 - i : i) * SIDE + (inner.flipped ? 2 - j : j);
  };
  const { channel, axes } = windows;
  const kernels = { channel, taps: axes.map(axis => axis.tap), out: g.out, lanes, vectors: 1, place };
  const writer = kernelWriter(b, p, kernels, slotsOf(Math.max(tasks, outs * outBlocks)), scratch);
  const writeIn = (slot: Reg) => {
    const { stash, write } = writer(slot);
    return (sums: Matrix, result: Reg, channel: Reg): void => {
      for (const [i, x] of transformTapGradients(b, sums).flat().entries()) b.store('f32', stash, x, i * lanes * F32);
      write(result, channel);
    };
  };

  eachTask(b, tasks, (task, slot) => {
    const [chunk, outBlock, inBlock] = unravel(b, task, [chunks, outBlocks, inBlocks]);
    const share = (x: Reg): Reg => b.bin('divU', b.mul(x, b.i32(tiles)), b.i32(chunks));
    const [lo, hi] = [share(chunk!), share(b.add(chunk!, b.i32(1)))];
    const rowsAt = b.addr(resultsAt, b.mul(slot, b.i32(planeElements(results))));
    const columnsAt = b.addr(imageAt, b.mul(slot, b.i32(planeElements(image))));
    const to = b.addr(sumsAt, b.mul(chunks > 1 ? task : slot, b.i32(planeElements(sums))));
    b.for(lo, hi, step, first => {
      const last = b.bin('min', b.add(first, b.i32(step)), hi);
      const own = (block: Reg, count: number): Channels => ({ from: b.mul(block, b.i32(count)), count });
      transformImage(b, windows, own(inBlock!, ins), lanes, first, last, columnsAt, image);
      transformResultGradients(b, windows, gradient, own(outBlock!, outs), lanes, first, last, rowsAt, results);
      b.for(0, PLANES, 1, plane => {
        const place = b.advance(to, plane, sums.plane * F32);
        const fromColumns = b.advance(columnsAt, plane, image.plane * F32);
        const fromRows = b.advance(rowsAt, plane, results.plane * F32);
        b.for(0, ins, width, column => {
          const c: Stream = { dtype: 'f32', from: b.advance(fromColumns, column, F32), across: lanes, along: ins };
          b.for(0, outs, rows, row => {
            const a: Stream = { dtype: 'f32', from: b.advance(fromRows, row, F32), across: 1, along: outs };
            const at = b.advance(b.advance(place, row, ins * F32), column, F32);
            const tile = Array.from({ length: rows }, () =>
              Array.from({ length: vectors }, () => zero(b, 'f32', lanes)),
            );
            const each = (use: (sum: Reg, offset: number) => void): void => {
              for (const [r, line] of tile.entries())
                for (const [v, sum] of line.entries()) use(sum, (r * ins + v * lanes) * F32);
            };
            b.if(b.cmp('ne', first, lo), () => each((sum, offset) => b.load('f32', at, offset, lanes, sum)));
            sweep(b, 'f32', lanes, tile, b.sub(last, first), a, c, unroll);
            each((sum, offset) => b.store('f32', at, sum, offset));
          });
        });
      });
    });
    if (chunks > 1) return;
    const joined = writeIn(slot);
    b.for(0, outs, 1, row => {
      const result = affine(b, [[outBlock!, outs], [row, 1]], 0); // biome-ignore format: a sum
      b.for(0, ins, lanes, column => {
        const from = b.advance(b.advance(to, row, ins * F32), column, F32);
        joined(loadPlanes(b, from, sums, lanes), result, affine(b, [[inBlock!, ins], [column, 1]], 0)); // biome-ignore format: a sum
      });
    });
  });
  if (chunks === 1) return;

  b.barrier();
  eachTask(b, outs * outBlocks, (result, slot) => {
    const [outBlock, row] = unravel(b, result, [outBlocks, outs]);
    const joined = writeIn(slot);
    b.for(0, ins * inBlocks, lanes, channel => {
      const [inBlock, column] = unravel(b, channel, [inBlocks, ins]);
      const block = affine(b, [[outBlock!, inBlocks], [inBlock!, 1]], 0); // biome-ignore format: a sum
      const at = affine(b, [[block, planeElements(sums)], [row!, ins], [column!, 1]], 0); // biome-ignore format: a sum
      const from = b.addr(sumsAt, at);
      const total = loadPlanes(b, from, sums, lanes).map(line => line.map(x => b.copy(x)));
      b.for(1, chunks, 1, chunk => {
        const next = b.advance(from, chunk, outBlocks * inBlocks * planeElements(sums) * F32);
        const parts = loadPlanes(b, next, sums, lanes);
        for (const [i, line] of total.entries()) for (const [j, sum] of line.entries()) b.add(sum, parts[i]![j]!, sum);
      });
      joined(total, result, channel);
    });
  });
}
