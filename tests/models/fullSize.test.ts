/**
 * Every architecture of the zoo at full size: the number of parameters, as published, and all names and shapes, as in
 * PyTorch (figures: python3 tests/support/torch_zoo.py). Evaluates nothing, so large models cost nothing.
 */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as models from '../../src/models/index.ts';
import type { AnyModule } from '../../src/nn/index.ts';
import { namesOf } from './digest.ts';

interface Full {
  readonly parameters: number;
  readonly names: string;
}

const FIGURES = JSON.parse(readFileSync(new URL('../fixtures/zoo.json', import.meta.url), 'utf8')) as Record<
  string,
  Full
>;

const TINY_LLAMA = { hiddenSize: 2048, intermediateSize: 5632, numHiddenLayers: 22, numKeyValueHeads: 4 };
const LLAMA_32 = {
  vocabSize: 128256,
  hiddenSize: 2048,
  intermediateSize: 8192,
  numHiddenLayers: 16,
  numKeyValueHeads: 8,
  tieWordEmbeddings: true,
};
const QWEN = { vocabSize: 151936, tieWordEmbeddings: true };
const QWEN_25 = {
  ...QWEN,
  hiddenSize: 896,
  intermediateSize: 4864,
  numHiddenLayers: 24,
  numAttentionHeads: 14,
  numKeyValueHeads: 2,
  qkvBias: true,
};
const QWEN_3 = {
  ...QWEN,
  hiddenSize: 1024,
  intermediateSize: 3072,
  numHiddenLayers: 28,
  numAttentionHeads: 16,
  numKeyValueHeads: 8,
  headDim: 128,
  qkNorm: true,
};

/** Full-size models whose maker is not of the fixture's name. */
const FULL: Readonly<Record<string, () => AnyModule>> = {
  UNet: () => new models.UNet(),
  'UNet.bilinear': () => new models.UNet({ bilinear: true }),
  BertModel: () => new models.BertModel(),
  BertForMaskedLM: () => new models.BertForMaskedLM(),
  BertForSequenceClassification: () => new models.BertForSequenceClassification(),
  'llama.7B': () => new models.LlamaForCausalLM(),
  'llama.tinyLlama': () => new models.LlamaForCausalLM(TINY_LLAMA),
  'llama.llama32_1B': () => new models.LlamaForCausalLM(LLAMA_32),
  'llama.qwen25_05B': () => new models.LlamaForCausalLM(QWEN_25),
  'llama.qwen3_06B': () => new models.LlamaForCausalLM(QWEN_3),
};

/** Parameter counts that the models' publishers state. */
const PUBLISHED: Readonly<Record<string, number>> = {
  alexnet: 61_100_840,
  vgg11: 132_863_336,
  vgg16Bn: 138_365_992,
  vgg19: 143_667_240,
  resnet18: 11_689_512,
  resnet34: 21_797_672,
  resnet50: 25_557_032,
  resnet101: 44_549_160,
  resnet152: 60_192_808,
  resnext50_32x4d: 25_028_904,
  wideResnet50_2: 68_883_240,
  mobilenetV2: 3_504_872,
  mobilenetV3Small: 2_542_856,
  mobilenetV3Large: 5_483_032,
  shufflenetV2_x1_0: 2_278_604,
  efficientnetB0: 5_288_548,
  efficientnetB7: 66_347_960,
  vitB16: 86_567_656,
  vitL16: 304_326_632,
  vitH14: 632_045_800,
  gpt2: 124_439_808,
  BertModel: 109_482_240,
  'llama.7B': 6_738_415_616,
};

const names = Object.keys(FIGURES).flatMap(key => (key.startsWith('full ') ? [key.slice('full '.length)] : []));

it.each(names)('%s has the published names and number of parameters', name => {
  const figures = FIGURES[`full ${name}`]!;
  const make = FULL[name] ?? (models as unknown as Record<string, () => AnyModule>)[name]!;
  const model = make();
  const count = model.parameters().reduce((sum, p) => sum + p.numel(), 0);
  expect(count).toBe(figures.parameters);
  expect(PUBLISHED[name] ?? count).toBe(count);
  expect(namesOf(model)).toBe(figures.names);
});
