/**
 * Transformed kernels as words of bf16: pairs of channels that dot products multiply with those of transformed tiles.
 * Imports windows, transforms and loop IR.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { loadRun } from '../cursor.ts';
import { affine, unravel, zero } from '../indices.ts';
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

/** The words of two vectors of f32, each rounded to bf16. */
export function roundToWords(b: LoopBuilder, x: Reg, y: Reg): Reg {
  const [low, high] = [x, y].map(value => b.bitcast('i32', b.nearestBf16(b.asFlushed(value))!));
  return b.bin('or', b.bin('shrU', low!, b.const('i32', 16, LANES)), high!);
}

/** Emits the stage that transforms the kernel into panels of words; says whether it runs here. */
export function packKernelWords(b: LoopBuilder, f: Forward, panels: WordPanels, scratch: Scratch): boolean {
  const { kernel, windows, out } = f;
  const { channels, results, width, nPanels, buffer } = panels;
  const [points, vectors, groups] = [channels / 2, width / LANES, channels / GROUP];
  const tasks = nPanels * vectors * groups;
  const rowsOfChannels = kernel.lin[windows.channel] === 1;
  const slots = slotsOf(tasks);
  const elements = PLANES * LANES * GROUP;
  const staging = rowsOfChannels ? scratch.room('staged kernel', 'bf16', slots * elements) : buffer;
  const tap = (i: number, axis: number): number => {
    const { flipped, tap } = windows.axes[axis]!;
    return (flipped ? 2 - i : i) * kernel.lin[tap]!;
  };
  const step = kernel.lin[out]!;
  const taps = (index: Reg, apart: number): Reg[][] =>
    [0, 1, 2].map(i =>
      [0, 1, 2].map(j => loadRun(b, kernel, 'f32', b.add(index, b.i32(tap(i, 0) + tap(j, 1))), apart, LANES)),
    );
  const fill = (): void =>
    eachTask(b, tasks, (task, slot) => {
      const [panel, vector, group] = unravel(b, task, [nPanels, vectors, groups]);
      const column = affine(b, [[panel!, width], [vector!, LANES]], 0); // biome-ignore format: a sum
      const first = affine(b, [[column, step], [group!, GROUP * kernel.lin[windows.channel]!]], kernel.base); // biome-ignore format: a sum
      const line = affine(b, [[panel!, PLANES * points], [group!, LANES]], 0); // biome-ignore format: a sum
      const to = b.addr(buffer, affine(b, [[line, width], [vector!, LANES]], 0)); // biome-ignore format: a sum
      const plane = points * width * WORD;
      const inRows = (): void => {
        const own = b.addr(staging, b.mul(slot, b.i32(elements)));
        const planes = { dtype: 'bf16' as const, pitch: GROUP, plane: LANES * GROUP };
        b.for(0, LANES, 1, row => {
          b.for(0, GROUP, LANES, channel => {
            const index = b.add(affine(b, [[row, step]], 0), b.add(first, channel));
            const place = b.advance(b.advance(own, row, GROUP * BF16), channel, BF16);
            storePlanes(b, transformTaps(b, taps(index, 1)), place, planes);
          });
        });
        b.for(0, PLANES, 1, i => {
          const from = b.advance(own, i, LANES * GROUP * BF16);
          const rows = Array.from({ length: LANES }, (_, row) => b.load('i32', from, row * GROUP * BF16, LANES));
          const target = b.advance(to, i, plane);
          for (const [pair, words] of transpose(b, rows).entries()) b.store('i32', target, words, pair * width * WORD);
        });
      };
      const inPairs = (): void =>
        b.for(0, LANES, 1, pair => {
          const index = affine(b, [[pair, 2 * kernel.lin[windows.channel]!], [first, 1]], 0); // biome-ignore format: a sum
          const next = b.add(index, b.i32(kernel.lin[windows.channel]!));
          const [x, y] = [index, next].map(at => transformTaps(b, taps(at, step)).flat());
          const target = b.advance(to, pair, width * WORD);
          for (const [i, value] of x!.entries()) b.store('i32', target, roundToWords(b, value, y![i]!), i * plane);
        });
      const nothing = (): void =>
        b.for(0, PLANES, 1, i =>
          b.for(0, LANES, 1, pair =>
            b.store('i32', b.advance(b.advance(to, i, plane), pair, width * WORD), zero(b, 'i32', LANES)),
          ),
        );
      const something = rowsOfChannels ? inRows : inPairs;
      if (results % width === 0) something();
      else b.if(b.cmp('lt', column, b.i32(results)), something, nothing);
    });
  const keeps = comesPacked(kernel);
  if (keeps) scratch.prepare(fill);
  else fill();
  return !keeps;
}
