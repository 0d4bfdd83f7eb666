/**
 * Text by character: vocabulary, and random blocks for language models.
 */
import { Tensor } from '../tensor/index.ts';
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

export interface TextBatch {
  /** i64 [batch, block]. */
  readonly input: Tensor;
  /** i64 [batch, block]: the input moved on by one token. */
  readonly target: Tensor;
}

/** Blocks of consecutive tokens at random places; batch k of a seed is always the same. */
export class TextBlocks {
  private readonly tokens: Int32Array;
  readonly block: number;

  /** @throws Error when there are fewer than block + 1 tokens. */
  constructor(tokens: Int32Array, block: number) {
    if (tokens.length < block + 1)
      throw new Error(`TextBlocks: ${tokens.length} tokens, expected at least ${block + 1} for blocks of ${block}`);
    this.tokens = tokens;
    this.block = block;
  }

  /** Random batch number `step` of `seed`. */
  batch(size: number, seed: number, step: number): TextBatch {
    const random = new RandomStream(seed, 6, step);
    return this.at(Array.from({ length: size }, () => random.integer(this.tokens.length - this.block)));
  }

  /** Blocks that start at the given places. */
  at(starts: readonly number[]): TextBatch {
    const { block, tokens } = this;
    const rows = (shift: number): Tensor => {
      const ids = new BigInt64Array(starts.length * block);
      starts.forEach((start, row) => {
        for (let t = 0; t < block; t++) ids[row * block + t] = BigInt(tokens[start + shift + t]!);
      });
      return Tensor.from(ids, { dtype: 'i64', shape: [starts.length, block] });
    };
    return { input: rows(0), target: rows(1) };
  }
}
