import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AUC, auc, StreamingAUC } from '../../src/metrics/index.ts';

/** The definition: the share of (positive, negative) pairs ordered rightly, a tie counting one half. */
function byPairs(scores: readonly number[], labels: readonly number[]): number {
  let right = 0;
  let pairs = 0;
  scores.forEach((p, i) => {
    scores.forEach((n, j) => {
      if (labels[i] !== 1 || labels[j] !== 0) return;
      pairs++;
      right += p > n ? 1 : p === n ? 0.5 : 0;
    });
  });
  return right / pairs;
}

const rows = fc.array(fc.record({ score: fc.integer({ min: 0, max: 6 }), label: fc.integer({ min: 0, max: 1 }) }), {
  maxLength: 40,
});

test('scikit-learn documents 0.75 for its example', () => {
  expect(auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])).toBe(0.75);
});

test('equals the share of ordered pairs, ties counting half', () => {
  fc.assert(
    fc.property(rows, sample => {
      const scores = sample.map(r => r.score);
      const labels = sample.map(r => r.label);
      const expected = byPairs(scores, labels);
      const got = auc(scores, labels);
      if (Number.isNaN(expected)) expect(got).toBeNaN();
      else expect(got).toBeCloseTo(expected, 12);
    }),
  );
});

test('streaming equals exact when every distinct score has its own bucket, and merges', () => {
  fc.assert(
    fc.property(rows, rows, (left, right) => {
      const feed = (metric: StreamingAUC, part: typeof left): StreamingAUC =>
        metric.update(
          part.map(r => r.score / 8),
          part.map(r => r.label),
        );
      const merged = feed(new StreamingAUC({ buckets: 8 }), left);
      merged.merge(JSON.parse(JSON.stringify(feed(new StreamingAUC({ buckets: 8 }), right).state())));
      const all = [...left, ...right];
      const exact = auc(
        all.map(r => r.score),
        all.map(r => r.label),
      );
      if (Number.isNaN(exact)) expect(merged.compute()).toBeNaN();
      else expect(merged.compute()).toBeCloseTo(exact, 12);
    }),
  );
});

test('streaming is within a bucket of exact on continuous scores', () => {
  const labels = Array.from({ length: 4000 }, (_, i) => ((i * 7919) % 3 === 0 ? 1 : 0));
  const scores = labels.map((label, i) => (0.3 * label + ((i * 0.754877666) % 1)) / 1.3);
  const streaming = new StreamingAUC().update(scores, labels).compute();
  expect(Math.abs(streaming - auc(scores, labels))).toBeLessThan(1e-4);
});

test('a share y among the labels of the streaming one counts as y positives and 1 - y negatives', () => {
  const shares = new StreamingAUC({ buckets: 10 }).update([0.15, 0.35, 0.55, 0.75], [0.25, 0, 1, 0.5]);
  // The same in fourths of whole rows.
  const scores = [0.15, 0.35, 0.55, 0.75].flatMap(score => [score, score, score, score]);
  const whole = [1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0];
  expect(shares.compute()).toBeCloseTo(auc(scores, whole), 12);
  expect(() => new StreamingAUC().update([0.5], [1.5])).toThrow(
    'StreamingAUC: label 1.5 of row 0, expected a number from 0 to 1',
  );
});

test('state and merge of the exact one', () => {
  const a = new AUC().update([0.9, 0.2], [1, 0]);
  a.merge(new AUC().update([0.1, 0.5], [1, 0]).state());
  expect(a.compute()).toBe(auc([0.9, 0.2, 0.1, 0.5], [1, 0, 1, 0]));
});

test('refuses NaN scores, odd labels and probabilities out of range', () => {
  expect(() => auc([Number.NaN], [1])).toThrow('AUC: a score is NaN');
  expect(() => auc([0.5], [2])).toThrow('AUC: label 2, expected 0 or 1');
  expect(() => auc([0.5, 0.1], [1])).toThrow('AUC: 2 predictions for 1 targets');
  expect(() => new StreamingAUC().update([1.5], [1])).toThrow('probability 1.5 of row 0 is outside [0, 1]');
});
