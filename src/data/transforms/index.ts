/**
 * Transforms of images under torchvision's names: pure functions of an image and, where they vary, of a stream of
 * random numbers (see MappedDataset). Images are u8 of 0 to 255 or floats of 0 to 1; a transform keeps the type unless
 * it says otherwise.
 */
export {
  type CropOptions,
  centerCrop,
  randomCrop,
  randomHorizontalFlip,
  randomResizedCrop,
  randomVerticalFlip,
} from './crops.ts';
export { adjustHue, type ColorJitterOptions, colorJitter, normalize, toFloat } from './pixels.ts';
export { type AffineOptions, type ResizeOptions, randomAffine, resize } from './sampling.ts';
export { compose, type Transform } from './transform.ts';
