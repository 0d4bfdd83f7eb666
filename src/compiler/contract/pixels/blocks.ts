/**
 * Products of bf16 on matrix registers, or by dot products in vectors: images at a pixel are read where they lie, the
 * kernel is packed into words of two channels.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Target } from '../../target.ts';
import { origin } from '../cursor.ts';
import { needsStaging, packWords } from '../packed/pack.ts';
import { packedProblem } from '../packed/problem.ts';
import { blocksOf, comesPacked } from '../plan.ts';
import { extent, type Problem } from '../problem.ts';
import { blockAt } from '../sides.ts';
import type { Scratch } from '../spec.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { bf16Sums } from '../tile-products.ts';
import type { Forward, Product } from './forward.ts';

const BF16 = 2;
const WORD = 4;
/** Rows or columns of a matrix register, and elements of its rows. */
const SIDE = 16;
const STEP = 32;

export function suitsBlocks(p: Problem, f: Forward, target: Target): boolean {
  if (!target.packedProducts?.bf16 || f.dtype !== 'bf16') return false;
  const size = (d: number): number => p.dims[d]!.size;
  const whole = size(f.out) % SIDE === 0 && size(f.images) % SIDE === 0 && size(f.channel) % STEP === 0;
  return whole && packedProblem(p, target).dim === f.channel;
}

export function productInBlocks(b: LoopBuilder, p: Problem, f: Forward, target: Target, scratch: Scratch): Product {
  const words = packedProblem(p, target);
  const { p: q } = words;
  const results = extent(p, p.n);
  const width = results % (2 * SIDE) === 0 ? 2 * SIDE : SIDE;
  const rows = extent(p, [f.images]) % (2 * SIDE) === 0 ? 2 * SIDE : SIDE;
  const panels = results / width;
  const panelWords = extent(q, q.k) * width;
  const channels = extent(p, [f.channel]);
  const keeps = comesPacked(f.kernel);
  const kernel = (keeps ? scratch.kept : scratch.room)('packed kernel', 'i32', panels * panelWords);
  const slots = slotsOf(panels);
  const sum = bf16Sums(target);
  const staging = needsStaging(words, q.b, q.n, 'words')
    ? scratch.room('staged kernel', 'i32', slots * panelWords)
    : kernel;
  const fill = (): void =>
    eachTask(b, panels, (panel, slot) =>
      packWords(b, words, q.b, q.n, 'words', SIDE, {
        at: origin(b, q.b),
        first: b.mul(panel, b.i32(width)),
        width,
        block: blockAt(b, q, { k: blocksOf(q, extent(q, q.k), []) }, 0),
        lo: 0,
        to: b.addr(kernel, b.mul(panel, b.i32(panelWords))),
        staging: b.addr(staging, b.mul(slot, b.i32(panelWords))),
      }),
    );
  return {
    rows,
    width,
    panels,
    panelBytes: panelWords * WORD,
    element: BF16,
    tap: channels * width * BF16,
    pack() {
      if (keeps) scratch.prepare(fill);
      else fill();
      return !keeps;
    },
    multiply: (panel, listed, to) =>
      sum(
        b,
        {
          kind: 'bf16',
          a: b.addr(f.image.buffer),
          b: b.addr(kernel, b.mul(panel, b.i32(panelWords))),
          steps: channels / STEP,
          rows: rows === SIDE ? 1 : 2,
          columns: width === SIDE ? 1 : 2,
          runs: listed,
          pitch: f.image.lin[f.images]! * BF16,
        },
        { c: to },
        false,
      ),
  };
}
