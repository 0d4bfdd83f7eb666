/**
 * Dropout: in training, elements (or whole channels) become zero with probability p and the rest is scaled by 1 / (1 -
 * p).
 */
import { F, type Tensor } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import { Module } from './module.ts';

/** The probability, which is 0.5 by default. */
abstract class Dropping extends Module {
  /** Probability of an element (or a channel) to become zero; may be changed. */
  p: number;

  constructor(p = 0.5) {
    super();
    if (typeof p !== 'number' || !(p >= 0 && p <= 1))
      throw new RangeError(`${this.constructor.name}: p: expected a probability from 0 to 1, got ${describe(p)}`);
    this.p = p;
  }
}

/** Drops single elements. */
export class Dropout extends Dropping {
  forward(x: Tensor): Tensor {
    return F.dropout(x, { p: this.p, training: this.training });
  }
}

/** Drops whole channels of [N, C, L]. */
export class Dropout1d extends Dropping {
  forward(x: Tensor): Tensor {
    return F.dropout1d(x, { p: this.p, training: this.training });
  }
}

/** Drops whole channels of [N, C, H, W]. */
export class Dropout2d extends Dropping {
  forward(x: Tensor): Tensor {
    return F.dropout2d(x, { p: this.p, training: this.training });
  }
}

/** Drops whole channels of [N, C, D, H, W]. */
export class Dropout3d extends Dropping {
  forward(x: Tensor): Tensor {
    return F.dropout3d(x, { p: this.p, training: this.training });
  }
}

/** Dropout that keeps mean and variance of inputs that passed a SELU (Klambauer et al. 2017). */
export class AlphaDropout extends Dropping {
  forward(x: Tensor): Tensor {
    return F.alphaDropout(x, { p: this.p, training: this.training });
  }
}

/** AlphaDropout of whole channels of [N, C, ...]. */
export class FeatureAlphaDropout extends Dropping {
  forward(x: Tensor): Tensor {
    return F.featureAlphaDropout(x, { p: this.p, training: this.training });
  }
}
