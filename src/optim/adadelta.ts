/**
 * Adadelta (Zeiler 2012).
 */
import { decayed } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface AdadeltaOptions extends Partial<BaseHyper> {
  /** What the change is multiplied by; 1 by default. */
  readonly lr?: number;
  /** Decay of the running means of squared gradients and of squared changes; 0.9 by default. */
  readonly rho?: number;
  /** Added to both means under the root; 1e-6 by default. */
  readonly eps?: number;
  /** Added to the gradient as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
}

type Hyper = Required<AdadeltaOptions>;

/** p -= lr * sqrt(mean of squared changes + eps) / sqrt(mean of squared gradients + eps) * gradient. */
export class Adadelta extends Optimizer<Hyper> {
  constructor(params: Params<AdadeltaOptions>, options: AdadeltaOptions = {}) {
    const defaults = { lr: 1, rho: 0.9, eps: 1e-6, weightDecay: 0, maximize: false };
    super(params as Params<Hyper>, defaults, options);
  }

  protected override check({ lr, rho, eps, weightDecay }: Hyper): void {
    this.atLeastZero({ lr, eps, weightDecay });
    if (!(rho >= 0 && rho <= 1)) throw new Error(`Adadelta: rho ${rho} came, expected 0 to 1`);
  }

  protected update({ hyper, rate }: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { rho, eps, weightDecay } = hyper;
    for (const { parameter, grad: rawGrad } of updates) {
      const grad = decayed(rawGrad, parameter, weightDecay);
      const square = this.slot(parameter, 'squareAvg');
      const changes = this.slot(parameter, 'accDelta');
      square.assign(square.mul(rho).add(grad.mul(1 - rho).mul(grad)));
      const change = changes.add(eps).sqrt().div(square.add(eps).sqrt()).mul(grad);
      changes.assign(changes.mul(rho).add(change.mul(1 - rho).mul(change)));
      parameter.assign(parameter.sub(change.mul(rate)));
    }
  }
}
