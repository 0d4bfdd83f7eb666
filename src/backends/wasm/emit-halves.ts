/**
 * Half floats, which WebAssembly has none of: their bits from f32 and back, by integer arithmetic, one at a time and in
 * four lanes. Bits agree with graph/half.ts.
 */
import type { FunctionWriter } from './function-writer.ts';
import { OP, SIMD } from './opcodes.ts';

/** The f16 whose bits are the i32 on the stack, as f32: exact, subnormals and infinities included. */
export function f16ToF32(w: FunctionWriter): void {
  const half = w.allocate('i32');
  const value = w.allocate('f32');
  w.set(half);
  // Exponent and fraction in place, then the exponent's bias (127 - 15) made up by an exact product.
  w.get(half);
  w.i32(0x7fff);
  w.op(OP.i32And);
  w.i32(13);
  w.op(OP.i32Shl);
  w.op(OP.f32ReinterpretI32);
  w.f32(2 ** 112);
  w.op(OP.f32Mul);
  w.set(value);
  // The largest exponent stands for infinity and NaN.
  w.get(value);
  w.op(OP.i32ReinterpretF32);
  w.i32(0x7f800000);
  w.i32(0);
  w.get(value);
  w.f32(65536);
  w.op(OP.f32Ge);
  w.op(OP.select);
  w.op(OP.i32Or);
  w.get(half);
  w.i32(0x8000);
  w.op(OP.i32And);
  w.i32(16);
  w.op(OP.i32Shl);
  w.op(OP.i32Or);
  w.op(OP.f32ReinterpretI32);
  w.release(half);
  w.release(value);
}

/** `f16ToF32` on four lanes. */
export function f16x4ToF32x4(w: FunctionWriter): void {
  const half = w.allocate('v128');
  const value = w.allocate('v128');
  w.set(half);
  w.get(half);
  w.splatBits(0x7fff);
  w.simd(SIMD.and);
  w.i32(13);
  w.simd(SIMD.i32x4Shl);
  w.splatBits(0x77800000);
  w.simd(SIMD.f32x4Mul);
  w.set(value);
  w.get(value);
  w.get(value);
  w.splatBits(0x47800000);
  w.simd(SIMD.f32x4Ge);
  w.splatBits(0x7f800000);
  w.simd(SIMD.and);
  w.simd(SIMD.or);
  w.get(half);
  w.splatBits(0x8000);
  w.simd(SIMD.and);
  w.i32(16);
  w.simd(SIMD.i32x4Shl);
  w.simd(SIMD.or);
  w.release(half);
  w.release(value);
}

/** The bits of the f32 on the stack as bf16, rounded to nearest even, NaN kept a NaN. */
export function bf16FromF32(w: FunctionWriter): void {
  const x = w.allocate('i32');
  w.op(OP.i32ReinterpretF32);
  w.set(x);
  // NaN: upper half with the quiet bit.
  w.get(x);
  w.i32(16);
  w.op(OP.i32ShrU);
  w.i32(0x40);
  w.op(OP.i32Or);
  // Else (x + 0x7fff + lowest kept bit) >> 16.
  w.get(x);
  w.i32(0x7fff);
  w.op(OP.i32Add);
  w.get(x);
  w.i32(16);
  w.op(OP.i32ShrU);
  w.i32(1);
  w.op(OP.i32And);
  w.op(OP.i32Add);
  w.i32(16);
  w.op(OP.i32ShrU);
  w.get(x);
  w.i32(0x7fffffff);
  w.op(OP.i32And);
  w.i32(0x7f800000);
  w.op(OP.i32GtU);
  w.op(OP.select);
  w.release(x);
}

/** The bits of the f32 on the stack as f16, rounded to nearest even. */
export function f16FromF32(w: FunctionWriter): void {
  const x = w.allocate('i32');
  const m = w.allocate('i32');
  w.op(OP.i32ReinterpretF32);
  w.set(x);
  w.get(x);
  w.i32(0x7fffffff);
  w.op(OP.i32And);
  w.set(m);
  // Infinity for what is too large, NaN for NaN.
  w.i32(0x7e00);
  w.i32(0x7c00);
  w.get(m);
  w.i32(0x7f800000);
  w.op(OP.i32GtU);
  w.op(OP.select);
  // Normal: rebias, round the 13 bits that go.
  w.get(m);
  w.i32(0xfff - 0x38000000);
  w.op(OP.i32Add);
  w.get(m);
  w.i32(13);
  w.op(OP.i32ShrU);
  w.i32(1);
  w.op(OP.i32And);
  w.op(OP.i32Add);
  w.i32(13);
  w.op(OP.i32ShrU);
  // Subnormal: one unit in the last place of 0.5 is 2^-24, so the addition rounds.
  w.get(m);
  w.op(OP.f32ReinterpretI32);
  w.f32(0.5);
  w.op(OP.f32Add);
  w.op(OP.i32ReinterpretF32);
  w.i32(0x3f000000);
  w.op(OP.i32Sub);
  w.get(m);
  w.i32(0x38800000);
  w.op(OP.i32GeU);
  w.op(OP.select);
  w.get(m);
  w.i32(0x477ff000);
  w.op(OP.i32GeU);
  w.op(OP.select);
  w.get(x);
  w.i32(16);
  w.op(OP.i32ShrU);
  w.i32(0x8000);
  w.op(OP.i32And);
  w.op(OP.i32Or);
  w.release(x);
  w.release(m);
}

/** `bf16FromF32` on four lanes, in 32-bit lanes. */
export function bf16x4FromF32x4(w: FunctionWriter): void {
  const x = w.allocate('v128');
  w.set(x);
  w.get(x);
  w.i32(16);
  w.simd(SIMD.i32x4ShrU);
  w.splatBits(0x40);
  w.simd(SIMD.or);
  w.get(x);
  w.splatBits(0x7fff);
  w.simd(SIMD.i32x4Add);
  w.get(x);
  w.i32(16);
  w.simd(SIMD.i32x4ShrU);
  w.splatBits(1);
  w.simd(SIMD.and);
  w.simd(SIMD.i32x4Add);
  w.i32(16);
  w.simd(SIMD.i32x4ShrU);
  w.get(x);
  w.get(x);
  w.simd(SIMD.f32x4Ne);
  w.simd(SIMD.bitselect);
  w.release(x);
}

/** `f16FromF32` on four lanes, in 32-bit lanes. */
export function f16x4FromF32x4(w: FunctionWriter): void {
  const x = w.allocate('v128');
  const m = w.allocate('v128');
  w.set(x);
  w.get(x);
  w.splatBits(0x7fffffff);
  w.simd(SIMD.and);
  w.set(m);
  // 0x7c00, or 0x7e00 for NaN.
  w.get(x);
  w.get(x);
  w.simd(SIMD.f32x4Ne);
  w.splatBits(0x200);
  w.simd(SIMD.and);
  w.splatBits(0x7c00);
  w.simd(SIMD.or);
  w.get(m);
  w.splatBits(0xfff - 0x38000000);
  w.simd(SIMD.i32x4Add);
  w.get(m);
  w.i32(13);
  w.simd(SIMD.i32x4ShrU);
  w.splatBits(1);
  w.simd(SIMD.and);
  w.simd(SIMD.i32x4Add);
  w.i32(13);
  w.simd(SIMD.i32x4ShrU);
  w.get(m);
  w.splatBits(0x3f000000);
  w.simd(SIMD.f32x4Add);
  w.splatBits(0x3f000000);
  w.simd(SIMD.i32x4Sub);
  // Magnitudes are not negative as signed integers either.
  w.get(m);
  w.splatBits(0x38800000);
  w.simd(SIMD.i32x4GeS);
  w.simd(SIMD.bitselect);
  w.get(m);
  w.splatBits(0x477ff000);
  w.simd(SIMD.i32x4GeS);
  w.simd(SIMD.bitselect);
  w.get(x);
  w.i32(16);
  w.simd(SIMD.i32x4ShrU);
  w.splatBits(0x8000);
  w.simd(SIMD.and);
  w.simd(SIMD.or);
  w.release(x);
  w.release(m);
}
