/**
 * Averaged stochastic gradient descent (Polyak and Juditsky 1992; the schedule of Bottou 2010).
 */
import { where } from '../tensor/index.ts';
import { decayed } from './moments.ts';
import { type BaseHyper, movedOn, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface ASGDOptions extends Partial<BaseHyper> {
  /** 1e-2 by default. */
  readonly lr?: number;
  /** Decay of parameters and of the rate; 1e-4 by default. */
  readonly lambd?: number;
  /** Power of the rate's decay; 0.75 by default. */
  readonly alpha?: number;
  /** Step at which averaging starts; 1e6 by default. */
  readonly t0?: number;
  /** Added to the gradient as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
}

type Hyper = Required<ASGDOptions>;

/** Gradient descent with a falling rate; the average of the parameters is in the state, `${index}.ax`. */
export class ASGD extends Optimizer<Hyper> {
  constructor(params: Params<ASGDOptions>, options: ASGDOptions = {}) {
    const defaults = { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, weightDecay: 0, maximize: false };
    super(params as Params<Hyper>, defaults, options);
  }

  protected override check({ lr, weightDecay }: Hyper): void {
    this.atLeastZero({ lr, weightDecay });
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { lambd, alpha, t0, weightDecay } = group.hyper;
    const { rate, steps } = group;
    // The rate of a step was set by the step before it, and so by the learning rate of that time.
    const eta = group.vector('eta', group.lr);
    const sizes = eta.detach();
    const share = steps
      .sub(1 + t0)
      .clamp(1, null)
      .reciprocal();
    for (const { parameter, grad: rawGrad, index } of updates) {
      const grad = decayed(rawGrad, parameter, weightDecay);
      const size = sizes.select(0, index);
      const next = parameter.mul(size.mul(-lambd).add(1)).sub(grad.mul(size));
      const average = this.slot(parameter, 'ax');
      const part = share.select(0, index);
      average.assign(where(part.lt(1), average.add(next.sub(average).mul(part)), next));
      parameter.assign(next);
    }
    const following = rate.div(steps.mul(rate).mul(lambd).add(1).pow(alpha));
    eta.assign(movedOn(group, updates, following, eta));
  }
}
