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

/** Whether tiles and kernels of `p` may be rounded to words of bf16, which dot products multiply. */
const multipliesWords = (p: Problem, target: Target): boolean =>
  target.packedProducts?.bf16 === 'dot' &&
  target.roundsBf16 === true &&
  [p.a, p.b].every(({ dtype }) => dtype === 'bf16') &&
  lanesFor(target, bytesOf('f32')) === GROUP / 2;

/** What goes through transformed tiles, and whether in words: pairs of channels, or of tiles where sums are over these. */
type Found = ({ readonly forward: Forward } | { readonly gradient: WeightGradient }) & { readonly words: boolean };

/** What of `p` goes through transformed tiles, if anything does. */
function recognise(p: Problem, target: Target): Found | null {
  const narrow = p.a.dtype === 'bf16' || p.b.dtype === 'bf16';
  if (narrow && target.packedProducts?.bf16 !== 'dot') return null;
  const inWords = multipliesWords(p, target);
  const pays = (found: Forward | WeightGradient, least: number): boolean =>
    found.windows.tiles >= least &&
    channelsOf(p, found).every(
      n => n >= LEAST_CHANNELS && n <= MOST_CHANNELS && n % lanesFor(target, bytesOf('f32')) === 0,
    );
  const forward = asForward(p);
  if (forward) {
    const words = inWords && channelsOf(p, forward)[0] % GROUP === 0;
    const least = words ? LEAST_TILES_OF_WORDS : narrow ? LEAST_TILES_BESIDE_WORDS : LEAST_TILES;
    return pays(forward, least) ? { forward, words } : null;
  }
  const gradient = asWeightGradient(p);
  return gradient && pays(gradient, LEAST_TILES) ? { gradient, words: inWords } : null;
}

export const suitsWinograd = (p: Problem, target: Target): boolean => recognise(p, target) !== null;

/** Whether `p` goes through tiles of words: faster than any other schedule that there is for it. */
export const suitsWinogradInWords = (p: Problem, target: Target): boolean => recognise(p, target)?.words === true;

export function lowerWinograd(b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void {
  const found = recognise(p, target)!;
  const { words } = found;
  if ('forward' in found) lowerForward(b, p, found.forward, target, scratch, words);
  else lowerWeightGradient(b, p, found.gradient, target, scratch, words);
}
