/**
 * Metrics that are means over rows: a plain mean, log loss, perplexity, squared and absolute error.
 */
import { checkChoice, checkOptions } from '../tensor/options.ts';
import { checkPairs, type Metric, type MetricInput, numbersOf } from './metric.ts';

export interface MeanState {
  readonly sum: number;
  readonly weight: number;
}

/** Weighted mean of numbers. */
export class Mean implements Metric<number, MeanState> {
  protected sum = 0;
  protected weight = 0;

  /** `value` is itself a mean over `weight` rows (1 by default), so batch losses can be added as they are. */
  add(value: number, weight = 1): this {
    this.sum += value * weight;
    this.weight += weight;
    return this;
  }

  compute(): number {
    return this.sum / this.weight;
  }

  reset(): void {
    this.sum = 0;
    this.weight = 0;
  }

  state(): MeanState {
    return { sum: this.sum, weight: this.weight };
  }

  merge({ sum, weight }: MeanState): void {
    // JSON has null for what is no number.
    this.sum += (sum as number | null) ?? Number.NaN;
    this.weight += weight;
  }
}

/** exp of the mean of natural-log losses per token: `add(loss, tokens)`. */
export class Perplexity extends Mean {
  override compute(): number {
    return Math.exp(super.compute());
  }
}

/**
 * Mean negative log likelihood of binary labels. Probabilities are clipped to [eps, 1 - eps] with f64's eps, as
 * scikit-learn does; logits need no clipping and lose nothing at either end.
 */
export class LogLoss extends Mean {
  private readonly from: 'probability' | 'logit';

  constructor(options: { from?: 'probability' | 'logit' } = {}) {
    const { from = 'probability' } = checkOptions('LogLoss', options, ['from']);
    checkChoice('LogLoss', 'from', from, ['probability', 'logit']);
    super();
    this.from = from;
  }

  /**
   * `predictions` [n] probabilities or logits, `labels` [n] of 0 and 1, or shares between.
   * @throws Error for others, and for NaN
   */
  update(predictions: MetricInput, labels: MetricInput): this {
    const prediction = numbersOf(predictions);
    const label = numbersOf(labels);
    checkPairs('LogLoss', prediction.length, label.length);
    for (let i = 0; i < label.length; i++) {
      this.check(prediction[i]!, label[i]!);
      this.add(this.row(prediction[i]!, label[i]!));
    }
    return this;
  }

  private check(prediction: number, label: number): void {
    if (Number.isNaN(prediction)) throw new Error('LogLoss: a prediction is NaN');
    if (this.from === 'probability' && (prediction < 0 || prediction > 1))
      throw new Error(`LogLoss: probability ${prediction} is outside [0, 1]`);
    if (!(label >= 0 && label <= 1)) throw new Error(`LogLoss: label ${label}, expected a number from 0 to 1`);
  }

  private row(prediction: number, label: number): number {
    if (this.from === 'logit')
      return Math.max(prediction, 0) - prediction * label + Math.log1p(Math.exp(-Math.abs(prediction)));
    const p = Math.min(1 - Number.EPSILON, Math.max(Number.EPSILON, prediction));
    return -(label * Math.log(p) + (1 - label) * Math.log1p(-p));
  }
}

/** Mean of a function of (prediction, target). */
class PairMean extends Mean {
  private readonly name: string;
  private readonly of: (error: number) => number;

  constructor(name: string, of: (error: number) => number) {
    super();
    this.name = name;
    this.of = of;
  }

  /** `predictions` and `targets`, equally many. */
  update(predictions: MetricInput, targets: MetricInput): this {
    const prediction = numbersOf(predictions);
    const target = numbersOf(targets);
    checkPairs(this.name, prediction.length, target.length);
    for (let i = 0; i < target.length; i++) this.add(this.of(prediction[i]! - target[i]!));
    return this;
  }
}

/** Mean squared error. */
export class MSE extends PairMean {
  constructor() {
    super('MSE', error => error * error);
  }
}

/** Mean absolute error. */
export class MAE extends PairMean {
  constructor() {
    super('MAE', Math.abs);
  }
}
