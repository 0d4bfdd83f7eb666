/**
 * Losses as modules; the functional forms hold the formulas. `reduction` is 'mean' by default everywhere.
 */
import { F, type Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';

export type Reduction = 'mean' | 'sum' | 'none';

export interface LossOptions {
  /** How the losses of the elements become one; 'mean' by default, 'none' keeps them. */
  readonly reduction?: Reduction;
}

export interface ClassLossOptions extends LossOptions {
  /** One factor per class. */
  readonly weight?: Tensor;
  /** Targets of this value count for nothing; -100 by default. */
  readonly ignoreIndex?: number;
}

export interface CrossEntropyOptions extends ClassLossOptions {
  /** Share of the probability spread evenly over all classes; 0 by default. */
  readonly labelSmoothing?: number;
}

export interface BinaryLossOptions extends LossOptions {
  /** A factor per element, broadcast. */
  readonly weight?: Tensor;
}

export interface LogitLossOptions extends BinaryLossOptions {
  /** A factor on the positive part, broadcast. */
  readonly posWeight?: Tensor;
}

/** A loss of input and target. */
abstract class Loss<O extends object> extends Module<[input: Tensor, target: Tensor]> {
  protected readonly options: O;

  constructor(options: O = {} as O) {
    super();
    this.options = options;
  }
}

/** Softmax cross entropy of logits [N, C, ...] with class indices [N, ...] or class probabilities of the logits' shape. */
export class CrossEntropyLoss extends Loss<CrossEntropyOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.crossEntropy(input, target, this.options);
  }
}

/** Negative log likelihood of log-probabilities [N, C, ...] with class indices [N, ...]. */
export class NLLLoss extends Loss<ClassLossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.nllLoss(input, target, this.options);
  }
}

/** Mean squared error. */
export class MSELoss extends Loss<LossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.mseLoss(input, target, this.options);
  }
}

/** Mean absolute error. */
export class L1Loss extends Loss<LossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.l1Loss(input, target, this.options);
  }
}

/** Squared below `beta` (1 by default), absolute above (Girshick 2015). */
export class SmoothL1Loss extends Loss<LossOptions & { readonly beta?: number }> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.smoothL1Loss(input, target, this.options);
  }
}

/** Squared below `delta` (1 by default), linear above, `delta` times SmoothL1Loss. */
export class HuberLoss extends Loss<LossOptions & { readonly delta?: number }> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.huberLoss(input, target, this.options);
  }
}

/** Binary cross entropy of probabilities. */
export class BCELoss extends Loss<BinaryLossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.binaryCrossEntropy(input, target, this.options);
  }
}

/** Binary cross entropy of logits, stable for any of them. */
export class BCEWithLogitsLoss extends Loss<LogitLossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.binaryCrossEntropyWithLogits(input, target, this.options);
  }
}

/** Kullback-Leibler divergence of log-probabilities from a target of probabilities (of log-probabilities with `logTarget`). */
export class KLDivLoss extends Loss<{ readonly reduction?: Reduction | 'batchmean'; readonly logTarget?: boolean }> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.klDiv(input, target, this.options);
  }
}
