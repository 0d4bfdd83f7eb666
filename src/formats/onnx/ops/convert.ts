/**
 * Conversions between element types: Cast, CastLike, BitCast. Integers wrap, small floats round to nearest even and
 * saturate unless told otherwise, strings are parsed and printed as Python does.
 */

import { data } from '../../../graph/build.ts';
import { isFloat } from '../../../graph/dtype.ts';
import { Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { type ElementType, isNumeric, type NumericType, TYPES, typeOfCode } from '../elementTypes.ts';
import { MINI_FLOATS, scaleRound } from '../minifloat.ts';
import { bytesFromElements, elementsFromBytes, numbersOf, tensorOf } from '../tensorData.ts';
import { strings, typed, type Value } from '../values.ts';
import { bitcast, fitTo, roundToMini } from '../wrap.ts';

/** How numbers print: as numpy's str, so whole floats keep a point. */
function printed(value: number | bigint, type: NumericType): string {
  if (type === 'bool') return value ? 'True' : 'False';
  if (TYPES[type].kind !== 'float') return String(value);
  const number = Number(value);
  if (Number.isNaN(number)) return 'NaN';
  if (!Number.isFinite(number)) return number > 0 ? 'INF' : '-INF';
  // The shortest decimal that gives the f32 back; doubles print themselves.
  if (type === 'double') return String(number);
  for (let digits = 1; digits <= 17; digits++) {
    const text = Number(number.toPrecision(digits));
    if (Math.fround(text) === Math.fround(number)) return String(text);
  }
  return String(number);
}

function parsed(text: string, call: Call): number {
  const word = text.trim().toLowerCase();
  if (/^[+-]?(inf|infinity)$/.test(word))
    return word.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (word === 'nan') return Number.NaN;
  if (word === 'true' || word === 'false') return Number(word === 'true');
  const value = Number(word);
  return word !== '' && !Number.isNaN(value) ? value : call.fail(`the string "${text}" is no number`);
}

/** A numeric tensor as another numeric type. */
function castTensor(x: Tensor, from: NumericType, to: NumericType, call: Call): Tensor {
  const mini = MINI_FLOATS[to];
  const saturate = call.flag('saturate', true);
  if (mini) return roundToMini(mini, x, saturate);
  if (to === 'float8e8m0') {
    const mode = call.choice('round_mode', ['up', 'down', 'nearest'], 'up');
    const values = numbersOf(call.data(x.to('f32'), 0), 'f32');
    return tensorOf(
      values.map(value => scaleRound(value, saturate, mode)),
      x.shape,
      'f32',
    );
  }
  const source = TYPES[from];
  const target = TYPES[to];
  if (to === 'bool') return x.ne(0);
  // u64 beyond 2^63 is negative in i64.
  if (from === 'uint64' && target.kind === 'float') {
    const double = x.to('f64');
    return x
      .lt(0)
      .where(double.add(2 ** 64), double)
      .to(target.dtype);
  }
  if (source.kind === 'float' && target.kind !== 'float') {
    // Through i64, so that what is out of range wraps as C's conversions of the wide type do.
    const whole = isFloat(x.dtype) ? x.to('f64').trunc() : x;
    if (to === 'uint64') {
      const high = whole.ge(2 ** 63);
      return high.where(whole.sub(2 ** 64), whole).to('i64');
    }
    return fitTo(to, whole.to('i64'));
  }
  return fitTo(to, x);
}

function castTo(value: Value, to: ElementType, call: Call): Value {
  if (value.kind === 'strings') {
    if (to === 'string') return value;
    if (!isNumeric(to)) return call.fail(`to ${to} is not supported`);
    const whole = TYPES[to].kind === 'int' || TYPES[to].kind === 'uint';
    const numbers = value.strings.map(text => parsed(text, call));
    return typed(
      castTensor(tensorOf(numbers, value.shape, whole ? 'i64' : 'f64'), whole ? 'int64' : 'double', to, call),
      to,
    );
  }
  if (value.kind !== 'tensor') return call.fail('expected a tensor');
  if (to === 'string') {
    const { tensor, type } = value;
    const host = call.data(tensor, 0);
    const numbers = host instanceof BigInt64Array ? Array.from(host) : numbersOf(host, tensor.dtype);
    return strings(
      numbers.map(number => printed(number, type)),
      tensor.shape,
    );
  }
  if (!isNumeric(to)) return call.fail(`to ${to} is not supported`);
  if (to === value.type) return value;
  return typed(castTensor(value.tensor, value.type, to, call), to);
}

function targetType(call: Call): ElementType {
  const found = call.attribute('to') ?? call.fail('attribute to is missing');
  // Opset 1 names the type.
  if (found.s.length > 0) return call.text('to').toLowerCase() as ElementType;
  return typeOfCode(Number(found.i)) ?? call.fail(`to: element type ${found.i} is unknown`);
}

const cast: Rule = call => castTo(call.value(0), targetType(call), call);

const castLike: Rule = call => {
  const like = call.value(1);
  const type =
    like.kind === 'strings' ? 'string' : like.kind === 'tensor' ? like.type : call.fail('expected a tensor to be like');
  return castTo(call.value(0), type, call);
};

const BITCASTS: Readonly<Record<string, string>> = { f32: 'i32', i32: 'f32', f64: 'i64', i64: 'f64' };

const bitCast: Rule = call => {
  const to = targetType(call);
  const from = call.type(0);
  if (!isNumeric(to)) return call.fail(`to ${to} is not supported`);
  const x = call.x(0);
  const { dtype, bits } = TYPES[to];
  if (bits !== TYPES[from].bits) call.fail(`${from} has ${TYPES[from].bits} bits, ${to} ${bits}`);
  const whole = (type: NumericType): boolean => TYPES[type].bits === (TYPES[type].dtype.endsWith('64') ? 64 : 32);
  if (whole(from) && whole(to)) {
    if (x.dtype === dtype) return typed(x, to);
    if (BITCASTS[x.dtype] === dtype) return typed(bitcast(x, dtype as 'i32'), to);
  }
  const bytes = new Uint8Array(bytesFromElements(call.data(x, 0), from));
  return typed(new Tensor(data(elementsFromBytes(bytes, to, x.numel()), x.shape, dtype)), to);
};

export const convert: OperatorTable = { BitCast: bitCast, Cast: cast, CastLike: castLike };
