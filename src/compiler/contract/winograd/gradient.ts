/**
 * The weight gradient of a convolution in transformed tiles: per plane the sum over tiles of gradient by image, both
 * read in place as they were transformed, accumulated for a block of kernels that stays in the second cache. Long sums
 * are cut into chunks, which depends on shapes alone, and joined when the sums are transformed back.
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
  type PlacedPlanes,
  type Planes,
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
/**
 * Share of the second cache for the tiles of a step: of words a larger one, as their products take half as long and
 * reading and storing sums does not.
 */
const TILES_SHARE = 0.25;
const WORDS_SHARE = 0.4;
/** Tasks there should be, for threads to share, and steps of a chunk at least. */
const TASKS = 16;
const LEAST_STEPS = 2;
/** Taps of a side of a kernel. */
const SIDE = 3;

interface GradientPlan {
  readonly lanes: number;
  /** Whether what is transformed is rounded to bf16, of which pairs of tiles are multiplied as words. */
  readonly words: boolean;
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

function planGradient(p: Problem, g: WeightGradient, target: Target, words: boolean): GradientPlan {
  const lanes = lanesFor(target, F32);
  const [channels, results] = channelsOf(p, g);
  const outs = evenPart(results, lanes, MOST_OUT);
  const ins = evenPart(channels, lanes, MOST_IN);
  const { rows, vectors } = dividingTile(outs, ins, lanes, target);
  const tileBytes = (PLANES * (outs + ins) * F32) / (words ? 2 : 1);
  const most = Math.max(lanes, Math.floor((target.l2Bytes * (words ? WORDS_SHARE : TILES_SHARE)) / tileBytes));
  const step = words ? most - (most % 2) : most;
  const blocks = (results / outs) * (channels / ins);
  const chunks = chunksFor(blocks, TASKS, g.windows.tiles / (LEAST_STEPS * step));
  return {
    lanes, words, rows, vectors, outs, ins, outBlocks: results / outs, inBlocks: channels / ins, chunks, step,
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
  words: boolean,
): void {
  const plan = planGradient(p, g, target, words);
  const { lanes, outs, ins, outBlocks, inBlocks, chunks, step } = plan;
  const { windows, gradient } = g;
  const tasks = chunks * outBlocks * inBlocks;
  const slots = slotsOf(tasks);
  const room = (name: string, planes: Planes, count: number): number =>
    scratch.room(name, planes.dtype, count * planeElements(planes));
  const [rows, dtype] = words ? ([step / 2, 'i32'] as const) : ([step, 'f32'] as const);
  const image = planesOf(rows, ins, lanes, dtype);
  const imageAt = room('transformed tiles', image, slots);
  const results = planesOf(rows, outs, lanes, dtype);
  const resultsAt = room('transformed gradients', results, slots);
  const sums = planesOf(outs, ins, lanes);
  const sumsAt = room('sums', sums, chunks > 1 ? tasks : slots);
  const placed = (planes: Planes, at: number, slot: Reg): PlacedPlanes => ({
    ...planes,
    from: b.addr(at, b.mul(slot, b.i32(planeElements(planes)))),
  });
  const writer = sumsWriter(b, p, g, plan, target, slotsOf(Math.max(tasks, outs * outBlocks)), scratch);

  eachTask(b, tasks, (task, slot) => {
    const [chunk, outBlock, inBlock] = unravel(b, task, [chunks, outBlocks, inBlocks]);
    const share = (x: Reg): Reg => b.bin('divU', b.mul(x, b.i32(windows.tiles)), b.i32(chunks));
    const [lo, hi] = [share(chunk!), share(b.add(chunk!, b.i32(1)))];
    const ownResults = placed(results, resultsAt, slot);
    const ownImage = placed(image, imageAt, slot);
    const ownSums = placed(sums, sumsAt, chunks > 1 ? task : slot);
    b.for(lo, hi, step, first => {
      const last = b.bin('min', b.add(first, b.i32(step)), hi);
      const own = (block: Reg, count: number): Channels => ({ from: b.mul(block, b.i32(count)), count });
      transformImage(b, windows, { channels: own(inBlock!, ins), lanes, first, last, to: ownImage });
      const channels = own(outBlock!, outs);
      transformResultGradients(b, windows, gradient, { channels, lanes, first, last, to: ownResults });
      accumulate(b, plan, { results: ownResults, image: ownImage, sums: ownSums }, { lo, first, last });
    });
    if (chunks > 1) return;
    const write = writer(slot);
    b.for(0, outs, 1, row => {
      const result = affine(b, [[outBlock!, outs], [row, 1]], 0); // biome-ignore format: a sum
      b.for(0, ins, lanes, column => {
        const from = b.advance(b.advance(ownSums.from, row, ins * F32), column, F32);
        write(loadPlanes(b, from, sums, lanes), result, affine(b, [[inBlock!, ins], [column, 1]], 0)); // biome-ignore format: a sum
      });
    });
  });
  if (chunks === 1) return;
  b.barrier();
  joinChunks(b, plan, sums, sumsAt, writer);
}

/** Transforms sums back to taps and writes them: of some channels of the image from `channel` on, for one result. */
type SumsWriter = (sums: Matrix, result: Reg, channel: Reg) => void;

function sumsWriter(
  b: LoopBuilder,
  p: Problem,
  { windows, out }: WeightGradient,
  { lanes }: GradientPlan,
  target: Target,
  slots: number,
  scratch: Scratch,
): (slot: Reg) => SumsWriter {
  const { channel, axes } = windows;
  const [outer, inner] = axes;
  const place = (tap: number): number => {
    const [i, j] = [Math.floor(tap / SIDE), tap % SIDE];
    return (outer.flipped ? 2 - i : i) * SIDE + (inner.flipped ? 2 - j : j);
  };
  const kernels = { channel, taps: axes.map(axis => axis.tap), out, lanes, vectors: 1, place };
  const writer = kernelWriter(b, p, kernels, target, slots, scratch);
  return slot => {
    const { stash, write } = writer(slot);
    return (sums, result, channel) => {
      for (const [i, x] of transformTapGradients(b, sums).flat().entries()) b.store('f32', stash, x, i * lanes * F32);
      write(result, channel);
    };
  };
}

/**
 * What a task works on: transformed gradients of results, transformed tiles of the image, and sums of their products.
 */
interface TaskPlanes {
  readonly results: PlacedPlanes;
  readonly image: PlacedPlanes;
  readonly sums: PlacedPlanes;
}

/**
 * Adds the products of tiles `first` to `last` - 1 to the sums, which begin with tile `lo`: per plane a product of
 * gradients by pixels.
 */
function accumulate(
  b: LoopBuilder,
  { lanes, words, rows, vectors, outs, ins, unroll }: GradientPlan,
  { results, image, sums }: TaskPlanes,
  { lo, first, last }: { readonly lo: Reg; readonly first: Reg; readonly last: Reg },
): void {
  const { dtype } = image;
  const tiles = b.sub(last, first);
  const points = words ? b.bin('shrU', b.add(tiles, b.i32(1)), b.i32(1)) : tiles;
  b.for(0, PLANES, 1, plane => {
    const place = b.advance(sums.from, plane, sums.plane * F32);
    const fromColumns = b.advance(image.from, plane, image.plane * F32);
    const fromRows = b.advance(results.from, plane, results.plane * F32);
    b.for(0, ins, vectors * lanes, column => {
      const c: Stream = { dtype, from: b.advance(fromColumns, column, F32), across: lanes, along: ins };
      b.for(0, outs, rows, row => {
        const a: Stream = { dtype, from: b.advance(fromRows, row, F32), across: 1, along: outs };
        const at = b.advance(b.advance(place, row, ins * F32), column, F32);
        const tile = Array.from({ length: rows }, () => Array.from({ length: vectors }, () => zero(b, 'f32', lanes)));
        const each = (use: (sum: Reg, offset: number) => void): void => {
          for (const [r, line] of tile.entries())
            for (const [v, sum] of line.entries()) use(sum, (r * ins + v * lanes) * F32);
        };
        b.if(b.cmp('ne', first, lo), () => each((sum, offset) => b.load('f32', at, offset, lanes, sum)));
        sweep(b, words ? 'words' : 'f32', lanes, tile, points, a, c, unroll);
        each((sum, offset) => b.store('f32', at, sum, offset));
      });
    });
  });
}

/** Adds up the sums of all chunks and writes them, a result at a time. */
function joinChunks(
  b: LoopBuilder,
  { lanes, outs, ins, outBlocks, inBlocks, chunks }: GradientPlan,
  sums: Planes,
  sumsAt: number,
  writer: (slot: Reg) => SumsWriter,
): void {
  eachTask(b, outs * outBlocks, (result, slot) => {
    const [outBlock, row] = unravel(b, result, [outBlocks, outs]);
    const write = writer(slot);
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
      write(total, result, channel);
    });
  });
}
