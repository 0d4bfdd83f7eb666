/**
 * Initialisers, under PyTorch's names: each draws new values from the default generator, assigns them to the parameter
 * and returns it.
 */
import { shapeText } from '../tensor/convert.ts';
import { eye, full, linalg, Parameter, rand, randn, Tensor } from '../tensor/index.ts';
import { checkChoice, checkOptions } from '../tensor/options.ts';

/** What follows a layer, also as PyTorch spells it. */
export type Nonlinearity = 'linear' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'leaky_relu' | 'selu';
/** Inputs or outputs of a unit, also as PyTorch spells them. */
export type FanMode = 'fanIn' | 'fanOut' | 'fan_in' | 'fan_out';

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
    case 'leaky_relu':
      return Math.sqrt(2 / (1 + slope * slope));
    case 'selu':
      return 3 / 4;
    default:
      throw new TypeError(
        `init: nonlinearity: expected linear, sigmoid, tanh, relu, leakyRelu or selu, got ${String(nonlinearity)}`,
      );
  }
}

/** Inputs and outputs of one unit of a weight [out, in, ...kernel]. */
export function fans(shape: readonly number[]): { readonly fanIn: number; readonly fanOut: number } {
  if (shape.length < 2)
    throw new Error(`init: a weight of at least 2 dimensions is needed for its fans, ${shapeText(shape)} came`);
  const field = shape.slice(2).reduce((a, n) => a * n, 1);
  return { fanIn: shape[1]! * field, fanOut: shape[0]! * field };
}

/**
 * A new f32 parameter of one value (0 by default), for an initialiser to fill. Costs no program: the initial values of
 * a whole model are then computed in one. Nor any memory until then: weights that are loaded into a new model replace
 * values that never were.
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

/** The identity of a matrix. */
export function eye_(parameter: Parameter): Parameter {
  const [rows, cols] = matrixShape('eye_', parameter);
  return fill(parameter, eye(rows, cols, { dtype: parameter.dtype }));
}

/**
 * A convolution's weight [out, in, ...kernel] that passes its first channels on, in each of `groups` groups of output
 * channels.
 */
export function dirac_(parameter: Parameter, groups = 1): Parameter {
  const [out, inner, ...kernel] = parameter.shape as [number, number, ...number[]];
  if (kernel.length < 1 || kernel.length > 3)
    throw new RangeError(`init.dirac_: a weight of 3 to 5 dimensions is expected, ${shapeText(parameter.shape)} came`);
  if (!(Number.isInteger(groups) && groups > 0) || out % groups !== 0)
    throw new RangeError(`init.dirac_: groups ${groups} do not divide the ${out} output channels`);
  const perGroup = out / groups;
  const value = new Float64Array(parameter.numel());
  const middle = kernel.reduce((at, n) => at * n + (n >> 1), 0);
  const size = kernel.reduce((a, n) => a * n, 1);
  for (let o = 0; o < out; o++) if (o % perGroup < inner) value[(o * inner + (o % perGroup)) * size + middle] = 1;
  return fill(parameter, Tensor.from(value, { shape: parameter.shape }));
}

/**
 * Orthonormal rows or columns (whichever are fewer) times `gain`, dims after the first flattened (Saxe et al. 2013).
 */
export function orthogonal_(parameter: Parameter, gain = 1): Parameter {
  const [rows, ...rest] = parameter.shape as [number, ...number[]];
  if (rest.length === 0)
    throw new RangeError(
      `init.orthogonal_: a weight of at least 2 dimensions is expected, ${shapeText(parameter.shape)} came`,
    );
  const cols = rest.reduce((a, n) => a * n, 1);
  const { q, r } = linalg.qr(randn([Math.max(rows, cols), Math.min(rows, cols)]));
  // The signs of R make the draw uniform over all orthogonal matrices.
  const drawn = q.mul(r.diagonal(0, -2, -1).sign());
  return fill(parameter, (rows < cols ? drawn.mT : drawn).reshape(parameter.shape).mul(gain));
}

/** Normal, with a part `sparsity` of every column set to 0 at random (Martens 2010). */
export function sparse_(parameter: Parameter, sparsity: number, std = 0.01): Parameter {
  const [rows, cols] = matrixShape('sparse_', parameter);
  if (!(sparsity >= 0 && sparsity <= 1)) throw new RangeError(`init.sparse_: sparsity ${sparsity} is not from 0 to 1`);
  const places = rand([rows, cols]).argsort(0).argsort(0);
  return fill(parameter, places.lt(Math.ceil(sparsity * rows)).where(0, randn([rows, cols]).mul(std)));
}

function matrixShape(name: string, parameter: Parameter): [rows: number, cols: number] {
  const [rows, cols] = parameter.shape;
  if (parameter.ndim !== 2)
    throw new RangeError(`init.${name}: a matrix is expected, ${shapeText(parameter.shape)} came`);
  return [rows!, cols!];
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

function kaimingStd(name: string, parameter: Parameter, options: KaimingOptions): number {
  checkOptions(`init.${name}`, options, ['a', 'mode', 'nonlinearity']);
  const { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu' } = options;
  checkChoice(`init.${name}`, 'mode', mode, ['fanIn', 'fanOut', 'fan_in', 'fan_out']);
  const { fanIn, fanOut } = fans(parameter.shape);
  return calculateGain(nonlinearity, a) / Math.sqrt(mode === 'fanIn' || mode === 'fan_in' ? fanIn : fanOut);
}

/** He et al. 2015, uniform. */
export function kaimingUniform_(parameter: Parameter, options: KaimingOptions = {}): Parameter {
  const bound = Math.sqrt(3) * kaimingStd('kaimingUniform_', parameter, options);
  return uniform_(parameter, -bound, bound);
}

/** He et al. 2015, normal. */
export const kaimingNormal_ = (parameter: Parameter, options: KaimingOptions = {}): Parameter =>
  normal_(parameter, 0, kaimingStd('kaimingNormal_', parameter, options));

/**
 * PyTorch's default for the bias of a linear or convolution layer: uniform within 1 / sqrt(fan in) of its weight, 0
 * where that has no inputs.
 */
export function biasUniform_(bias: Parameter, weight: Parameter): Parameter {
  const { fanIn } = fans(weight.shape);
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  return uniform_(bias, -bound, bound);
}
