/** Kernels of f32 in parts of bf16, as the right side of matrix registers reads them. Imports packing and loop IR. */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { origin, sizesOf } from '../cursor.ts';
import { affine, unravel } from '../indices.ts';
import { laneWords, packPanel, transpose } from '../pack.ts';
import { PARTS, PARTS_BYTES, storeParts } from '../parts.ts';
import { comesPacked } from '../plan.ts';
import { extent, type Problem, product } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { BLOCK, noMagnitudes, SIDE } from './formats.ts';
import type { Forward } from './forward.ts';

const F32 = 4;
const WORD = 4;

/** A panel of a kernel before it is cut: rows of results, one for each tap and channel. */
interface Rows {
  readonly count: number;
  /** Row of the first tap and channel, and how many rows further that of a dim's next one is. */
  readonly first: number;
  readonly steps: ReadonlyMap<number, number>;
  /** Fills the rows of a panel of results from `result` on. */
  readonly pack: (slot: Reg, result: Reg, to: Reg) => void;
}

/** Rows in the order of memory. */
function anyRows(b: LoopBuilder, p: Problem, f: Forward, width: number, slots: number, scratch: Scratch): Rows {
  const { kernel, taps, channel } = f;
  const dims = [channel, ...taps].sort((x, y) => Math.abs(kernel.lin[y]!) - Math.abs(kernel.lin[x]!));
  const sizes = sizesOf(p, dims);
  const steps = new Map(dims.map((d, i) => [d, product(sizes.slice(i + 1))]));
  const last = dims[dims.length - 1]!;
  const count = product(sizes);
  // Where rows are one run of memory, they are one dim: whole squares of it are transposed.
  const isRun = kernel.lin[last] === 1 && dims.every(d => kernel.lin[d] === steps.get(d));
  const q = isRun ? { ...p, dims: p.dims.map((x, d) => (d === last ? { ...x, size: count } : x)) } : p;
  const block = isRun ? { dims: [last], extents: [count], length: count } : { dims, extents: sizes, length: count };
  const words = laneWords(kernel, SIDE);
  const room = scratch.room('lanes of the kernel', 'i32', slots * words);
  const pack: Rows['pack'] = (slot, first, to) => {
    const lanesAt = b.addr(room, b.mul(slot, b.i32(words)));
    packPanel(b, q, kernel, p.n, SIDE, { at: origin(b, kernel), first, width, most: width, block, to, lanesAt });
  };
  return { count, first: 0, steps, pack };
}

/** The same where the taps of a result and a channel are a few neighbours in memory, and channels or results far apart: squares of 16 results are transposed. Null elsewhere. */
function shortRows(b: LoopBuilder, p: Problem, f: Forward, width: number): Rows | null {
  const { kernel, taps, channel, out } = f;
  const reach = (d: number): number => kernel.lin[d]! * (p.dims[d]!.size - 1);
  const length = taps.reduce((sum, d) => sum + Math.abs(reach(d)), 1);
  const before = taps.reduce((sum, d) => sum + Math.max(0, -reach(d)), 0);
  if (length === 1 || length > SIDE || kernel.lin[out] === 1) return null;
  const channels = extent(p, [channel]);
  const pack: Rows['pack'] = (_, result, to) => {
    const mask = b.firstLanes(b.i32(length), SIDE);
    b.for(0, channels, 1, c => {
      b.for(0, width, SIDE, v => {
        const column = b.add(result, v);
        const at = affine(b, [[c, kernel.lin[channel]!], [column, kernel.lin[out]!]], kernel.base - before); // biome-ignore format: a sum
        const from = b.addr(kernel.buffer, at);
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
  return { count: channels * length, first: before, steps, pack };
}

export interface KernelParts {
  /** Kernel buffers: panels [panel][tap][step of 32 channels][part][16 words][width], and the largest magnitude of each. */
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
  const { kernel, taps, channel } = f;
  const channels = extent(p, [channel]);
  const panelBytes = extent(p, p.k) * width * PARTS_BYTES;
  const keeps = comesPacked(kernel);
  const room = keeps ? scratch.kept : scratch.room;
  const words = room('parts of the kernel', 'i32', (panels * panelBytes) / WORD);
  const magnitudes = room('largest of the kernel', 'i32', panels);
  const slots = slotsOf(panels);
  const isRun =
    channels > 1 && [channel, ...taps].every(d => kernel.lin[d]! > 0) && kernel.lin[channel] === extent(p, taps);
  const rows = (isRun ? null : shortRows(b, p, f, width)) ?? anyRows(b, p, f, width, slots, scratch);
  const staged = scratch.room('staged kernel', 'f32', slots * rows.count * width);
  const part = SIDE * width * WORD;

  const cut = (panel: Reg, staging: Reg): void => {
    const line = b.addr(words, b.mul(panel, b.i32(panelBytes / WORD)));
    const largest = noMagnitudes(b);
    const step = rows.steps.get(channel)! * width * F32;
    b.for(0, extent(p, taps), 1, tap => {
      const coords = unravel(b, tap, sizesOf(p, taps));
      const row = affine(b, taps.map((d, i) => [coords[i]!, rows.steps.get(d)!] as const), rows.first); // biome-ignore format: a sum
      const ofTap = b.advance(staging, row, width * F32);
      b.for(0, channels, BLOCK, first => {
        b.for(0, SIDE, 1, word => {
          const from = b.advance(ofTap, b.add(first, word), step);
          const further = b.advance(from, b.i32(SIDE), step);
          for (let v = 0; v < width; v += SIDE) {
            const [x, y] = [from, further].map(at => b.load('f32', at, v * F32, SIDE));
            storeParts(b, x!, y!, line, v * WORD, part, largest);
          }
          b.advance(line, b.i32(1), width * WORD, line);
        });
        b.advance(line, b.i32(PARTS - 1), part, line);
      });
    });
    b.store('i32', b.addr(magnitudes, panel), b.reduce('max', largest));
  };
  const fill = (): void =>
    eachTask(b, panels, (panel, slot) => {
      const staging = b.addr(staged, b.mul(slot, b.i32(rows.count * width)));
      rows.pack(slot, b.mul(panel, b.i32(width)), staging);
      cut(panel, staging);
    });
  return {
    words,
    largest: magnitudes,
    panelBytes,
    tapBytes: channels * width * PARTS_BYTES,
    pack() {
      if (keeps) scratch.prepare(fill);
      else fill();
      return !keeps;
    },
  };
}
