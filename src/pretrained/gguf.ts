/**
 * Language models in GGUF files: LLaMA's family and GPT-2, with quantised blocks read as floats
 * (names: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py).
 */

import { openGguf, type StoredTensor } from '../formats/index.ts';
import { GPT2LMHeadModel, type LlamaConfig, LlamaForCausalLM, type RopeScaling } from '../models/index.ts';
import { type AnyModule, loadTensors } from '../nn/index.ts';
import { shapeText } from '../tensor/convert.ts';
import type { DType, Tensor } from '../tensor/index.ts';

type Metadata = Readonly<Record<string, unknown>>;

/** How a stored tensor becomes a parameter. */
interface Target {
  readonly key: string;
  readonly turn?: (stored: Tensor) => Tensor;
}

interface Architecture {
  readonly model: AnyModule;
  /** Where the tensor of a name goes; null for those that are part of the configuration. */
  readonly target: (name: string) => Target | null;
}

class Fields {
  readonly #metadata: Metadata;
  readonly #architecture: string;

  constructor(metadata: Metadata, architecture: string) {
    this.#metadata = metadata;
    this.#architecture = architecture;
  }

  number(key: string): number | undefined {
    const value = this.#metadata[`${this.#architecture}.${key}`];
    return value === undefined ? undefined : Number(value);
  }

  need(key: string): number {
    const value = this.number(key);
    if (value === undefined) throw new Error(`it lacks ${this.#architecture}.${key}`);
    return value;
  }

  text(key: string): string | undefined {
    const value = this.#metadata[`${this.#architecture}.${key}`];
    return typeof value === 'string' ? value : undefined;
  }

  /** Tokens of the vocabulary. */
  get vocabulary(): number | undefined {
    const tokens = this.#metadata['tokenizer.ggml.tokens'];
    return Array.isArray(tokens) ? tokens.length : this.number('vocab_size');
  }

  get eos(): number | undefined {
    const value = this.#metadata['tokenizer.ggml.eos_token_id'];
    return value === undefined ? undefined : Number(value);
  }
}

const LLAMA_NAMES: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** `blk.3.attn_q.weight` in its parts. */
const BLOCK = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/;

/**
 * Rows of a head with the two features of each rotated pair beside each other, as this kind of file has them, put so
 * that a head's first half is paired with its second.
 */
function unpaired(rows: Tensor, heads: number): Tensor {
  const size = rows.shape[0]! / heads;
  return rows
    .reshape([heads, size / 2, 2, ...rows.shape.slice(1)])
    .transpose(1, 2)
    .reshape(rows.shape);
}

function ropeScaling(fields: Fields, factors: StoredTensor | undefined): RopeScaling | undefined {
  if (factors) return { ropeType: 'factors', factors: Array.from(factors.read().data() as Float32Array) };
  const kind = fields.text('rope.scaling.type') ?? 'none';
  if (kind === 'none') return undefined;
  if (kind === 'linear') return { ropeType: 'linear', factor: fields.need('rope.scaling.factor') };
  throw new Error(`its rope scaling is of type ${JSON.stringify(kind)}, supported: none, linear and factors`);
}

function llama(name: string, fields: Fields, tensors: ReadonlyMap<string, StoredTensor>): Architecture {
  const heads = fields.need('attention.head_count');
  const shared = fields.number('attention.head_count_kv') ?? heads;
  const hiddenSize = fields.need('embedding_length');
  const { eos } = fields;
  const config: LlamaConfig = {
    hiddenSize,
    numAttentionHeads: heads,
    numKeyValueHeads: shared,
    numHiddenLayers: fields.need('block_count'),
    intermediateSize: fields.need('feed_forward_length'),
    headDim: fields.number('attention.key_length') ?? hiddenSize / heads,
    maxPositionEmbeddings: fields.need('context_length'),
    rmsNormEps: fields.need('attention.layer_norm_rms_epsilon'),
    ropeTheta: fields.number('rope.freq_base') ?? 10000,
    ropeScaling: ropeScaling(fields, tensors.get('rope_freqs.weight')) ?? { ropeType: 'default' },
    vocabSize: tensors.get('token_embd.weight')?.shape[0] ?? fields.vocabulary ?? 0,
    tieWordEmbeddings: !tensors.has('output.weight'),
    qkvBias: tensors.has('blk.0.attn_q.bias'),
    qkNorm: tensors.has('blk.0.attn_q_norm.weight'),
    eosTokenIds: eos === undefined ? [] : [eos],
  };
  // Only files of the architecture "llama" pair neighbours.
  const turnOf = (part: string): Target['turn'] => {
    if (name !== 'llama') return undefined;
    if (part === 'attn_q') return rows => unpaired(rows, heads);
    return part === 'attn_k' ? rows => unpaired(rows, shared) : undefined;
  };
  const target = (stored: string): Target | null => {
    if (stored === 'rope_freqs.weight') return null;
    if (stored === 'token_embd.weight') return { key: 'model.embed_tokens.weight' };
    if (stored === 'output_norm.weight') return { key: 'model.norm.weight' };
    if (stored === 'output.weight') return { key: 'lm_head.weight' };
    const [, layer, part, kind] = BLOCK.exec(stored) ?? [];
    return { key: `model.layers.${layer}.${LLAMA_NAMES[part!]}.${kind}`, turn: turnOf(part!) };
  };
  return { model: new LlamaForCausalLM(config), target };
}

const GPT2_NAMES: Readonly<Record<string, string>> = {
  attn_norm: 'ln_1',
  attn_qkv: 'attn.c_attn',
  attn_output: 'attn.c_proj',
  ffn_norm: 'ln_2',
  ffn_up: 'mlp.c_fc',
  ffn_down: 'mlp.c_proj',
};

function gpt2(fields: Fields, tensors: ReadonlyMap<string, StoredTensor>): Architecture {
  const nPositions = fields.need('context_length');
  const model = new GPT2LMHeadModel({
    vocabSize: tensors.get('token_embd.weight')?.shape[0] ?? fields.vocabulary,
    nPositions,
    nEmbd: fields.need('embedding_length'),
    nLayer: fields.need('block_count'),
    nHead: fields.need('attention.head_count'),
    nInner: fields.number('feed_forward_length') ?? null,
    layerNormEpsilon: fields.number('attention.layer_norm_epsilon') ?? 1e-5,
    eosTokenId: fields.eos ?? 50256,
  });
  const target = (stored: string): Target | null => {
    if (stored === 'token_embd.weight') return { key: 'transformer.wte.weight' };
    if (stored === 'position_embd.weight') return { key: 'transformer.wpe.weight' };
    if (stored === 'output.weight') return null;
    if (stored.startsWith('output_norm.')) return { key: stored.replace('output_norm', 'transformer.ln_f') };
    const [, layer, part, kind] = BLOCK.exec(stored) ?? [];
    const key = `transformer.h.${layer}.${GPT2_NAMES[part!]}.${kind}`;
    // GPT-2's own layout is [in, out], the file's [out, in].
    return { key, turn: kind === 'weight' && !part!.endsWith('norm') ? rows => rows.transpose(0, 1) : undefined };
  };
  return { model, target };
}

function architectureOf(metadata: Metadata, tensors: ReadonlyMap<string, StoredTensor>): Architecture {
  const name = String(metadata['general.architecture']);
  const fields = new Fields(metadata, name);
  switch (name) {
    case 'llama':
    case 'qwen2':
    case 'qwen3':
      return llama(name, fields, tensors);
    case 'gpt2':
      return gpt2(fields, tensors);
    default:
      throw new Error(`its architecture is "${name}", the zoo has llama, qwen2, qwen3 and gpt2`);
  }
}

/** The model in a GGUF file, with its weights. @throws Error naming the file and what is wrong with it */
export function loadGgufModel(
  path: string,
  { dtype = 'f32' }: { readonly dtype?: DType } = {},
): { readonly model: AnyModule; readonly metadata: Metadata } {
  const file = openGguf(path);
  try {
    const tensors = new Map(file.tensors.map(tensor => [tensor.name, tensor]));
    const { model, target } = architectureOf(file.metadata, tensors);
    model.toEmpty(dtype);
    const own = model.stateDict();
    const reads = new Map<string, () => Tensor>();
    const loaded = new Set<Tensor>();
    for (const [name, stored] of tensors) {
      const { key, turn } = target(name) ?? {};
      if (key === undefined) continue;
      const place = own[key];
      if (!place) throw new Error(`tensor ${name} has no place in ${model.constructor.name}`);
      if (place.numel() !== stored.shape.reduce((a, n) => a * n, 1))
        throw new Error(`tensor ${name} is ${shapeText(stored.shape)}, and ${key} is ${shapeText(place.shape)}`);
      loaded.add(place);
      reads.set(key, () => (turn ? turn(stored.read()) : stored.read()));
    }
    const missing = Object.keys(own).filter(key => !loaded.has(own[key]!));
    if (missing.length > 0) throw new Error(`it lacks ${missing.slice(0, 8).join(', ')}`);
    loadTensors(own, reads);
    return { model, metadata: file.metadata };
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`);
  } finally {
    file.close();
  }
}
