/**
 * A published model as it is downloaded: a folder with config.json, weights and a tokenizer.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { AnyModule } from '../nn/index.ts';
import type { DType } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { ggufTokenizer, loadTokenizer, type Tokenizer } from '../text/index.ts';
import { type ModelConfig, modelOf } from './architectures.ts';
import { loadGgufModel } from './gguf.ts';
import { type LoadedWeights, loadWeightsInto } from './weights.ts';

/** A class of the zoo. */
/** A class whose instances are models. */
export type ModelClass<M> = { readonly name: string; readonly prototype: M };

export interface LoadPretrainedOptions<M extends AnyModule = AnyModule> {
  /** The class to load the weights into, which types the result; by default the one that config.json names. */
  readonly model?: ModelClass<M>;
  /** dtype of the parameters; f32 by default, bf16 for half the memory. */
  readonly dtype?: DType;
  /** Whether parameters that the file lacks are an error, or keep new values (a new head); true by default. */
  readonly strict?: boolean;
}

export interface Pretrained<M extends AnyModule = AnyModule> extends LoadedWeights {
  /** In evaluation mode. */
  readonly model: M;
  /** config.json, or the metadata of a GGUF file. */
  readonly config: ModelConfig;
  /** null where the folder has no tokenizer. */
  readonly tokenizer: Tokenizer | null;
}

const WEIGHTS = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
] as const;
const TOKENIZERS = ['tokenizer.json', 'vocab.json', 'tokenizer.model', 'spiece.model', 'vocab.txt'] as const;

function readConfig(folder: string): ModelConfig {
  const file = path.join(folder, 'config.json');
  if (!existsSync(file)) throw new Error(`${folder}: there is no config.json in it`);
  try {
    const config: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config as ModelConfig;
    throw new Error('it is no object');
  } catch (error) {
    throw new Error(`${file}: not a configuration: ${(error as Error).message}`);
  }
}

/** A GGUF file holds everything in one. */
function fromGguf<M extends AnyModule>(
  file: string,
  { model: wanted, dtype }: LoadPretrainedOptions<M>,
): Pretrained<M> {
  const { model, metadata } = loadGgufModel(file, { dtype });
  if (wanted && model.constructor.name !== wanted.name)
    throw new Error(`${file}: it holds a ${model.constructor.name}, expected a ${wanted.name}`);
  const tokenizer = 'tokenizer.ggml.tokens' in metadata ? ggufTokenizer(metadata) : null;
  return { model: model.eval() as AnyModule as M, config: metadata, tokenizer, missing: [], unexpected: [] };
}

/**
 * Loads a published model from its folder: config.json says what to build, the weights come from model.safetensors, a
 * sharded model.safetensors.index.json or pytorch_model.bin (sharded, too), the tokenizer from what is there. Or from a
 * `.gguf` file of LLaMA's family or GPT-2.
 *
 *     const { model, tokenizer } = await loadPretrained('models/gpt2', { model: GPT2LMHeadModel });
 *     console.log(tokenizer?.decode(model.generate(tokenizer.encode('Once upon a time'))));
 *
 * @throws Error naming the file and what is wrong with it
 */
export async function loadPretrained<M extends AnyModule = AnyModule>(
  location: string,
  options: LoadPretrainedOptions<M> = {},
): Promise<Pretrained<M>> {
  checkOptions('loadPretrained', options, ['model', 'dtype', 'strict']);
  if (location.endsWith('.gguf')) return fromGguf(location, options);
  const folder = location;
  const { model: wanted, dtype, strict = true } = options;
  const config = readConfig(folder);
  const weights = WEIGHTS.map(name => path.join(folder, name)).find(file => existsSync(file));
  if (!weights) throw new Error(`${folder}: there are no weights in it, expected one of ${WEIGHTS.join(', ')}`);
  const model = modelOf(config, wanted?.name) as M;
  const loaded = await loadWeightsInto(model, weights, { strict, dtype });
  const hasTokenizer = TOKENIZERS.some(name => existsSync(path.join(folder, name)));
  model.eval();
  return { model, config, tokenizer: hasTokenizer ? loadTokenizer(folder) : null, ...loaded };
}
