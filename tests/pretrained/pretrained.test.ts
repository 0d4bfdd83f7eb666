/**
 * Published models as they are downloaded: names with and without prefixes, old spellings, shards, tied weights, half
 * types, configurations.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { saveSafetensors } from '../../src/formats/index.ts';
import * as models from '../../src/models/index.ts';
import type { AnyModule, StateDict } from '../../src/nn/index.ts';
import { loadPretrained, loadWeightsInto, modelOf } from '../../src/pretrained/index.ts';
import { matchNames } from '../../src/pretrained/match.ts';
import { manualSeed, ones, type Tensor, tensor } from '../../src/tensor/index.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const temporary = temporaryFolder();
let count = 0;

beforeEach(() => {
  manualSeed(5);
});

/** A fresh folder with a config.json. */
function folderOf(config: unknown): string {
  const folder = path.join(temporary.path, `model${count++}`);
  mkdirSync(folder);
  if (config) writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}

const renamed = (state: StateDict, rename: (name: string) => string | null): StateDict =>
  Object.fromEntries(
    Object.entries(state).flatMap(([key, value]) => {
      const name = rename(key);
      return name === null ? [] : [[name, value]];
    }),
  );

const ids = tensor([[1, 5, 2, 7]], { dtype: 'i64' });
const logitsOf = (model: AnyModule): unknown => (model.forward as (x: Tensor) => Tensor)(ids).toArray();

const GPT2 = {
  architectures: ['GPT2LMHeadModel'],
  model_type: 'gpt2',
  vocab_size: 11,
  n_positions: 8,
  n_embd: 8,
  n_layer: 2,
  n_head: 2,
  n_inner: null,
  activation_function: 'gelu_new',
  eos_token_id: 10,
};

const LLAMA = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 16,
  rms_norm_eps: 1e-5,
  rope_theta: 500,
  hidden_act: 'silu',
  eos_token_id: [9, 10],
};

const BERT = {
  architectures: ['BertForMaskedLM'],
  model_type: 'bert',
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 8,
  hidden_act: 'gelu',
};

describe('folders', () => {
  it('GPT-2 as published: without the prefix, without the tied head, with the causal mask as an entry', async () => {
    const folder = folderOf(GPT2);
    const source = (modelOf(GPT2) as models.GPT2LMHeadModel).eval();
    const state = renamed(source.stateDict(), key =>
      key === 'lm_head.weight' ? null : key.replace('transformer.', ''),
    );
    saveSafetensors(path.join(folder, 'model.safetensors'), { ...state, 'h.0.attn.bias': ones([1, 1, 8, 8]) });
    writeFileSync(path.join(folder, 'vocab.json'), JSON.stringify({ a: 0, b: 1, ab: 2 }));
    writeFileSync(path.join(folder, 'merges.txt'), '#version: 0.2\na b\n');
    const { model, tokenizer, missing, unexpected } = await loadPretrained(folder, { model: models.GPT2LMHeadModel });
    expect(logitsOf(model)).toEqual(logitsOf(source));
    expect([missing, unexpected, model.training]).toEqual([[], [], false]);
    expect(model.lmHead.weight).toBe(model.transformer.wte.weight);
    expect(tokenizer!.encode('abb')).toEqual([2, 1]);
    expect(model.generate(tokenizer!.encode('ab'), { maxNewTokens: 3, eosTokenIds: [] })).toHaveLength(3);
  });

  it('LLaMA in bf16 and in shards', async () => {
    const folder = folderOf(LLAMA);
    const source = (modelOf(LLAMA) as models.LlamaForCausalLM).eval().to('bf16');
    const entries = Object.entries(source.stateDict());
    const shards = [entries.slice(0, 9), entries.slice(9)];
    const weight_map: Record<string, string> = {};
    shards.forEach((shard, i) => {
      const name = `model-0000${i + 1}-of-00002.safetensors`;
      saveSafetensors(path.join(folder, name), Object.fromEntries(shard));
      for (const [key] of shard) weight_map[key] = name;
    });
    const index = { metadata: { total_size: 1 }, weight_map };
    writeFileSync(path.join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
    const { model } = await loadPretrained(folder, { model: models.LlamaForCausalLM });
    expect([model.config.ropeTheta, model.config.numKeyValueHeads, model.eosTokenIds]).toEqual([500, 2, [9, 10]]);
    expect(model.lmHead.weight.dtype).toBe('f32');
    expect(model.lmHead.weight.toArray()).toEqual(source.lmHead.weight.toArray());
    const half = await loadPretrained(folder, { model: models.LlamaForCausalLM, dtype: 'bf16' });
    expect(half.model.parameters().every(({ dtype }) => dtype === 'bf16')).toBe(true);
    expect(logitsOf(half.model)).toEqual(logitsOf(source));
    expect(half.model.generate([1, 2], { temperature: 0, maxNewTokens: 2, eosTokenIds: [] })).toHaveLength(2);
  });

  it('BERT with the names of its first release; its body alone; a new head', async () => {
    const folder = folderOf(BERT);
    const source = (modelOf(BERT) as models.BertForMaskedLM).eval();
    const old = renamed(source.stateDict(), key =>
      key === 'cls.predictions.decoder.weight' || key === 'cls.predictions.decoder.bias'
        ? null
        : key.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'),
    );
    const extra = {
      'bert.embeddings.position_ids': ones([1, 8]),
      'bert.pooler.dense.weight': ones([8, 8]),
      'bert.pooler.dense.bias': ones([8]),
    };
    saveSafetensors(path.join(folder, 'model.safetensors'), { ...old, ...extra });
    const whole = await loadPretrained(folder);
    expect(logitsOf(whole.model)).toEqual(logitsOf(source));
    expect(whole.unexpected).toEqual(['bert.pooler.dense.bias', 'bert.pooler.dense.weight'].sort());
    expect(whole.tokenizer).toBe(null);

    const { model: body, unexpected } = await loadPretrained(folder, { model: models.BertModel });
    expect(body.call(ids).lastHiddenState.toArray()).toEqual(source.bert.call(ids).lastHiddenState.toArray());
    expect(body.pooler!.dense.bias!.toArray()).toEqual(new Array(8).fill(1));
    expect(unexpected.every(name => name.startsWith('cls.'))).toBe(true);

    const headed = { model: models.BertForSequenceClassification };
    await expect(loadPretrained(folder, headed)).rejects.toThrow(
      'it lacks classifier.weight, classifier.bias, which Bert',
    );
    const { missing } = await loadPretrained(folder, { ...headed, strict: false });
    expect(missing).toEqual(['classifier.weight', 'classifier.bias']);
  });

  it('a ResNet of a data-parallel training, into a model without a configuration', async () => {
    const file = temporary.file('resnet.safetensors');
    const source = models.resnet18Cifar().eval();
    saveSafetensors(
      file,
      renamed(source.stateDict(), key => (key.endsWith('num_batches_tracked') ? null : `module.${key}`)),
    );
    const model = models.resnet18Cifar().eval();
    expect(await loadWeightsInto(model, file)).toEqual({ missing: [], unexpected: [] });
    const sample = (m: models.ResNet): unknown => m.layer3.stateDict()['0.conv2.weight']!.narrow(0, 0, 1).toArray();
    expect(sample(model)).toEqual(sample(source));
  });
});

describe('what is refused', () => {
  it.each([
    [null, 'there is no config.json in it'],
    [GPT2, 'there are no weights in it, expected one of model.safetensors'],
  ])('%#', async (config, message) => {
    await expect(loadPretrained(folderOf(config))).rejects.toThrow(message);
  });

  it.each([
    [
      { architectures: ['FalconForCausalLM'] },
      'the architecture "FalconForCausalLM" is not in the zoo, which has GPT2LMHeadModel',
    ],
    [{}, 'the architecture undefined is not in the zoo'],
    [{ ...LLAMA, hidden_act: 'gelu' }, 'config.json: hidden_act is "gelu", supported: "silu", "swish"'],
    [{ ...LLAMA, hidden_size: '8' }, 'config.json: hidden_size is "8", expected a number'],
    [{ ...LLAMA, rope_scaling: { type: 'yarn' } }, 'rope_scaling of type "yarn", supported: default, linear, llama3'],
    [{ ...LLAMA, rope_scaling: { rope_type: 'linear' } }, 'rope_scaling of type linear lacks factor'],
    [{ ...LLAMA, num_key_value_heads: 3 }, 'Llama: 4 heads of 2 features over 3 of keys came'],
    [{ ...GPT2, activation_function: 'relu' }, 'config.json: activation_function is "relu"'],
  ])('configurations: %#', (config, message) => {
    expect(() => modelOf(config)).toThrow(message);
  });

  it('files that do not fit, by name, and nothing has changed', async () => {
    const model = modelOf(GPT2) as models.GPT2LMHeadModel;
    const before = model.transformer.wte.weight.toArray();
    const file = temporary.file('wrong.safetensors');
    saveSafetensors(file, { ...model.stateDict(), 'transformer.wpe.weight': ones([9, 8]) });
    await expect(loadWeightsInto(model, file)).rejects.toThrow(
      `${file}: wrong shapes for GPT2LMHeadModel: transformer.wpe.weight is [9, 8] instead of [8, 8]`,
    );
    saveSafetensors(file, { other: ones([1]) });
    await expect(loadWeightsInto(model, file)).rejects.toThrow(`${file}: it lacks transformer.wte.weight`);
    expect(model.transformer.wte.weight.toArray()).toEqual(before);
    const folder = folderOf(null);
    writeFileSync(path.join(folder, 'config.json'), '[]');
    await expect(loadPretrained(folder)).rejects.toThrow('config.json: not a configuration: it is no object');
  });
});

describe('configurations', () => {
  const llama = (changes: object): models.LlamaForCausalLM =>
    modelOf({ ...LLAMA, ...changes }) as models.LlamaForCausalLM;

  it('say what family members have of their own', () => {
    expect(llama({ model_type: 'qwen2', sliding_window: 4 }).config).toMatchObject({ qkvBias: true, qkNorm: false });
    expect(llama({ model_type: 'qwen2', sliding_window: 4 }).config.slidingWindow).toBeUndefined();
    expect(llama({ model_type: 'qwen3', head_dim: 4 }).config).toMatchObject({ qkNorm: true, headDim: 4 });
    expect(
      llama({ model_type: 'mistral', architectures: ['MistralForCausalLM'], sliding_window: 4 }).config.slidingWindow,
    ).toBe(4);
    expect(llama({ tie_word_embeddings: true }).config.tieWordEmbeddings).toBe(true);
    const scaling = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8,
    };
    expect(llama({ rope_scaling: scaling }).config.ropeScaling).toMatchObject({ ropeType: 'llama3', lowFreqFactor: 1 });
    expect(
      llama({ rope_theta: undefined, rope_parameters: { rope_type: 'default', rope_theta: 7 } }).config.ropeTheta,
    ).toBe(7);
  });
});

describe('matching names', () => {
  it.each([
    [
      'as they are',
      ['a.x', 'b.y'],
      ['b.y', 'a.x'],
      [
        ['a.x', 'a.x'],
        ['b.y', 'b.y'],
      ],
    ],
    [
      'one prefix too many',
      ['x', 'y'],
      ['m.x', 'm.y'],
      [
        ['x', 'm.x'],
        ['y', 'm.y'],
      ],
    ],
    [
      'two prefixes too many',
      ['x.w', 'y.w'],
      ['a.b.x.w', 'a.b.y.w'],
      [
        ['x.w', 'a.b.x.w'],
        ['y.w', 'a.b.y.w'],
      ],
    ],
    [
      'one prefix too few',
      ['t.x', 't.y'],
      ['x', 'y'],
      [
        ['t.x', 'x'],
        ['t.y', 'y'],
      ],
    ],
    [
      'another prefix',
      ['t.x', 't.y'],
      ['s.x', 's.y'],
      [
        ['t.x', 's.x'],
        ['t.y', 's.y'],
      ],
    ],
    [
      'torchvision before 0.13',
      ['e.mlp.0.weight', 'e.mlp.3.bias'],
      ['e.mlp.linear_1.weight', 'e.mlp.linear_2.bias'],
      [
        ['e.mlp.0.weight', 'e.mlp.linear_1.weight'],
        ['e.mlp.3.bias', 'e.mlp.linear_2.bias'],
      ],
    ],
  ] as const)('%s', (_, own, stored, pairs) => {
    const matched = matchNames(own, stored);
    expect([...matched.pairs].sort()).toEqual([...pairs].map(pair => [...pair]).sort());
    expect([matched.missing, matched.unexpected]).toEqual([[], []]);
  });

  it('a real list: GPT-2 of 2019', () => {
    const own = Object.keys(models.gpt2({ nLayer: 2 }).stateDict());
    const stored = own.filter(key => key !== 'lm_head.weight').map(key => key.replace('transformer.', ''));
    expect(matchNames(own, stored)).toMatchObject({ missing: ['lm_head.weight'], unexpected: [] });
  });
});

it('the package says where it is found', () => {
  const { exports } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    exports: object;
  };
  expect(Object.keys(exports)).toEqual(expect.arrayContaining(['./pretrained', './text', './models']));
});
