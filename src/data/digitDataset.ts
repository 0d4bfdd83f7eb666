/**
 * Digits as batches for a classifier: warped if asked, normalised, [n, 1, size, size] with labels.
 */
import { Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import type { Dataset } from './dataset.ts';
import type { DigitArrays } from './digits.ts';
import type { Image } from './image.ts';
import { RandomStream } from './random.ts';
import type { Transform } from './transforms/index.ts';

export interface DigitDatasetOptions {
  /** Changes images anew in every epoch, by (seed, epoch, index). */
  readonly augment?: Transform;
  readonly seed?: number;
  /** Of pixels between 0 and 1. Default: MNIST's 0.1307 and 0.3081. */
  readonly mean?: number;
  readonly std?: number;
}

/** Images of digits [1, size, size], normalised, with their labels (i64): drawn ones, or MNIST's from `readMnist`. */
export class DigitDataset implements Dataset<readonly [Tensor, Tensor]> {
  private readonly digits: DigitArrays;
  private readonly options: Required<Omit<DigitDatasetOptions, 'augment'>>;
  private readonly augment: Transform | null;

  constructor(digits: DigitArrays, options: DigitDatasetOptions = {}) {
    const {
      augment,
      seed = 0,
      mean = 0.1307,
      std = 0.3081,
    } = checkOptions('DigitDataset', options, ['augment', 'seed', 'mean', 'std']);
    this.digits = digits;
    this.augment = augment ?? null;
    this.options = { seed, mean, std };
  }

  get length(): number {
    return this.digits.count;
  }

  /** Image f32 [1, size, size] and label i64 []. */
  get(index: number, epoch: number): readonly [Tensor, Tensor] {
    const [images, labels] = this.batch([index], epoch);
    return [images.select(0, 0), labels.select(0, 0)];
  }

  /** Images f32 [n, 1, size, size], normalised, and labels i64 [n]. */
  batch(indices: ArrayLike<number>, epoch: number): [Tensor, Tensor] {
    const { size, labels } = this.digits;
    const { mean, std } = this.options;
    const pixels = size * size;
    const images = new Float32Array(indices.length * pixels);
    const wanted = new BigInt64Array(indices.length);
    for (let i = 0; i < indices.length; i++) {
      const { data } = this.image(indices[i]!, epoch);
      for (let p = 0; p < pixels; p++) images[i * pixels + p] = (data[p]! / 255 - mean) / std;
      wanted[i] = BigInt(labels[indices[i]!]!);
    }
    return [Tensor.from(images, { shape: [indices.length, 1, size, size] }), Tensor.from(wanted)];
  }

  private image(index: number, epoch: number): Image {
    const { size, images } = this.digits;
    const data = images.subarray(index * size * size, (index + 1) * size * size);
    const image = { channels: 1, height: size, width: size, data };
    return this.augment ? this.augment(image, new RandomStream(this.options.seed, epoch, index)) : image;
  }
}
