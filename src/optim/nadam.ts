/**
 * NAdam: Adam with Nesterov momentum (Dozat 2016).
 */
import type { Tensor } from '../tensor/index.ts';
import { biasCorrection, checkBetas, decayed, follow, followSquare } from './moments.ts';
import { type BaseHyper, movedOn, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface NAdamOptions extends Partial<BaseHyper> {
  /** 2e-3 by default. */
  readonly lr?: number;
  /** Decay of the running mean of gradients and of their squares; [0.9, 0.999] by default. */
  readonly betas?: readonly [number, number];
  /** Added to the denominator; 1e-8 by default. */
  readonly eps?: number;
  /** Added to the gradient as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
  /** Momentum at step t is beta1 * (1 - 0.96^(t * momentumDecay) / 2); 4e-3 by default. */
  readonly momentumDecay?: number;
}

type Hyper = Required<NAdamOptions>;

/**
 * p -= lr * (share of the gradient + share of its mean) / sqrt(mean square), with a momentum that grows from beta1 / 2
 * to beta1.
 */
export class NAdam extends Optimizer<Hyper> {
  constructor(params: Params<NAdamOptions>, options: NAdamOptions = {}) {
    const defaults = { lr: 2e-3, eps: 1e-8, weightDecay: 0, momentumDecay: 4e-3, maximize: false };
    super(params as Params<Hyper>, { ...defaults, betas: [0.9, 0.999] }, options);
  }

  protected override check({ lr, betas, eps, weightDecay, momentumDecay }: Hyper): void {
    this.atLeastZero({ lr, eps, weightDecay, momentumDecay });
    checkBetas(this.name, betas);
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { betas, eps, weightDecay, momentumDecay } = group.hyper;
    const { rate, steps } = group;
    const beta1 = group.moving(betas[0]);
    const momentumAt = (step: Tensor): Tensor =>
      step
        .mul(momentumDecay * Math.log(0.96))
        .exp()
        .mul(-0.5)
        .add(1)
        .mul(beta1);
    const now = momentumAt(steps);
    const next = momentumAt(steps.add(1));
    // The product of all momenta so far, which only parameters with a gradient move on.
    const product = group.vector('muProduct', 1);
    product.assign(movedOn(group, updates, product.mul(now), product));
    const gradShares = rate.mul(now.neg().add(1)).div(product.neg().add(1));
    const meanShares = rate.mul(next).div(product.mul(next).neg().add(1));
    const inverseRoots = biasCorrection(betas[1], steps).sqrt().reciprocal();
    for (const { parameter, grad: rawGrad, index } of updates) {
      const grad = decayed(rawGrad, parameter, weightDecay);
      const mean = follow(this.slot(parameter, 'expAvg'), grad, beta1);
      const square = followSquare(this.slot(parameter, 'expAvgSq'), grad, betas[1]);
      const denominator = square.sqrt().mul(inverseRoots.select(0, index)).add(eps);
      const change = grad.mul(gradShares.select(0, index)).add(mean.mul(meanShares.select(0, index)));
      parameter.assign(parameter.sub(change.div(denominator)));
    }
  }
}
