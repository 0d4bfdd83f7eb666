/**
 * npm run example:recsys -- adult
 *
 * Census income: does a person earn more than 50,000 dollars? Logistic regression and FM against DeepFM and DCN-V2 on
 * the same features.
 */
import type { FeatureSpec, Format, ModelConfig, RowOptimizer } from 'tenon/recsys';
import { areaOf, dataFile, type Finding, interval, read, SEEDS, train } from './experiment.ts';

const COLUMNS = [
  'age', 'workclass', 'fnlwgt', 'education', 'education-num', 'marital-status', 'occupation', 'relationship', 'race', 'sex',
  'capital-gain', 'capital-loss', 'hours-per-week', 'native-country', 'income',
]; // biome-ignore format: a list

const FORMAT: Format = { type: 'csv', columns: COLUMNS, trim: true, quotes: false };

const featuresOf = (positive: string): FeatureSpec => ({
  slots: [
    'workclass',
    'education',
    'marital-status',
    'occupation',
    'relationship',
    'race',
    'sex',
    'native-country',
    { type: 'bucket', name: 'ages', from: 'age', boundaries: [20, 23, 26, 29, 32, 36, 40, 44, 48, 53, 58, 63, 70] },
    { type: 'bucket', name: 'hours', from: 'hours-per-week', boundaries: [15, 25, 35, 40, 41, 46, 51, 60] },
    // Amounts are few and telling: each is a category as well.
    'capital-gain',
    'capital-loss',
    'age',
    { type: 'bucket', name: 'gains', from: 'capital-gain', boundaries: [1, 3000, 5000, 7000, 10000, 20000] },
    { type: 'bucket', name: 'losses', from: 'capital-loss', boundaries: [1, 1500, 1800, 1900, 2000, 2400] },
  ],
  dense: [
    { name: 'years', from: 'age', mean: 38.6, std: 13.6 },
    { name: 'education-num', mean: 10.1, std: 2.6 },
    { name: 'gain', from: 'capital-gain', log1p: true, mean: 0.7, std: 2.5 },
    { name: 'loss', from: 'capital-loss', log1p: true, mean: 0.35, std: 1.6 },
    { name: 'hours-per-week', mean: 40.4, std: 12.3 },
  ],
  labels: [{ name: 'income', positive }],
});

const MODELS: Readonly<
  Record<string, { readonly model: ModelConfig; readonly epochs: number; readonly rows: RowOptimizer }>
> = {
  'logistic regression': { model: { model: 'lr' }, epochs: 12, rows: { type: 'adagrad', lr: 0.1 } },
  FM: { model: { model: 'fm', dim: 8 }, epochs: 10, rows: { type: 'adagrad', lr: 0.05 } },
  DeepFM: {
    model: { model: 'deepfm', dim: 8, hidden: [128, 64], dropout: 0.2 },
    epochs: 12,
    rows: { type: 'adagrad', lr: 0.03 },
  },
  'DCN-V2': {
    model: { model: 'dcnv2', dim: 8, hidden: [128, 64], crosses: 2, dropout: 0.2 },
    epochs: 12,
    rows: { type: 'adagrad', lr: 0.03 },
  },
};

export async function adult(seeds = SEEDS): Promise<Finding[]> {
  const batchSize = 256;
  // The test file spells labels with a dot, and begins with a line that is no record.
  const test = await read(dataFile('adult/adult.test.gz'), {
    format: FORMAT,
    features: featuresOf('>50K.'),
    batchSize,
  });
  const areas = new Map(Object.keys(MODELS).map(name => [name, [] as number[]]));
  for (const seed of seeds) {
    const batches = await read(dataFile('adult/adult.data.gz'), {
      format: FORMAT,
      features: featuresOf('>50K'),
      batchSize,
      seed,
    });
    for (const [name, options] of Object.entries(MODELS)) {
      const area = areaOf(train(batches, { ...options, seed }), test);
      console.log(`adult seed ${seed} ${name}: AUC ${area.toFixed(4)}`);
      areas.get(name)!.push(area);
    }
  }
  return [...areas].map(([model, values]) => ({
    data: 'Adult',
    model,
    measure: 'AUC of the test file',
    value: interval(values),
  }));
}
