/**
 * Ready models, plain modules with PyTorch's parameter names. Imports nn and the Tensor API.
 */
export { type GenerateOptions, GPT, GPTBlock, type GPTConfig } from './gpt.ts';
export { InvertedResidual, MobileNetV2 } from './mobilenet.ts';
export {
  BasicBlock,
  Bottleneck,
  ResNet,
  type ResNetChoice,
  type ResNetOptions,
  resnet18,
  resnet18Cifar,
  resnet50,
} from './resnet.ts';
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
export { LeNet, MLP } from './vision.ts';
