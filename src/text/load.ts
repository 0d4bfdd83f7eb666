/**
 * Finding the tokenizer in a file or in a model's folder.
 */
import { openGguf } from '../formats/gguf/reader.ts';
import { parseJson } from '../formats/json.ts';
import { fs, path } from '../formats/node.ts';
import { ggufTokenizer } from './gguf.ts';
import { sentencePieceTokenizer } from './sentencePiece.ts';
import { Tokenizer, type TokenizerConfig, type TokenizerDefinition } from './tokenizer.ts';
import { gpt2Tokenizer, wordPieceTokenizer } from './vocabularies.ts';

/** JSON.parse, which is fast, but says what is wrong without its place; then the parser that tells it. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    parseJson(text, { maxDepth: 1000 });
    throw error;
  }
}

function readJson(file: string): Readonly<Record<string, unknown>> {
  const value = json(fs().readFileSync(file, 'utf8'));
  if (typeof value !== 'object' || value === null) throw new Error('it is no JSON object');
  return value as Readonly<Record<string, unknown>>;
}

/** The first of the names that is a file in the folder. */
const among = (folder: string, ...names: readonly string[]): string | undefined =>
  names.map(name => path().join(folder, name)).find(file => fs().existsSync(file));

function configBeside(folder: string): TokenizerConfig {
  const file = among(folder, 'tokenizer_config.json');
  const template = among(folder, 'chat_template.jinja');
  return {
    ...(file ? readJson(file) : {}),
    ...(template ? { chat_template: fs().readFileSync(template, 'utf8') } : {}),
  };
}

function fromVocabulary(vocabulary: string): Tokenizer {
  const folder = path().dirname(vocabulary);
  const merges = among(folder, 'merges.txt', 'vocab.bpe', 'gpt2-vocab.bpe');
  if (!merges) throw new Error('there is no merges.txt (or vocab.bpe) beside it');
  const words = readJson(vocabulary) as Readonly<Record<string, number>>;
  return gpt2Tokenizer(words, fs().readFileSync(merges, 'utf8'), configBeside(folder));
}

function fromSentencePiece(file: string): Tokenizer {
  const config = configBeside(path().dirname(file));
  return sentencePieceTokenizer(fs().readFileSync(file), {
    addBos: config['add_bos_token'] === true,
    addEos: config['add_eos_token'] === true,
    chatTemplate: config['chat_template'],
  });
}

function fromGguf(file: string): Tokenizer {
  const opened = openGguf(file);
  try {
    return ggufTokenizer(opened.metadata);
  } finally {
    opened.close();
  }
}

function fromWords(file: string): Tokenizer {
  const lines = fs()
    .readFileSync(file, 'utf8')
    .replace(/\r?\n$/, '')
    .split(/\r?\n/);
  return wordPieceTokenizer(lines, { lowercase: configBeside(path().dirname(file))['do_lower_case'] !== false });
}

/** A file by its name, or by what its folder's tokenizer is usually called. */
function fromFile(file: string): Tokenizer {
  const name = path().basename(file);
  if (/(vocab|encoder)\.json$/.test(name)) return fromVocabulary(file);
  if (name.endsWith('.json'))
    return new Tokenizer(readJson(file) as TokenizerDefinition, configBeside(path().dirname(file)));
  if (name.endsWith('.model')) return fromSentencePiece(file);
  if (name.endsWith('.gguf')) return fromGguf(file);
  if (name.endsWith('.txt')) return fromWords(file);
  throw new Error('its name ends in none of .json, .model, .gguf and .txt');
}

/**
 * Loads the tokenizer of a published model: a folder with tokenizer.json, vocab.json and merges.txt, tokenizer.model,
 * spiece.model or vocab.txt (in this order), or one such file, or a .gguf file.
 * @throws Error that names the file and what is wrong with it
 */
export function loadTokenizer(location: string): Tokenizer {
  if (!fs().existsSync(location)) throw new Error(`${location}: there is no such file or folder`);
  const file = fs().statSync(location).isDirectory()
    ? among(
        location,
        'tokenizer.json',
        'vocab.json',
        'encoder.json',
        'gpt2-encoder.json',
        'tokenizer.model',
        'spiece.model',
        'sentencepiece.bpe.model',
        'vocab.txt',
      )
    : location;
  if (!file)
    throw new Error(`${location}: the folder holds no tokenizer.json, vocab.json, tokenizer.model or vocab.txt`);
  try {
    return fromFile(file);
  } catch (error) {
    // The library takes its definitions as they are: where a part is missing it stumbles.
    const stumbled = error instanceof TypeError || error instanceof ReferenceError;
    const reason = stumbled ? 'a part of its definition is missing or of another kind' : (error as Error).message;
    throw new Error(`${file}: not a tokenizer: ${reason.replace(/: undefined$/, ': none')}`, { cause: error });
  }
}
