import { describe, expect, it, test } from 'vitest';
import {
  Calibration,
  GroupedAUC,
  HitRateAtK,
  NDCGAtK,
  ProgressiveValidation,
  RecallAtK,
} from '../../src/metrics/index.ts';

// Three rows of six items, as scikit-learn 1.2 was asked.
const scores = [
  0.55, 0.72, 0.6, 0.54, 0.42, 0.65, 0.44, 0.89, 0.96, 0.38, 0.79, 0.53, 0.57, 0.93, 0.07, 0.09, 0.02, 0.83,
];
const relevance = [3, 2, 3, 0, 1, 2, 0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 0];

describe("NDCG is scikit-learn's ndcg_score", () => {
  it.each([
    [1, 'linear', 0.38888888888888884],
    [3, 'linear', 0.5227566568455478],
    [6, 'linear', 0.6961705255517234],
    [1, 'exponential', 0.25396825396825395],
    [3, 'exponential', 0.4461003928958056],
    [6, 'exponential', 0.6417316613252514],
  ] as const)('at %i with %s gains', (k, gain, want) => {
    expect(new NDCGAtK(k, { items: 6, gain }).update(scores, relevance).compute()).toBeCloseTo(want, 14);
  });
});

test('recall and hit rate count by hand', () => {
  // Ranked: row 0 as 1, 5, 2, 0, 3, 4; row 1 as 2, 1, 4, 5, 0, 3; row 2 as 1, 5, 0, 3, 2, 4.
  const at = (k: number) => [
    new RecallAtK(k, { items: 6 }).update(scores, relevance).compute(),
    new HitRateAtK(k, { items: 6 }).update(scores, relevance).compute(),
  ];
  expect(at(1)).toEqual([(1 / 5 + 1 / 2 + 0) / 3, 2 / 3]);
  expect(at(3)).toEqual([(3 / 5 + 1 + 0) / 3, 2 / 3]);
  expect(at(4)).toEqual([(4 / 5 + 1 + 1) / 3, 1]);
});

test('lists by name give what scores give; rows without a relevant item are left out', () => {
  const byName = new NDCGAtK(2).addList(['a', 'b', 'c'], ['b', 'd']).addList(['a'], []);
  const byScore = new NDCGAtK(2, { items: 4 }).update([3, 2, 1, 0, 1, 2, 3, 4], [0, 1, 0, 1, 0, 0, 0, 0]);
  expect(byName.compute()).toBe(byScore.compute());
  expect(byName.compute()).toBeCloseTo(1 / Math.log2(3) / (1 + 1 / Math.log2(3)), 14);
  expect(new RecallAtK(5).addList(['a'], []).compute()).toBeNaN();
});

test('ties rank the lower index first', () => {
  expect(new HitRateAtK(1, { items: 2 }).update([1, 1], [1, 0]).compute()).toBe(1);
  expect(new HitRateAtK(1, { items: 2 }).update([1, 1], [0, 1]).compute()).toBe(0);
});

test('GAUC weighs the AUC of each group', () => {
  const labels = [1, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1];
  const predicted = [0.9, 0.3, 0.4, 0.6, 0.1, 0.7, 0.2, 0.8, 0.5, 0.95, 0.3];
  const users = [7n, 7n, 7n, 7n, 8n, 8n, 8n, 8n, 9n, 9n, 8n];
  // scikit-learn: 0.75 within user 7; user 8 by hand 3 of 6 pairs; user 9 has clicks only.
  const gauc = (weight: 'rows' | 'positives' | 'equal'): number =>
    new GroupedAUC({ weight }).update(predicted, labels, users).compute();
  expect(gauc('rows')).toBeCloseTo((4 * 0.75 + 5 * (3 / 6)) / 9, 14);
  expect(gauc('positives')).toBeCloseTo((2 * 0.75 + 3 * (3 / 6)) / 5, 14);
  expect(gauc('equal')).toBeCloseTo((0.75 + 3 / 6) / 2, 14);
  expect(() => new GroupedAUC().update([1], [1], [1, 2])).toThrow('GroupedAUC: 2 groups for 1 predictions');
});

test('COPC is clicks over predicted clicks, and the curve has what each bin saw', () => {
  const calibration = new Calibration({ bins: 2 }).update([0.1, 0.3, 0.9, 0.7], [0, 1, 1, 1]);
  const { copc, ece, bins } = calibration.compute();
  expect(copc).toBeCloseTo(3 / 2, 14);
  expect(bins.map(bin => [bin.rows, bin.predicted, bin.observed])).toEqual([
    [2, 0.2, 0.5],
    [2, 0.8, 1],
  ]);
  expect(ece).toBeCloseTo((0.3 + 0.2) / 2, 14);
});

test('progressive validation reports each window and all of them; unknown labels are left out', () => {
  const progressive = new ProgressiveValidation();
  progressive.update([0.9, 0.1, 0.5], [1, 0, Number.NaN]);
  const first = progressive.endWindow();
  expect([first.examples, first.ctr, first.auc]).toEqual([2, 0.5, 1]);
  progressive.update([0.2, 0.6], [1, 0]);
  const second = progressive.endWindow();
  expect([second.examples, second.auc]).toEqual([2, 0]);
  expect(second.logLoss).toBeCloseTo(-(Math.log(0.2) + Math.log(0.4)) / 2, 14);
  const all = progressive.compute();
  // Positives 0.9 and 0.2 against negatives 0.1 and 0.6: 3 of 4 pairs in order.
  expect([all.examples, all.auc]).toEqual([4, 0.75]);
  expect(all.copc).toBeCloseTo(2 / 1.8, 12);
});
