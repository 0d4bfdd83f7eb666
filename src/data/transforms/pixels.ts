/**
 * Transforms of each pixel for itself: to floats, normalisation, colours. Plain loops, and tables for u8: an image has
 * 150,000 values.
 */
import { checkOptions } from '../../tensor/options.ts';
import type { Image } from '../image.ts';
import type { RandomStream } from '../random.ts';
import { blank, type Transform } from './transform.ts';

const UNIT = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** u8 of 0 to 255 to floats of 0 to 1; floats stay as they are. */
export const toFloat = (image: Image): Image => {
  const { data } = image;
  if (data instanceof Float32Array) return image;
  const floats = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) floats[i] = UNIT[data[i]!]!;
  return { ...image, data: floats };
};

/**
 * (x - mean) / std per channel, after `toFloat`.
 * @throws RangeError for a deviation that is not above 0, and Error when the image has another number of channels
 */
export function normalize(mean: readonly number[], std: readonly number[]): (image: Image) => Image {
  const zero = std.findIndex(deviation => !(deviation > 0));
  if (zero >= 0) throw new RangeError(`normalize: std: ${std[zero]} came, expected numbers above 0`);
  return image => {
    const { channels, height, width, data } = toFloat(image);
    if (mean.length !== channels || std.length !== channels)
      throw new Error(`normalize: ${mean.length} means and ${std.length} deviations for ${channels} channels`);
    const pixels = height * width;
    const result = new Float32Array(data.length);
    for (let c = 0; c < channels; c++) {
      const [m, s] = [mean[c]!, std[c]!];
      for (let i = c * pixels; i < (c + 1) * pixels; i++) result[i] = (data[i]! - m) / s;
    }
    return { channels, height, width, data: result };
  };
}

export interface ColorJitterOptions {
  /** Brightness is multiplied by 1 - brightness to 1 + brightness. Default 0. */
  readonly brightness?: number;
  /** Distances from the image's mean grey, likewise. Default 0. */
  readonly contrast?: number;
  /** Distances from each pixel's grey, likewise. Default 0. */
  readonly saturation?: number;
  /** Hues are turned by -hue to hue of a full turn, at most 0.5. Default 0. */
  readonly hue?: number;
}

/** Moves every pixel away from `from(i)`, pixel i of each channel, by `factor`; kept within what images hold. */
function away(image: Image, factor: number, from: (pixel: number) => number): Image {
  const { data } = image;
  const most = data instanceof Uint8Array ? 255 : 1;
  const pixels = image.height * image.width;
  const result = blank(image, data.length);
  for (let i = 0; i < data.length; i++) {
    const value = factor * data[i]! + (1 - factor) * from(i % pixels);
    result[i] = value < 0 ? 0 : value > most ? most : value;
  }
  return { ...image, data: result };
}

/** ITU-R BT.601 luma with torchvision's digits. */
function greyOf({ channels, height, width, data }: Image): (pixel: number) => number {
  const pixels = height * width;
  if (channels < 3) return pixel => data[pixel]!;
  return pixel => 0.2989 * data[pixel]! + 0.587 * data[pixels + pixel]! + 0.114 * data[2 * pixels + pixel]!;
}

function meanGrey(image: Image): number {
  const grey = greyOf(image);
  const pixels = image.height * image.width;
  let sum = 0;
  for (let i = 0; i < pixels; i++) sum += grey(i);
  return sum / pixels;
}

/**
 * Turns the hue of every pixel by `turn` (-0.5 to 0.5) of a full turn, through HSV, as torchvision's adjust_hue does on
 * tensors; grey images stay as they are.
 *
 * @throws RangeError for a turn outside
 */
export const adjustHue = (image: Image, turn: number): Image => {
  if (!(turn >= -0.5 && turn <= 0.5)) throw new RangeError(`adjustHue: turn ${turn} came, expected -0.5 to 0.5`);
  if (image.channels < 3) return image;
  const { data } = toFloat(image);
  const pixels = image.height * image.width;
  const result = blank(image, data.length);
  // Floats go back to 0 to 255 in 256 steps of one size, as torchvision's convert_image_dtype has them.
  const scale = result instanceof Uint8Array ? 256 - 1e-3 : 1;
  const [greens, blues] = [pixels, 2 * pixels];
  for (let i = 0; i < pixels; i++) {
    const [r, g, b] = [data[i]!, data[greens + i]!, data[blues + i]!];
    const value = Math.max(r, g, b);
    const chroma = value - Math.min(r, g, b);
    // Sixths of a turn from red.
    const hue =
      chroma === 0 ? 0 : value === r ? (g - b) / chroma : value === g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
    const turned = (((hue / 6 + turn) % 1) + 1) % 1;
    const channel = (offset: number): number => {
      const sixths = (offset + turned * 6) % 6;
      return scale * (value - chroma * Math.max(0, Math.min(sixths, 4 - sixths, 1)));
    };
    result[i] = channel(5);
    result[greens + i] = channel(3);
    result[blues + i] = channel(1);
  }
  // Channels beyond colour (alpha) stay.
  for (let i = 3 * pixels; i < data.length; i++) result[i] = image.data[i]!;
  return { ...image, data: result };
};

/**
 * Changes brightness, contrast, saturation and hue by random factors in a random order, as torchvision's ColorJitter.
 * @throws RangeError for a hue above 0.5
 */
export const colorJitter = (options: ColorJitterOptions): Transform => {
  const {
    brightness = 0,
    contrast = 0,
    saturation = 0,
    hue = 0,
  } = checkOptions('colorJitter', options, ['brightness', 'contrast', 'saturation', 'hue']);
  if (!(hue >= 0 && hue <= 0.5)) throw new RangeError(`colorJitter: hue ${hue} came, expected 0 to 0.5`);
  const factor = (random: RandomStream, amount: number): number => random.uniform(Math.max(0, 1 - amount), 1 + amount);
  return (image, random) => {
    const steps: ((image: Image) => Image)[] = [
      img => (brightness > 0 ? away(img, factor(random, brightness), () => 0) : img),
      img => {
        if (contrast === 0) return img;
        const mean = meanGrey(img);
        return away(img, factor(random, contrast), () => mean);
      },
      img => (saturation > 0 ? away(img, factor(random, saturation), greyOf(img)) : img),
      img => (hue > 0 ? adjustHue(img, random.uniform(-hue, hue)) : img),
    ];
    return [...random.permutation(steps.length)].reduce((img, step) => steps[step]!(img), image);
  };
};
