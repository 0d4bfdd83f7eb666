/**
 * Every architecture of the zoo has a summary: its layers in the order they run, whose parameters add up.
 */
import { expect, it } from 'vitest';
import * as models from '../../src/models/index.ts';
import type { AnyModule } from '../../src/nn/index.ts';
import { zeros } from '../../src/tensor/index.ts';

const image = [1, 3, 64, 64];
const tokens = zeros([1, 4], { dtype: 'i64' });
const language = { vocabSize: 11, hiddenSize: 8, intermediateSize: 12, numHiddenLayers: 1, numAttentionHeads: 2 };
const patches = { imageSize: 64, patchSize: 16, numLayers: 1, numHeads: 2, hiddenDim: 8, mlpDim: 12 };

const CASES: Readonly<
  Record<string, readonly [model: AnyModule, input: readonly number[] | typeof tokens, output: string]>
> = {
  LeNet: [new models.LeNet(), [1, 1, 28, 28], '[1, 10]'],
  AlexNet: [models.alexnet(), image, '[1, 1000]'],
  VGG: [models.vgg19Bn(), image, '[1, 1000]'],
  ResNet: [models.resnet152(), image, '[1, 1000]'],
  MobileNetV2: [models.mobilenetV2(), image, '[1, 1000]'],
  MobileNetV3: [models.mobilenetV3Large(), image, '[1, 1000]'],
  ShuffleNetV2: [models.shufflenetV2_x1_0(), image, '[1, 1000]'],
  EfficientNet: [models.efficientnetB7(), image, '[1, 1000]'],
  VisionTransformer: [new models.VisionTransformer(patches), image, '[1, 1000]'],
  UNet: [new models.UNet(), image, '[1, 2, 64, 64]'],
  GPT: [new models.GPT({ block: 8, layers: 1, heads: 2, d: 8, vocab: 11 }), tokens, '[1, 4, 8]'],
  GPT2LMHeadModel: [models.gpt2({ vocabSize: 11, nEmbd: 8, nLayer: 1, nHead: 2 }), tokens, '[1, 4, 11]'],
  LlamaForCausalLM: [new models.LlamaForCausalLM(language), tokens, '[1, 4, 11]'],
  BertModel: [new models.BertModel(language), tokens, '[1, 8]'],
  LSTMNet: [new models.LSTMNet({ inputs: 4, hidden: 8 }), [1, 3, 4], '[1, 10]'],
};

it.each(Object.keys(CASES))('%s', name => {
  const [model, input, output] = CASES[name]!;
  const lines = model.summary(input).split('\n');
  const rows = lines.slice(2, -2);
  const count = (line: string): number => Number(/([\d,]+)\s*$/.exec(line)![1]!.replaceAll(',', ''));
  const total = model.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0);
  expect(rows.reduce((sum, row) => sum + count(row), 0)).toBe(total);
  expect(lines.at(-1)).toContain(`${total.toLocaleString('en')} parameters`);
  expect(rows.some(row => row.includes(output))).toBe(true);
});
