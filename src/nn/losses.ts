/**
 * Losses as modules; the functional forms hold the formulas. `reduction` is 'mean' by default everywhere.
 */
import { F, type Parameter, type Tensor } from '../tensor/index.ts';
import { checkNames, checkOptions } from '../tensor/options.ts';
import { Module } from './module.ts';

/** A loss of input and target. */
abstract class Loss<O extends object> extends Module<[input: Tensor, target: Tensor]> {
  protected readonly options: O;

  constructor(options: O, known: readonly (keyof O & string)[]) {
    super();
    checkNames(this.constructor.name, options, known);
    this.options = options;
  }
}

/** Factors of classes or elements, kept as buffers: saved with the model and converted with it. */
abstract class WeightedLoss<O extends F.LossOptions & { readonly weight?: Tensor | null }> extends Loss<O> {
  readonly weight: Parameter | null;

  constructor(options: O, known: readonly (keyof O & string)[]) {
    super(options, known);
    this.weight = options.weight ? this.registerBuffer('weight', options.weight) : null;
  }

  /** The options with the weight as it is now. */
  protected get settings(): O {
    return { ...this.options, weight: this.weight };
  }
}

/**
 * Softmax cross entropy of logits [N, C, ...] with class indices [N, ...] or class probabilities of the logits' shape.
 */
export class CrossEntropyLoss extends WeightedLoss<F.CrossEntropyOptions> {
  constructor(options: F.CrossEntropyOptions = {}) {
    super(options, ['weight', 'ignoreIndex', 'labelSmoothing', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.crossEntropy(input, target, this.settings);
  }
}

/** Negative log likelihood of log-probabilities [N, C, ...] with class indices [N, ...]. */
export class NLLLoss extends WeightedLoss<F.ClassLossOptions> {
  constructor(options: F.ClassLossOptions = {}) {
    super(options, ['weight', 'ignoreIndex', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.nllLoss(input, target, this.settings);
  }
}

/** Mean squared error. */
export class MSELoss extends Loss<F.LossOptions> {
  constructor(options: F.LossOptions = {}) {
    super(options, ['reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.mseLoss(input, target, this.options);
  }
}

/** Mean absolute error. */
export class L1Loss extends Loss<F.LossOptions> {
  constructor(options: F.LossOptions = {}) {
    super(options, ['reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.l1Loss(input, target, this.options);
  }
}

/** Squared below `beta` (1 by default), absolute above (Girshick 2015). */
export class SmoothL1Loss extends Loss<F.LossOptions & { readonly beta?: number }> {
  constructor(options: F.LossOptions & { readonly beta?: number } = {}) {
    super(options, ['beta', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.smoothL1Loss(input, target, this.options);
  }
}

/** Squared below `delta` (1 by default), linear above, `delta` times SmoothL1Loss. */
export class HuberLoss extends Loss<F.LossOptions & { readonly delta?: number }> {
  constructor(options: F.LossOptions & { readonly delta?: number } = {}) {
    super(options, ['delta', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.huberLoss(input, target, this.options);
  }
}

/** Binary cross entropy of probabilities. */
export class BCELoss extends WeightedLoss<F.BinaryLossOptions> {
  constructor(options: F.BinaryLossOptions = {}) {
    super(options, ['weight', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.binaryCrossEntropy(input, target, this.settings);
  }
}

/** Binary cross entropy of logits, stable for any of them. */
export class BCEWithLogitsLoss extends WeightedLoss<F.LogitLossOptions> {
  readonly posWeight: Parameter | null;

  constructor(options: F.LogitLossOptions = {}) {
    super(options, ['weight', 'posWeight', 'reduction']);
    this.posWeight = options.posWeight ? this.registerBuffer('posWeight', options.posWeight) : null;
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.binaryCrossEntropyWithLogits(input, target, { ...this.settings, posWeight: this.posWeight });
  }
}

/**
 * Kullback-Leibler divergence of log-probabilities from a target of probabilities (of log-probabilities with
 * `logTarget`).
 */
export class KLDivLoss extends Loss<{ readonly reduction?: F.Reduction | 'batchmean'; readonly logTarget?: boolean }> {
  constructor(options: { readonly reduction?: F.Reduction | 'batchmean'; readonly logTarget?: boolean } = {}) {
    super(options, ['reduction', 'logTarget']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.klDiv(input, target, this.options);
  }
}

/** log(1 + exp(-target x)) for targets -1 and 1. */
export class SoftMarginLoss extends Loss<F.LossOptions> {
  constructor(options: F.LossOptions = {}) {
    super(options, ['reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.softMarginLoss(input, target, this.options);
  }
}

/** Binary cross entropy of logits [N, C] with targets 0 and 1, averaged over the classes. */
export class MultiLabelSoftMarginLoss extends WeightedLoss<F.BinaryLossOptions> {
  constructor(options: F.BinaryLossOptions = {}) {
    super(options, ['weight', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.multilabelSoftMarginLoss(input, target, this.settings);
  }
}

/** Hinge loss between several classes: input [N, C], target [N, C] of class indices, -1 after the last. */
export class MultiLabelMarginLoss extends Loss<F.LossOptions> {
  constructor(options: F.LossOptions = {}) {
    super(options, ['reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.multilabelMarginLoss(input, target, this.options);
  }
}

export interface MultiMarginLossOptions extends F.LossOptions {
  /** Power of the hinge, 1 (by default) or 2. */
  readonly p?: 1 | 2;
  /** 1 by default. */
  readonly margin?: number;
  /** A factor for each class. */
  readonly weight?: Tensor | null;
}

/** Mean over the other classes of max(0, margin - x[target] + x[class])^p: input [N, C], target [N]. */
export class MultiMarginLoss extends WeightedLoss<MultiMarginLossOptions> {
  constructor(options: MultiMarginLossOptions = {}) {
    super(options, ['p', 'margin', 'weight', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.multiMarginLoss(input, target, this.settings);
  }
}

/** Margin of a loss; each class says its default. */
export interface MarginOptions extends F.LossOptions {
  readonly margin?: number;
}

/** x where the target is 1, max(0, margin - x) where it is -1; margin 1 by default. */
export class HingeEmbeddingLoss extends Loss<MarginOptions> {
  constructor(options: MarginOptions = {}) {
    super(options, ['margin', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.hingeEmbeddingLoss(input, target, this.options);
  }
}

/** exp(x) - target x by default: counts with a Poisson likelihood. */
export class PoissonNLLLoss extends Loss<
  F.LossOptions & { readonly logInput?: boolean; readonly full?: boolean; readonly eps?: number }
> {
  constructor(
    options: F.LossOptions & { readonly logInput?: boolean; readonly full?: boolean; readonly eps?: number } = {},
  ) {
    super(options, ['logInput', 'full', 'eps', 'reduction']);
  }

  forward(input: Tensor, target: Tensor): Tensor {
    return F.poissonNllLoss(input, target, this.options);
  }
}

/** Gaussian likelihood of targets with means `input` and variances `variance`. */
export class GaussianNLLLoss extends Module<[input: Tensor, target: Tensor, variance: Tensor]> {
  readonly options: F.LossOptions & { readonly full?: boolean; readonly eps?: number };

  constructor(options: F.LossOptions & { readonly full?: boolean; readonly eps?: number } = {}) {
    checkOptions('GaussianNLLLoss', options, ['reduction', 'full', 'eps']);
    super();
    this.options = options;
  }

  forward(input: Tensor, target: Tensor, variance: Tensor): Tensor {
    return F.gaussianNllLoss(input, target, variance, this.options);
  }
}

/** A loss of two inputs and a target of 1 or -1 that says how they relate. */
abstract class PairLoss extends Module<[input1: Tensor, input2: Tensor, target: Tensor]> {
  readonly options: MarginOptions;

  constructor(options: MarginOptions = {}) {
    checkOptions(new.target.name, options, ['margin', 'reduction']);
    super();
    this.options = options;
  }
}

/** 1 - cos where the target is 1, max(0, cos - margin) where it is -1; margin 0 by default. */
export class CosineEmbeddingLoss extends PairLoss {
  forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return F.cosineEmbeddingLoss(input1, input2, target, this.options);
  }
}

/** max(0, -target (x1 - x2) + margin): target 1 says that x1 should rank higher; margin 0 by default. */
export class MarginRankingLoss extends PairLoss {
  forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return F.marginRankingLoss(input1, input2, target, this.options);
  }
}

export interface TripletMarginLossOptions extends MarginOptions {
  /** Degree of the norm; 2 by default. */
  readonly p?: number;
  /** 1e-6 by default. */
  readonly eps?: number;
  /** Whether the negative counts from the positive where that is nearer (Balntas et al. 2016); false by default. */
  readonly swap?: boolean;
}

/** max(0, d(anchor, positive) - d(anchor, negative) + margin), with p-norm distances; margin 1 by default. */
export class TripletMarginLoss extends Module<[anchor: Tensor, positive: Tensor, negative: Tensor]> {
  readonly options: TripletMarginLossOptions;

  constructor(options: TripletMarginLossOptions = {}) {
    checkOptions('TripletMarginLoss', options, ['p', 'eps', 'swap', 'margin', 'reduction']);
    super();
    this.options = options;
  }

  forward(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    return F.tripletMarginLoss(anchor, positive, negative, this.options);
  }
}

export interface TripletMarginWithDistanceLossOptions extends MarginOptions {
  /** Of two batches of vectors, one number each; the Euclidean distance by default. */
  readonly distanceFunction?: (a: Tensor, b: Tensor) => Tensor;
  /** false by default. */
  readonly swap?: boolean;
}

/** TripletMarginLoss with a distance of your own. */
export class TripletMarginWithDistanceLoss extends Module<[anchor: Tensor, positive: Tensor, negative: Tensor]> {
  readonly options: TripletMarginWithDistanceLossOptions;

  constructor(options: TripletMarginWithDistanceLossOptions = {}) {
    checkOptions('TripletMarginWithDistanceLoss', options, ['distanceFunction', 'swap', 'margin', 'reduction']);
    super();
    this.options = options;
  }

  forward(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    return F.tripletMarginWithDistanceLoss(anchor, positive, negative, this.options);
  }
}

/**
 * Connectionist temporal classification (Graves et al. 2006): log-probabilities [T, N, C], targets [N, S] (or all of
 * them in one row), and the lengths of each.
 */
export class CTCLoss extends Module<
  [
    logProbs: Tensor,
    targets: Tensor,
    inputLengths: Tensor | readonly number[],
    targetLengths: Tensor | readonly number[],
  ]
> {
  readonly options: F.CTCLossOptions;

  constructor(options: F.CTCLossOptions = {}) {
    checkOptions('CTCLoss', options, ['blank', 'zeroInfinity', 'reduction']);
    super();
    this.options = options;
  }

  forward(
    logProbs: Tensor,
    targets: Tensor,
    inputLengths: Tensor | readonly number[],
    targetLengths: Tensor | readonly number[],
  ): Tensor {
    return F.ctcLoss(logProbs, targets, inputLengths, targetLengths, this.options);
  }
}
