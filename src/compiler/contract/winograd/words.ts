/**
 * Transformed kernels as words of bf16: pairs of channels that dot products multiply with those of transformed tiles.
 * Imports windows, transforms and loop IR.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { loadRun } from '../cursor.ts';
import { affine, unravel } from '../indices.ts';
import { transpose } from '../pack.ts';
import { comesPacked } from '../plan.ts';
import type { Scratch } from '../spec.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import type { Forward } from './convolution.ts';
import { PLANES, storePlanes } from './tiles.ts';
import { transformTaps } from './transforms.ts';

const WORD = 4;
const BF16 = 2;
/** Lanes of f32 and words of a vector; channels of a group, which are a vector of words. */
const LANES = 16;
export const GROUP = 2 * LANES;

/** Panels of words: [panel][plane][pair of channels][width]. */
interface WordPanels {
  readonly buffer: number;
  readonly channels: number;
  readonly results: number;
  readonly width: number;
  readonly nPanels: number;
}

/** What both ways of packing a kernel share. */
interface Source {
  /** Elements from one channel to the next, and from one result to the next. */
  readonly along: number;
  readonly step: number;
  /** Vectors of all nine taps from element `index` on, lanes `apart` elements apart. */
  readonly taps: (index: Reg, apart: number) => Reg[][];
}

function sourceOf(b: LoopBuilder, { kernel, windows, out }: Forward): Source {
  const tap = (i: number, axis: number): number => {
    const { flipped, tap } = windows.axes[axis]!;
    return (flipped ? 2 - i : i) * kernel.lin[tap]!;
  };
  const load = (index: Reg, offset: number, apart: number): Reg =>
    loadRun(b, kernel, 'f32', b.add(index, b.i32(offset)), apart, LANES);
  return {
    along: kernel.lin[windows.channel]!,
    step: kernel.lin[out]!,
    taps: (index, apart) => [0, 1, 2].map(i => [0, 1, 2].map(j => load(index, tap(i, 0) + tap(j, 1), apart))),
  };
}

/** Kernels whose channels are neighbours: vectors of them, which become columns of words. */
function packRows(b: LoopBuilder, f: Forward, panels: WordPanels, scratch: Scratch): void {
  const { channels, results, width, nPanels, buffer } = panels;
  const { step, taps } = sourceOf(b, f);
  const counts = [nPanels, width / LANES, channels / GROUP];
  const tasks = counts.reduce((n, count) => n * count, 1);
  const [points, elements] = [channels / 2, PLANES * LANES * GROUP];
  const staging = scratch.room('staged kernel', 'bf16', slotsOf(tasks) * elements);
  eachTask(b, tasks, (task, slot) => {
    const [panel, vector, group] = unravel(b, task, counts);
    const column = affine(b, [[panel!, width], [vector!, LANES]], 0); // biome-ignore format: a sum
    const first = affine(b, [[column, step], [group!, GROUP]], f.kernel.base); // biome-ignore format: a sum
    const line = affine(b, [[panel!, PLANES * points], [group!, LANES]], 0); // biome-ignore format: a sum
    const to = b.addr(buffer, affine(b, [[line, width], [vector!, LANES]], 0)); // biome-ignore format: a sum
    const own = b.addr(staging, b.mul(slot, b.i32(elements)));
    const planes = { dtype: 'bf16' as const, pitch: GROUP, plane: LANES * GROUP };
    const rows = b.bin('min', b.i32(LANES), b.sub(b.i32(results), column));
    // Vectors behind the last result get what the area holds: nobody reads what becomes of it.
    b.for(0, rows, 1, row => {
      b.for(0, GROUP, LANES, channel => {
        const index = affine(b, [[row, step], [first, 1], [channel, 1]], 0); // biome-ignore format: a sum
        const place = b.advance(b.advance(own, row, GROUP * BF16), channel, BF16);
        storePlanes(b, transformTaps(b, taps(index, 1)), place, planes);
      });
    });
    b.for(0, PLANES, 1, i => {
      const from = b.advance(own, i, LANES * GROUP * BF16);
      const rows = Array.from({ length: LANES }, (_, row) => b.load('i32', from, row * GROUP * BF16, LANES));
      const target = b.advance(to, i, points * width * WORD);
      for (const [pair, words] of transpose(b, rows).entries()) b.store('i32', target, words, pair * width * WORD);
    });
  });
}

/** Kernels whose results are neighbours (or nothing is): two channels at a time, as they lie in memory. */
function packPairs(b: LoopBuilder, f: Forward, { channels, results, width, buffer }: WordPanels): void {
  const { along, step, taps } = sourceOf(b, f);
  const points = channels / 2;
  eachTask(b, points, pair => {
    b.for(0, results, LANES, column => {
      const index = affine(b, [[pair, 2 * along], [column, step]], f.kernel.base); // biome-ignore format: a sum
      const [x, y] = [index, b.add(index, b.i32(along))].map(at => transformTaps(b, taps(at, step)).flat());
      const panel = b.bin('divU', column, b.i32(width));
      const rest = b.sub(column, b.mul(panel, b.i32(width)));
      const line = affine(b, [[panel, PLANES * points], [pair, 1]], 0); // biome-ignore format: a sum
      const to = b.addr(buffer, affine(b, [[line, width], [rest, 1]], 0)); // biome-ignore format: a sum
      for (const [i, value] of x!.entries()) b.store('i32', to, b.bf16Words(value, y![i]!), i * points * width * WORD);
    });
  });
}

/** Emits the stage that transforms the kernel into panels of words; says whether it runs here. */
export function packKernelWords(b: LoopBuilder, f: Forward, panels: WordPanels, scratch: Scratch): boolean {
  const rows = f.kernel.lin[f.windows.channel] === 1;
  const fill = (): void => (rows ? packRows(b, f, panels, scratch) : packPairs(b, f, panels));
  const keeps = comesPacked(f.kernel);
  if (keeps) scratch.prepare(fill);
  else fill();
  return !keeps;
}
