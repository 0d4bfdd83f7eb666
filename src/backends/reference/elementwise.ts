/**
 * What elementwise primitives mean: on floats as f64 (the store rounds), on 32-bit and narrower integers (the store
 * wraps), and on i64 as bigints. Total tables, so that a new function cannot be forgotten.
 */
import { type DType, isFloat } from '../../graph/dtype.ts';
import type { Binary, Compare, Unary } from '../../graph/node.ts';
import { digamma, erf, lgamma } from './special.ts';

type Table<Fn extends string, F> = { readonly [K in Fn]: F };

const notDefined = (fn: string, on: string) => (): never => {
  throw new Error(`internal: ${fn} is not defined on ${on}`);
};

/** Nearest whole number, halves to the even one; -0.3 gives -0. */
function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest < 0.5 || (rest === 0.5 && below % 2 === 0)) return below === 0 && Object.is(Math.sign(x), -0) ? -0 : below;
  return below === -1 ? -0 : below + 1;
}

const FLOAT_UNARY: Table<Unary, (x: number) => number> = {
  neg: x => -x,
  abs: Math.abs,
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  round: roundHalfEven,
  sqrt: Math.sqrt,
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  tanh: Math.tanh,
  sigmoid: x => 1 / (1 + Math.exp(-x)),
  erf,
  atan: Math.atan,
  lgamma,
  digamma,
  not: notDefined('not', 'floats'),
};

const onFloatsOnly = (fn: string) => notDefined(fn, 'integers');

/** Functions whose values are no integers. */
const ON_FLOATS_ONLY = {
  sqrt: onFloatsOnly('sqrt'),
  exp: onFloatsOnly('exp'),
  expm1: onFloatsOnly('expm1'),
  log: onFloatsOnly('log'),
  log1p: onFloatsOnly('log1p'),
  sin: onFloatsOnly('sin'),
  cos: onFloatsOnly('cos'),
  tan: onFloatsOnly('tan'),
  tanh: onFloatsOnly('tanh'),
  sigmoid: onFloatsOnly('sigmoid'),
  erf: onFloatsOnly('erf'),
  atan: onFloatsOnly('atan'),
  lgamma: onFloatsOnly('lgamma'),
  digamma: onFloatsOnly('digamma'),
} satisfies Partial<Table<Unary, () => never>>;

const INT_UNARY: Table<Unary, (x: number) => number> = {
  neg: x => -x,
  abs: Math.abs,
  sign: Math.sign,
  floor: x => x,
  ceil: x => x,
  trunc: x => x,
  round: x => x,
  ...ON_FLOATS_ONLY,
  not: x => ~x,
};

const BIG_UNARY: Table<Unary, (x: bigint) => bigint> = {
  neg: x => -x,
  abs: x => (x < 0n ? -x : x),
  sign: x => (x > 0n ? 1n : x < 0n ? -1n : 0n),
  floor: x => x,
  ceil: x => x,
  trunc: x => x,
  round: x => x,
  ...ON_FLOATS_ONLY,
  not: x => ~x,
};

/** x - y * floor(x / y), exact before the store rounds; the divisor's sign. */
function floatMod(x: number, y: number): number {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

/** The floor of the quotient, from the exact remainder, so that no quotient rounds up to the next whole number. */
function floatFloorDiv(x: number, y: number): number {
  const quotient = x / y;
  if (y === 0) return quotient;
  const whole = roundHalfEven((x - floatMod(x, y)) / y);
  return whole === 0 ? (quotient < 0 || Object.is(quotient, -0) ? -0 : 0) : whole;
}

/** C's pow: unlike JavaScript's, 1 to anything is 1 and -1 to an infinity is 1. */
const floatPow = (x: number, y: number): number =>
  x === 1 || (x === -1 && Math.abs(y) === Number.POSITIVE_INFINITY) ? 1 : x ** y;

const FLOAT_BINARY: Table<Binary, (x: number, y: number) => number> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  floorDiv: floatFloorDiv,
  mod: floatMod,
  pow: floatPow,
  atan2: Math.atan2,
  min: Math.min,
  max: Math.max,
  and: notDefined('and', 'floats'),
  or: notDefined('or', 'floats'),
  xor: notDefined('xor', 'floats'),
  shl: notDefined('shl', 'floats'),
  shr: notDefined('shr', 'floats'),
};

const BIG_BINARY: Table<Binary, (x: bigint, y: bigint) => bigint> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => (y === 0n ? 0n : x / y),
  floorDiv: (x, y) => (y === 0n ? 0n : (x - BIG_BINARY.mod(x, y)) / y),
  mod(x, y) {
    if (y === 0n) return 0n;
    const rest = x % y;
    return rest !== 0n && rest < 0n !== y < 0n ? rest + y : rest;
  },
  /** A negative exponent gives the truncated reciprocal. */
  pow(x, y) {
    if (y < 0n) return x === 1n ? 1n : x === -1n ? (y % 2n === 0n ? 1n : -1n) : 0n;
    let result = 1n;
    for (let base = x, rest = y; rest > 0n; rest >>= 1n) {
      if (rest & 1n) result = BigInt.asIntN(64, result * base);
      base = BigInt.asIntN(64, base * base);
    }
    return result;
  },
  atan2: onFloatsOnly('atan2'),
  min(x, y) {
    if (y < x) return y;
    return x;
  },
  max(x, y) {
    if (y > x) return y;
    return x;
  },
  and: (x, y) => x & y,
  or: (x, y) => x | y,
  xor: (x, y) => x ^ y,
  /** Counts outside the width shift everything out. */
  shl: (x, y) => (y < 0n || y > 63n ? 0n : x << y),
  shr: (x, y) => x >> (y < 0n || y > 63n ? 63n : y),
};

/** Integers up to 32 bits, by way of the exact 64-bit results; `width` is their size in bits. */
const intBinary = (fn: Binary, width: number): ((x: number, y: number) => number) => {
  switch (fn) {
    case 'add':
      return (x, y) => x + y;
    case 'sub':
      return (x, y) => x - y;
    case 'mul':
      return Math.imul;
    case 'min':
      return Math.min;
    case 'max':
      return Math.max;
    case 'and':
      return (x, y) => x & y;
    case 'or':
      return (x, y) => x | y;
    case 'xor':
      return (x, y) => x ^ y;
    case 'shl':
      return (x, y) => (y < 0 || y >= width ? 0 : x << y);
    case 'shr':
      return (x, y) => x >> (y < 0 || y >= width ? 31 : y);
    default:
      return (x, y) => Number(BigInt.asIntN(32, BIG_BINARY[fn](BigInt(x), BigInt(y))));
  }
};

const BOOL_BINARY: Partial<Table<Binary, (x: number, y: number) => number>> = {
  and: (x, y) => x & y,
  mul: (x, y) => x & y,
  min: (x, y) => x & y,
  or: (x, y) => x | y,
  add: (x, y) => x | y,
  max: (x, y) => x | y,
  xor: (x, y) => x ^ y,
};

const WIDTH: Partial<Record<DType, number>> = { u8: 8, i8: 8, i32: 32 };

/** A unary function on values of any dtype but i64. */
export function numberUnary(fn: Unary, dtype: DType): (x: number) => number {
  if (isFloat(dtype)) return FLOAT_UNARY[fn];
  if (dtype === 'bool') return fn === 'not' ? x => 1 - x : INT_UNARY[fn];
  return INT_UNARY[fn];
}

export const bigUnary = (fn: Unary): ((x: bigint) => bigint) => BIG_UNARY[fn];

/** A binary function on values of any dtype but i64. */
export function numberBinary(fn: Binary, dtype: DType): (x: number, y: number) => number {
  if (isFloat(dtype)) return FLOAT_BINARY[fn];
  if (dtype === 'bool') return BOOL_BINARY[fn] ?? notDefined(fn, 'bool');
  return intBinary(fn, WIDTH[dtype]!);
}

export const bigBinary = (fn: Binary): ((x: bigint, y: bigint) => bigint) => BIG_BINARY[fn];

export const COMPARISONS: Table<Compare, <T extends number | bigint>(x: T, y: T) => boolean> = {
  eq: (x, y) => x === y,
  lt: (x, y) => x < y,
  le: (x, y) => x <= y,
};

const LARGEST = { i32: 2 ** 31 - 1, i64: 2n ** 63n - 1n } as const;

/** Float to i32: towards zero, saturating, NaN to 0. */
const toI32 = (x: number): number =>
  Number.isNaN(x) ? 0 : Math.max(-LARGEST.i32 - 1, Math.min(LARGEST.i32, Math.trunc(x)));

/** Float to i64: the same. */
function toI64(x: number): bigint {
  if (Number.isNaN(x)) return 0n;
  if (x >= 2 ** 63) return LARGEST.i64;
  return x < -(2 ** 63) ? -LARGEST.i64 - 1n : BigInt(Math.trunc(x));
}

/** Numeric conversion of one element; narrow integers wrap and floats round when stored. */
export function castElement(from: DType, to: DType): (x: number | bigint) => number | bigint {
  if (to === 'bool') return x => (x === 0 || x === 0n ? 0 : 1);
  if (to === 'i64') return isFloat(from) ? x => toI64(x as number) : x => BigInt(x);
  if (from === 'i64') return isFloat(to) ? Number : x => Number(BigInt.asIntN(32, x as bigint));
  return isFloat(from) && !isFloat(to) ? x => toI32(x as number) : x => x;
}
