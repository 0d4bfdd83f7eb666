/**
 * The product of a convolution (or of its input gradient) in transformed tiles: per plane a dense product [tiles x
 * channels] by [channels x results] with operands that lie as the microkernel reads them. A task transforms its tiles,
 * multiplies them by a panel of the kernel at a time, and finishes results while the panel's sums are in the second
 * cache. Where a task's tiles would be few, all tiles are transformed first.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { deinterleaved, everyNth } from '../../strides.ts';
import { lanesFor, type Target } from '../../target.ts';
import { apart, loadRun } from '../cursor.ts';
import { affine, unravel, zero } from '../indices.ts';
import { type Stream, sweep } from '../micro.ts';
import { comesPacked } from '../plan.ts';
import type { Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { askForRow, type Coords, finish, outputIndex } from '../store.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { chooseTile } from '../tile.ts';
import { channelsOf, type Forward, type Windows } from './convolution.ts';
import {
  type Channels,
  loadPlanes,
  PLANES,
  type PlacedPlanes,
  planeElements,
  planesOf,
  storePlanes,
  tileCoords,
  transformImage,
} from './tiles.ts';
import { transformSums, transformTaps } from './transforms.ts';
import { packKernelWords } from './words.ts';

const F32 = 4;
const BF16 = 2;
/** Shares of the second cache for a task's tiles and for its sums. */
const TILES_SHARE = 0.35;
const SUMS_SHARE = 0.25;
/** Tasks there should be, for threads to share. */
const TASKS = 8;
/** A row of channels that is a multiple of this many bytes meets the others in one set of the first cache. */
const SET_BYTES = 4096;
const UNROLL = 2;
/** Taps of a kernel. */
const TAPS = 9;
/** Tiles from one whose results are finished to the one whose lines are asked for. */
const AHEAD = 4;

interface ForwardPlan {
  readonly lanes: number;
  /** Whether tiles and kernels are rounded to bf16, whose pairs of channels are multiplied as words. */
  readonly words: boolean;
  readonly channels: number;
  readonly results: number;
  /** Register tile. */
  readonly rows: number;
  readonly vectors: number;
  readonly width: number;
  /** Panels of tiles and of results. */
  readonly mPanels: number;
  readonly nPanels: number;
  /** Tasks that tiles fall into, and panels of tiles of one at most. */
  readonly mTasks: number;
  readonly most: number;
  /** Whether all tiles are transformed before the first task, whose panels of results are then tasks of their own. */
  readonly shared: boolean;
  readonly unroll: number;
  /** Whether lines of results are asked for before they are finished: where that was measured (decision 304). */
  readonly asksLines: boolean;
  /** Whether lanes of a kernel a few elements apart are shuffled together. */
  readonly shuffles: boolean;
  /**
   * Bytes of the next panel of the kernel that a tile asks for in a trip of its loop; 0 where the kernel stays in the
   * second cache.
   */
  readonly ahead: number;
}

function planForward(p: Problem, f: Forward, target: Target, words: boolean): ForwardPlan {
  const element = words ? BF16 : F32;
  const lanes = lanesFor(target, F32);
  const [channels, results] = channelsOf(p, f);
  const { tiles } = f.windows;
  const chosen = chooseTile(tiles, results, lanes, target);
  const mPanels = Math.ceil(tiles / chosen.rows);
  const rows = Math.ceil(tiles / mPanels);
  const width = chosen.vectors * lanes;
  const nPanels = Math.ceil(results / width);
  const kernelBytes = PLANES * channels * nPanels * width * element;
  const tileBytes = PLANES * channels * element;
  const blocks = (share: number, bytes: number): number =>
    Math.ceil(mPanels / Math.max(1, Math.floor((target.l2Bytes * share) / (bytes * rows))));
  const own = Math.min(mPanels, Math.max(TASKS, blocks(TILES_SHARE, tileBytes)));
  const sharing = Math.min(mPanels, Math.max(Math.ceil(TASKS / nPanels), blocks(SUMS_SHARE, PLANES * width * F32)));
  // Bytes from the shared cache: tasks of their own tiles read the whole kernel each, the others read tiles once per
  // panel of results.
  const streamed = (times: number): number => (kernelBytes <= target.l2Bytes / 2 ? 1 : times) * kernelBytes;
  const shared = (nPanels + 2) * tiles * tileBytes + streamed(sharing) < streamed(own);
  const mTasks = shared ? sharing : own;
  const most = Math.ceil(mPanels / mTasks);
  const asks = target.keepsOrder === true && kernelBytes > target.l2Bytes / 4;
  return {
    lanes, words, channels, results, rows, vectors: chosen.vectors, width, mPanels, nPanels, mTasks,
    most, shared, unroll: target.keepsOrder ? UNROLL : 1, shuffles: target.shufflesStrides === true,
    asksLines: target.packedProducts?.bf16 === 'dot',
    ahead: asks ? Math.ceil((UNROLL * width * F32) / most) : 0,
  }; // biome-ignore format: a record
}

/** Whether the nine taps lie side by side. */
const isDense = (lin: readonly number[], { axes: [y, x] }: Windows): boolean => lin[y.tap] === 3 && lin[x.tap] === 1;

/** Emits the stage that transforms the kernel into panels [panel][plane][channel][width]; says whether it runs here. */
function packKernel(
  b: LoopBuilder,
  p: Problem,
  f: Forward,
  plan: ForwardPlan,
  buffer: number,
  scratch: Scratch,
): boolean {
  const { kernel, windows, out } = f;
  const { lanes, channels, results, width, nPanels } = plan;
  const planes = { dtype: 'f32' as const, pitch: width, plane: channels * width };
  const step = kernel.lin[out]!;
  const at = (i: number, axis: number): number => {
    const { flipped, tap } = windows.axes[axis]!;
    return (flipped ? 2 - i : i) * kernel.lin[tap]!;
  };
  const all = (value: (offset: number) => Reg): Reg[][] =>
    [0, 1, 2].map(i => [0, 1, 2].map(j => value(at(i, 0) + at(j, 1))));
  const groups = Math.ceil(channels / lanes);
  const byChannel = kernel.lin[windows.channel]! > step;
  const fill = (): void =>
    b.parallel(nPanels * (width / lanes) * groups, task => {
      // Neighbours in memory one after the other: channels of a result, or results of a channel.
      const [x, y, z] = unravel(
        b,
        task,
        byChannel ? [groups, nPanels, width / lanes] : [nPanels, width / lanes, groups],
      );
      const [panel, vector, group] = byChannel ? [y, z, x] : [x, y, z];
      const column = affine(b, [[panel!, width], [vector!, lanes]], 0); // biome-ignore format: a sum
      const lo = b.mul(group!, b.i32(lanes));
      const hi = b.bin('min', b.add(lo, b.i32(lanes)), b.i32(channels));
      const shuffles = plan.shuffles && step > 1 && step <= lanes;
      const together = shuffles && step === TAPS && isDense(kernel.lin, windows);
      const offsets = step !== 1 && p.masks && kernel.dtype === 'f32' && !shuffles ? b.iota(lanes, step) : null;
      const each = (taps: (index: Reg) => Reg[][]): void =>
        b.for(lo, hi, 1, channel => {
          const index = affine(b, [[column, step], [channel, kernel.lin[windows.channel]!]], kernel.base); // biome-ignore format: a sum
          const line = affine(b, [[panel!, PLANES * channels], [channel, 1]], 0); // biome-ignore format: a sum
          const to = b.addr(buffer, affine(b, [[line, width], [vector!, lanes]], 0)); // biome-ignore format: a sum
          storePlanes(b, transformTaps(b, taps(index)), to, planes);
        });
      const load = (index: Reg): Reg => {
        if (offsets) return b.gather('f32', b.addr(kernel.buffer, index), offsets);
        if (!shuffles) return loadRun(b, kernel, 'f32', index, step, lanes);
        const from = b.addr(kernel.buffer, index);
        return everyNth(b, step, lanes, offset => b.load(kernel.dtype, from, offset * bytesOf(kernel.dtype), lanes));
      };
      const fromMemory = (index: Reg): Reg[][] => {
        if (!together) return all(offset => load(b.add(index, b.i32(offset))));
        const read = apart(b, kernel, index, lanes, TAPS, lanes);
        const kernels = Array.from({ length: TAPS }, (_, k) => read(k));
        return all(offset => deinterleaved(b, kernels, lanes, offset));
      };
      if (results % width === 0) each(fromMemory);
      else
        b.if(
          b.cmp('lt', column, b.i32(results)),
          () => each(fromMemory),
          () => each(() => all(() => zero(b, 'f32', lanes))),
        );
    });
  const keeps = comesPacked(kernel);
  if (keeps) scratch.prepare(fill);
  else fill();
  return !keeps;
}

/** Emits the whole kernel. */
export function lowerForward(
  b: LoopBuilder,
  p: Problem,
  f: Forward,
  target: Target,
  scratch: Scratch,
  words: boolean,
): void {
  const plan = planForward(p, f, target, words);
  const dtype = words ? 'bf16' : 'f32';
  const element = bytesOf(dtype);
  const { lanes, channels, rows, width, mPanels, nPanels, mTasks, most, shared } = plan;
  const { windows } = f;
  const { tiles } = windows;
  const pitch = (channels * element) % SET_BYTES === 0 ? channels + (lanes * F32) / element : channels;
  const tasks = mTasks * (shared ? nPanels : 1);
  const slots = slotsOf(tasks);

  const kernelRoom = comesPacked(f.kernel) ? scratch.kept : scratch.room;
  const kernel = kernelRoom(
    'transformed kernel',
    words ? 'i32' : 'f32',
    (PLANES * channels * nPanels * width * element) / F32,
  );
  const packs = words
    ? packKernelWords(b, f, { ...plan, buffer: kernel }, scratch)
    : packKernel(b, p, f, plan, kernel, scratch);
  const image = planesOf((shared ? mPanels : most) * rows, pitch, lanes, dtype);
  const imageAt = scratch.room('transformed tiles', dtype, (shared ? 1 : slots) * planeElements(image));
  const sums = planesOf(most * rows, width, lanes);
  const sumsAt = scratch.room('sums', 'f32', slots * planeElements(sums));

  const all = (): Channels => ({ from: b.i32(0), count: channels });
  if (shared)
    b.parallel(mPanels, panel => {
      const first = b.mul(panel, b.i32(rows));
      const last = b.bin('min', b.add(first, b.i32(rows)), b.i32(tiles));
      const channels = all();
      const to = { ...image, from: b.addr(imageAt, b.mul(first, b.i32(pitch))) };
      transformImage(b, windows, { channels, lanes, first, last, to });
    });
  if (packs || shared) b.barrier();

  eachTask(b, tasks, (task, slot) => {
    const [mTask, panel] = shared ? unravel(b, task, [mTasks, nPanels]) : [task, null];
    const part = (x: Reg): Reg => b.bin('divU', b.mul(x, b.i32(mPanels)), b.i32(mTasks));
    const [lo, hi] = [part(mTask!), part(b.add(mTask!, b.i32(1)))];
    const first = b.mul(lo, b.i32(rows));
    const last = b.bin('min', b.mul(hi, b.i32(rows)), b.i32(tiles));
    const from = b.addr(imageAt, shared ? b.mul(first, b.i32(pitch)) : b.mul(slot, b.i32(planeElements(image))));
    const own: PlacedPlanes = { ...image, from };
    const ownSums: PlacedPlanes = { ...sums, from: b.addr(sumsAt, b.mul(slot, b.i32(planeElements(sums)))) };
    if (!shared) transformImage(b, windows, { channels: all(), lanes, first, last, to: own });
    const one = (n: Reg): void => {
      multiply(b, plan, own, kernel, ownSums, { lo, hi, n });
      writeResults(b, p, f, plan, ownSums, { lo: first, hi: last, n });
    };
    if (panel) one(panel);
    else b.for(0, nPanels, 1, one);
  });
}

/** Tiles, or panels of them, from `lo` to `hi` - 1, and panel `n` of results. */
interface Block {
  readonly lo: Reg;
  readonly hi: Reg;
  readonly n: Reg;
}

/** Sums of panels of tiles by one of results. */
function multiply(
  b: LoopBuilder,
  plan: ForwardPlan,
  image: PlacedPlanes,
  kernel: number,
  sums: PlacedPlanes,
  { lo, hi, n }: Block,
): void {
  const { lanes, words, channels, rows, vectors, width } = plan;
  const { pitch } = image;
  // Elements of the kernel's panels, and points of a sum.
  const points = words ? channels / 2 : channels;
  const dtype = words ? 'i32' : 'f32';
  const rowElements = words ? pitch / 2 : pitch;
  b.for(0, PLANES, 1, plane => {
    const rowsAt = b.advance(image.from, plane, image.plane * bytesOf(image.dtype));
    const line = affine(b, [[n, PLANES * points], [plane, points]], 0); // biome-ignore format: a sum
    const columns = b.addr(kernel, b.mul(line, b.i32(width)));
    const target = b.advance(sums.from, plane, sums.plane * F32);
    // Each tile asks for its share of the next panel, which lies behind this one.
    const next = b.advance(columns, b.i32(points), width * F32);
    const asked = (tile: Reg): Reg => b.advance(next, b.mul(tile, b.i32(Math.floor(points / plan.unroll))), plan.ahead);
    b.for(lo, hi, 1, panel => {
      const row = b.mul(b.sub(panel, lo), b.i32(rows));
      const tile = Array.from({ length: rows }, () => Array.from({ length: vectors }, () => zero(b, 'f32', lanes)));
      const a: Stream = { dtype, from: b.advance(rowsAt, row, rowElements * F32), across: rowElements, along: 1 };
      const c: Stream = { dtype, from: columns, across: lanes, along: width };
      const ahead = plan.ahead === 0 ? null : { from: asked(b.sub(panel, lo)), bytes: plan.ahead };
      sweep(b, words ? 'words' : 'f32', lanes, tile, points, a, c, plan.unroll, ahead);
      const place = b.advance(target, row, width * F32);
      for (const [r, line] of tile.entries())
        for (const [v, sum] of line.entries()) b.store('f32', place, sum, (r * width + v * lanes) * F32);
    });
  });
}

/** Transforms the sums of tiles back, and runs the epilogue on their results. */
function writeResults(
  b: LoopBuilder,
  p: Problem,
  { windows, out }: Forward,
  { lanes, words, results, width, asksLines }: ForwardPlan,
  sums: PlacedPlanes,
  { lo, hi, n }: Block,
): void {
  const first = b.mul(n, b.i32(width));
  const columns = results % width === 0 ? width : b.bin('min', b.i32(width), b.sub(b.i32(results), first));
  const last = b.sub(hi, b.i32(1));
  b.for(lo, hi, 1, tile => {
    if (asksLines) {
      const later = tileCoords(b, windows, b.bin('min', b.add(tile, b.i32(AHEAD)), last));
      b.for(0, 4, 1, pixel => {
        const own = new Map(later);
        pixelCoords(b, windows, later, pixel, own);
        askForRow(b, p, new Map([...own, [out, first]]), out, lanes, width);
      });
    }
    const at = b.advance(sums.from, b.sub(tile, lo), width * F32);
    b.for(0, columns, lanes, v => {
      const place = b.advance(at, v, F32);
      const values = transformSums(b, loadPlanes(b, place, sums, lanes));
      for (const [i, x] of values.flat().entries()) b.store('f32', place, x, i * sums.plane * F32);
    });
    const coords = tileCoords(b, windows, tile);
    b.for(0, 4, 1, pixel => {
      const own = new Map(coords);
      const outside = pixelCoords(b, windows, coords, pixel, own);
      const write = (): void => {
        const values = b.advance(at, pixel, sums.plane * F32);
        const index = outputIndex(b, p, own);
        b.for(0, columns, lanes, v => {
          const column = b.add(first, v);
          const at: Coords = new Map([...own, [out, column]]);
          const sum = b.load('f32', b.advance(values, v, F32), 0, lanes);
          finish(b, p, words ? b.asFlushed(sum) : sum, at, b.add(index, column), out);
        });
      };
      if (outside) b.if(b.cmp('ge', outside, b.i32(0)), write);
      else write();
    });
  });
}

/**
 * Adds the coordinates of pixel 0 to 3 of a tile to `own`; negative where the pixel lies beyond an odd side, null where
 * no side is odd.
 */
function pixelCoords(b: LoopBuilder, windows: Windows, tile: Coords, pixel: Reg, own: Map<number, Reg>): Reg | null {
  const place = unravel(b, pixel, [2, 2]);
  let outside: Reg | null = null;
  for (const [i, axis] of windows.axes.entries()) {
    const x = affine(b, [[tile.get(axis.dim)!, 2], [place[i]!, 1]], 0); // biome-ignore format: a sum
    own.set(axis.dim, x);
    if (axis.size % 2 === 0) continue;
    const beyond = b.sub(b.i32(axis.size - 1), x);
    outside = outside ? b.bin('or', outside, beyond) : beyond;
  }
  return outside;
}
