/**
 * Losses as modules; the functional forms hold the formulas. `reduction` is 'mean' by default everywhere.
 */
import { F, type Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';

/** A loss of input and target. */
abstract class Loss<O extends object> extends Module<[input: Tensor, target: Tensor]> {
  protected readonly options: O;

  constructor(options: O = {} as O) {
    super();
    this.options = options;
  }
}

/** Softmax cross entropy of logits [N, C, ...] with class indices [N, ...] or class probabilities of the logits' shape. */
export class CrossEntropyLoss extends Loss<F.CrossEntropyOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.crossEntropy(input, target, this.options);
  }
}

/** Negative log likelihood of log-probabilities [N, C, ...] with class indices [N, ...]. */
export class NLLLoss extends Loss<F.ClassLossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.nllLoss(input, target, this.options);
  }
}

/** Mean squared error. */
export class MSELoss extends Loss<F.LossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.mseLoss(input, target, this.options);
  }
}

/** Mean absolute error. */
export class L1Loss extends Loss<F.LossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.l1Loss(input, target, this.options);
  }
}

/** Squared below `beta` (1 by default), absolute above (Girshick 2015). */
export class SmoothL1Loss extends Loss<F.LossOptions & { readonly beta?: number }> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.smoothL1Loss(input, target, this.options);
  }
}

/** Squared below `delta` (1 by default), linear above, `delta` times SmoothL1Loss. */
export class HuberLoss extends Loss<F.LossOptions & { readonly delta?: number }> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.huberLoss(input, target, this.options);
  }
}

/** Binary cross entropy of probabilities. */
export class BCELoss extends Loss<F.BinaryLossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.binaryCrossEntropy(input, target, this.options);
  }
}

/** Binary cross entropy of logits, stable for any of them. */
export class BCEWithLogitsLoss extends Loss<F.LogitLossOptions> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.binaryCrossEntropyWithLogits(input, target, this.options);
  }
}

/** Kullback-Leibler divergence of log-probabilities from a target of probabilities (of log-probabilities with `logTarget`). */
export class KLDivLoss extends Loss<{ readonly reduction?: F.Reduction | 'batchmean'; readonly logTarget?: boolean }> {
  forward(input: Tensor, target: Tensor): Tensor {
    return F.klDiv(input, target, this.options);
  }
}
