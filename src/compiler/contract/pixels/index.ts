/**
 * Convolutions of bf16 on matrix registers, for images that are kept [pixels][batch][channels]: what stands at one pixel, batch by channels, is a block that
 * the registers read in place, and a sum over the taps of a window is one batch-reduced product (Georganas et al., "Harnessing Deep Learning via a Single
 * Building Block", 2020) of those pixels that lie inside of the image: nothing is unfolded or padded. Forward product, input gradient and weight gradient,
 * with any stride. May import the neighbours' cursors, packing and stores.
 */
import type { LoopBuilder } from '../../loops.ts';
import type { Target } from '../../target.ts';
import type { Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { asForward, lowerForward } from './forward.ts';
import { asWeightGradient, lowerWeightGradient } from './gradient.ts';

const multiplies = (target: Target): boolean => target.packedProducts?.bf16 === 'tiles';

export const suitsPixels = (p: Problem, target: Target): boolean =>
  multiplies(target) && (asForward(p, target) !== null || asWeightGradient(p) !== null);

export function lowerPixels(b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void {
  const forward = asForward(p, target);
  if (forward) lowerForward(b, p, forward, target, scratch);
  else lowerWeightGradient(b, p, asWeightGradient(p)!, target, scratch);
}
