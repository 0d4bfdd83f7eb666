/**
 * Layers that multiply by a matrix, and those that only change the shape.
 */
import { F, type Parameter, type Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { biasUniform_, blank, kaimingUniform_, uniform_ } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Names of BiasOption. */
export const BIAS = ['bias'] as const;

export interface BiasOption {
  /** Whether a bias is added; true by default. */
  readonly bias?: boolean;
}

/** y = x Wᵀ + b over the last dimension: [..., in] -> [..., out]. */
export class Linear extends Module {
  weight: Parameter;
  bias: Parameter | null;
  readonly inFeatures: number;
  readonly outFeatures: number;

  constructor(inFeatures: number, outFeatures: number, options: BiasOption = {}) {
    super();
    checkOptions('Linear', options, BIAS);
    const { bias = true } = options;
    checkSizes('Linear', { inFeatures, outFeatures });
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = kaimingUniform_(blank([outFeatures, inFeatures]), { a: Math.sqrt(5) });
    this.bias = bias ? biasUniform_(blank([outFeatures]), this.weight) : null;
  }

  forward(x: Tensor): Tensor {
    return F.linear(x, this.weight, this.bias);
  }
}

/** y[o] = x1ᵀ W[o] x2 + b[o]: [..., in1], [..., in2] -> [..., out]. */
export class Bilinear extends Module<[Tensor, Tensor]> {
  weight: Parameter;
  bias: Parameter | null;

  constructor(in1Features: number, in2Features: number, outFeatures: number, options: BiasOption = {}) {
    super();
    checkOptions('Bilinear', options, BIAS);
    const { bias = true } = options;
    const bound = 1 / Math.sqrt(in1Features);
    this.weight = uniform_(blank([outFeatures, in1Features, in2Features]), -bound, bound);
    this.bias = bias ? uniform_(blank([outFeatures]), -bound, bound) : null;
  }

  forward(x1: Tensor, x2: Tensor): Tensor {
    return F.bilinear(x1, x2, this.weight, this.bias);
  }
}

/** Gives its input back. */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x;
  }
}

/** Joins the dimensions startDim..endDim into one; all but the batch by default. */
export class Flatten extends Module {
  readonly startDim: number;
  readonly endDim: number;

  constructor(startDim = 1, endDim = -1) {
    super();
    this.startDim = startDim;
    this.endDim = endDim;
  }

  forward(x: Tensor): Tensor {
    return x.flatten(this.startDim, this.endDim);
  }
}

/** Splits dimension `dim` into `sizes`. */
export class Unflatten extends Module {
  readonly dim: number;
  readonly sizes: readonly number[];

  constructor(dim: number, sizes: readonly number[]) {
    super();
    this.dim = dim;
    this.sizes = sizes;
  }

  forward(x: Tensor): Tensor {
    const at = this.dim < 0 ? this.dim + x.shape.length : this.dim;
    return x.reshape([...x.shape.slice(0, at), ...this.sizes, ...x.shape.slice(at + 1)]);
  }
}
