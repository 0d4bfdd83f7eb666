/**
 * Adamax (Kingma and Ba 2015): Adam with the largest gradient so far in place of the mean square.
 */
import { biasCorrection, checkBetas, decayed, follow } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface AdamaxOptions extends Partial<BaseHyper> {
  /** 2e-3 by default. */
  readonly lr?: number;
  /** Decay of the running mean of gradients and of the largest one; [0.9, 0.999] by default. */
  readonly betas?: readonly [number, number];
  /** Added to the gradient's absolute value; 1e-8 by default. */
  readonly eps?: number;
  /** Added to the gradient as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
}

type Hyper = Required<AdamaxOptions>;

/** p -= lr / (1 - beta1^t) * mean of gradients / largest decayed gradient. */
export class Adamax extends Optimizer<Hyper> {
  constructor(params: Params<AdamaxOptions>, options: AdamaxOptions = {}) {
    const defaults = { lr: 2e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, maximize: false } as const;
    super(params as Params<Hyper>, defaults, options);
  }

  protected override check({ lr, betas, eps, weightDecay }: Hyper): void {
    this.atLeastZero({ lr, eps, weightDecay });
    checkBetas(this.name, betas);
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { betas, eps, weightDecay } = group.hyper;
    const beta1 = group.moving(betas[0]);
    const sizes = group.rate.div(biasCorrection(beta1, group.steps));
    for (const { parameter, grad: rawGrad, index } of updates) {
      const grad = decayed(rawGrad, parameter, weightDecay);
      const mean = follow(this.slot(parameter, 'expAvg'), grad, beta1);
      const largest = this.slot(parameter, 'expInf');
      largest.assign(largest.mul(betas[1]).maximum(grad.abs().add(eps)));
      parameter.assign(parameter.sub(mean.div(largest).mul(sizes.select(0, index))));
    }
  }
}
