/**
 * Adagrad (Duchi et al. 2011).
 */
import { decayed } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface AdagradOptions extends Partial<BaseHyper> {
  /** 1e-2 by default. */
  readonly lr?: number;
  /** The rate at step t is lr / (1 + (t - 1) * lrDecay); 0 by default. */
  readonly lrDecay?: number;
  /** Added to the gradient as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
  /** What the sums of squares start from; 0 by default. */
  readonly initialAccumulatorValue?: number;
  /** Added to the denominator; 1e-10 by default. */
  readonly eps?: number;
}

type Hyper = Required<AdagradOptions>;

/** p -= lr * gradient / (sqrt(sum of squared gradients) + eps). */
export class Adagrad extends Optimizer<Hyper> {
  constructor(params: Params<AdagradOptions>, options: AdagradOptions = {}) {
    const defaults = { lr: 1e-2, lrDecay: 0, weightDecay: 0, initialAccumulatorValue: 0, eps: 1e-10, maximize: false };
    super(params as Params<Hyper>, defaults, options);
  }

  protected override check({ lr, lrDecay, weightDecay, initialAccumulatorValue, eps }: Hyper): void {
    this.atLeastZero({ lr, lrDecay, weightDecay, initialAccumulatorValue, eps });
  }

  protected update({ hyper, rate, steps }: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { lrDecay, weightDecay, initialAccumulatorValue, eps } = hyper;
    const rates = lrDecay === 0 ? null : rate.div(steps.sub(1).mul(lrDecay).add(1));
    for (const { parameter, grad: rawGrad, rows, index } of updates) {
      const sum = this.slot(parameter, 'sum', initialAccumulatorValue);
      const size = rates ? rates.select(0, index) : rate;
      if (rows && weightDecay === 0) {
        // Rows without a gradient would not change: leaving them out gives the same values.
        const squares = rows.of(sum).add(rows.values.mul(rows.values));
        rows.assign(parameter, rows.of(parameter).sub(rows.values.mul(size).div(squares.sqrt().add(eps))));
        rows.assign(sum, squares);
        continue;
      }
      const grad = decayed(rawGrad, parameter, weightDecay);
      sum.assign(sum.add(grad.mul(grad)));
      parameter.assign(parameter.sub(grad.mul(size).div(sum.sqrt().add(eps))));
    }
  }
}
