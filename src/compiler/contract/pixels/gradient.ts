/**
 * Recognising a weight gradient: for every tap the sum over pixels, and over the images at each, of the gradient's
 * channels by the image's. Pure data; imports problems only.
 */
import { jumps, type Problem, type View } from '../problem.ts';
import { blocksIn } from './forward.ts';

export interface WeightGradient {
  readonly image: View;
  readonly gradient: View;
  readonly dtype: 'bf16' | 'f32';
  /** Channels of the result, and of the image; taps as the output has them, outermost first. */
  readonly out: number;
  readonly channel: number;
  readonly taps: readonly number[];
  readonly images: number;
  /** Dims of rows of pixels, and of the pixels of a row (none where there are no rows). */
  readonly rows: readonly number[];
  readonly row: readonly number[];
}

export function asWeightGradient(p: Problem): WeightGradient | null {
  const images = p.k[p.k.length - 1];
  const pixels = p.k.slice(0, -1);
  const { dtype } = p.a;
  if (p.acc !== 'f32' || p.batch.length > 0 || images === undefined || pixels.length === 0) return null;
  if ((dtype !== 'bf16' && dtype !== 'f32') || p.b.dtype !== dtype) return null;
  for (const [gradient, outs, image, others] of [
    [p.a, p.m, p.b, p.n],
    [p.b, p.n, p.a, p.m],
  ] as const) {
    const [out] = outs;
    const channel = others.find(d => image.lin[d] === 1 && blocksIn(image, [d, images]));
    if (out === undefined || outs.length !== 1 || gradient.lin[out] !== 1 || channel === undefined) continue;
    if (gradient.prologue || gradient.guards.length > 0) continue;
    // Blocks are read where they lie, in the order of memory.
    if (jumps(p, gradient, image) || jumps(p, image, gradient)) continue;
    const split = pixels.length > 1 ? pixels.length - 1 : pixels.length;
    const [rows, row] = [pixels.slice(0, split), pixels.slice(split)];
    // Rows must come in the order of memory, so that a run of them meets a run of the image.
    const inOrder = rows.every((d, i) => {
      const next = rows[i + 1];
      return next === undefined || image.lin[d]! >= (p.dims[next]!.size - 1) * image.lin[next]!;
    });
    if (!inOrder || [...pixels, images].some(d => image.lin[d]! <= 0)) continue;
    const taps = others.filter(d => d !== channel);
    return { image, gradient, dtype, out, channel, taps, images, rows, row };
  }
  return null;
}
