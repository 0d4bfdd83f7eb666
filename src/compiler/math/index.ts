/**
 * Elementwise operations in loop IR, for any number of lanes: what each graph primitive means, once for every backend.
 * Values come and go as values.ts says. May import the loop IR and the graph's names; knows nothing of kernels, memory
 * plans or machines.
 */
import { type DType, isFloat } from '../../graph/dtype.ts';
import type { Binary, Compare, Unary } from '../../graph/node.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { divide, floorDivide, integerPower, larger, modulo, shift, smaller } from './integers.ts';
import { floatFloorDivide, floatModulo } from './remainder.ts';
import { scopeOf } from './scope.ts';
import { transcendental, transcendental2 } from './transcendental.ts';
import { constantValue, settle, valueScalar } from './values.ts';

export { constantValue, fromMemory, loadValue, settle, storeValue, toMemory, valueScalar } from './values.ts';

const never = (what: string, dtype: DType): never => {
  throw new Error(`internal: ${what} is not defined on ${dtype}`);
};

/** x > 0 gives 1, x < 0 gives -1, zeros and NaN stay. */
function floatSign(b: LoopBuilder, x: Reg): Reg {
  const s = scopeOf(b, x);
  const nonzero = b.bin('or', b.cmp('lt', x, s.c(0)), b.cmp('gt', x, s.c(0)));
  return b.select(nonzero, b.bin('copysign', s.c(1), x), x);
}

function floatUnary(b: LoopBuilder, fn: Unary, dtype: DType, x: Reg): Reg {
  switch (fn) {
    case 'neg':
    case 'abs':
    case 'floor':
    case 'ceil':
    case 'trunc':
      return b.un(fn, x);
    case 'round':
      return b.un('nearest', x);
    case 'sign':
      return floatSign(b, x);
    case 'sqrt':
      return settle(b, dtype, b.un('sqrt', x));
    case 'not':
      return never(fn, dtype);
    default:
      return settle(b, dtype, transcendental(b, fn, x));
  }
}

function integerUnary(b: LoopBuilder, fn: Unary, dtype: DType, x: Reg): Reg {
  switch (fn) {
    case 'neg':
    case 'abs':
    case 'not':
      return settle(b, dtype, b.un(fn, x));
    case 'floor':
    case 'ceil':
    case 'trunc':
    case 'round':
      return x;
    case 'sign': {
      const { lanes } = x.type;
      const zero = constantValue(b, dtype, 0, lanes);
      const negative = b.select(b.cmp('lt', x, zero), constantValue(b, dtype, dtype === 'u8' ? 0 : -1, lanes), zero);
      return b.select(b.cmp('gt', x, zero), constantValue(b, dtype, 1, lanes), negative);
    }
    default:
      return never(fn, dtype);
  }
}

/**
 * A unary primitive on a value of `dtype`; same dtype out. Floats follow IEEE 754 (sign(NaN) is NaN, round is half to
 * even); integers wrap.
 */
export function lowerUnary(b: LoopBuilder, fn: Unary, dtype: DType, x: Reg): Reg {
  if (dtype === 'bool') return fn === 'not' ? b.un('not', x) : fn === 'abs' || fn === 'sign' ? x : never(fn, dtype);
  return isFloat(dtype) ? floatUnary(b, fn, dtype, x) : integerUnary(b, fn, dtype, x);
}

function boolBinary(b: LoopBuilder, fn: Binary, x: Reg, y: Reg): Reg {
  switch (fn) {
    case 'and':
    case 'mul':
    case 'min':
      return b.bin('and', x, y);
    case 'or':
    case 'add':
    case 'max':
      return b.bin('or', x, y);
    case 'xor':
      return b.bin('xor', x, y);
    default:
      return never(fn, 'bool');
  }
}

function floatBinary(b: LoopBuilder, fn: Binary, dtype: DType, x: Reg, y: Reg): Reg {
  switch (fn) {
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return settle(b, dtype, b.bin(fn, x, y));
    case 'min':
    case 'max':
      return b.bin(fn, x, y);
    case 'floorDiv':
      return settle(b, dtype, floatFloorDivide(b, x, y));
    case 'mod':
      return settle(b, dtype, floatModulo(b, x, y));
    case 'pow':
    case 'atan2':
      return settle(b, dtype, transcendental2(b, fn, x, y));
    default:
      return never(fn, dtype);
  }
}

const WIDTH: Partial<Record<DType, number>> = { u8: 8, i8: 8, i32: 32, i64: 64 };

function integerBinary(b: LoopBuilder, fn: Binary, dtype: DType, x: Reg, y: Reg): Reg {
  switch (fn) {
    case 'add':
    case 'sub':
    case 'mul':
      return settle(b, dtype, b.bin(fn, x, y));
    case 'and':
    case 'or':
    case 'xor':
      return b.bin(fn, x, y);
    case 'min':
      return smaller(b, x, y);
    case 'max':
      return larger(b, x, y);
    case 'div':
      return settle(b, dtype, divide(b, x, y));
    case 'floorDiv':
      return settle(b, dtype, floorDivide(b, x, y));
    case 'mod':
      return modulo(b, x, y);
    case 'pow':
      return settle(b, dtype, integerPower(b, x, y));
    case 'shl':
      return settle(b, dtype, shift(b, 'shl', x, y, WIDTH[dtype]!));
    case 'shr':
      return shift(b, 'shrS', x, y, WIDTH[dtype]!);
    case 'atan2':
      return never(fn, dtype);
  }
}

/**
 * A binary primitive on two values of `dtype`; same dtype out. Integer division by zero gives 0; float `mod` and
 * `floorDiv` are exact; `min` and `max` propagate NaN; bool takes the logical ones, `add` and `max` as or, `mul` and
 * `min` as and.
 */
export function lowerBinary(b: LoopBuilder, fn: Binary, dtype: DType, x: Reg, y: Reg): Reg {
  if (dtype === 'bool') return boolBinary(b, fn, x, y);
  return isFloat(dtype) ? floatBinary(b, fn, dtype, x, y) : integerBinary(b, fn, dtype, x, y);
}

/** A comparison of two values of `dtype`; a bool value (mask) out. False where an operand is NaN. */
export function lowerCompare(b: LoopBuilder, fn: Compare, dtype: DType, x: Reg, y: Reg): Reg {
  if (dtype !== 'bool') return b.cmp(fn, x, y);
  switch (fn) {
    case 'eq':
      return b.un('not', b.bin('xor', x, y));
    case 'lt':
      return b.bin('andnot', y, x);
    case 'le':
      return b.bin('or', b.un('not', x), y);
  }
}

/** `condition` (a bool value) ? x : y, two values of `dtype`. */
export function lowerWhere(b: LoopBuilder, dtype: DType, condition: Reg, x: Reg, y: Reg): Reg {
  if (dtype !== 'bool') return b.select(condition, x, y);
  return b.bin('or', b.bin('and', x, condition), b.bin('andnot', y, condition));
}

/**
 * Numeric conversion of a value from one dtype to another, lanes kept: float to integer truncates towards zero
 * (saturating i32 and i64, NaN to 0; u8 and i8 wrap what i32 would be), anything to bool is != 0 (NaN is true),
 * narrowing floats round to nearest even.
 */
export function lowerCast(b: LoopBuilder, from: DType, to: DType, x: Reg): Reg {
  if (from === to) return x;
  if (to === 'bool') return b.cmp('ne', x, constantValue(b, from, 0, x.type.lanes));
  const number = from === 'bool' ? b.cvt('i32', x) : x;
  const scalar = valueScalar(to);
  const converted = b.cvt(scalar === 'mask' ? never('cast', to) : scalar, number);
  // What fits is left alone: bool in everything, bytes (8 significant bits at most) in every float type.
  const fits = from === 'bool' || ((from === 'u8' || from === 'i8') && isFloat(to));
  return fits ? converted : settle(b, to, converted);
}

/** The same bits as another dtype of the same width (f32 and i32, f64 and i64). */
export function lowerBitcast(b: LoopBuilder, _from: DType, to: DType, x: Reg): Reg {
  return b.bitcast(to === 'i32' || to === 'f32' || to === 'i64' || to === 'f64' ? to : never('bitcast', to), x);
}
