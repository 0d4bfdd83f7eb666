/**
 * Convolutions with 3x3 windows through transformed tiles of two by two results (Winograd's F(2x2, 3x3)): 16 products
 * instead of 36, for the forward product and both gradients, in f32; operands may be of bf16 where only dot products of
 * its words are the alternative. For images whose channels lie side by side. May import the neighbours' microkernel,
 * plans and stores.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import { lanesFor, type Target } from '../../target.ts';
import type { Problem } from '../problem.ts';
import type { Scratch } from '../spec.ts';
import { asForward, asWeightGradient, channelsOf, type Forward, type WeightGradient } from './convolution.ts';
import { lowerForward } from './forward.ts';
import { lowerWeightGradient } from './gradient.ts';
import { GROUP } from './words.ts';

/** Fewer channels, or fewer tiles, do not pay for the transforms. */
const LEAST_CHANNELS = 32;
const LEAST_TILES = 32;
const MOST_CHANNELS = 1024;

/**
 * Tiles from which on the transforms of a kernel pay where words of bf16 are multiplied by dot products: 35 cycles for a
 * channel and a result, and 0.59 a tile, against 0.73 (decision 282).
 */
const LEAST_TILES_BESIDE_WORDS = 256;

/** Tiles from which on the transforms of a kernel pay where those of bf16 are words themselves. */
const LEAST_TILES_OF_WORDS = 128;

/**
 * The convolution whose tiles and kernels are rounded to words of bf16, if `p` is one: operands are bf16, and words are
 * multiplied by dot products, which blocks of matrix registers would beat.
 */
function inWords(p: Problem, target: Target): Forward | null {
  if (target.packedProducts?.bf16 !== 'dot' || target.roundsBf16 !== true) return null;
  if (p.a.dtype !== 'bf16' || p.b.dtype !== 'bf16' || lanesFor(target, bytesOf('f32')) !== GROUP / 2) return null;
  const found = asForward(p);
  if (!found || found.windows.tiles < LEAST_TILES_OF_WORDS) return null;
  const [channels, results] = channelsOf(p, found);
  const suits = [channels, results].every(n => n >= LEAST_CHANNELS && n <= MOST_CHANNELS);
  return suits && channels % GROUP === 0 && results % (GROUP / 2) === 0 ? found : null;
}

/** Whether `p` goes through tiles of words: faster than any other schedule that there is for it. */
export const suitsWinogradInWords = (p: Problem, target: Target): boolean => inWords(p, target) !== null;

/** What of `p` goes through transformed tiles, if anything does. */
function recognise(p: Problem, target: Target): { forward: Forward } | { gradient: WeightGradient } | null {
  const narrow = p.a.dtype === 'bf16' || p.b.dtype === 'bf16';
  if (narrow && target.packedProducts?.bf16 !== 'dot') return null;
  const pays = (found: Forward | WeightGradient, least: number): boolean =>
    found.windows.tiles >= least &&
    channelsOf(p, found).every(
      n => n >= LEAST_CHANNELS && n <= MOST_CHANNELS && n % lanesFor(target, bytesOf('f32')) === 0,
    );
  const forward = asForward(p);
  if (forward) return pays(forward, narrow ? LEAST_TILES_BESIDE_WORDS : LEAST_TILES) ? { forward } : null;
  const gradient = asWeightGradient(p);
  return gradient && pays(gradient, LEAST_TILES) ? { gradient } : null;
}

export const suitsWinograd = (p: Problem, target: Target): boolean =>
  suitsWinogradInWords(p, target) || recognise(p, target) !== null;

export function lowerWinograd(b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void {
  const words = inWords(p, target);
  if (words) {
    lowerForward(b, p, words, target, scratch, true);
    return;
  }
  const found = recognise(p, target)!;
  if ('forward' in found) lowerForward(b, p, found.forward, target, scratch, false);
  else lowerWeightGradient(b, p, found.gradient, target, scratch);
}
