/**
 * SparseTrainer: one step is pull (distinct signs, rows, pooling), dense forward and backward and update as one
 * compiled program, push. The program has one shape, the largest batch seen; smaller batches are padded with examples
 * of weight 0.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { recoverFolder, writeFolderAtomic } from '../../formats/atomic.ts';
import * as build from '../../graph/build.ts';
import { Adam, type AnyOptimizer, type OptimizerState } from '../../optim/index.ts';
import { backend } from '../../runtime/index.ts';
import {
  autocast,
  type CompiledFunction,
  compile,
  type Parameter,
  Tensor,
  tensor,
  valueAndGrad,
} from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import { type CheckpointContent, readCheckpoint, writeCheckpoint } from '../../train/checkpointFile.ts';
import { bagCount, type SparseBatch } from '../batch.ts';
import type { SparseInput, SparseModel } from '../models/model.ts';
import type { RowOptimizer, TableOptions } from '../table/options.ts';
import type { Lookup, SparseTable } from '../table/sparse-table.ts';
import { EmbeddingTable } from '../table/table.ts';
import type { BatchLearner, StepResult } from './learner.ts';
import { BatchPooling, type Pooling, type SignSums } from './pooling.ts';

export interface TrainerOptions {
  readonly model: SparseModel;
  /** The table, or options for one beyond what the model needs. */
  readonly table?: SparseTable | Partial<TableOptions>;
  /** Makes the optimizer of the dense parameters; Adam with lr 1e-3 by default. */
  readonly optimizer?: (parameters: Parameter[]) => AnyOptimizer;
  /** How the bag of a slot becomes one vector; sum by default. */
  readonly pooling?: Readonly<Record<string, Pooling>>;
  /**
   * Label whose value counts as clicks in the rows; the first by default. With null, and of data without labels, every
   * example is a click.
   */
  readonly clickLabel?: string | null;
  /**
   * Mini-batch aware regularisation of rows (Zhou et al. 2018, DIN, equation 6): the gradient of each weight w of a
   * batch's rows grows by l2 / n * w, n the row's shows so far, so that rare rows are held back and frequent ones
   * hardly; 0 by default.
   */
  readonly l2?: number;
  /**
   * Computes the products of the dense part in bf16 (see `autocast`); f32 by default. Rows, losses and optimizers stay
   * f32.
   */
  readonly autocast?: 'bf16';
}

/** Rows of new tables start spread enough for a network to tell them apart. */
const INIT = { type: 'uniform', range: 0.02 } as const;
const ROW_OPTIMIZER: RowOptimizer = { type: 'adagrad', lr: 0.05, initialAccumulator: 0.1 };

const DENSE_FILE = 'dense.safetensors';
const TABLE_FILE = 'table';

/** Arguments of the compiled functions, all of the capacity's shape. */
type Arrays = readonly Tensor[];

/** Buffers for one capacity. */
interface Stage {
  readonly pooling: BatchPooling;
  readonly dense: Float32Array<ArrayBuffer>;
  readonly labels: Float32Array<ArrayBuffer>;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly shows: Float32Array<ArrayBuffer>;
}

/** A batch whose rows were found and whose inputs are staged. */
interface Pulled {
  readonly batch: SparseBatch;
  readonly found: Lookup;
  readonly stage: Stage;
}

const sumsFor = (signs: number, width: number): SignSums => ({
  gradients: new Float32Array(signs * width),
  shows: new Float32Array(signs),
  clicks: new Float32Array(signs),
  slots: new Int32Array(signs),
});

/**
 * A model, its table of rows and the optimizer of its dense weights: `step` trains on a batch, `predict` gives
 * probabilities.
 */
export class SparseTrainer implements BatchLearner {
  readonly model: SparseModel;
  readonly table: SparseTable;
  readonly optimizer: AnyOptimizer | null;
  private readonly poolings: Readonly<Record<string, Pooling>>;
  private readonly click: number;
  private readonly l2: number;
  private readonly half: 'bf16' | undefined;
  /** Buffers of the last two batches: one is computed with while the next is filled. */
  private stages: (Stage | null)[] = [null, null];
  /** Gradients of the distinct signs. */
  private sums: SignSums = sumsFor(0, 0);
  /** Shows of the distinct signs before the batch. */
  private known = new Float32Array(0);
  private readonly compiledStep: CompiledFunction<Arrays, readonly Tensor[]>;
  private readonly compiledOutputs = new Map<(input: SparseInput) => Tensor, (...args: Arrays) => Tensor>();

  constructor(options: TrainerOptions) {
    checkOptions('SparseTrainer', options, ['model', 'table', 'optimizer', 'pooling', 'clickLabel', 'l2', 'autocast']);
    const { model, table, optimizer, pooling = {}, clickLabel, l2 = 0, autocast: half } = options;
    if (!model?.needs)
      throw new TypeError(
        'SparseTrainer: model: expected a model of tenon/recsys, for instance new DeepFM({ schema })',
      );
    if (model.supervised && model.schema.labels.length === 0)
      throw new Error(`SparseTrainer: the features have no labels, and ${model.constructor.name} learns from them`);
    if (!(l2 >= 0)) throw new RangeError(`SparseTrainer: l2: ${l2} came, expected a number of at least 0`);
    this.model = model;
    this.l2 = l2;
    this.half = half;
    this.table = table && 'lookup' in table ? table : tableFor(model, table);
    const width = model.needs.dim + (model.needs.wide ? 1 : 0);
    if (this.table.width !== width)
      throw new Error(`SparseTrainer: a table of ${this.table.width} weights came, the model needs ${width}`);
    const parameters = model.parameters();
    const make = optimizer ?? ((list: Parameter[]): AnyOptimizer => new Adam(list, { lr: 1e-3 }));
    this.optimizer = parameters.length > 0 ? make(parameters) : null;
    for (const slot of Object.keys(pooling))
      if (!model.fields.includes(slot))
        throw new Error(`pooling: slot "${slot}" came, expected one of ${model.fields.join(', ')}`);
    this.poolings = pooling;
    const { labels } = model.schema;
    this.click = clickLabel === null || labels.length === 0 ? -1 : labels.indexOf(clickLabel ?? labels[0]!);
    if (clickLabel != null && this.click < 0)
      throw new Error(
        `SparseTrainer: clickLabel "${clickLabel}" came, expected ${labels.length > 0 ? `one of ${labels.join(', ')}` : 'none: the data has no labels'}`,
      );
    this.compiledStep = compile((...args: Arrays) => this.stepGraph(args));
  }

  step(batch: SparseBatch): StepResult {
    this.model.train();
    const pulled = this.pull(batch);
    return this.push(pulled, this.compiledStep(...this.arrays(pulled.stage)));
  }

  /**
   * Learns from batches in a pipeline: while one is computed, the next is pulled and the one before pushed. A batch so
   * sees rows as they were two pushes before the present one and not one, as between processes that train
   * asynchronously; the order is always the same, and so are the bits. A batch must stay as it is until its result has
   * come. Worth it where a core is left beside the threads that compute (`setNumThreads`).
   */
  async *train(batches: AsyncIterable<SparseBatch> | Iterable<SparseBatch>): AsyncGenerator<StepResult> {
    let running: { readonly pulled: Pulled; readonly outputs: Promise<readonly Tensor[]> } | null = null;
    for await (const batch of batches) {
      this.model.train();
      const pulled = this.pull(batch);
      const before: Pulled | undefined = running?.pulled;
      const outputs: readonly Tensor[] | undefined = await running?.outputs;
      running = { pulled, outputs: this.compiledStep.async(...this.arrays(pulled.stage)) };
      if (before && outputs) yield this.push(before, outputs);
    }
    if (running) yield this.push(running.pulled, await running.outputs);
  }

  /** Sends the gradients of a batch back to its rows. */
  private push({ batch, found, stage }: Pulled, outputs: readonly Tensor[]): StepResult {
    const [loss, predictions, wides, vectors, ...histories] = outputs.map(t => t.data() as Float32Array);
    const gradients = { wides: wides!, vectors: vectors!, histories };
    const scales = [this.scale(this.table.summed.wide, batch), this.scale(this.table.summed.vector, batch)] as const;
    const { sums } = this;
    stage.pooling.backward(batch, found, gradients, scales, this.click, sums);
    if (this.l2 > 0) this.regularise(found, scales);
    this.table.push(found, sums.gradients, sums.shows, sums.clicks, sums.slots);
    backend().giveBack?.([gradients.wides, gradients.vectors, ...histories]);
    return { loss: loss![0]!, predictions: predictions!.subarray(0, batch.size * this.model.tasks.length) };
  }

  /** Adds l2 / n * w to the gradients, in the `scales` of the gradients themselves; w as the batch has seen it. */
  private regularise(found: Lookup, [wideScale, scale]: readonly [wide: number, vector: number]): void {
    const { table, known, l2 } = this;
    const { width } = table;
    const { wide } = this.model.needs;
    const { gradients, shows } = this.sums;
    const weights = table.weights(found);
    table.shows(found, known);
    for (let u = 0; u < found.unique; u++) {
      const rate = l2 / (known[u]! + shows[u]!);
      for (let k = 0; k < width; k++) {
        const at = u * width + k;
        gradients[at] = gradients[at]! + rate * (wide && k === 0 ? wideScale : scale) * weights[at]!;
      }
    }
  }

  predict(batch: SparseBatch): Float32Array {
    return this.outputs(batch, this.probabilities);
  }

  private readonly probabilities = (input: SparseInput): Tensor => this.model.probabilities(this.model.forward(input));

  /**
   * What a function of the model's input gives for a batch, in evaluation mode, for instance `input =>
   * model.userVectors(input)`: f32, one row per example, flat; valid until the next call. Pass the same function every
   * time: each is compiled once.
   */
  outputs(batch: SparseBatch, fn: (input: SparseInput) => Tensor): Float32Array {
    this.model.eval();
    const { stage } = this.pull(batch);
    let run = this.compiledOutputs.get(fn);
    if (!run)
      this.compiledOutputs.set(
        fn,
        (run = compile((...args: Arrays) => this.mixed(() => fn(this.inputOf(args)).float()))),
      );
    const rows = run(...this.arrays(stage)).data() as Float32Array;
    return rows.subarray(0, (rows.length / stage.pooling.capacity) * batch.size);
  }

  /** Row optimizers that divide by the shows take gradients of summed losses. */
  private scale(summed: boolean, { size }: SparseBatch): number {
    return summed ? size : 1;
  }

  /** Finds the batch's rows and fills the stage. */
  private pull(batch: SparseBatch): Pulled {
    const { model, table } = this;
    this.check(batch);
    const stage = this.nextStage(batch.size);
    const { pooling, dense, labels, weights, shows } = stage;
    const found = table.lookup(batch.hi, batch.lo, batch.offsets[bagCount(batch)]!);
    this.reserve(found.unique);
    pooling.forward(batch, found, table.weights(found));
    const columns = model.schema.dense.length;
    dense.set(batch.dense.subarray(0, batch.size * columns));
    dense.fill(0, batch.size * columns);
    weights.fill(1, 0, batch.size);
    weights.fill(0, batch.size);
    const tasks = model.tasks;
    const all = model.schema.labels.length;
    labels.fill(0);
    for (let b = 0; b < batch.size; b++)
      for (let t = 0; t < tasks.length; t++)
        if (tasks[t]! < all) labels[b * tasks.length + t] = batch.labels[b * all + tasks[t]!]!;
    if (model.statistics) {
      const { known } = this;
      table.shows(found, known);
      const { ids } = pooling;
      for (let k = 0; k < ids.length; k++) shows[k] = ids[k]! < 0 ? 0 : known[ids[k]!]!;
    }
    return { batch, found, stage };
  }

  /** The buffers used before the last ones, for at least `size` examples. */
  private nextStage(size: number): Stage {
    const [older, last] = this.stages as [Stage | null, Stage | null];
    const capacity = Math.max(size, last?.pooling.capacity ?? 0);
    const stage = older && older.pooling.capacity >= capacity ? older : this.stageFor(capacity);
    this.stages = [last, stage];
    return stage;
  }

  private check({ schema }: SparseBatch): void {
    const own = this.model.schema;
    if (schema === own) return;
    const same = (a: readonly string[], b: readonly string[]): boolean => a.join('\n') === b.join('\n');
    for (const part of ['slots', 'dense', 'labels'] as const)
      if (!same(schema[part], own[part]))
        throw new Error(
          `SparseTrainer: a batch with ${part} ${schema[part].join(', ')} came, expected ${own[part].join(', ')}`,
        );
  }

  private stageFor(capacity: number): Stage {
    const { model } = this;
    const pooling = new BatchPooling(model, this.poolings, capacity);
    return {
      pooling,
      dense: new Float32Array(capacity * model.schema.dense.length),
      labels: new Float32Array(capacity * model.tasks.length),
      weights: new Float32Array(capacity),
      shows: new Float32Array(capacity * pooling.fields),
    };
  }

  private reserve(unique: number): void {
    const { width } = this.table;
    if (this.sums.shows.length >= unique) return;
    const room = Math.ceil(unique * 1.25);
    this.sums = sumsFor(room, width);
    this.known = new Float32Array(room);
  }

  /**
   * The stage as tensors over its own memory, in the order `inputOf` takes them: it stays as it is until the program
   * has run.
   */
  private arrays({ pooling, dense, labels, weights, shows }: Stage): Tensor[] {
    const { capacity, fields, wide, dim, lengths } = pooling;
    const view = (array: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>, shape: readonly number[]): Tensor =>
      new Tensor(build.data(array, shape, array instanceof Float32Array ? 'f32' : 'i32'));
    return [
      view(pooling.wides, [capacity, fields * wide]),
      view(pooling.vectors, [capacity, fields, dim]),
      view(dense, [capacity, this.model.schema.dense.length]),
      view(labels, [capacity, this.model.tasks.length]),
      view(weights, [capacity]),
      view(pooling.ids, [capacity, fields]),
      view(shows, [capacity, fields]),
      ...pooling.masks.map((mask, i) => view(mask, [capacity, lengths[i]!])),
      ...pooling.histories.map((history, i) => view(history, [capacity, lengths[i]!, dim])),
    ];
  }

  private inputOf([wide, vectors, dense, _labels, weights, ids, shows, ...rest]: Arrays): SparseInput {
    const names = Object.keys(this.model.sequences);
    const sequences = Object.fromEntries(
      names.map((slot, i) => [slot, { mask: rest[i]!, vectors: rest[names.length + i]! }]),
    );
    return {
      wide: wide!,
      vectors: vectors!,
      dense: dense!,
      weights: weights!,
      ids: ids!,
      shows: shows!,
      sequences,
    };
  }

  private mixed<R>(fn: () => R): R {
    return autocast({ dtype: 'bf16', enabled: this.half === 'bf16' }, fn);
  }

  /** [loss, probabilities, gradients of wide weights, vectors, each sequence]. */
  private stepGraph(args: Arrays): readonly Tensor[] {
    const { model, optimizer } = this;
    const names = Object.keys(model.sequences);
    const input = this.inputOf(args);
    const pulled = [input.wide, input.vectors, ...names.map(slot => input.sequences[slot]!.vectors)];
    optimizer?.zeroGrad();
    const run = valueAndGrad(
      ([wide, vectors, ...histories]: Tensor[]) => {
        const sequences = Object.fromEntries(
          names.map((slot, i) => [slot, { mask: input.sequences[slot]!.mask, vectors: histories[i]! }]),
        );
        return this.mixed(() => {
          const seen = { ...input, wide: wide!, vectors: vectors!, sequences };
          const output = model.forward(seen).float();
          return [model.loss(output, args[3]!, seen), model.probabilities(output)];
        });
      },
      { hasAux: true },
    );
    const [value, gradients] = run(pulled);
    const [loss, probabilities] = value as [Tensor, Tensor];
    if (optimizer) {
      loss.backward();
      optimizer.step();
    }
    return [loss, probabilities, ...gradients];
  }

  /**
   * Writes dense weights, optimizer state and table as a folder.
   * @throws Error naming file and reason; an older save stays whole.
   */
  save(folder: string): void {
    writeFolderAtomic(folder, at => {
      this.table.save(path.join(at, TABLE_FILE), 'full');
      this.saveDense(path.join(at, DENSE_FILE));
    });
  }

  /** Writes dense weights and optimizer state to one file. */
  saveDense(file: string): void {
    writeCheckpoint(file, this.denseState());
  }

  private denseState(): CheckpointContent {
    const state = this.optimizer?.stateDict();
    const tensors: Record<string, Tensor> = {};
    for (const [key, tensor] of Object.entries(this.model.stateDict())) tensors[`model.${key}`] = tensor;
    for (const [key, tensor] of Object.entries(state?.tensors ?? {})) tensors[`optimizer.${key}`] = tensor;
    return { tensors, state: { groups: state?.groups ?? [] } };
  }

  load(folder: string): void {
    recoverFolder(folder);
    const table = path.join(folder, TABLE_FILE);
    if (!existsSync(table)) throw new Error(`cannot load ${folder}: it has no file ${TABLE_FILE}`);
    const dense = readCheckpoint(path.join(folder, DENSE_FILE));
    const { tensors, state } = this.denseState();
    const copies = Object.entries(tensors).map(
      ([key, t]) => [key, tensor(t.data().slice(), { shape: t.shape, dtype: t.dtype })] as const,
    );
    const before = { tensors: Object.fromEntries(copies), state };
    try {
      this.setDense(dense);
      this.table.load(table);
    } catch (error) {
      this.setDense(before);
      throw error;
    }
  }

  private setDense({ tensors, state }: CheckpointContent): void {
    const under = (prefix: string): Record<string, Tensor> =>
      Object.fromEntries(
        Object.entries(tensors)
          .filter(([key]) => key.startsWith(prefix))
          .map(([key, value]) => [key.slice(prefix.length), value]),
      );
    this.model.loadStateDict(under('model.'));
    const { groups } = state as Pick<OptimizerState, 'groups'>;
    this.optimizer?.loadStateDict({ groups, tensors: under('optimizer.') });
  }
}

/** A table of what a model needs and of the options given. @throws Error where they contradict each other */
function tableFor({ needs }: SparseModel, given: Partial<TableOptions> = {}): EmbeddingTable {
  for (const key of ['dim', 'wide'] as const)
    if (given[key] !== undefined && given[key] !== needs[key])
      throw new Error(`SparseTrainer: table.${key}: ${given[key]} came, and the model needs ${needs[key]}`);
  return new EmbeddingTable({ init: INIT, optimizer: ROW_OPTIMIZER, ...given, ...needs });
}
