import { expect, test } from 'vitest';
import { Features, SlotImportance, type SparseBatch } from '../../src/recsys/index.ts';

const features = new Features({
  labels: ['y'],
  dense: ['x'],
  slots: [
    { type: 'id', name: 'a' },
    { type: 'id', name: 'b' },
  ],
});
const batchOf = (size: number, first: number): SparseBatch => {
  const rows = Array.from({ length: size }, (_, i) => ({
    y: (first + i) % 2,
    x: (i * 7) % 5,
    a: [(first + i) % 2, 5],
    b: i % 3,
  }));
  const batch = features.extractAll(rows);
  batch.labels.set(rows.map(row => row.y));
  return batch;
};
/** A model that lives from the first id of slot a alone. */
const predict = (batch: SparseBatch): number[] =>
  Array.from({ length: batch.size }, (_, i) => 0.25 + batch.lo[batch.offsets[2 * i]!]! / 2);

test('shuffling the slot a model lives from costs its AUC, the others nothing', () => {
  const importance = new SlotImportance(features.schema, { seed: 3 }).update(batchOf(1000, 0), predict);
  const [first, ...others] = importance.compute();
  expect(first!.name).toBe('a');
  // Half of the shuffled ids are right by chance.
  expect(first!.auc).toBeGreaterThan(0.45);
  expect(first!.auc).toBeLessThan(0.55);
  expect(others.map(({ name, auc, fall }) => [name, auc, fall])).toEqual([
    ['b', 1, 0],
    ['x', 1, 0],
  ]);
});

test('mergeable', () => {
  const whole = new SlotImportance(features.schema);
  const parts = [new SlotImportance(features.schema), new SlotImportance(features.schema)];
  whole.update(batchOf(100, 0), predict);
  parts[0]!.update(batchOf(100, 0), predict);
  parts[1]!.merge(JSON.parse(JSON.stringify(parts[0]!.state())));
  expect(parts[1]!.compute()).toEqual(whole.compute());
  // The next batch is shuffled as it would have been.
  expect(parts[1]!.update(batchOf(50, 1), predict).compute()).toEqual(whole.update(batchOf(50, 1), predict).compute());
});

test('a model of one of several labels; examples whose label is not known do not count', () => {
  const features = new Features({ labels: ['other', 'y'], slots: [{ type: 'id', name: 'a' }], dense: ['x'] });
  const rows = Array.from({ length: 300 }, (_, i) => ({ a: i % 2, x: i % 7 }));
  const batch = features.extractAll(rows);
  // In every third example y is not known, and would be wrong.
  batch.labels.set(rows.flatMap(({ a }, i) => [1 - a, i % 3 === 0 ? Number.NaN : a]));
  const predict = (of: SparseBatch): number[] => Array.from({ length: of.size }, (_, i) => of.lo[of.offsets[i]!]!);
  const scores = new SlotImportance(features.schema, { label: 1 }).update(batch, predict).compute();
  expect(scores.map(({ name }) => name)).toEqual(['a', 'x']);
  expect(scores[1]).toEqual({ name: 'x', auc: 1, fall: 0 });
  expect(scores[0]!.auc).toBeLessThan(0.6);
});
