/**
 * Models over sparse inputs, each from its paper, and their names for config files. Interactions are those of
 * tenon/models.
 */
export { buildModel, MODEL_NAMES, type ModelConfig, type ModelName } from './config.ts';
export * from './deep.ts';
export * from './itemToItem.ts';
export * from './model.ts';
export * from './multitask.ts';
export * from './retrieval.ts';
export * from './sequence.ts';
export * from './shallow.ts';
