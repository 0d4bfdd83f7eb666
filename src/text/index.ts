/**
 * Text and tokens: tokenizers of published models, from every file they are kept in. Imports the Tensor API and
 * formats; knows no models.
 */
export type { ChatMessage, ChatOptions } from './chat.ts';
export { ggufTokenizer } from './gguf.ts';
export { loadTokenizer } from './load.ts';
export { type SentencePieceOptions, sentencePieceTokenizer } from './sentencePiece.ts';
export {
  type Batch,
  type BatchOptions,
  type EncodeOptions,
  type TextStream,
  Tokenizer,
  type TokenizerConfig,
  type TokenizerDefinition,
} from './tokenizer.ts';
export { gpt2Tokenizer, type WordPieceOptions, wordPieceTokenizer } from './vocabularies.ts';
