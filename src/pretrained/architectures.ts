/**
 * Hugging Face's config.json to models of the zoo.
 */
import {
  type BertConfig,
  BertForMaskedLM,
  BertForSequenceClassification,
  BertModel,
  type GPT2Config,
  GPT2LMHeadModel,
  type LlamaConfig,
  LlamaForCausalLM,
  type RopeScaling,
} from '../models/index.ts';
import type { AnyModule } from '../nn/index.ts';

/** The content of a config.json. */
export type ModelConfig = Readonly<Record<string, unknown>>;

/** A field as a number; undefined where it is missing or null. */
function number(config: ModelConfig, key: string): number | undefined {
  const value = config[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number') throw new Error(`config.json: ${key} is ${JSON.stringify(value)}, expected a number`);
  return value;
}

/** Only the fields that are there: the others keep their defaults. */
const given = <T extends object>(fields: T): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;

/** @throws Error where a field has a value that the model here does not compute */
function expectOnly(config: ModelConfig, key: string, ...allowed: readonly unknown[]): void {
  const value = config[key];
  if (value !== undefined && value !== null && !allowed.includes(value))
    throw new Error(
      `config.json: ${key} is ${JSON.stringify(value)}, supported: ${allowed.map(a => JSON.stringify(a)).join(', ')}`,
    );
}

function eosOf(config: ModelConfig): number[] | undefined {
  const value = config['eos_token_id'];
  if (Array.isArray(value)) return value.map(Number);
  return typeof value === 'number' ? [value] : undefined;
}

function gpt2Config(config: ModelConfig): GPT2Config {
  expectOnly(config, 'activation_function', 'gelu_new', 'gelu_pytorch_tanh');
  expectOnly(config, 'scale_attn_by_inverse_layer_idx', false);
  return given({
    vocabSize: number(config, 'vocab_size'),
    nPositions: number(config, 'n_positions') ?? number(config, 'n_ctx'),
    nEmbd: number(config, 'n_embd'),
    nLayer: number(config, 'n_layer'),
    nHead: number(config, 'n_head'),
    nInner: number(config, 'n_inner'),
    embdPdrop: number(config, 'embd_pdrop'),
    attnPdrop: number(config, 'attn_pdrop'),
    residPdrop: number(config, 'resid_pdrop'),
    layerNormEpsilon: number(config, 'layer_norm_epsilon'),
    eosTokenId: number(config, 'eos_token_id'),
  });
}

function bertConfig(config: ModelConfig): BertConfig {
  expectOnly(config, 'hidden_act', 'gelu', 'gelu_new', 'relu', 'silu');
  expectOnly(config, 'position_embedding_type', 'absolute');
  return given({
    vocabSize: number(config, 'vocab_size'),
    hiddenSize: number(config, 'hidden_size'),
    numHiddenLayers: number(config, 'num_hidden_layers'),
    numAttentionHeads: number(config, 'num_attention_heads'),
    intermediateSize: number(config, 'intermediate_size'),
    hiddenAct: (config['hidden_act'] ?? undefined) as BertConfig['hiddenAct'],
    hiddenDropoutProb: number(config, 'hidden_dropout_prob'),
    attentionProbsDropoutProb: number(config, 'attention_probs_dropout_prob'),
    maxPositionEmbeddings: number(config, 'max_position_embeddings'),
    typeVocabSize: number(config, 'type_vocab_size'),
    layerNormEps: number(config, 'layer_norm_eps'),
    padTokenId: number(config, 'pad_token_id'),
    initializerRange: number(config, 'initializer_range'),
  });
}

/** `rope_scaling`, or `rope_parameters` of newer files, which also holds the base. */
function ropeOf(config: ModelConfig): { readonly theta?: number; readonly scaling?: RopeScaling } {
  const fields = (config['rope_scaling'] ?? config['rope_parameters'] ?? {}) as ModelConfig;
  const theta = number(config, 'rope_theta') ?? number(fields, 'rope_theta');
  const kind = fields['rope_type'] ?? fields['type'] ?? 'default';
  const need = (key: string): number => {
    const value = number(fields, key);
    if (value === undefined) throw new Error(`config.json: rope_scaling of type ${String(kind)} lacks ${key}`);
    return value;
  };
  switch (kind) {
    case 'default':
      return { theta };
    case 'linear':
      return { theta, scaling: { ropeType: 'linear', factor: need('factor') } };
    case 'llama3':
      return {
        theta,
        scaling: {
          ropeType: 'llama3',
          factor: need('factor'),
          lowFreqFactor: need('low_freq_factor'),
          highFreqFactor: need('high_freq_factor'),
          originalMaxPositionEmbeddings: need('original_max_position_embeddings'),
        },
      };
    default:
      throw new Error(`config.json: rope_scaling of type ${JSON.stringify(kind)}, supported: default, linear, llama3`);
  }
}

function llamaConfig(config: ModelConfig): LlamaConfig {
  const family = config['model_type'];
  expectOnly(config, 'hidden_act', 'silu', 'swish');
  const { theta, scaling } = ropeOf(config);
  const qwen = family === 'qwen2' || family === 'qwen3';
  const windowed = qwen ? config['use_sliding_window'] === true : family === 'mistral';
  return given({
    vocabSize: number(config, 'vocab_size'),
    hiddenSize: number(config, 'hidden_size'),
    intermediateSize: number(config, 'intermediate_size'),
    numHiddenLayers: number(config, 'num_hidden_layers'),
    numAttentionHeads: number(config, 'num_attention_heads'),
    numKeyValueHeads: number(config, 'num_key_value_heads'),
    headDim: number(config, 'head_dim'),
    maxPositionEmbeddings: number(config, 'max_position_embeddings'),
    rmsNormEps: number(config, 'rms_norm_eps'),
    ropeTheta: theta,
    ropeScaling: scaling,
    qkvBias: family === 'qwen2' ? true : undefined,
    attentionBias: config['attention_bias'] === true ? true : undefined,
    mlpBias: config['mlp_bias'] === true ? true : undefined,
    qkNorm: family === 'qwen3' ? true : undefined,
    slidingWindow: windowed ? number(config, 'sliding_window') : undefined,
    tieWordEmbeddings: config['tie_word_embeddings'] === true ? true : undefined,
    initializerRange: number(config, 'initializer_range'),
    eosTokenIds: eosOf(config),
  });
}

function labelsOf(config: ModelConfig): number {
  const labels = config['id2label'];
  return typeof labels === 'object' && labels !== null
    ? Object.keys(labels).length
    : (number(config, 'num_labels') ?? 2);
}

const MAKERS: Readonly<Record<string, (config: ModelConfig) => AnyModule>> = {
  GPT2LMHeadModel: config => new GPT2LMHeadModel(gpt2Config(config)),
  BertModel: config => new BertModel(bertConfig(config)),
  BertForMaskedLM: config => new BertForMaskedLM(bertConfig(config)),
  BertForSequenceClassification: config =>
    new BertForSequenceClassification(bertConfig(config), { numLabels: labelsOf(config) }),
  LlamaForCausalLM: config => new LlamaForCausalLM(llamaConfig(config)),
};

/** Architectures that one of ours computes. */
const SAME: Readonly<Record<string, string>> = {
  BertForPreTraining: 'BertForMaskedLM',
  MistralForCausalLM: 'LlamaForCausalLM',
  Qwen2ForCausalLM: 'LlamaForCausalLM',
  Qwen3ForCausalLM: 'LlamaForCausalLM',
};

/** What a configuration without `architectures` means. */
const BY_TYPE: Readonly<Record<string, string>> = {
  gpt2: 'GPT2LMHeadModel',
  bert: 'BertModel',
  llama: 'LlamaForCausalLM',
  mistral: 'LlamaForCausalLM',
  qwen2: 'LlamaForCausalLM',
  qwen3: 'LlamaForCausalLM',
};

/**
 * A new model as a config.json describes it. `as` names another architecture of the family, such as BertModel for the
 * weights of a BertForMaskedLM.
 * @throws Error for architectures and settings that the zoo does not have
 */
export function modelOf(config: ModelConfig, as?: string): AnyModule {
  const listed = config['architectures'];
  const stated = as ?? (Array.isArray(listed) ? String(listed[0]) : BY_TYPE[String(config['model_type'])]);
  const name = stated === undefined ? undefined : (SAME[stated] ?? stated);
  const make = name === undefined ? undefined : MAKERS[name];
  if (!make)
    throw new Error(
      `config.json: the architecture ${JSON.stringify(stated ?? config['model_type'])} is not in the zoo, which has ${[...Object.keys(MAKERS), ...Object.keys(SAME)].join(', ')}`,
    );
  return make(config);
}
