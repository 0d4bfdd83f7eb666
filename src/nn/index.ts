/**
 * Neural network modules. Imports the Tensor API; knows nothing of optimizers, data or files.
 */
export { Parameter, type ParameterOptions } from '../tensor/index.ts';
export * from './activations.ts';
export {
  type AdaptiveLogSoftmaxOptions,
  type AdaptiveLogSoftmaxResult,
  AdaptiveLogSoftmaxWithLoss,
} from './adaptiveSoftmax.ts';
export { type AttentionOptions, MultiheadAttention, type MultiheadAttentionOptions } from './attention.ts';
export { BatchNorm1d, BatchNorm2d, BatchNorm3d, type BatchNormOptions } from './batchNorm.ts';
export { ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential } from './containers.ts';
export {
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvOptions,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeOptions,
  type PaddingMode,
  type Size,
} from './conv.ts';
export * from './distance.ts';
export { AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout } from './dropout.ts';
export { Embedding, EmbeddingBag, type EmbeddingBagOptions, type EmbeddingOptions } from './embedding.ts';
export { functionalCall, stackModuleState } from './functionalCall.ts';
export * as init from './init.ts';
export * from './lazy.ts';
export { type BiasOption, Bilinear, Flatten, Identity, Linear, Unflatten } from './linear.ts';
export * from './losses.ts';
export {
  type AnyModule,
  type ForwardHook,
  type ForwardPreHook,
  type HookHandle,
  type LoadOptions,
  Module,
} from './module.ts';
export * from './norm.ts';
export {
  PackedSequence,
  type PackOptions,
  type PadOptions,
  packPaddedSequence,
  packSequence,
  padPackedSequence,
  padSequence,
  unpackSequence,
  unpadSequence,
} from './packed.ts';
export * from './padding.ts';
export {
  removeSpectralNorm,
  removeWeightNorm,
  type SpectralNormOptions,
  spectralNorm,
  type WeightNormOptions,
  weightNorm,
} from './parametrize.ts';
export * from './pooling.ts';
export * as prune from './prune.ts';
export * from './resample.ts';
export { GRU, LSTM, type LSTMOptions, type RecurrentOptions, RNN, type RNNOptions } from './rnn.ts';
export { type CellOptions, GRUCell, LSTMCell, type Nonlinearity, RNNCell } from './rnnSteps.ts';
export { loadTensors, type StateDict, type StateMismatch } from './state.ts';
export {
  type DecoderMasks,
  type EncoderMasks,
  Transformer,
  TransformerDecoder,
  TransformerDecoderLayer,
  TransformerEncoder,
  TransformerEncoderLayer,
  type TransformerLayerOptions,
  type TransformerMasks,
  type TransformerOptions,
} from './transformer.ts';
export * from './vectors.ts';
