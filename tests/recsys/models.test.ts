/** Every sparse model learns a planted pattern through the trainer, and the trainer is exact. */

import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { manualSeed, setNumThreads, Tensor } from 'tenon';
import { auc } from 'tenon/metrics';
import { SGD } from 'tenon/optim';
import {
  type BatchSchema,
  buildModel,
  checkConfig,
  DIEN,
  type EmbeddingTable,
  type FeatureRecord,
  Features,
  ItemToItem,
  LR,
  learnerOf,
  MODEL_NAMES,
  type ModelName,
  type SparseBatch,
  SparseTrainer,
  type StreamConfig,
  type TableOptions,
} from 'tenon/recsys';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const HISTORY = 'history';

/** A deterministic stream of numbers in [0, 1). */
function uniform(seed: number): () => number {
  let x = seed;
  return () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
}

/**
 * Records in which whether a user takes an item depends on the parity of both, and on an item of the same parity being
 * in the history. Columns 1 and 2 are user and item again. Retrieval learns from positives alone.
 */
function recordsOf(size: number, seed: number, positives: boolean): FeatureRecord[] {
  const next = uniform(seed);
  const below = (n: number): number => Math.floor(next() * n);
  return Array.from({ length: size }, (_, b) => {
    const user = below(20);
    const any = below(20);
    const item = positives ? any - (any % 2) + (user % 2) : any;
    const context = Array.from({ length: b % 3 }, () => below(5));
    const history = Array.from({ length: below(5) }, () => 2 * below(10) + (user % 2));
    const click = (user + item) % 2 === 0 ? 1 : 0;
    const x = next();
    return {
      user,
      item,
      context,
      history,
      x,
      z: next(),
      click,
      buy: click * (x > 0.5 ? 1 : 0),
      1: user,
      2: item + 100,
    };
  });
}

const batchOf = (features: Features, size: number, seed: number): SparseBatch =>
  features.extractAll(recordsOf(size, seed, features.schema.labels.length === 0));

const CONFIGS = path.resolve(import.meta.dirname, '../../examples/recsys/configs');
const textOf = (name: ModelName): string => readFileSync(path.join(CONFIGS, `${name}.json`), 'utf8');
const configOf = (name: ModelName): StreamConfig => checkConfig(`${name}.json`, JSON.parse(textOf(name)));

const retrieval: readonly ModelName[] = ['twotower', 'mind'];

interface Learner {
  readonly trainer: SparseTrainer;
  readonly features: Features;
}

/** The learner of a config file, with rows that learn fast: the test is of models, not of patience. */
function trainerOf(name: ModelName): Learner {
  manualSeed(3);
  const config = configOf(name);
  const features = new Features(config.features);
  const table: Partial<TableOptions> = {
    optimizer: { type: 'adagrad', lr: 0.1 },
    init: { type: 'normal', std: 0.1 },
  };
  return { trainer: learnerOf({ ...config, table }, features), features };
}

describe('models, each from a config file of ten lines', () => {
  it.each(MODEL_NAMES)('%s learns', name => {
    expect(textOf(name).trimEnd().split('\n').length).toBeLessThanOrEqual(10);
    const { trainer, features } = trainerOf(name);
    const { schema } = features;
    const first = trainer.step(batchOf(features, 64, 1)).loss;
    let last = 0;
    for (let s = 0; s < 120; s++) last = trainer.step(batchOf(features, 64, s % 17)).loss;
    expect(last).toBeLessThan(first);
    if (retrieval.includes(name)) return;
    const test = batchOf(features, 60, 1234);
    const predictions = trainer.predict(test);
    const tasks = schema.labels.length;
    const column = (values: Float32Array, t: number): number[] =>
      [...values].filter((_, i) => i % tasks === t).slice(0, test.size);
    const area = auc(column(predictions, 0), column(test.labels, 0));
    // parity is no sum of a user's and an item's weight
    if (name === 'lr') expect(area).toBeLessThan(0.8);
    else expect(area).toBeGreaterThan(0.9);
    if (tasks > 1) expect(auc(column(predictions, 1), column(test.labels, 1))).toBeGreaterThan(0.85);
  });

  it('are the ones the guide lists', () => {
    const guide = readFileSync(path.resolve(CONFIGS, '../../../docs/guides/click-models.md'), 'utf8');
    const listed = [...guide.matchAll(/^\| `(\{ "model": .*\})` \|/gm)].map(([, model]) => JSON.parse(model!));
    expect(listed).toEqual(MODEL_NAMES.map(name => configOf(name).model));
    const files = readdirSync(CONFIGS).map(file => path.parse(file).name);
    expect(files.sort()).toEqual([...MODEL_NAMES].sort());
  });

  it('a name that is no model', () => {
    const { schema } = new Features(configOf('deepfm').features);
    expect(() => buildModel({ model: 'deepmf' as ModelName }, schema)).toThrow(/"deepmf" came, expected one of lr, fm/);
  });
});

describe('SparseTrainer', () => {
  const schema: BatchSchema = { slots: ['a'], dense: [], labels: ['y'] };
  const logistic = (l2?: number): SparseTrainer =>
    new SparseTrainer({
      model: new LR({ schema }),
      optimizer: parameters => new SGD(parameters, { lr: 1 }),
      table: { wideOptimizer: { type: 'sgd', lr: 1 } },
      l2,
    });
  // signs 5, 5, 7 in two examples; the second has 5 twice
  const batch: SparseBatch = {
    schema,
    size: 2,
    hi: Uint32Array.of(0, 0, 0),
    lo: Uint32Array.of(7, 5, 5),
    offsets: Uint32Array.of(0, 1, 3),
    dense: new Float32Array(0),
    labels: Float32Array.of(1, 0),
  };

  it('logistic regression with SGD is the closed form', () => {
    const trainer = logistic();
    expect(trainer.step(batch).loss).toBeCloseTo(Math.log(2), 6);
    const table = trainer.table as EmbeddingTable;
    // d/dw of the mean of two: (0.5 - 1) / 2 for 7; 0.5 / 2 for each of two 5
    expect(table.row(7)!.weights[0]).toBeCloseTo(0.25, 6);
    expect(table.row(5)!.weights[0]).toBeCloseTo(-0.5, 6);
    expect(table.row(5)).toMatchObject({ show: 2, click: 0 });
    expect(table.row(7)).toMatchObject({ show: 1, click: 1 });
  });

  it('regularises the rows of a batch, each by its own frequency', () => {
    const [plain, regular] = [logistic(), logistic(0.5)];
    const weight = ({ table }: SparseTrainer, sign: number): number => table.row(sign)!.weights[0]!;
    for (const trainer of [plain, regular]) trainer.step(batch);
    // They started at 0.
    expect([weight(regular, 7), weight(regular, 5)]).toEqual([weight(plain, 7), weight(plain, 5)]);
    for (const trainer of [plain, regular]) trainer.step(batch);
    // w -= lr (g + l2 / n w): 7 was 0.25 and seen 2 times by now, 5 was -0.5 and seen 4 times.
    expect(weight(regular, 7) - weight(plain, 7)).toBeCloseTo((-0.5 / 2) * 0.25, 6);
    expect(weight(regular, 5) - weight(plain, 5)).toBeCloseTo((-0.5 / 4) * -0.5, 6);
    expect(() => logistic(-1)).toThrow('SparseTrainer: l2: -1 came, expected a number of at least 0');
  });

  it('a batch of fewer examples than the first is the same as in a program of its own', () => {
    const losses = [false, true].map(padded => {
      const { trainer, features } = trainerOf('deepfm');
      if (padded) trainer.predict(batchOf(features, 100, 9));
      return [1, 2, 3].map(seed => trainer.step(batchOf(features, 31, seed)).loss);
    });
    for (const [i, loss] of losses[0]!.entries()) expect(losses[1]![i]).toBeCloseTo(loss, 5);
  });

  it.each(['deepfm', 'din'] as const)('a restart is no different from going on: %s', name => {
    const folder = temporaryFolder().path;
    const straight = trainerOf(name);
    const { features } = straight;
    for (let s = 0; s < 5; s++) straight.trainer.step(batchOf(features, 32, s));
    straight.trainer.save(folder);
    const restarted = trainerOf(name);
    restarted.trainer.step(batchOf(features, 32, 77));
    restarted.trainer.load(folder);
    for (let s = 5; s < 10; s++) {
      const a = straight.trainer.step(batchOf(features, 32, s));
      const b = restarted.trainer.step(batchOf(features, 32, s));
      expect(b.loss).toBe(a.loss);
      expect(b.predictions).toEqual(a.predictions);
    }
  });

  it('a load that fails changes nothing, a save that fails leaves the older one', () => {
    const folder = temporaryFolder().path;
    const { trainer, features } = trainerOf('deepfm');
    trainer.step(batchOf(features, 32, 1));
    trainer.save(folder);
    manualSeed(4);
    const other = learnerOf({ ...configOf('deepfm'), table: { optimizer: { type: 'adam' } } }, features);
    other.step(batchOf(features, 32, 2));
    const test = batchOf(features, 16, 3);
    const before = other.predict(test).slice();
    expect(() => other.load(folder)).toThrow(/a table file with optimizer adagrad; this table has optimizer adam$/);
    expect(other.predict(test)).toEqual(before);
    const saved = trainer.predict(test).slice();
    trainer.step(batchOf(features, 32, 5));
    // The table is written, and then the dense weights cannot be.
    mkdirSync(`${folder}.blocked`);
    trainer.saveDense = () => trainer.table.save(`${folder}.blocked/no/where`, 'full');
    expect(() => trainer.save(folder)).toThrow(/no such file or folder$/);
    trainer.load(folder);
    expect(trainer.predict(test)).toEqual(saved);
  });

  it('a config says autocast, and what contradicts the model is refused', () => {
    const { features } = trainerOf('deepfm');
    const half = learnerOf({ ...configOf('deepfm'), autocast: 'bf16' }, features);
    expect(Number.isFinite(half.step(batchOf(features, 32, 1)).loss)).toBe(true);
    expect(() => learnerOf({ ...configOf('deepfm'), table: { dim: 3 } }, features)).toThrow(
      'SparseTrainer: table.dim: 3 came, and the model needs 8',
    );
    const wrong =
      (part: object): (() => unknown) =>
      () =>
        checkConfig('c.json', { ...configOf('deepfm'), ...part });
    expect(wrong({ autocast: 'f16' })).toThrow('c.json: autocast: "f16" came, expected one of bf16');
    expect(wrong({ optimizer: { type: 'adam', learningRate: 1 } })).toThrow(
      'c.json: optimizer: "learningRate" came, expected one of type, lr',
    );
    expect(wrong({ pooling: { user: 'max' } })).toThrow(
      'c.json: pooling.user: "max" came, expected one of sum, mean, sqrtn',
    );
    expect(wrong({ pooling: { nobody: 'sum' } })).toThrow('pooling: slot "nobody" came, expected one of user');
    expect(wrong({ model: { model: 'din' } })).toThrow(
      'c.json: model din: histories: nothing came, expected an object',
    );
    expect(wrong({ model: { model: 'deepfm', hidden: 64 } })).toThrow(
      'c.json: model deepfm: hidden: 64 came, expected an array',
    );
    expect(wrong({ model: 'deepfm' })).toThrow(
      'c.json: model: "deepfm" came, expected an object, for instance { "model": "deepfm" }',
    );
    expect(wrong({ model: { model: 'xdeepfm', maps: [] } })).toThrow('maps: none came, expected at least one layer');
    expect(wrong({ model: { model: 'twotower', items: [] } })).toThrow('items: none came, expected at least one slot');
    const taken = { slots: ['user', 'item'] };
    expect(wrong({ features: taken, model: { model: 'twotower', items: ['item', 'user'] } })).toThrow(
      'TwoTower: items: all slots (user, item) came, expected one, or a dense column, that is left for the user',
    );
    // Everything would be learned as not clicked.
    expect(wrong({ features: taken, model: { model: 'deepfm' } })).toThrow(
      'c.json: SparseTrainer: the features have no labels, and DeepFM learns from them',
    );
  });

  it.each(['deepfm', 'fibinet', 'mmoe', 'ple'] as const)(
    'of as good as nothing, %s learns the rate of clicks',
    name => {
      // One slot: no pairs, of experts without layers, and for deepfm no slot at all.
      const slots = name === 'deepfm' ? [] : ['user'];
      const features = new Features({ slots, labels: ['click'] });
      const experts = name === 'mmoe' || name === 'ple' ? { expert: [], towers: [8] } : { hidden: [8] };
      manualSeed(2);
      const trainer = learnerOf(
        { model: { model: name, dim: 4, ...experts }, optimizer: { type: 'adam', lr: 0.05 } },
        features,
      );
      const batch = features.extractAll(Array.from({ length: 40 }, () => ({ user: 'u' })));
      batch.labels.set(Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? 1 : 0)));
      for (let step = 0; step < 100; step++) trainer.step(batch);
      expect(trainer.predict(batch)[0]).toBeCloseTo(0.25, 1);
    },
  );

  describe('in a pipeline', () => {
    const run = async (batches: readonly SparseBatch[]): Promise<{ losses: number[]; trainer: SparseTrainer }> => {
      const { trainer } = trainerOf('deepfm');
      const losses: number[] = [];
      for await (const { loss } of trainer.train(batches)) losses.push(loss);
      return { losses, trainer };
    };
    const features = new Features(configOf('deepfm').features);
    const rows = (trainer: SparseTrainer) =>
      [...(trainer.table as EmbeddingTable).entries()].sort((a, b) => Number(a.sign - b.sign));

    it('every batch is learnt once, new signs have one row, and the bits are the same every time', async () => {
      const batches = [1, 2, 3, 4, 5].map(seed => batchOf(features, 40, seed));
      const first = await run(batches);
      const second = await run(batches);
      expect(first.losses.length).toBe(5);
      expect(second.losses).toEqual(first.losses);
      expect(rows(second.trainer)).toEqual(rows(first.trainer));
      const { trainer } = trainerOf('deepfm');
      for (const batch of batches) trainer.step(batch);
      // shows are what each sign had, whenever its row came to be
      const counted = (t: SparseTrainer) => rows(t).map(({ sign, show, click }) => [sign, show, click]);
      expect(counted(first.trainer)).toEqual(counted(trainer));
    });

    it('one batch is a step', async () => {
      const batch = batchOf(features, 40, 1);
      const { losses, trainer } = await run([batch]);
      const other = trainerOf('deepfm').trainer;
      expect(losses).toEqual([other.step(batch).loss]);
      expect(rows(trainer)).toEqual(rows(other));
    });
  });

  it('one thread and two give the same bits', () => {
    const runs = [1, 2].map(threads => {
      setNumThreads(threads);
      const { trainer, features } = trainerOf('deepfm');
      const steps = [1, 2, 3].map(seed => trainer.step(batchOf(features, 256, seed)));
      return [...steps.map(({ loss }) => loss), ...trainer.predict(batchOf(features, 256, 9))];
    });
    setNumThreads(1);
    expect(runs[1]).toEqual(runs[0]);
  });

  it('labels that are missing do not count', () => {
    const { trainer, features } = trainerOf('mmoe');
    const batch = batchOf(features, 32, 5);
    batch.labels.fill(Number.NaN);
    expect(trainer.step(batch).loss).toBe(0);
  });

  it('refuses what does not fit', () => {
    const { trainer } = trainerOf('dnn');
    const other = new Features({ ...configOf('dnn').features, labels: [{ name: 'other', from: 'click' }] });
    expect(() => trainer.step(batchOf(other, 4, 1))).toThrow(/labels other came, expected click$/);
    expect(() => trainer.load('/nowhere')).toThrow(/cannot load \/nowhere/);
  });
});

describe('ItemToItem', () => {
  it('is the cosine of the sets of users', () => {
    const model = new ItemToItem().update([1, 2, 3]).update([2, 3]).update([3, 4, 4]);
    // users of 2: {a, b}; of 3: {a, b, c}: both {a, b}
    expect(model.similar(2)).toEqual([
      { item: 3n, score: 2 / Math.sqrt(6) },
      { item: 1n, score: 1 / Math.sqrt(2) },
    ]);
    expect(model.recommend([2, 3], 2).map(n => n.item)).toEqual([1n, 4n]);
    const parts = new ItemToItem().merge(new ItemToItem().update([1, 2, 3]).state());
    parts.merge(new ItemToItem().update([2, 3]).update([3, 4]).state());
    expect(parts.similar(2)).toEqual(model.similar(2));
  });
});

it("DIEN's auxiliary loss is the paper's, with the example before in the batch as the negative one", () => {
  manualSeed(5);
  const schema: BatchSchema = { slots: ['item', HISTORY], dense: [], labels: ['click'] };
  const model = new DIEN({ schema, histories: { [HISTORY]: 'item' }, length: 3, dim: 2, hidden: [4], auxiliary: 0.5 });
  const values = (shape: number[], seed: number): Tensor => {
    const next = uniform(seed);
    return Tensor.from(
      Float32Array.from({ length: shape.reduce((a, n) => a * n, 1) }, () => next() - 0.5),
      { shape },
    );
  };
  const histories = values([3, 3, 2], 1);
  // Three steps, two, and one.
  const mask = Tensor.from(Float32Array.of(1, 1, 1, 1, 1, 0, 1, 0, 0), { shape: [3, 3] });
  const input = {
    wide: values([3, 0], 2),
    vectors: values([3, 1, 2], 3),
    sequences: { [HISTORY]: { vectors: histories, mask } },
    dense: values([3, 0], 4),
    weights: Tensor.from(Float32Array.of(1, 1, 1)),
    ids: Tensor.from(new Int32Array(3), { shape: [3, 1] }),
    shows: values([3, 1], 5),
  };
  const labels = Tensor.from(Float32Array.of(1, 0, 1), { shape: [3, 1] });
  const output = model.forward(input);
  const h = (model.extractor.call(histories) as Tensor[])[0]!.data() as Float32Array;
  const e = histories.data() as Float32Array;
  const dot = (b: number, t: number, other: number): number =>
    [0, 1].reduce((sum, d) => sum + h[(b * 3 + t) * 2 + d]! * e[(other * 3 + t + 1) * 2 + d]!, 0);
  const softplus = (x: number): number => Math.log1p(Math.exp(x));
  // (example, step) with a next step: (0, 0), (0, 1), (1, 0); the example before in a circle has one there for (1, 0)
  // alone of these.
  const positive = (softplus(-dot(0, 0, 0)) + softplus(-dot(0, 1, 0)) + softplus(-dot(1, 0, 1))) / 3;
  const negative = softplus(dot(1, 0, 0));
  const bce = [0, 1, 2].reduce((sum, b) => {
    const x = output.data()[b] as number;
    return sum + softplus(b === 1 ? x : -x) / 3;
  }, 0);
  expect(model.loss(output, labels, input).item()).toBeCloseTo(bce + 0.5 * (positive + negative), 5);
});
