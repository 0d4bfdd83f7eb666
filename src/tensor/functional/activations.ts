/**
 * Activation functions. All of them map floats elementwise (glu halves a dim).
 */

import type { Generator } from '../../runtime/index.ts';
import { raised } from '../autocast.ts';
import { composite } from '../composite.ts';
import { shapeText } from '../convert.ts';
import { zerosLike } from '../creation.ts';
import { checkFloat, checkTensor, normalDim } from '../operands.ts';
import { inWide } from '../ops/softmax.ts';
import { checkOptions, type OrAlone, withName } from '../options.ts';
import { rand } from '../random.ts';
import type { Tensor } from '../tensor.ts';

/** Settings of leakyRelu. */
export interface LeakyReluOptions {
  /** Slope of what is negative; 0.01 by default. */
  readonly negativeSlope?: number;
}

/** Settings of elu and celu. */
export interface EluOptions {
  /** Minus the limit for very negative numbers; 1 by default. */
  readonly alpha?: number;
}

/** Settings of gelu. */
export interface GeluOptions {
  /** 'tanh' takes the usual approximation; 'none' by default. */
  readonly approximate?: 'none' | 'tanh';
}

/** Settings of softshrink and hardshrink. */
export interface ShrinkOptions {
  /** Numbers up to this magnitude become 0; 0.5 by default. */
  readonly lambda?: number;
}

/** x where positive, else 0. */
export const relu = (x: Tensor): Tensor => x.relu();

/** min(max(x, 0), 6). */
export const relu6 = (x: Tensor): Tensor => hardtanh(x, { minVal: 0, maxVal: 6 });

/** x where positive, else slope * x (default 0.01). */
export function leakyRelu(x: Tensor, options: OrAlone<LeakyReluOptions, 'negativeSlope'> = {}): Tensor {
  const { negativeSlope = 0.01 } = checkOptions(
    'leakyRelu',
    withName<LeakyReluOptions, 'negativeSlope'>('negativeSlope', options),
    ['negativeSlope'],
  );
  checkFloat('leakyRelu', 'input', x);
  return composite('leakyRelu', [x], { negativeSlope }, x.gt(0).where(x, x.mul(negativeSlope)));
}

/** leakyRelu with one learned slope, or one for each channel (dim 1). */
export function prelu(x: Tensor, weight: Tensor): Tensor {
  checkFloat('prelu', 'input', x);
  checkFloat('prelu', 'weight', weight);
  let slope = weight;
  if (weight.numel() !== 1) {
    const channels = x.ndim > 1 ? x.shape[1] : 1;
    if (weight.ndim !== 1 || weight.shape[0] !== channels)
      throw new RangeError(`prelu: weight: expected [1] or [${channels}] slopes, got ${shapeText(weight.shape)}`);
    slope = weight.reshape(x.shape.map((_, d) => (d === 1 ? -1 : 1)));
  } else slope = weight.reshape([]);
  return x.gt(0).where(x, x.mul(slope));
}

/** leakyRelu with a slope for each element drawn from [lower, upper); outside training their middle. */
export function rrelu(
  x: Tensor,
  options: {
    readonly lower?: number;
    readonly upper?: number;
    readonly training?: boolean;
    readonly generator?: Generator;
  } = {},
): Tensor {
  checkOptions('rrelu', options, ['lower', 'upper', 'training', 'generator']);
  checkFloat('rrelu', 'input', x);
  const { lower = 1 / 8, upper = 1 / 3, training = false, generator } = options;
  if (lower > upper) throw new RangeError(`rrelu: lower ${lower} exceeds upper ${upper}`);
  if (!training) return leakyRelu(x, { negativeSlope: (lower + upper) / 2 });
  const slopes = rand(x.shape, { dtype: x.dtype, ...(generator ? { generator } : {}) });
  return x.ge(0).where(x, x.mul(slopes.mul(upper - lower).add(lower)));
}

/** x where positive, else alpha * (exp(x) - 1). */
export function elu(x: Tensor, options: OrAlone<EluOptions, 'alpha'> = {}): Tensor {
  const { alpha = 1 } = checkOptions('elu', withName<EluOptions, 'alpha'>('alpha', options), ['alpha']);
  checkFloat('elu', 'input', x);
  // The branch not taken is computed at 0, so that exp does not overflow into its gradient.
  const result = inWide(x, wide => wide.gt(0).where(wide, wide.clampMax(0).expm1().mul(alpha)));
  return composite('elu', [x], { alpha }, result);
}

/** scale * elu(x) with the self-normalising constants (Klambauer et al. 2017). */
export function selu(x: Tensor): Tensor {
  checkFloat('selu', 'input', x);
  return inWide(x, wide => elu(wide, { alpha: 1.6732632423543772 }).mul(1.0507009873554805));
}

/** max(0, x) + min(0, alpha * (exp(x / alpha) - 1)). */
export function celu(x: Tensor, options: OrAlone<EluOptions, 'alpha'> = {}): Tensor {
  const { alpha = 1 } = checkOptions('celu', withName<EluOptions, 'alpha'>('alpha', options), ['alpha']);
  checkFloat('celu', 'input', x);
  if (alpha === 0) throw new RangeError('celu: alpha must not be 0');
  return inWide(x, wide => wide.gt(0).where(wide, wide.clampMax(0).div(alpha).expm1().mul(alpha)));
}

/** x * Phi(x), exactly through erf, or with the tanh approximation. */
export function gelu(x: Tensor, options: OrAlone<GeluOptions, 'approximate'> = {}): Tensor {
  const { approximate = 'none' } = checkOptions('gelu', withName<GeluOptions, 'approximate'>('approximate', options), [
    'approximate',
  ]);
  checkFloat('gelu', 'input', x);
  if (approximate !== 'none' && approximate !== 'tanh')
    throw new TypeError(`gelu: approximate: expected none or tanh, got ${String(approximate)}`);
  const result = inWide(x, wide => {
    if (approximate === 'none') return wide.mul(0.5).mul(wide.mul(Math.SQRT1_2).erf().add(1));
    // (1 + tanh u) / 2 = sigmoid(2u), which is one exponential and does not cancel where u is far below 0.
    const twice = 2 * Math.sqrt(2 / Math.PI);
    return wide.mul(
      wide
        .mul(
          wide
            .mul(wide)
            .mul(0.044715 * twice)
            .add(twice),
        )
        .sigmoid(),
    );
  });
  return composite('gelu', [x], { approximate }, result);
}

/** x * sigmoid(x). */
export function silu(x: Tensor): Tensor {
  checkFloat('silu', 'input', x);
  return inWide(x, wide => wide.mul(wide.sigmoid()));
}

/** x * tanh(softplus(x)). */
export function mish(x: Tensor): Tensor {
  checkFloat('mish', 'input', x);
  return inWide(x, wide => wide.mul(softplus(wide).tanh()));
}

/** x * relu6(x + 3) / 6. */
export function hardswish(x: Tensor): Tensor {
  checkFloat('hardswish', 'input', x);
  return composite('hardswish', [x], {}, x.mul(x.add(3).clamp(0, 6)).div(6));
}

/** relu6(x + 3) / 6. */
export function hardsigmoid(x: Tensor): Tensor {
  checkFloat('hardsigmoid', 'input', x);
  const inside = x.gt(-3).logicalAnd(x.lt(3));
  return composite('hardsigmoid', [x], {}, inside.where(x.div(6).add(0.5), x.ge(3).to(x.dtype)));
}

/** Limited to [minVal, maxVal], [-1, 1] by default. */
export function hardtanh(x: Tensor, options: { readonly minVal?: number; readonly maxVal?: number } = {}): Tensor {
  checkOptions('hardtanh', options, ['minVal', 'maxVal']);
  checkTensor('hardtanh', 'input', x);
  const { minVal = -1, maxVal = 1 } = options;
  // At the limits the gradient is 0.
  const raised = x.le(minVal).where(minVal, x);
  const result = raised.ge(maxVal).where(maxVal, raised).to(x.dtype);
  return minVal > maxVal ? result : composite('clamp', [x], { min: minVal, max: maxVal }, result);
}

/** log(1 + exp(beta x)) / beta; x itself where beta x exceeds the threshold (20). */
export function softplus(x: Tensor, options: { readonly beta?: number; readonly threshold?: number } = {}): Tensor {
  checkOptions('softplus', options, ['beta', 'threshold']);
  checkFloat('softplus', 'input', x);
  x = raised(x);
  const { beta = 1, threshold = 20 } = options;
  const result = inWide(x, wide => {
    const scaled = beta === 1 ? wide : wide.mul(beta);
    const soft = scaled.clampMax(threshold).exp().log1p();
    return scaled.gt(threshold).where(wide, beta === 1 ? soft : soft.div(beta));
  });
  return composite('softplus', [x], { beta }, result);
}

/** x / (1 + |x|). */
export function softsign(x: Tensor): Tensor {
  checkTensor('softsign', 'input', x);
  return composite('softsign', [x], {}, x.div(x.abs().add(1)));
}

/** x moved towards 0 by lambda (0.5), 0 within. */
export function softshrink(x: Tensor, options: OrAlone<ShrinkOptions, 'lambda'> = {}): Tensor {
  const { lambda = 0.5 } = checkOptions('softshrink', withName<ShrinkOptions, 'lambda'>('lambda', options), ['lambda']);
  checkFloat('softshrink', 'input', x);
  if (!(lambda >= 0)) throw new RangeError(`softshrink: lambda: expected at least 0, got ${lambda}`);
  return x.gt(lambda).where(x.sub(lambda), x.lt(-lambda).where(x.add(lambda), x.mul(0)));
}

/** x where |x| exceeds lambda (0.5), else 0. */
export function hardshrink(x: Tensor, options: OrAlone<ShrinkOptions, 'lambda'> = {}): Tensor {
  const { lambda = 0.5 } = checkOptions('hardshrink', withName<ShrinkOptions, 'lambda'>('lambda', options), ['lambda']);
  checkFloat('hardshrink', 'input', x);
  return x.abs().le(lambda).where(0, x);
}

/** x - tanh(x). */
export function tanhshrink(x: Tensor): Tensor {
  checkTensor('tanhshrink', 'input', x);
  return x.sub(x.tanh());
}

/** x where above `threshold`, else `value`. */
export function threshold(x: Tensor, threshold: number, value: number): Tensor {
  checkTensor('threshold', 'input', x);
  return x.le(threshold).where(value, x).to(x.dtype);
}

/** First half times sigmoid(second half) along `dim`. */
export function glu(x: Tensor, dim = -1): Tensor {
  checkFloat('glu', 'input', x);
  if (x.ndim === 0) throw new RangeError('glu: input: expected at least one dim, got []');
  const d = normalDim('glu', dim, x.ndim);
  const size = x.shape[d]!;
  if (size % 2 !== 0) throw new RangeError(`glu: dim ${dim} must have an even size, got ${size}`);
  const half = size / 2;
  return x.narrow(d, 0, half).mul(x.narrow(d, half, half).sigmoid());
}

/** log(sigmoid(x)), without overflow. */
export function logsigmoid(x: Tensor): Tensor {
  checkFloat('logsigmoid', 'input', x);
  return inWide(x, wide => wide.minimum(zerosLike(wide)).sub(wide.abs().neg().exp().log1p()));
}

/** 1 / (1 + exp(-x)). */
export const sigmoid = (x: Tensor): Tensor => x.sigmoid();
/** Hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => x.tanh();

/** exp(x) / sum(exp(x)) along `dim`. */
export const softmax = (x: Tensor, dim: number, options: { readonly dtype?: Tensor['dtype'] } = {}): Tensor =>
  x.softmax(dim, options);

/** log(softmax(x)) along `dim`. */
export const logSoftmax = (x: Tensor, dim: number, options: { readonly dtype?: Tensor['dtype'] } = {}): Tensor =>
  x.logSoftmax(dim, options);

/** softmax(-x) along `dim`. */
export const softmin = (x: Tensor, dim: number, options: { readonly dtype?: Tensor['dtype'] } = {}): Tensor =>
  x.softmin(dim, options);
