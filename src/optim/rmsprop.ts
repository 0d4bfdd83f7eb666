/**
 * RMSprop (Tieleman and Hinton 2012), with centring (Graves 2013) and momentum.
 */
import type { Tensor } from '../tensor/index.ts';
import { decayed } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface RMSpropOptions extends Partial<BaseHyper> {
  /** 1e-2 by default. */
  readonly lr?: number;
  /** Decay of the running mean of squared gradients; 0.99 by default. */
  readonly alpha?: number;
  /** Added to the denominator; 1e-8 by default. */
  readonly eps?: number;
  /** Added to the gradient as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
  /** 0 by default. */
  readonly momentum?: number;
  /** Whether gradients are divided by their standard deviation instead of their root mean square; false by default. */
  readonly centered?: boolean;
}

type Hyper = Required<RMSpropOptions>;

/** p -= lr * gradient / (sqrt(running mean of squared gradients) + eps). */
export class RMSprop extends Optimizer<Hyper> {
  constructor(params: Params<RMSpropOptions>, options: RMSpropOptions = {}) {
    const defaults = {
      lr: 1e-2,
      alpha: 0.99,
      eps: 1e-8,
      weightDecay: 0,
      momentum: 0,
      centered: false,
      maximize: false,
    };
    super(params as Params<Hyper>, defaults, options);
  }

  protected override check({ lr, alpha, eps, weightDecay, momentum }: Hyper): void {
    this.atLeastZero({ lr, alpha, eps, weightDecay, momentum });
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { hyper, rate } = group;
    const { alpha, eps, weightDecay, momentum, centered } = hyper;
    for (const { parameter, grad: rawGrad } of updates) {
      const grad = decayed(rawGrad, parameter, weightDecay);
      const square = this.slot(parameter, 'squareAvg');
      square.assign(square.mul(alpha).add(grad.mul(1 - alpha).mul(grad)));
      let variance: Tensor = square;
      if (centered) {
        const mean = this.slot(parameter, 'gradAvg');
        mean.assign(mean.mul(alpha).add(grad.mul(1 - alpha)));
        variance = square.sub(mean.mul(mean));
      }
      const scale = variance.sqrt().add(eps);
      if (momentum > 0) {
        const buffer = this.slot(parameter, 'momentumBuffer');
        buffer.assign(buffer.mul(group.moving(momentum)).add(grad.div(scale)));
        parameter.assign(parameter.sub(buffer.mul(rate)));
      } else {
        parameter.assign(parameter.sub(grad.mul(rate).div(scale)));
      }
    }
  }
}
