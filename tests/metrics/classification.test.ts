import { expect, test } from 'vitest';
import { Accuracy, ConfusionMatrix, TopK } from '../../src/metrics/index.ts';
import { type DType, Tensor, tensor } from '../../src/tensor/index.ts';

test('accuracy counts rows whose target scores highest, over batches', () => {
  const accuracy = new Accuracy({ classes: 3 });
  accuracy.update([0.1, 0.7, 0.2, /**/ 0.5, 0.3, 0.2], [1, 2]);
  accuracy.update([9, 0, 0], [0]);
  expect(accuracy.compute()).toBe(2 / 3);
});

test('a tie goes to the lower index, and NaN is never right', () => {
  const tie = [1, 1, 0];
  expect(new Accuracy({ classes: 3 }).update(tie, [0]).compute()).toBe(1);
  expect(new Accuracy({ classes: 3 }).update(tie, [1]).compute()).toBe(0);
  expect(new Accuracy({ classes: 3 }).update([Number.NaN, 0, 0], [0]).compute()).toBe(0);
});

test('top-k, merged from two parts', () => {
  const a = new TopK(2, { classes: 4 }).update([4, 3, 2, 1, /**/ 4, 3, 2, 1], [1, 2]);
  const b = new TopK(2, { classes: 4 }).update([1, 2, 3, 4], [2]);
  a.merge(b.state());
  expect(a.compute()).toBe(2 / 3);
});

test('confusion matrix, precision, recall and F1 by hand', () => {
  //                     targets 0 0 0 1 1 2
  const matrix = new ConfusionMatrix(3).update([0, 0, 1, 1, 0, 1], [0, 0, 0, 1, 1, 2]);
  expect(matrix.compute()).toEqual([
    [2, 1, 0],
    [1, 1, 0],
    [0, 1, 0],
  ]);
  expect(matrix.accuracy()).toBe(0.5);
  const [zero, one, two] = matrix.perClass();
  // Class 0: 2 of 3 predicted rightly, 2 of 3 found. Class 1: 1 of 3 predicted, 1 of 2 found: F1 = 2 * 1 / (3 + 2).
  expect(zero).toEqual({ precision: 2 / 3, recall: 2 / 3, f1: 2 / 3, support: 3 });
  expect(one).toEqual({ precision: 1 / 3, recall: 1 / 2, f1: 2 / 5, support: 2 });
  expect(two).toEqual({ precision: 0, recall: 0, f1: 0, support: 1 });
  expect(matrix.macro().f1).toBeCloseTo((2 / 3 + 2 / 5) / 3, 15);
});

test('confusion matrices merge, and refuse other sizes and unknown classes', () => {
  const a = new ConfusionMatrix(2).update([0, 1], [0, 1]);
  a.merge(new ConfusionMatrix(2).update([1], [0]).state());
  expect(a.compute()).toEqual([
    [1, 1],
    [0, 1],
  ]);
  expect(() => a.merge(new ConfusionMatrix(3).state())).toThrow('state of 3 classes into one of 2');
  expect(() => a.update([2], [0])).toThrow('prediction 2 is not one of 2 classes');
  expect(() => new Accuracy({ classes: 3 }).update([1, 2, 3], [3])).toThrow(
    'target 3 of row 0 is not one of 3 classes',
  );
  expect(() => new Accuracy({ classes: 3 }).update([1, 2], [0])).toThrow('2 scores do not make rows of 3 classes');
});

test('takes tensors of every dtype, and arrays of bigints', () => {
  for (const dtype of ['f32', 'f64', 'f16', 'bf16', 'i32', 'i64'] as const satisfies readonly DType[]) {
    const scores = Tensor.from([[1, -3, 0], [-2, -1, -4]], { dtype }); // biome-ignore format: a matrix
    expect(new Accuracy().update(scores, Tensor.from([0, 2], { dtype: 'i64' })).compute()).toBe(0.5);
  }
  expect(new ConfusionMatrix(2).update([1n, 0n], BigInt64Array.of(1n, 1n)).accuracy()).toBe(0.5);
  // Scores of a model count by the class of the highest, the first of equal ones.
  const scores = tensor([
    [0.2, 0.9],
    [0.5, 0.5],
    [0.1, 0.3],
  ]);
  expect(new ConfusionMatrix(2).update(scores, tensor([1n, 0n, 0n])).compute()).toEqual([
    [1, 1],
    [0, 1],
  ]);
  expect(() => new ConfusionMatrix(3).update(scores, [1, 0, 0])).toThrow('scores of 2 classes came, expected 3');
  expect(() => new Accuracy().update(Tensor.from([1, 2]), [0])).toThrow(
    'scores have shape [2], expected [rows, classes]',
  );
});
