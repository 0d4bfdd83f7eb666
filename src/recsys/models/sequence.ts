/**
 * Models of a user's history of items: DIN, DIEN, BST. Which slots are the history of which target is given by name.
 */
import { type Activation, TargetAttention, Tower, weightedSum } from '../../models/interactions.ts';
import { GRU, init, Linear, TransformerEncoderLayer } from '../../nn/index.ts';
import { cat, F, Parameter, type Tensor, zeros } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import type { DeepOptions } from './deep.ts';
import { type SparseInput, SparseModel } from './model.ts';
import { DEEP } from './optionNames.ts';

export interface SequenceOptions extends DeepOptions {
  /** History slot -> slot of the target, for instance { history_items: 'item', history_categories: 'category' }. */
  readonly histories: Readonly<Record<string, string>>;
  /** Most recent ids of a history that count; 50 by default. */
  readonly length?: number;
  /**
   * Of the network (and of DIN's attention unit); as in the papers by default: 'dice' for DIN and DIEN, 'leakyRelu' for
   * BST.
   */
  readonly activation?: Activation;
}

/** Names of SequenceOptions. */
const SEQUENCE = [...DEEP, 'histories', 'length', 'activation'] as const;

/**
 * What the three share: histories side by side, their target, and a network over [interest, target, other fields,
 * dense].
 */
abstract class HistoryModel extends SparseModel {
  readonly tower: Tower;
  readonly out: Linear;
  readonly histories: readonly (readonly [history: string, target: string])[];
  readonly length: number;
  /** Features of a history step: dim times histories. */
  readonly width: number;

  /**
   * `interest`: features of what `interestIn` gives, from the width of a step. `beside`: slots that say more of each
   * step.
   */
  constructor(
    options: SequenceOptions & { readonly activation: Activation },
    interest: (width: number, length: number) => number,
    beside: readonly string[] = [],
  ) {
    const { dim = 10, length = 50, histories, schema, hidden = [200, 80], dropout, activation } = options;
    const slots = Object.keys(histories);
    super(schema, { dim, wide: false }, Object.fromEntries([...slots, ...beside].map(slot => [slot, length])));
    this.histories = Object.entries(histories);
    if (slots.length === 0) throw new Error(`${this.constructor.name}: histories: none came, expected at least one`);
    for (const [, target] of this.histories) this.fieldOf(target);
    this.length = length;
    this.width = dim * slots.length;
    const inputs = interest(this.width, length) + this.fields.length * dim + schema.dense.length;
    this.tower = new Tower(inputs, hidden, { dropout, activation });
    this.out = new Linear(this.tower.width, 1);
  }

  /** What a history says about a target: [B, L, width], [B, L], [B, width] -> [B, interest]. */
  protected abstract interestIn(history: Tensor, mask: Tensor, target: Tensor, input: SparseInput): Tensor;

  forward(input: SparseInput): Tensor {
    const { vectors, sequences, dense } = input;
    const history = cat(
      this.histories.map(([slot]) => sequences[slot]!.vectors),
      2,
    );
    const target = cat(
      this.histories.map(([, slot]) => vectors.select(1, this.fieldOf(slot))),
      1,
    );
    const { mask } = sequences[this.histories[0]![0]]!;
    const interest = this.interestIn(history, mask, target, input);
    return this.out.call(this.tower.call(cat([interest, vectors.flatten(1), dense], 1), input.weights));
  }
}

/** Deep interest network (Zhou et al. 2018), with Dice behind all layers. */
export class DIN extends HistoryModel {
  readonly attention: TargetAttention;

  constructor(given: SequenceOptions) {
    const { activation = 'dice', ...options } = checkOptions('DIN', given, SEQUENCE);
    super({ ...options, activation }, width => width);
    this.attention = new TargetAttention(this.width, undefined, { activation });
  }

  protected interestIn(history: Tensor, mask: Tensor, target: Tensor, { weights }: SparseInput): Tensor {
    return weightedSum(history, this.attention.call(history, mask, target, weights));
  }
}

export interface DIENOptions extends SequenceOptions {
  /** Weight of the auxiliary loss; 1 by default, 0 leaves it out. */
  readonly auxiliary?: number;
}

/** What the extractor made of a history: [B, L, width], [B, L, width], [B, L]. */
interface Extracted {
  readonly interests: Tensor;
  readonly history: Tensor;
  readonly mask: Tensor;
}

/**
 * Deep interest evolution network (Zhou et al. 2019): a GRU over the history, then a second one whose update gate is
 * scaled by the attention of the target. Its auxiliary loss (the paper's equation 6) asks of each step's interest that
 * it tell the next step of the history from the step at the same place of the example before, which stands for a
 * sampled one.
 */
export class DIEN extends HistoryModel {
  readonly extractor: GRU;
  readonly auxiliary: number;
  private readonly extracted = new WeakMap<SparseInput, Extracted>();
  readonly attention: Linear;
  readonly gates: Linear;
  readonly recurrent: Linear;

  constructor(given: DIENOptions) {
    const { auxiliary = 1, activation = 'dice', ...options } = checkOptions('DIEN', given, [...SEQUENCE, 'auxiliary']);
    super({ ...options, activation }, width => width);
    const { width } = this;
    this.auxiliary = auxiliary;
    this.extractor = new GRU(width, width, { batchFirst: true });
    this.attention = new Linear(width, width, { bias: false });
    this.gates = new Linear(width, 3 * width);
    this.recurrent = new Linear(width, 3 * width, { bias: false });
  }

  override loss(output: Tensor, labels: Tensor, input: SparseInput): Tensor {
    const loss = super.loss(output, labels, input);
    const extracted = this.extracted.get(input);
    if (this.auxiliary === 0 || this.length < 2) return loss;
    if (!extracted) throw new Error('DIEN: loss: an input came that `forward` was not called with');
    return loss.add(auxiliaryLoss(extracted).mul(this.auxiliary));
  }

  protected override interestIn(history: Tensor, mask: Tensor, target: Tensor, input: SparseInput): Tensor {
    const [interests] = this.extractor.call(history);
    this.extracted.set(input, { interests, history, mask });
    const scores = weightedScores(interests, this.attention.call(target), mask);
    const projected = this.gates.call(interests).unbind(1);
    const attended = scores.unbind(1);
    const shown = mask.unbind(1);
    let h = zeros([history.shape[0]!, this.width], { dtype: history.dtype });
    projected.forEach((x, t) => {
      const [resetX, updateX, newX] = x.chunk(3, 1) as [Tensor, Tensor, Tensor];
      const [resetH, updateH, newH] = this.recurrent.call(h).chunk(3, 1) as [Tensor, Tensor, Tensor];
      const update = updateX.add(updateH).sigmoid().mul(attended[t]!.unsqueeze(1)).mul(shown[t]!.unsqueeze(1));
      const candidate = newX.add(resetX.add(resetH).sigmoid().mul(newH)).tanh();
      h = candidate.sub(h).mul(update).add(h);
    });
    return h;
  }
}

/**
 * Mean, over steps that have a next one, of -log p(next step) - log(1 - p(step of another example)), p the sigmoid of
 * the dot product.
 */
function auxiliaryLoss({ interests, history, mask }: Extracted): Tensor {
  const steps = history.shape[1]! - 1;
  const before = (x: Tensor): Tensor => x.narrow(1, 0, steps);
  const after = (x: Tensor): Tensor => x.narrow(1, 1, steps);
  const other = history.roll(1, 0);
  const likeness = (next: Tensor): Tensor => before(interests).mul(after(next)).sum(2);
  const next = after(mask);
  const meanWhere = (losses: Tensor, where: Tensor): Tensor => losses.mul(where).sum().div(where.sum().clampMin(1));
  const positive = meanWhere(F.softplus(likeness(history).neg()), next);
  const negative = meanWhere(F.softplus(likeness(other)), next.mul(after(mask.roll(1, 0))));
  return positive.add(negative);
}

/** Softmax over a history's steps of their dot products with a vector: [B, L]; steps that are not there get 0. */
function weightedScores(history: Tensor, vector: Tensor, mask: Tensor): Tensor {
  const scores = history.mul(vector.unsqueeze(1)).sum(2);
  const weights = scores.sub(mask.neg().add(1).mul(1e9)).softmax(1);
  return weights.mul(mask);
}

export interface BSTOptions extends SequenceOptions {
  /** Attention heads; 1 by default (2 divides the width only for even dims). */
  readonly heads?: number;
  /**
   * Slot of how long before the target each step was, the paper's positional feature t(target) - t(step): one id a
   * step, such as a `logBucket` of seconds. None by default: steps then have learnt positions alone.
   */
  readonly lags?: string;
}

/**
 * Behaviour sequence transformer (Chen et al. 2019): one encoder layer over history and target, LeakyReLU in it and
 * behind it. A step is its items' vectors, beside them that of its time lag (for the target a learnt one), and a learnt
 * position is added.
 */
export class BST extends HistoryModel {
  readonly encoder: TransformerEncoderLayer;
  readonly positions: Parameter;
  readonly lags: string | null;
  /** `[dim]`: the time lag of the target; null without lags. */
  readonly now: Parameter | null;

  constructor(given: BSTOptions) {
    checkOptions('BST', given, [...SEQUENCE, 'heads', 'lags']);
    const { heads = 1, lags, activation = 'leakyRelu', ...options } = given;
    const beside = lags === undefined ? [] : [lags];
    const lagged = (width: number): number => width + beside.length * (options.dim ?? 10);
    super({ ...options, activation }, (width, length) => (length + 1) * lagged(width), beside);
    const { length } = this;
    const width = lagged(this.width);
    this.lags = lags ?? null;
    this.now = lags === undefined ? null : init.normal_(new Parameter(zeros([this.needs.dim])), 0, 0.02);
    this.encoder = new TransformerEncoderLayer(width, heads, {
      dimFeedforward: 4 * width,
      dropout: options.dropout ?? 0,
      batchFirst: true,
      activation: x => F.leakyRelu(x),
    });
    this.positions = init.normal_(new Parameter(zeros([length + 1, width])), 0, 0.02);
  }

  protected interestIn(history: Tensor, mask: Tensor, target: Tensor, { sequences }: SparseInput): Tensor {
    const { lags, now } = this;
    const before = lags === null ? history : cat([history, sequences[lags]!.vectors], 2);
    const last = now ? cat([target, now.unsqueeze(0).expand([target.shape[0]!, now.shape[0]!])], 1) : target;
    const steps = cat([before, last.unsqueeze(1)], 1).add(this.positions);
    const padding = F.pad(mask, [0, 1], { value: 1 }).lt(0.5);
    const encoded = this.encoder.call(steps, { srcKeyPaddingMask: padding });
    return encoded.mul(padding.logicalNot().unsqueeze(2)).flatten(1);
  }
}
