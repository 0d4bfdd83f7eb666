/**
 * Decoders of the LLaMA family (Touvron et al. 2023: RMSNorm, rotary positions, SwiGLU; grouped keys and values from
 * LLaMA 2 on), with Hugging Face's parameter names: LLaMA 1 to 3, Mistral, Qwen2 (biases on q, k and v) and Qwen3
 * (norms on q and k), and all that share their layout.
 */

import { Embedding, init, Linear, Module, ModuleList, RMSNorm } from '../../nn/index.ts';
import { shapeText } from '../../tensor/convert.ts';
import { F, type Tensor } from '../../tensor/index.ts';
import { checkNames } from '../../tensor/options.ts';
import { cachedAttention, causalAttention, type KeyValueCache, type LayerCache, newCache } from './cache.ts';
import { CausalLM } from './generate.ts';
import { type RopeScaling, type Rotation, ropeFrequencies, rotate, rotation } from './rope.ts';
import { tiedHead } from './tied.ts';

export interface LlamaConfig {
  /** 32000 by default. */
  readonly vocabSize?: number;
  /** Features; 4096 by default. */
  readonly hiddenSize?: number;
  /** Hidden features of the feed-forward part; 11008 by default. */
  readonly intermediateSize?: number;
  /** 32 by default. */
  readonly numHiddenLayers?: number;
  /** 32 by default. */
  readonly numAttentionHeads?: number;
  /** Heads of keys and values, each shared by several of the queries'; as many as numAttentionHeads by default. */
  readonly numKeyValueHeads?: number;
  /** Features of a head; hiddenSize / numAttentionHeads by default. */
  readonly headDim?: number;
  /** Longest sequence; 2048 by default. */
  readonly maxPositionEmbeddings?: number;
  /** 1e-6 by default. */
  readonly rmsNormEps?: number;
  /** Base of the rotary frequencies; 10000 by default. */
  readonly ropeTheta?: number;
  readonly ropeScaling?: RopeScaling;
  /** Biases of the q, k, v projections: false by default, true for Qwen2. */
  readonly qkvBias?: boolean;
  /** Bias of the attention's output projection; false by default. */
  readonly attentionBias?: boolean;
  /** Biases of the feed-forward part; false by default. */
  readonly mlpBias?: boolean;
  /** RMSNorm of each head's queries and keys (Qwen3); false by default. */
  readonly qkNorm?: boolean;
  /** How many positions back a token sees (Mistral 0.1); all by default. */
  readonly slidingWindow?: number;
  /** Whether the head is the token embedding once more; false by default. */
  readonly tieWordEmbeddings?: boolean;
  /** Standard deviation of new weights; 0.02 by default. */
  readonly initializerRange?: number;
  /** [2] by default. */
  readonly eosTokenIds?: readonly number[];
}

type FullConfig = Required<Omit<LlamaConfig, 'slidingWindow'>> & Pick<LlamaConfig, 'slidingWindow'>;

function complete(config: LlamaConfig): FullConfig {
  const { numAttentionHeads = 32, hiddenSize = 4096 } = config;
  const defaults: FullConfig = {
    vocabSize: 32000,
    intermediateSize: 11008,
    numHiddenLayers: 32,
    numKeyValueHeads: numAttentionHeads,
    headDim: hiddenSize / numAttentionHeads,
    maxPositionEmbeddings: 2048,
    rmsNormEps: 1e-6,
    ropeTheta: 10000,
    ropeScaling: { ropeType: 'default' },
    qkvBias: false,
    attentionBias: false,
    mlpBias: false,
    qkNorm: false,
    tieWordEmbeddings: false,
    initializerRange: 0.02,
    eosTokenIds: [2],
    hiddenSize,
    numAttentionHeads,
  };
  checkNames('Llama', config, [...Object.keys(defaults), 'slidingWindow']);
  const full = { ...defaults, ...config };
  const { numKeyValueHeads, headDim } = full;
  if (numAttentionHeads % numKeyValueHeads !== 0 || !Number.isInteger(headDim) || headDim % 2 !== 0)
    throw new RangeError(
      `Llama: ${numAttentionHeads} heads of ${headDim} features over ${numKeyValueHeads} of keys came; heads must share keys evenly and have an even size`,
    );
  return full;
}

/** [B, T, hidden] -> the same; over the cache when one is given. */
class LlamaAttention extends Module<[x: Tensor, turn: Rotation, cache?: LayerCache, position?: Tensor]> {
  readonly qProj: Linear;
  readonly kProj: Linear;
  readonly vProj: Linear;
  readonly oProj: Linear;
  readonly qNorm: RMSNorm | null;
  readonly kNorm: RMSNorm | null;
  readonly config: FullConfig;

  constructor(config: FullConfig) {
    super();
    const { hiddenSize, numAttentionHeads, numKeyValueHeads, headDim, attentionBias } = config;
    const bias = config.qkvBias || attentionBias;
    this.config = config;
    this.qProj = new Linear(hiddenSize, numAttentionHeads * headDim, { bias });
    this.kProj = new Linear(hiddenSize, numKeyValueHeads * headDim, { bias });
    this.vProj = new Linear(hiddenSize, numKeyValueHeads * headDim, { bias });
    this.oProj = new Linear(numAttentionHeads * headDim, hiddenSize, { bias: attentionBias });
    const norm = (): RMSNorm | null => (config.qkNorm ? new RMSNorm(headDim, { eps: config.rmsNormEps }) : null);
    this.qNorm = norm();
    this.kNorm = norm();
  }

  forward(x: Tensor, turn: Rotation, cache?: LayerCache, position?: Tensor): Tensor {
    const [batch, length] = x.shape as [number, number];
    const { headDim, slidingWindow: window } = this.config;
    const heads = (projection: Linear, norm: RMSNorm | null): Tensor => {
      const split = projection.call(x).reshape([batch, length, -1, headDim]);
      return (norm ? norm.call(split) : split).transpose(1, 2);
    };
    const q = rotate(heads(this.qProj, this.qNorm), turn);
    const k = rotate(heads(this.kProj, this.kNorm), turn);
    const v = heads(this.vProj, null);
    const joined =
      cache && position
        ? cachedAttention(q, k, v, cache, position, { window })
        : causalAttention(q, k, v, 0, { window });
    return this.oProj.call(joined);
  }
}

/** down(silu(gate(x)) * up(x)) (Shazeer 2020). */
class LlamaMLP extends Module {
  readonly gateProj: Linear;
  readonly upProj: Linear;
  readonly downProj: Linear;

  constructor({ hiddenSize, intermediateSize, mlpBias: bias }: FullConfig) {
    super();
    this.gateProj = new Linear(hiddenSize, intermediateSize, { bias });
    this.upProj = new Linear(hiddenSize, intermediateSize, { bias });
    this.downProj = new Linear(intermediateSize, hiddenSize, { bias });
  }

  forward(x: Tensor): Tensor {
    return this.downProj.call(F.silu(this.gateProj.call(x)).mul(this.upProj.call(x)));
  }
}

/** Attention and the feed-forward part, each normalised before and added to its input. */
class LlamaDecoderLayer extends Module<[x: Tensor, turn: Rotation, cache?: LayerCache, position?: Tensor]> {
  readonly selfAttn: LlamaAttention;
  readonly mlp: LlamaMLP;
  readonly inputLayernorm: RMSNorm;
  readonly postAttentionLayernorm: RMSNorm;

  constructor(config: FullConfig) {
    super();
    const { hiddenSize, rmsNormEps: eps } = config;
    this.selfAttn = new LlamaAttention(config);
    this.mlp = new LlamaMLP(config);
    this.inputLayernorm = new RMSNorm(hiddenSize, { eps });
    this.postAttentionLayernorm = new RMSNorm(hiddenSize, { eps });
  }

  forward(x: Tensor, turn: Rotation, cache?: LayerCache, position?: Tensor): Tensor {
    const attended = x.add(this.selfAttn.call(this.inputLayernorm.call(x), turn, cache, position));
    return attended.add(this.mlp.call(this.postAttentionLayernorm.call(attended)));
  }
}

/** Token indices [B, T] -> hidden states [B, T, hiddenSize]. */
export class LlamaModel extends Module<[tokens: Tensor, cache?: KeyValueCache, position?: Tensor]> {
  readonly embedTokens: Embedding;
  readonly layers: ModuleList<LlamaDecoderLayer>;
  readonly norm: RMSNorm;
  readonly config: FullConfig;

  constructor(config: LlamaConfig = {}) {
    super();
    this.config = complete(config);
    const { vocabSize, hiddenSize, numHiddenLayers, rmsNormEps } = this.config;
    this.embedTokens = new Embedding(vocabSize, hiddenSize);
    this.layers = new ModuleList(Array.from({ length: numHiddenLayers }, () => new LlamaDecoderLayer(this.config)));
    this.norm = new RMSNorm(hiddenSize, { eps: rmsNormEps });
    for (const [key, parameter] of this.namedParameters()) {
      if (parameter.ndim > 1) init.normal_(parameter, 0, this.config.initializerRange);
      else if (key.endsWith('bias')) init.zeros_(parameter);
    }
  }

  forward(tokens: Tensor, cache?: KeyValueCache, position?: Tensor): Tensor {
    const length = tokens.shape[1];
    const { maxPositionEmbeddings, headDim, ropeTheta, ropeScaling } = this.config;
    if (tokens.ndim !== 2 || length! > maxPositionEmbeddings)
      throw new RangeError(
        `Llama: tokens ${shapeText(tokens.shape)} came, expected [batch, at most ${maxPositionEmbeddings}]`,
      );
    let x = this.embedTokens.call(tokens);
    const frequencies = ropeFrequencies(headDim, ropeTheta, ropeScaling);
    const turn = rotation(frequencies, length!, position?.to('i32') ?? 0, x.dtype);
    let layer = 0;
    for (const block of this.layers) x = block.call(x, turn, cache?.[layer++], position);
    return this.norm.call(x);
  }
}

/** The decoder with its head: [B, T] -> logits [B, T, vocab]. */
export class LlamaForCausalLM extends CausalLM {
  readonly model: LlamaModel;
  readonly lmHead: Linear;
  readonly config: FullConfig;

  constructor(config: LlamaConfig = {}) {
    super();
    this.model = new LlamaModel(config);
    this.config = this.model.config;
    const { hiddenSize, vocabSize, tieWordEmbeddings, initializerRange } = this.config;
    this.lmHead = tieWordEmbeddings
      ? tiedHead(this.model.embedTokens)
      : new Linear(hiddenSize, vocabSize, { bias: false });
    if (!tieWordEmbeddings) init.normal_(this.lmHead.weight, 0, initializerRange);
  }

  get vocabSize(): number {
    return this.config.vocabSize;
  }

  get maxLength(): number {
    return this.config.maxPositionEmbeddings;
  }

  get eosTokenIds(): readonly number[] {
    return this.config.eosTokenIds;
  }

  forward(tokens: Tensor): Tensor {
    return this.lmHead.call(this.model.call(tokens));
  }

  newCache(capacity: number, batch = 1): KeyValueCache {
    const { numHiddenLayers: layers, numKeyValueHeads: heads, headDim: headSize } = this.config;
    const { dtype } = this.lmHead.weight;
    return newCache({ layers, batch, heads, capacity, headSize, dtype });
  }

  step(tokens: Tensor, position: Tensor, cache: KeyValueCache): Tensor {
    return this.lmHead.call(this.model.call(tokens, cache, position).select(1, -1));
  }
}
