/** Kernels of f32 in parts of bf16, as the right side of matrix registers reads them. Imports packing and loop IR. */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { origin, sizesOf, step } from '../cursor.ts';
import { affine, unravel } from '../indices.ts';
import { laneWords, packPanel, transpose } from '../pack.ts';
import { PARTS, storeParts } from '../parts.ts';
import { comesPacked } from '../plan.ts';
import { extent, type Problem, product } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { BLOCK, noMagnitudes, SIDE } from './formats.ts';
import type { Forward } from './forward.ts';

const F32 = 4;
const WORD = 4;

/** A step of channels of a panel before it is cut: rows of results, one for each tap and channel. */
interface Rows {
  readonly count: number;
  /** Row of the first tap and channel, and how many rows further that of a dim's next one is. */
  readonly first: number;
  readonly steps: ReadonlyMap<number, number>;
  /** Fills the rows of channels from `channel` and of results from `result` on. */
  readonly pack: (slot: Reg, channel: Reg, result: Reg, to: Reg) => void;
}

/** Whether all channels and taps of a result are one run of memory, taps innermost. */
const isRun = (p: Problem, { kernel, taps, channel }: Forward): boolean =>
  [channel, ...taps].every((d, i, dims) => kernel.lin[d] === extent(p, dims.slice(i + 1)));

/** Rows in the order of memory. */
function anyRows(b: LoopBuilder, p: Problem, f: Forward, width: number, slots: number, scratch: Scratch): Rows {
  const { kernel, taps, channel } = f;
  const dims = [channel, ...taps].sort((x, y) => Math.abs(kernel.lin[y]!) - Math.abs(kernel.lin[x]!));
  const sizes = dims.map(d => (d === channel ? BLOCK : p.dims[d]!.size));
  const steps = new Map(dims.map((d, i) => [d, product(sizes.slice(i + 1))]));
  const last = dims[dims.length - 1]!;
  const count = product(sizes);
  // Where rows are one run of memory, they are one dim: whole squares of it are transposed.
  const run = isRun(p, f);
  const q = run ? { ...p, dims: p.dims.map((x, d) => (d === last ? { ...x, size: count } : x)) } : p;
  const block = run ? { dims: [last], extents: [count], length: count } : { dims, extents: sizes, length: count };
  const words = laneWords(kernel, SIDE);
  const room = scratch.room('lanes of the kernel', 'i32', slots * words);
  const pack: Rows['pack'] = (slot, c, first, to) => {
    const lanesAt = b.addr(room, b.mul(slot, b.i32(words)));
    const at = step(b, kernel, origin(b, kernel), channel, c);
    packPanel(b, q, kernel, p.n, SIDE, { at, first, width, most: width, block, to, lanesAt });
  };
  return { count, first: 0, steps, pack };
}

/**
 * The same where the taps of a result and a channel are a few neighbours in memory: squares of 16 results are
 * transposed. Null elsewhere.
 */
function shortRows(b: LoopBuilder, p: Problem, f: Forward, width: number): Rows | null {
  const { kernel, taps, channel, out } = f;
  const reach = (d: number): number => kernel.lin[d]! * (p.dims[d]!.size - 1);
  const length = taps.reduce((sum, d) => sum + Math.abs(reach(d)), 1);
  const before = taps.reduce((sum, d) => sum + Math.max(0, -reach(d)), 0);
  if (length === 1 || length > SIDE || kernel.lin[out] === 1 || isRun(p, f)) return null;
  const pack: Rows['pack'] = (_, first, result, to) => {
    const mask = b.firstLanes(b.i32(length), SIDE);
    b.for(0, BLOCK, 1, c => {
      const inChannel = affine(b, [[b.add(first, c), kernel.lin[channel]!]], kernel.base - before); // biome-ignore format: a sum
      b.for(0, width, SIDE, v => {
        const from = b.addr(kernel.buffer, affine(b, [[inChannel, 1], [b.add(result, v), kernel.lin[out]!]], 0)); // biome-ignore format: a sum
        const lines = Array.from({ length: SIDE }, (_, i) =>
          b.loadMasked('f32', from, mask, i * kernel.lin[out]! * F32),
        );
        const row = b.advance(b.advance(to, c, length * width * F32), v, F32);
        for (const [t, results] of transpose(b, lines).slice(0, length).entries())
          b.store('f32', row, results, t * width * F32);
      });
    });
  };
  const steps = new Map([[channel, length], ...taps.map(d => [d, kernel.lin[d]!] as const)]);
  return { count: BLOCK * length, first: before, steps, pack };
}

export interface KernelParts {
  /**
   * Kernel buffers: panels [panel][tap][step of 32 channels][part][16 words][width], and the largest magnitude of each,
   * [panel][step].
   */
  readonly words: number;
  readonly largest: number;
  readonly panelBytes: number;
  readonly tapBytes: number;
  /** Emits the stage in which all threads pack; says whether it runs here, and they must meet behind it. */
  readonly pack: () => boolean;
}

/** Asks for scratch of a kernel's `panels`, each `width` results. */
export function kernelParts(
  b: LoopBuilder,
  p: Problem,
  f: Forward,
  { width, panels }: { readonly width: number; readonly panels: number },
  scratch: Scratch,
): KernelParts {
  const { kernel, taps, channel, out } = f;
  const steps = extent(p, [channel]) / BLOCK;
  const part = SIDE * width * WORD;
  const tapBytes = steps * PARTS * part;
  const panelBytes = extent(p, taps) * tapBytes;
  const keeps = comesPacked(kernel);
  const room = keeps ? scratch.kept : scratch.room;
  const words = room('parts of the kernel', 'i32', (panels * panelBytes) / WORD);
  const magnitudes = room('largest of the kernel', 'i32', panels * steps);
  const tasks = panels * steps;
  const slots = slotsOf(tasks);
  const rows = shortRows(b, p, f, width) ?? anyRows(b, p, f, width, slots, scratch);
  const staged = scratch.room('staged kernel', 'f32', slots * rows.count * width);

  /** Cuts a step of channels of a panel, which is staged. */
  const cut = (panel: Reg, ofStep: Reg, staging: Reg): void => {
    const largest = noMagnitudes(b);
    const pitch = rows.steps.get(channel)! * width * F32;
    b.for(0, extent(p, taps), 1, tap => {
      const coords = unravel(b, tap, sizesOf(p, taps));
      const row = affine(b, taps.map((d, i) => [coords[i]!, rows.steps.get(d)!] as const), rows.first); // biome-ignore format: a sum
      const ofTap = b.advance(staging, row, width * F32);
      const place = affine(b, [[panel, panelBytes / WORD], [tap, tapBytes / WORD], [ofStep, (PARTS * part) / WORD]], 0); // biome-ignore format: a sum
      const to = b.addr(words, place);
      b.for(0, SIDE, 1, word => {
        const from = b.advance(ofTap, word, pitch);
        const further = b.advance(from, b.i32(SIDE), pitch);
        const line = b.advance(to, word, width * WORD);
        for (let v = 0; v < width; v += SIDE) {
          const [x, y] = [from, further].map(at => b.load('f32', at, v * F32, SIDE));
          storeParts(b, x!, y!, line, v * WORD, part, largest);
        }
      });
    });
    b.store('i32', b.addr(magnitudes, affine(b, [[panel, steps], [ofStep, 1]], 0)), b.reduce('max', largest)); // biome-ignore format: a sum
  };
  const fill = (): void =>
    eachTask(b, tasks, (task, slot) => {
      // Neighbours in memory one after the other.
      const stepsInner = Math.abs(kernel.lin[channel]!) < Math.abs(kernel.lin[out]!);
      const [outer, inner] = unravel(b, task, stepsInner ? [panels, steps] : [steps, panels]);
      const [panel, ofStep] = stepsInner ? [outer!, inner!] : [inner!, outer!];
      const staging = b.addr(staged, b.mul(slot, b.i32(rows.count * width)));
      rows.pack(slot, b.mul(ofStep, b.i32(BLOCK)), b.mul(panel, b.i32(width)), staging);
      cut(panel, ofStep, staging);
    });
  return {
    words,
    largest: magnitudes,
    panelBytes,
    tapBytes,
    pack() {
      if (keeps) scratch.prepare(fill);
      else fill();
      return !keeps;
    },
  };
}
