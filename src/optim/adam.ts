/**
 * Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), with AMSGrad (Reddi et al. 2018).
 */
import type { Tensor } from '../tensor/index.ts';
import { biasCorrection, checkBetas, follow, followSquare } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface AdamOptions extends Partial<BaseHyper> {
  /** 1e-3 by default. */
  readonly lr?: number;
  /** Decay of the running mean of gradients and of their squares; [0.9, 0.999] by default. */
  readonly betas?: readonly [number, number];
  /** Added to the denominator; 1e-8 by default. */
  readonly eps?: number;
  /** 0 by default (AdamW: 1e-2). */
  readonly weightDecay?: number;
  /** Whether the largest second moment so far is used; false by default. */
  readonly amsgrad?: boolean;
}

type Hyper = Required<AdamOptions>;

/** What Adam and AdamW share; they differ in where weight decay goes. */
abstract class AdamBase extends Optimizer<Hyper> {
  constructor(params: Params<AdamOptions>, defaults: Hyper) {
    super(params as Params<Hyper>, defaults);
  }

  protected override check({ lr, betas, eps, weightDecay }: Hyper): void {
    this.atLeastZero({ lr, eps, weightDecay });
    checkBetas(this.name, betas);
  }

  /** Parameter and gradient once weight decay has been applied to one of them. */
  protected abstract decay(
    parameter: Tensor,
    grad: Tensor,
    weightDecay: number,
    rate: Tensor,
  ): readonly [parameter: Tensor, grad: Tensor];

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { hyper, rate, steps } = group;
    const { betas, eps, weightDecay, amsgrad } = hyper;
    const beta1 = group.moving(betas[0]);
    const beta2 = betas[1];
    const stepSizes = rate.div(biasCorrection(beta1, steps));
    const rootCorrections = biasCorrection(beta2, steps).sqrt();
    for (const { parameter, grad: rawGrad, index } of updates) {
      const [start, grad] =
        weightDecay === 0 ? [parameter, rawGrad] : this.decay(parameter, rawGrad, weightDecay, rate);
      const mean = follow(this.slot(parameter, 'expAvg'), grad, beta1);
      const square = followSquare(this.slot(parameter, 'expAvgSq'), grad, beta2);
      let second: Tensor = square;
      if (amsgrad) {
        const largest = this.slot(parameter, 'maxExpAvgSq');
        largest.assign(largest.maximum(square));
        second = largest;
      }
      const denominator = second.sqrt().div(rootCorrections.select(0, index)).add(eps);
      parameter.assign(start.sub(mean.mul(stepSizes.select(0, index)).div(denominator)));
    }
  }
}

/** Adam; weight decay is added to the gradient. */
export class Adam extends AdamBase {
  constructor(params: Params<AdamOptions>, options: AdamOptions = {}) {
    super(params, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0,
      amsgrad: false,
      maximize: false,
      ...options,
    });
  }

  protected decay(parameter: Tensor, grad: Tensor, weightDecay: number): readonly [Tensor, Tensor] {
    return [parameter, grad.add(parameter.mul(weightDecay))];
  }
}

/** Adam with decoupled weight decay: parameters shrink by lr * weightDecay (1e-2 by default), whatever their gradients. */
export class AdamW extends AdamBase {
  constructor(params: Params<AdamOptions>, options: AdamOptions = {}) {
    super(params, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 1e-2,
      amsgrad: false,
      maximize: false,
      ...options,
    });
  }

  protected decay(parameter: Tensor, grad: Tensor, weightDecay: number, rate: Tensor): readonly [Tensor, Tensor] {
    return [parameter.mul(rate.mul(-weightDecay).add(1)), grad];
  }
}
