/**
 * What a sparse model is: a module over what a table's pull gives, and what it needs of the table. Its output is one
 * logit per example and task unless it says otherwise. Imports nn and models; knows no tables, batches or files.
 */
import { Module } from '../../nn/index.ts';
import { F, type Tensor } from '../../tensor/index.ts';
import type { BatchSchema } from '../batch.ts';

/** A slot whose vectors are not pooled: the last `length` of each example, oldest first. */
export interface SequenceInput {
  /** [B, length, dim]; zeros where the example has fewer. */
  readonly vectors: Tensor;
  /** `[B, length]`: 1 where there is an id. */
  readonly mask: Tensor;
}

/** One batch, as models see it. B is the trainer's capacity; rows past the batch's size have weight 0. */
export interface SparseInput {
  /** `[B, fields]`: the wide weights of the pooled slots, [B, 0] without them. */
  readonly wide: Tensor;
  /** `[B, fields, dim]`: the vectors of the pooled slots, in the schema's order. */
  readonly vectors: Tensor;
  /** By slot. */
  readonly sequences: Readonly<Record<string, SequenceInput>>;
  /** [B, dense columns] */
  readonly dense: Tensor;
  /** `[B]`: 1 for an example, 0 for padding. */
  readonly weights: Tensor;
  /**
   * i32 [B, fields]: which of the batch's distinct signs is first in each pooled slot, -1 for none; for models with
   * `statistics`.
   */
  readonly ids: Tensor;
  /** `[B, fields]`: how often that sign was shown so far; for models with `statistics`. */
  readonly shows: Tensor;
}

export interface ModelOptions {
  readonly schema: BatchSchema;
  /** Weights of a sign's vector; 10 by default. */
  readonly dim?: number;
}

/** What a model asks of its table. */
export interface TableNeeds {
  readonly dim: number;
  readonly wide: boolean;
}

/** Base of models over table rows: says what it needs of a table and computes logits from the rows of a batch. */
export abstract class SparseModel extends Module<[SparseInput]> {
  readonly schema: BatchSchema;
  /** Slots whose vectors come as they are, and how many of them. */
  readonly sequences: Readonly<Record<string, number>>;
  readonly needs: TableNeeds;
  /** Whether it learns from labels; models of retrieval do from what was taken. */
  get supervised(): boolean {
    return true;
  }

  /** Whether it reads `ids` and `shows`. */
  get statistics(): boolean {
    return false;
  }

  constructor(schema: BatchSchema, needs: TableNeeds, sequences: Readonly<Record<string, number>> = {}) {
    super();
    if (!Array.isArray(schema?.slots))
      throw new TypeError(
        `${this.constructor.name}: schema: expected what the batches hold, for instance features.schema`,
      );
    for (const slot of Object.keys(sequences))
      if (!schema.slots.includes(slot))
        throw new Error(`${this.constructor.name}: slot "${slot}" came, expected one of ${schema.slots.join(', ')}`);
    this.schema = schema;
    this.needs = needs;
    this.sequences = sequences;
  }

  /** Slots that are pooled, in the schema's order. */
  get fields(): string[] {
    return this.schema.slots.filter(slot => !(slot in this.sequences));
  }

  /** Place of a pooled slot among the fields. @throws Error when it is none */
  fieldOf(slot: string): number {
    const field = this.fields.indexOf(slot);
    if (field < 0)
      throw new Error(`${this.constructor.name}: slot "${slot}" came, expected one of ${this.fields.join(', ')}`);
    return field;
  }

  /** Labels the model learns, by place in the schema. */
  get tasks(): readonly number[] {
    return [0];
  }

  /** Probabilities [B, tasks] of the output of `forward`. */
  probabilities(output: Tensor): Tensor {
    return output.sigmoid();
  }

  /**
   * The loss of the output of `forward` for the same `input` object: mean over the examples that have the label, added
   * over tasks. labels [B, tasks], NaN where missing.
   */
  loss(output: Tensor, labels: Tensor, input: SparseInput): Tensor {
    return taskLoss(labels, input.weights, target =>
      F.binaryCrossEntropyWithLogits(output, target, { reduction: 'none' }),
    );
  }
}

/**
 * Means over the examples that count and have a label, added over tasks. `each` gives losses [B, tasks] of targets
 * without NaN.
 */
export function taskLoss(labels: Tensor, weights: Tensor, each: (target: Tensor) => Tensor): Tensor {
  const missing = labels.isnan();
  const counts = missing.where(0, weights.unsqueeze(1));
  const losses = each(missing.where(0, labels)).mul(counts);
  return losses.sum(0).div(counts.sum(0).clampMin(1)).sum();
}

/** Logits of one task, as the trainer takes them: [B] -> [B, 1]. */
export const single = (logits: Tensor): Tensor => logits.unsqueeze(1);
