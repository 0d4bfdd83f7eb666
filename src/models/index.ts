/**
 * Ready models, plain modules with the parameter names under which their weights are published: torchvision's for
 * images, Hugging Face's for language. Imports nn and the Tensor API.
 */
export { Dice } from './dice.ts';
export * from './interactions.ts';
export {
  type BertConfig,
  BertForMaskedLM,
  BertForSequenceClassification,
  type BertInputs,
  BertModel,
  type BertOutputs,
} from './language/bert.ts';
export type { KeyValueCache, LayerCache } from './language/cache.ts';
export { CausalLM, type GenerateOptions } from './language/generate.ts';
export { GPT, GPTBlock, type GPTConfig } from './language/gpt.ts';
export {
  type GPT2Config,
  GPT2LMHeadModel,
  GPT2Model,
  gpt2,
  gpt2Large,
  gpt2Medium,
  gpt2Xl,
} from './language/gpt2.ts';
export { type LlamaConfig, LlamaForCausalLM, LlamaModel } from './language/llama.ts';
export type { RopeScaling } from './language/rope.ts';
export { keepTopK, keepTopP, penalise, type SamplingOptions, sampleToken } from './language/sampling.ts';
export { LSTMNet } from './sequence.ts';
export {
  DeepFM,
  type DeepOptions,
  DLRM,
  FactorizationMachine,
  LogisticRegression,
  type TableShape,
  WideDeep,
} from './tabular.ts';
export { AlexNet, type AlexNetOptions, alexnet } from './vision/alexnet.ts';
export { type ClassifierOptions, SqueezeExcitation, StochasticDepth } from './vision/blocks.ts';
export * from './vision/efficientnet.ts';
export { LeNet, MLP } from './vision/lenet.ts';
export { MobileNetV2, type MobileNetV2Options, mobilenetV2 } from './vision/mobilenetV2.ts';
export { MobileNetV3, type MobileNetV3Options, mobilenetV3Large, mobilenetV3Small } from './vision/mobilenetV3.ts';
export * from './vision/resnet.ts';
export * from './vision/shufflenetV2.ts';
export { UNet, type UNetOptions } from './vision/unet.ts';
export * from './vision/vgg.ts';
export * from './vision/vit.ts';
