/**
 * The weight gradient of f32 in vectors. A task takes some channels of both sides and a run of pixels, a few pixels at
 * a time: per tap those that meet are listed, a panel of the image's channels at them is copied to the first cache, and
 * the gradients at them are read where they lie. Sums of all taps stay in the second cache; long sums are cut into
 * chunks by shapes alone.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { allGuards, type Cursor, origin, sizesOf, stepAll, violations, walk, whenInside } from '../cursor.ts';
import { affine, unravel, zero } from '../indices.ts';
import { type KernelWriter, kernelWriter } from '../kernel-gradients.ts';
import { sweep } from '../micro.ts';
import { extent, type Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { chunksFor, eachTask, evenPart, slotsOf } from '../tasks.ts';
import { dividingTile } from '../tile.ts';
import type { WeightGradient } from './gradient.ts';

const F32 = 4;
/** Channels of a task at most, out and in. */
const MOST_OUT = 128;
const MOST_IN = 64;
/** Images from which on a sweep is long enough, and of a step: a panel of them stays in the first cache. */
const LEAST_IMAGES = 8;
const STEP_IMAGES = 128;
/** Channels from which on a step is worth its lists. */
const LEAST_CHANNELS = 32;
/** Bytes of the sums of a task at most, as a share of the second cache. */
const SUMS_SHARE = 0.4;
/** Tasks there should be, for threads to share, and steps of a chunk at least. */
const TASKS = 8;
const LEAST_STEPS = 4;
const UNROLL = 2;

export function suitsGradientInVectors(p: Problem, g: WeightGradient, target: Target): boolean {
  if (target.keepsOrder !== true || g.dtype !== 'f32' || extent(p, [g.images]) < LEAST_IMAGES) return false;
  const lanes = lanesFor(target, F32);
  const channels = [g.out, g.channel].map(d => p.dims[d]!.size);
  const sums = extent(p, g.taps) * Math.min(MOST_OUT, channels[0]!) * Math.min(MOST_IN, channels[1]!) * F32;
  return channels.every(n => n >= LEAST_CHANNELS && n % lanes === 0) && sums <= target.l2Bytes * SUMS_SHARE;
}

/** Sizes of the tasks, their steps and their tiles. */
interface Plan {
  readonly lanes: number;
  readonly kernel: number;
  readonly batch: number;
  /** Channels of a task, out and in. */
  readonly outs: number;
  readonly ins: number;
  /** Of a tile. */
  readonly rows: number;
  readonly vectors: number;
  readonly outBlocks: number;
  readonly inBlocks: number;
  /** Pixels in all, those of a step, and the parts that the sum is cut into. */
  readonly count: number;
  readonly step: number;
  readonly chunks: number;
}

function planGradient(p: Problem, g: WeightGradient, target: Target): Plan {
  const lanes = lanesFor(target, F32);
  const [results, channels] = [extent(p, [g.out]), extent(p, [g.channel])];
  const [count, batch] = [extent(p, [...g.rows, ...g.row]), extent(p, [g.images])];
  const outs = evenPart(results, lanes, MOST_OUT);
  const ins = evenPart(channels, lanes, MOST_IN);
  const { rows, vectors } = dividingTile(outs, ins, lanes, target);
  const [outBlocks, inBlocks] = [results / outs, channels / ins];
  const step = Math.max(1, Math.floor(STEP_IMAGES / batch));
  const chunks = chunksFor(outBlocks * inBlocks, TASKS, count / (LEAST_STEPS * step));
  const kernel = extent(p, g.taps);
  return { lanes, kernel, batch, outs, ins, rows, vectors, outBlocks, inBlocks, count, step, chunks };
}

/** Emits the whole kernel. */
export function lowerGradientInVectors(
  b: LoopBuilder,
  p: Problem,
  g: WeightGradient,
  target: Target,
  scratch: Scratch,
): void {
  const { image, gradient, out, channel, taps } = g;
  const plan = planGradient(p, g, target);
  const { lanes, kernel, batch, outs, ins, vectors, outBlocks, inBlocks, count, step, chunks } = plan;
  const results = outs * outBlocks;
  const tasks = chunks * outBlocks * inBlocks;
  const slots = slotsOf(tasks);
  const area = kernel * outs * ins;
  const sumsAt = scratch.room('sums', 'f32', (chunks > 1 ? tasks : slots) * area);
  const panelSize = step * batch * vectors * lanes;
  const panelsAt = scratch.room('panel of pixels', 'f32', slots * panelSize);
  const listsAt = scratch.room('pixels that meet', 'i32', slots * 2 * step);
  const kernels = { channel, taps, out, lanes, vectors: 1, place: (tap: number) => tap };
  const writer = kernelWriter(b, p, kernels, target, slotsOf(Math.max(tasks, results)), scratch);

  eachTask(b, tasks, (task, slot) => {
    const [chunk, outBlock, inBlock] = unravel(b, task, [chunks, outBlocks, inBlocks]);
    const share = (x: Reg): Reg => b.bin('divU', b.mul(x, b.i32(count)), b.i32(chunks));
    const [lo, hi] = [share(chunk!), share(b.add(chunk!, b.i32(1)))];
    const list = b.addr(listsAt, b.mul(slot, b.i32(2 * step)));
    const panel = b.addr(panelsAt, b.mul(slot, b.i32(panelSize)));
    const sums = b.addr(sumsAt, b.mul(chunks > 1 ? task : slot, b.i32(area)));
    b.for(0, area, lanes, i => b.store('f32', b.advance(sums, i, F32), zero(b, 'f32', lanes)));
    const gradients = b.addr(gradient.buffer, b.mul(outBlock!, b.i32(outs)));
    const ofTask = b.addr(image.buffer, b.mul(inBlock!, b.i32(ins)));

    b.for(lo, hi, step, first => {
      const last = b.bin('min', b.add(first, b.i32(step)), hi);
      const ofTap = b.copy(sums);
      walk(b, image, [origin(b, image)], taps, sizesOf(p, taps), [], ([tap]) => {
        const met = listMet(b, p, g, tap!, first, last, list);
        const eachMet: EachMet = visit => b.for(0, met, 1, i => visit(b.advance(list, i, 2 * F32), i));
        b.for(0, ins, vectors * lanes, column => {
          packColumns(b, g, plan, eachMet, ofTask, column, panel);
          b.for(0, outs, plan.rows, row => {
            const place = b.advance(b.advance(ofTap, row, ins * F32), column, F32);
            sumTile(b, g, plan, eachMet, gradients, row, panel, place);
          });
        });
        b.advance(ofTap, b.i32(outs * ins), F32, ofTap);
      });
    });
    if (chunks > 1) return;
    const own = writer(slot);
    b.for(0, outs, 1, line => writeFrom(b, plan, own, sums, affine(b, [[outBlock!, outs], [line, 1]], 0), line, inBlock!)); // biome-ignore format: a sum
  });
  if (chunks === 1) return;

  b.barrier();
  eachTask(b, results, (result, slot) => {
    const [outBlock, line] = unravel(b, result, [outBlocks, outs]);
    const own = writer(slot);
    b.for(0, inBlocks, 1, inBlock => {
      const block = affine(b, [[outBlock!, inBlocks], [inBlock, 1]], 0); // biome-ignore format: a sum
      writeFrom(b, plan, own, b.addr(sumsAt, b.mul(block, b.i32(area))), result, line!, inBlock);
    });
  });
}

/** Runs `visit` with the address of each entry of the list, and its number. */
type EachMet = (visit: (at: Reg, run: Reg) => void) => void;

/** Lists the elements of gradient and image at each pixel of a step that the tap meets; their number. */
function listMet(b: LoopBuilder, p: Problem, g: WeightGradient, tap: Cursor, first: Reg, last: Reg, list: Reg): Reg {
  const { image, gradient } = g;
  const pixels = [...g.rows, ...g.row];
  const met = b.copy(b.i32(0));
  const entry = b.copy(list);
  b.for(first, last, 1, pixel => {
    const coords = unravel(b, pixel, sizesOf(p, pixels));
    const at = stepAll(b, image, tap, pixels, coords);
    whenInside(b, violations(b, image, at, allGuards(image), 0, 1), () => {
      b.store('i32', entry, stepAll(b, gradient, origin(b, gradient), pixels, coords).index);
      b.store('i32', entry, at.index, F32);
      b.advance(entry, b.i32(2), F32, entry);
      b.add(met, b.i32(1), met);
    });
  });
  return met;
}

/** The image's channels from `column` on, as many as a tile has, of all images at the pixels that meet. */
function packColumns(
  b: LoopBuilder,
  { image, images }: WeightGradient,
  { batch, vectors, lanes }: Plan,
  eachMet: EachMet,
  ofTask: Reg,
  column: Reg,
  panel: Reg,
): void {
  const width = vectors * lanes;
  eachMet((at, run) => {
    const from = b.advance(b.advance(ofTask, b.load('i32', at, F32), F32), column, F32);
    const to = b.advance(panel, run, batch * width * F32);
    b.for(0, batch, 1, i => {
      const [source, place] = [b.advance(from, i, image.lin[images]! * F32), b.advance(to, i, width * F32)];
      for (let v = 0; v < vectors; v++)
        b.store('f32', place, b.load('f32', source, v * lanes * F32, lanes), v * lanes * F32);
    });
  });
}

/** Adds the products at all pixels that meet to the tile of sums at `place`. */
function sumTile(
  b: LoopBuilder,
  { gradient, images }: WeightGradient,
  { batch, ins, rows, vectors, lanes }: Plan,
  eachMet: EachMet,
  gradients: Reg,
  row: Reg,
  panel: Reg,
  place: Reg,
): void {
  const width = vectors * lanes;
  const tile = Array.from({ length: rows }, (_, r) =>
    Array.from({ length: vectors }, (_, v) => b.copy(b.load('f32', place, (r * ins + v * lanes) * F32, lanes))),
  );
  const rowsAt = b.advance(gradients, row, F32);
  eachMet((at, run) => {
    const from = b.advance(rowsAt, b.load('i32', at), F32);
    const a = { dtype: 'f32', from, across: 1, along: gradient.lin[images]! } as const;
    const columns = b.advance(panel, run, batch * width * F32);
    const c = { dtype: 'f32', from: columns, across: lanes, along: width } as const;
    sweep(b, 'f32', lanes, tile, batch, a, c, UNROLL);
  });
  for (const [r, line] of tile.entries())
    for (const [v, sum] of line.entries()) b.store('f32', place, sum, (r * ins + v * lanes) * F32);
}

/** Writes the kernels of one result from one area of sums or from those of all chunks. */
function writeFrom(
  b: LoopBuilder,
  { kernel, outs, ins, lanes, outBlocks, inBlocks, chunks }: Plan,
  { stash, write }: KernelWriter,
  from: Reg,
  result: Reg,
  line: Reg,
  inBlock: Reg,
): void {
  const area = kernel * outs * ins;
  b.for(0, ins, lanes, column => {
    b.for(0, kernel, 1, tap => {
      const at = b.advance(from, affine(b, [[tap, outs * ins], [line, ins], [column, 1]], 0), F32); // biome-ignore format: a sum
      const sum = b.copy(b.load('f32', at, 0, lanes));
      b.for(1, chunks, 1, chunk => {
        const next = b.advance(at, chunk, outBlocks * inBlocks * area * F32);
        b.add(sum, b.load('f32', next, 0, lanes), sum);
      });
      b.store('f32', b.advance(stash, tap, lanes * F32), sum);
    });
    write(result, affine(b, [[inBlock, ins], [column, 1]], 0)); // biome-ignore format: a sum
  });
}
