/**
 * Bytes of modules and instructions against an assembler: each line pairs WebAssembly's text with what `llvm-mc` made
 * of it.
 */
import { describe, expect, it } from 'vitest';
import { Bytes, encodeBody, encodeModule } from '../../../src/backends/wasm/encoder.ts';
import { FunctionWriter } from '../../../src/backends/wasm/function-writer.ts';
import { ATOMIC, OP, SAT, SIMD } from '../../../src/backends/wasm/opcodes.ts';

const hex = (bytes: Uint8Array): string => [...bytes].map(b => b.toString(16).padStart(2, '0')).join(' ');
const bytesOf = (fill: (b: Bytes) => void): string => {
  const b = new Bytes(1);
  fill(b);
  return hex(b.view());
};
const codeOf = (fill: (w: FunctionWriter) => void): string => {
  const w = new FunctionWriter(2);
  fill(w);
  return hex(w.code.view());
};

describe('numbers', () => {
  it('are LEB128, as short as can be', () => {
    expect(bytesOf(b => b.u32(127))).toBe('7f');
    expect(bytesOf(b => b.u32(128))).toBe('80 01');
    expect(bytesOf(b => b.u32(624485))).toBe('e5 8e 26');
    expect(bytesOf(b => b.u32(0xffffffff))).toBe('ff ff ff ff 0f');
    expect(bytesOf(b => b.s32(63))).toBe('3f');
    expect(bytesOf(b => b.s32(64))).toBe('c0 00');
    expect(bytesOf(b => b.s32(-123456))).toBe('c0 bb 78');
    expect(bytesOf(b => b.s32(-(2 ** 31)))).toBe('80 80 80 80 78');
    expect(bytesOf(b => b.s64(-1n))).toBe('7f');
    expect(bytesOf(b => b.s64(1n << 62n))).toBe('80 80 80 80 80 80 80 80 c0 00');
    expect(bytesOf(b => b.s64(-(1n << 63n)))).toBe('80 80 80 80 80 80 80 80 80 7f');
  });
});

/** `llvm-mc -triple=wasm32 -show-encoding -mattr=+simd128,+atomics,+nontrapping-fptoint,+relaxed-simd`, 14.0.6. */
describe('instructions', () => {
  // biome-ignore format: a table
  const cases: readonly (readonly [text: string, encoding: string, fill: (w: FunctionWriter) => void])[] = [
    ['i32.load 8', '28 02 08', w => w.memory(OP.i32Load, 2, 8)],
    ['i64.load 8', '29 03 08', w => w.memory(OP.i64Load, 3, 8)],
    ['f32.load 8', '2a 02 08', w => w.memory(OP.f32Load, 2, 8)],
    ['f64.load 8', '2b 03 08', w => w.memory(OP.f64Load, 3, 8)],
    ['i32.load8_s 8', '2c 00 08', w => w.memory(OP.i32Load8S, 0, 8)],
    ['i32.load8_u 8', '2d 00 08', w => w.memory(OP.i32Load8U, 0, 8)],
    ['i32.load16_u 8', '2f 01 08', w => w.memory(OP.i32Load16U, 1, 8)],
    ['i32.store 8', '36 02 08', w => w.memory(OP.i32Store, 2, 8)],
    ['i64.store 8', '37 03 08', w => w.memory(OP.i64Store, 3, 8)],
    ['f32.store 8', '38 02 08', w => w.memory(OP.f32Store, 2, 8)],
    ['f64.store 8', '39 03 08', w => w.memory(OP.f64Store, 3, 8)],
    ['i32.store8 8', '3a 00 08', w => w.memory(OP.i32Store8, 0, 8)],
    ['i32.store16 8', '3b 01 08', w => w.memory(OP.i32Store16, 1, 8)],
    ['i32.eqz', '45', w => w.op(OP.i32Eqz)],
    ['i32.eq', '46', w => w.op(OP.i32Eq)],
    ['i32.ne', '47', w => w.op(OP.i32Ne)],
    ['i32.lt_s', '48', w => w.op(OP.i32LtS)],
    ['i32.lt_u', '49', w => w.op(OP.i32LtU)],
    ['i32.gt_s', '4a', w => w.op(OP.i32GtS)],
    ['i32.gt_u', '4b', w => w.op(OP.i32GtU)],
    ['i32.le_s', '4c', w => w.op(OP.i32LeS)],
    ['i32.le_u', '4d', w => w.op(OP.i32LeU)],
    ['i32.ge_s', '4e', w => w.op(OP.i32GeS)],
    ['i32.ge_u', '4f', w => w.op(OP.i32GeU)],
    ['i64.eqz', '50', w => w.op(OP.i64Eqz)],
    ['i64.eq', '51', w => w.op(OP.i64Eq)],
    ['i64.ne', '52', w => w.op(OP.i64Ne)],
    ['i64.lt_s', '53', w => w.op(OP.i64LtS)],
    ['i64.lt_u', '54', w => w.op(OP.i64LtU)],
    ['i64.gt_s', '55', w => w.op(OP.i64GtS)],
    ['i64.le_s', '57', w => w.op(OP.i64LeS)],
    ['i64.ge_s', '59', w => w.op(OP.i64GeS)],
    ['f32.eq', '5b', w => w.op(OP.f32Eq)],
    ['f32.ne', '5c', w => w.op(OP.f32Ne)],
    ['f32.lt', '5d', w => w.op(OP.f32Lt)],
    ['f32.gt', '5e', w => w.op(OP.f32Gt)],
    ['f32.le', '5f', w => w.op(OP.f32Le)],
    ['f32.ge', '60', w => w.op(OP.f32Ge)],
    ['f64.eq', '61', w => w.op(OP.f64Eq)],
    ['f64.ne', '62', w => w.op(OP.f64Ne)],
    ['f64.lt', '63', w => w.op(OP.f64Lt)],
    ['f64.gt', '64', w => w.op(OP.f64Gt)],
    ['f64.le', '65', w => w.op(OP.f64Le)],
    ['f64.ge', '66', w => w.op(OP.f64Ge)],
    ['i32.clz', '67', w => w.op(OP.i32Clz)],
    ['i32.add', '6a', w => w.op(OP.i32Add)],
    ['i32.sub', '6b', w => w.op(OP.i32Sub)],
    ['i32.mul', '6c', w => w.op(OP.i32Mul)],
    ['i32.div_s', '6d', w => w.op(OP.i32DivS)],
    ['i32.div_u', '6e', w => w.op(OP.i32DivU)],
    ['i32.rem_s', '6f', w => w.op(OP.i32RemS)],
    ['i32.rem_u', '70', w => w.op(OP.i32RemU)],
    ['i32.and', '71', w => w.op(OP.i32And)],
    ['i32.or', '72', w => w.op(OP.i32Or)],
    ['i32.xor', '73', w => w.op(OP.i32Xor)],
    ['i32.shl', '74', w => w.op(OP.i32Shl)],
    ['i32.shr_s', '75', w => w.op(OP.i32ShrS)],
    ['i32.shr_u', '76', w => w.op(OP.i32ShrU)],
    ['i64.clz', '79', w => w.op(OP.i64Clz)],
    ['i64.add', '7c', w => w.op(OP.i64Add)],
    ['i64.sub', '7d', w => w.op(OP.i64Sub)],
    ['i64.mul', '7e', w => w.op(OP.i64Mul)],
    ['i64.div_s', '7f', w => w.op(OP.i64DivS)],
    ['i64.div_u', '80', w => w.op(OP.i64DivU)],
    ['i64.rem_s', '81', w => w.op(OP.i64RemS)],
    ['i64.rem_u', '82', w => w.op(OP.i64RemU)],
    ['i64.and', '83', w => w.op(OP.i64And)],
    ['i64.or', '84', w => w.op(OP.i64Or)],
    ['i64.xor', '85', w => w.op(OP.i64Xor)],
    ['i64.shl', '86', w => w.op(OP.i64Shl)],
    ['i64.shr_s', '87', w => w.op(OP.i64ShrS)],
    ['i64.shr_u', '88', w => w.op(OP.i64ShrU)],
    ['f32.abs', '8b', w => w.op(OP.f32Abs)],
    ['f32.neg', '8c', w => w.op(OP.f32Neg)],
    ['f32.ceil', '8d', w => w.op(OP.f32Ceil)],
    ['f32.floor', '8e', w => w.op(OP.f32Floor)],
    ['f32.trunc', '8f', w => w.op(OP.f32Trunc)],
    ['f32.nearest', '90', w => w.op(OP.f32Nearest)],
    ['f32.sqrt', '91', w => w.op(OP.f32Sqrt)],
    ['f32.add', '92', w => w.op(OP.f32Add)],
    ['f32.sub', '93', w => w.op(OP.f32Sub)],
    ['f32.mul', '94', w => w.op(OP.f32Mul)],
    ['f32.div', '95', w => w.op(OP.f32Div)],
    ['f32.min', '96', w => w.op(OP.f32Min)],
    ['f32.max', '97', w => w.op(OP.f32Max)],
    ['f32.copysign', '98', w => w.op(OP.f32Copysign)],
    ['f64.abs', '99', w => w.op(OP.f64Abs)],
    ['f64.neg', '9a', w => w.op(OP.f64Neg)],
    ['f64.ceil', '9b', w => w.op(OP.f64Ceil)],
    ['f64.floor', '9c', w => w.op(OP.f64Floor)],
    ['f64.trunc', '9d', w => w.op(OP.f64Trunc)],
    ['f64.nearest', '9e', w => w.op(OP.f64Nearest)],
    ['f64.sqrt', '9f', w => w.op(OP.f64Sqrt)],
    ['f64.add', 'a0', w => w.op(OP.f64Add)],
    ['f64.sub', 'a1', w => w.op(OP.f64Sub)],
    ['f64.mul', 'a2', w => w.op(OP.f64Mul)],
    ['f64.div', 'a3', w => w.op(OP.f64Div)],
    ['f64.min', 'a4', w => w.op(OP.f64Min)],
    ['f64.max', 'a5', w => w.op(OP.f64Max)],
    ['f64.copysign', 'a6', w => w.op(OP.f64Copysign)],
    ['i32.wrap_i64', 'a7', w => w.op(OP.i32WrapI64)],
    ['i64.extend_i32_s', 'ac', w => w.op(OP.i64ExtendI32S)],
    ['i64.extend_i32_u', 'ad', w => w.op(OP.i64ExtendI32U)],
    ['f32.convert_i32_s', 'b2', w => w.op(OP.f32ConvertI32S)],
    ['f32.convert_i64_s', 'b4', w => w.op(OP.f32ConvertI64S)],
    ['f32.demote_f64', 'b6', w => w.op(OP.f32DemoteF64)],
    ['f64.convert_i32_s', 'b7', w => w.op(OP.f64ConvertI32S)],
    ['f64.convert_i64_s', 'b9', w => w.op(OP.f64ConvertI64S)],
    ['f64.promote_f32', 'bb', w => w.op(OP.f64PromoteF32)],
    ['i32.reinterpret_f32', 'bc', w => w.op(OP.i32ReinterpretF32)],
    ['i64.reinterpret_f64', 'bd', w => w.op(OP.i64ReinterpretF64)],
    ['f32.reinterpret_i32', 'be', w => w.op(OP.f32ReinterpretI32)],
    ['f64.reinterpret_i64', 'bf', w => w.op(OP.f64ReinterpretI64)],
    ['v128.load 8', 'fd 00 04 08', w => w.simdMemory(SIMD.load, 4, 8)],
    ['i16x8.load8x8_s 8', 'fd 01 03 08', w => w.simdMemory(SIMD.load8x8S, 3, 8)],
    ['i16x8.load8x8_u 8', 'fd 02 03 08', w => w.simdMemory(SIMD.load8x8U, 3, 8)],
    ['i32x4.load16x4_s 8', 'fd 03 03 08', w => w.simdMemory(SIMD.load16x4S, 3, 8)],
    ['i32x4.load16x4_u 8', 'fd 04 03 08', w => w.simdMemory(SIMD.load16x4U, 3, 8)],
    ['v128.load16_splat 8', 'fd 08 01 08', w => w.simdMemory(SIMD.load16Splat, 1, 8)],
    ['v128.load32_splat 8', 'fd 09 02 08', w => w.simdMemory(SIMD.load32Splat, 2, 8)],
    ['v128.load64_splat 8', 'fd 0a 03 08', w => w.simdMemory(SIMD.load64Splat, 3, 8)],
    ['v128.store 8', 'fd 0b 04 08', w => w.simdMemory(SIMD.store, 4, 8)],
    ['i32x4.splat', 'fd 11', w => w.simd(SIMD.i32x4Splat)],
    ['i64x2.splat', 'fd 12', w => w.simd(SIMD.i64x2Splat)],
    ['f32x4.splat', 'fd 13', w => w.simd(SIMD.f32x4Splat)],
    ['f64x2.splat', 'fd 14', w => w.simd(SIMD.f64x2Splat)],
    ['i32x4.extract_lane 1', 'fd 1b 01', w => w.lane(SIMD.i32x4ExtractLane, 1)],
    ['i32x4.replace_lane 1', 'fd 1c 01', w => w.lane(SIMD.i32x4ReplaceLane, 1)],
    ['i64x2.extract_lane 1', 'fd 1d 01', w => w.lane(SIMD.i64x2ExtractLane, 1)],
    ['i64x2.replace_lane 1', 'fd 1e 01', w => w.lane(SIMD.i64x2ReplaceLane, 1)],
    ['f32x4.extract_lane 1', 'fd 1f 01', w => w.lane(SIMD.f32x4ExtractLane, 1)],
    ['f32x4.replace_lane 1', 'fd 20 01', w => w.lane(SIMD.f32x4ReplaceLane, 1)],
    ['f64x2.extract_lane 1', 'fd 21 01', w => w.lane(SIMD.f64x2ExtractLane, 1)],
    ['f64x2.replace_lane 1', 'fd 22 01', w => w.lane(SIMD.f64x2ReplaceLane, 1)],
    ['i32x4.eq', 'fd 37', w => w.simd(SIMD.i32x4Eq)],
    ['i32x4.ne', 'fd 38', w => w.simd(SIMD.i32x4Ne)],
    ['i32x4.lt_s', 'fd 39', w => w.simd(SIMD.i32x4LtS)],
    ['i32x4.lt_u', 'fd 3a', w => w.simd(SIMD.i32x4LtU)],
    ['i32x4.gt_s', 'fd 3b', w => w.simd(SIMD.i32x4GtS)],
    ['i32x4.le_s', 'fd 3d', w => w.simd(SIMD.i32x4LeS)],
    ['i32x4.ge_s', 'fd 3f', w => w.simd(SIMD.i32x4GeS)],
    ['f32x4.eq', 'fd 41', w => w.simd(SIMD.f32x4Eq)],
    ['f32x4.ne', 'fd 42', w => w.simd(SIMD.f32x4Ne)],
    ['f32x4.lt', 'fd 43', w => w.simd(SIMD.f32x4Lt)],
    ['f32x4.gt', 'fd 44', w => w.simd(SIMD.f32x4Gt)],
    ['f32x4.le', 'fd 45', w => w.simd(SIMD.f32x4Le)],
    ['f32x4.ge', 'fd 46', w => w.simd(SIMD.f32x4Ge)],
    ['f64x2.eq', 'fd 47', w => w.simd(SIMD.f64x2Eq)],
    ['f64x2.ne', 'fd 48', w => w.simd(SIMD.f64x2Ne)],
    ['f64x2.lt', 'fd 49', w => w.simd(SIMD.f64x2Lt)],
    ['f64x2.gt', 'fd 4a', w => w.simd(SIMD.f64x2Gt)],
    ['f64x2.le', 'fd 4b', w => w.simd(SIMD.f64x2Le)],
    ['f64x2.ge', 'fd 4c', w => w.simd(SIMD.f64x2Ge)],
    ['v128.not', 'fd 4d', w => w.simd(SIMD.not)],
    ['v128.and', 'fd 4e', w => w.simd(SIMD.and)],
    ['v128.andnot', 'fd 4f', w => w.simd(SIMD.andnot)],
    ['v128.or', 'fd 50', w => w.simd(SIMD.or)],
    ['v128.xor', 'fd 51', w => w.simd(SIMD.xor)],
    ['v128.bitselect', 'fd 52', w => w.simd(SIMD.bitselect)],
    ['v128.any_true', 'fd 53', w => w.simd(SIMD.anyTrue)],
    ['v128.store16_lane 8, 0', 'fd 59 01 08 00', w => { w.simdMemory(SIMD.store16Lane, 1, 8); w.code.byte(0); }],
    ['v128.store32_lane 8, 0', 'fd 5a 02 08 00', w => { w.simdMemory(SIMD.store32Lane, 2, 8); w.code.byte(0); }],
    ['v128.store64_lane 8, 0', 'fd 5b 03 08 00', w => { w.simdMemory(SIMD.store64Lane, 3, 8); w.code.byte(0); }],
    ['v128.load32_zero 8', 'fd 5c 02 08', w => w.simdMemory(SIMD.load32Zero, 2, 8)],
    ['v128.load64_zero 8', 'fd 5d 03 08', w => w.simdMemory(SIMD.load64Zero, 3, 8)],
    ['f32x4.demote_zero_f64x2', 'fd 5e', w => w.simd(SIMD.f32x4DemoteF64x2Zero)],
    ['f64x2.promote_low_f32x4', 'fd 5f', w => w.simd(SIMD.f64x2PromoteLowF32x4)],
    ['i8x16.narrow_i16x8_u', 'fd 66', w => w.simd(SIMD.i8x16NarrowI16x8U)],
    ['f32x4.ceil', 'fd 67', w => w.simd(SIMD.f32x4Ceil)],
    ['f32x4.floor', 'fd 68', w => w.simd(SIMD.f32x4Floor)],
    ['f32x4.trunc', 'fd 69', w => w.simd(SIMD.f32x4Trunc)],
    ['f32x4.nearest', 'fd 6a', w => w.simd(SIMD.f32x4Nearest)],
    ['f64x2.ceil', 'fd 74', w => w.simd(SIMD.f64x2Ceil)],
    ['f64x2.floor', 'fd 75', w => w.simd(SIMD.f64x2Floor)],
    ['f64x2.trunc', 'fd 7a', w => w.simd(SIMD.f64x2Trunc)],
    ['i16x8.narrow_i32x4_u', 'fd 86 01', w => w.simd(SIMD.i16x8NarrowI32x4U)],
    ['i16x8.extend_low_i8x16_s', 'fd 87 01', w => w.simd(SIMD.i16x8ExtendLowI8x16S)],
    ['i16x8.extend_low_i8x16_u', 'fd 89 01', w => w.simd(SIMD.i16x8ExtendLowI8x16U)],
    ['f64x2.nearest', 'fd 94 01', w => w.simd(SIMD.f64x2Nearest)],
    ['i32x4.abs', 'fd a0 01', w => w.simd(SIMD.i32x4Abs)],
    ['i32x4.neg', 'fd a1 01', w => w.simd(SIMD.i32x4Neg)],
    ['i32x4.all_true', 'fd a3 01', w => w.simd(SIMD.i32x4AllTrue)],
    ['i32x4.extend_low_i16x8_s', 'fd a7 01', w => w.simd(SIMD.i32x4ExtendLowI16x8S)],
    ['i32x4.extend_low_i16x8_u', 'fd a9 01', w => w.simd(SIMD.i32x4ExtendLowI16x8U)],
    ['i32x4.shl', 'fd ab 01', w => w.simd(SIMD.i32x4Shl)],
    ['i32x4.shr_s', 'fd ac 01', w => w.simd(SIMD.i32x4ShrS)],
    ['i32x4.shr_u', 'fd ad 01', w => w.simd(SIMD.i32x4ShrU)],
    ['i32x4.add', 'fd ae 01', w => w.simd(SIMD.i32x4Add)],
    ['i32x4.sub', 'fd b1 01', w => w.simd(SIMD.i32x4Sub)],
    ['i32x4.mul', 'fd b5 01', w => w.simd(SIMD.i32x4Mul)],
    ['i32x4.min_s', 'fd b6 01', w => w.simd(SIMD.i32x4MinS)],
    ['i32x4.max_s', 'fd b8 01', w => w.simd(SIMD.i32x4MaxS)],
    ['i64x2.abs', 'fd c0 01', w => w.simd(SIMD.i64x2Abs)],
    ['i64x2.neg', 'fd c1 01', w => w.simd(SIMD.i64x2Neg)],
    ['i64x2.all_true', 'fd c3 01', w => w.simd(SIMD.i64x2AllTrue)],
    ['i64x2.extend_low_i32x4_s', 'fd c7 01', w => w.simd(SIMD.i64x2ExtendLowI32x4S)],
    ['i64x2.shl', 'fd cb 01', w => w.simd(SIMD.i64x2Shl)],
    ['i64x2.shr_s', 'fd cc 01', w => w.simd(SIMD.i64x2ShrS)],
    ['i64x2.shr_u', 'fd cd 01', w => w.simd(SIMD.i64x2ShrU)],
    ['i64x2.add', 'fd ce 01', w => w.simd(SIMD.i64x2Add)],
    ['i64x2.sub', 'fd d1 01', w => w.simd(SIMD.i64x2Sub)],
    ['i64x2.mul', 'fd d5 01', w => w.simd(SIMD.i64x2Mul)],
    ['i64x2.eq', 'fd d6 01', w => w.simd(SIMD.i64x2Eq)],
    ['i64x2.ne', 'fd d7 01', w => w.simd(SIMD.i64x2Ne)],
    ['i64x2.lt_s', 'fd d8 01', w => w.simd(SIMD.i64x2LtS)],
    ['i64x2.gt_s', 'fd d9 01', w => w.simd(SIMD.i64x2GtS)],
    ['i64x2.le_s', 'fd da 01', w => w.simd(SIMD.i64x2LeS)],
    ['i64x2.ge_s', 'fd db 01', w => w.simd(SIMD.i64x2GeS)],
    ['i64x2.extmul_low_i32x4_u', 'fd de 01', w => w.simd(SIMD.i64x2ExtmulLowI32x4U)],
    ['i64x2.extmul_high_i32x4_u', 'fd df 01', w => w.simd(SIMD.i64x2ExtmulHighI32x4U)],
    ['f32x4.abs', 'fd e0 01', w => w.simd(SIMD.f32x4Abs)],
    ['f32x4.neg', 'fd e1 01', w => w.simd(SIMD.f32x4Neg)],
    ['f32x4.sqrt', 'fd e3 01', w => w.simd(SIMD.f32x4Sqrt)],
    ['f32x4.add', 'fd e4 01', w => w.simd(SIMD.f32x4Add)],
    ['f32x4.sub', 'fd e5 01', w => w.simd(SIMD.f32x4Sub)],
    ['f32x4.mul', 'fd e6 01', w => w.simd(SIMD.f32x4Mul)],
    ['f32x4.div', 'fd e7 01', w => w.simd(SIMD.f32x4Div)],
    ['f32x4.min', 'fd e8 01', w => w.simd(SIMD.f32x4Min)],
    ['f32x4.max', 'fd e9 01', w => w.simd(SIMD.f32x4Max)],
    ['f32x4.pmin', 'fd ea 01', w => w.simd(SIMD.f32x4Pmin)],
    ['f32x4.pmax', 'fd eb 01', w => w.simd(SIMD.f32x4Pmax)],
    ['f64x2.abs', 'fd ec 01', w => w.simd(SIMD.f64x2Abs)],
    ['f64x2.neg', 'fd ed 01', w => w.simd(SIMD.f64x2Neg)],
    ['f64x2.sqrt', 'fd ef 01', w => w.simd(SIMD.f64x2Sqrt)],
    ['f64x2.add', 'fd f0 01', w => w.simd(SIMD.f64x2Add)],
    ['f64x2.sub', 'fd f1 01', w => w.simd(SIMD.f64x2Sub)],
    ['f64x2.mul', 'fd f2 01', w => w.simd(SIMD.f64x2Mul)],
    ['f64x2.div', 'fd f3 01', w => w.simd(SIMD.f64x2Div)],
    ['f64x2.min', 'fd f4 01', w => w.simd(SIMD.f64x2Min)],
    ['f64x2.max', 'fd f5 01', w => w.simd(SIMD.f64x2Max)],
    ['f64x2.pmin', 'fd f6 01', w => w.simd(SIMD.f64x2Pmin)],
    ['f64x2.pmax', 'fd f7 01', w => w.simd(SIMD.f64x2Pmax)],
    ['i32x4.trunc_sat_f32x4_s', 'fd f8 01', w => w.simd(SIMD.i32x4TruncSatF32x4S)],
    ['f32x4.convert_i32x4_s', 'fd fa 01', w => w.simd(SIMD.f32x4ConvertI32x4S)],
    ['i32x4.trunc_sat_zero_f64x2_s', 'fd fc 01', w => w.simd(SIMD.i32x4TruncSatF64x2SZero)],
    ['f64x2.convert_low_i32x4_s', 'fd fe 01', w => w.simd(SIMD.f64x2ConvertLowI32x4S)],
    ['memory.atomic.notify 8', 'fe 00 02 08', w => w.atomic(ATOMIC.notify, 8)],
    ['memory.atomic.wait32 8', 'fe 01 02 08', w => w.atomic(ATOMIC.wait32, 8)],
    ['i32.atomic.load 8', 'fe 10 02 08', w => w.atomic(ATOMIC.i32Load, 8)],
    ['i32.atomic.store 8', 'fe 17 02 08', w => w.atomic(ATOMIC.i32Store, 8)],
    ['i32.atomic.rmw.add 8', 'fe 1e 02 08', w => w.atomic(ATOMIC.i32RmwAdd, 8)],
    ['i32.atomic.rmw.sub 8', 'fe 25 02 08', w => w.atomic(ATOMIC.i32RmwSub, 8)],
    ['i32.atomic.rmw.cmpxchg 8', 'fe 48 02 08', w => w.atomic(ATOMIC.i32RmwCmpxchg, 8)],
    ['i32.trunc_sat_f32_s', 'fc 00', w => w.saturate(SAT.i32F32S)],
    ['i32.trunc_sat_f64_s', 'fc 02', w => w.saturate(SAT.i32F64S)],
    ['i64.trunc_sat_f32_s', 'fc 04', w => w.saturate(SAT.i64F32S)],
    ['i64.trunc_sat_f64_s', 'fc 06', w => w.saturate(SAT.i64F64S)],
    ['v128.const 1, 1, 1, 1', 'fd 0c 01 00 00 00 01 00 00 00 01 00 00 00 01 00 00 00', w => w.splatBits(1)],
    ['v128.const 1, 1', 'fd 0c 01 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00', w => w.splatBits(1n)],
    ['i8x16.shuffle 4, 5, 6, 7, 0, 1, 2, 3, 28, 29, 30, 31, 16, 17, 18, 19', 'fd 0d 04 05 06 07 00 01 02 03 1c 1d 1e 1f 10 11 12 13', w => w.shuffle([1, 0, 7, 4], 4)],
    ['i32.const -5', '41 7b', w => w.i32(-5)],
    ['i64.const 1099511627776', '42 80 80 80 80 80 20', w => w.i64(1n << 40n)],
    ['f32.const 0x1.8p1', '43 00 00 40 40', w => w.f32(3)],
    ['f64.const -0x1.8p1', '44 00 00 00 00 00 00 08 c0', w => w.f64(-3)],
    ['local.get 300', '20 ac 02', w => w.get(300)],
    // Not in that LLVM under its final name: the proposal's overview (0x105, 0x107).
    ['f32x4.relaxed_madd', 'fd 85 02', w => w.simd(SIMD.f32x4RelaxedMadd)],
    ['f64x2.relaxed_madd', 'fd 87 02', w => w.simd(SIMD.f64x2RelaxedMadd)],
  ];
  for (const [text, encoding, fill] of cases) it(text, () => expect(codeOf(fill)).toBe(encoding));

  it('set and get of one local become tee', () => {
    expect(
      codeOf(w => {
        w.set(3);
        w.get(3);
      }),
    ).toBe('22 03');
    expect(
      codeOf(w => {
        w.set(3);
        w.get(4);
        w.get(3);
      }),
    ).toBe('21 03 20 04 20 03');
    expect(
      codeOf(w => {
        w.set(3);
        w.get(3);
        w.get(3);
      }),
    ).toBe('22 03 20 03');
  });
});

describe('modules', () => {
  it('declare locals in runs and end every body', () => {
    expect(
      hex(
        encodeBody({ type: 0, locals: ['i32', 'i32', 'v128', 'f64', 'f64', 'i64', 'f32'], code: Uint8Array.of(0x01) }),
      ),
    ).toBe('05 02 7f 01 7b 02 7c 01 7e 01 7d 01 0b');
  });

  it('import a memory, shared with a maximum or not', () => {
    for (const shared of [false, true]) {
      const w = new FunctionWriter(1);
      w.get(0);
      w.i32(1);
      w.op(OP.i32Add);
      const bytes = encodeModule({
        types: [{ params: ['i32'], results: ['i32'] }],
        memory: { minimum: 1, maximum: shared ? 2 : undefined, shared },
        functions: [{ type: 0, locals: [], code: w.code.view() }],
        exports: [['next', 0]],
      });
      const memory = new WebAssembly.Memory({ initial: 1, ...(shared ? { maximum: 2, shared } : {}) });
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
      expect((instance.exports['next'] as (x: number) => number)(41)).toBe(42);
    }
  });
});
