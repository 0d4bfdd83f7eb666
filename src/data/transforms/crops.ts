/**
 * Transforms that take pixels from other places as they are: flips and crops.
 */
import { checkOptions } from '../../tensor/options.ts';
import type { Image } from '../image.ts';
import { resize } from './sampling.ts';
import { blank, checkPixels, type Transform } from './transform.ts';

/** Mirrors left to right with probability `p`. */
export const randomHorizontalFlip =
  (p = 0.5): Transform =>
  (image, random) => {
    if (random.uniform() >= p) return image;
    const { width, data } = image;
    const result = blank(image, data.length);
    for (let row = 0; row < data.length; row += width)
      for (let x = 0; x < width; x++) result[row + x] = data[row + width - 1 - x]!;
    return { ...image, data: result };
  };

/** Mirrors top to bottom with probability `p`. */
export const randomVerticalFlip =
  (p = 0.5): Transform =>
  (image, random) => {
    if (random.uniform() >= p) return image;
    const { width, height, channels, data } = image;
    const result = blank(image, data.length);
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < height; y++) result.set(rowOf(image, c, height - 1 - y, 0, width), (c * height + y) * width);
    return { ...image, data: result };
  };

const rowOf = ({ width, height, data }: Image, channel: number, y: number, from: number, to: number) =>
  data.subarray((channel * height + y) * width + from, (channel * height + y) * width + to);

/** The window at (top, left), with 0 where it lies outside of the image. */
function cut(image: Image, top: number, left: number, height: number, width: number): Image {
  const data = blank(image, image.channels * height * width);
  const [from, to] = [Math.max(0, left), Math.min(image.width, left + width)];
  for (let c = 0; c < image.channels; c++)
    for (let y = Math.max(0, -top); y < Math.min(height, image.height - top); y++)
      if (from < to) data.set(rowOf(image, c, top + y, from, to), (c * height + y) * width + from - left);
  return { channels: image.channels, height, width, data };
}

/** Half of a difference, halves to even as Python rounds. */
function half(difference: number): number {
  const floor = Math.floor(difference / 2);
  return difference % 2 === 0 || floor % 2 === 0 ? floor : floor + 1;
}

/** Cuts out the middle, with 0 around images that are smaller. */
export function centerCrop(height: number, width = height): (image: Image) => Image {
  checkPixels('centerCrop', { height, width });
  return image => cut(image, half(image.height - height), half(image.width - width), height, width);
}

/** Adds `padding` pixels of 0 on every side, then cuts out `height` x `width` at a random place. */
export function randomCrop(height: number, width = height, padding = 0): Transform {
  checkPixels('randomCrop', { height, width });
  checkPixels('randomCrop', { padding }, 0);
  return (image, random) => {
    const roomY = image.height + 2 * padding - height;
    const roomX = image.width + 2 * padding - width;
    if (roomY < 0 || roomX < 0)
      throw new Error(
        `randomCrop: ${height}x${width} out of an image of ${image.height}x${image.width}, padding ${padding}`,
      );
    const top = random.integer(roomY + 1) - padding;
    const left = random.integer(roomX + 1) - padding;
    return cut(image, top, left, height, width);
  };
}

export interface CropOptions {
  /** Least and largest share of the image's area. Default [0.08, 1]. */
  readonly scale?: readonly [number, number];
  /** Least and largest width over height. Default [3 / 4, 4 / 3]. */
  readonly ratio?: readonly [number, number];
}

/**
 * Cuts out a part of random size, shape and place and resizes it to `height` x `width` (Szegedy et al. 2015, as
 * torchvision does it).
 */
export function randomResizedCrop(height: number, width = height, options: CropOptions = {}): Transform {
  const { scale = [0.08, 1], ratio = [3 / 4, 4 / 3] } = checkOptions('randomResizedCrop', options, ['scale', 'ratio']);
  checkPixels('randomResizedCrop', { height, width });
  const toSize = resize(height, width);
  return (image, random) => {
    for (let attempt = 0; attempt < 10; attempt++) {
      const area = image.height * image.width * random.uniform(scale[0], scale[1]);
      const aspect = Math.exp(random.uniform(Math.log(ratio[0]), Math.log(ratio[1])));
      const [w, h] = [Math.round(Math.sqrt(area * aspect)), Math.round(Math.sqrt(area / aspect))];
      if (w < 1 || h < 1 || w > image.width || h > image.height) continue;
      const [top, left] = [random.integer(image.height - h + 1), random.integer(image.width - w + 1)];
      return toSize(cut(image, top, left, h, w));
    }
    // Shapes that do not fit the image: the largest middle part within the ratios.
    const aspect = Math.min(ratio[1], Math.max(ratio[0], image.width / image.height));
    const w = Math.min(image.width, Math.round(image.height * aspect));
    const h = Math.min(image.height, Math.round(image.width / aspect));
    return toSize(centerCrop(h, w)(image));
  };
}
