/**
 * The text task: a character-level GPT after nanoGPT's configuration for CPUs (config/train_shakespeare_char.py and its
 * README).
 */
import { CharVocabulary, DataLoader, readText, TextWindows } from '../../data/index.ts';
import { GPT } from '../../models/index.ts';
import { AdamW, WarmupCosineLR } from '../../optim/index.ts';
import { F, type Tensor } from '../../tensor/index.ts';
import { evaluate } from '../../train/index.ts';
import type { Training } from '../training.ts';

/** Sizes of a GPT. */
interface TextShape {
  readonly block: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly dropout: number;
}

/** What model.json says of a text model. */
export interface TextCard extends TextShape {
  readonly task: 'text';
  readonly model: 'gpt';
  readonly characters: readonly string[];
}

export const buildText = ({ block, layers, heads, width, dropout, characters }: TextCard): GPT =>
  new GPT({ block, layers, heads, d: width, dropout, vocab: characters.length });

/** The first 90 % of a text for training, the rest for validation. */
interface TextParts {
  readonly vocabulary: CharVocabulary;
  readonly train: Int32Array;
  readonly val: Int32Array;
}

const TRAINING_SHARE = 0.9;

/** Reads and encodes a text; `characters` of a trained model, else those that occur. */
export function textParts(path: string, characters?: readonly string[]): TextParts {
  const text = readText(path);
  const vocabulary = characters ? new CharVocabulary(characters) : CharVocabulary.of(text);
  const ids = vocabulary.encode(text);
  const cut = Math.floor(ids.length * TRAINING_SHARE);
  return { vocabulary, train: ids.subarray(0, cut), val: ids.subarray(cut) };
}

interface TextRecipe {
  readonly steps: number;
  readonly batch: number;
  readonly lr: number;
  readonly seed: number;
}

/** Steps between two validations: one "epoch" of fit. */
const STAGE = 250;
const VALIDATION_BATCH = 50;
/** Windows validated after each stage; the whole validation part is only measured at the end. */
const STAGE_WINDOWS = 200;

const reading = (model: GPT): { forward: (tokens: Tensor) => Tensor; target: (tokens: Tensor) => Tensor } => ({
  forward: tokens => model.call(tokens.narrow(1, 0, tokens.shape[1]! - 1)).flatten(0, 1),
  target: tokens => tokens.narrow(1, 1, tokens.shape[1]! - 1).flatten(),
});

/**
 * nanoGPT's recipe: AdamW (betas 0.9 and 0.99, decay 0.1 on matrices), 100 steps of warm-up, a cosine to a tenth,
 * gradients clipped at norm 1.
 */
export function textTraining(model: GPT, { train, val }: TextParts, recipe: TextRecipe): Training<Tensor> {
  const { batch, lr, seed } = recipe;
  const { block } = model.config;
  const stages = Math.max(1, Math.round(recipe.steps / STAGE));
  const stepsPerStage = Math.ceil(recipe.steps / stages);
  const windows = new TextWindows(train, { block, randomPerEpoch: stepsPerStage * batch, seed });
  const loader = new DataLoader<BigInt64Array, Tensor>(windows, { batchSize: batch });
  const parameters = model.parameters();
  const optimizer = new AdamW(
    [
      { params: parameters.filter(p => p.ndim >= 2), weightDecay: 0.1 },
      { params: parameters.filter(p => p.ndim < 2), weightDecay: 0 },
    ],
    { lr, betas: [0.9, 0.99] },
  );
  const totalSteps = stages * stepsPerStage;
  const warmupSteps = Math.min(100, Math.floor(totalSteps / 10));
  const held = new TextWindows(val, { block, randomPerEpoch: STAGE_WINDOWS, seed });
  return {
    model,
    loader,
    heldOut: 'val',
    fit: {
      ...reading(model),
      loss: F.crossEntropy,
      optimizer,
      epochs: stages,
      scheduler: new WarmupCosineLR(optimizer, { warmupSteps, totalSteps, minLr: lr / 10 }),
      scheduleBy: 'step',
      clipGradNorm: 1,
      validation: new SamePass(held),
    },
  };
}

/** The same random windows at every validation. */
class SamePass {
  private readonly windows: TextWindows;

  constructor(windows: TextWindows) {
    this.windows = windows;
  }

  [Symbol.iterator](): Iterator<Tensor> {
    return new DataLoader<BigInt64Array, Tensor>(this.windows, { batchSize: VALIDATION_BATCH })[Symbol.iterator]();
  }
}

/** Mean cross entropy per character over the whole of `tokens`, window by window. */
export async function evaluateText(
  model: GPT,
  tokens: Int32Array,
): Promise<{ val_loss: number; val_perplexity: number }> {
  const windows = new TextWindows(tokens, { block: model.config.block });
  const loader = new DataLoader<BigInt64Array, Tensor>(windows, { batchSize: VALIDATION_BATCH });
  const { loss } = await evaluate(model, loader, { ...reading(model), loss: F.crossEntropy });
  return { val_loss: loss!, val_perplexity: Math.exp(loss!) };
}

interface SampleOptions {
  readonly tokens: number;
  readonly temperature: number;
  readonly topK?: number;
}

/** What a text is started from when nothing is asked: a line's end, or the first character there is. */
export const defaultPrompt = ({ characters }: CharVocabulary): string =>
  characters.includes('\n') ? '\n' : characters[0]!;

/** Continues `prompt`; `onText` is told every character as it comes. */
export function continueText(
  model: GPT,
  vocabulary: CharVocabulary,
  prompt: string,
  { tokens, temperature, topK }: SampleOptions,
  onText?: (text: string) => void,
): string {
  const ids: number[] = [];
  for (const token of model.stream([...vocabulary.encode(prompt)], { maxNewTokens: tokens, temperature, topK })) {
    ids.push(token);
    onText?.(vocabulary.decode([token]));
  }
  return vocabulary.decode(ids);
}
