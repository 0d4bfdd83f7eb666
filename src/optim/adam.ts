/**
 * Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), with AMSGrad (Reddi et al. 2018).
 */
import type { Parameter, Tensor } from '../tensor/index.ts';
import { biasCorrection, checkBetas, complement, follow, followSquare } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';
import type { RowGradient } from './rows.ts';

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
  constructor(params: Params<AdamOptions>, defaults: Hyper, options: AdamOptions) {
    super(params as Params<Hyper>, defaults, options);
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

  /**
   * Moves moments and weights of the rows that have a gradient. eps is added before the bias is corrected, as
   * SparseAdam does.
   */
  private lazily(parameter: Parameter, rows: RowGradient, group: ParamGroup<Hyper>, size: Tensor, root: Tensor): void {
    const { betas, eps, weightDecay, amsgrad } = group.hyper;
    if (weightDecay !== 0 || amsgrad)
      throw new Error(
        `${this.name}: ${parameter.label} is sparse: weightDecay ${weightDecay} and amsgrad ${amsgrad} came, expected 0 and false`,
      );
    const beta1 = group.moving(betas[0]);
    const beta2 = betas[1];
    const mean = this.slot(parameter, 'expAvg');
    const square = this.slot(parameter, 'expAvgSq');
    const { values } = rows;
    const before = rows.of(mean);
    const first = before.add(values.sub(before).mul(complement(beta1)));
    const was = rows.of(square);
    const second = was.add(
      values
        .mul(values)
        .sub(was)
        .mul(1 - beta2),
    );
    const change = first.div(second.sqrt().add(eps)).mul(size.mul(root));
    rows.assign(parameter, rows.of(parameter).sub(change));
    rows.assign(mean, first);
    rows.assign(square, second);
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { hyper, rate, steps } = group;
    const { betas, eps, weightDecay, amsgrad } = hyper;
    const beta1 = group.moving(betas[0]);
    const beta2 = betas[1];
    const stepSizes = rate.div(biasCorrection(beta1, steps));
    const roots = biasCorrection(beta2, steps).sqrt();
    const inverseRoots = roots.reciprocal();
    for (const { parameter, grad: rawGrad, rows, index } of updates) {
      if (parameter.sparse) {
        if (!rows)
          throw new Error(
            `${this.name}: the gradient of ${parameter.label}, which is sparse, is not one of lookups alone, or was read before the step`,
          );
        this.lazily(parameter, rows, group, stepSizes.select(0, index), roots.select(0, index));
        continue;
      }
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
      const denominator = second.sqrt().mul(inverseRoots.select(0, index)).add(eps);
      parameter.assign(start.sub(mean.mul(stepSizes.select(0, index)).div(denominator)));
    }
  }
}

/**
 * Adam for tables of lookups, PyTorch's SparseAdam: moments and weights move in the rows that have a gradient, and only
 * there. What Adam does to the tables of `sparse` embeddings; this class does it to no other parameters.
 */
export class SparseAdam extends AdamBase {
  constructor(params: Params<AdamOptions>, options: Pick<AdamOptions, 'lr' | 'betas' | 'eps' | 'maximize'> = {}) {
    const fixed = { weightDecay: 0, amsgrad: false, maximize: false };
    super(params, { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, ...fixed }, options);
    for (const parameter of this.parameters)
      if (!parameter.sparse)
        throw new Error(`SparseAdam: ${parameter.label} came, expected tables of embeddings with sparse: true`);
  }

  protected decay(parameter: Tensor, grad: Tensor): readonly [Tensor, Tensor] {
    return [parameter, grad];
  }
}

/**
 * Adam; weight decay is added to the gradient. Tables of `sparse` embeddings are updated lazily, as SparseAdam does.
 */
export class Adam extends AdamBase {
  constructor(params: Params<AdamOptions>, options: AdamOptions = {}) {
    super(
      params,
      {
        lr: 1e-3,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weightDecay: 0,
        amsgrad: false,
        maximize: false,
      },
      options,
    );
  }

  protected decay(parameter: Tensor, grad: Tensor, weightDecay: number): readonly [Tensor, Tensor] {
    return [parameter, grad.add(parameter.mul(weightDecay))];
  }
}

/**
 * Adam with decoupled weight decay: parameters shrink by lr * weightDecay (1e-2 by default), whatever their gradients.
 */
export class AdamW extends AdamBase {
  constructor(params: Params<AdamOptions>, options: AdamOptions = {}) {
    super(
      params,
      {
        lr: 1e-3,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weightDecay: 1e-2,
        amsgrad: false,
        maximize: false,
      },
      options,
    );
  }

  protected decay(parameter: Tensor, grad: Tensor, weightDecay: number, rate: Tensor): readonly [Tensor, Tensor] {
    return [parameter.mul(rate.mul(-weightDecay).add(1)), grad];
  }
}
