/**
 * Resilient backpropagation (Riedmiller and Braun 1993): only the signs of gradients count. For whole batches.
 */
import { where } from '../tensor/index.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface RpropOptions extends Partial<BaseHyper> {
  /** The first step size of every element; 1e-2 by default. */
  readonly lr?: number;
  /**
   * What step sizes are multiplied by when the sign of the gradient has changed, and when it has stayed; [0.5, 1.2] by
   * default.
   */
  readonly etas?: readonly [number, number];
  /** Smallest and largest step size; [1e-6, 50] by default. */
  readonly stepSizes?: readonly [number, number];
}

type Hyper = Required<RpropOptions>;

/** p -= sign(gradient) * step size of the element; where the sign has changed, no step is made. */
export class Rprop extends Optimizer<Hyper> {
  constructor(params: Params<RpropOptions>, options: RpropOptions = {}) {
    const defaults = { lr: 1e-2, etas: [0.5, 1.2], stepSizes: [1e-6, 50], maximize: false } as const;
    super(params as Params<Hyper>, defaults, options);
  }

  protected override check({ lr, etas: [down, up] }: Hyper): void {
    this.atLeastZero({ lr });
    if (!(down > 0 && down < 1 && up > 1))
      throw new Error(`Rprop: etas ${down} and ${up} came, expected one between 0 and 1 and one above 1`);
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const {
      etas: [down, up],
      stepSizes: [least, most],
    } = group.hyper;
    for (const { parameter, grad } of updates) {
      const before = this.slot(parameter, 'prev');
      const size = this.slot(parameter, 'stepSize', group.lr);
      const agreement = grad.mul(before);
      const changed = agreement.lt(0);
      const grown = where(agreement.gt(0), size.mul(up), size);
      size.assign(where(changed, size.mul(down), grown).clamp(least, most));
      const used = where(changed, 0, grad);
      parameter.assign(parameter.sub(used.sign().mul(size)));
      before.assign(used);
    }
  }
}
