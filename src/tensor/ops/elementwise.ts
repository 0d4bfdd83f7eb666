/**
 * Arithmetic, element by element: operands broadcast and promote as PyTorch's do. Derived functions that need care are
 * in math.ts. Functions here have the tensor first and become methods of Tensor.
 */

import * as build from '../../graph/build.ts';
import { isFloat, kindOf } from '../../graph/dtype.ts';
import type { Binary, Unary } from '../../graph/node.ts';
import { raised } from '../autocast.ts';
import { checkDType } from '../convert.ts';
import {
  checkTensor,
  checkTensors,
  floatDType,
  floatNode,
  promoted,
  resultDType,
  type TensorLike,
} from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

function unary(fn: Unary, x: Tensor): Tensor {
  checkTensor(fn, 'input', x);
  return new Tensor(build.unary(fn, x.node));
}

/** Those whose results half types are too coarse for: in f32 under autocast. */
function preciseUnary(fn: Unary, x: Tensor): Tensor {
  checkTensor(fn, 'input', x);
  return floatUnary(fn, raised(x));
}

/** Unary functions of reals: integers become f32. */
function floatUnary(fn: Unary, x: Tensor): Tensor {
  checkTensor(fn, 'input', x);
  return new Tensor(build.unary(fn, floatNode(fn, x)));
}

/** Rounding functions leave integers as they are. */
function rounding(fn: Unary, x: Tensor): Tensor {
  checkTensor(fn, 'input', x);
  if (x.dtype === 'bool') throw new TypeError(`${fn}: input: bool is not supported`);
  return isFloat(x.dtype) ? new Tensor(build.unary(fn, x.node)) : x;
}

function binary(fn: Binary, op: string, a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = promoted(op, [a, b]);
  return new Tensor(build.binary(fn, x!, y!));
}

/** x + alpha * other. On bool: or. */
export function add(x: TensorLike, other: TensorLike, options: { readonly alpha?: number } = {}): Tensor {
  checkOptions('add', options, ['alpha']);
  const dtype = resultDType('add', [x, other]);
  if (dtype === 'bool') return binary('or', 'add', x, other);
  return binary('add', 'add', x, scaled('add', other, options.alpha, dtype));
}

/** x - alpha * other. */
export function sub(x: TensorLike, other: TensorLike, options: { readonly alpha?: number } = {}): Tensor {
  checkOptions('sub', options, ['alpha']);
  const dtype = resultDType('sub', [x, other]);
  if (dtype === 'bool') throw new TypeError('sub: two bool operands: use logicalXor or logicalNot');
  return binary('sub', 'sub', x, scaled('sub', other, options.alpha, dtype));
}

function scaled(op: string, other: TensorLike, alpha: number | undefined, dtype: string): TensorLike {
  if (alpha === undefined || alpha === 1) return other;
  if (!Number.isInteger(alpha) && kindOf(dtype as Tensor['dtype']) !== 'float')
    throw new TypeError(`${op}: alpha: expected a whole number for ${dtype} operands, got ${alpha}`);
  return mul(other, alpha);
}

/** other - alpha * x. */
export function rsub(x: Tensor, other: TensorLike, options: { readonly alpha?: number } = {}): Tensor {
  checkTensor('rsub', 'input', x);
  return sub(other, x, options);
}

/** x * other. On bool: and. */
export function mul(x: TensorLike, other: TensorLike): Tensor {
  if (resultDType('mul', [x, other]) === 'bool') return binary('and', 'mul', x, other);
  return binary('mul', 'mul', x, other);
}

/**
 * x / other. True division (integers become f32), unless `roundingMode` says to floor or to truncate (dtype kept).
 */
export function div(
  x: TensorLike,
  other: TensorLike,
  options: { readonly roundingMode?: 'trunc' | 'floor' | null } = {},
): Tensor {
  checkOptions('div', options, ['roundingMode']);
  const mode = options.roundingMode ?? null;
  const dtype = resultDType('div', [x, other]);
  if (mode === null) {
    const [a, b] = promoted('div', [x, other], floatDType(dtype));
    return new Tensor(build.binary('div', a!, b!));
  }
  if (mode === 'floor') return binary('floorDiv', 'div', x, other);
  if (mode !== 'trunc') throw new Error(`div: roundingMode: expected trunc, floor or null, got ${String(mode)}`);
  const quotient = binary('div', 'div', x, other);
  return isFloat(dtype) ? unary('trunc', quotient) : quotient;
}

/** floor(x / other), dtype kept. */
export function floorDivide(x: Tensor, other: TensorLike): Tensor {
  checkTensor('floorDivide', 'input', x);
  return binary('floorDiv', 'floorDivide', x, other);
}

/** Remainder with the divisor's sign. */
export function remainder(x: Tensor, other: TensorLike): Tensor {
  checkTensor('remainder', 'input', x);
  return binary('mod', 'remainder', x, other);
}

/** Remainder with the dividend's sign (C's fmod). */
export function fmod(x: Tensor, other: TensorLike): Tensor {
  checkTensor('fmod', 'input', x);
  const [a, b] = promoted('fmod', [x, other]);
  if (!isFloat(a!.dtype))
    return new Tensor(build.binary('sub', a!, build.binary('mul', build.binary('div', a!, b!), b!)));
  // The floored remainder of the magnitudes is exact; the sign is the dividend's.
  const magnitude = build.binary('mod', build.unary('abs', a!), build.unary('abs', b!));
  const negative = build.compare('lt', a!, build.full(0, a!.shape, a!.dtype));
  return new Tensor(build.where(negative, build.unary('neg', magnitude), magnitude));
}

/**
 * `base` to the power of `exponent`. Small whole exponents become products, 0.5 a square root.
 *
 * @throws for integers to negative integer exponents, as PyTorch.
 */
export function pow(base: TensorLike, exponent: TensorLike): Tensor {
  const x = base instanceof Tensor ? raised(base) : base;
  const dtype = resultDType('pow', [x, exponent]);
  if (typeof exponent === 'number' && x instanceof Tensor) {
    if (!isFloat(dtype) && exponent < 0)
      throw new RangeError(`pow: exponent: integers to the negative power ${exponent} are not integers`);
    if (isFloat(x.dtype)) {
      if (exponent === 1) return x;
      if (exponent === 2) return mul(x, x);
      if (exponent === 3) return mul(mul(x, x), x);
      if (exponent === 0.5) return sqrt(x);
      if (exponent === -1) return div(1, x);
    }
  }
  return binary('pow', 'pow', x, exponent);
}

/** Elementwise larger of two; NaN wins. */
export function maximum(x: Tensor, other: Tensor): Tensor {
  checkTensors('maximum', x, other);
  return binary('max', 'maximum', x, other);
}

/** Elementwise smaller of two; NaN wins. */
export function minimum(x: Tensor, other: Tensor): Tensor {
  checkTensors('minimum', x, other);
  return binary('min', 'minimum', x, other);
}

/** Angle of the point (other, x) in radians. */
export function atan2(x: Tensor, other: Tensor): Tensor {
  checkTensors('atan2', x, other);
  const [a, b] = promoted('atan2', [x, other], floatDType(resultDType('atan2', [x, other])));
  return new Tensor(build.binary('atan2', a!, b!));
}

/** -x. */
export function neg(x: Tensor): Tensor {
  checkTensor('neg', 'input', x);
  if (x.dtype === 'bool') throw new TypeError('neg: input: bool is not supported; use logicalNot');
  return unary('neg', x);
}

/** Magnitude; the gradient at 0 is 0. */
export function abs(x: Tensor): Tensor {
  checkTensor('abs', 'input', x);
  return x.dtype === 'bool' || x.dtype === 'u8' ? x : unary('abs', x);
}

/** -1, 0 or 1. */
export function sign(x: Tensor): Tensor {
  checkTensor('sign', 'input', x);
  return x.dtype === 'bool' ? x : unary('sign', x);
}

/** The largest whole number that is not above x. */
export function floor(x: Tensor): Tensor {
  return rounding('floor', x);
}

/** The smallest whole number that is not below x. */
export function ceil(x: Tensor): Tensor {
  return rounding('ceil', x);
}

/** Towards zero. */
export function trunc(x: Tensor): Tensor {
  return rounding('trunc', x);
}

/** To the nearest whole number, halves to even; or to `decimals` places. */
export function round(x: Tensor, options: { readonly decimals?: number } = {}): Tensor {
  const { decimals = 0 } = checkOptions('round', options, ['decimals']);
  if (decimals === 0) return rounding('round', x);
  checkTensor('round', 'input', x);
  if (!isFloat(x.dtype)) throw new TypeError(`round: decimals: expected 0 for ${x.dtype}, got ${decimals}`);
  const scale = 10 ** Math.abs(decimals);
  return decimals > 0 ? div(unary('round', mul(x, scale)), scale) : mul(unary('round', div(x, scale)), scale);
}

/** Square root; NaN below 0. */
export function sqrt(x: Tensor): Tensor {
  return floatUnary('sqrt', x);
}

/** e to the power of x. */
export function exp(x: Tensor): Tensor {
  return preciseUnary('exp', x);
}

/** exp(x) - 1, exact near 0. */
export function expm1(x: Tensor): Tensor {
  return preciseUnary('expm1', x);
}

/** Natural logarithm. */
export function log(x: Tensor): Tensor {
  return preciseUnary('log', x);
}

/** log(1 + x), exact near 0. */
export function log1p(x: Tensor): Tensor {
  return preciseUnary('log1p', x);
}

/** Sine of radians. */
export function sin(x: Tensor): Tensor {
  return floatUnary('sin', x);
}

/** Cosine of radians. */
export function cos(x: Tensor): Tensor {
  return floatUnary('cos', x);
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return floatUnary('tanh', x);
}

/** Arc tangent, in radians. */
export function atan(x: Tensor): Tensor {
  return floatUnary('atan', x);
}

/** 1 / (1 + exp(-x)). */
export function sigmoid(x: Tensor): Tensor {
  return floatUnary('sigmoid', x);
}

/** The error function. */
export function erf(x: Tensor): Tensor {
  return floatUnary('erf', x);
}

/** log |gamma(x)|. */
export function lgamma(x: Tensor): Tensor {
  return floatUnary('lgamma', x);
}

/** The derivative of lgamma. */
export function digamma(x: Tensor): Tensor {
  return floatUnary('digamma', x);
}

/** x in another dtype, or that of another tensor: float to integer truncates, to bool is != 0. */
export function to(x: Tensor, dtypeOrTensor: Tensor['dtype'] | Tensor): Tensor {
  checkTensor('to', 'input', x);
  const dtype = dtypeOrTensor instanceof Tensor ? dtypeOrTensor.dtype : dtypeOrTensor;
  checkDType('to', dtype);
  return new Tensor(build.cast(x.node, dtype));
}

/** x in f32. */
export function float(x: Tensor): Tensor {
  return to(x, 'f32');
}

/** x in f64. */
export function double(x: Tensor): Tensor {
  return to(x, 'f64');
}

/** x in f16. */
export function half(x: Tensor): Tensor {
  return to(x, 'f16');
}

/** x in bf16. */
export function bfloat16(x: Tensor): Tensor {
  return to(x, 'bf16');
}

/** x in i32. */
export function int(x: Tensor): Tensor {
  return to(x, 'i32');
}

/** x in i64. */
export function long(x: Tensor): Tensor {
  return to(x, 'i64');
}

/** x in u8. */
export function byte(x: Tensor): Tensor {
  return to(x, 'u8');
}

/** x in i8. */
export function char(x: Tensor): Tensor {
  return to(x, 'i8');
}

/** x as bool: x != 0. */
export function bool(x: Tensor): Tensor {
  return to(x, 'bool');
}

/** The same value with no gradient to what it came from. */
export function detach(x: Tensor): Tensor {
  checkTensor('detach', 'input', x);
  return x.requiresGrad ? new Tensor(build.detach(x.node)) : x;
}

/** detach under its functional name. */
export function stopGradient(x: Tensor): Tensor {
  return detach(x);
}
