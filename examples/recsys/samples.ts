/**
 * npm run example:recsys -- census | amazon | samples
 *
 * Small samples of public logs in the formats they come in: too few lines to say anything about models, enough to show
 * how each is read and trained. AUC is over lines that were held out, a fifth at a time.
 */
import { readFileSync } from 'node:fs';
import { auc } from 'tenon/metrics';
import type { FeatureSpec, Format, ModelConfig, SlotSpec, SparseBatch } from 'tenon/recsys';
import { areaOf, dataFile, type Finding, interval, judge, read, SEEDS, train } from './experiment.ts';

const FOLDS = 5;

/**
 * Every line is judged by a model trained on the four fifths it is not in: AUC of each task over all lines, once per
 * seed.
 */
async function folds(
  file: string,
  lines: number,
  format: Format,
  features: FeatureSpec,
  model: ModelConfig,
  options: { readonly epochs: number; readonly seeds: readonly number[] },
): Promise<number[][]> {
  const { epochs, seeds } = options;
  const areas: number[][] = [];
  for (const seed of seeds) {
    const batches = await read(dataFile(file), { format, features, batchSize: lines / FOLDS, seed });
    const judged = batches.map((held, fold) => {
      const others = batches.filter((_, i) => i !== fold);
      return judge(train(others, { model, epochs, seed, lr: 5e-3 }), [held]);
    });
    areas.push(
      judged[0]!.map((_, t) =>
        auc(
          judged.flatMap(tasks => tasks[t]!.scores),
          judged.flatMap(tasks => tasks[t]!.labels),
        ),
      ),
    );
  }
  return areas;
}

const CENSUS_COLUMNS = [
  'row', 'age', 'class_worker', 'industry', 'occupation', 'education', 'wage_per_hour', 'school', 'marital_status',
  'major_industry', 'major_occupation', 'race', 'hispanic', 'sex', 'union', 'unemployment', 'employment', 'capital_gains',
  'capital_losses', 'dividends', 'tax', 'previous_region', 'previous_state', 'family', 'household', 'weight', 'moved_msa',
  'moved_region', 'moved_within', 'same_house', 'sunbelt', 'employers', 'parents', 'father', 'mother', 'self', 'citizenship',
  'own_business', 'veteran', 'benefits', 'weeks_worked', 'year', 'income',
]; // biome-ignore format: a list
const CENSUS_DENSE = [
  'age',
  'wage_per_hour',
  'capital_gains',
  'capital_losses',
  'dividends',
  'employers',
  'weeks_worked',
];
const CENSUS_LEFT_OUT = ['row', 'weight', 'marital_status', 'income'];

/** MMoE: income above 50,000 dollars, and never married. */
export async function census(seeds = SEEDS): Promise<Finding[]> {
  const features: FeatureSpec = {
    slots: CENSUS_COLUMNS.filter(name => !CENSUS_DENSE.includes(name) && !CENSUS_LEFT_OUT.includes(name)),
    dense: CENSUS_DENSE.map(name => ({ name, log1p: true })),
    labels: [
      { name: 'income', positive: '50000+.' },
      { name: 'never_married', from: 'marital_status', positive: 'Never married' },
    ],
  };
  const areas = await folds(
    'format-samples/deepctr-census-income.sample',
    200,
    { type: 'csv', columns: CENSUS_COLUMNS, trim: true, quotes: false },
    features,
    { model: 'mmoe', dim: 4, experts: 4, expert: [32], towers: [16], dropout: 0.1 },
    { epochs: 15, seeds },
  );
  return ['income above 50,000', 'never married'].map((task, t) => ({
    data: 'census sample, 200 lines',
    model: 'MMoE',
    measure: `AUC of "${task}", held-out fifths`,
    value: interval(areas.map(area => area[t]!)),
  }));
}

interface Sample {
  readonly data: string;
  readonly file: string;
  readonly format: Format;
  readonly features: FeatureSpec;
  readonly model: ModelConfig;
}

const numbered = (letter: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
const DEEP = { dim: 8, hidden: [64, 32] };
const ids = (names: readonly string[]): SlotSpec[] => names.map(name => ({ type: 'id', name }));
const counts = numbered('I', 13).map(name => ({ name, log1p: true }));
const ALI_SLOTS = '210 216 301 205 206 207 508 121 122 101 124 125 127 128 129 150_14 110_14'.split(' ');

const SAMPLES: readonly Sample[] = [
  {
    data: 'Criteo (DeepCTR)',
    file: 'deepctr-criteo_sample.txt',
    format: { type: 'csv', quotes: false },
    features: { slots: numbered('C', 26), dense: counts, labels: ['label'] },
    model: { model: 'deepfm', ...DEEP },
  },
  {
    data: 'Criteo (Kaggle)',
    file: 'criteo-train.tiny.csv.gz',
    format: { type: 'csv', quotes: false },
    features: { slots: numbered('C', 26), dense: counts, labels: [{ name: 'click', from: 'Label' }] },
    model: { model: 'dcnv2', ...DEEP },
  },
  {
    data: 'Avazu (DeepCTR)',
    file: 'deepctr-avazu_sample.txt',
    format: { type: 'csv', quotes: false },
    features: {
      slots:
        'C1 banner_pos site_id site_domain site_category app_id app_domain app_category device_model C14 C17 C21'.split(
          ' ',
        ),
      labels: ['click'],
    },
    model: { model: 'fibinet', ...DEEP },
  },
  {
    data: 'Criteo slots (PaddleRec)',
    file: 'paddlerec-criteo-slot-sample_train.txt',
    format: { type: 'slots', order: 'slot:sign' },
    features: {
      slots: ids(numbered('', 26)),
      dense: [{ name: 'dense_feature', width: 13 }],
      labels: [{ name: 'click' }],
    },
    model: { model: 'dnn', ...DEEP },
  },
  {
    data: 'Criteo values (PaddleRec)',
    file: 'paddlerec-criteo-ffm-sample_train.txt',
    format: { type: 'slots', order: 'slot:sign' },
    features: { slots: ids(['feat_idx']), dense: [{ name: 'feat_value', width: 39 }], labels: ['label'] },
    model: { model: 'widedeep', ...DEEP },
  },
  {
    data: 'Ali-CCP (PaddleRec)',
    file: 'paddlerec-esmm-aliccp-sample.txt',
    format: { type: 'slots', order: 'slot:sign', separator: ',', prefix: ['row', 'click', 'conversion'] },
    features: { slots: ids(ALI_SLOTS), labels: ['click', 'conversion'] },
    model: { model: 'esmm', ...DEEP },
  },
  {
    data: 'Census (PaddleRec)',
    file: 'paddlerec-mmoe-census-sample.txt',
    format: { type: 'csv', quotes: false, columns: ['income', 'married', ...numbered('x', 499)] },
    features: {
      slots: ['x1'],
      dense: numbered('x', 499).map(name => ({ name, log1p: true })),
      labels: ['income', 'married'],
    },
    model: { model: 'ple', dim: 4, expert: [16], towers: [8] },
  },
];

const EPOCHS = 10;

/** Every sample read, and a model trained on it. */
export async function samples(): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const sample of SAMPLES) findings.push(await trained(sample));
  return findings;
}

async function trained({ data, file, format, features, model }: Sample): Promise<Finding> {
  const batches = await read(dataFile(`format-samples/${file}`), { format, features, batchSize: 16, seed: 1 });
  const first = lossOf(batches, model, 1);
  const last = lossOf(batches, model, EPOCHS);
  return {
    data: `${data}, ${batches.reduce((n, batch) => n + batch.size, 0)} lines`,
    model: model.model,
    measure: `loss in epoch 1 and ${EPOCHS}`,
    value: `${first.toFixed(4)}, ${last.toFixed(4)}`,
  };
}

/**
 * DIN: a user's history of items and categories, and whether the next one is real. Nearly every item stands in one line
 * only and every target in its own, so of held-out lines nothing can be known, and an AUC of 0.5 is what to expect
 * there; beside it, what the model knows of the lines it learned from.
 */
export async function amazon(seeds = SEEDS): Promise<Finding[]> {
  const file = 'format-samples/paddlerec-din-amazon-sample.txt';
  const columns = ['items', 'categories', 'item', 'category', 'bought'];
  const format: Format = { type: 'csv', separator: ';', columns, quotes: false };
  const features: FeatureSpec = {
    slots: [
      'item',
      'category',
      { type: 'hash', name: 'items', separator: ' ', share: 'item' },
      { type: 'hash', name: 'categories', separator: ' ', share: 'category' },
    ],
    labels: ['bought'],
  };
  const histories = { items: 'item', categories: 'category' };
  const model: ModelConfig = { model: 'din', dim: 8, hidden: [32, 16], length: 20, histories };
  const known: number[] = [];
  for (const seed of seeds) {
    const batches = await read(dataFile(file), { format, features, batchSize: 20, seed });
    known.push(areaOf(train(batches, { model, epochs: 15, seed, lr: 5e-3 }), batches));
  }
  const unseen = await folds(file, 100, format, features, model, { epochs: 15, seeds });
  const finding = { data: 'Amazon (PaddleRec), 100 lines', model: 'DIN' };
  const [shared, items] = sharedItems(readFileSync(dataFile(file), 'utf8'));
  return [
    { ...finding, measure: 'AUC of the lines it learned from, 15 epochs', value: interval(known) },
    { ...finding, measure: 'AUC, held-out fifths', value: interval(unseen.map(([area]) => area!)) },
    {
      ...finding,
      model: '(the data)',
      measure: 'items that stand in more than one line',
      value: `${shared} of ${items}`,
    },
  ];
}

/** How many items stand in more than one line, and how many there are, histories and targets together. */
function sharedItems(text: string): readonly [shared: number, items: number] {
  const lines = new Map<string, number>();
  for (const line of text.trim().split('\n')) {
    const [items, , item] = line.split(';') as [string, string, string];
    for (const one of new Set([...items.split(' '), item])) lines.set(one, (lines.get(one) ?? 0) + 1);
  }
  return [[...lines.values()].filter(count => count > 1).length, lines.size];
}

/** Mean training loss of the last of so many epochs. */
function lossOf(batches: readonly SparseBatch[], model: ModelConfig, epochs: number): number {
  const trainer = train(batches, { model, epochs: epochs - 1, seed: 1, lr: 2e-3 });
  let sum = 0;
  let size = 0;
  for (const batch of batches) {
    sum += trainer.step(batch).loss * batch.size;
    size += batch.size;
  }
  return sum / size;
}
