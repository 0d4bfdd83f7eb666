/**
 * A character-level GPT in the manner of nanoGPT: tied embeddings, pre-normalisation, no biases in the matrices. Training runs over whole
 * sequences; generation runs token by token over a cache of keys and values.
 */
import { Dropout, Embedding, init, LayerNorm, Linear, Module, ModuleList } from '../../nn/index.ts';
import { arange, compile, F, Parameter, type Tensor, tensor, zeros } from '../../tensor/index.ts';
import type { LayerCache } from './cache.ts';
import { sampleToken } from './sampling.ts';

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

/** Attention and a feed-forward network, each normalised before and added to its input. */
export class GPTBlock extends Module {
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

  #feedForward(x: Tensor): Tensor {
    const hidden = F.gelu(this.mlpFc.call(this.ln_2.call(x)), { approximate: 'tanh' });
    return x.add(this.residDrop.call(this.mlpProj.call(hidden)));
  }

  /** [B, T, d] -> [B, T, d]; every position sees itself and those before it. */
  forward(x: Tensor): Tensor {
    const [batch, length, d] = x.shape as [number, number, number];
    const headSize = d / this.heads;
    const [q, k, v] = this.attnQkv
      .call(this.ln_1.call(x))
      .chunk(3, 2)
      .map(part => part.reshape([batch, length, this.heads, headSize]).transpose(1, 2)) as [Tensor, Tensor, Tensor];
    const at = arange(length, { dtype: 'i32' });
    const future = at.unsqueeze(0).gt(at.unsqueeze(1));
    const scores = q.matmul(k.transpose(-2, -1)).mul(1 / Math.sqrt(headSize));
    const weights = this.attnDrop.call(scores.maskedFill(future, Number.NEGATIVE_INFINITY).softmax(-1));
    const joined = weights.matmul(v).transpose(1, 2).reshape([batch, length, d]);
    return this.#feedForward(x.add(this.residDrop.call(this.attnProj.call(joined))));
  }

  /** One position: [B, d] -> [B, d]. Keys and values are put into the cache at `position`, an integer scalar. */
  step(x: Tensor, cache: LayerCache, position: Tensor): Tensor {
    const [batch, d] = x.shape as [number, number];
    const headSize = d / this.heads;
    const [q, k, v] = this.attnQkv
      .call(this.ln_1.call(x))
      .chunk(3, 1)
      .map(part => part.reshape([batch, this.heads, 1, headSize])) as [Tensor, Tensor, Tensor];
    const at = arange(cache.keys.shape[2]!, { dtype: 'i32' });
    const here = at.eq(position).unsqueeze(1);
    cache.keys.assign(here.where(k, cache.keys));
    cache.values.assign(here.where(v, cache.values));
    const scores = q.matmul(cache.keys.transpose(-2, -1)).mul(1 / Math.sqrt(headSize));
    const weights = scores.maskedFill(at.gt(position), Number.NEGATIVE_INFINITY).softmax(-1);
    const joined = weights.matmul(cache.values).reshape([batch, d]);
    return this.#feedForward(x.add(this.attnProj.call(joined)));
  }
}

export interface GenerateOptions {
  /** How many tokens to add. */
  readonly newTokens: number;
  /** Below 1 is more cautious, above 1 more daring; 0 always takes the likeliest token. 1 by default. */
  readonly temperature?: number;
  /** Draw from the k likeliest tokens only. */
  readonly topK?: number;
  /** Called with every new token. */
  readonly onToken?: (token: number) => void;
}

/** Tokens [B, T] -> logits [B, T, vocab]. */
export class GPT extends Module {
  readonly wte: Embedding;
  readonly wpe: Embedding;
  readonly drop: Dropout;
  readonly h: ModuleList<GPTBlock>;
  readonly lnF: LayerNorm;
  readonly config: Required<GPTConfig>;
  readonly #decoders = new Map<string, (token: Tensor, position: Tensor) => Tensor>();

  constructor(config: GPTConfig) {
    super();
    this.config = { vocab: 65, dropout: 0, ...config };
    const { vocab, block, layers, d, dropout } = this.config;
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

  forward(tokens: Tensor): Tensor {
    const length = tokens.shape[1]!;
    if (tokens.ndim !== 2 || length > this.config.block)
      throw new Error(`GPT: tokens [${tokens.shape}] came, expected [batch, at most ${this.config.block}]`);
    let x = this.drop.call(this.wte.call(tokens).add(this.wpe.weight.narrow(0, 0, length)));
    for (const block of this.h) x = block.call(x);
    return F.linear(this.lnF.call(x), this.wte.weight);
  }

  /** Mean cross entropy of predicting each next token: tokens [B, T + 1] -> a scalar. */
  loss(tokens: Tensor): Tensor {
    const length = tokens.shape[1]! - 1;
    const logits = this.call(tokens.narrow(1, 0, length));
    return F.crossEntropy(logits.flatten(0, 1), tokens.narrow(1, 1, length).flatten());
  }

  /** An empty cache for `batch` sequences. */
  newCache(batch = 1): LayerCache[] {
    const { block, heads, d } = this.config;
    const empty = (): Parameter => new Parameter(zeros([batch, heads, block, d / heads]), { requiresGrad: false });
    return Array.from(this.h, () => ({ keys: empty(), values: empty() }));
  }

  /** One token of each sequence at `position` (an integer scalar): [B] -> logits [B, vocab]. Fills the cache at this position. */
  step(tokens: Tensor, position: Tensor, cache: readonly LayerCache[]): Tensor {
    let x = this.wte.call(tokens).add(this.wpe.call(position));
    let layer = 0;
    for (const block of this.h) x = block.step(x, cache[layer++]!, position);
    return F.linear(this.lnF.call(x), this.wte.weight);
  }

  /** The compiled step of one sequence: a token and its position to the token after it. Kept, with its cache, for the next call. */
  #decoder(temperature: number, topK: number | undefined): (token: Tensor, position: Tensor) => Tensor {
    const key = `${temperature} ${topK}`;
    let decoder = this.#decoders.get(key);
    if (!decoder) {
      const cache = this.newCache();
      decoder = compile((token: Tensor, position: Tensor) =>
        sampleToken(this.step(token, position, cache).select(0, 0), { temperature, topK }),
      );
      this.#decoders.set(key, decoder);
    }
    return decoder;
  }

  /**
   * Continues `prompt`, one compiled step per token. When the block is full, its newest half becomes the start of a new one.
   * @returns the new tokens
   */
  generate(prompt: readonly number[], { newTokens, temperature = 1, topK, onToken }: GenerateOptions): number[] {
    if (prompt.length === 0) throw new Error('generate: the prompt is empty, expected at least one token');
    const wasTraining = this.training;
    this.eval();
    const next = this.#decoder(temperature, topK);
    const { block } = this.config;
    let context = prompt.slice(-block);
    let filled = 0;
    const added: number[] = [];
    try {
      while (added.length < newTokens) {
        if (context.length > block) {
          context = context.slice(-Math.ceil(block / 2));
          filled = 0;
        }
        let token = 0;
        for (; filled < context.length; filled++)
          token = next(tensor([context[filled]!], { dtype: 'i64' }), tensor(filled, { dtype: 'i64' })).item();
        context = [...context, token];
        added.push(token);
        onToken?.(token);
      }
    } finally {
      this.train(wasTraining);
    }
    return added;
  }
}
