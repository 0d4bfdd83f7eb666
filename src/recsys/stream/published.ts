/**
 * A published model as a server or an evaluation uses it: the newest base, the deltas after it, and the feature function of training.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { reasonOf } from '../../formats/atomic.ts';
import { Adagrad, Adam, AdamW, type AnyOptimizer, SGD } from '../../optim/index.ts';
import type { Parameter } from '../../tensor/index.ts';
import { readCheckpoint } from '../../train/checkpointFile.ts';
import type { SparseBatch } from '../batch.ts';
import { type FeatureRecord, Features } from '../features/features.ts';
import type { FeatureSpec } from '../features/spec.ts';
import { buildModel, type ModelConfig } from '../models/index.ts';
import type { TableOptions } from '../table/options.ts';
import type { Pooling } from '../train/pooling.ts';
import { SparseTrainer } from '../train/trainer.ts';
import { type DoneLine, readDone } from './done.ts';

/** model.json of a published folder: all that is needed beside the weights. */
export interface PublishedCard {
  readonly format: 'tenon-recsys';
  readonly version: 1;
  readonly features: FeatureSpec;
  readonly model: ModelConfig;
  readonly table?: Partial<TableOptions>;
  readonly pooling?: Readonly<Record<string, Pooling>>;
  /** Of the dense weights; { type: 'adam', lr: 1e-3 } by default. */
  readonly optimizer?: OptimizerConfig;
}

/** A dense optimizer as a config file has it: its name and the options of its class. */
export interface OptimizerConfig {
  readonly type: keyof typeof OPTIMIZERS;
  readonly [option: string]: unknown;
}

const OPTIMIZERS = { adam: Adam, adamw: AdamW, sgd: SGD, adagrad: Adagrad } as const;

/** @throws Error for a name that is none */
function optimizerOf({ type, ...options }: OptimizerConfig): (parameters: Parameter[]) => AnyOptimizer {
  const Optimizer = OPTIMIZERS[type] as (new (parameters: Parameter[], options: object) => AnyOptimizer) | undefined;
  if (!Optimizer) throw new Error(`optimizer: "${type}" came, expected ${Object.keys(OPTIMIZERS).join(', ')}`);
  return parameters => new Optimizer(parameters, options);
}

export const CARD_FILE = 'model.json';
export const TABLE_FILE = 'table';
export const DENSE_FILE = 'dense.safetensors';

/** A learner as a card describes it, untrained. */
export function learnerOf(
  { model, table, pooling, optimizer }: Pick<PublishedCard, 'model' | 'table' | 'pooling' | 'optimizer'>,
  features: Features,
): SparseTrainer {
  const dense = optimizer && optimizerOf(optimizer);
  return new SparseTrainer({ model: buildModel(model, features.schema), table, pooling, optimizer: dense });
}

function readCard(file: string): PublishedCard {
  let card: PublishedCard;
  try {
    card = JSON.parse(readFileSync(file, 'utf8')) as PublishedCard;
  } catch (error) {
    throw new Error(`cannot read ${file}: ${reasonOf(error)}`, { cause: error });
  }
  if (card.format !== 'tenon-recsys') throw new Error(`${file} describes no published model`);
  if (card.version !== 1) throw new Error(`${file}: version ${card.version} came, expected 1`);
  return card;
}

export class PublishedModel {
  readonly features: Features;
  readonly card: PublishedCard;
  private readonly folder: string;
  private readonly learner: SparseTrainer;
  private base: DoneLine | null = null;
  private newest: DoneLine | null = null;

  /**
   * Loads what the folder `publish` of a run holds.
   * @throws Error in one sentence when there is nothing, or a done-file names what is not there
   */
  constructor(folder: string) {
    this.folder = folder;
    const first = readDone(path.join(folder, 'base.done')).at(-1) ?? readDone(path.join(folder, 'delta.done')).at(-1);
    if (!first) throw new Error(`${folder} holds no published model: it has neither base.done nor delta.done`);
    this.card = readCard(this.file(first, CARD_FILE));
    this.features = new Features(this.card.features);
    this.learner = learnerOf(this.card, this.features);
    this.update();
  }

  /** The day and pass that the model has seen last. */
  get version(): { readonly day: string; readonly pass: string } {
    const { day, pass } = this.newest!;
    return { day, pass };
  }

  /**
   * Takes in what was published since. @returns whether there was anything
   * @throws Error in one sentence when a done-file names what is not there
   */
  update(): boolean {
    const base = readDone(path.join(this.folder, 'base.done')).at(-1) ?? null;
    const deltas = readDone(path.join(this.folder, 'delta.done')).filter(line => !base || line.day > base.day);
    let changed = false;
    if (base && base.path !== this.base?.path) {
      this.learner.table.load(this.file(base, TABLE_FILE));
      this.take(base);
      this.base = base;
      changed = true;
    }
    const known = changed ? -1 : deltas.findIndex(line => line.path === this.newest?.path);
    for (const delta of deltas.slice(known + 1)) {
      this.learner.table.applyDelta(this.file(delta, TABLE_FILE));
      this.take(delta);
      changed = true;
    }
    return changed;
  }

  /** The dense weights of a published folder. */
  private take(line: DoneLine): void {
    const { tensors } = readCheckpoint(this.file(line, DENSE_FILE));
    const own = Object.entries(tensors).filter(([name]) => name.startsWith('model.'));
    this.learner.model.loadStateDict(Object.fromEntries(own.map(([name, tensor]) => [name.slice(6), tensor])));
    this.newest = line;
  }

  private file(line: DoneLine, name: string): string {
    return path.join(this.folder, line.path, name);
  }

  /** Probabilities of records, one per record (of several tasks: [records, tasks] row by row). */
  predict(records: readonly FeatureRecord[]): Float32Array {
    return this.predictBatch(this.features.extractAll(records));
  }

  /** Probabilities of a batch that these features made. */
  predictBatch(batch: SparseBatch): Float32Array {
    return this.learner.predict(batch).slice();
  }
}
