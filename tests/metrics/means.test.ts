import { expect, test } from 'vitest';
import { LogLoss, MAE, Mean, MSE, Perplexity } from '../../src/metrics/index.ts';

test('weighted mean, merged', () => {
  const mean = new Mean().add(2, 3).add(6);
  mean.merge(new Mean().add(1, 4).state());
  expect(mean.compute()).toBe((2 * 3 + 6 + 1 * 4) / 8);
  mean.reset();
  expect(mean.compute()).toBeNaN();
});

test('perplexity of uniform guesses over n symbols is n', () => {
  expect(new Perplexity().add(Math.log(65), 10).add(Math.log(65), 3).compute()).toBeCloseTo(65, 10);
});

test('log loss: scikit-learn documents 0.21616 for its example', () => {
  const loss = new LogLoss().update([0.1, 0.9, 0.8, 0.35], [0, 1, 1, 0]).compute();
  // Mean of -ln 0.9, -ln 0.9, -ln 0.8, -ln 0.65.
  expect(loss).toBeCloseTo(-(2 * Math.log(0.9) + Math.log(0.8) + Math.log(0.65)) / 4, 14);
  expect(loss).toBeCloseTo(0.21616, 5);
});

test('log loss from logits equals that from probabilities, and stays finite far out', () => {
  const logits = [-3, -0.5, 0, 0.25, 4];
  const labels = [0, 1, 1, 0, 1];
  const fromLogits = new LogLoss({ from: 'logit' }).update(logits, labels).compute();
  const fromProbabilities = new LogLoss()
    .update(
      logits.map(x => 1 / (1 + Math.exp(-x))),
      labels,
    )
    .compute();
  expect(fromLogits).toBeCloseTo(fromProbabilities, 14);
  expect(new LogLoss({ from: 'logit' }).update([1000], [0]).compute()).toBe(1000);
  expect(new LogLoss().update([1], [0]).compute()).toBeCloseTo(-Math.log(Number.EPSILON), 10);
});

test('squared and absolute error', () => {
  expect(new MSE().update([1, 2, 3], [1, 4, 0]).compute()).toBeCloseTo(13 / 3, 15);
  expect(new MAE().update([1, 2, 3], [1, 4, 0]).compute()).toBeCloseTo(5 / 3, 15);
  expect(() => new MAE().update([1], [1, 2])).toThrow('MAE: 1 predictions for 2 targets');
});
