/**
 * How values of each dtype live in registers, and the way between registers and memory: bool is a mask, u8 and i8 are
 * wrapped i32, f16 and bf16 are rounded f32, the others are themselves. May import the loop IR and dtypes; knows
 * nothing of operations.
 */
import type { DType } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Reg, registerScalar, type Scalar } from '../loops.ts';
import { roundToBf16, roundToF16 } from './half.ts';

/** The register type a value of `dtype` is held in between operations: as `registerScalar`, and `mask` for bool. */
export const valueScalar = (dtype: DType): Scalar => (dtype === 'bool' ? 'mask' : registerScalar(dtype));

/** A value from what `load` gave: only bool changes, from i32 to mask. */
export function fromMemory(b: LoopBuilder, dtype: DType, loaded: Reg): Reg {
  return dtype === 'bool' ? b.cmp('ne', loaded, b.const('i32', 0, loaded.type.lanes)) : loaded;
}

/** What `store` takes, from a value: only bool changes, from mask to i32 of 0 or 1. */
export function toMemory(b: LoopBuilder, dtype: DType, value: Reg): Reg {
  return dtype === 'bool' ? b.cvt('i32', value) : value;
}

/** Loads `lanes` consecutive values of `dtype` at p + offset bytes. */
export function loadValue(b: LoopBuilder, dtype: DType, p: Reg, offset = 0, lanes = 1): Reg {
  return fromMemory(b, dtype, b.load(dtype, p, offset, lanes));
}

/** Stores a value (all its lanes) of `dtype` at p + offset bytes. */
export function storeValue(b: LoopBuilder, dtype: DType, p: Reg, value: Reg, offset = 0): void {
  b.store(dtype, p, toMemory(b, dtype, value), offset);
}

/** The value `literal` of `dtype` in every lane; the literal is already exact in the dtype. */
export function constantValue(b: LoopBuilder, dtype: DType, literal: number | bigint, lanes = 1): Reg {
  const scalar = valueScalar(dtype);
  if (scalar === 'mask') return b.const('mask', Number(literal) !== 0 ? 1 : 0, lanes);
  return b.const(scalar, scalar === 'i64' ? BigInt(literal) : Number(literal), lanes);
}

/** Brings the raw result of an operation back to the values of `dtype`: wraps narrow integers, rounds half floats. */
export function settle(b: LoopBuilder, dtype: DType, raw: Reg): Reg {
  const lanes = raw.type.lanes;
  switch (dtype) {
    case 'u8':
      return b.bin('and', raw, b.const('i32', 255, lanes));
    case 'i8': {
      const count = b.const('i32', 24, lanes);
      return b.bin('shrS', b.bin('shl', raw, count), count);
    }
    case 'f16':
      return roundToF16(b, raw);
    case 'bf16':
      return roundToBf16(b, raw);
    default:
      return raw;
  }
}
