/** The pixels of an image that a product reads, numbered in the order of memory. Pure data; imports problems only. */
import { gcd } from '../../index-expr.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import type { Problem, View } from '../problem.ts';

export interface Pixels {
  /** Element of pixel 0 and of the last pixel, and elements from one to the next. */
  readonly first: number;
  readonly last: number;
  readonly stride: number;
  /** How far the taps reach before and behind a pixel, in elements. */
  readonly before: number;
  readonly behind: number;
}

/** What of `image` is inside, where `pixels` and `taps` say which pixels are read. */
export function pixelsOf(p: Problem, image: View, pixels: readonly number[], taps: readonly number[]): Pixels {
  const dims = [...pixels, ...taps];
  let [first, last] = [image.base, image.base];
  const reach = (coef: number, d: number): [number, number] => {
    const far = coef * (p.dims[d]!.size - 1);
    return [Math.min(0, far), Math.max(0, far)];
  };
  const free = [...image.lin];
  for (const guard of image.guards) {
    let [low, high] = [guard.offset, guard.offset];
    for (const d of dims) {
      const [down, up] = reach(guard.coefs[d]!, d);
      low += down;
      high += up;
      free[d] = free[d]! - guard.coefs[d]! * guard.stride;
    }
    const inside = (x: number): number => Math.max(0, Math.min(guard.size - 1, x));
    first += (inside(low) - guard.offset) * guard.stride;
    last += (inside(high) - guard.offset) * guard.stride;
  }
  for (const d of dims) {
    const [down, up] = reach(free[d]!, d);
    first += down;
    last += up;
  }
  const strides = [...dims.map(d => image.lin[d]!), ...image.guards.map(g => g.stride)];
  const [before, behind] = [0, 1].map(side => taps.reduce((sum, d) => sum + reach(image.lin[d]!, d)[side]!, 0));
  return { first, last, stride: strides.map(Math.abs).reduce(gcd, 0), before: before!, behind: behind! };
}

/** How many there are. */
export const pixelCount = ({ first, last, stride }: Pixels): number => (last - first) / stride + 1;

/** Number of the pixel with element `index`, or of the one next to it inside. */
export function pixelNumber(b: LoopBuilder, pixels: Pixels, index: Reg): Reg {
  const inside = b.bin('min', b.bin('max', index, b.i32(pixels.first)), b.i32(pixels.last));
  return b.bin('divU', b.sub(inside, b.i32(pixels.first)), b.i32(pixels.stride));
}
