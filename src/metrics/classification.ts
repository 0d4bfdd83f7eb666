/**
 * Metrics of classifiers over integer classes: accuracy, top-k, and the confusion matrix with what follows from it.
 */
import { checkOptions } from '../tensor/options.ts';
import { checkPairs, type Metric, type MetricInput, numbersOf, scoreShape } from './metric.ts';

export interface CountState {
  readonly correct: number;
  readonly total: number;
}

/**
 * Share of rows whose target is among the k highest scores. A target that ties with others counts as placed after every
 * higher score and before its equals with a higher index, as a stable descending sort would place it.
 */
export class TopK implements Metric<number, CountState> {
  readonly k: number;
  private readonly classes: number;
  private correct = 0;
  private total = 0;

  /** `classes` is only needed for plain arrays, which carry no shape. */
  constructor(k: number, options: { classes?: number } = {}) {
    const { classes = 0 } = checkOptions('TopK', options, ['classes']);
    if (!Number.isInteger(k) || k < 1) throw new Error(`TopK: k is ${k}, expected a positive integer`);
    this.k = k;
    this.classes = classes;
  }

  /** `scores` [rows, classes] (logits or probabilities), `targets` [rows] of class indices. */
  update(scores: MetricInput, targets: MetricInput): this {
    const [rows, columns] = scoreShape(this.constructor.name, scores, this.classes);
    checkPairs(
      this.constructor.name,
      rows,
      'shape' in targets ? targets.shape.reduce((a, n) => a * n, 1) : targets.length,
    );
    const score = numbersOf(scores);
    const target = numbersOf(targets);
    for (let row = 0; row < rows; row++) {
      const wanted = target[row]!;
      if (!Number.isInteger(wanted) || wanted < 0 || wanted >= columns)
        throw new Error(`${this.constructor.name}: target ${wanted} of row ${row} is not one of ${columns} classes`);
      const own = score[row * columns + wanted]!;
      let ahead = 0;
      for (let c = 0; c < columns; c++) {
        const other = score[row * columns + c]!;
        if (other > own || (other === own && c < wanted)) ahead++;
      }
      // A NaN score is never a right answer, although nothing compares above it.
      if (ahead < this.k && !Number.isNaN(own)) this.correct++;
    }
    this.total += rows;
    return this;
  }

  compute(): number {
    return this.correct / this.total;
  }

  reset(): void {
    this.correct = 0;
    this.total = 0;
  }

  state(): CountState {
    return { correct: this.correct, total: this.total };
  }

  merge(state: CountState): void {
    this.correct += state.correct;
    this.total += state.total;
  }
}

/** Share of rows whose highest score is the target's: `TopK` with k = 1. */
export class Accuracy extends TopK {
  constructor(options: { classes?: number } = {}) {
    super(1, options);
  }
}

export interface ConfusionState {
  readonly classes: number;
  /** Row-major [target, prediction]. */
  readonly counts: readonly number[];
}

export interface PrecisionRecall {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Rows whose target is this class. */
  readonly support: number;
}

/**
 * Counts of (target, predicted) pairs over n classes, and the precision, recall and F1 that follow. A ratio of nothing
 * to nothing is 0, as scikit-learn's `zero_division=0`.
 */
export class ConfusionMatrix implements Metric<readonly (readonly number[])[], ConfusionState> {
  readonly classes: number;
  private counts: Float64Array;

  constructor(classes: number) {
    if (!Number.isInteger(classes) || classes < 1)
      throw new Error(`ConfusionMatrix: ${classes} classes, expected a positive integer`);
    this.classes = classes;
    this.counts = new Float64Array(classes * classes);
  }

  /**
   * `predictions` [rows] of class indices, or scores [rows, classes] of which the highest counts; `targets` [rows] of
   * class indices.
   */
  update(predictions: MetricInput, targets: MetricInput): this {
    const scores = 'shape' in predictions && predictions.shape.length === 2;
    const predicted = scores ? this.highest(predictions) : numbersOf(predictions);
    const target = numbersOf(targets);
    checkPairs('ConfusionMatrix', predicted.length, target.length);
    const index = (what: string, value: number): number => {
      if (!Number.isInteger(value) || value < 0 || value >= this.classes)
        throw new Error(`ConfusionMatrix: ${what} ${value} is not one of ${this.classes} classes`);
      return value;
    };
    for (let row = 0; row < target.length; row++)
      this.counts[index('target', target[row]!) * this.classes + index('prediction', predicted[row]!)]!++;
    return this;
  }

  /** The class of the highest score of each row, the first of equal ones. */
  private highest(scores: MetricInput): number[] {
    const [rows, columns] = scoreShape('ConfusionMatrix', scores, this.classes);
    if (columns !== this.classes)
      throw new Error(`ConfusionMatrix: scores of ${columns} classes came, expected ${this.classes}`);
    const values = numbersOf(scores);
    return Array.from({ length: rows }, (_, row) => {
      let best = 0;
      for (let c = 1; c < columns; c++) if (values[row * columns + c]! > values[row * columns + best]!) best = c;
      return best;
    });
  }

  /** counts[target][prediction]. */
  compute(): number[][] {
    return Array.from({ length: this.classes }, (_, t) => [
      ...this.counts.subarray(t * this.classes, (t + 1) * this.classes),
    ]);
  }

  /** The share of rows on the diagonal. */
  accuracy(): number {
    let right = 0;
    for (let c = 0; c < this.classes; c++) right += this.counts[c * this.classes + c]!;
    return right / this.counts.reduce((a, n) => a + n, 0);
  }

  /** Precision, recall, F1 and support of every class. */
  perClass(): PrecisionRecall[] {
    const ratio = (a: number, b: number): number => (b === 0 ? 0 : a / b);
    return Array.from({ length: this.classes }, (_, c) => {
      const hit = this.counts[c * this.classes + c]!;
      let support = 0;
      let predicted = 0;
      for (let other = 0; other < this.classes; other++) {
        support += this.counts[c * this.classes + other]!;
        predicted += this.counts[other * this.classes + c]!;
      }
      return {
        precision: ratio(hit, predicted),
        recall: ratio(hit, support),
        f1: ratio(2 * hit, predicted + support),
        support,
      };
    });
  }

  /** Unweighted mean of the classes' precision, recall and F1. */
  macro(): PrecisionRecall {
    const classes = this.perClass();
    const mean = (of: (p: PrecisionRecall) => number): number => classes.reduce((a, p) => a + of(p), 0) / this.classes;
    return {
      precision: mean(p => p.precision),
      recall: mean(p => p.recall),
      f1: mean(p => p.f1),
      support: classes.reduce((a, p) => a + p.support, 0),
    };
  }

  reset(): void {
    this.counts.fill(0);
  }

  state(): ConfusionState {
    return { classes: this.classes, counts: [...this.counts] };
  }

  merge(state: ConfusionState): void {
    if (state.classes !== this.classes)
      throw new Error(`ConfusionMatrix.merge: state of ${state.classes} classes into one of ${this.classes}`);
    state.counts.forEach((n, i) => {
      this.counts[i]! += n;
    });
  }
}
