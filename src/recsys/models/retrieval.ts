/**
 * Retrieval: a user's vector against items' vectors. Two-tower and MIND learn from positives alone, with the other
 * items of the batch as negatives and their popularity taken out (log-Q correction, Yi et al. 2019).
 */
import { Tower, weightedSum } from '../../models/interactions.ts';
import { init, Linear } from '../../nn/index.ts';
import { arange, cat, F, Parameter, type Tensor, tensor, zeros } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import type { DeepOptions } from './deep.ts';
import { type SparseInput, SparseModel } from './model.ts';
import { DEEP } from './optionNames.ts';

export interface RetrievalOptions extends DeepOptions {
  /** Pooled slots of the item; the first one is its identity. All others, and the dense columns, belong to the user. */
  readonly items: readonly string[];
  /** Divides cosine similarities; 0.07 by default. */
  readonly temperature?: number;
  /** Whether popularity is taken out of the in-batch softmax; true by default. */
  readonly logQ?: boolean;
}

/** Names of RetrievalOptions. */
const RETRIEVAL = [...DEEP, 'items', 'temperature', 'logQ'] as const;

const indexOf = (positions: readonly number[]): Tensor => tensor(Int32Array.from(positions));
const eye = (n: number): Tensor => arange(n).unsqueeze(0).eq(arange(n).unsqueeze(1));

/** What both share: the item's tower and the loss. */
export abstract class Retrieval extends SparseModel {
  readonly items: readonly number[];
  readonly users: readonly number[];
  readonly temperature: number;
  readonly logQ: boolean;
  readonly itemTower: Tower;
  readonly itemOut: Linear;

  constructor(options: RetrievalOptions, sequences: Readonly<Record<string, number>>) {
    const { schema, dim = 16, items, temperature = 0.07, logQ = true, hidden = [64], dropout } = options;
    super(schema, { dim, wide: false }, sequences);
    this.items = items.map(slot => this.fieldOf(slot));
    if (items.length === 0) throw new Error(`${this.constructor.name}: items: none came, expected at least one slot`);
    this.users = this.fields.map((_, f) => f).filter(f => !this.items.includes(f));
    this.temperature = temperature;
    this.logQ = logQ;
    this.itemTower = new Tower(items.length * dim, hidden, { dropout });
    this.itemOut = new Linear(this.itemTower.width, options.dim ?? 16);
  }

  override get supervised(): boolean {
    return false;
  }

  override get statistics(): boolean {
    return true;
  }

  /** Vectors of the fields given, side by side. */
  protected pick(vectors: Tensor, fields: readonly number[]): Tensor {
    return vectors.indexSelect(1, indexOf(fields)).flatten(1);
  }

  /** Unit vectors of the items [B, d]. */
  itemVectors(input: SparseInput): Tensor {
    return F.normalize(this.itemOut.call(this.itemTower.call(this.pick(input.vectors, this.items))), { dim: 1 });
  }

  /** Unit vectors of the users [B, d] (MIND: [B, interests, d]). */
  abstract userVectors(input: SparseInput): Tensor;

  /** Similarities of users (rows) and items (columns), [B, B], before the temperature. */
  protected abstract similarities(users: Tensor, items: Tensor, input: SparseInput): Tensor;

  /** [B, B] logits: similarity over temperature. */
  forward(input: SparseInput): Tensor {
    return this.similarities(this.userVectors(input), this.itemVectors(input), input).div(this.temperature);
  }

  /** How much an example's own item is preferred to the batch's others: softmax probability [B, 1]. */
  override probabilities(output: Tensor): Tensor {
    return output.softmax(1).diagonal().unsqueeze(1);
  }

  /** Softmax over the batch's items; another example's item that is the same item, and padding, are no negatives. */
  override loss(output: Tensor, _labels: Tensor, { ids, shows, weights }: SparseInput): Tensor {
    const identity = ids.select(1, this.items[0]!);
    const same = identity.unsqueeze(0).eq(identity.unsqueeze(1));
    const size = output.shape[0]!;
    const own = eye(size);
    const forbidden = same
      .logicalAnd(own.logicalNot())
      .logicalOr(weights.unsqueeze(0).lt(0.5).logicalAnd(own.logicalNot()));
    const corrected = this.logQ ? output.sub(shows.select(1, this.items[0]!).add(1).log().unsqueeze(0)) : output;
    const chances = forbidden.where(-1e9, corrected).logSoftmax(1).diagonal();
    return chances.mul(weights).sum().div(weights.sum().clampMin(1)).neg();
  }
}

/** Two towers: user fields and dense columns on one side, item fields on the other. */
export class TwoTower extends Retrieval {
  readonly userTower: Tower;
  readonly userOut: Linear;

  constructor(options: RetrievalOptions) {
    super(checkOptions('TwoTower', options, RETRIEVAL), {});
    const { dim = 16, hidden = [64], schema, dropout } = options;
    if (this.users.length + schema.dense.length === 0)
      throw new Error(
        `TwoTower: items: all slots (${schema.slots.join(', ')}) came, expected one, or a dense column, that is left for the user`,
      );
    this.userTower = new Tower(this.users.length * dim + schema.dense.length, hidden, { dropout });
    this.userOut = new Linear(this.userTower.width, dim);
  }

  userVectors({ vectors, dense }: SparseInput): Tensor {
    const x = cat([this.pick(vectors, this.users), dense], 1);
    return F.normalize(this.userOut.call(this.userTower.call(x)), { dim: 1 });
  }

  protected similarities(users: Tensor, items: Tensor): Tensor {
    return users.matmul(items.transpose(0, 1));
  }
}

export interface MINDOptions extends RetrievalOptions {
  /** Slot of the user's history of items. */
  readonly history: string;
  /** Most recent ids that count; 50 by default. */
  readonly length?: number;
  /** Most interests of a user; 4 by default. */
  readonly interests?: number;
  /** Rounds of dynamic routing; 3 by default. */
  readonly rounds?: number;
  /**
   * Whether users of short histories have fewer interests: max(1, min(interests, log2 of its length)), rounded down;
   * true by default.
   */
  readonly dynamic?: boolean;
  /**
   * Power of label-aware attention: in training, a user is its interests weighted by softmax(similarity to the
   * example's own item ^ power), a similarity below 0 keeping its sign. By default the nearest alone counts, the limit
   * of large powers (the paper's choice, as it learns faster).
   */
  readonly power?: number;
}

/**
 * Multi-interest network with dynamic routing (Li et al. 2019): a history becomes several interest capsules; in
 * training, those near the example's own item stand for the user (label-aware attention), and in serving an item meets
 * the nearest.
 */
export class MIND extends Retrieval {
  readonly history: string;
  readonly interests: number;
  readonly rounds: number;
  readonly dynamic: boolean;
  readonly power: number | null;
  readonly bilinear: Linear;
  readonly userTower: Tower;
  readonly userOut: Linear;
  readonly start: Parameter;

  constructor(options: MINDOptions) {
    checkOptions('MIND', options, [...RETRIEVAL, 'history', 'length', 'interests', 'rounds', 'dynamic', 'power']);
    const { history, length = 50, interests = 4, rounds = 3, dim = 16, hidden = [64], schema, dropout } = options;
    super(options, { [history]: length });
    this.dynamic = options.dynamic ?? true;
    this.power = options.power ?? null;
    this.history = history;
    this.interests = interests;
    this.rounds = rounds;
    this.bilinear = new Linear(dim, dim, { bias: false });
    this.userTower = new Tower(dim + this.users.length * dim + schema.dense.length, hidden, { dropout });
    this.userOut = new Linear(this.userTower.width, dim);
    // Routing starts from fixed random logits, so that capsules part.
    this.start = this.registerBuffer('start', init.normal_(new Parameter(zeros([interests, length]))));
  }

  /** Which interests a user has: bool [B, interests, 1]. */
  private present(mask: Tensor): Tensor {
    const { interests, dynamic } = this;
    const number = arange(interests).unsqueeze(0);
    if (!dynamic) return number.ge(0).expand([mask.shape[0]!, interests]).unsqueeze(2);
    // Interest k is there for histories of 2 ** (k + 1) ids, the first one always.
    const ids = mask.sum(1, { keepdim: true });
    return number
      .eq(0)
      .logicalOr(ids.ge(number.add(1).to(ids.dtype).exp2()))
      .unsqueeze(2);
  }

  /** Unit vectors [B, interests, d]; a user of fewer interests has the first one again in the places of others. */
  userVectors({ vectors, sequences, dense }: SparseInput): Tensor {
    const { vectors: history, mask } = sequences[this.history]!;
    const mapped = this.bilinear.call(history);
    const size = history.shape[0]!;
    const fixed = mapped.detach();
    const shown = mask.unsqueeze(1);
    const present = this.present(mask);
    let logits = this.start.unsqueeze(0).expand([size, ...this.start.shape]);
    let capsules = mapped;
    for (let round = 0; round < this.rounds; round++) {
      // Gradients flow through the last round alone, as in the paper's implementation.
      const last = round === this.rounds - 1;
      const weights = present.where(logits, -1e9).softmax(1).mul(shown);
      capsules = squash(weights.matmul(last ? mapped : fixed));
      if (!last) logits = logits.add(capsules.matmul(fixed.transpose(1, 2)));
    }
    const others = cat([this.pick(vectors, this.users), dense], 1);
    const wide = others.unsqueeze(1).expand([size, this.interests, others.shape[1]!]);
    const h = F.normalize(this.userOut.call(this.userTower.call(cat([capsules, wide], 2))), { dim: 2 });
    return present.where(h, h.narrow(1, 0, 1));
  }

  /** Label-aware attention: the batch's items meet the interests that an example's own item has chosen. */
  protected similarities(users: Tensor, items: Tensor, { sequences }: SparseInput): Tensor {
    const own = users.mul(items.unsqueeze(1)).sum(2);
    return this.labelled(users, own, sequences[this.history]!.mask).matmul(items.transpose(0, 1));
  }

  /** Interests [B, n, d] weighted by their similarities [B, n] to the example's own item: [B, d]. */
  private labelled(users: Tensor, own: Tensor, mask: Tensor): Tensor {
    if (this.power === null) {
      const at = own.argmax(1).reshape([-1, 1, 1]).expand([users.shape[0]!, 1, users.shape[2]!]);
      return users.gather(1, at).squeeze(1);
    }
    const sharpened = own.abs().pow(this.power).mul(own.sign());
    return weightedSum(users, this.present(mask).squeeze(2).where(sharpened, -1e9).softmax(1));
  }
}

/** Capsule nonlinearity: the direction kept, the length squeezed into [0, 1). */
function squash(x: Tensor): Tensor {
  const squares = x.mul(x).sum(-1, { keepdim: true });
  return x.mul(squares.div(squares.add(1)).div(squares.add(1e-9).sqrt()));
}
