/**
 * The forward product, or the input gradient: for every pixel of the result the images of the batch are rows, which lie
 * in place at each pixel of its window; the kernel is packed once, [panel of results][tap][channel][result]. Which taps
 * of a window lie inside is listed once per pixel. How blocks are packed and multiplied is up to a `Product`.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import { type Reg, registerScalar } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { allGuards, origin, sizesOf, step, stepAll, walk, whenInside } from '../cursor.ts';
import { unravel } from '../indices.ts';
import { extent, type Problem, type View } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { type Coords, outputGroups, storeTile, touchesOf } from '../store.ts';
import { eachTask, slotsOf, wantedTasks } from '../tasks.ts';

const WORD = 4;
/** Share of the second cache for the panels of a task, which pass once per pixel. */
const KERNEL_SHARE = 0.4;
/** Tasks there should be at most: each is short. */
const TASKS = 16;

export interface Forward {
  readonly image: View;
  readonly kernel: View;
  readonly dtype: 'bf16' | 'f32';
  /** Dims of the result's pixels, outermost first, and of the images at one of them. */
  readonly pixels: readonly number[];
  readonly images: number;
  /** Dims of a window, and the image's channels. */
  readonly taps: readonly number[];
  readonly channel: number;
  /** The result's channels. */
  readonly out: number;
}

/** Where a tap lies inside of an image: what has been listed, as pairs of i32, and how many. */
interface Listed {
  readonly at: Reg;
  readonly count: Reg;
}

/** A kernel in panels, and the products of images by it. */
export interface Product {
  /** Images of a block, and results of a panel. */
  readonly rows: number;
  readonly width: number;
  readonly panels: number;
  /** Bytes of a packed panel. */
  readonly panelBytes: number;
  /** What an element of the image, and a tap of the kernel, add to the places that are listed. */
  readonly element: number;
  readonly tap: number;
  /** Emits the stage in which all threads pack the kernel; says whether it runs here, and they must meet behind it. */
  readonly pack: () => boolean;
  /** Sets the sums at `to`, [rows][width], to the products of what is listed. */
  readonly multiply: (panel: Reg, listed: Listed, to: Reg) => void;
}

/** A view that is read as it lies, but for guards that hold all of `dims` at once. */
export const blocksIn = (view: View, dims: readonly number[]): boolean =>
  !view.prologue && view.guards.every(g => dims.every(d => g.coefs[d] === 0));

/** Dims of windows and pixels there must be: a plain product of rows is served better where it is blocked. */
const LEAST_DIMS = 2;

export function asForward(p: Problem): Forward | null {
  const [out] = p.n;
  const images = p.m[p.m.length - 1];
  const { dtype } = p.a;
  if (p.acc !== 'f32' || p.batch.length > 0 || p.n.length !== 1 || p.m.length < 2) return null;
  if (out === undefined || images === undefined || p.out.lin[out] !== 1) return null;
  if ((dtype !== 'bf16' && dtype !== 'f32') || p.b.dtype !== dtype) return null;
  if (bytesOf(registerScalar(p.out.dtype)) !== bytesOf(p.acc)) return null;
  const channel = p.k.find(d => p.a.lin[d] === 1 && blocksIn(p.a, [images, d]));
  if (channel === undefined || p.a.lin[images]! <= 0 || p.b.prologue || p.b.guards.length > 0) return null;
  const [pixels, taps] = [p.m.slice(0, -1), p.k.filter(d => d !== channel)];
  if (pixels.length + taps.length < LEAST_DIMS) return null;
  return { image: p.a, kernel: p.b, dtype, pixels, images, taps, channel, out };
}

/** Emits the whole kernel. */
export function lowerForward(
  b: LoopBuilder,
  p: Problem,
  f: Forward,
  product: Product,
  target: Target,
  scratch: Scratch,
): void {
  const { image, pixels, images, taps } = f;
  const { rows, width, panels } = product;
  const lanes = lanesFor(target, WORD);
  const perTask = Math.max(1, Math.floor((target.l2Bytes * KERNEL_SHARE) / product.panelBytes));
  const nTasks = Math.ceil(panels / perTask);
  const blocks = extent(p, [images]) / rows;
  const places = extent(p, pixels) * blocks;
  const mTasks = Math.min(places, Math.ceil(Math.min(TASKS, wantedTasks(p, target)) / nTasks));
  const tasks = mTasks * nTasks;
  const slots = slotsOf(tasks);

  const packs = product.pack();
  const sums = scratch.room('sums', 'f32', slots * rows * width);
  const most = extent(p, taps);
  const inside = scratch.room('taps inside', 'i32', slots * 2 * most);
  const mGroups = outputGroups(p, p.m);
  const nGroups = outputGroups(p, p.n);
  const batch: Coords = new Map();
  if (packs) b.barrier();

  eachTask(b, tasks, (task, slot) => {
    const [nTask, mTask] = unravel(b, task, [nTasks, mTasks]);
    const one = b.i32(1);
    const part = (i: Reg, all: number, count: number): Reg => b.bin('divU', b.mul(i, b.i32(all)), b.i32(count));
    const [nLo, nHi] = [part(nTask!, panels, nTasks), part(b.add(nTask!, one), panels, nTasks)];
    const [mLo, mHi] = [part(mTask!, places, mTasks), part(b.add(mTask!, one), places, mTasks)];
    const at = b.addr(inside, b.mul(slot, b.i32(2 * most)));
    const to = b.addr(sums, b.mul(slot, b.i32(rows * width)));
    b.for(mLo, mHi, 1, place => {
      const coords = unravel(b, place, [...sizesOf(p, pixels), blocks]);
      const block = b.mul(coords[pixels.length]!, b.i32(rows));
      const pixel = step(b, image, stepAll(b, image, origin(b, image), pixels, coords), images, block);
      const count = b.copy(b.i32(0));
      const entry = b.copy(at);
      const tap = b.copy(b.i32(0));
      walk(b, image, [pixel], taps, sizesOf(p, taps), allGuards(image), ([cursor], [violated]) => {
        whenInside(b, violated!, () => {
          b.store('i32', entry, b.mul(cursor!.index, b.i32(product.element)));
          b.store('i32', entry, tap, WORD);
          b.advance(entry, one, 2 * WORD, entry);
          b.add(count, one, count);
        });
        b.add(tap, b.i32(product.tap), tap);
      });
      const m = b.mul(place, b.i32(rows));
      b.for(nLo, nHi, 1, panel => {
        const n = b.mul(panel, b.i32(width));
        const touches = touchesOf(b, p, mGroups, nGroups, lanes, { rows, m, n, columns: width, batch });
        if (touches) b.for(0, touches.times, 1, touches.each);
        product.multiply(panel, { at, count }, to);
        storeTile(b, p, mGroups, nGroups, lanes, { from: to, pitch: width, m, rows, n, columns: width, batch });
      });
    });
  });
}
