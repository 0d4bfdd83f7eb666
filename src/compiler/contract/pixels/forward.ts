/**
 * The forward product, or the input gradient: for every pixel of the result the images of the batch are rows, which lie in place at each pixel of its window;
 * the kernel is packed once, [panel of results][tap][words of channels][result]. Which taps of a window lie inside is listed once per pixel.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import { type LoopBuilder, registerScalar } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { allGuards, origin, sizesOf, step, stepAll, walk, whenInside } from '../cursor.ts';
import { unravel } from '../indices.ts';
import { needsStaging, packWords } from '../packed/pack.ts';
import { type PackedProblem, packedProblem } from '../packed/problem.ts';
import { blocksOf, keepsPacked } from '../plan.ts';
import { extent, type Problem, type View } from '../problem.ts';
import { blockAt } from '../sides.ts';
import type { Scratch } from '../spec.ts';
import { type Coords, outputGroups, storeTile, touchesOf } from '../store.ts';
import { eachTask, slotsOf, wantedTasks } from '../tasks.ts';

const BF16 = 2;
const WORD = 4;
/** Rows or columns of a matrix register, and elements of its rows. */
const SIDE = 16;
const STEP = 32;
/** Share of the second cache for the panels of a task, which pass once per pixel. */
const KERNEL_SHARE = 0.4;
/** Tasks there should be at most: each is short. */
const TASKS = 16;

export interface Forward {
  readonly image: View;
  /** The kernel over words of channels. */
  readonly words: PackedProblem;
  /** Dims of the result's pixels, outermost first, and of the images at one of them (whole blocks of `rows`). */
  readonly pixels: readonly number[];
  readonly images: number;
  readonly rows: number;
  /** Dims of a window, and the image's channels. */
  readonly taps: readonly number[];
  readonly channel: number;
  /** The result's channels. */
  readonly out: number;
}

/** A bf16 view that is read as it lies, but for guards that hold all of `dims` at once. */
export const blocksIn = (view: View, dims: readonly number[]): boolean =>
  !view.prologue && view.dtype === 'bf16' && view.guards.every(g => dims.every(d => g.coefs[d] === 0));

export function asForward(p: Problem, target: Target): Forward | null {
  const [out] = p.n;
  const images = p.m[p.m.length - 1];
  if (p.acc !== 'f32' || p.batch.length > 0 || p.n.length !== 1 || p.m.length < 2) return null;
  if (out === undefined || images === undefined || p.out.lin[out] !== 1) return null;
  if (p.a.dtype !== 'bf16' || p.b.dtype !== 'bf16') return null;
  if (bytesOf(registerScalar(p.out.dtype)) !== bytesOf(p.acc)) return null;
  const words = packedProblem(p, target);
  const { dim: channel } = words;
  const size = (d: number): number => p.dims[d]!.size;
  if (size(out) % SIDE !== 0 || size(images) % SIDE !== 0 || size(channel) % STEP !== 0) return null;
  if (p.a.lin[channel] !== 1 || p.a.lin[images]! <= 0) return null;
  if (!blocksIn(p.a, [images, channel]) || !blocksIn(p.b, []) || p.b.guards.length > 0) return null;
  return {
    image: p.a,
    words,
    pixels: p.m.slice(0, -1),
    images,
    rows: size(images) % (2 * SIDE) === 0 ? 2 * SIDE : SIDE,
    taps: words.p.k.slice(0, -1),
    channel,
    out,
  };
}

/** Emits the stage that packs the kernel in panels of `width` results; says whether it runs here. */
function packKernel(b: LoopBuilder, f: Forward, width: number, buffer: number, scratch: Scratch): boolean {
  const { words } = f;
  const { p } = words;
  const panels = Math.ceil(extent(p, p.n) / width);
  const panelWords = extent(p, p.k) * width;
  const slots = slotsOf(panels);
  const staging = needsStaging(words, p.b, p.n, 'words')
    ? scratch.room('staged kernel', 'i32', slots * panelWords)
    : buffer;
  const keeps = keepsPacked(p.b);
  const fill = (): void =>
    eachTask(b, panels, (panel, slot) =>
      packWords(b, words, p.b, p.n, 'words', SIDE, {
        at: origin(b, p.b),
        first: b.mul(panel, b.i32(width)),
        width,
        block: blockAt(b, p, { k: blocksOf(p, extent(p, p.k), []) }, 0),
        lo: 0,
        to: b.addr(buffer, b.mul(panel, b.i32(panelWords))),
        staging: b.addr(staging, b.mul(slot, b.i32(panelWords))),
      }),
    );
  if (keeps) scratch.prepare(fill);
  else fill();
  return !keeps;
}

/** Emits the whole kernel. */
export function lowerForward(b: LoopBuilder, p: Problem, f: Forward, target: Target, scratch: Scratch): void {
  const { image, pixels, images, rows, taps, channel } = f;
  const lanes = lanesFor(target, WORD);
  const width = extent(p, p.n) % (2 * SIDE) === 0 ? 2 * SIDE : SIDE;
  const panels = extent(p, p.n) / width;
  const channels = extent(p, [channel]);
  const tapBytes = channels * width * BF16;
  const panelWords = (extent(p, p.k) * width * BF16) / WORD;
  const perTask = Math.max(1, Math.floor((target.l2Bytes * KERNEL_SHARE) / (panelWords * WORD)));
  const nTasks = Math.ceil(panels / perTask);
  const blocks = extent(p, [images]) / rows;
  const places = extent(p, pixels) * blocks;
  const mTasks = Math.min(places, Math.ceil(Math.min(TASKS, wantedTasks(p, target)) / nTasks));
  const tasks = mTasks * nTasks;
  const slots = slotsOf(tasks);

  const kernel = (keepsPacked(p.b) ? scratch.kept : scratch.room)('packed kernel', 'i32', panels * panelWords);
  const packs = packKernel(b, f, width, kernel, scratch);
  const sums = scratch.room('sums', 'f32', slots * rows * width);
  const tapCount = extent(p, taps);
  const inside = scratch.room('taps inside', 'i32', slots * 2 * tapCount);
  const mGroups = outputGroups(p, p.m);
  const nGroups = outputGroups(p, p.n);
  const batch: Coords = new Map();
  if (packs) b.barrier();

  eachTask(b, tasks, (task, slot) => {
    const [nTask, mTask] = unravel(b, task, [nTasks, mTasks]);
    const part = (i: typeof task, all: number, count: number) => b.bin('divU', b.mul(i, b.i32(all)), b.i32(count));
    const next = (i: typeof task) => b.add(i, b.i32(1));
    const [nLo, nHi] = [part(nTask!, panels, nTasks), part(next(nTask!), panels, nTasks)];
    const [mLo, mHi] = [part(mTask!, places, mTasks), part(next(mTask!), places, mTasks)];
    const listed = b.addr(inside, b.mul(slot, b.i32(2 * tapCount)));
    const to = b.addr(sums, b.mul(slot, b.i32(rows * width)));
    b.for(mLo, mHi, 1, place => {
      const at = unravel(b, place, [...sizesOf(p, pixels), blocks]);
      const block = b.mul(at[pixels.length]!, b.i32(rows));
      const pixel = step(b, image, stepAll(b, image, origin(b, image), pixels, at), images, block);
      // Bytes from image and kernel to each tap that lies inside.
      const count = b.copy(b.i32(0));
      const entry = b.copy(listed);
      const tap = b.copy(b.i32(0));
      walk(b, image, [pixel], taps, sizesOf(p, taps), allGuards(image), ([cursor], [violated]) => {
        whenInside(b, violated!, () => {
          b.store('i32', entry, b.mul(cursor!.index, b.i32(BF16)));
          b.store('i32', entry, tap, WORD);
          b.move(entry, b.advance(entry, b.i32(2), WORD));
          b.move(count, next(count));
        });
        b.move(tap, b.add(tap, b.i32(tapBytes)));
      });
      const m = b.mul(place, b.i32(rows));
      b.for(nLo, nHi, 1, panel => {
        const n = b.mul(panel, b.i32(width));
        const touches = touchesOf(b, p, mGroups, nGroups, lanes, { rows, m, n, columns: width, batch });
        if (touches) b.for(0, touches.times, 1, touches.each);
        b.emit({
          op: 'tiles',
          kind: 'bf16',
          a: b.addr(image.buffer),
          b: b.addr(kernel, b.mul(panel, b.i32(panelWords))),
          c: to,
          steps: channels / STEP,
          rows: rows === SIDE ? 1 : 2,
          columns: width === SIDE ? 1 : 2,
          add: false,
          runs: { at: listed, count, pitch: image.lin[images]! * BF16 },
        });
        storeTile(b, p, mGroups, nGroups, lanes, { from: to, pitch: width, m, rows, n, columns: width, batch });
      });
    });
  });
}
