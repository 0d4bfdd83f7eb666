/**
 * Transforms that read between pixels: resizing and affine warps, both bilinear.
 */
import { checkOptions } from '../../tensor/options.ts';
import type { Image } from '../image.ts';
import { blank, checkPixels, type Transform } from './transform.ts';

export interface AffineOptions {
  /** Largest rotation either way, in degrees. Default 0. */
  readonly degrees?: number;
  /** Largest shift either way, in pixels. Default 0. */
  readonly shift?: number;
  /** Least and largest scale, the same for both axes. Default [1, 1]. */
  readonly scale?: readonly [number, number];
  /** Largest horizontal shear either way, in degrees. Default 0. */
  readonly shear?: number;
}

/** A random affine warp about the centre, read bilinearly with 0 outside. */
export const randomAffine = (options: AffineOptions): Transform => {
  const {
    degrees = 0,
    shift = 0,
    scale = [1, 1],
    shear = 0,
  } = checkOptions('randomAffine', options, ['degrees', 'shift', 'scale', 'shear']);
  const radians = Math.PI / 180;
  return (image, random) => {
    const angle = random.uniform(-degrees, degrees) * radians;
    const zoom = random.uniform(scale[0], scale[1]);
    const slant = Math.tan(random.uniform(-shear, shear) * radians);
    const dx = random.uniform(-shift, shift);
    const dy = random.uniform(-shift, shift);
    // The inverse map, from output to input: unshift, unscale, unrotate, unshear.
    const cos = Math.cos(angle) / zoom;
    const sin = Math.sin(angle) / zoom;
    const { channels, height, width, data } = image;
    const result = blank(image, data.length);
    const cx = (width - 1) / 2;
    const cy = (height - 1) / 2;
    const round = data instanceof Uint8Array ? 0.5 : 0;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const ux = cos * (x - cx - dx) + sin * (y - cy - dy);
        const uy = cos * (y - cy - dy) - sin * (x - cx - dx);
        const fromX = ux + slant * uy + cx;
        const fromY = uy + cy;
        for (let c = 0; c < channels; c++)
          result[(c * height + y) * width + x] =
            bilinear(data, c * height * width, width, height, fromX, fromY) + round;
      }
    return { ...image, data: result };
  };
};

function bilinear(data: ArrayLike<number>, plane: number, width: number, height: number, x: number, y: number): number {
  const x0 = Math.floor(x);
  const y0 = Math.floor(y);
  if (x0 < -1 || y0 < -1 || x0 >= width || y0 >= height) return 0;
  const fx = x - x0;
  const fy = y - y0;
  const at = plane + y0 * width + x0;
  const [left, right] = [x0 >= 0, x0 + 1 < width];
  const above = y0 >= 0 ? (1 - fx) * (left ? data[at]! : 0) + fx * (right ? data[at + 1]! : 0) : 0;
  const below =
    y0 + 1 < height ? (1 - fx) * (left ? data[at + width]! : 0) + fx * (right ? data[at + width + 1]! : 0) : 0;
  return (1 - fy) * above + fy * below;
}

export interface ResizeOptions {
  /**
   * Whether a smaller image is made of all pixels of the larger one (a triangle as wide as the scale), as torchvision
   * and Pillow do, and not of the four next to each place. Default true.
   */
  readonly antialias?: boolean;
}

/**
 * Bilinear resize to `height` x `width`, pixel centres aligned (PyTorch's `align_corners=False`). With one number, that
 * becomes the shorter side and the proportions stay.
 */
export function resize(height: number, width?: number, options: ResizeOptions = {}): (image: Image) => Image {
  const { antialias = true } = checkOptions('resize', options, ['antialias']);
  checkPixels('resize', width === undefined ? { height } : { height, width });
  return image => {
    const target = width === undefined ? proportional(image, height) : { height, width };
    const { channels } = image;
    const across = taps(image.width, target.width, antialias);
    const down = taps(image.height, target.height, antialias);
    const narrow = new Float32Array(channels * image.height * target.width);
    for (let row = 0; row < channels * image.height; row++)
      for (let x = 0; x < target.width; x++) {
        const { first, weights } = across[x]!;
        const at = row * image.width + first;
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k]! * image.data[at + k]!;
        narrow[row * target.width + x] = sum;
      }
    const data = blank(image, channels * target.height * target.width);
    const round = data instanceof Uint8Array ? 0.5 : 0;
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < target.height; y++) {
        const { first, weights } = down[y]!;
        for (let x = 0; x < target.width; x++) {
          let at = (c * image.height + first) * target.width + x;
          let sum = 0;
          for (let k = 0; k < weights.length; k++, at += target.width) sum += weights[k]! * narrow[at]!;
          data[(c * target.height + y) * target.width + x] = sum + round;
        }
      }
    return { channels, ...target, data };
  };
}

/** The longer side is rounded down, as in torchvision. */
function proportional({ height, width }: Image, shorter: number): { height: number; width: number } {
  return height < width
    ? { height: shorter, width: Math.floor((shorter * width) / height) }
    : { height: Math.floor((shorter * height) / width), width: shorter };
}

/** What an output position is made of: consecutive input positions and their weights, which add up to 1. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

function taps(from: number, to: number, antialias: boolean): Taps[] {
  const scale = from / to;
  const reach = antialias ? Math.max(1, scale) : 1;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.ceil(centre - reach));
    const last = Math.min(from - 1, Math.floor(centre + reach));
    const weights = Float64Array.from({ length: last - first + 1 }, (_, k) => 1 - Math.abs(first + k - centre) / reach);
    const total = weights.reduce((a, w) => a + w, 0);
    return { first, weights: weights.map(w => w / total) };
  });
}
