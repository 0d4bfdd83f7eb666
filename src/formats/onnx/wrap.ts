/**
 * Values of types that are narrower than the dtype that holds them: results wrap (integers) or round (small floats)
 * into the type.
 */
import * as build from '../../graph/build.ts';
import { Tensor } from '../../tensor/index.ts';
import { isNarrow, type NumericType, TYPES } from './elementTypes.ts';
import { MINI_FLOATS, type MiniFloat, miniMax } from './minifloat.ts';

/** `tensor` in the dtype that holds `type`, its values within the type. */
export function fitTo(type: NumericType, tensor: Tensor): Tensor {
  const { dtype, bits, kind } = TYPES[type];
  const held = tensor.to(dtype);
  if (!isNarrow(type)) return held;
  const mini = MINI_FLOATS[type];
  if (mini) return roundToMini(mini, held, true);
  if (kind === 'float') return held;
  const mask = held.bitwiseAnd(2 ** bits - 1);
  if (kind === 'uint') return mask;
  const sign = 2 ** (bits - 1);
  return mask.bitwiseXor(sign).sub(sign).to(dtype);
}

/**
 * f32 values rounded to the nearest of a small float, half to even: beyond the format's exponents the spacing is fixed,
 * otherwise it is that of the value's own exponent, so x / step, rounded, times step. Beyond the largest: the largest,
 * or what the format has for it.
 */
export function roundToMini(format: MiniFloat, x: Tensor, saturate: boolean): Tensor {
  const { mantissaBits, bias, nan, infinity } = format;
  const most = miniMax(format);
  const value = x.to('f32');
  const size = value.abs();
  // 2^floor(log2 |x|) exactly: the exponent's bits alone.
  const power = exponentOf(size).clamp(2 ** (1 - bias), 2 ** 127);
  const step = power.mul(2 ** -mantissaBits);
  const rounded = size.div(step).round().mul(step);
  const above = rounded.gt(most);
  const over = saturate || nan === 'none' ? most : infinity ? Number.POSITIVE_INFINITY : Number.NaN;
  const magnitude = above.where(over, rounded);
  const signed = value.lt(0).where(magnitude.neg(), magnitude);
  const zeroSign = nan === 'uz' ? signed : magnitude.eq(0).where(value.mul(0), signed);
  if (nan === 'none') return value.isnan().where(0, zeroSign);
  return value.isnan().where(Number.NaN, zeroSign);
}

/** The largest power of two that is at most x (x >= 0, f32), 0 for 0; NaN and infinity give 2^128's bits. */
function exponentOf(x: Tensor): Tensor {
  return bitcast(bitcast(x, 'i32').bitwiseAnd(0x7f800000), 'f32');
}

/** The same bits in another dtype of the same size: f32 and i32, f64 and i64. */
export const bitcast = (x: Tensor, dtype: 'i32' | 'f32' | 'i64' | 'f64'): Tensor =>
  new Tensor(build.bitcast(x.node, dtype));
