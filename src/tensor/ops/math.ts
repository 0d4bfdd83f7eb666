/**
 * Mathematical functions composed from the primitives, each in a form that keeps precision near 0 and does not overflow
 * early, and whose gradient is right where the function is smooth. Functions here have the tensor first and become
 * methods of Tensor.
 */

import * as build from '../../graph/build.ts';
import { isFloat } from '../../graph/dtype.ts';
import { raised } from '../autocast.ts';
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
import { elementwise } from '../special/elementary.ts';
import * as inverse from '../special/inverse.ts';
import { Tensor } from '../tensor.ts';

/** The input as a float tensor. */
function real(op: string, x: Tensor): Tensor {
  checkTensor(op, 'input', x);
  return isFloat(x.dtype) ? x : new Tensor(floatNode(op, x));
}

/** Two operands promoted, broadcast and made floats. */
function realPair(op: string, a: TensorLike, b: TensorLike): [Tensor, Tensor] {
  const [x, y] = promoted(op, [a, b], floatDType(resultDType(op, [a, b])));
  return [new Tensor(x!), new Tensor(y!)];
}

/** Tangent of radians. */
export function tan(x: Tensor): Tensor {
  return new Tensor(build.unary('tan', raised(real('tan', x)).node));
}

/** Arc sine, in radians; NaN beyond [-1, 1]. */
export function asin(x: Tensor): Tensor {
  return inverse.asin(raised(real('asin', x)));
}

/** Arc cosine, in radians; NaN beyond [-1, 1]. */
export function acos(x: Tensor): Tensor {
  return inverse.acos(raised(real('acos', x)));
}

/**
 * exp(size) / 2 of large sizes where exp itself overflows first, as exp(size - shift) * scale: the shift is subtracted
 * exactly, and exp(shift) / 2 happens to be almost a float.
 */
const HALF_EXP = {
  f32: { from: 80, shift: 52.2080078125, scale: 2.3584121765841015e22 },
  f64: { from: 700, shift: 381.94140625, scale: 3.749860822983503e165 },
} as const;

/** `usual` of moderate sizes, half of the exponential beyond. */
function growing(size: Tensor, usual: (x: Tensor) => Tensor): Tensor {
  const { from, shift, scale } = HALF_EXP[size.dtype === 'f64' ? 'f64' : 'f32'];
  const large = size.gt(from);
  return large.where(size.sub(shift).exp().mul(scale), usual(large.where(0, size)));
}

/** Hyperbolic sine. */
export function sinh(x: Tensor): Tensor {
  return elementwise('sinh', [raised(real('sinh', x))], input => {
    const negative = input.lt(0);
    const value = growing(negative.where(input.neg(), input), y => y.expm1().sub(y.neg().expm1()).mul(0.5));
    return negative.where(value.neg(), value);
  });
}

/** Hyperbolic cosine. */
export function cosh(x: Tensor): Tensor {
  return elementwise('cosh', [raised(real('cosh', x))], input =>
    growing(input.abs(), y => y.exp().add(y.neg().exp()).mul(0.5)),
  );
}

/** From here on the square of a number swallows 1. */
const HUGE = 2 ** 28;

/** Inverse of sinh. */
export function asinh(x: Tensor): Tensor {
  return elementwise('asinh', [real('asinh', x)], input => {
    const negative = input.lt(0);
    const size = negative.where(input.neg(), input);
    const huge = size.gt(HUGE);
    // Each of both with arguments at which its derivative is right.
    const moderate = huge.where(1, size);
    const square = moderate.mul(moderate);
    const usual = moderate.add(square.div(square.add(1).sqrt().add(1))).log1p();
    const value = huge.where(huge.where(size, 1).log().add(Math.LN2), usual);
    // -0 stays.
    return input.eq(0).where(input, negative.where(value.neg(), value));
  });
}

/** Inverse of cosh; NaN below 1. */
export function acosh(x: Tensor): Tensor {
  return inverse.acosh(real('acosh', x));
}

/** Inverse of tanh; NaN beyond [-1, 1]. */
export function atanh(x: Tensor): Tensor {
  return elementwise('atanh', [real('atanh', x)], input => input.log1p().sub(input.neg().log1p()).mul(0.5));
}

/** 1 / sqrt(x). */
export function rsqrt(x: Tensor): Tensor {
  return elementwise('rsqrt', [raised(real('rsqrt', x))], input => input.sqrt().reciprocal());
}

/** 1 / x. */
export function reciprocal(x: Tensor): Tensor {
  const input = raised(real('reciprocal', x));
  return new Tensor(build.binary('div', build.full(1, input.shape, input.dtype), input.node));
}

/** x * x. */
export function square(x: Tensor): Tensor {
  checkTensor('square', 'input', x);
  return x.dtype === 'bool' ? x.long() : x.mul(x);
}

/** Base-2 logarithm. */
export function log2(x: Tensor): Tensor {
  return elementwise('log2', [raised(real('log2', x))], input => input.log().mul(Math.LOG2E));
}

/** Base-10 logarithm. */
export function log10(x: Tensor): Tensor {
  return elementwise('log10', [raised(real('log10', x))], input => {
    const natural = input.log();
    // Half of it is exact, so what log10(e) as a float and its product are off by counts a seventh. No finite one is
    // beyond 800.
    return natural.mul(0.5).sub(natural.clamp(-800, 800).mul(0.5 - Math.LOG10E));
  });
}

/** 2 to the power of x. */
export function exp2(x: Tensor): Tensor {
  const input = real('exp2', x);
  return new Tensor(build.binary('pow', build.full(2, input.shape, input.dtype), input.node));
}

/** x - trunc(x). */
export function frac(x: Tensor): Tensor {
  checkTensor('frac', 'input', x);
  if (!isFloat(x.dtype)) throw new TypeError(`frac: input: expected a float tensor, got ${x.dtype}`);
  return x.sub(x.trunc().detach());
}

/** (-1)^k pi^(2 k) / (2 k + 1)!, from the highest power down. */
const SINC = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1].map(k =>
  Array.from({ length: 2 * k }, (_, i) => i + 2).reduce((product, n) => (product * Math.PI) / n, k % 2 === 0 ? 1 : -1),
);

/** sin(pi x) / (pi x), 1 at 0. */
export function sinc(x: Tensor): Tensor {
  checkTensor('sinc', 'input', x);
  return elementwise('sinc', [x], y => {
    const whole = y.round();
    // Exact, as pi times a large number is not. The series has the digits of derivatives near 0, too.
    const rest = y.sub(whole);
    const square = rest.mul(rest);
    const series = SINC.reduce((sum: Tensor | number, c) => square.mul(sum).add(c), 0);
    const lobe = square.mul(series).add(1);
    const far = whole.eq(0).where(1, y);
    const sign = whole.remainder(2).mul(-2).add(1);
    return whole.eq(0).where(lobe, lobe.mul(rest.div(far)).mul(sign));
  });
}

/** log(x / (1 - x)); x is limited to [eps, 1 - eps] when eps is given. */
export function logit(x: Tensor, eps?: number | null): Tensor {
  const input = real('logit', x);
  const limited = eps === undefined || eps === null ? input : input.clamp(eps, 1 - eps);
  return elementwise(
    'logit',
    [limited],
    p => {
      const rest = p.neg().add(1);
      // Around 1/2 the quotient's logarithm is little: there 2 x - 1 is exact, and so is the smaller of x and 1 - x.
      const above = p.mul(2).sub(1);
      const near = above.abs().div(p.minimum(rest)).log1p();
      const value = above.lt(0).where(near.neg(), near);
      return above.abs().lt(0.5).where(value, p.div(rest).log());
    },
    [([p]) => p!.mul(p!.neg().add(1)).reciprocal()],
  );
}

/** Degrees to radians. */
export function deg2rad(x: Tensor): Tensor {
  return real('deg2rad', x).mul(Math.PI / 180);
}

/** Radians to degrees. */
export function rad2deg(x: Tensor): Tensor {
  return real('rad2deg', x).mul(180 / Math.PI);
}

/** sign under its complex-number name. */
export function sgn(x: Tensor): Tensor {
  return x.sign();
}

/** neg's opposite: the tensor itself. */
export function positive(x: Tensor): Tensor {
  checkTensor('positive', 'input', x);
  if (x.dtype === 'bool') throw new TypeError('positive: input: bool is not supported');
  return x;
}

/** x + weight * (end - x). */
export function lerp(x: Tensor, end: Tensor, weight: TensorLike): Tensor {
  checkTensor('lerp', 'input', x);
  checkTensor('lerp', 'end', end);
  if (x.dtype !== end.dtype) throw new TypeError(`lerp: dtypes differ: ${x.dtype} and ${end.dtype}`);
  return x.add(end.sub(x).mul(weight));
}

/** x + value * a * b; of whole numbers alone, value is cut to a whole one, as in PyTorch. */
export function addcmul(x: Tensor, a: Tensor, b: Tensor, options: { readonly value?: number } = {}): Tensor {
  checkOptions('addcmul', options, ['value']);
  const product = a.mul(b);
  const { value: given = 1 } = options;
  const value = isFloat(x.dtype) || isFloat(product.dtype) ? given : Math.trunc(given);
  return x.add(value === 1 ? product : product.mul(value));
}

/** x + value * a / b. */
export function addcdiv(x: Tensor, a: Tensor, b: Tensor, options: { readonly value?: number } = {}): Tensor {
  checkOptions('addcdiv', options, ['value']);
  checkTensor('addcdiv', 'tensor1', a);
  checkTensor('addcdiv', 'tensor2', b);
  if (!isFloat(a.dtype) && !isFloat(b.dtype))
    throw new TypeError(`addcdiv: expected a float among the divided tensors, got ${a.dtype} and ${b.dtype}`);
  const { value = 1 } = options;
  const quotient = a.div(b);
  return x.add(value === 1 ? quotient : quotient.mul(value));
}

/** The larger of both, and what the smaller one adds to it: `more` of how far it is below. */
function largerAnd(a: Tensor, b: Tensor, more: (below: Tensor) => Tensor): Tensor {
  const larger = a.maximum(b);
  return larger.isfinite().where(larger.add(more(a.sub(b).abs().neg())), larger);
}

/** log(exp(x) + exp(other)), without overflow. */
export function logaddexp(x: Tensor, other: TensorLike): Tensor {
  checkTensor('logaddexp', 'input', x);
  return elementwise('logaddexp', [x, other], (a, b) => largerAnd(a, b, below => below.exp().log1p()), [
    ([a, b]) => a!.sub(b!).sigmoid(),
    ([a, b]) => b!.sub(a!).sigmoid(),
  ]);
}

/** log2(2^x + 2^other), without overflow. */
export function logaddexp2(x: Tensor, other: TensorLike): Tensor {
  checkTensor('logaddexp2', 'input', x);
  return elementwise(
    'logaddexp2',
    [x, other],
    (a, b) => largerAnd(a, b, below => exp2(below).log1p().mul(Math.LOG2E)),
    [([a, b]) => a!.sub(b!).mul(Math.LN2).sigmoid(), ([a, b]) => b!.sub(a!).mul(Math.LN2).sigmoid()],
  );
}

/** sqrt(x^2 + other^2), without overflow. */
export function hypot(x: Tensor, other: Tensor): Tensor {
  checkTensors('hypot', x, other);
  return elementwise('hypot', [x, other], (a, b) => {
    const largest = a.detach().abs().maximum(b.detach().abs());
    const scale = largest.gt(0).logicalAnd(largest.isfinite()).where(largest, 1);
    const [p, q] = [a.div(scale), b.div(scale)];
    return p.mul(p).add(q.mul(q)).sqrt().mul(scale);
  });
}

/** The magnitude of x with the sign of other. */
export function copysign(x: Tensor, other: TensorLike): Tensor {
  checkTensor('copysign', 'input', x);
  const [a, b] = realPair('copysign', x, other);
  // 1 / -0 is -Infinity: the sign of a zero shows.
  const negative = b.lt(0).logicalOr(b.eq(0).logicalAnd(b.reciprocal().lt(0)));
  const size = a.abs();
  return negative.where(size.neg(), size);
}

/** x * log(other), 0 where x is 0. */
export function xlogy(x: TensorLike, other: TensorLike): Tensor {
  return elementwise('xlogy', [x, other], (a, b) => {
    // Only where the logarithm is not finite: elsewhere 0 * log is 0 as it is, and has a slope.
    const zero = a.eq(0).logicalAnd(b.le(0).logicalOr(b.eq(Number.POSITIVE_INFINITY)));
    return zero.where(0, a.mul(zero.where(1, b).log()));
  });
}

/** x * log1p(other), 0 where x is 0. */
export function xlog1py(x: TensorLike, other: TensorLike): Tensor {
  return elementwise('xlog1py', [x, other], (a, b) => {
    const zero = a.eq(0).logicalAnd(b.le(-1).logicalOr(b.eq(Number.POSITIVE_INFINITY)));
    return zero.where(0, a.mul(zero.where(0, b).log1p()));
  });
}

/** pow in f64, whatever the operands. */
export function floatPower(x: TensorLike, exponent: TensorLike): Tensor {
  const [a, b] = promoted('floatPower', [x, exponent], 'f64');
  return new Tensor(build.binary('pow', a!, b!));
}

/** x * 2^other. */
export function ldexp(x: Tensor, other: Tensor): Tensor {
  checkTensors('ldexp', x, other);
  const [a, b] = realPair('ldexp', x, other);
  return a.mul(exp2(b));
}

/** The p-norm of x - other. */
export function dist(x: Tensor, other: Tensor, p = 2): Tensor {
  return x.sub(other).norm(p);
}

/** The p-norm distances of every row of x [..., n, d] to every row of other [..., m, d]: [..., n, m]. */
export function cdist(x: Tensor, other: Tensor, options: { readonly p?: number } = {}): Tensor {
  checkOptions('cdist', options, ['p']);
  checkTensor('cdist', 'x1', x);
  checkTensor('cdist', 'x2', other);
  const { p = 2 } = options;
  if (x.ndim < 2 || other.ndim < 2 || x.shape.at(-1) !== other.shape.at(-1))
    throw new RangeError(
      `cdist: expected rows of one length, got [${x.shape.join(', ')}] and [${other.shape.join(', ')}]`,
    );
  return x.unsqueeze(-2).sub(other.unsqueeze(-3)).norm(p, -1);
}

/** The cross product of vectors of 3 along `dim`. */
export function cross(x: Tensor, other: Tensor, options: { readonly dim?: number | null } = {}): Tensor {
  checkOptions('cross', options, ['dim']);
  checkTensor('cross', 'input', x);
  checkTensor('cross', 'other', other);
  const dim = options.dim ?? x.shape.indexOf(3);
  const shape = x.mul(0).add(other.mul(0)).shape;
  const [a, b] = [x.expand(shape), other.expand(shape)];
  if (dim < -shape.length || dim >= shape.length || shape.at(dim) !== 3)
    throw new RangeError(`cross: dim: expected a dim of size 3, got shape [${shape.join(', ')}]`);
  const turned = (v: Tensor, by: number): Tensor => v.roll(by, dim);
  return turned(a, -1)
    .mul(turned(b, -2))
    .sub(turned(a, -2).mul(turned(b, -1)));
}
