/**
 * Progressive validation: every example is predicted before it is learned from, so that training data measures honestly
 * (Blum, Kalai and Langford, COLT 1999). A window (a pass, a day) is closed when it is over; all windows together are
 * the total.
 */
import { checkOptions } from '../tensor/options.ts';
import { StreamingAUC, type StreamingAucState } from './auc.ts';
import { Calibration, type CalibrationBin, type CalibrationState } from './calibration.ts';
import { LogLoss, type MeanState } from './means.ts';
import { type Metric, type MetricInput, numbersOf } from './metric.ts';

export interface ProgressiveReport {
  readonly examples: number;
  /** Mean label. */
  readonly ctr: number;
  readonly auc: number;
  readonly logLoss: number;
  readonly copc: number;
  readonly ece: number;
  readonly calibration: readonly CalibrationBin[];
}

/** What is measured of a stretch of examples. */
export interface MeasuresState {
  readonly auc: StreamingAucState;
  readonly logLoss: MeanState;
  readonly calibration: CalibrationState;
}

export interface ProgressiveState {
  readonly window: MeasuresState;
  readonly closed: MeasuresState;
}

/** AUC, log loss and calibration of one stretch of examples. */
class Measures {
  readonly auc: StreamingAUC;
  readonly logLoss = new LogLoss();
  readonly calibration = new Calibration();

  constructor(buckets: number) {
    this.auc = new StreamingAUC({ buckets });
  }

  update(probabilities: MetricInput, labels: MetricInput): void {
    this.auc.update(probabilities, labels);
    this.logLoss.update(probabilities, labels);
    this.calibration.update(probabilities, labels);
  }

  report(): ProgressiveReport {
    const { copc, ece, bins } = this.calibration.compute();
    const { weight } = this.logLoss.state();
    const clicks = bins.reduce((sum, bin) => sum + bin.observed * bin.rows, 0);
    return {
      examples: weight,
      ctr: clicks / weight,
      auc: this.auc.compute(),
      logLoss: this.logLoss.compute(),
      copc,
      ece,
      calibration: bins,
    };
  }

  reset(): void {
    for (const metric of [this.auc, this.logLoss, this.calibration]) metric.reset();
  }

  state(): MeasuresState {
    return { auc: this.auc.state(), logLoss: this.logLoss.state(), calibration: this.calibration.state() };
  }

  merge({ auc, logLoss, calibration }: MeasuresState): void {
    this.auc.merge(auc);
    this.logLoss.merge(logLoss);
    this.calibration.merge(calibration);
  }
}

/** `compute` reports on all examples, `endWindow` on those since the last one. */
export class ProgressiveValidation implements Metric<ProgressiveReport, ProgressiveState> {
  private readonly buckets: number;
  private readonly window: Measures;
  private readonly closed: Measures;

  /** `buckets` of the streaming AUC; 65,536 by default. */
  constructor(options: { buckets?: number } = {}) {
    const { buckets = 65_536 } = checkOptions('ProgressiveValidation', options, ['buckets']);
    this.buckets = buckets;
    this.window = new Measures(buckets);
    this.closed = new Measures(buckets);
  }

  /**
   * `probabilities` [n] in [0, 1] as predicted before learning, `labels` [n] of 0 and 1; rows whose label is NaN (not
   * known) are left out.
   */
  update(probabilities: MetricInput, labels: MetricInput): this {
    const label = numbersOf(labels);
    const score = numbersOf(probabilities);
    const known = Array.from({ length: label.length }, (_, i) => i).filter(i => !Number.isNaN(label[i]));
    if (known.length === label.length) this.window.update(score, label);
    else
      this.window.update(
        known.map(i => score[i]),
        known.map(i => label[i]),
      );
    return this;
  }

  /** What the window since the last call was like; the next one begins. */
  endWindow(): ProgressiveReport {
    const report = this.window.report();
    this.closed.merge(this.window.state());
    this.window.reset();
    return report;
  }

  /** Forgets the window since the last `endWindow`: it was not finished, and will be measured again. */
  dropWindow(): void {
    this.window.reset();
  }

  compute(): ProgressiveReport {
    const all = new Measures(this.buckets);
    all.merge(this.closed.state());
    all.merge(this.window.state());
    return all.report();
  }

  reset(): void {
    this.window.reset();
    this.closed.reset();
  }

  state(): ProgressiveState {
    return { window: this.window.state(), closed: this.closed.state() };
  }

  merge({ window, closed }: ProgressiveState): void {
    this.window.merge(window);
    this.closed.merge(closed);
  }
}
