/**
 * Generating text: a causal language model, token by token over a cache, each token one call of a compiled program.
 */
import { Module } from '../../nn/index.ts';
import { type CompiledFunction, compile, F, Parameter, type Tensor, tensor, zeros } from '../../tensor/index.ts';
import { describe } from '../../tensor/operands.ts';
import { checkOptions } from '../../tensor/options.ts';
import type { KeyValueCache } from './cache.ts';
import { checkSampling, penalise, SAMPLING, type SamplingOptions, sampleToken } from './sampling.ts';

export interface GenerateOptions extends SamplingOptions {
  /** How many tokens to add at most; 128 by default. */
  readonly maxNewTokens?: number;
  /** Tokens that end the text and are not returned; those of the model's configuration by default. */
  readonly eosTokenIds?: readonly number[];
}

/** Names of GenerateOptions. */
export const GENERATE = [...SAMPLING, 'maxNewTokens', 'eosTokenIds'] as const;

/** Prompts are read in pieces of these many tokens: few programs, each reading the weights once for many tokens. */
const PIECES = [128, 16] as const;

/**
 * Caches come in multiples of this many positions: few programs, and little work on positions that are never reached.
 */
const CAPACITY_STEP = 128;

/** The compiled programs of one cache size and one way of sampling, and the state they share. */
interface Decoder {
  /** Reads a piece of the prompt, [1, T] at a position. */
  readonly read: CompiledFunction<[tokens: Tensor, position: Tensor], Tensor>;
  /** Reads one token [1, 1] at a position and picks the next one. */
  readonly next: CompiledFunction<[token: Tensor, position: Tensor], Tensor>;
  /** Which tokens have come, bool [vocab]; only kept where there is a penalty on them. */
  readonly seen: Parameter | null;
  readonly capacity: number;
}

/** The decoders that each model has used so far. They are none of its state: copies make their own. */
const decodersOf = new WeakMap<CausalLM, Map<string, Decoder>>();

/** A model that predicts the next token: [B, T] token indices -> logits [B, T, vocab]. */
export abstract class CausalLM extends Module<[tokens: Tensor]> {
  /** Size of the vocabulary. */
  abstract readonly vocabSize: number;
  /** Longest sequence. */
  abstract readonly maxLength: number;
  /** Tokens that end a text. */
  abstract readonly eosTokenIds: readonly number[];

  /**
   * Tokens of a text with what is generated; one more than `maxLength` where the last token is predicted and not read.
   */
  protected get longestText(): number {
    return this.maxLength;
  }

  /** An empty cache of `capacity` positions for `batch` sequences. */
  abstract newCache(capacity: number, batch?: number): KeyValueCache;

  /**
   * Tokens [B, T] of which the first is at `position` (an integer scalar), after those in the cache: logits of the
   * last, [B, vocab]. Keys and values are put into the cache.
   */
  abstract step(tokens: Tensor, position: Tensor, cache: KeyValueCache): Tensor;

  /** Mean cross entropy of predicting each next token: tokens [B, T + 1] -> a scalar. */
  loss(tokens: Tensor): Tensor {
    const length = tokens.shape[1]! - 1;
    const logits = this.call(tokens.narrow(1, 0, length));
    return F.crossEntropy(logits.flatten(0, 1), tokens.narrow(1, 1, length).flatten());
  }

  private decoder(capacity: number, options: SamplingOptions): Decoder {
    const { temperature = 1, topK, topP, repetitionPenalty = 1 } = options;
    const key = JSON.stringify([capacity, temperature, topK, topP, repetitionPenalty]);
    const decoders = decodersOf.get(this) ?? new Map<string, Decoder>();
    decodersOf.set(this, decoders);
    const known = decoders.get(key);
    if (known) return known;
    const cache = this.newCache(capacity);
    const seen =
      repetitionPenalty === 1
        ? null
        : new Parameter(zeros([this.vocabSize], { dtype: 'bool' }), { requiresGrad: false });
    const mark = (tokens: Tensor): void => {
      if (!seen) return;
      const flat = tokens.flatten();
      seen.assign(seen.scatter(0, flat, flat.ge(0)));
    };
    const decoder: Decoder = {
      capacity,
      seen,
      read: compile((tokens, position) => {
        mark(tokens);
        return this.step(tokens, position, cache);
      }),
      next: compile((token, position) => {
        mark(token);
        const logits = this.step(token, position, cache).select(0, 0);
        return sampleToken(seen ? penalise(logits, seen, repetitionPenalty) : logits, { temperature, topK, topP });
      }),
    };
    decoders.set(key, decoder);
    return decoder;
  }

  /**
   * Continues `prompt`, yielding each new token as soon as it is known; ends at an end-of-text token, after
   * `maxNewTokens`, or when the longest sequence is reached. The model computes in evaluation mode while the loop runs.
   *
   *     for (const token of model.stream(prompt, { topK: 50 })) process.stdout.write(tokenizer.decode([token]));
   */
  *stream(prompt: readonly number[], options: GenerateOptions = {}): Generator<number, void, undefined> {
    checkOptions(this.constructor.name, options, GENERATE);
    const { maxNewTokens = 128, eosTokenIds = this.eosTokenIds } = options;
    checkSampling(options);
    this.checkPrompt(prompt);
    const total = Math.min(prompt.length + maxNewTokens, this.longestText);
    const capacity = Math.min(Math.ceil(total / CAPACITY_STEP) * CAPACITY_STEP, this.maxLength);
    const { read, next, seen } = this.decoder(capacity, options);
    seen?.assign(zeros([this.vocabSize], { dtype: 'bool' }));
    const ids = (tokens: readonly number[]): Tensor => tensor([tokens.map(Number)], { dtype: 'i64' });
    const at = (position: number): Tensor => tensor(position, { dtype: 'i64' });
    const wasTraining = this.training;
    this.eval();
    try {
      let position = 0;
      for (const piece of PIECES)
        for (; position + piece < prompt.length; position += piece)
          read(ids(prompt.slice(position, position + piece)), at(position));
      let token = 0;
      for (; position < prompt.length; position++) token = next(ids([prompt[position]!]), at(position)).item();
      while (!eosTokenIds.includes(token) && position < total) {
        yield token;
        if (++position >= total) return;
        token = next(ids([token]), at(position - 1)).item();
      }
    } finally {
      this.train(wasTraining);
    }
  }

  /** Continues `prompt` and returns the new tokens; see `stream`. */
  generate(prompt: readonly number[], options: GenerateOptions = {}): number[] {
    return [...this.stream(prompt, options)];
  }

  private checkPrompt(prompt: readonly number[]): void {
    const what = this.constructor.name;
    if (!Array.isArray(prompt) && !ArrayBuffer.isView(prompt))
      throw new TypeError(`${what}: prompt: expected an array of tokens, got ${describe(prompt)}`);
    if (prompt.length === 0) throw new Error(`${what}: the prompt is empty, expected at least one token`);
    if (prompt.length > this.maxLength)
      throw new RangeError(`${what}: a prompt of ${prompt.length} tokens came, expected at most ${this.maxLength}`);
    const wrong = prompt.find(token => !(Number.isInteger(token) && token >= 0 && token < this.vocabSize));
    if (wrong !== undefined)
      throw new RangeError(`${what}: token ${wrong} came, expected whole numbers from 0 to ${this.vocabSize - 1}`);
  }
}
