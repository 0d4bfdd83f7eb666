/**
 * Tokenizers from the vocabularies in GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md,
 * "Tokenizer").
 */
import {
  addedToken,
  byteLevelBpe,
  mergesOf,
  pieceDecoder,
  precompiled,
  template,
  vocabularyOf,
} from './definitions.ts';
import { preTokenizer } from './pretokenizers.ts';
import { KIND } from './sentencePiece.ts';
import { Tokenizer, type TokenizerDefinition } from './tokenizer.ts';
import { wordPieceTokenizer } from './vocabularies.ts';

/** The fields of a GGUF file that describe its vocabulary, checked. */
interface Vocabulary {
  readonly model: string;
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];
  readonly scores: readonly number[];
  has(key: string): boolean;
  number(key: string): number | null;
  flag(key: string, otherwise: boolean): boolean;
  strings(key: string): readonly string[];
}

function readVocabulary(metadata: Readonly<Record<string, unknown>>): Vocabulary {
  const field = (key: string): unknown => metadata[`tokenizer.ggml.${key}`];
  const fail = (key: string, expected: string): never => {
    throw new Error(`ggufTokenizer: tokenizer.ggml.${key} is ${describe(field(key))}, expected ${expected}`);
  };
  const list = (key: string): readonly unknown[] => {
    const value = field(key) ?? [];
    if (Array.isArray(value)) return value;
    return ArrayBuffer.isView(value) ? Array.from(value as unknown as Iterable<unknown>) : fail(key, 'a list');
  };
  const numbers = (key: string): number[] => list(key).map(Number);
  const strings = (key: string): readonly string[] => {
    const values = list(key);
    return values.every(value => typeof value === 'string') ? (values as readonly string[]) : fail(key, 'strings');
  };
  const model = field('model');
  if (typeof model !== 'string') return fail('model', 'the name of a kind of vocabulary');
  const tokens = strings('tokens');
  if (tokens.length === 0) return fail('tokens', 'at least one token');
  const kinds = numbers('token_type');
  const scores = numbers('scores');
  if (kinds.length !== 0 && kinds.length !== tokens.length) return fail('token_type', `${tokens.length} numbers`);
  if (scores.length !== 0 && scores.length !== tokens.length) return fail('scores', `${tokens.length} numbers`);
  return {
    model,
    tokens,
    kinds: kinds.length > 0 ? kinds : tokens.map(() => KIND.normal),
    scores: scores.length > 0 ? scores : tokens.map(() => 0),
    has: key => field(key) !== undefined,
    number: key => {
      const value = field(key);
      return value === undefined ? null : Number(value);
    },
    flag: (key, otherwise) => {
      const value = field(key);
      return typeof value === 'boolean' ? value : otherwise;
    },
    strings,
  };
}

const describe = (value: unknown): string =>
  value === undefined ? 'missing' : Array.isArray(value) ? `a list of ${value.length}` : JSON.stringify(value);

/** Tokens that are looked for in the text itself. */
function addedTokens({ tokens, kinds }: Vocabulary): TokenizerDefinition[] {
  return tokens.flatMap((token, id) => {
    const special = kinds[id] === KIND.control;
    return special || kinds[id] === KIND.userDefined ? [addedToken(id, token, special)] : [];
  });
}

function byteLevel(vocabulary: Vocabulary, pre: string): TokenizerDefinition {
  const { patterns, ignoreMerges } = preTokenizer(pre);
  return byteLevelBpe(vocabularyOf(vocabulary.tokens), vocabulary.strings('merges'), patterns, ignoreMerges);
}

/** SentencePiece's BPE: pieces with scores, spaces as U+2581, bytes for what no piece has. */
function pieces(vocabulary: Vocabulary): TokenizerDefinition {
  const { tokens, kinds, scores } = vocabulary;
  const vocab = vocabularyOf(tokens);
  const known = tokens.flatMap((text, id) => (kinds[id] === KIND.normal ? [{ text, score: scores[id]! }] : []));
  const prefix = vocabulary.flag('add_space_prefix', true);
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...(prefix ? [{ type: 'Prepend', prepend: '▁' }] : []),
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    decoder: pieceDecoder(prefix),
    model: {
      type: 'BPE',
      vocab,
      merges: mergesOf(known, vocab),
      unk_token: tokens[vocabulary.number('unknown_token_id') ?? 0],
      fuse_unk: true,
      byte_fallback: kinds.includes(KIND.byte),
    },
  };
}

/** T5's Unigram model. */
function unigram(vocabulary: Vocabulary, charsmap: unknown): TokenizerDefinition {
  const { tokens, scores } = vocabulary;
  const bytes = Array.isArray(charsmap) ? Uint8Array.from(charsmap as number[]) : charsmap;
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...(bytes instanceof Uint8Array ? [precompiled(bytes)] : []),
        { type: 'Strip', strip_left: false, strip_right: true },
        { type: 'Replace', pattern: { Regex: ' {2,}' }, content: '▁' },
      ],
    },
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    model: {
      type: 'Unigram',
      vocab: tokens.map((token, id) => [token, scores[id]!]),
      unk_id: vocabulary.number('unknown_token_id') ?? 2,
      byte_fallback: false,
    },
  };
}

/** BERT's WordPiece, whose file marks the beginnings of words instead of the continuations. */
function wordPiece({ tokens, kinds }: Vocabulary): Tokenizer {
  const restored = tokens.map((token, id) => {
    if (kinds[id] !== KIND.normal || /^\[.*\]$/.test(token)) return token;
    return token.startsWith('▁') ? token.slice(1) : `##${token}`;
  });
  return wordPieceTokenizer(restored);
}

/**
 * The tokenizer in a GGUF file's metadata (`openGguf(path).metadata`). The tokens around a text are those that the file
 * asks for (add_bos_token, add_eos_token).
 * @throws Error for vocabularies that are damaged, or of a kind that is not known
 */
export function ggufTokenizer(metadata: Readonly<Record<string, unknown>>): Tokenizer {
  const vocabulary = readVocabulary(metadata);
  const { model, tokens } = vocabulary;
  if (model === 'bert') return wordPiece(vocabulary);
  const definition = (): TokenizerDefinition => {
    switch (model) {
      case 'gpt2': {
        const pre = metadata['tokenizer.ggml.pre'];
        return byteLevel(vocabulary, typeof pre === 'string' ? pre : 'default');
      }
      case 'llama':
        return pieces(vocabulary);
      case 't5':
        return unigram(vocabulary, metadata['tokenizer.ggml.precompiled_charsmap']);
      default:
        throw new Error(
          `ggufTokenizer: vocabularies of kind "${model}" are not supported, only gpt2, llama, bert and t5`,
        );
    }
  };
  const named = (key: string): string | undefined => tokens[vocabulary.number(key) ?? -1];
  const [bos, eos] = [named('bos_token_id'), named('eos_token_id')];
  const vocab = vocabularyOf(tokens);
  const around = template(
    bos && vocabulary.flag('add_bos_token', model === 'llama') ? [bos] : [],
    eos && vocabulary.flag('add_eos_token', model === 't5') ? [eos] : [],
    token => vocab[token]!,
  );
  return new Tokenizer(
    { ...definition(), added_tokens: addedTokens(vocabulary), post_processor: around },
    {
      bos_token: bos,
      eos_token: eos,
      pad_token: named('padding_token_id'),
      unk_token: named('unknown_token_id'),
      chat_template: metadata['tokenizer.chat_template'],
    },
  );
}
