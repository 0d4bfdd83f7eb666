/**
 * RAdam: Adam whose adaptive rate waits until its variance is known (Liu et al. 2020).
 */
import { where } from '../tensor/index.ts';
import { biasCorrection, checkBetas, decayed, follow, followSquare } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface RAdamOptions extends Partial<BaseHyper> {
  /** 1e-3 by default. */
  readonly lr?: number;
  /** Decay of the running mean of gradients and of their squares; [0.9, 0.999] by default. */
  readonly betas?: readonly [number, number];
  /** Added to the denominator; 1e-8 by default. */
  readonly eps?: number;
  /** Added to the gradient as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
}

type Hyper = Required<RAdamOptions>;

/** The length of the moving average from which on the adaptive rate is used. */
const LONG_ENOUGH = 5;

/**
 * Adam's step times the rectification of its variance; a step along the mean of gradients while the variance is
 * unknown.
 */
export class RAdam extends Optimizer<Hyper> {
  constructor(params: Params<RAdamOptions>, options: RAdamOptions = {}) {
    const defaults = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, maximize: false } as const;
    super(params as Params<Hyper>, defaults, options);
  }

  protected override check({ lr, betas, eps, weightDecay }: Hyper): void {
    this.atLeastZero({ lr, eps, weightDecay });
    checkBetas(this.name, betas);
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { betas, eps, weightDecay } = group.hyper;
    const { rate, steps } = group;
    const beta1 = group.moving(betas[0]);
    const beta2 = betas[1];
    const sizes = rate.div(biasCorrection(beta1, steps));
    const correction2 = biasCorrection(beta2, steps);
    const longest = 2 / (1 - beta2) - 1;
    // longest - 2 t beta2^t / (1 - beta2^t)
    const lengths = steps.mul(2).mul(correction2.neg().add(1)).div(correction2).neg().add(longest);
    const isKnown = lengths.gt(LONG_ENOUGH);
    const rectification = lengths
      .sub(4)
      .mul(lengths.sub(2))
      .mul(longest)
      .div(lengths.mul((longest - 4) * (longest - 2)));
    // Where the variance is unknown the root is not used; 1 keeps it real.
    const adaptive = where(isKnown, rectification, 1).sqrt().mul(correction2.sqrt());
    for (const { parameter, grad: rawGrad, index } of updates) {
      const grad = decayed(rawGrad, parameter, weightDecay);
      const mean = follow(this.slot(parameter, 'expAvg'), grad, beta1);
      const square = followSquare(this.slot(parameter, 'expAvgSq'), grad, beta2);
      const adapted = square.sqrt().add(eps).reciprocal().mul(adaptive.select(0, index));
      const scale = where(isKnown.select(0, index), adapted, 1);
      parameter.assign(parameter.sub(mean.mul(sizes.select(0, index)).mul(scale)));
    }
  }
}
