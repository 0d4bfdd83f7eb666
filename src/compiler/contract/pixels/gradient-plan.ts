/**
 * Sizes of a weight gradient on matrix registers: tasks, steps of rows, the ring of pixels. Pure arithmetic on shapes
 * and caches.
 */
import type { Target } from '../../target.ts';
import { sizesOf } from '../cursor.ts';
import { extent, type Problem, product } from '../problem.ts';
import { chunksFor, evenPart } from '../tasks.ts';
import { BLOCK, type BlockFormat } from './formats.ts';
import type { WeightGradient } from './gradient.ts';
import type { Pixels } from './range.ts';

const WORD = 4;
/**
 * Channels of a task at most, out and in (blocks of f32 take three times the room, and runs over few pixels are short),
 * and share of the second cache for its sums.
 */
const MOST_OUT = 128;
const MOST_IN = { bf16: 128, f32: 64 } as const;
const SUMS_SHARE = 0.3;
/** Share of the second cache for the sums and the blocks of a step. */
const SHARE = 0.7;
/** Tasks there should be, for threads to share, and rows of a chunk at least. */
const TASKS = 8;
const LEAST_ROWS = 4;

export interface GradientPlan {
  readonly outs: number;
  readonly ins: number;
  readonly outBlocks: number;
  readonly inBlocks: number;
  readonly chunks: number;
  /** Rows of a step, and pixels of the image that they meet at most. */
  readonly step: number;
  readonly ring: number;
}

export function planGradient(
  p: Problem,
  g: WeightGradient,
  format: BlockFormat,
  pixels: Pixels,
  target: Target,
): GradientPlan {
  const { image, out, channel, taps, images, rows, row } = g;
  const [results, channels, kernel] = [extent(p, [out]), extent(p, [channel]), extent(p, taps)];
  const [count, length] = [extent(p, rows), extent(p, row)];
  const outs = evenPart(results, BLOCK, MOST_OUT);
  const sumsMost = (target.l2Bytes * SUMS_SHARE) / (kernel * outs * WORD);
  const ins = evenPart(channels, BLOCK, Math.min(MOST_IN[format.kind], Math.floor(sumsMost)));
  const [outBlocks, inBlocks] = [results / outs, channels / ins];
  const chunks = chunksFor(outBlocks * inBlocks, TASKS, count / LEAST_ROWS);

  const sizes = sizesOf(p, rows);
  const start = (i: number): number =>
    rows.reduce((at, d, k) => at + image.lin[d]! * (Math.floor(i / product(sizes.slice(k + 1))) % sizes[k]!), 0);
  const end = (length - 1) * (row.length > 0 ? image.lin[row[0]!]! : 0) + pixels.behind - pixels.before;
  const ringOf = (step: number): number => {
    let most = 0;
    for (let i = 0; i < count; i++) most = Math.max(most, start(Math.min(count, i + step) - 1) - start(i));
    return (most + end) / pixels.stride + 1;
  };
  const room = target.l2Bytes * SHARE - kernel * outs * ins * WORD;
  const perChannel = (extent(p, [images]) * format.blockBytes) / (BLOCK * BLOCK);
  const bytes = (step: number): number => perChannel * (step * length * outs + ringOf(step) * ins);
  let step = 1;
  while (step < Math.ceil(count / chunks) && bytes(step + 1) <= room) step++;
  return { outs, ins, outBlocks, inBlocks, chunks, step, ring: ringOf(step) };
}
