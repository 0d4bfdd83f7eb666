/**
 * Tokenizers from plain vocabulary files: GPT-2's vocab.json with merges.txt, and BERT's vocab.txt.
 */
import { checkOptions } from '../tensor/options.ts';
import { addedToken, byteLevelBpe, template, vocabularyOf } from './definitions.ts';
import { GPT2_PATTERNS } from './pretokenizers.ts';
import { Tokenizer, type TokenizerConfig } from './tokenizer.ts';

/** The lines of a merges file, without its header. */
function mergeLines(text: string): string[] {
  const lines = text.split(/\r?\n/);
  const start = lines[0]?.startsWith('#version') ? 1 : 0;
  return lines.slice(start).filter(line => line !== '');
}

/**
 * GPT-2's byte-level BPE.
 * @param vocabulary indices by token: the content of vocab.json (or encoder.json)
 * @param merges the text of merges.txt (or vocab.bpe): two tokens a line, the most common first
 * @param config a tokenizer_config.json, for other special tokens than GPT-2's and a chat template
 */
export function gpt2Tokenizer(
  vocabulary: Readonly<Record<string, number>>,
  merges: string,
  config: TokenizerConfig = {},
): Tokenizer {
  const lines = mergeLines(merges);
  const wrong = lines.findIndex(line => line.split(' ').length !== 2);
  if (wrong >= 0)
    throw new Error(
      `gpt2Tokenizer: merge ${wrong} is ${JSON.stringify(lines[wrong])}, expected two tokens with a space between`,
    );
  const end = '<|endoftext|>';
  const endId = vocabulary[end];
  const definition = {
    ...byteLevelBpe(vocabulary, lines, GPT2_PATTERNS),
    added_tokens: endId === undefined ? [] : [addedToken(endId, end, true)],
  };
  const special = endId === undefined ? {} : { bos_token: end, eos_token: end, unk_token: end };
  return new Tokenizer(definition, { ...special, ...config });
}

export interface WordPieceOptions {
  /** Whether texts are lowercased and lose their accents ("uncased" models); true by default. */
  readonly lowercase?: boolean;
  /** Tokens that are parts of no word; BERT's by default. */
  readonly special?: {
    readonly unk?: string;
    readonly cls?: string;
    readonly sep?: string;
    readonly pad?: string;
    readonly mask?: string;
  };
}

/** BERT's WordPiece. @param tokens the lines of vocab.txt, in order; continuations of words start with ## */
export function wordPieceTokenizer(tokens: readonly string[], options: WordPieceOptions = {}): Tokenizer {
  const { lowercase = true, special = {} } = checkOptions('wordPieceTokenizer', options, ['lowercase', 'special']);
  const { unk = '[UNK]', cls = '[CLS]', sep = '[SEP]', pad = '[PAD]', mask = '[MASK]' } = special;
  const vocab = vocabularyOf(tokens);
  const idOf = (token: string): number => {
    const id = vocab[token];
    if (id === undefined) throw new Error(`wordPieceTokenizer: the vocabulary has no ${token}`);
    return id;
  };
  const definition = {
    added_tokens: [pad, unk, cls, sep, mask]
      .filter(token => token in vocab)
      .map(token => addedToken(idOf(token), token, true)),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: pairTemplate(cls, sep, idOf),
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: { type: 'WordPiece', vocab, unk_token: unk, continuing_subword_prefix: '##', max_input_chars_per_word: 100 },
  };
  return new Tokenizer(definition, { unk_token: unk, pad_token: pad, bos_token: cls, eos_token: sep });
}

/** [CLS] A [SEP], and [CLS] A [SEP] B [SEP] for pairs. */
function pairTemplate(cls: string, sep: string, idOf: (token: string) => number): unknown {
  const single = template([cls], [sep], idOf) as { readonly single: readonly unknown[] };
  const second = [{ Sequence: { id: 'B', type_id: 1 } }, { SpecialToken: { id: sep, type_id: 1 } }];
  return { ...single, pair: [...single.single, ...second] };
}
