/**
 * Comparisons, logic and bits. Comparisons promote their operands and give bool. Functions here have the tensor first
 * and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { isFloat, kindOf } from '../../graph/dtype.ts';
import type { Binary, Node } from '../../graph/node.ts';
import { checkTensor, checkTensors, promoted, resultDType, type TensorLike } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

const not = (x: Node): Node => build.unary('not', x);

/** x == other elementwise, broadcast: bool. */
export function eq(x: Tensor, other: TensorLike): Tensor {
  checkTensor('eq', 'input', x);
  const [a, b] = promoted('eq', [x, other]);
  return new Tensor(build.compare('eq', a!, b!));
}

/** x != other elementwise, broadcast: bool. */
export function ne(x: Tensor, other: TensorLike): Tensor {
  checkTensor('ne', 'input', x);
  const [a, b] = promoted('ne', [x, other]);
  return new Tensor(not(build.compare('eq', a!, b!)));
}

/** x < other elementwise, broadcast: bool. */
export function lt(x: Tensor, other: TensorLike): Tensor {
  checkTensor('lt', 'input', x);
  const [a, b] = promoted('lt', [x, other]);
  return new Tensor(build.compare('lt', a!, b!));
}

/** x <= other elementwise, broadcast: bool. */
export function le(x: Tensor, other: TensorLike): Tensor {
  checkTensor('le', 'input', x);
  const [a, b] = promoted('le', [x, other]);
  return new Tensor(build.compare('le', a!, b!));
}

/** x > other elementwise, broadcast: bool. */
export function gt(x: Tensor, other: TensorLike): Tensor {
  checkTensor('gt', 'input', x);
  const [a, b] = promoted('gt', [x, other]);
  return new Tensor(build.compare('lt', b!, a!));
}

/** x >= other elementwise, broadcast: bool. */
export function ge(x: Tensor, other: TensorLike): Tensor {
  checkTensor('ge', 'input', x);
  const [a, b] = promoted('ge', [x, other]);
  return new Tensor(build.compare('le', b!, a!));
}

/** NaN is the only value unlike itself. */
export function isnan(x: Tensor): Tensor {
  return ne(x, x);
}

/** +Infinity or -Infinity. */
/** Where the sign is set, also of -0. */
export function signbit(x: Tensor): Tensor {
  checkTensor('signbit', 'input', x);
  if (!isFloat(x.dtype)) return x.lt(0);
  return x.lt(0).logicalOr(x.eq(0).logicalAnd(x.detach().reciprocal().lt(0)));
}

/** Whether each element is among those of `test`; `invert` asks for the opposite. By sorting. */
export function isin(
  x: Tensor,
  test: Tensor,
  options: { readonly invert?: boolean; readonly assumeUnique?: boolean } = {},
): Tensor {
  checkOptions('isin', options, ['invert', 'assumeUnique']);
  checkTensor('isin', 'elements', x);
  checkTensor('isin', 'test', test);
  const n = test.numel();
  const invert = options.invert ?? false;
  if (n === 0) return new Tensor(build.full(invert ? 1 : 0, x.shape, 'bool'));
  const dtype = resultDType('isin', [x, test]);
  const sorted = test.detach().to(dtype).reshape([-1]).sort(0).values;
  const elements = x.detach().to(dtype);
  const place = sorted.searchsorted(elements).clampMax(n - 1);
  const found = sorted.take(place).eq(elements);
  return invert ? found.logicalNot() : found;
}

/** Where the value is infinite, of either sign: bool. */
export function isinf(x: Tensor): Tensor {
  checkTensor('isinf', 'input', x);
  return isFloat(x.dtype) ? eq(x.abs(), Number.POSITIVE_INFINITY) : allOf(x, false);
}

/** Where the value is positive infinity: bool. */
export function isposinf(x: Tensor): Tensor {
  checkTensor('isposinf', 'input', x);
  return isFloat(x.dtype) ? eq(x, Number.POSITIVE_INFINITY) : allOf(x, false);
}

/** Where the value is negative infinity: bool. */
export function isneginf(x: Tensor): Tensor {
  checkTensor('isneginf', 'input', x);
  return isFloat(x.dtype) ? eq(x, Number.NEGATIVE_INFINITY) : allOf(x, false);
}

/** Neither infinite nor NaN. */
export function isfinite(x: Tensor): Tensor {
  checkTensor('isfinite', 'input', x);
  return isFloat(x.dtype) ? lt(x.abs(), Number.POSITIVE_INFINITY) : allOf(x, true);
}

const allOf = (x: Tensor, value: boolean): Tensor => new Tensor(build.full(Number(value), x.shape, 'bool'));

/**
 * |x - other| <= atol + rtol * |other|, elementwise; equal infinities are close, and with `equalNan` two NaN are.
 * Defaults: rtol 1e-5, atol 1e-8.
 */
export function isclose(
  x: Tensor,
  other: Tensor,
  options: { readonly rtol?: number; readonly atol?: number; readonly equalNan?: boolean } = {},
): Tensor {
  const { rtol = 1e-5, atol = 1e-8, equalNan = false } = checkOptions('isclose', options, ['rtol', 'atol', 'equalNan']);
  checkTensor('isclose', 'input', x);
  checkTensor('isclose', 'other', other);
  if (x.dtype !== other.dtype) throw new TypeError(`isclose: dtypes differ: ${x.dtype} and ${other.dtype}`);
  if (rtol < 0 || atol < 0) throw new RangeError(`isclose: rtol and atol must be at least 0, got ${rtol} and ${atol}`);
  let close = eq(x, other);
  if (isFloat(x.dtype)) {
    const near = le(x.sub(other).abs(), other.abs().mul(rtol).add(atol));
    close = logicalOr(close, logicalAnd(near, isfinite(other)));
    if (equalNan) close = logicalOr(close, logicalAnd(isnan(x), isnan(other)));
  } else if (x.dtype !== 'bool') {
    const [a, b] = [x.to('f64'), other.to('f64')];
    close = logicalOr(close, le(a.sub(b).abs(), b.abs().mul(rtol).add(atol)));
  }
  return close;
}

/** Whether every element is close (see isclose). Evaluates. */
export function allclose(
  x: Tensor,
  other: Tensor,
  options: { readonly rtol?: number; readonly atol?: number; readonly equalNan?: boolean } = {},
): boolean {
  return Boolean(isclose(x, other, options).all().item());
}

/** Whether shape and every element are the same. Evaluates. */
export function equal(x: Tensor, other: Tensor): boolean {
  checkTensor('equal', 'input', x);
  checkTensor('equal', 'other', other);
  if (x.ndim !== other.ndim || x.shape.some((n, d) => n !== other.shape[d])) return false;
  return Boolean(eq(x, other).all().item());
}

function logical(fn: Binary, op: string, x: Tensor, other: Tensor): Tensor {
  checkTensors(op, x, other);
  const [a, b] = promoted(op, [x, other], 'bool');
  return new Tensor(build.binary(fn, a!, b!));
}

/** Whether both are nonzero, broadcast: bool. */
export function logicalAnd(x: Tensor, other: Tensor): Tensor {
  return logical('and', 'logicalAnd', x, other);
}

/** Whether at least one is nonzero, broadcast: bool. */
export function logicalOr(x: Tensor, other: Tensor): Tensor {
  return logical('or', 'logicalOr', x, other);
}

/** Whether exactly one is nonzero, broadcast: bool. */
export function logicalXor(x: Tensor, other: Tensor): Tensor {
  return logical('xor', 'logicalXor', x, other);
}

/** Whether the value is zero: bool. */
export function logicalNot(x: Tensor): Tensor {
  checkTensor('logicalNot', 'input', x);
  return new Tensor(not(build.cast(x.node, 'bool')));
}

function bitwise(fn: Binary, op: string, x: Tensor, other: TensorLike): Tensor {
  checkTensor(op, 'input', x);
  const dtype = resultDType(op, [x, other]);
  if (isFloat(dtype)) throw new TypeError(`${op}: expected integers or bool, got ${dtype}`);
  const [a, b] = promoted(op, [x, other], dtype);
  return new Tensor(build.binary(fn, a!, b!));
}

/** x & other of integers or bools, broadcast. */
export function bitwiseAnd(x: Tensor, other: TensorLike): Tensor {
  return bitwise('and', 'bitwiseAnd', x, other);
}

/** x | other of integers or bools, broadcast. */
export function bitwiseOr(x: Tensor, other: TensorLike): Tensor {
  return bitwise('or', 'bitwiseOr', x, other);
}

/** x ^ other of integers or bools, broadcast. */
export function bitwiseXor(x: Tensor, other: TensorLike): Tensor {
  return bitwise('xor', 'bitwiseXor', x, other);
}

/** ~x of integers; of bools the opposite. */
export function bitwiseNot(x: Tensor): Tensor {
  checkTensor('bitwiseNot', 'input', x);
  if (isFloat(x.dtype)) throw new TypeError(`bitwiseNot: expected integers or bool, got ${x.dtype}`);
  return new Tensor(not(x.node));
}

function shift(fn: 'shl' | 'shr', op: string, x: Tensor, other: TensorLike): Tensor {
  checkTensor(op, 'input', x);
  const dtype = resultDType(op, [x, other]);
  if (kindOf(dtype) !== 'int') throw new TypeError(`${op}: expected integers, got ${dtype}`);
  const [a, b] = promoted(op, [x, other], dtype);
  return new Tensor(build.binary(fn, a!, b!));
}

/** x << other of integers, broadcast. */
export function bitwiseLeftShift(x: Tensor, other: TensorLike): Tensor {
  return shift('shl', 'bitwiseLeftShift', x, other);
}

/** Arithmetic shift: the sign is kept. */
export function bitwiseRightShift(x: Tensor, other: TensorLike): Tensor {
  return shift('shr', 'bitwiseRightShift', x, other);
}
