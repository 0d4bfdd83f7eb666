/**
 * What a transform is, and what the transforms share.
 */

import { describe } from '../../tensor/operands.ts';
import type { Image } from '../image.ts';
import type { RandomStream } from '../random.ts';

/** An image of a sample to another; what is left to chance is drawn from `random`. */
export type Transform = (image: Image, random: RandomStream) => Image;

/** One transform after the other; transforms without chance make one that needs no stream. */
export function compose(...transforms: readonly ((image: Image) => Image)[]): (image: Image) => Image;
export function compose(...transforms: readonly Transform[]): Transform;
export function compose(...transforms: readonly Transform[]): Transform {
  return (image, random) => transforms.reduce((result, transform) => transform(result, random), image);
}

/** Complains unless all of these are whole numbers of pixels, at least `least`. */
export function checkPixels(what: string, pixels: Readonly<Record<string, unknown>>, least = 1): void {
  for (const [name, value] of Object.entries(pixels))
    if (!Number.isInteger(value) || (value as number) < least)
      throw new RangeError(`${what}: ${name}: expected a whole number of at least ${least}, got ${describe(value)}`);
}

/** An array of the image's type. */
export const blank = (image: Image, length: number): Uint8Array | Float32Array =>
  image.data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
