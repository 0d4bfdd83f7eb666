/**
 * Published models: their configuration, their weights in whichever file, their tokenizer. Imports models, text and
 * formats.
 */
export { type ModelConfig, modelOf } from './architectures.ts';
export { type LoadPretrainedOptions, loadPretrained, type ModelClass, type Pretrained } from './folder.ts';
export { type LoadedWeights, type LoadWeightsOptions, loadWeightsInto } from './weights.ts';
