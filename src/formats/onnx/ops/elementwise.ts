/**
 * Element by element: arithmetic, comparisons, logic, bits, and the activations. Before opset 7 two-input operators
 * broadcast only when told to, the second operand aligned at an axis.
 */

import { isFloat } from '../../../graph/dtype.ts';
import { F, functional, Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { TYPES } from '../elementTypes.ts';
import { MINI_FLOATS } from '../minifloat.ts';
import { typed } from '../values.ts';

/**
 * A function of one tensor, in the input's type. Halves compute in f32: that is how they are specified to round once.
 */
const unary =
  (fn: (x: Tensor, call: Call) => Tensor): Rule =>
  call =>
    call.like(0, fn(call.x(0), call));

/** The same for float functions that would lose precision in halves. */
const inSingle = (fn: (x: Tensor, call: Call) => Tensor): Rule =>
  unary((x, call) => (x.dtype === 'f16' || x.dtype === 'bf16' ? fn(x.to('f32'), call).to(x.dtype) : fn(x, call)));

/** Both operands; before opset 7 the second is aligned at `axis` when `broadcast` is set. */
function operands(call: Call): [Tensor, Tensor] {
  const [a, b] = [call.x(0), call.x(1)];
  if (call.opset >= 7 || !call.flag('broadcast')) return [a, b];
  const axis = call.attribute('axis') ? call.axisAttribute(0, a.ndim) : a.ndim - b.ndim;
  const after = a.ndim - axis - b.ndim;
  return [a, after > 0 ? b.reshape([...b.shape, ...new Array<number>(after).fill(1)]) : b];
}

const binary =
  (fn: (a: Tensor, b: Tensor, call: Call) => Tensor): Rule =>
  call => {
    const [a, b] = operands(call);
    return call.like(0, fn(a, b, call));
  };

/** u64 in i64 compares right once the top bit is flipped. */
const ordered = (call: Call, x: Tensor): Tensor =>
  call.type(0) === 'uint64' ? x.bitwiseXor(Tensor.from(-(2n ** 63n), { dtype: 'i64' })) : x;

const compare =
  (fn: (a: Tensor, b: Tensor) => Tensor): Rule =>
  call => {
    const [a, b] = operands(call);
    return fn(ordered(call, a), ordered(call, b));
  };

const equal: Rule = call => {
  if (!call.isString(0)) {
    const [a, b] = operands(call);
    return a.eq(b);
  }
  const codes = new Map<string, number>();
  const coded = [0, 1].map(i => {
    const { strings, shape } = call.stringTensor(i);
    const numbers = strings.map(text => {
      if (!codes.has(text)) codes.set(text, codes.size);
      return codes.get(text)!;
    });
    return Tensor.from(Int32Array.from(numbers), { shape });
  });
  return coded[0]!.eq(coded[1]!);
};

const logical =
  (fn: (a: Tensor, b: Tensor) => Tensor): Rule =>
  call => {
    const [a, b] = operands(call);
    return fn(a, b);
  };

/** Folds any number of inputs. */
const variadic =
  (fn: (a: Tensor, b: Tensor) => Tensor, end: (total: Tensor, count: number) => Tensor = total => total): Rule =>
  call => {
    const tensors = call.tensors();
    if (tensors.length === 0) call.fail('expected at least one input');
    return call.like(0, end(tensors.reduce(fn), tensors.length));
  };

/** Integers divide towards zero. */
const divide = (a: Tensor, b: Tensor): Tensor => (isFloat(a.dtype) ? a.div(b) : a.div(b, { roundingMode: 'trunc' }));

const modulo = binary((a, b, call) => (call.flag('fmod') ? a.fmod(b) : a.remainder(b)));

/** The base's type; the exponent may have another. */
const power: Rule = call => {
  const [a, b] = operands(call);
  if (isFloat(a.dtype)) {
    const exponent = call.dataIfKnown(b);
    // A known scalar exponent lets squares and roots be what they are.
    if (
      exponent?.length === 1 &&
      b.ndim <= a.ndim &&
      (b.dtype === 'f32' || b.dtype === 'f64' || b.dtype === 'i64' || b.dtype === 'i32')
    )
      return call.like(0, a.pow(Number(exponent[0])));
    return call.like(0, a.pow(b.to(a.dtype)));
  }
  if (!isFloat(b.dtype)) return call.like(0, a.to('i64').pow(b.to('i64')));
  return call.like(0, a.to('f64').pow(b.to('f64')).trunc());
};

const bitShift: Rule = call => {
  const direction = call.choice('direction', ['LEFT', 'RIGHT']);
  const [x, by] = [call.x(0), call.x(1)];
  const { bits, dtype } = TYPES[call.type(0)];
  const wide = (t: Tensor): Tensor => (dtype === 'u8' ? t.to('i32') : t);
  const beyond = by.ge(bits);
  const safe = beyond.where(0, wide(by));
  let shifted = direction === 'LEFT' ? wide(x).bitwiseLeftShift(safe) : wide(x).bitwiseRightShift(safe);
  if (direction === 'RIGHT' && call.type(0) === 'uint64') {
    // i64 shifts drag the sign along: the bits it filled are cleared.
    const ones = Tensor.from(-1n, { dtype: 'i64' });
    const mask = safe
      .eq(0)
      .where(ones, Tensor.from(1n, { dtype: 'i64' }).bitwiseLeftShift(safe.neg().add(64).remainder(64)).sub(1));
    shifted = shifted.bitwiseAnd(mask);
  }
  return call.like(0, beyond.where(0, shifted));
};

const clip: Rule = call => {
  const x = call.x(0);
  if (call.opset < 11) {
    const low = call.attribute('min') ? call.float('min') : null;
    const high = call.attribute('max') ? call.float('max') : null;
    return call.like(0, low === null && high === null ? x : x.clamp(low, high));
  }
  const [low, high] = [call.optional(1), call.optional(2)];
  let result = x;
  if (low) result = result.maximum(low);
  if (high) result = result.minimum(high);
  return call.like(0, result);
};

const leakyRelu = unary((x, call) => x.lt(0).where(x.mul(call.float('alpha', 0.01)), x));

/** Before opset 7 a slope of several elements belongs to the channels. */
const prelu = binary((x, slope, call) => {
  const channels = call.opset < 7 && slope.numel() > 1 && slope.ndim === 1 && x.ndim > 2;
  const along = channels ? slope.reshape([slope.numel(), ...new Array<number>(x.ndim - 2).fill(1)]) : slope;
  return x.lt(0).where(x.mul(along), x);
});

const selu = inSingle((x, call) => {
  const old = call.opset < 6;
  const alpha = call.float('alpha', old ? 1.6732 : 1.6732632423543772);
  const gamma = call.float('gamma', old ? 1.0507 : 1.0507009873554805);
  return x.gt(0).where(x, x.expm1().mul(alpha)).mul(gamma);
});

const isInf: Rule = call => {
  const x = call.x(0);
  const none = x.ne(x).logicalAnd(x.eq(x));
  if (MINI_FLOATS[call.type(0)]?.infinity === false) return none;
  const [negative, positive] = [call.flag('detect_negative', true), call.flag('detect_positive', true)];
  if (negative && positive) return x.isinf();
  return positive ? x.isposinf() : negative ? x.isneginf() : none;
};

/** Integers are compared as real numbers: -lambd is none of an unsigned type. */
const shrink = unary((x, call) => {
  const [lambd, bias] = [call.float('lambd', 0.5), call.float('bias', 0)];
  const real = isFloat(x.dtype) ? x : x.to('f64');
  return real.lt(-lambd).where(real.add(bias), real.gt(lambd).where(real.sub(bias), 0));
});

const where: Rule = call => {
  const condition = call.x(0);
  if (!call.isString(1)) return typed(condition.where(call.x(1), call.x(2)), call.type(1));
  const [a, b] = [call.stringTensor(1), call.stringTensor(2)];
  const index = (shape: readonly number[], from: number): Tensor => {
    const n = shape.reduce((p, q) => p * q, 1);
    return Tensor.from(
      Int32Array.from({ length: n }, (_, i) => from + i),
      { shape },
    );
  };
  const picked = condition.where(index(a.shape, 0), index(b.shape, a.strings.length));
  const all = [...a.strings, ...b.strings];
  const positions = call.data(picked, 0) as Int32Array;
  return { kind: 'strings', shape: picked.shape, strings: Array.from(positions, i => all[i]!) };
};

const notANumber: Rule = call => {
  const x = call.x(0);
  return isFloat(x.dtype) ? x.isnan() : x.ne(x);
};

const identity: Rule = call => call.value(0);

const gelu = inSingle((x, call) => F.gelu(x, { approximate: call.choice('approximate', ['none', 'tanh'], 'none') }));

const swish = inSingle((x, call) => x.mul(x.mul(call.float('alpha', 1)).sigmoid()));

const hardSigmoid = unary((x, call) => x.mul(call.float('alpha', 0.2)).add(call.float('beta', 0.5)).clamp(0, 1));

const signOf = (x: Tensor): Tensor => x.sign();

export const elementwise: OperatorTable = {
  Abs: unary(x => x.abs()),
  Acos: inSingle(x => x.acos()),
  Acosh: inSingle(x => x.acosh()),
  Add: binary((a, b) => a.add(b)),
  And: logical((a, b) => a.logicalAnd(b)),
  Asin: inSingle(x => x.asin()),
  Asinh: inSingle(x => x.asinh()),
  Atan: inSingle(x => x.atan()),
  Atanh: inSingle(x => x.atanh()),
  BitShift: bitShift,
  BitwiseAnd: binary((a, b) => a.bitwiseAnd(b)),
  BitwiseNot: unary(x => x.bitwiseNot()),
  BitwiseOr: binary((a, b) => a.bitwiseOr(b)),
  BitwiseXor: binary((a, b) => a.bitwiseXor(b)),
  Ceil: unary(x => x.ceil()),
  Celu: inSingle((x, call) => F.celu(x, { alpha: call.float('alpha', 1) })),
  Clip: clip,
  Cos: inSingle(x => x.cos()),
  Cosh: inSingle(x => x.cosh()),
  Div: binary(divide),
  Elu: inSingle((x, call) => x.gt(0).where(x, x.expm1().mul(call.float('alpha', 1)))),
  Equal: equal,
  Erf: inSingle(x => x.erf()),
  Exp: inSingle(x => x.exp()),
  Floor: unary(x => x.floor()),
  Gelu: gelu,
  Greater: compare((a, b) => a.gt(b)),
  GreaterOrEqual: compare((a, b) => a.ge(b)),
  HardSigmoid: hardSigmoid,
  HardSwish: unary(x => x.mul(x.div(6).add(0.5).clamp(0, 1))),
  Identity: identity,
  IsInf: isInf,
  IsNaN: notANumber,
  LeakyRelu: leakyRelu,
  Less: compare((a, b) => a.lt(b)),
  LessOrEqual: compare((a, b) => a.le(b)),
  Log: inSingle(x => x.log()),
  Max: variadic((a, b) => a.maximum(b)),
  Mean: variadic(
    (a, b) => a.add(b),
    (total, count) => total.div(count),
  ),
  Min: variadic((a, b) => a.minimum(b)),
  Mish: inSingle(x => functional.mish(x)),
  Mod: modulo,
  Mul: binary((a, b) => a.mul(b)),
  Neg: unary(x => x.neg()),
  Not: call => call.x(0).logicalNot(),
  Or: logical((a, b) => a.logicalOr(b)),
  PRelu: prelu,
  Pow: power,
  Reciprocal: unary(x => x.reciprocal()),
  Relu: unary(x => x.relu()),
  Round: unary(x => x.round()),
  Selu: selu,
  Shrink: shrink,
  Sigmoid: inSingle(x => x.sigmoid()),
  Sign: unary(signOf),
  Sin: inSingle(x => x.sin()),
  Sinh: inSingle(x => x.sinh()),
  Softplus: inSingle(x => F.softplus(x)),
  Softsign: unary(x => x.div(x.abs().add(1))),
  Sqrt: inSingle(x => x.sqrt()),
  Sub: binary((a, b) => a.sub(b)),
  Sum: variadic((a, b) => a.add(b)),
  Swish: swish,
  Tan: inSingle(x => x.tan()),
  Tanh: inSingle(x => x.tanh()),
  ThresholdedRelu: unary((x, call) => x.gt(call.float('alpha', 1)).where(x, 0)),
  Where: where,
  Xor: logical((a, b) => a.logicalXor(b)),
};
