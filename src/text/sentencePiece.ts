/**
 * Tokenizers from SentencePiece model files
 * (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto): Unigram and BPE.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { checkOptions } from '../tensor/options.ts';
import { charsmapNormalizer } from './charsmap.ts';
import { addedToken, mergesOf, pieceDecoder, template, vocabularyOf } from './definitions.ts';
import { Tokenizer, type TokenizerDefinition } from './tokenizer.ts';

/** SentencePiece.Type */
export const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

interface Piece {
  readonly text: string;
  readonly score: number;
  readonly kind: number;
}

/** The fields of a ModelProto that say how to tokenize. */
interface SentencePieceModel {
  readonly pieces: readonly Piece[];
  readonly kind: 'unigram' | 'bpe' | 'word' | 'char';
  readonly unkId: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  readonly charsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

/** A message's fields: numbers and byte strings by field number. */
interface Fields {
  readonly messages: ReadonlyMap<number, readonly Uint8Array[]>;
  readonly numbers: ReadonlyMap<number, number>;
}

function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const messages = new Map<number, Uint8Array[]>();
  const numbers = new Map<number, number>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) messages.set(field, [...(messages.get(field) ?? []), reader.bytes()]);
    else if (type === WireType.Varint) numbers.set(field, Number(reader.int64()));
    else if (type === WireType.Bit32) numbers.set(field, reader.float());
    else reader.skip(type, field);
  }
  return { messages, numbers };
}

const text = (bytes: Uint8Array | undefined): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

function readModel(bytes: Uint8Array): SentencePieceModel {
  const reader = new BinaryReader(bytes);
  try {
    return modelOf(reader);
  } catch (error) {
    throw new Error(`before byte ${Math.min(reader.pos, reader.len)}: ${(error as Error).message}`, { cause: error });
  }
}

function modelOf(reader: BinaryReader): SentencePieceModel {
  // One pass over the pieces without copying lists: there are tens of thousands.
  const pieces: Piece[] = [];
  let trainer: Fields = fieldsOf(new Uint8Array());
  let normalizer: Fields = trainer;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type !== WireType.LengthDelimited) {
      reader.skip(type, field);
      continue;
    }
    const content = reader.bytes();
    if (field === 1) {
      const { messages, numbers } = fieldsOf(content);
      pieces.push({
        text: text(messages.get(1)?.[0]),
        score: numbers.get(2) ?? 0,
        kind: numbers.get(3) ?? KIND.normal,
      });
    } else if (field === 2) trainer = fieldsOf(content);
    else if (field === 3) normalizer = fieldsOf(content);
  }
  const kinds = ['', 'unigram', 'bpe', 'word', 'char'] as const;
  const kind = kinds[trainer.numbers.get(3) ?? 1];
  if (!kind || pieces.length === 0) throw new Error('there are no pieces in it');
  const flag = (field: number): boolean => (normalizer.numbers.get(field) ?? 1) !== 0;
  return {
    pieces,
    kind,
    unkId: trainer.numbers.get(40) ?? 0,
    bosId: trainer.numbers.get(41) ?? 1,
    eosId: trainer.numbers.get(42) ?? 2,
    padId: trainer.numbers.get(43) ?? -1,
    charsmap: normalizer.messages.get(2)?.[0] ?? new Uint8Array(),
    addDummyPrefix: flag(3),
    removeExtraWhitespaces: flag(4),
    escapeWhitespaces: flag(5),
  };
}

/**
 * What SentencePiece does to a whole text first: the character map, extra spaces dropped, one put in front, all of them
 * written as U+2581.
 */
function normalizerOf(model: SentencePieceModel): (text: string) => string {
  const map = charsmapNormalizer(model.charsmap);
  return raw => {
    let text = map(raw);
    if (model.removeExtraWhitespaces) text = text.replace(/^ +| +$/g, '').replace(/ {2,}/g, ' ');
    // A text of nothing but spaces stays empty.
    if (model.addDummyPrefix && text !== '') text = ` ${text}`;
    return model.escapeWhitespaces ? text.replaceAll(' ', '▁') : text;
  };
}

function definitionOf(model: SentencePieceModel): TokenizerDefinition {
  const { pieces, kind } = model;
  const byteFallback = pieces.some(piece => piece.kind === KIND.byte);
  const vocab = vocabularyOf(pieces.map(piece => piece.text));
  const unigram = {
    type: 'Unigram',
    vocab: pieces.map(piece => [piece.text, piece.kind === KIND.normal ? piece.score : 0]),
    unk_id: model.unkId,
    byte_fallback: byteFallback,
  };
  const bpe = {
    type: 'BPE',
    vocab,
    merges:
      kind === 'bpe'
        ? mergesOf(
            pieces.filter(piece => piece.kind === KIND.normal),
            vocab,
          )
        : [],
    unk_token: pieces[model.unkId]?.text,
    fuse_unk: true,
    byte_fallback: byteFallback,
  };
  return {
    added_tokens: pieces.flatMap(({ text: content, kind: role }, id) => {
      const special = role === KIND.control || role === KIND.unknown;
      return special || role === KIND.userDefined ? [addedToken(id, content, special)] : [];
    }),
    decoder: pieceDecoder(model.addDummyPrefix),
    model: kind === 'unigram' ? unigram : bpe,
  };
}

export interface SentencePieceOptions {
  /**
   * Whether encode adds the beginning-of-text token; false by default, as in SentencePiece itself (LLaMA's files want
   * true).
   */
  readonly addBos?: boolean;
  /** Whether encode adds the end-of-text token; false by default (T5's files want true). */
  readonly addEos?: boolean;
  /** How conversations are written (Jinja); none by default. */
  readonly chatTemplate?: unknown;
}

/**
 * The tokenizer of a SentencePiece model file's bytes.
 * @throws Error for files that are none, and for models of kind "word"
 */
export function sentencePieceTokenizer(bytes: Uint8Array, options: SentencePieceOptions = {}): Tokenizer {
  checkOptions('sentencePieceTokenizer', options, ['addBos', 'addEos', 'chatTemplate']);
  let model: SentencePieceModel;
  try {
    model = readModel(bytes);
  } catch (error) {
    throw new Error(`sentencePieceTokenizer: not a SentencePiece model: ${(error as Error).message}`, { cause: error });
  }
  if (model.kind === 'word') throw new Error('sentencePieceTokenizer: models of kind "word" are not supported');
  const { pieces } = model;
  const [bos, eos] = [pieces[model.bosId]?.text, pieces[model.eosId]?.text];
  const around = template(options.addBos && bos ? [bos] : [], options.addEos && eos ? [eos] : [], token =>
    pieces.findIndex(piece => piece.text === token),
  );
  return new Tokenizer(
    { ...definitionOf(model), post_processor: around },
    {
      bos_token: bos,
      eos_token: eos,
      unk_token: pieces[model.unkId]?.text,
      pad_token: pieces[model.padId]?.text,
      chat_template: options.chatTemplate,
    },
    normalizerOf(model),
  );
}
