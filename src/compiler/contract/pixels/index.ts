/**
 * Convolutions of images that are kept [pixels][batch][channels], pixel by pixel: what stands at one pixel, batch by channels, is a block that products read in
 * place, and a sum over the taps of a window is one batch-reduced product (Georganas et al., "Harnessing Deep Learning via a Single Building Block", 2020) of
 * those pixels that lie inside of the image: nothing is unfolded or padded. Forward product, input gradient and weight gradient with any stride, in bf16 on
 * matrix registers and in f32 in vectors. May import the neighbours' cursors, packing and stores.
 */
import type { LoopBuilder } from '../../loops.ts';
import type { Target } from '../../target.ts';
import type { Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { productInBlocks, suitsBlocks } from './blocks.ts';
import { asForward, type Forward, lowerForward } from './forward.ts';
import { asWeightGradient, type WeightGradient } from './gradient.ts';
import { lowerGradientInBlocks, suitsGradientInBlocks } from './gradient-blocks.ts';
import { lowerGradientInVectors, suitsGradientInVectors } from './gradient-vectors.ts';
import { productInVectors, suitsVectors } from './vectors.ts';

function recognise(p: Problem, target: Target): { forward: Forward } | { gradient: WeightGradient } | null {
  const forward = asForward(p);
  if (forward && (suitsBlocks(p, forward, target) || suitsVectors(p, forward, target))) return { forward };
  const gradient = asWeightGradient(p);
  if (gradient && (suitsGradientInBlocks(p, gradient, target) || suitsGradientInVectors(p, gradient, target)))
    return { gradient };
  return null;
}

export const suitsPixels = (p: Problem, target: Target): boolean => recognise(p, target) !== null;

export function lowerPixels(b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void {
  const found = recognise(p, target)!;
  if ('forward' in found) {
    const make = found.forward.dtype === 'bf16' ? productInBlocks : productInVectors;
    const product = make(b, p, found.forward, target, scratch);
    lowerForward(b, p, found.forward, product, target, scratch);
  } else if (found.gradient.dtype === 'bf16') lowerGradientInBlocks(b, p, found.gradient, target, scratch);
  else lowerGradientInVectors(b, p, found.gradient, target, scratch);
}
