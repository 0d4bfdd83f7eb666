/**
 * How value-making instructions get at their operands, and literals. What lies behind `Operands` is in emit-values.ts.
 */
import type { Inst, Reg, RegType } from '../../compiler/loops.ts';
import type { FunctionWriter } from './function-writer.ts';

/** How a value-making instruction gets at its operands. */
export interface Operands {
  readonly writer: FunctionWriter;
  /** Whether `fma` may be one relaxed madd. */
  readonly relaxedMadd: boolean;
  /** Pushes the value; this was its one use by the instruction. */
  use(reg: Reg): void;
  /** Makes the value readable any number of times through `peek`, until `done`. */
  hold(reg: Reg): void;
  peek(reg: Reg): void;
  done(reg: Reg): void;
  /** Counts the use as done without pushing anything. */
  drop(reg: Reg): void;
  /** The only instruction that writes the register, if there is one. */
  definition(reg: Reg): Inst | undefined;
}

/** Pushes a constant of the register's type. */
export function pushConstant(w: FunctionWriter, type: RegType, value: number | bigint): void {
  if (type.lanes === 1) {
    if (type.scalar === 'mask') w.i32(Number(value) === 0 ? 0 : 1);
    else if (type.scalar === 'i64') w.i64(BigInt(value));
    else if (type.scalar === 'f32') w.f32(Number(value));
    else if (type.scalar === 'f64') w.f64(Number(value));
    else w.i32(Number(value));
    return;
  }
  if (type.scalar === 'mask') w.splatBits(Number(value) === 0 ? 0 : -1);
  else if (type.scalar === 'i64') w.splatBits(BigInt(value));
  else if (type.scalar === 'f32') w.splatBits(floatBits(Number(value)));
  else if (type.scalar === 'f64') w.splatBits(doubleBits(Number(value)));
  else w.splatBits(Number(value));
}

const bits = new DataView(new ArrayBuffer(8));

function floatBits(value: number): number {
  bits.setFloat32(0, value);
  return bits.getInt32(0);
}

function doubleBits(value: number): bigint {
  bits.setFloat64(0, value);
  return bits.getBigInt64(0);
}
