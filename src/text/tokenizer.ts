/**
 * The tokenizer: text to token indices and back. The algorithms (byte-level BPE, WordPiece, Unigram, normalisers) are
 * those of the library
 * @huggingface/tokenizers; this file gives them names and types, and batches as tensors.
 */
import { Tokenizer as Engine } from '@huggingface/tokenizers';
import { type Tensor, tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { charsmapNormalizer } from './charsmap.ts';
import { type ChatMessage, type ChatOptions, chatTemplatesOf, renderChat } from './chat.ts';

/**
 * The content of a tokenizer.json (https://huggingface.co/docs/tokenizers): model, normalizer, pre_tokenizer,
 * post_processor, decoder.
 */
export type TokenizerDefinition = Readonly<Record<string, unknown>>;

/**
 * The content of a tokenizer_config.json; its special tokens, chat_template and clean_up_tokenization_spaces are read.
 */
export type TokenizerConfig = Readonly<Record<string, unknown>>;

export interface EncodeOptions {
  /** A second text, for models that read pairs. */
  readonly pair?: string;
  /** Whether the tokens that the model expects around a text are added; true by default. */
  readonly addSpecialTokens?: boolean;
}

/** Names of EncodeOptions. */
const ENCODE = ['pair', 'addSpecialTokens'] as const;

export interface BatchOptions {
  readonly addSpecialTokens?: boolean;
  /** Texts are cut to this many tokens (special tokens included); not at all by default. */
  readonly maxLength?: number;
  /** Index of the tokens that fill up short texts; the tokenizer's pad token, else 0. */
  readonly padId?: number;
}

/**
 * Texts as one tensor, i64 [N, T] each: indices, 1 where a token counts and 0 where it fills up, and the segment of
 * each token.
 */
export interface Batch {
  readonly inputIds: Tensor;
  readonly attentionMask: Tensor;
  readonly tokenTypeIds: Tensor;
}

/** Decodes tokens that come one by one. */
export interface TextStream {
  /** The text that this token completes: empty while a character's bytes are still to come. */
  push(token: number): string;
  /** What is left at the end: an unfinished character as U+FFFD. */
  end(): string;
}

/** A token of a text: its index, how the vocabulary writes it, and the segment it is in. */
interface Piece {
  readonly id: number;
  readonly token: string;
  readonly type: number;
}

type Part = Readonly<Record<string, unknown>>;

/** A definition's leading Precompiled normalizer as a function, and the definition without it. */
function withoutCharsmap(definition: TokenizerDefinition): [(text: string) => string, TokenizerDefinition] {
  const normalizer = definition['normalizer'] as Part | null | undefined;
  const parts = normalizer?.['type'] === 'Sequence' ? (normalizer['normalizers'] as readonly Part[]) : [normalizer];
  const [first, ...rest] = parts;
  if (first?.['type'] !== 'Precompiled') return [text => text, definition];
  const map = Uint8Array.from(atob(String(first['precompiled_charsmap'] ?? '')), c => c.charCodeAt(0));
  return [charsmapNormalizer(map), { ...definition, normalizer: { type: 'Sequence', normalizers: rest } }];
}

/** A special token in a tokenizer_config.json: its text, or an object that holds it. */
function tokenText(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'content' in value) return tokenText(value.content);
  return null;
}

/** Text to token indices and back. Make one with `loadTokenizer`, or from parts. */
export class Tokenizer {
  readonly #engine: Engine;
  /** What is done to whole texts before the library gets them. */
  readonly #normalize: (text: string) => string;
  /** Whether a Unigram model writes unknown characters as bytes, which the library leaves out. */
  readonly #bytesOfUnknown: boolean;
  readonly #cleanUp: boolean;
  readonly #special: ReadonlySet<number>;
  readonly #chat: ReadonlyMap<string, string>;
  /** bos_token, eos_token, ... as chat templates name them. */
  readonly #named: Readonly<Record<string, string>>;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  readonly unkId: number | null;

  /**
   * @param normalize applied to whole texts before anything else
   * @throws Error where the definition is none that the library knows
   */
  constructor(
    definition: TokenizerDefinition,
    config: TokenizerConfig = {},
    normalize: (text: string) => string = text => text,
  ) {
    if (typeof definition['model'] !== 'object' || definition['model'] === null)
      throw new Error('Tokenizer: the definition has no model, expected the content of a tokenizer.json');
    const [map, rest] = withoutCharsmap(definition);
    this.#normalize = text => map(normalize(text));
    const model = definition['model'] as Part;
    this.#bytesOfUnknown = model['type'] === 'Unigram' && model['byte_fallback'] === true;
    const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };
    this.#engine = new Engine({ ...parts, ...rest }, config);
    this.#cleanUp = config['clean_up_tokenization_spaces'] === true;
    const added = this.#engine.get_added_tokens_decoder();
    this.#special = new Set([...added].flatMap(([id, token]) => (token.special ? [id] : [])));
    this.#chat = chatTemplatesOf(config['chat_template']);
    this.#named = Object.fromEntries(
      Object.entries(config).flatMap(([name, value]) => {
        const text = name.endsWith('_token') ? tokenText(value) : null;
        return text === null ? [] : [[name, text]];
      }),
    );
    const idOf = (name: string): number | null => {
      const text = tokenText(config[name]);
      return text === null ? null : this.idOf(text);
    };
    this.bosId = idOf('bos_token');
    this.eosId = idOf('eos_token');
    this.padId = idOf('pad_token');
    this.unkId = idOf('unk_token');
  }

  /**
   * The token indices of a text. Special tokens that are written in it are read as such, as in Hugging Face's
   * tokenizers.
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    checkOptions('Tokenizer.encode', options, ENCODE);
    return this.#encode(text, { addSpecialTokens: true, ...options }).map(({ id }) => id);
  }

  /** The tokens of a text as the vocabulary writes them, without special tokens around it unless asked for. */
  tokens(text: string, options: EncodeOptions = {}): string[] {
    checkOptions('Tokenizer.tokens', options, ENCODE);
    return this.#encode(text, { addSpecialTokens: false, ...options }).map(({ token }) => token);
  }

  #encode(text: string, { pair, addSpecialTokens = true }: EncodeOptions): readonly Piece[] {
    const {
      ids,
      tokens,
      token_type_ids: types,
    } = this.#engine.encode(this.#normalize(text), {
      text_pair: pair === undefined ? null : this.#normalize(pair),
      add_special_tokens: addSpecialTokens,
      return_token_type_ids: true,
    });
    const pieces = ids.map((id: number, i: number): Piece => ({ id, token: tokens[i]!, type: types?.[i] ?? 0 }));
    return this.#bytesOfUnknown ? pieces.flatMap((piece: Piece) => this.#bytes(piece)) : pieces;
  }

  /** A piece the vocabulary lacks as its bytes, which it has. */
  #bytes(piece: Piece): Piece[] {
    if (this.idOf(piece.token) !== null) return [piece];
    return Array.from(new TextEncoder().encode(piece.token), byte => {
      const token = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
      return { token, id: this.idOf(token) ?? piece.id, type: piece.type };
    });
  }

  /** The template that the model's conversations are written with; null where the tokenizer came without one. */
  get chatTemplate(): string | null {
    return this.#chat.get('default') ?? [...this.#chat.values()][0] ?? null;
  }

  /**
   * A conversation as the model's chat template writes it.
   *
   *     tokenizer.applyChatTemplate([{ role: 'user', content: 'Hello' }], { addGenerationPrompt: true });
   *
   * @throws Error where the tokenizer has no such template, or the template refuses the conversation
   */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    checkOptions('applyChatTemplate', options, ['addGenerationPrompt', 'template', 'tools', 'variables']);
    const { template: name } = options;
    const template = name === undefined ? this.chatTemplate : this.#chat.get(name);
    if (!template) {
      const known = [...this.#chat.keys()].join(', ') || 'none';
      throw new Error(`applyChatTemplate: the tokenizer has no chat template "${name ?? 'default'}" (it has ${known})`);
    }
    return renderChat(template, messages, options, this.#named);
  }

  /** The token indices of a conversation: its template already writes the special tokens, so none are added. */
  encodeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): number[] {
    return this.encode(this.applyChatTemplate(messages, options), { addSpecialTokens: false });
  }

  /** Several texts (or pairs of texts) as tensors; short ones are filled up at the end. */
  encodeBatch(texts: readonly (string | readonly [string, string])[], options: BatchOptions = {}): Batch {
    const { addSpecialTokens = true, maxLength = Number.POSITIVE_INFINITY } = checkOptions(
      'Tokenizer.encodeBatch',
      options,
      ['addSpecialTokens', 'maxLength', 'padId'],
    );
    const padId = options.padId ?? this.padId ?? 0;
    if (texts.length === 0) throw new Error('encodeBatch: no texts came');
    const rows = texts.map(entry => {
      const [text, pair] = typeof entry === 'string' ? [entry] : entry;
      const pieces = this.#encode(text, { pair, addSpecialTokens });
      return { ids: pieces.map(({ id }) => id), types: pieces.map(({ type }) => type) };
    });
    const length = Math.min(maxLength, Math.max(1, ...rows.map(({ ids }) => ids.length)));
    const column = <T>(values: (row: (typeof rows)[number], i: number) => T): T[] =>
      rows.flatMap(row => Array.from({ length }, (_, i) => values(row, i)));
    const whole = (values: readonly number[]): Tensor =>
      tensor(BigInt64Array.from(values, BigInt), { shape: [rows.length, length] });
    return {
      inputIds: whole(column(({ ids }, i) => ids[i] ?? padId)),
      attentionMask: whole(column(({ ids }, i) => (i < ids.length ? 1 : 0))),
      tokenTypeIds: whole(column(({ types }, i) => types[i] ?? 0)),
    };
  }

  /** The text of token indices; special tokens are left out unless asked for. */
  decode(ids: readonly number[], options: { readonly skipSpecialTokens?: boolean } = {}): string {
    const { skipSpecialTokens = true } = checkOptions('Tokenizer.decode', options, ['skipSpecialTokens']);
    const shown = skipSpecialTokens ? ids.filter(id => !this.#special.has(id)) : [...ids];
    if (shown.length === 0) return '';
    const unknown = shown.find(id => this.tokenOf(id) === null);
    if (unknown !== undefined) throw new RangeError(`decode: token ${unknown} is not in the vocabulary`);
    return this.#engine.decode(shown, { clean_up_tokenization_spaces: this.#cleanUp });
  }

  /** Decodes tokens that come one by one, as `model.stream` gives them. */
  stream(options: { readonly skipSpecialTokens?: boolean } = {}): TextStream {
    checkOptions('Tokenizer.stream', options, ['skipSpecialTokens']);
    let ids: number[] = [];
    let shown = '';
    const rest = (): string => {
      const text = this.decode(ids, options);
      const fresh = text.slice(shown.length);
      shown = text;
      return fresh;
    };
    return {
      push: token => {
        ids.push(token);
        // Bytes of an unfinished character decode to the replacement character.
        if (this.decode(ids, options).endsWith('\uFFFD')) return '';
        const fresh = rest();
        // A line's end is where decoding can start anew: what follows does not depend on what came before.
        if (fresh.endsWith('\n')) {
          ids = [token];
          shown = this.decode(ids, options);
        }
        return fresh;
      },
      end: () => rest(),
    };
  }

  /** The index of a token as the vocabulary writes it; null when it has none. */
  idOf(token: string): number | null {
    return this.#engine.token_to_id(token) ?? null;
  }

  /** The token of an index as the vocabulary writes it; null when there is none. */
  tokenOf(id: number): string | null {
    return this.#engine.id_to_token(id) ?? null;
  }

  /** Number of tokens, added ones included. */
  get vocabSize(): number {
    return this.#engine.get_vocab(true).size;
  }

  /** Tokens that stand for no text: beginnings, ends, padding. */
  get specialIds(): readonly number[] {
    return [...this.#special];
  }
}
