import { expect, test } from 'vitest';
import { generateClicks } from '../../src/data/clicks.ts';
import { type Table, tableFromRows } from '../../src/data/table.ts';
import { presetFiles, readPresetTable, TABLE_PRESETS } from '../../src/data/tablePresets.ts';
import { encodeTable, fieldSizes, fitSchema, numberWidth, splitTable } from '../../src/data/tableSchema.ts';
import { auc } from '../../src/metrics/auc.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';

const table = (rows: readonly (readonly string[])[]): Table => tableFromRows('t', ['y', 'n', 'c'], rows);

const TRAIN = table([
  ['0', '1', 'a'],
  ['1', '3', 'a'],
  ['0', '', 'b'],
  ['1', '5', 'b'],
  ['0', '7', 'rare'],
  ['1', '9', '?'],
]);

test('numbers are standardised, categories get slots, missing and unseen have a place', () => {
  const schema = fitSchema(TRAIN, { label: 'y', buckets: 2 });
  expect(schema).toEqual({
    label: 'y',
    positive: '1',
    // 1, 3, 5, 7, 9: mean 5, variance 8; "rare" stands once, so it trains the unseen slot.
    columns: [
      { kind: 'number', name: 'n', mean: 5, std: Math.sqrt(8), log: false, missing: true, edges: [6] },
      { kind: 'category', name: 'c', values: ['a', 'b'] },
    ],
  });
  expect(fieldSizes(schema)).toEqual([4, 3]);
  expect(numberWidth(schema)).toBe(2);
  const encoded = encodeTable(TRAIN, schema);
  const unit = Math.fround(2 / Math.sqrt(8));
  expect([...encoded.numbers]).toEqual([-2 * unit, 0, -unit, 0, 0, 1, 0, 0, unit, 0, 2 * unit, 0]);
  //                                      category slot, then bucket of n (0 where missing)
  expect([...encoded.categories]).toEqual([2, 1, 2, 1, 3, 0, 3, 1, 0, 2, 1, 2]);
  expect([...encoded.labels]).toEqual([0, 1, 0, 1, 0, 1]);

  const later = encodeTable(table([['1', '6', 'new']]), schema);
  expect([...later.categories]).toEqual([0, 2]);
  expect(() => encodeTable(table([['1', 'six', 'a']]), schema)).toThrow(
    'column "n" holds "six", expected a number as in training',
  );
  expect(() => encodeTable(tableFromRows('u', ['y', 'c'], [['1', 'a']]), schema)).toThrow('no column "n"');
});

test('identifiers and columns that never vary are left out', () => {
  const rows = Array.from({ length: 4 }, (_, i) => [String(i % 2), String(i), 'same', `id${i}`]);
  const schema = fitSchema(tableFromRows('t', ['y', 'n', 'constant', 'id'], rows), { label: 'y' });
  expect(schema.columns.map(c => c.name)).toEqual(['n']);
  expect(() =>
    fitSchema(
      tableFromRows(
        't',
        ['y', 'c'],
        [
          ['0', 'a'],
          ['1', 'a'],
        ],
      ),
      { label: 'y' },
    ),
  ).toThrow('no column but the label can be used');
});

test('a column that is mostly one value keeps its resolution elsewhere', () => {
  const rows = Array.from({ length: 1000 }, (_, i) => [String(i % 2), i < 920 ? '0' : String(i), 'a']);
  const schema = fitSchema(table(rows), { label: 'y', categorical: ['c'], buckets: 9 });
  const number = schema.columns.find(c => c.kind === 'number')!;
  // The 80 other rows share 8 buckets: 0 | 920..929 | ... | 990..999.
  expect(number.edges).toEqual([460, 929.5, 939.5, 949.5, 959.5, 969.5, 979.5, 989.5]);
});

test('which label is positive is told, asked for or refused', () => {
  const label = (values: readonly string[], positive?: string): string =>
    fitSchema(table(values.map((v, i) => [v, String(i), 'a'])), { label: 'y', positive }).positive;
  expect(label(['no', 'yes'])).toBe('yes');
  expect(label(['1.0', '0.0'])).toBe('1.0');
  expect(label(['True', 'False'])).toBe('True');
  expect(label(['x', 'z'], 'z')).toBe('z');
  expect(() => label(['x', 'z'])).toThrow('holds "x", "z"; say with --positive which one is positive');
  expect(() => label(['x', 'z'], 'w')).toThrow('never holds "w"; it holds "x", "z"');
  expect(() => label(['1', '1'])).toThrow('has only the value "1"');
  expect(() => label(['1', '2', '3'])).toThrow('has 3 values ("1", "2", "3")');
  expect(() => fitSchema(TRAIN, { label: 'nope' })).toThrow('no column "nope"; its columns are y, n, c');
  expect(() => fitSchema(TRAIN, { label: 'y', numeric: ['c'] })).toThrow(
    'column "c" is said to be numeric and holds "a"',
  );
});

test('the split is seeded, complete and disjoint', () => {
  const { table: clicks } = generateClicks(1000, 3);
  const { train, test } = splitTable(clicks, 0.2, 7);
  expect([train.rows, test.rows]).toEqual([800, 200]);
  expect(splitTable(clicks, 0.2, 7).test).toEqual(test);
  expect(splitTable(clicks, 0.2, 8).test).not.toEqual(test);
});

test('generated clicks are deterministic and their teacher orders them well', () => {
  const { table: clicks, probabilities } = generateClicks(4000, 1);
  expect(generateClicks(4000, 1).table).toEqual(clicks);
  const schema = fitSchema(clicks, { label: 'click' });
  expect(schema.columns.map(c => `${c.name}:${c.kind}`)).toEqual([
    'user:category', 'item:category', 'device:category', 'slot:category', 'age:number', 'price:number',
  ]); // biome-ignore format: a list
  const { labels } = encodeTable(clicks, schema);
  const best = auc(Array.from(probabilities), labels);
  expect(best).toBeGreaterThan(0.83);
  expect(best).toBeLessThan(0.93);
});

testWithData('adult: published counts, cleaned labels, an own test file', 'recsys/adult', async () => {
  const preset = TABLE_PRESETS.adult;
  const files = presetFiles(preset, sharedData('recsys/adult'));
  const train = await readPresetTable(preset, files.train);
  const test = await readPresetTable(preset, files.test!);
  expect([train.rows, test.rows]).toEqual([32_561, 16_281]);
  const schema = fitSchema(train, preset.schema);
  const positives = (t: Table): number => encodeTable(t, schema).labels.reduce((a, y) => a + y, 0);
  // UCI's adult.names: 7,841 of the training and 3,846 of the test rows earn more than 50K.
  expect([positives(train), positives(test)]).toEqual([7841, 3846]);
  expect(schema.columns.map(c => c.kind).filter(k => k === 'number')).toHaveLength(6);
});

testWithData('criteo: samples with commas, a header and an Id; tabs and none', 'recsys/format-samples', async () => {
  const preset = TABLE_PRESETS.criteo;
  for (const [file, rows] of [
    ['criteo-train.tiny.csv.gz', 1999],
    ['deepctr-criteo_sample.txt', 200],
  ] as const) {
    const sample = await readPresetTable(preset, sharedData('recsys/format-samples', file));
    expect([sample.rows, sample.columns.length]).toEqual([rows, 40]);
    expect(fitSchema(sample, preset.schema).columns.map(c => c.kind)).toEqual([
      ...new Array(13).fill('number'),
      ...new Array(26).fill('category'),
    ]);
  }
});
