/**
 * Initialisers, under PyTorch's names: each draws new values from the default generator, assigns them to the parameter and returns it.
 */
import { full, Parameter, rand, randn, type Tensor } from '../tensor/index.ts';

export type Nonlinearity = 'linear' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu';
export type FanMode = 'fanIn' | 'fanOut';

export interface KaimingOptions {
  /** Negative slope, for `leakyRelu`; 0 by default. */
  readonly a?: number;
  /** Which fan keeps its variance; 'fanIn' by default. */
  readonly mode?: FanMode;
  /** 'leakyRelu' by default. */
  readonly nonlinearity?: Nonlinearity;
}

/** The factor by which a nonlinearity shrinks the standard deviation, to be made good by the weights. */
export function calculateGain(nonlinearity: Nonlinearity, slope = 0.01): number {
  switch (nonlinearity) {
    case 'linear':
    case 'sigmoid':
      return 1;
    case 'tanh':
      return 5 / 3;
    case 'relu':
      return Math.SQRT2;
    case 'leakyRelu':
      return Math.sqrt(2 / (1 + slope * slope));
    case 'selu':
      return 3 / 4;
  }
}

/** Inputs and outputs of one unit of a weight [out, in, ...kernel]. */
export function fans(shape: readonly number[]): { readonly fanIn: number; readonly fanOut: number } {
  if (shape.length < 2)
    throw new Error(`init: a weight of at least 2 dimensions is needed for its fans, [${shape}] came`);
  const field = shape.slice(2).reduce((a, n) => a * n, 1);
  return { fanIn: shape[1]! * field, fanOut: shape[0]! * field };
}

/**
 * A new f32 parameter of one value (0 by default), for an initialiser to fill. Costs no program: the initial values of a whole model
 * are then computed in one. Nor any memory until then: weights that are loaded into a new model replace values that never were.
 */
export function blank(shape: readonly number[], value = 0): Parameter {
  const size = shape.reduce((a, n) => a * n, 1);
  return new Parameter({ shape, dtype: 'f32', value: () => new Float32Array(size).fill(value) });
}

function fill(parameter: Parameter, value: Tensor): Parameter {
  parameter.assign(value.to(parameter.dtype));
  return parameter;
}

/** Every element `value`. */
export const constant_ = (parameter: Parameter, value: number): Parameter =>
  fill(parameter, full(parameter.shape, value, { dtype: parameter.dtype }));

/** Every element 0. */
export const zeros_ = (parameter: Parameter): Parameter => constant_(parameter, 0);
/** Every element 1. */
export const ones_ = (parameter: Parameter): Parameter => constant_(parameter, 1);

/** Uniform in [low, high). */
export const uniform_ = (parameter: Parameter, low = 0, high = 1): Parameter =>
  fill(
    parameter,
    rand(parameter.shape)
      .mul(high - low)
      .add(low),
  );

/** Normal with the given mean and standard deviation. */
export const normal_ = (parameter: Parameter, mean = 0, std = 1): Parameter =>
  fill(parameter, randn(parameter.shape).mul(std).add(mean));

/** Normal, clipped to [low, high] by drawing from the part of the distribution inside. */
export function truncNormal_(parameter: Parameter, mean = 0, std = 1, low = -2, high = 2): Parameter {
  const cdf = (x: number): number => (1 + erf((x - mean) / (std * Math.SQRT2))) / 2;
  const lo = 2 * cdf(low) - 1;
  const hi = 2 * cdf(high) - 1;
  const u = rand(parameter.shape)
    .mul(hi - lo)
    .add(lo);
  return fill(
    parameter,
    u
      .erfinv()
      .mul(std * Math.SQRT2)
      .add(mean)
      .clamp(low, high),
  );
}

/** Error function of a number, by Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7). */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - poly * Math.exp(-x * x));
}

/** Glorot and Bengio 2010: uniform, variance kept on average over both directions. */
export function xavierUniform_(parameter: Parameter, gain = 1): Parameter {
  const { fanIn, fanOut } = fans(parameter.shape);
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform_(parameter, -bound, bound);
}

/** Glorot and Bengio 2010, normal. */
export function xavierNormal_(parameter: Parameter, gain = 1): Parameter {
  const { fanIn, fanOut } = fans(parameter.shape);
  return normal_(parameter, 0, gain * Math.sqrt(2 / (fanIn + fanOut)));
}

function kaimingStd(
  parameter: Parameter,
  { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu' }: KaimingOptions,
): number {
  return calculateGain(nonlinearity, a) / Math.sqrt(fans(parameter.shape)[mode]);
}

/** He et al. 2015, uniform. */
export function kaimingUniform_(parameter: Parameter, options: KaimingOptions = {}): Parameter {
  const bound = Math.sqrt(3) * kaimingStd(parameter, options);
  return uniform_(parameter, -bound, bound);
}

/** He et al. 2015, normal. */
export const kaimingNormal_ = (parameter: Parameter, options: KaimingOptions = {}): Parameter =>
  normal_(parameter, 0, kaimingStd(parameter, options));

/** PyTorch's default for the bias of a linear or convolution layer: uniform within 1 / sqrt(fan in) of its weight. */
export function biasUniform_(bias: Parameter, weight: Parameter): Parameter {
  const bound = 1 / Math.sqrt(fans(weight.shape).fanIn);
  return uniform_(bias, -bound, bound);
}
