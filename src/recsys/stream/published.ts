/**
 * A published model as a server or an evaluation uses it: the newest base, the deltas after it, and the feature
 * function of training.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { reasonOf } from '../../formats/atomic.ts';
import type { Tensor } from '../../tensor/index.ts';
import { readCheckpoint } from '../../train/checkpointFile.ts';
import type { SparseBatch } from '../batch.ts';
import { type LearnerConfig, learnerOf } from '../config.ts';
import { type FeatureRecord, Features } from '../features/features.ts';
import type { FeatureSpec } from '../features/spec.ts';
import type { SparseInput } from '../models/model.ts';
import { Retrieval } from '../models/retrieval.ts';
import type { SparseTrainer } from '../train/trainer.ts';
import { type DoneLine, readDone } from './done.ts';

/** model.json of a published folder: all that is needed beside the weights. */
export interface PublishedCard extends LearnerConfig {
  readonly format: 'tenon-recsys';
  readonly version: 1;
  readonly features: FeatureSpec;
}

export const CARD_FILE = 'model.json';
export const TABLE_FILE = 'table';
export const DENSE_FILE = 'dense.safetensors';

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

/** A published model as a server uses it: the newest base with the deltas after it, and the features of training. */
export class PublishedModel {
  readonly features: Features;
  readonly card: PublishedCard;
  private readonly folder: string;
  private readonly learner: SparseTrainer;
  private base: DoneLine | null = null;
  private newest: DoneLine | null = null;
  private side: Readonly<Record<'user' | 'item', (input: SparseInput) => Tensor>> | null = null;

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
      this.take(base, file => this.learner.table.load(file));
      this.base = base;
      changed = true;
    }
    const known = changed ? -1 : deltas.findIndex(line => line.path === this.newest?.path);
    for (const delta of deltas.slice(known + 1)) {
      this.take(delta, file => this.learner.table.applyDelta(file));
      changed = true;
    }
    return changed;
  }

  /** Rows and dense weights of a published folder: both, or neither where one of them is not there or damaged. */
  private take(line: DoneLine, rows: (file: string) => void): void {
    const { tensors } = readCheckpoint(this.file(line, DENSE_FILE));
    const own = Object.entries(tensors).filter(([name]) => name.startsWith('model.'));
    rows(this.file(line, TABLE_FILE));
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

  /**
   * Vectors of the users or of the items of records, for models of retrieval: [records, d], of MIND's users [records,
   * interests, d], flat. A user's item is the nearer the larger their dot product; what an item's vector does not
   * depend on may be left out of its records.
   * @throws Error where the model is no model of retrieval
   */
  vectors(records: readonly FeatureRecord[], of: 'user' | 'item'): Float32Array {
    const { model } = this.learner;
    if (!(model instanceof Retrieval))
      throw new Error(`vectors: ${this.card.model.model} has none, expected a model of retrieval (twotower, mind)`);
    const batch = this.features.extractAll(records);
    this.side ??= { user: input => model.userVectors(input), item: input => model.itemVectors(input) };
    return this.learner.outputs(batch, this.side[of]).slice();
  }
}
