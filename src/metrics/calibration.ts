/**
 * Calibration: whether clicks come as often as predicted, overall (COPC) and for each range of predictions.
 */
import { checkOptions } from '../tensor/options.ts';
import { checkPairs, type Metric, type MetricInput, numbersOf } from './metric.ts';

export interface CalibrationState {
  /** Per bin: rows, sum of predictions, sum of labels. */
  readonly rows: readonly number[];
  readonly predicted: readonly number[];
  readonly observed: readonly number[];
}

/** Predictions within one range. */
export interface CalibrationBin {
  readonly rows: number;
  /** Mean prediction. */
  readonly predicted: number;
  /** Mean label. */
  readonly observed: number;
}

export interface CalibrationReport {
  /** Clicks over predicted clicks: above 1 the model predicts too few. */
  readonly copc: number;
  /**
   * Expected calibration error: the mean over rows of |observed - predicted| of their bin (Naeini et al., AAAI 2015).
   */
  readonly ece: number;
  /** Bins that hold rows, by ascending prediction. */
  readonly bins: readonly CalibrationBin[];
}

/** COPC, expected calibration error and the calibration curve of probabilities, in bounded memory. */
export class Calibration implements Metric<CalibrationReport, CalibrationState> {
  private readonly rows: Float64Array;
  private readonly predicted: Float64Array;
  private readonly observed: Float64Array;

  /** `bins`: equal ranges of [0, 1]; 20 by default. */
  constructor(options: { bins?: number } = {}) {
    const { bins = 20 } = checkOptions('Calibration', options, ['bins']);
    if (!Number.isInteger(bins) || bins < 1)
      throw new Error(`Calibration: ${bins} bins, expected an integer of at least 1`);
    this.rows = new Float64Array(bins);
    this.predicted = new Float64Array(bins);
    this.observed = new Float64Array(bins);
  }

  /** `probabilities` [n] in [0, 1], `labels` [n] of 0 and 1. */
  update(probabilities: MetricInput, labels: MetricInput): this {
    const score = numbersOf(probabilities);
    const label = numbersOf(labels);
    checkPairs('Calibration', score.length, label.length);
    for (let i = 0; i < score.length; i++) {
      const p = score[i];
      if (!(p >= 0 && p <= 1)) throw new Error(`Calibration: probability ${p} of row ${i} is outside [0, 1]`);
      if (!(label[i] >= 0 && label[i] <= 1))
        throw new Error(`Calibration: label ${label[i]} of row ${i}, expected a number from 0 to 1`);
      const bin = Math.min(this.rows.length - 1, Math.floor(p * this.rows.length));
      this.rows[bin]++;
      this.predicted[bin] += p;
      this.observed[bin] += label[i];
    }
    return this;
  }

  compute(): CalibrationReport {
    const sum = (of: Float64Array): number => of.reduce((a, b) => a + b, 0);
    const bins = Array.from(this.rows, (rows, bin) => ({
      rows,
      predicted: this.predicted[bin] / rows,
      observed: this.observed[bin] / rows,
    })).filter(({ rows }) => rows > 0);
    const total = sum(this.rows);
    return {
      copc: sum(this.observed) / sum(this.predicted),
      ece: bins.reduce((a, bin) => a + (bin.rows / total) * Math.abs(bin.observed - bin.predicted), 0),
      bins,
    };
  }

  reset(): void {
    for (const sums of [this.rows, this.predicted, this.observed]) sums.fill(0);
  }

  state(): CalibrationState {
    return { rows: [...this.rows], predicted: [...this.predicted], observed: [...this.observed] };
  }

  merge({ rows, predicted, observed }: CalibrationState): void {
    if (rows.length !== this.rows.length)
      throw new Error(`Calibration.merge: state of ${rows.length} bins into one of ${this.rows.length}`);
    for (let bin = 0; bin < rows.length; bin++) {
      this.rows[bin] += rows[bin];
      this.predicted[bin] += predicted[bin];
      this.observed[bin] += observed[bin];
    }
  }
}
