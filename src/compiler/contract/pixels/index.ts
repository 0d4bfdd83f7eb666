/**
 * Convolutions of images that are kept [pixels][batch][channels], pixel by pixel: what stands at one pixel, batch by
 * channels, is a block that products read in place, and a sum over the taps of a window is one batch-reduced product
 * (Georganas et al., "Harnessing Deep Learning via a Single Building Block", 2020) of those pixels that lie inside of
 * the image: nothing is unfolded or padded. Forward product, input gradient and weight gradient with any stride, in
 * bf16 and f32 on matrix registers, in bf16 by dot products, and in f32 in vectors. May import the neighbours' cursors,
 * packing and stores.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Target } from '../../target.ts';
import type { Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { productInBlocks, suitsBlocks } from './blocks.ts';
import { asForward, type Forward, lowerForward } from './forward.ts';
import { asWeightGradient, type WeightGradient } from './gradient.ts';
import { lowerGradientInBlocks, suitsGradientInBlocks } from './gradient-blocks.ts';
import { lowerGradientInVectors, suitsGradientInVectors } from './gradient-vectors.ts';
import { lowerParts, suitsParts } from './parts.ts';
import { productInVectors, suitsVectors } from './vectors.ts';

interface Found {
  readonly forward?: Forward;
  readonly gradient?: WeightGradient;
  /** Whether it goes through blocks of packed words, on matrix registers or by dot products. */
  readonly inBlocks: boolean;
}

/** What was recognised: whoever chooses among schedules asks several times. */
const known = new WeakMap<Problem, { readonly target: Target; readonly found: Found | null }>();

function recognise(p: Problem, target: Target): Found | null {
  let entry = known.get(p);
  if (entry?.target !== target) {
    entry = { target, found: look(p, target) };
    known.set(p, entry);
  }
  return entry.found;
}

function look(p: Problem, target: Target): Found | null {
  const forward = asForward(p);
  if (forward && (suitsBlocks(p, forward, target) || suitsParts(p, forward, target)))
    return { forward, inBlocks: true };
  if (forward && suitsVectors(p, forward, target)) return { forward, inBlocks: false };
  const gradient = asWeightGradient(p);
  if (gradient && suitsGradientInBlocks(p, gradient, target)) return { gradient, inBlocks: true };
  return gradient && suitsGradientInVectors(p, gradient, target) ? { gradient, inBlocks: false } : null;
}

export const suitsPixels = (p: Problem, target: Target): boolean => recognise(p, target) !== null;

/** Whether blocks of packed words serve `p` pixel by pixel. */
export const suitsPixelsInBlocks = (p: Problem, target: Target): boolean => recognise(p, target)?.inBlocks === true;

export function lowerPixels(b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void {
  const { forward, gradient, inBlocks } = recognise(p, target)!;
  if (forward) {
    if (inBlocks && forward.dtype === 'f32') {
      lowerParts(b, p, forward, target, scratch);
      return;
    }
    const make = inBlocks ? productInBlocks : productInVectors;
    lowerForward(b, p, forward, make(b, p, forward, target, scratch), target, scratch);
  } else if (inBlocks) lowerGradientInBlocks(b, p, gradient!, target, scratch);
  else lowerGradientInVectors(b, p, gradient!, target, scratch);
}
