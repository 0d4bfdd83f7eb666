/**
 * Lion (Chen et al. 2023): the sign of a mean of gradients; half the state of Adam. Learning rates are some ten times
 * smaller than Adam's.
 */
import { checkBetas, complement, decayed, follow } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface LionOptions extends Partial<BaseHyper> {
  /** 1e-4 by default. */
  readonly lr?: number;
  /** Share of the mean in the direction, and decay of the mean; [0.9, 0.99] by default. */
  readonly betas?: readonly [number, number];
  /** Parameters shrink by lr * weightDecay; 0 by default. */
  readonly weightDecay?: number;
}

type Hyper = Required<LionOptions>;

/**
 * p -= lr * (sign(beta1 * mean + (1 - beta1) * gradient) + weightDecay * p); then mean = beta2 * mean + (1 - beta2) *
 * gradient.
 */
export class Lion extends Optimizer<Hyper> {
  constructor(params: Params<LionOptions>, options: LionOptions = {}) {
    const defaults = { lr: 1e-4, betas: [0.9, 0.99], weightDecay: 0, maximize: false } as const;
    super(params as Params<Hyper>, defaults, options);
  }

  protected override check({ lr, betas, weightDecay }: Hyper): void {
    this.atLeastZero({ lr, weightDecay });
    checkBetas(this.name, betas);
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { betas, weightDecay } = group.hyper;
    const beta1 = group.moving(betas[0]);
    for (const { parameter, grad } of updates) {
      const mean = this.slot(parameter, 'expAvg');
      const sign = mean
        .mul(beta1)
        .add(grad.mul(complement(beta1)))
        .sign();
      const direction = decayed(sign, parameter, weightDecay);
      follow(mean, grad, betas[1]);
      parameter.assign(parameter.sub(direction.mul(group.rate)));
    }
  }
}
