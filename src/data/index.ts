/**
 * Data: datasets and loaders, readers of files, transforms, and generated data. May import tensor and the file helpers
 * of formats; knows no modules, optimizers or training loops.
 */

export { type Clicks, generateClicks } from './clicks.ts';
export {
  arrayDataset,
  type Collated,
  type CollatedOf,
  ConcatDataset,
  type Dataset,
  type IterableDataset,
  MappedDataset,
  randomSplit,
  type SeedOption,
  Subset,
  TensorDataset,
} from './dataset.ts';
export { DigitDataset, type DigitDatasetOptions } from './digitDataset.ts';
export { type DigitArrays, type DigitsOptions, drawDigit, generateDigits } from './digits.ts';
export { type IdxArray, parseIdx, readIdx } from './idx.ts';
export { decodeImage, type Image, readImage, toGrey, toPng } from './image.ts';
export { ImageFolder, type LabelledImage } from './imageFolder.ts';
export { DataLoader, type LoaderOptions, type LoaderState } from './loader.ts';
export { readMnist } from './mnist.ts';
export { RandomStream } from './random.ts';
export { collate } from './rows.ts';
export { type Sampler, SubsetRandomSampler, WeightedRandomSampler } from './samplers.ts';
export { StreamLoader, type StreamLoaderOptions, type StreamLoaderState } from './streamLoader.ts';
export {
  columnOf,
  readTable,
  selectRows,
  type Table,
  type TableColumn,
  type TableOptions,
  tableFromRows,
} from './table.ts';
export {
  isTablePreset,
  presetFiles,
  readPresetTable,
  TABLE_PRESETS,
  type TablePreset,
  type TablePresetName,
} from './tablePresets.ts';
export {
  type CategoryColumn,
  categoryFields,
  type EncodedTable,
  encodeTable,
  fieldSizes,
  fitSchema,
  type NumberColumn,
  numberWidth,
  type SchemaColumn,
  type SchemaOptions,
  splitTable,
  type TableSchema,
} from './tableSchema.ts';
export { CharVocabulary, readText, TextWindows, type TextWindowsOptions } from './text.ts';
export * from './transforms/index.ts';
export { type ModuleDataset, moduleDataset } from './workers.ts';
