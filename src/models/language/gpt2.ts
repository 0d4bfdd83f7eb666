/**
 * GPT-2 (Radford et al. 2019), with Hugging Face's parameter names and layouts: its "Conv1D" layers are matrices [in,
 * out].
 */

import { Dropout, Embedding, init, LayerNorm, type Linear, Module, ModuleList } from '../../nn/index.ts';
import { shapeText } from '../../tensor/convert.ts';
import { arange, F, type Parameter, type Tensor } from '../../tensor/index.ts';
import { checkNames } from '../../tensor/options.ts';
import { cachedAttention, causalAttention, type KeyValueCache, type LayerCache, newCache } from './cache.ts';
import { CausalLM } from './generate.ts';
import { tiedHead } from './tied.ts';

export interface GPT2Config {
  /** 50257 by default. */
  readonly vocabSize?: number;
  /** Longest sequence; 1024 by default. */
  readonly nPositions?: number;
  /** Features; 768 by default. */
  readonly nEmbd?: number;
  /** 12 by default. */
  readonly nLayer?: number;
  /** 12 by default. */
  readonly nHead?: number;
  /** Hidden features of the feed-forward part; 4 * nEmbd by default. */
  readonly nInner?: number | null;
  /** Dropout of embeddings, of attention weights and of both parts of each block; 0.1 each by default. */
  readonly embdPdrop?: number;
  readonly attnPdrop?: number;
  readonly residPdrop?: number;
  /** 1e-5 by default. */
  readonly layerNormEpsilon?: number;
  /** 50256 by default. */
  readonly eosTokenId?: number;
}

type FullConfig = Required<GPT2Config>;

const DEFAULTS: FullConfig = {
  vocabSize: 50257,
  nPositions: 1024,
  nEmbd: 768,
  nLayer: 12,
  nHead: 12,
  nInner: null,
  embdPdrop: 0.1,
  attnPdrop: 0.1,
  residPdrop: 0.1,
  layerNormEpsilon: 1e-5,
  eosTokenId: 50256,
};

/** y = x W + b with W [in, out]. */
class Conv1D extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(inFeatures: number, outFeatures: number, std = 0.02) {
    super();
    this.weight = init.normal_(init.blank([inFeatures, outFeatures]), 0, std);
    this.bias = init.blank([outFeatures]);
  }

  forward(x: Tensor): Tensor {
    return x.matmul(this.weight).add(this.bias);
  }
}

/** [B, T, features] -> the same; over the cache when one is given. */
class Attention extends Module<[x: Tensor, cache?: LayerCache, position?: Tensor]> {
  readonly cAttn: Conv1D;
  readonly cProj: Conv1D;
  readonly attnDropout: Dropout;
  readonly residDropout: Dropout;
  readonly nHead: number;

  constructor({ nEmbd, nHead, nLayer, attnPdrop, residPdrop }: FullConfig) {
    super();
    if (nEmbd % nHead !== 0) throw new RangeError(`GPT2: ${nEmbd} features do not split into ${nHead} heads`);
    this.nHead = nHead;
    this.cAttn = new Conv1D(nEmbd, 3 * nEmbd);
    // Projections into the residual stream shrink with the number of parts that add to it.
    this.cProj = new Conv1D(nEmbd, nEmbd, 0.02 / Math.sqrt(2 * nLayer));
    this.attnDropout = new Dropout(attnPdrop);
    this.residDropout = new Dropout(residPdrop);
  }

  forward(x: Tensor, cache?: LayerCache, position?: Tensor): Tensor {
    const [batch, length, features] = x.shape as [number, number, number];
    const [q, k, v] = this.cAttn
      .call(x)
      .chunk(3, 2)
      .map(part => part.reshape([batch, length, this.nHead, features / this.nHead]).transpose(1, 2)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const drop = (weights: Tensor): Tensor => this.attnDropout.call(weights);
    const joined =
      cache && position ? cachedAttention(q, k, v, cache, position) : causalAttention(q, k, v, 0, { drop });
    return this.residDropout.call(this.cProj.call(joined));
  }
}

/** The feed-forward part. */
class MLP extends Module {
  readonly cFc: Conv1D;
  readonly cProj: Conv1D;
  readonly dropout: Dropout;

  constructor({ nEmbd, nInner, nLayer, residPdrop }: FullConfig) {
    super();
    const hidden = nInner ?? 4 * nEmbd;
    this.cFc = new Conv1D(nEmbd, hidden);
    this.cProj = new Conv1D(hidden, nEmbd, 0.02 / Math.sqrt(2 * nLayer));
    this.dropout = new Dropout(residPdrop);
  }

  forward(x: Tensor): Tensor {
    return this.dropout.call(this.cProj.call(F.gelu(this.cFc.call(x), { approximate: 'tanh' })));
  }
}

/** Attention and a feed-forward network, each normalised before and added to its input. */
class Block extends Module<[x: Tensor, cache?: LayerCache, position?: Tensor]> {
  readonly ln_1: LayerNorm;
  readonly attn: Attention;
  readonly ln_2: LayerNorm;
  readonly mlp: MLP;

  constructor(config: FullConfig) {
    super();
    const norm = (): LayerNorm => new LayerNorm(config.nEmbd, { eps: config.layerNormEpsilon });
    this.ln_1 = norm();
    this.attn = new Attention(config);
    this.ln_2 = norm();
    this.mlp = new MLP(config);
  }

  forward(x: Tensor, cache?: LayerCache, position?: Tensor): Tensor {
    const attended = x.add(this.attn.call(this.ln_1.call(x), cache, position));
    return attended.add(this.mlp.call(this.ln_2.call(attended)));
  }
}

/** Token indices [B, T] -> hidden states [B, T, nEmbd]. */
export class GPT2Model extends Module<[tokens: Tensor, cache?: KeyValueCache, position?: Tensor]> {
  readonly wte: Embedding;
  readonly wpe: Embedding;
  readonly drop: Dropout;
  readonly h: ModuleList<Block>;
  readonly lnF: LayerNorm;
  readonly config: FullConfig;

  constructor(config: GPT2Config = {}) {
    super();
    checkNames('GPT2', config, Object.keys(DEFAULTS));
    this.config = { ...DEFAULTS, ...config };
    const { vocabSize, nPositions, nEmbd, nLayer, embdPdrop, layerNormEpsilon } = this.config;
    this.wte = new Embedding(vocabSize, nEmbd);
    this.wpe = new Embedding(nPositions, nEmbd);
    for (const { weight } of [this.wte, this.wpe]) init.normal_(weight, 0, 0.02);
    this.drop = new Dropout(embdPdrop);
    this.h = new ModuleList(Array.from({ length: nLayer }, () => new Block(this.config)));
    this.lnF = new LayerNorm(nEmbd, { eps: layerNormEpsilon });
  }

  forward(tokens: Tensor, cache?: KeyValueCache, position?: Tensor): Tensor {
    const length = tokens.shape[1];
    const { nPositions } = this.config;
    if (tokens.ndim !== 2 || length! > nPositions)
      throw new RangeError(`GPT2: tokens ${shapeText(tokens.shape)} came, expected [batch, at most ${nPositions}]`);
    const places = position ? this.wpe.call(arange(length!).add(position)) : this.wpe.weight.narrow(0, 0, length!);
    let x = this.drop.call(this.wte.call(tokens).add(places));
    let layer = 0;
    for (const block of this.h) x = block.call(x, cache?.[layer++], position);
    return this.lnF.call(x);
  }
}

/** GPT-2 with its head, the token embeddings once more: [B, T] -> logits [B, T, vocab]. */
export class GPT2LMHeadModel extends CausalLM {
  readonly transformer: GPT2Model;
  readonly lmHead: Linear;
  readonly config: FullConfig;

  constructor(config: GPT2Config = {}) {
    super();
    this.transformer = new GPT2Model(config);
    this.config = this.transformer.config;
    this.lmHead = tiedHead(this.transformer.wte);
  }

  get vocabSize(): number {
    return this.config.vocabSize;
  }

  get maxLength(): number {
    return this.config.nPositions;
  }

  get eosTokenIds(): readonly number[] {
    return [this.config.eosTokenId];
  }

  forward(tokens: Tensor): Tensor {
    return this.lmHead.call(this.transformer.call(tokens));
  }

  newCache(capacity: number, batch = 1): KeyValueCache {
    const { nLayer, nHead, nEmbd } = this.config;
    const { dtype } = this.lmHead.weight;
    return newCache({ layers: nLayer, batch, heads: nHead, capacity, headSize: nEmbd / nHead, dtype });
  }

  step(tokens: Tensor, position: Tensor, cache: KeyValueCache): Tensor {
    return this.lmHead.call(this.transformer.call(tokens, cache, position).select(1, -1));
  }
}

/** 124 million parameters. */
export const gpt2 = (config: GPT2Config = {}): GPT2LMHeadModel => new GPT2LMHeadModel(config);
/** 355 million parameters. */
export const gpt2Medium = (config: GPT2Config = {}): GPT2LMHeadModel =>
  new GPT2LMHeadModel({ nEmbd: 1024, nLayer: 24, nHead: 16, ...config });
/** 774 million parameters. */
export const gpt2Large = (config: GPT2Config = {}): GPT2LMHeadModel =>
  new GPT2LMHeadModel({ nEmbd: 1280, nLayer: 36, nHead: 20, ...config });
/** 1.56 billion parameters. */
export const gpt2Xl = (config: GPT2Config = {}): GPT2LMHeadModel =>
  new GPT2LMHeadModel({ nEmbd: 1600, nLayer: 48, nHead: 25, ...config });
