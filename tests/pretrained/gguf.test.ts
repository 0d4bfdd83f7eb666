/**
 * Models in GGUF files: the same logits as the model they were written from.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import * as models from '../../src/models/index.ts';
import type { AnyModule } from '../../src/nn/index.ts';
import { loadPretrained } from '../../src/pretrained/index.ts';
import { manualSeed, type Tensor, tensor } from '../../src/tensor/index.ts';
import { type GgufTensor, ggufBytes } from '../support/gguf.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
const ids = tensor([[1, 5, 2, 7]], { dtype: 'i64' });
const logitsOf = (model: AnyModule): number[] =>
  (model.forward as (x: Tensor) => Tensor)(ids).flatten().toArray() as number[];

beforeEach(() => {
  manualSeed(9);
});

function expectSame(got: readonly number[], want: readonly number[]): void {
  expect(got).toHaveLength(want.length);
  got.forEach((value, i) => {
    expect(Math.abs(value - want[i]!)).toBeLessThan(1e-5);
  });
}

/** Rows (head, half, j) written as (head, j, half): how llama.cpp's converter lays out q and k. */
function paired({ shape, data }: GgufTensor, heads: number): GgufTensor {
  const width = shape[1] ?? 1;
  const size = shape[0]! / heads;
  const out = new Float32Array(data.length);
  for (let h = 0; h < heads; h++)
    for (let half = 0; half < 2; half++)
      for (let j = 0; j < size / 2; j++) {
        const from = (h * size + half * (size / 2) + j) * width;
        out.set(data.subarray(from, from + width), (h * size + 2 * j + half) * width);
      }
  return { shape, data: out };
}

const stored = (value: Tensor): GgufTensor => ({ shape: value.shape, data: value.data() as Float32Array });

const LLAMA_PARTS = [
  ['input_layernorm', 'attn_norm'],
  ['post_attention_layernorm', 'ffn_norm'],
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
  ['self_attn.o_proj', 'attn_output'],
  ['self_attn.q_norm', 'attn_q_norm'],
  ['self_attn.k_norm', 'attn_k_norm'],
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
] as const;

function llamaFile(architecture: string, model: models.LlamaForCausalLM): Buffer {
  const tensors: Record<string, GgufTensor> = {};
  for (const [key, value] of Object.entries(model.stateDict())) {
    if (key === 'lm_head.weight' && model.config.tieWordEmbeddings) continue;
    let name = key
      .replace('model.embed_tokens', 'token_embd')
      .replace('model.norm', 'output_norm')
      .replace('lm_head', 'output')
      .replace('model.layers.', 'blk.');
    for (const [ours, theirs] of LLAMA_PARTS) name = name.replace(`.${ours}.`, `.${theirs}.`);
    const heads = name.includes('attn_q.') ? 4 : name.includes('attn_k.') ? 2 : 0;
    tensors[name] = architecture === 'llama' && heads > 0 ? paired(stored(value), heads) : stored(value);
  }
  const a = architecture;
  return ggufBytes(
    {
      'general.architecture': a,
      [`${a}.embedding_length`]: 16,
      [`${a}.block_count`]: 2,
      [`${a}.feed_forward_length`]: 24,
      [`${a}.attention.head_count`]: 4,
      [`${a}.attention.head_count_kv`]: 2,
      [`${a}.attention.layer_norm_rms_epsilon`]: { float: 1e-5 },
      [`${a}.attention.key_length`]: model.config.headDim,
      [`${a}.context_length`]: 32,
      [`${a}.rope.freq_base`]: { float: 500 },
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': 'qwen2',
      'tokenizer.ggml.tokens': { strings: [...'abcdefghij', 'ab'] },
      'tokenizer.ggml.merges': { strings: ['a b'] },
      'tokenizer.ggml.eos_token_id': 9,
    },
    tensors,
  );
}

const small = {
  vocabSize: 11,
  hiddenSize: 16,
  intermediateSize: 24,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 32,
  rmsNormEps: 1e-5,
  ropeTheta: 500,
  initializerRange: 0.3,
};

describe('GGUF', () => {
  it.each([
    ['llama', {}],
    ['llama', { tieWordEmbeddings: true }],
    ['qwen2', { qkvBias: true }],
    ['qwen3', { qkNorm: true, headDim: 6 }],
  ] as const)('%s %j', async (architecture, changes) => {
    const source = new models.LlamaForCausalLM({ ...small, ...changes }).eval();
    for (const [key, parameter] of source.namedParameters())
      if (key.endsWith('bias')) parameter.assign(tensor(Array.from({ length: parameter.numel() }, (_, i) => i / 50)));
    const want = logitsOf(source);
    const file = folder.write('model.gguf', llamaFile(architecture, source));
    const { model, tokenizer } = await loadPretrained(file, { model: models.LlamaForCausalLM });
    expectSame(logitsOf(model), want);
    expect([model.eosTokenIds, model.maxLength, model.vocabSize]).toEqual([[9], 32, 11]);
    expect(tokenizer!.encode('abc')).toEqual([10, 2]);
    expect(model.generate(tokenizer!.encode('ab'), { maxNewTokens: 2, eosTokenIds: [] })).toHaveLength(2);
  });

  it('GPT-2, whose matrices lie the other way', async () => {
    const source = models.gpt2({ vocabSize: 11, nPositions: 16, nEmbd: 8, nLayer: 1, nHead: 2, nInner: 12 }).eval();
    const want = logitsOf(source);
    const names: readonly (readonly [string, string])[] = [
      ['transformer.wte', 'token_embd'], ['transformer.wpe', 'position_embd'], ['transformer.ln_f', 'output_norm'],
      ['transformer.h.', 'blk.'], ['ln_1', 'attn_norm'], ['ln_2', 'ffn_norm'], ['attn.c_attn', 'attn_qkv'],
      ['attn.c_proj', 'attn_output'], ['mlp.c_fc', 'ffn_up'], ['mlp.c_proj', 'ffn_down'],
    ]; // biome-ignore format: a table
    const tensors: Record<string, GgufTensor> = {};
    for (const [key, value] of Object.entries(source.stateDict())) {
      if (key.startsWith('lm_head')) continue;
      const name = names.reduce((text, [ours, theirs]) => text.replace(ours, theirs), key);
      tensors[name] = stored(/c_\w+\.weight$/.test(key) ? value.transpose(0, 1).contiguous() : value);
    }
    const metadata = {
      'general.architecture': 'gpt2',
      'gpt2.embedding_length': 8,
      'gpt2.block_count': 1,
      'gpt2.feed_forward_length': 12,
      'gpt2.attention.head_count': 2,
      'gpt2.context_length': 16,
    };
    const file = folder.write('gpt2.gguf', ggufBytes(metadata, tensors));
    const { model, tokenizer } = await loadPretrained(file, { model: models.GPT2LMHeadModel });
    expectSame(logitsOf(model), want);
    expect(tokenizer).toBe(null);
    await expect(loadPretrained(file, { model: models.LlamaForCausalLM })).rejects.toThrow(
      `${file}: it holds a GPT2LMHeadModel, expected a LlamaForCausalLM`,
    );
    delete tensors['blk.0.ffn_up.bias'];
    folder.write('gpt2.gguf', ggufBytes(metadata, tensors));
    await expect(loadPretrained(file)).rejects.toThrow(`${file}: it lacks transformer.h.0.mlp.c_fc.bias`);
    folder.write(
      'gpt2.gguf',
      ggufBytes(metadata, { ...tensors, 'blk.0.what.bias': { shape: [1], data: new Float32Array(1) } }),
    );
    await expect(loadPretrained(file)).rejects.toThrow(
      `${file}: tensor blk.0.what.bias has no place in GPT2LMHeadModel`,
    );
    folder.write('gpt2.gguf', ggufBytes({ 'general.architecture': 'mamba' }, {}));
    await expect(loadPretrained(file)).rejects.toThrow(`${file}: its architecture is "mamba", the zoo has llama`);
  });
});
