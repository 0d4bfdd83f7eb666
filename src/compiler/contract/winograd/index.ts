/**
 * Convolutions with 3x3 windows through transformed tiles of two by two results (Winograd's F(2x2, 3x3)): 16 products
 * instead of 36, for the forward product and both gradients, in f32. For images whose channels lie side by side. May
 * import the neighbours' microkernel, plans and stores.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import { lanesFor, type Target } from '../../target.ts';
import type { Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { asForward, asWeightGradient, channelsOf, type Forward, type WeightGradient } from './convolution.ts';
import { lowerForward } from './forward.ts';
import { lowerWeightGradient } from './gradient.ts';

/** Fewer channels, or fewer tiles, do not pay for the transforms. */
const LEAST_CHANNELS = 32;
const LEAST_TILES = 32;
const MOST_CHANNELS = 1024;

/** What of `p` goes through transformed tiles, if anything does. */
function recognise(p: Problem, target: Target): { forward: Forward } | { gradient: WeightGradient } | null {
  const pays = (found: Forward | WeightGradient): boolean =>
    found.windows.tiles >= LEAST_TILES &&
    channelsOf(p, found).every(
      n => n >= LEAST_CHANNELS && n <= MOST_CHANNELS && n % lanesFor(target, bytesOf('f32')) === 0,
    );
  const forward = asForward(p);
  if (forward) return pays(forward) ? { forward } : null;
  const gradient = asWeightGradient(p);
  return gradient && pays(gradient) ? { gradient } : null;
}

export const suitsWinograd = (p: Problem, target: Target): boolean => recognise(p, target) !== null;

export function lowerWinograd(b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void {
  const found = recognise(p, target)!;
  if ('forward' in found) lowerForward(b, p, found.forward, target, scratch);
  else lowerWeightGradient(b, p, found.gradient, target, scratch);
}
