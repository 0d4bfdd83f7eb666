/**
 * Distances and similarities of two inputs as modules.
 */
import { F, type Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { Module } from './module.ts';

export interface CosineSimilarityOptions {
  /** The dimension that holds the vectors; 1 by default. */
  readonly dim?: number;
  /** The least norm that counts; 1e-8 by default. */
  readonly eps?: number;
}

/** The cosine of the angle between vectors along `dim`. */
export class CosineSimilarity extends Module<[x1: Tensor, x2: Tensor]> {
  readonly options: CosineSimilarityOptions;

  constructor(options: CosineSimilarityOptions = {}) {
    checkOptions('CosineSimilarity', options, ['dim', 'eps']);
    super();
    this.options = options;
  }

  forward(x1: Tensor, x2: Tensor): Tensor {
    return F.cosineSimilarity(x1, x2, this.options);
  }
}

export interface PairwiseDistanceOptions {
  /** The norm's degree; 2 by default. */
  readonly p?: number;
  /** Added to the difference; 1e-6 by default. */
  readonly eps?: number;
  /** false by default. */
  readonly keepdim?: boolean;
}

/** The p-norm of x1 - x2 + eps along the last dimension. */
export class PairwiseDistance extends Module<[x1: Tensor, x2: Tensor]> {
  readonly options: PairwiseDistanceOptions;

  constructor(options: PairwiseDistanceOptions = {}) {
    checkOptions('PairwiseDistance', options, ['p', 'eps', 'keepdim']);
    super();
    this.options = options;
  }

  forward(x1: Tensor, x2: Tensor): Tensor {
    return F.pairwiseDistance(x1, x2, this.options);
  }
}
