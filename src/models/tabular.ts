/**
 * Models of tables for binary prediction (clicks, income, churn): logistic regression, factorisation machine, wide &
 * deep, DeepFM, DLRM. All take numbers [B, dense] and category indices [B, fields] and give logits [B]. The fields'
 * vocabularies lie one after another in one table, so a row of categories is one lookup.
 */
import { Embedding, init, Linear, Module } from '../nn/index.ts';
import { cat, F, type Parameter, type Tensor, tensor, zeros } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { lowerTriangle, pairwiseDots, pairwiseSum } from './interactions.ts';

export interface TableShape {
  /** Number of numeric columns; may be 0. */
  readonly dense: number;
  /** Size of each categorical column's vocabulary; may be empty. */
  readonly vocabularies: readonly number[];
}

/** Names of TableShape. */
const TABLE_SHAPE = ['dense', 'vocabularies'] as const;

export interface DeepOptions extends TableShape {
  /** Features of a category; 16 by default. */
  readonly embedding?: number;
  /** Units of each of the three hidden layers; 400 by default. */
  readonly hidden?: number;
  /** Share of the hidden units dropped in training; 0 by default. */
  readonly dropout?: number;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, n) => a + n, 0);

/** A table of small random vectors for all categories of all fields. */
function table({ vocabularies }: TableShape, features: number): Embedding | null {
  if (vocabularies.length === 0) return null;
  const made = new Embedding(sum(vocabularies), features);
  init.normal_(made.weight, 0, 0.01);
  return made;
}

/** Where each field's vocabulary starts. */
function starts(vocabularies: readonly number[]): Tensor {
  const offsets = vocabularies.map((_, i) => sum(vocabularies.slice(0, i)));
  return tensor(Int32Array.from(offsets), { shape: [1, offsets.length] });
}

const linear = (inputs: number, outputs: number): Linear | null => (inputs > 0 ? new Linear(inputs, outputs) : null);

type TableForward = [dense: Tensor, ids: Tensor];

/** A weight per number and per category. */
export class LogisticRegression extends Module<TableForward> {
  readonly emb1: Embedding | null;
  readonly dense1: Linear | null;
  readonly offset: Parameter;

  constructor(shape: TableShape) {
    checkOptions('LogisticRegression', shape, TABLE_SHAPE);
    super();
    this.emb1 = table(shape, 1);
    this.dense1 = linear(shape.dense, 1);
    this.offset = this.registerBuffer('offset', starts(shape.vocabularies), { persistent: false });
  }

  forward(dense: Tensor, ids: Tensor): Tensor {
    return firstOrder(this, dense, this.emb1 ? ids.add(this.offset) : null);
  }
}

interface FirstOrder {
  readonly emb1: Embedding | null;
  readonly dense1: Linear | null;
}

/** Weights of numbers and categories, added up: [B]. */
function firstOrder({ emb1, dense1 }: FirstOrder, dense: Tensor, rows: Tensor | null): Tensor {
  const numbers = dense1 ? dense1.call(dense).squeeze(1) : zeros([dense.shape[0]!]);
  return emb1 && rows ? numbers.add(emb1.call(rows).sum([1, 2])) : numbers;
}

/** Logistic regression plus pairwise products of category vectors. */
export class FactorizationMachine extends Module<TableForward> {
  readonly emb: Embedding | null;
  readonly emb1: Embedding | null;
  readonly dense1: Linear | null;
  readonly offset: Parameter;

  constructor(shape: TableShape & { readonly embedding?: number }) {
    checkOptions('FactorizationMachine', shape, [...TABLE_SHAPE, 'embedding']);
    super();
    this.emb = table(shape, shape.embedding ?? 16);
    this.emb1 = table(shape, 1);
    this.dense1 = linear(shape.dense, 1);
    this.offset = this.registerBuffer('offset', starts(shape.vocabularies), { persistent: false });
  }

  forward(dense: Tensor, ids: Tensor): Tensor {
    if (!this.emb) return firstOrder(this, dense, null);
    const rows = ids.add(this.offset);
    return firstOrder(this, dense, rows).add(pairwiseSum(this.emb.call(rows)));
  }
}

/** Three hidden layers with ReLU over category vectors and numbers; the part that wide & deep and DeepFM share. */
abstract class Deep extends Module<TableForward> {
  readonly emb: Embedding | null;
  readonly emb1: Embedding | null;
  readonly dense1: Linear | null;
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly fc3: Linear;
  readonly out: Linear;
  readonly offset: Parameter;
  readonly dropout: number;

  constructor(options: DeepOptions) {
    super();
    checkOptions(this.constructor.name, options, [...TABLE_SHAPE, 'embedding', 'hidden', 'dropout']);
    const { embedding = 16, hidden = 400, dropout = 0, ...shape } = options;
    this.emb = table(shape, embedding);
    this.emb1 = table(shape, 1);
    this.dense1 = linear(shape.dense, 1);
    this.fc1 = new Linear(shape.vocabularies.length * embedding + shape.dense, hidden);
    this.fc2 = new Linear(hidden, hidden);
    this.fc3 = new Linear(hidden, hidden);
    this.out = new Linear(hidden, 1);
    this.offset = this.registerBuffer('offset', starts(shape.vocabularies), { persistent: false });
    this.dropout = dropout;
  }

  /** First order part, category vectors [B, fields, d] and the network's output, [B]. */
  protected parts(
    dense: Tensor,
    ids: Tensor,
  ): { readonly first: Tensor; readonly vectors: Tensor | null; readonly deep: Tensor } {
    const rows = this.emb ? ids.add(this.offset) : null;
    const vectors = this.emb && rows ? this.emb.call(rows) : null;
    const inputs = [...(vectors ? [vectors.flatten(1)] : []), ...(this.dense1 ? [dense] : [])];
    const options = { p: this.dropout, training: this.training };
    let h = inputs.length === 1 ? inputs[0]! : cat(inputs, 1);
    for (const layer of [this.fc1, this.fc2, this.fc3]) h = F.dropout(layer.call(h).relu(), options);
    return { first: firstOrder(this, dense, rows), vectors, deep: this.out.call(h).squeeze(1) };
  }
}

/** A linear model and a network, added (Cheng et al. 2016). */
export class WideDeep extends Deep {
  forward(dense: Tensor, ids: Tensor): Tensor {
    const { first, deep } = this.parts(dense, ids);
    return first.add(deep);
  }
}

/** A factorisation machine and a network over the same category vectors, added (Guo et al. 2017). */
export class DeepFM extends Deep {
  forward(dense: Tensor, ids: Tensor): Tensor {
    const { first, vectors, deep } = this.parts(dense, ids);
    return (vectors ? first.add(pairwiseSum(vectors)) : first).add(deep);
  }
}

/**
 * A network over numbers, then all pairwise dot products of its output with the category vectors, then another network
 * (Naumov et al. 2019). Needs numeric columns.
 */
export class DLRM extends Module<TableForward> {
  readonly emb: Embedding;
  readonly bot1: Linear;
  readonly bot2: Linear;
  readonly bot3: Linear;
  readonly bot4: Linear;
  readonly top1: Linear;
  readonly top2: Linear;
  readonly top3: Linear;
  readonly offset: Parameter;
  readonly pairs: Parameter;

  constructor(options: TableShape & { readonly embedding?: number }) {
    super();
    const { embedding = 16, ...shape } = checkOptions('DLRM', options, [...TABLE_SHAPE, 'embedding']);
    const fields = shape.vocabularies.length;
    const emb = table(shape, embedding);
    if (!emb || shape.dense === 0)
      throw new Error(`DLRM: ${shape.dense} numeric and ${fields} categorical columns came, expected some of each`);
    this.emb = emb;
    this.bot1 = new Linear(shape.dense, 512);
    this.bot2 = new Linear(512, 256);
    this.bot3 = new Linear(256, 64);
    this.bot4 = new Linear(64, embedding);
    this.top1 = new Linear(embedding + ((fields + 1) * fields) / 2, 512);
    this.top2 = new Linear(512, 256);
    this.top3 = new Linear(256, 1);
    this.offset = this.registerBuffer('offset', starts(shape.vocabularies), { persistent: false });
    this.pairs = this.registerBuffer('pairs', lowerTriangle(fields + 1), { persistent: false });
  }

  forward(dense: Tensor, ids: Tensor): Tensor {
    let x = dense;
    for (const layer of [this.bot1, this.bot2, this.bot3, this.bot4]) x = layer.call(x).relu();
    const vectors = cat([x.unsqueeze(1), this.emb.call(ids.add(this.offset))], 1);
    const products = pairwiseDots(vectors, this.pairs);
    let h = cat([x, products], 1);
    for (const layer of [this.top1, this.top2]) h = layer.call(h).relu();
    return this.top3.call(h).squeeze(1);
  }
}
