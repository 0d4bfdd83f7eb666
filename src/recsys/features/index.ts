/**
 * From records to ids, numbers and labels: the feature function and what it is made of. Knows no files, threads or
 * tables.
 */
export { type FeatureRecord, Features, type FieldValue } from './features.ts';
export { avazuFeatures, criteoFeatures } from './presets.ts';
export { hashSign } from './slots.ts';
export type { DenseSpec, FeatureSpec, LabelSpec, SlotSpec } from './spec.ts';
