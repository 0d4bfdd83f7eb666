/**
 * Parts of tokenizer definitions that several kinds of files lead to, in the words of a tokenizer.json.
 */
import type { TokenizerDefinition } from './tokenizer.ts';

/** A token that is found in the text before anything else is. */
export const addedToken = (id: number, content: string, special: boolean): TokenizerDefinition => ({
  id,
  content,
  special,
  normalized: false,
  single_word: false,
  lstrip: false,
  rstrip: false,
});

/** Indices by token; the first wins where a token stands twice. */
export function vocabularyOf(tokens: readonly string[]): Record<string, number> {
  const vocabulary: Record<string, number> = Object.create(null);
  tokens.forEach((token, id) => {
    vocabulary[token] ??= id;
  });
  return vocabulary;
}

/** Byte-level BPE over the pieces that `patterns` cut a text into, one pattern after another. */
export const byteLevelBpe = (
  vocab: Readonly<Record<string, number>>,
  merges: readonly (string | readonly [string, string])[],
  patterns: readonly string[],
  ignoreMerges = false,
): TokenizerDefinition => ({
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      ...patterns.map(Regex => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })),
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
  decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: { type: 'BPE', vocab, merges, ignore_merges: ignoreMerges, fuse_unk: false, byte_fallback: false },
});

/** Puts special tokens around a text. */
export function template(
  before: readonly string[],
  after: readonly string[],
  idOf: (token: string) => number,
): unknown {
  if (before.length === 0 && after.length === 0) return null;
  const special = (id: string): unknown => ({ SpecialToken: { id, type_id: 0 } });
  const around = (sequences: readonly unknown[]): unknown[] => [
    ...before.map(special),
    ...sequences,
    ...after.map(special),
  ];
  const sequence = (id: string, type_id: number): unknown => ({ Sequence: { id, type_id } });
  return {
    type: 'TemplateProcessing',
    single: around([sequence('A', 0)]),
    pair: [...around([sequence('A', 0)]), ...around([sequence('B', 1)])],
    special_tokens: Object.fromEntries(
      [...before, ...after].map(token => [token, { id: token, ids: [idOf(token)], tokens: [token] }]),
    ),
  };
}

/**
 * The merges of a SentencePiece BPE model, which keeps scores instead: every cut of a piece into two pieces, the best
 * scored piece first.
 */
export function mergesOf(
  pieces: readonly { readonly text: string; readonly score: number }[],
  vocab: Readonly<Record<string, number>>,
): [string, string][] {
  const merges: { readonly pair: [string, string]; readonly score: number }[] = [];
  for (const { text, score } of pieces) {
    const characters = [...text];
    const cuts: [string, string][] = [];
    for (let at = 1; at < characters.length; at++) {
      const pair: [string, string] = [characters.slice(0, at).join(''), characters.slice(at).join('')];
      if (pair[0] in vocab && pair[1] in vocab) cuts.push(pair);
    }
    cuts.sort((a, b) => vocab[a[0]]! - vocab[b[0]]! || vocab[a[1]]! - vocab[b[1]]!);
    for (const pair of cuts) merges.push({ pair, score });
  }
  return merges.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
}

/** Decoding of pieces that write a space as U+2581 and bytes as <0x..>. */
export const pieceDecoder = (stripFirstSpace: boolean): unknown => ({
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    ...(stripFirstSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
  ],
});

/** The normalizer of a precompiled character map; see charsmap.ts. */
export function precompiled(charsmap: Uint8Array): TokenizerDefinition {
  let binary = '';
  for (const byte of charsmap) binary += String.fromCharCode(byte);
  return { type: 'Precompiled', precompiled_charsmap: btoa(binary) };
}
