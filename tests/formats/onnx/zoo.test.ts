/**
 * Every model of the zoo as an ONNX file, in onnxruntime and in our own reader. Models too slow for every run are
 * narrowed here, and the deepest are cut to a third of their blocks; TENON_ZOO=full exports those at the size they are
 * published in, but for three whose file would pass the 2 GiB of a protobuf message (ViT-H, GPT-2 large and XL): these
 * keep their width and lose layers. LLaMA and its kin, the click models and GPT have small forms only.
 */
import { manualSeed, ones, rand, randint, randn, type Tensor } from 'tenon';
import { onnx } from 'tenon/formats';
import * as models from 'tenon/models';
import { expect, it } from 'vitest';
import { type AnyModel, compare, unsettle } from './agreement.ts';

const FULL = process.env['TENON_ZOO'] === 'full';

interface Subject {
  readonly make: () => AnyModel;
  readonly args: () => unknown[];
}

const images =
  (size: number, channels = 3) =>
  () => [randn([2, channels, size, size])];
const vision = (make: () => AnyModel, size = 32): Subject => ({ make, args: images(size) });
const tokens = (): Tensor => randint(0, 60, [2, 7]);
const language = (make: () => AnyModel, ...more: unknown[]): Subject => ({ make, args: () => [tokens(), ...more] });

// Options that a published size hands on to its class.
const few = { numClasses: 7 } as const;
const resnet = FULL ? {} : { ...few, width: 16 };
const vgg = FULL ? {} : { ...few, shrink: 16 };
const small = FULL ? {} : few;
const thin = FULL ? {} : { ...few, widthMult: 0.25 };

/** A deep ResNet. */
const deep = (published: () => AnyModel, layers: models.ResNetOptions['layers'], more: Partial<models.ResNetOptions> = {}) =>
  vision(() => (FULL ? published() : new models.ResNet({ ...few, block: models.Bottleneck, layers, width: 16, ...more }))); // biome-ignore format: one call

/** An EfficientNet. */
const efficientnet = (published: () => AnyModel, depthMult: number, norm?: { eps: number; momentum: number }) =>
  vision(() =>
    FULL
      ? published()
      : new models.EfficientNet({ ...few, widthMult: 0.25, depthMult: depthMult / 3, ...(norm && { norm }) }),
  );
const TF = { eps: 1e-3, momentum: 0.01 };

/** A vision transformer of the published depth, heads and patches. */
const vit = (published: () => AnyModel, patchSize: number, numLayers: number, numHeads: number): Subject =>
  vision(
    () =>
      FULL
        ? published()
        : new models.VisionTransformer({ ...few, imageSize: 2 * patchSize, patchSize, numLayers, numHeads, hiddenDim: 2 * numHeads, mlpDim: 48 }),
    FULL ? 224 : 2 * patchSize,
  ); // biome-ignore format: a table

const gpt2 = FULL ? {} : { vocabSize: 60, nPositions: 32 };
const bert = FULL
  ? {}
  : {
      vocabSize: 60,
      hiddenSize: 16,
      numHiddenLayers: 2,
      numAttentionHeads: 2,
      intermediateSize: 32,
      maxPositionEmbeddings: 32,
    };
const llama = {
  vocabSize: 60,
  hiddenSize: 16,
  intermediateSize: 24,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  maxPositionEmbeddings: 32,
};
const llama3 = { ropeType: 'llama3', factor: 4, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 16 } as const; // biome-ignore format: a table
const kin = (config: models.LlamaConfig): Subject =>
  language(() => new models.LlamaForCausalLM({ ...llama, ...config }));

const padding = { attentionMask: ones([2, 7], { dtype: 'i64' }), tokenTypeIds: randint(0, 2, [2, 7]) };
const columns = { dense: 3, vocabularies: [4, 5, 6] };
const rows = (dense: number) => () => [randn([5, dense]), randint(0, 4, [5, 3]).to('i32')];
const click = (make: () => AnyModel, dense = 3): Subject => ({ make, args: rows(dense) });
const takes = (make: () => AnyModel, ...shapes: number[][]): Subject => ({
  make,
  args: () => shapes.map(shape => rand(shape)),
});

/** By the name under which tenon/models has it, and what is special about the variant. */
const ZOO: Readonly<Record<string, Subject>> = {
  LeNet: { make: () => new models.LeNet(), args: images(28, 1) },
  MLP: takes(() => new models.MLP({ inputs: 48 }), [5, 48]),
  alexnet: vision(() => models.alexnet(FULL ? {} : { ...few, shrink: 8 }), 64),
  vgg11: vision(() => models.vgg11(vgg)),
  vgg11Bn: vision(() => models.vgg11Bn(vgg)),
  vgg13: vision(() => models.vgg13(vgg)),
  vgg13Bn: vision(() => models.vgg13Bn(vgg)),
  vgg16: vision(() => models.vgg16(vgg)),
  vgg16Bn: vision(() => models.vgg16Bn(vgg)),
  vgg19: vision(() => models.vgg19(vgg)),
  vgg19Bn: vision(() => models.vgg19Bn(vgg)),
  resnet18Cifar: vision(() => models.resnet18Cifar()),
  resnet18: vision(() => models.resnet18(resnet)),
  resnet34: vision(() => models.resnet34(resnet)),
  resnet50: vision(() => models.resnet50(resnet)),
  resnet101: deep(() => models.resnet101(), [1, 2, 8, 1]),
  resnet152: deep(() => models.resnet152(), [1, 3, 12, 1]),
  resnext50_32x4d: vision(() => models.resnext50_32x4d(resnet)),
  resnext101_32x8d: deep(() => models.resnext101_32x8d(), [1, 2, 8, 1], { groups: 32, widthPerGroup: 8 }),
  resnext101_64x4d: deep(() => models.resnext101_64x4d(), [1, 2, 8, 1], { groups: 64, widthPerGroup: 4 }),
  wideResnet50_2: vision(() => models.wideResnet50_2(resnet)),
  wideResnet101_2: deep(() => models.wideResnet101_2(), [1, 2, 8, 1], { widthPerGroup: 128 }),
  mobilenetV2: vision(() => models.mobilenetV2(thin)),
  mobilenetV3Small: vision(() => models.mobilenetV3Small(thin)),
  mobilenetV3Large: vision(() => models.mobilenetV3Large(thin)),
  shufflenetV2_x0_5: vision(() => models.shufflenetV2_x0_5(small)),
  shufflenetV2_x1_0: vision(() => models.shufflenetV2_x1_0(small)),
  shufflenetV2_x1_5: vision(() => models.shufflenetV2_x1_5(small)),
  shufflenetV2_x2_0: vision(() => models.shufflenetV2_x2_0(small)),
  efficientnetB0: efficientnet(() => models.efficientnetB0(), 1),
  efficientnetB1: efficientnet(() => models.efficientnetB1(), 1.1),
  efficientnetB2: efficientnet(() => models.efficientnetB2(), 1.2),
  efficientnetB3: efficientnet(() => models.efficientnetB3(), 1.4),
  efficientnetB4: efficientnet(() => models.efficientnetB4(), 1.8),
  efficientnetB5: efficientnet(() => models.efficientnetB5(), 2.2, TF),
  efficientnetB6: efficientnet(() => models.efficientnetB6(), 2.6, TF),
  efficientnetB7: efficientnet(() => models.efficientnetB7(), 3.1, TF),
  vitB16: vit(() => models.vitB16(), 16, 12, 12),
  vitB32: vit(() => models.vitB32(), 32, 12, 12),
  vitL16: vit(() => models.vitL16(), 16, 24, 16),
  vitL32: vit(() => models.vitL32(), 32, 24, 16),
  vitH14: vit(() => new models.VisionTransformer({ patchSize: 14, numLayers: 4, numHeads: 16, hiddenDim: 1280, mlpDim: 5120 }), 14, 32, 16),
  'VisionTransformer, with a representation': vision(() => new models.VisionTransformer({ ...few, imageSize: 32, patchSize: 16, numLayers: 1, numHeads: 2, hiddenDim: 16, mlpDim: 24, representationSize: 12 })),
  UNet: vision(() => new models.UNet(FULL ? {} : { width: 8 })),
  'UNet, bilinear': vision(() => new models.UNet(FULL ? { bilinear: true } : { width: 8, bilinear: true })),
  'UNet, an odd size': vision(() => new models.UNet({ width: 8, channels: 3, numClasses: 4 }), 37),
  LSTMNet: takes(() => new models.LSTMNet({ inputs: 5, hidden: 8, layers: 2 }), [2, 4, 5]),
  GPT: language(() => new models.GPT({ vocab: 60, block: 32, layers: 2, heads: 2, d: 16 })),
  GPTBlock: takes(() => new models.GPTBlock({ vocab: 60, block: 32, layers: 2, heads: 2, d: 16 }), [2, 7, 16]),
  GPT2Model: language(() => new models.GPT2Model({ vocabSize: 60, nPositions: 32, nEmbd: 16, nLayer: 2, nHead: 2 })),
  gpt2: language(() => models.gpt2(FULL ? {} : { ...gpt2, nEmbd: 24 })),
  gpt2Medium: language(() => models.gpt2Medium(FULL ? {} : { ...gpt2, nEmbd: 32 })),
  gpt2Large: language(() => models.gpt2Large(FULL ? { nLayer: 8 } : { ...gpt2, nEmbd: 40, nLayer: 4 })),
  gpt2Xl: language(() => models.gpt2Xl(FULL ? { nLayer: 6 } : { ...gpt2, nEmbd: 50, nLayer: 4 })),
  BertModel: language(() => new models.BertModel(bert)),
  'BertModel, with a mask and segments': language(() => new models.BertModel(bert), padding),
  'BertModel, without pooler': language(() => new models.BertModel({ ...bert, hiddenAct: 'gelu_new' }, { addPoolingLayer: false })),
  BertForMaskedLM: language(() => new models.BertForMaskedLM(bert), padding),
  BertForSequenceClassification: language(() => new models.BertForSequenceClassification({ ...bert, hiddenAct: 'silu' }, { numLabels: 3 }), padding),
  LlamaModel: language(() => new models.LlamaModel(llama)),
  LlamaForCausalLM: kin({}),
  'LlamaForCausalLM, Llama 3': kin({ numKeyValueHeads: 2, tieWordEmbeddings: true, ropeScaling: llama3 }),
  'LlamaForCausalLM, linear positions': kin({ ropeScaling: { ropeType: 'linear', factor: 2 } }),
  'LlamaForCausalLM, positions by factors': kin({ ropeScaling: { ropeType: 'factors', factors: [1, 3] } }),
  'LlamaForCausalLM, Mistral': kin({ numKeyValueHeads: 2, slidingWindow: 3 }),
  'LlamaForCausalLM, Qwen2': kin({ numKeyValueHeads: 2, qkvBias: true, tieWordEmbeddings: true }),
  'LlamaForCausalLM, Qwen3': kin({ numKeyValueHeads: 1, headDim: 6, qkNorm: true }),
  'LlamaForCausalLM, with biases': kin({ attentionBias: true, mlpBias: true }),
  LogisticRegression: click(() => new models.LogisticRegression(columns)),
  FactorizationMachine: click(() => new models.FactorizationMachine(columns)),
  WideDeep: click(() => new models.WideDeep({ ...columns, hidden: 16 })),
  DeepFM: click(() => new models.DeepFM({ ...columns, hidden: 16 })),
  'DeepFM, without numbers': click(() => new models.DeepFM({ ...columns, dense: 0, hidden: 16 })),
  DLRM: click(() => new models.DLRM(columns)),
  Tower: takes(() => new models.Tower(6, [8, 4]), [5, 6]),
  'Tower, with Dice': takes(() => new models.Tower(6, [8, 4], { activation: 'dice' }), [5, 6]),
  CrossNetwork: takes(() => new models.CrossNetwork(6, 2), [5, 6]),
  CrossNetworkV2: takes(() => new models.CrossNetworkV2(6, 2), [5, 6]),
  'CrossNetworkV2, of low rank': takes(() => new models.CrossNetworkV2(6, 2, 3), [5, 6]),
  CrossNetworkMix: takes(() => new models.CrossNetworkMix(6, 2, 3, 2), [5, 6]),
  CompressedInteraction: takes(() => new models.CompressedInteraction(4, [5, 3]), [5, 4, 6]),
  FieldAttention: takes(() => new models.FieldAttention(6, 2, 3), [5, 4, 6]),
  FieldExcitation: takes(() => new models.FieldExcitation(4), [5, 4, 6]),
  BilinearInteraction: takes(() => new models.BilinearInteraction(4, 6), [5, 4, 6]),
  Dice: takes(() => new models.Dice(6), [5, 4, 6]),
  TargetAttention: takes(() => new models.TargetAttention(6), [5, 4, 6], [5, 4], [5, 6]),
  GatedExperts: { make: () => new models.GatedExperts(6, 3, [5]), args: () => [randn([5, 6]), [randn([5, 3]), randn([5, 3])]] },
}; // biome-ignore format: a table

for (const [name, { make, args }] of Object.entries(ZOO))
  it(`exports ${name}`, async () => {
    manualSeed(1);
    const model = make().eval();
    unsettle(model);
    const example = args();
    await compare(onnx.export(model, example), model, example);
  }, 600_000);

/**
 * What tenon/models has besides models: parts that ResNets, GPTs and EfficientNets above are made of, their classes,
 * and functions.
 */
const PARTS = [
  ...['AlexNet', 'VGG', 'ResNet', 'BasicBlock', 'Bottleneck', 'MobileNetV2', 'MobileNetV3', 'ShuffleNetV2', 'EfficientNet'],
  ...['SqueezeExcitation', 'StochasticDepth', 'GPT2LMHeadModel', 'CausalLM'],
  ...['keepTopK', 'keepTopP', 'penalise', 'sampleToken'],
  ...['pairwiseSum', 'pairwiseDots', 'lowerTriangle', 'fieldAwareSum', 'weightedSum'],
]; // biome-ignore format: a table

it('leaves no model of the zoo out', () => {
  const covered = new Set([...PARTS, ...Object.keys(ZOO).map(name => name.split(',')[0])]);
  expect(Object.keys(models).filter(name => !covered.has(name))).toEqual([]);
});
