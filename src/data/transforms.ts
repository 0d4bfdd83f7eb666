/**
 * Transforms of images: pure functions of an image and, where they vary, of a stream of random numbers (see MappedDataset).
 */
import type { Image } from './image.ts';
import type { RandomStream } from './random.ts';

export type Transform = (image: Image, random: RandomStream) => Image;

/** One transform after the other. */
export const compose =
  (...transforms: readonly Transform[]): Transform =>
  (image, random) =>
    transforms.reduce((result, transform) => transform(result, random), image);

/** u8 of 0 to 255 to floats of 0 to 1; floats stay as they are. */
export const toFloat: Transform = image =>
  image.data instanceof Float32Array ? image : { ...image, data: Float32Array.from(image.data, value => value / 255) };

/**
 * (x - mean) / std per channel, after `toFloat`.
 * @throws Error when the image has another number of channels than `mean` and `std`.
 */
export const normalise =
  (mean: readonly number[], std: readonly number[]): Transform =>
  (image, random) => {
    const { channels, height, width, data } = toFloat(image, random);
    if (mean.length !== channels || std.length !== channels)
      throw new Error(`normalise: ${mean.length} means and ${std.length} deviations for ${channels} channels`);
    const pixels = height * width;
    return {
      channels,
      height,
      width,
      data: Float32Array.from(data, (value, i) => {
        const c = Math.floor(i / pixels);
        return (value - mean[c]!) / std[c]!;
      }),
    };
  };

/** Mirrors left to right with probability `p`. */
export const randomHorizontalFlip =
  (p = 0.5): Transform =>
  (image, random) => {
    if (random.uniform() >= p) return image;
    const { width } = image;
    return { ...image, data: remap(image, i => i - (i % width) + (width - 1 - (i % width))) };
  };

/** Adds `padding` pixels of 0 on every side, then cuts out `height` x `width` at a random place. */
export const randomCrop =
  (height: number, width: number, padding = 0): Transform =>
  (image, random) => {
    const roomY = image.height + 2 * padding - height;
    const roomX = image.width + 2 * padding - width;
    if (roomY < 0 || roomX < 0)
      throw new Error(
        `randomCrop: ${height}x${width} out of an image of ${image.height}x${image.width}, padding ${padding}`,
      );
    const top = random.integer(roomY + 1) - padding;
    const left = random.integer(roomX + 1) - padding;
    const data = blank(image, image.channels * height * width);
    for (let c = 0; c < image.channels; c++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const fromY = top + y;
          const fromX = left + x;
          if (fromY >= 0 && fromY < image.height && fromX >= 0 && fromX < image.width)
            data[(c * height + y) * width + x] = image.data[(c * image.height + fromY) * image.width + fromX]!;
        }
    return { channels: image.channels, height, width, data };
  };

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
export const randomAffine = ({ degrees = 0, shift = 0, scale = [1, 1], shear = 0 }: AffineOptions): Transform => {
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
  const fx = x - x0;
  const fy = y - y0;
  const at = (px: number, py: number): number =>
    px >= 0 && px < width && py >= 0 && py < height ? data[plane + py * width + px]! : 0;
  return (
    (1 - fy) * ((1 - fx) * at(x0, y0) + fx * at(x0 + 1, y0)) +
    fy * ((1 - fx) * at(x0, y0 + 1) + fx * at(x0 + 1, y0 + 1))
  );
}

/** Bilinear resize to `height` x `width`, pixel centres aligned (as PyTorch's `align_corners=False`), without antialiasing. */
export const resize =
  (height: number, width: number) =>
  (image: Image): Image => {
    const data = blank(image, image.channels * height * width);
    const round = image.data instanceof Uint8Array ? 0.5 : 0;
    const inside = (position: number, size: number): number => Math.min(size - 1, Math.max(0, position));
    for (let c = 0; c < image.channels; c++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const fromX = inside(((x + 0.5) * image.width) / width - 0.5, image.width);
          const fromY = inside(((y + 0.5) * image.height) / height - 0.5, image.height);
          const plane = c * image.height * image.width;
          data[(c * height + y) * width + x] =
            bilinear(image.data, plane, image.width, image.height, fromX, fromY) + round;
        }
    return { channels: image.channels, height, width, data };
  };

const blank = (image: Image, length: number): Uint8Array | Float32Array =>
  image.data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);

function remap(image: Image, from: (i: number) => number): Uint8Array | Float32Array {
  const result = blank(image, image.data.length);
  for (let i = 0; i < result.length; i++) result[i] = image.data[from(i)]!;
  return result;
}
