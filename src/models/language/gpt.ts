/**
 * A character-level GPT in the manner of nanoGPT: tied embeddings, pre-normalisation, no biases in the matrices.
 */

import { Dropout, Embedding, init, LayerNorm, Linear, Module, ModuleList } from '../../nn/index.ts';
import { shapeText } from '../../tensor/convert.ts';
import { arange, F, type Tensor } from '../../tensor/index.ts';
import { checkWhole } from '../../tensor/operands.ts';
import { checkOptions } from '../../tensor/options.ts';
import { cachedAttention, causalAttention, type KeyValueCache, type LayerCache, newCache } from './cache.ts';
import { CausalLM, GENERATE, type GenerateOptions } from './generate.ts';

export interface GPTConfig {
  /** Longest sequence. */
  readonly block: number;
  readonly layers: number;
  readonly heads: number;
  /** Features. */
  readonly d: number;
  /** Tokens that are told apart; 65 by default (tinyshakespeare's characters). */
  readonly vocab?: number;
  /** 0 by default. */
  readonly dropout?: number;
}

/**
 * Attention and a feed-forward network, each normalised before and added to its input: [B, T, d] -> the same; over the
 * cache when one is given.
 */
export class GPTBlock extends Module<[x: Tensor, cache?: LayerCache, position?: Tensor]> {
  readonly ln_1: LayerNorm;
  readonly attnQkv: Linear;
  readonly attnProj: Linear;
  readonly ln_2: LayerNorm;
  readonly mlpFc: Linear;
  readonly mlpProj: Linear;
  readonly attnDrop: Dropout;
  readonly residDrop: Dropout;
  readonly heads: number;

  constructor({ d, heads, dropout = 0 }: GPTConfig) {
    super();
    if (d % heads !== 0) throw new Error(`GPT: ${d} features do not split into ${heads} heads`);
    this.heads = heads;
    this.ln_1 = new LayerNorm(d);
    this.attnQkv = new Linear(d, 3 * d, { bias: false });
    this.attnProj = new Linear(d, d, { bias: false });
    this.ln_2 = new LayerNorm(d);
    this.mlpFc = new Linear(d, 4 * d, { bias: false });
    this.mlpProj = new Linear(4 * d, d, { bias: false });
    this.attnDrop = new Dropout(dropout);
    this.residDrop = new Dropout(dropout);
  }

  forward(x: Tensor, cache?: LayerCache, position?: Tensor): Tensor {
    const [batch, length, d] = x.shape as [number, number, number];
    const [q, k, v] = this.attnQkv
      .call(this.ln_1.call(x))
      .chunk(3, 2)
      .map(part => part.reshape([batch, length, this.heads, d / this.heads]).transpose(1, 2)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const drop = (weights: Tensor): Tensor => this.attnDrop.call(weights);
    const joined =
      cache && position ? cachedAttention(q, k, v, cache, position) : causalAttention(q, k, v, 0, { drop });
    const attended = x.add(this.residDrop.call(this.attnProj.call(joined)));
    const hidden = F.gelu(this.mlpFc.call(this.ln_2.call(attended)), { approximate: 'tanh' });
    return attended.add(this.residDrop.call(this.mlpProj.call(hidden)));
  }
}

/** Tokens [B, T] -> logits [B, T, vocab]. */
export class GPT extends CausalLM {
  readonly wte: Embedding;
  readonly wpe: Embedding;
  readonly drop: Dropout;
  readonly h: ModuleList<GPTBlock>;
  readonly lnF: LayerNorm;
  readonly config: Required<GPTConfig>;

  constructor(config: GPTConfig) {
    checkOptions('GPT', config, ['block', 'layers', 'heads', 'd', 'vocab', 'dropout']);
    super();
    this.config = { vocab: 65, dropout: 0, ...config };
    const { vocab, block, layers, heads, d, dropout } = this.config;
    for (const [name, size] of Object.entries({ vocab, block, layers, heads, d })) checkWhole('GPT', name, size, 1);
    this.wte = new Embedding(vocab, d);
    this.wpe = new Embedding(block, d);
    this.drop = new Dropout(dropout);
    this.h = new ModuleList(Array.from({ length: layers }, () => new GPTBlock(this.config)));
    this.lnF = new LayerNorm(d);
    // GPT-2's scheme: projections into the residual stream shrink with the number of blocks that add to it.
    for (const [name, parameter] of this.namedParameters()) {
      if (parameter.ndim < 2) continue;
      init.normal_(parameter, 0, name.endsWith('_proj.weight') ? 0.02 / Math.sqrt(2 * layers) : 0.02);
    }
  }

  get vocabSize(): number {
    return this.config.vocab;
  }

  get maxLength(): number {
    return this.config.block;
  }

  get eosTokenIds(): readonly number[] {
    return [];
  }

  private hidden(tokens: Tensor, cache?: KeyValueCache, position?: Tensor): Tensor {
    const length = tokens.shape[1]!;
    if (tokens.ndim !== 2 || length > this.config.block)
      throw new Error(`GPT: tokens ${shapeText(tokens.shape)} came, expected [batch, at most ${this.config.block}]`);
    const places = position ? this.wpe.call(arange(length).add(position)) : this.wpe.weight.narrow(0, 0, length);
    let x = this.drop.call(this.wte.call(tokens).add(places));
    let layer = 0;
    for (const block of this.h) x = block.call(x, cache?.[layer++], position);
    return this.lnF.call(x);
  }

  forward(tokens: Tensor): Tensor {
    return F.linear(this.hidden(tokens), this.wte.weight);
  }

  newCache(capacity: number, batch = 1): KeyValueCache {
    const { heads, d, layers } = this.config;
    const { dtype } = this.wte.weight;
    return newCache({ layers, batch, heads, capacity, headSize: d / heads, dtype });
  }

  step(tokens: Tensor, position: Tensor, cache: KeyValueCache): Tensor {
    return F.linear(this.hidden(tokens, cache, position).select(1, -1), this.wte.weight);
  }

  /** A full block still predicts a token. */
  protected override get longestText(): number {
    return this.config.block + 1;
  }

  /** As CausalLM's, without end: when the block is full, its newest half becomes the start of a new one. */
  override *stream(prompt: readonly number[], options: GenerateOptions = {}): Generator<number, void, undefined> {
    checkOptions('GPT', options, GENERATE);
    const { block } = this.config;
    let left = options.maxNewTokens ?? 128;
    let context = prompt.slice(-block);
    while (left > 0) {
      if (context.length > block) context = context.slice(-Math.ceil(block / 2));
      const before = context.length;
      for (const token of super.stream(context, { ...options, maxNewTokens: Math.min(left, block + 1 - before) })) {
        context = [...context, token];
        left--;
        yield token;
      }
      // Ended by a token that the caller has named.
      if (context.length <= block) return;
    }
  }
}
