/**
 * Neural network modules. Imports the Tensor API; knows nothing of optimizers, data or files.
 */
export * from './activations.ts';
export { type AttentionOptions, MultiheadAttention, type MultiheadAttentionOptions } from './attention.ts';
export { BatchNorm1d, BatchNorm2d, BatchNorm3d, type BatchNormOptions } from './batchNorm.ts';
export { ModuleDict, ModuleList, Sequential } from './containers.ts';
export {
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvOptions,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeOptions,
  type Size,
} from './conv.ts';
export { AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d } from './dropout.ts';
export { Embedding, type EmbeddingOptions } from './embedding.ts';
export * as init from './init.ts';
export { Bilinear, Flatten, Identity, Linear, Unflatten } from './linear.ts';
export * from './losses.ts';
export { type AnyModule, type LoadOptions, Module } from './module.ts';
export {
  GroupNorm,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  LayerNorm,
  type LayerNormOptions,
  type NormOptions,
  RMSNorm,
} from './norm.ts';
export * from './pooling.ts';
export { GRU, LSTM, type RecurrentOptions, RNN, type RNNOptions } from './rnn.ts';
export { GRUCell, LSTMCell, RNNCell } from './rnnSteps.ts';
export type { StateDict, StateMismatch } from './state.ts';
export {
  type DecoderMasks,
  type EncoderMasks,
  TransformerDecoder,
  TransformerDecoderLayer,
  TransformerEncoder,
  TransformerEncoderLayer,
  type TransformerLayerOptions,
} from './transformer.ts';
