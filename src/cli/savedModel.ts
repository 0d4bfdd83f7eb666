/**
 * A trained model on disk: weights as safetensors, and model.json that says how to build the module they belong to and
 * how to feed it.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { reasonOf } from '../formats/atomic.ts';
import { loadSafetensors, saveSafetensors, writeAtomic } from '../formats/index.ts';
import type { AnyModule } from '../nn/index.ts';
import { buildDigits, type DigitsCard } from './tasks/digits.ts';
import { buildTable, type TableCard } from './tasks/table.ts';
import { buildText, type TextCard } from './tasks/text.ts';

/** How to build and feed a model; `task` tells which. */
export type ModelCard = DigitsCard | TableCard | TextCard;

const FORMAT = 'tenon-model';
const FORMAT_VERSION = 1;
const CARD = 'model.json';
const WEIGHTS = 'model.safetensors';

/** Writes model.json and model.safetensors into `folder`; `metrics` are kept in the card for readers. */
export function saveModel(
  folder: string,
  card: ModelCard,
  model: AnyModule,
  metrics: Readonly<Record<string, unknown>>,
): void {
  saveSafetensors(join(folder, WEIGHTS), model.stateDict());
  const content = { format: FORMAT, version: FORMAT_VERSION, weights: WEIGHTS, ...card, metrics };
  writeAtomic(join(folder, CARD), [`${JSON.stringify(content, null, 2)}\n`]);
}

export interface LoadedModel {
  readonly folder: string;
  readonly card: ModelCard;
  /** In evaluation mode. */
  readonly model: AnyModule;
}

/**
 * Loads a model from a run folder, its model.json, or its model.safetensors.
 * @throws Error naming the file that is missing, no model, or does not fit the other.
 */
export function loadModel(path: string): LoadedModel {
  if (!existsSync(path)) throw new Error(`cannot read ${path}: no such file or folder`);
  const folder = statSync(path).isDirectory() ? path : dirname(path);
  const cardFile = path.endsWith('.json') ? path : join(folder, CARD);
  const content = readCard(cardFile);
  const model = build(content);
  const weights = path.endsWith('.safetensors') ? path : join(folder, basename(content.weights));
  const { tensors } = loadSafetensors(weights);
  try {
    model.loadStateDict(tensors);
  } catch (error) {
    throw new Error(`${weights} does not fit ${cardFile}: ${(error as Error).message}`, { cause: error });
  }
  model.eval();
  return { folder, card: content, model };
}

function readCard(file: string): ModelCard & { readonly weights: string } {
  let content: Partial<ModelCard & { format: string; version: number; weights: string }>;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const reason = error instanceof SyntaxError ? `it is not JSON (${error.message})` : reasonOf(error);
    throw new Error(`cannot read ${file}: ${reason}`, { cause: error });
  }
  if (content?.format !== FORMAT || typeof content.weights !== 'string')
    throw new Error(`${file} does not describe a Tenon model`);
  if (content.version !== FORMAT_VERSION)
    throw new Error(`${file}: model version ${content.version} came, expected ${FORMAT_VERSION}`);
  return content as ModelCard & { weights: string };
}

function build(card: ModelCard): AnyModule {
  switch (card.task) {
    case 'digits':
      return buildDigits(card);
    case 'table':
      return buildTable(card);
    case 'text':
      return buildText(card);
    default:
      throw new Error(`model.json: unknown task ${JSON.stringify((card satisfies never as { task: unknown }).task)}`);
  }
}
