/**
 * Which slots a model lives from: how far AUC falls when one slot's values are dealt to other examples (Breiman's
 * permutation importance, Machine Learning 2001).
 */
import { RandomStream } from '../data/random.ts';
import { type Metric, StreamingAUC, type StreamingAucState } from '../metrics/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { type BatchSchema, columnOf, type SparseBatch } from './batch.ts';

export interface SlotScore {
  /** A slot, or a dense column. */
  readonly name: string;
  /** AUC with that slot shuffled. */
  readonly auc: number;
  /** By how much it is below the AUC of the data as it is. */
  readonly fall: number;
}

export interface SlotImportanceState {
  readonly batches: number;
  readonly whole: StreamingAucState;
  readonly shuffled: Readonly<Record<string, StreamingAucState>>;
}

export interface SlotImportanceOptions {
  /** Decides the shuffles; 0 by default. */
  readonly seed?: number;
  /** Buckets of the streaming AUC; 16,384 by default. */
  readonly buckets?: number;
  /** Place among the schema's labels of the one that a model's first prediction is of; 0 by default. */
  readonly label?: number;
}

/**
 * Slot-shuffle importance, a batch at a time: each slot and dense column is shuffled within the batch, so batches
 * should be large.
 */
export class SlotImportance implements Metric<readonly SlotScore[], SlotImportanceState> {
  private readonly names: readonly string[];
  private readonly schema: BatchSchema;
  private readonly seed: number;
  private readonly label: number;
  private batches = 0;
  private readonly whole: StreamingAUC;
  private readonly shuffled: ReadonlyMap<string, StreamingAUC>;

  constructor(schema: BatchSchema, options: SlotImportanceOptions = {}) {
    const {
      seed = 0,
      buckets = 16_384,
      label = 0,
    } = checkOptions('SlotImportance', options, ['seed', 'buckets', 'label']);
    this.schema = schema;
    this.seed = seed;
    this.label = label;
    this.names = [...schema.slots, ...schema.dense];
    this.whole = new StreamingAUC({ buckets });
    this.shuffled = new Map(this.names.map(name => [name, new StreamingAUC({ buckets })]));
  }

  /**
   * Measures one batch. `predict` gives the probabilities [size, tasks] of a batch; the first task counts, and examples
   * whose label is not known do not. Costs one prediction per slot and dense column, and one more.
   */
  update(batch: SparseBatch, predict: (batch: SparseBatch) => ArrayLike<number>): this {
    const { size } = batch;
    const labels = columnOf(batch.labels, this.schema.labels.length, this.label, size);
    const known = Array.from({ length: size }, (_, i) => i).filter(i => !Number.isNaN(labels[i]));
    const ofKnown = (values: ArrayLike<number>): number[] => known.map(i => values[i]);
    const measure = (auc: StreamingAUC, of: SparseBatch): void => {
      const predictions = predict(of);
      auc.update(ofKnown(columnOf(predictions, predictions.length / size, 0, size)), ofKnown(labels));
    };
    measure(this.whole, batch);
    this.names.forEach((name, i) => {
      const order = new RandomStream(this.seed, this.batches, i).permutation(batch.size);
      const dense = i - this.schema.slots.length;
      measure(this.shuffled.get(name)!, dense < 0 ? shuffleSlot(batch, i, order) : shuffleDense(batch, dense, order));
    });
    this.batches++;
    return this;
  }

  /** By falling importance. */
  compute(): SlotScore[] {
    const whole = this.whole.compute();
    const scores = [...this.shuffled].map(([name, metric]) => {
      const auc = metric.compute();
      return { name, auc, fall: whole - auc };
    });
    return scores.sort((a, b) => b.fall - a.fall);
  }

  reset(): void {
    this.batches = 0;
    this.whole.reset();
    for (const metric of this.shuffled.values()) metric.reset();
  }

  state(): SlotImportanceState {
    return {
      batches: this.batches,
      whole: this.whole.state(),
      shuffled: Object.fromEntries([...this.shuffled].map(([name, metric]) => [name, metric.state()])),
    };
  }

  merge(state: SlotImportanceState): void {
    this.batches += state.batches;
    this.whole.merge(state.whole);
    for (const [name, metric] of this.shuffled) {
      const other = state.shuffled[name];
      if (!other) throw new Error(`SlotImportance.merge: the state has no slot ${name}`);
      metric.merge(other);
    }
  }
}

/** The batch in which example i has the bag of slot `slot` that example order[i] had. */
function shuffleSlot(batch: SparseBatch, slot: number, order: Uint32Array): SparseBatch {
  const { schema, size, offsets } = batch;
  const slots = schema.slots.length;
  const hi = new Uint32Array(offsets[size * slots]);
  const lo = new Uint32Array(hi.length);
  const moved = new Uint32Array(size * slots + 1);
  let ids = 0;
  for (let bag = 0; bag < size * slots; bag++) {
    const from = bag % slots === slot ? order[(bag - slot) / slots] * slots + slot : bag;
    for (let i = offsets[from]; i < offsets[from + 1]; i++) {
      hi[ids] = batch.hi[i];
      lo[ids++] = batch.lo[i];
    }
    moved[bag + 1] = ids;
  }
  return { ...batch, hi, lo, offsets: moved };
}

function shuffleDense(batch: SparseBatch, column: number, order: Uint32Array): SparseBatch {
  const width = batch.schema.dense.length;
  const dense = batch.dense.slice(0, batch.size * width);
  for (let i = 0; i < batch.size; i++) dense[i * width + column] = batch.dense[order[i] * width + column];
  return { ...batch, dense };
}
