/**
 * Text by character: vocabulary, and random blocks for language models.
 */
import { checkOptions } from '../tensor/options.ts';
import type { Dataset } from './dataset.ts';
import { readWhole } from './gzip.ts';
import { RandomStream } from './random.ts';

/** Every distinct character (code point) of a text, sorted, as a token. */
export class CharVocabulary {
  readonly characters: readonly string[];
  private readonly ids: ReadonlyMap<string, number>;

  constructor(characters: readonly string[]) {
    this.characters = characters;
    this.ids = new Map(characters.map((character, id) => [character, id]));
    if (this.ids.size !== characters.length) throw new Error('CharVocabulary: a character is repeated');
  }

  /** The vocabulary of a text: its distinct characters, sorted by code point. */
  static of(text: string): CharVocabulary {
    return new CharVocabulary([...new Set(text)].sort());
  }

  get size(): number {
    return this.characters.length;
  }

  /** @throws Error naming a character that is not in the vocabulary. */
  encode(text: string): Int32Array {
    const ids: number[] = [];
    for (const character of text) {
      const id = this.ids.get(character);
      if (id === undefined)
        throw new Error(
          `character ${JSON.stringify(character)} is not among the ${this.size} that the model was trained on`,
        );
      ids.push(id);
    }
    return Int32Array.from(ids);
  }

  /** The text of `ids`; an id outside the vocabulary gives nothing. */
  decode(ids: ArrayLike<number>): string {
    return Array.from(ids, id => this.characters[id] ?? '').join('');
  }
}

/** A UTF-8 text file. @throws Error naming the file when it is missing, empty or not UTF-8. */
export function readText(path: string): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readWhole(path));
    if (text === '') throw new Error(`${path}: it is empty`);
    return text;
  } catch (error) {
    if (error instanceof TypeError) throw new Error(`${path}: not UTF-8 text`, { cause: error });
    throw error;
  }
}

export interface TextWindowsOptions {
  /** Tokens per window; each comes with the one that follows it. */
  readonly block: number;
  /** Windows at random places per epoch; without it, the windows lie one after the other and cover the text once. */
  readonly randomPerEpoch?: number;
  readonly seed?: number;
}

/** Windows of block + 1 consecutive tokens, i64: the first `block` are a model's input, the last `block` its target. */
export class TextWindows implements Dataset<BigInt64Array> {
  readonly length: number;
  readonly block: number;
  private readonly tokens: Int32Array;
  private readonly random: boolean;
  private readonly seed: number;

  /** @throws Error when there are fewer than block + 1 tokens. */
  constructor(tokens: Int32Array, options: TextWindowsOptions) {
    const {
      block,
      randomPerEpoch,
      seed = 0,
    } = checkOptions('TextWindows', options, ['block', 'randomPerEpoch', 'seed']);
    if (tokens.length < block + 1)
      throw new Error(`TextWindows: ${tokens.length} tokens, expected at least ${block + 1} for windows of ${block}`);
    this.tokens = tokens;
    this.block = block;
    this.random = randomPerEpoch !== undefined;
    this.length = randomPerEpoch ?? Math.floor((tokens.length - 1) / block);
    this.seed = seed;
  }

  get(index: number, epoch: number): BigInt64Array {
    const window = new BigInt64Array(this.block + 1);
    const start = this.startOf(index, epoch);
    for (let t = 0; t <= this.block; t++) window[t] = BigInt(this.tokens[start + t]!);
    return window;
  }

  /** Random places depend on (seed, epoch, index) alone. */
  private startOf(index: number, epoch: number): number {
    if (!this.random) return index * this.block;
    return new RandomStream(this.seed, epoch, index).integer(this.tokens.length - this.block);
  }
}
