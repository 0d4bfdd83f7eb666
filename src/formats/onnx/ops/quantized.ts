/**
 * Quantised tensors: q = saturate(round(x / scale) + zero point), per tensor, per axis or in blocks along an axis;
 * products of quantised operands accumulate in i32.
 */
import type { Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { integerRange, type NumericType, TYPES } from '../elementTypes.ts';
import { MINI_FLOATS } from '../minifloat.ts';
import { typed } from '../values.ts';
import { roundToMini } from '../wrap.ts';
import { convolve } from './convolve.ts';
import { convolvedIntegers, multipliedIntegers, rememberOrigin } from './integers.ts';
import { dtypeAttribute } from './shape.ts';

/** Scale or zero point shaped so that it broadcasts against x. */
function spread(call: Call, parameter: Tensor, x: Tensor): Tensor {
  if (parameter.numel() === 1) return parameter.reshape([]);
  const axis = call.axisAttribute(1, x.ndim);
  const block = call.int('block_size', 0);
  if (block > 0) return parameter.repeatInterleave(block, axis).narrow(axis, 0, x.shape[axis]!);
  return parameter.reshape(x.shape.map((n, d) => (d === axis ? n : 1)));
}

/** Quantised f32 values in their type. */
function quantised(call: Call, ratio: Tensor, zero: Tensor | null, type: NumericType): Tensor {
  const mini = MINI_FLOATS[type];
  if (mini) return roundToMini(mini, zero ? ratio.add(zero.to('f32')) : ratio, call.flag('saturate', true));
  const rounded = ratio.round();
  const [low, high] = integerRange(type);
  // Up to 16 bits, where f32 is not exact the result is beyond the range anyway.
  const exact = rounded.dtype === 'f32' && Number(high) < 2 ** 16 ? 'f32' : 'f64';
  const moved = zero ? rounded.to(exact).add(zero.to(exact)) : rounded;
  return moved.clamp(Number(low), Number(high)).to(TYPES[type].dtype);
}

const quantizeLinear: Rule = call => {
  const [x, scale, zero] = [call.x(0), call.x(1), call.optional(2)];
  const type = zero ? call.type(2) : dtypeAttribute(call, 'uint8', 'output_dtype');
  const wide = x.dtype === 'f64' ? 'f64' : 'f32';
  const ratio = x.to(wide).div(spread(call, scale, x).to(wide));
  return typed(quantised(call, ratio, zero && spread(call, zero, x), type), type);
};

const dequantizeLinear: Rule = call => {
  const [x, scale, zero] = [call.x(0), call.x(1), call.optional(2)];
  const type = dtypeAttribute(call, call.type(1), 'output_dtype');
  const wide = scale.dtype === 'f64' ? 'f64' : 'f32';
  // 32-bit integers less their zero point are exact in f64 only, narrow ones in f32.
  const exact = x.dtype === 'u8' || x.dtype === 'i8' ? 'f32' : 'f64';
  const centered = zero ? x.to(exact).sub(spread(call, zero, x).to(exact)) : x;
  const result = centered
    .to(wide)
    .mul(spread(call, scale, x).to(wide))
    .to(TYPES[type].dtype);
  const axis = scale.numel() === 1 ? null : call.axisAttribute(1, x.ndim);
  if (scale.ndim <= 1 && call.int('block_size', 0) === 0) rememberOrigin(result, { q: x, scale, zero, axis });
  return typed(result, type);
};

const dynamicQuantizeLinear: Rule = call => {
  const x = call.x(0);
  const low = x.amin().clampMax(0);
  const high = x.amax().clampMin(0);
  const scale = high.sub(low).div(255);
  const safe = scale.eq(0).where(1, scale);
  const zero = low.neg().div(safe).round().clamp(0, 255);
  const y = x.div(safe).round().add(zero).clamp(0, 255).to('u8');
  return [typed(y, 'uint8'), scale, typed(zero.to('u8'), 'uint8')];
};

/** x less its zero point, in i32; a vector of zero points belongs to `axis`. */
function centered(x: Tensor, zero: Tensor | null, axis: number): Tensor {
  const whole = x.to('i32');
  if (!zero) return whole;
  return whole.sub(perAxis(zero, x.ndim, axis).to('i32'));
}

/** One element, a vector along `axis`, or something that broadcasts already. */
const perAxis = (p: Tensor, rank: number, axis: number): Tensor => {
  if (p.numel() === 1) return p.reshape([]);
  return p.ndim === 1 ? p.reshape(Array.from({ length: rank }, (_, d) => (d === axis ? p.numel() : 1))) : p;
};

const integerProduct = (call: Call, a: Tensor, aZero: Tensor | null, b: Tensor, bZero: Tensor | null): Tensor =>
  multipliedIntegers(call, a, aZero, b, bZero) ?? centered(a, aZero, a.ndim - 2).matmul(centered(b, bZero, b.ndim - 1));

const integerConvolution = (call: Call, x: Tensor, xZero: Tensor | null, w: Tensor, wZero: Tensor | null): Tensor =>
  convolvedIntegers(call, x, xZero, w, wZero) ?? convolve(call, centered(x, xZero, 1), centered(w, wZero, 0), null);

const matMulInteger: Rule = call => {
  const [a, b] = [call.x(0), call.x(1)];
  return typed(integerProduct(call, a, call.optional(2), b, call.optional(3)), 'int32');
};

const convInteger: Rule = call => {
  const [x, w] = [call.x(0), call.x(1)];
  return typed(integerConvolution(call, x, call.optional(2), w, call.optional(3)), 'int32');
};

/** i32 sums scaled into the result's type. */
function requantised(call: Call, sums: Tensor, factor: Tensor, scale: Tensor, zero: Tensor, type: NumericType): Tensor {
  return quantised(call, sums.to('f32').mul(factor).div(scale.to('f32').reshape([])), zero.reshape([]), type);
}

const qLinearMatMul: Rule = call => {
  const [a, aScale, aZero, b, bScale, bZero, scale, zero] = [0, 1, 2, 3, 4, 5, 6, 7].map(i => call.x(i)) as [
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
  ]; // biome-ignore format: one list
  const sums = integerProduct(call, a, aZero, b, bZero);
  const factor = perAxis(aScale, sums.ndim, sums.ndim - 2)
    .to('f32')
    .mul(perAxis(bScale, sums.ndim, sums.ndim - 1).to('f32'));
  return typed(requantised(call, sums, factor, scale, zero, call.type(7)), call.type(7));
};

const qLinearConv: Rule = call => {
  const [x, xScale, xZero, w, wScale, wZero, scale, zero] = [0, 1, 2, 3, 4, 5, 6, 7].map(i => call.x(i)) as [
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
  ]; // biome-ignore format: one list
  const products = integerConvolution(call, x, xZero, w, wZero);
  const bias = call.optional(8);
  const sums = bias ? products.add(perAxis(bias.to('i32'), products.ndim, 1)) : products;
  const factor = perAxis(xScale, 0, 0)
    .to('f32')
    .mul(perAxis(wScale, sums.ndim, 1).to('f32'));
  return typed(requantised(call, sums, factor, scale, zero, call.type(7)), call.type(7));
};

export const quantized: OperatorTable = {
  ConvInteger: convInteger,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  MatMulInteger: matMulInteger,
  QLinearConv: qLinearConv,
  QLinearMatMul: qLinearMatMul,
  QuantizeLinear: quantizeLinear,
};
