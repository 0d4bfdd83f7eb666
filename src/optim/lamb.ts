/**
 * LAMB (You et al. 2020): Adam whose step is scaled layer by layer to the size of the weights, for very large batches.
 */
import { where } from '../tensor/index.ts';
import { biasCorrection, checkBetas, decayed, follow, followSquare } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface LAMBOptions extends Partial<BaseHyper> {
  /** 1e-3 by default. */
  readonly lr?: number;
  /** Decay of the running mean of gradients and of their squares; [0.9, 0.999] by default. */
  readonly betas?: readonly [number, number];
  /** Added to the denominator; 1e-6 by default. */
  readonly eps?: number;
  /** Added to the direction as `weightDecay * parameter`; 0.01 by default. */
  readonly weightDecay?: number;
  /** Whether the means are corrected for starting at 0, as in Algorithm 2; true by default. */
  readonly biasCorrection?: boolean;
}

type Hyper = Required<LAMBOptions>;

/**
 * p -= lr * |p| / |d| * d, with d = mean / (sqrt(mean square) + eps) + weightDecay * p, and 1 for the ratio where a
 * norm is 0.
 */
export class LAMB extends Optimizer<Hyper> {
  constructor(params: Params<LAMBOptions>, options: LAMBOptions = {}) {
    const defaults = { lr: 1e-3, eps: 1e-6, weightDecay: 0.01, biasCorrection: true, maximize: false };
    super(params as Params<Hyper>, { ...defaults, betas: [0.9, 0.999] }, options);
  }

  protected override check({ lr, betas, eps, weightDecay }: Hyper): void {
    this.atLeastZero({ lr, eps, weightDecay });
    checkBetas(this.name, betas);
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { betas, eps, weightDecay, biasCorrection: corrects } = group.hyper;
    const { rate, steps } = group;
    const beta1 = group.moving(betas[0]);
    const inverses = biasCorrection(beta1, steps).reciprocal();
    const inverseRoots = biasCorrection(betas[1], steps).sqrt().reciprocal();
    for (const { parameter, grad, index } of updates) {
      let mean = follow(this.slot(parameter, 'expAvg'), grad, beta1).detach();
      let root = followSquare(this.slot(parameter, 'expAvgSq'), grad, betas[1]).sqrt();
      if (corrects) {
        mean = mean.mul(inverses.select(0, index));
        root = root.mul(inverseRoots.select(0, index));
      }
      const adapted = mean.div(root.add(eps));
      const direction = decayed(adapted, parameter, weightDecay);
      const [size, length] = [parameter.norm(), direction.norm()];
      const ratio = where(size.gt(0).logicalAnd(length.gt(0)), size.div(length), 1);
      parameter.assign(parameter.sub(direction.mul(ratio.mul(rate))));
    }
  }
}
