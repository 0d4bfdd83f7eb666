/**
 * Stochastic gradient descent.
 */
import { decayed } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface SGDOptions extends BaseHyper {
  /** Share of the old direction that is kept; 0 by default. */
  readonly momentum?: number;
  /** Share of the gradient that is left out of the direction after the first step; 0 by default. */
  readonly dampening?: number;
  /** Added to the gradient as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
  /** Whether to look ahead (Sutskever et al. 2013); false by default. */
  readonly nesterov?: boolean;
}

/**
 * p -= lr * direction, with direction = momentum * direction + (1 - dampening) * gradient; the first direction is the
 * gradient itself.
 */
export class SGD extends Optimizer<Required<SGDOptions>> {
  constructor(params: Params<SGDOptions>, options: SGDOptions) {
    const defaults = { momentum: 0, dampening: 0, weightDecay: 0, nesterov: false, maximize: false };
    super(params as Params<Required<SGDOptions>>, defaults, options);
  }

  protected override check(hyper: Required<SGDOptions>): void {
    const { lr, momentum, dampening, weightDecay, nesterov } = hyper;
    this.atLeastZero({ lr, momentum, weightDecay });
    if (nesterov && (momentum === 0 || dampening !== 0))
      throw new Error(
        `SGD: nesterov needs momentum and no dampening; momentum ${momentum}, dampening ${dampening} came`,
      );
  }

  protected update(group: ParamGroup<Required<SGDOptions>>, updates: readonly Update[]): void {
    const { hyper, rate, steps } = group;
    const { dampening, weightDecay, nesterov } = hyper;
    const momentum = group.moving(hyper.momentum);
    for (const { parameter, grad, rows, index } of updates) {
      if (rows && weightDecay === 0 && momentum === 0) {
        rows.assign(parameter, rows.of(parameter).sub(rows.values.mul(rate)));
        continue;
      }
      let direction = decayed(grad, parameter, weightDecay);
      if (momentum !== 0) {
        const buffer = this.slot(parameter, 'momentumBuffer');
        // The buffer starts at 0, so only the first step's dampening has to be told apart.
        const share = dampening === 0 ? 1 : steps.select(0, index).gt(1).to('f64').mul(-dampening).add(1);
        const next = buffer.mul(momentum).add(direction.mul(share));
        buffer.assign(next);
        direction = nesterov ? direction.add(next.mul(momentum)) : next;
      }
      parameter.assign(parameter.sub(direction.mul(rate)));
    }
  }
}
