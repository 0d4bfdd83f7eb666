/**
 * Activations as modules. The formulas are the functional forms'; a module holds the settings.
 */
import { shapeText } from '../tensor/convert.ts';
import { F, type Parameter, type Tensor } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import { checkNames, checkOptions, type OrAlone, withName } from '../tensor/options.ts';
import { blank } from './init.ts';
import { Module } from './module.ts';

/** An activation with settings, all of them optional, which its functional form takes as they are. */
abstract class Tuned<O extends object> extends Module {
  readonly options: O;

  constructor(options: O, known: readonly (keyof O & string)[]) {
    super();
    checkNames(this.constructor.name, options, known);
    this.options = options;
  }
}

/** max(x, 0). */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return F.relu(x);
  }
}

/** min(max(x, 0), 6). */
export class ReLU6 extends Module {
  forward(x: Tensor): Tensor {
    return F.relu6(x);
  }
}

/** Scaled ELU (Klambauer et al. 2017). */
export class SELU extends Module {
  forward(x: Tensor): Tensor {
    return F.selu(x);
  }
}

/** x * sigmoid(x), also known as swish. */
export class SiLU extends Module {
  forward(x: Tensor): Tensor {
    return F.silu(x);
  }
}

/** x * tanh(softplus(x)). */
export class Mish extends Module {
  forward(x: Tensor): Tensor {
    return F.mish(x);
  }
}

/** 1 / (1 + exp(-x)). */
export class Sigmoid extends Module {
  forward(x: Tensor): Tensor {
    return F.sigmoid(x);
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Module {
  forward(x: Tensor): Tensor {
    return F.tanh(x);
  }
}

/** x * relu6(x + 3) / 6. */
export class Hardswish extends Module {
  forward(x: Tensor): Tensor {
    return F.hardswish(x);
  }
}

/** relu6(x + 3) / 6. */
export class Hardsigmoid extends Module {
  forward(x: Tensor): Tensor {
    return F.hardsigmoid(x);
  }
}

/** x / (1 + |x|). */
export class Softsign extends Module {
  forward(x: Tensor): Tensor {
    return F.softsign(x);
  }
}

/** x - tanh(x). */
export class Tanhshrink extends Module {
  forward(x: Tensor): Tensor {
    return F.tanhshrink(x);
  }
}

/** log(sigmoid(x)), stable. */
export class LogSigmoid extends Module {
  forward(x: Tensor): Tensor {
    return F.logsigmoid(x);
  }
}

/** x where positive, else negativeSlope (0.01) times x. */
export class LeakyReLU extends Tuned<F.LeakyReluOptions> {
  constructor(options: OrAlone<F.LeakyReluOptions, 'negativeSlope'> = {}) {
    super(withName<F.LeakyReluOptions, 'negativeSlope'>('negativeSlope', options), ['negativeSlope']);
  }

  forward(x: Tensor): Tensor {
    return F.leakyRelu(x, this.options);
  }
}

/** x where positive, else alpha (1) times expm1(x). */
export class ELU extends Tuned<F.EluOptions> {
  constructor(options: OrAlone<F.EluOptions, 'alpha'> = {}) {
    super(withName<F.EluOptions, 'alpha'>('alpha', options), ['alpha']);
  }

  forward(x: Tensor): Tensor {
    return F.elu(x, this.options);
  }
}

/** x where positive, else alpha (1) times expm1(x / alpha). */
export class CELU extends Tuned<F.EluOptions> {
  constructor(options: OrAlone<F.EluOptions, 'alpha'> = {}) {
    super(withName<F.EluOptions, 'alpha'>('alpha', options), ['alpha']);
  }

  forward(x: Tensor): Tensor {
    return F.celu(x, this.options);
  }
}

/** x times the normal distribution function of x; 'tanh' takes its usual approximation. */
export class GELU extends Tuned<F.GeluOptions> {
  constructor(options: OrAlone<F.GeluOptions, 'approximate'> = {}) {
    super(withName<F.GeluOptions, 'approximate'>('approximate', options), ['approximate']);
  }

  forward(x: Tensor): Tensor {
    return F.gelu(x, this.options);
  }
}

/** x moved towards 0 by lambda (0.5), 0 within. */
export class Softshrink extends Tuned<F.ShrinkOptions> {
  constructor(options: OrAlone<F.ShrinkOptions, 'lambda'> = {}) {
    super(withName<F.ShrinkOptions, 'lambda'>('lambda', options), ['lambda']);
  }

  forward(x: Tensor): Tensor {
    return F.softshrink(x, this.options);
  }
}

/** x where |x| is above lambda (0.5), else 0. */
export class Hardshrink extends Tuned<F.ShrinkOptions> {
  constructor(options: OrAlone<F.ShrinkOptions, 'lambda'> = {}) {
    super(withName<F.ShrinkOptions, 'lambda'>('lambda', options), ['lambda']);
  }

  forward(x: Tensor): Tensor {
    return F.hardshrink(x, this.options);
  }
}

/** x limited to [minVal, maxVal], [-1, 1] by default. */
export class Hardtanh extends Tuned<{ readonly minVal?: number; readonly maxVal?: number }> {
  constructor(options: { readonly minVal?: number; readonly maxVal?: number } = {}) {
    super(options, ['minVal', 'maxVal']);
  }

  forward(x: Tensor): Tensor {
    return F.hardtanh(x, this.options);
  }
}

/** log(1 + exp(beta x)) / beta, and x where beta x is above the threshold; 1 and 20 by default. */
export class Softplus extends Tuned<{ readonly beta?: number; readonly threshold?: number }> {
  constructor(options: { readonly beta?: number; readonly threshold?: number } = {}) {
    super(options, ['beta', 'threshold']);
  }

  forward(x: Tensor): Tensor {
    return F.softplus(x, this.options);
  }
}

/** x where above `threshold`, else `value`. */
export class Threshold extends Module {
  readonly threshold: number;
  readonly value: number;

  constructor(threshold: number, value: number) {
    super();
    this.threshold = threshold;
    this.value = value;
  }

  forward(x: Tensor): Tensor {
    return F.threshold(x, this.threshold, this.value);
  }
}

export interface PReLUOptions {
  /** Slopes: 1 (the default), or one per channel. */
  readonly numParameters?: number;
  /** What they start from; 0.25 by default. */
  readonly init?: number;
}

/** x where positive, else a learned slope times x; one slope, or one per channel (dim 1). */
export class PReLU extends Module {
  weight: Parameter;

  constructor(options: OrAlone<PReLUOptions, 'numParameters'> = {}) {
    const named = withName<PReLUOptions, 'numParameters'>('numParameters', options);
    const { numParameters = 1, init = 0.25 } = checkOptions('PReLU', named, ['numParameters', 'init']);
    super();
    this.weight = blank([numParameters], init);
  }

  forward(x: Tensor): Tensor {
    return F.prelu(x, this.weight);
  }
}

/** What is computed along one dimension, which must be given. */
abstract class AlongDim extends Module {
  readonly dim: number;

  constructor(dim: number) {
    super();
    if (!Number.isInteger(dim))
      throw new TypeError(`${this.constructor.name}: dim: expected a whole number, got ${describe(dim)}`);
    this.dim = dim;
  }
}

/** exp(x) / sum(exp(x)) along `dim`. */
export class Softmax extends AlongDim {
  forward(x: Tensor): Tensor {
    return F.softmax(x, this.dim);
  }
}

/** log(softmax(x)) along `dim`. */
export class LogSoftmax extends AlongDim {
  forward(x: Tensor): Tensor {
    return F.logSoftmax(x, this.dim);
  }
}

/** softmax(-x) along `dim`. */
export class Softmin extends AlongDim {
  forward(x: Tensor): Tensor {
    return F.softmin(x, this.dim);
  }
}

/** The first half along `dim` (-1) times the sigmoid of the second. */
export class GLU extends AlongDim {
  constructor(dim = -1) {
    super(dim);
  }

  forward(x: Tensor): Tensor {
    return F.glu(x, this.dim);
  }
}

/** Softmax over the channels of each position of [N, C, H, W] (or [C, H, W]). */
export class Softmax2d extends Module {
  forward(x: Tensor): Tensor {
    if (x.ndim !== 3 && x.ndim !== 4)
      throw new RangeError(`Softmax2d: input ${shapeText(x.shape)} came, expected 3 or 4 dimensions`);
    return F.softmax(x, -3);
  }
}

export interface RReLUOptions {
  /** Smallest slope; 1/8 by default. */
  readonly lower?: number;
  /** Largest slope; 1/3 by default. */
  readonly upper?: number;
}

/**
 * x where positive, else x times a slope: drawn for each element in training, the middle of [lower, upper] otherwise
 * (Xu et al. 2015).
 */
export class RReLU extends Tuned<RReLUOptions> {
  constructor(options: RReLUOptions = {}) {
    super(options, ['lower', 'upper']);
  }

  forward(x: Tensor): Tensor {
    return F.rrelu(x, { ...this.options, training: this.training });
  }
}
