/**
 * Which WebAssembly instruction does what on which type, where there is one. Tables and the type questions behind them.
 */
import type { BinOp, CmpOp, RegType, Scalar, UnOp } from '../../compiler/loops.ts';
import type { ValueType } from './encoder.ts';
import { OP, SIMD } from './opcodes.ts';

export type Number4 = 'i32' | 'i64' | 'f32' | 'f64';
export type Table<K extends string> = { readonly [F in K]?: { readonly [S in Number4]?: number } };

/** What a scalar of this type computes in: masks and pointers are i32. */
export const scalarOf = (scalar: Scalar): Number4 => (scalar === 'mask' || scalar === 'ptr' ? 'i32' : scalar);

/** What vector lanes compute in: the lanes of a mask are 16 / lanes bytes wide. */
export const laneOf = (type: RegType): Number4 =>
  type.scalar === 'mask' ? (type.lanes === 2 ? 'i64' : 'i32') : scalarOf(type.scalar);

export const valueType = (type: RegType): ValueType => (type.lanes > 1 ? 'v128' : scalarOf(type.scalar));

/** Whether a register of two lanes keeps 4-byte elements (in the low half of the vector). */
export const isHalf = (type: RegType): boolean => type.lanes === 2 && (type.scalar === 'i32' || type.scalar === 'f32');

export const SCALAR_UN: Table<UnOp> = {
  neg: { f32: OP.f32Neg, f64: OP.f64Neg },
  abs: { f32: OP.f32Abs, f64: OP.f64Abs },
  sqrt: { f32: OP.f32Sqrt, f64: OP.f64Sqrt },
  floor: { f32: OP.f32Floor, f64: OP.f64Floor },
  ceil: { f32: OP.f32Ceil, f64: OP.f64Ceil },
  trunc: { f32: OP.f32Trunc, f64: OP.f64Trunc },
  nearest: { f32: OP.f32Nearest, f64: OP.f64Nearest },
  clz: { i32: OP.i32Clz, i64: OP.i64Clz },
};

export const VECTOR_UN: Table<UnOp> = {
  neg: { i32: SIMD.i32x4Neg, i64: SIMD.i64x2Neg, f32: SIMD.f32x4Neg, f64: SIMD.f64x2Neg },
  abs: { i32: SIMD.i32x4Abs, i64: SIMD.i64x2Abs, f32: SIMD.f32x4Abs, f64: SIMD.f64x2Abs },
  sqrt: { f32: SIMD.f32x4Sqrt, f64: SIMD.f64x2Sqrt },
  floor: { f32: SIMD.f32x4Floor, f64: SIMD.f64x2Floor },
  ceil: { f32: SIMD.f32x4Ceil, f64: SIMD.f64x2Ceil },
  trunc: { f32: SIMD.f32x4Trunc, f64: SIMD.f64x2Trunc },
  nearest: { f32: SIMD.f32x4Nearest, f64: SIMD.f64x2Nearest },
  not: { i32: SIMD.not, i64: SIMD.not },
};

export const SCALAR_BIN: Table<BinOp> = {
  add: { i32: OP.i32Add, i64: OP.i64Add, f32: OP.f32Add, f64: OP.f64Add },
  sub: { i32: OP.i32Sub, i64: OP.i64Sub, f32: OP.f32Sub, f64: OP.f64Sub },
  mul: { i32: OP.i32Mul, i64: OP.i64Mul, f32: OP.f32Mul, f64: OP.f64Mul },
  div: { i32: OP.i32DivS, i64: OP.i64DivS, f32: OP.f32Div, f64: OP.f64Div },
  rem: { i32: OP.i32RemS, i64: OP.i64RemS },
  divU: { i32: OP.i32DivU, i64: OP.i64DivU },
  remU: { i32: OP.i32RemU, i64: OP.i64RemU },
  min: { f32: OP.f32Min, f64: OP.f64Min },
  max: { f32: OP.f32Max, f64: OP.f64Max },
  and: { i32: OP.i32And, i64: OP.i64And },
  or: { i32: OP.i32Or, i64: OP.i64Or },
  xor: { i32: OP.i32Xor, i64: OP.i64Xor },
  shl: { i32: OP.i32Shl, i64: OP.i64Shl },
  shrS: { i32: OP.i32ShrS, i64: OP.i64ShrS },
  shrU: { i32: OP.i32ShrU, i64: OP.i64ShrU },
  copysign: { f32: OP.f32Copysign, f64: OP.f64Copysign },
};

export const VECTOR_BIN: Table<BinOp> = {
  add: { i32: SIMD.i32x4Add, i64: SIMD.i64x2Add, f32: SIMD.f32x4Add, f64: SIMD.f64x2Add },
  sub: { i32: SIMD.i32x4Sub, i64: SIMD.i64x2Sub, f32: SIMD.f32x4Sub, f64: SIMD.f64x2Sub },
  mul: { i32: SIMD.i32x4Mul, i64: SIMD.i64x2Mul, f32: SIMD.f32x4Mul, f64: SIMD.f64x2Mul },
  div: { f32: SIMD.f32x4Div, f64: SIMD.f64x2Div },
  min: { i32: SIMD.i32x4MinS, f32: SIMD.f32x4Min, f64: SIMD.f64x2Min },
  max: { i32: SIMD.i32x4MaxS, f32: SIMD.f32x4Max, f64: SIMD.f64x2Max },
  pmin: { i32: SIMD.i32x4MinS, f32: SIMD.f32x4Pmin, f64: SIMD.f64x2Pmin },
  pmax: { i32: SIMD.i32x4MaxS, f32: SIMD.f32x4Pmax, f64: SIMD.f64x2Pmax },
  and: { i32: SIMD.and, i64: SIMD.and },
  or: { i32: SIMD.or, i64: SIMD.or },
  xor: { i32: SIMD.xor, i64: SIMD.xor },
  andnot: { i32: SIMD.andnot, i64: SIMD.andnot },
};

export const VECTOR_SHIFT: Table<BinOp> = {
  shl: { i32: SIMD.i32x4Shl, i64: SIMD.i64x2Shl },
  shrS: { i32: SIMD.i32x4ShrS, i64: SIMD.i64x2ShrS },
  shrU: { i32: SIMD.i32x4ShrU, i64: SIMD.i64x2ShrU },
};

export const SCALAR_CMP: { readonly [F in CmpOp]: { readonly [S in Number4]?: number } } = {
  eq: { i32: OP.i32Eq, i64: OP.i64Eq, f32: OP.f32Eq, f64: OP.f64Eq },
  ne: { i32: OP.i32Ne, i64: OP.i64Ne, f32: OP.f32Ne, f64: OP.f64Ne },
  lt: { i32: OP.i32LtS, i64: OP.i64LtS, f32: OP.f32Lt, f64: OP.f64Lt },
  le: { i32: OP.i32LeS, i64: OP.i64LeS, f32: OP.f32Le, f64: OP.f64Le },
  gt: { i32: OP.i32GtS, i64: OP.i64GtS, f32: OP.f32Gt, f64: OP.f64Gt },
  ge: { i32: OP.i32GeS, i64: OP.i64GeS, f32: OP.f32Ge, f64: OP.f64Ge },
  ltU: { i32: OP.i32LtU, i64: OP.i64LtU },
};

export const VECTOR_CMP: { readonly [F in CmpOp]: { readonly [S in Number4]?: number } } = {
  eq: { i32: SIMD.i32x4Eq, i64: SIMD.i64x2Eq, f32: SIMD.f32x4Eq, f64: SIMD.f64x2Eq },
  ne: { i32: SIMD.i32x4Ne, i64: SIMD.i64x2Ne, f32: SIMD.f32x4Ne, f64: SIMD.f64x2Ne },
  lt: { i32: SIMD.i32x4LtS, i64: SIMD.i64x2LtS, f32: SIMD.f32x4Lt, f64: SIMD.f64x2Lt },
  le: { i32: SIMD.i32x4LeS, i64: SIMD.i64x2LeS, f32: SIMD.f32x4Le, f64: SIMD.f64x2Le },
  gt: { i32: SIMD.i32x4GtS, i64: SIMD.i64x2GtS, f32: SIMD.f32x4Gt, f64: SIMD.f64x2Gt },
  ge: { i32: SIMD.i32x4GeS, i64: SIMD.i64x2GeS, f32: SIMD.f32x4Ge, f64: SIMD.f64x2Ge },
  ltU: { i32: SIMD.i32x4LtU },
};

export const SPLAT = {
  i32: SIMD.i32x4Splat,
  i64: SIMD.i64x2Splat,
  f32: SIMD.f32x4Splat,
  f64: SIMD.f64x2Splat,
} as const;
export const EXTRACT = {
  i32: SIMD.i32x4ExtractLane,
  i64: SIMD.i64x2ExtractLane,
  f32: SIMD.f32x4ExtractLane,
  f64: SIMD.f64x2ExtractLane,
} as const;
export const REPLACE = {
  i32: SIMD.i32x4ReplaceLane,
  i64: SIMD.i64x2ReplaceLane,
  f32: SIMD.f32x4ReplaceLane,
  f64: SIMD.f64x2ReplaceLane,
} as const;

export const SCALAR_CONVERT: { readonly [From in Number4]: { readonly [To in Number4]?: number } } = {
  i32: { i64: OP.i64ExtendI32S, f32: OP.f32ConvertI32S, f64: OP.f64ConvertI32S },
  i64: { i32: OP.i32WrapI64, f32: OP.f32ConvertI64S, f64: OP.f64ConvertI64S },
  f32: { f64: OP.f64PromoteF32 },
  f64: { f32: OP.f32DemoteF64 },
};

export const VECTOR_CONVERT: { readonly [From in Number4]: { readonly [To in Number4]?: number } } = {
  i32: { i64: SIMD.i64x2ExtendLowI32x4S, f32: SIMD.f32x4ConvertI32x4S, f64: SIMD.f64x2ConvertLowI32x4S },
  i64: {},
  f32: { i32: SIMD.i32x4TruncSatF32x4S, f64: SIMD.f64x2PromoteLowF32x4 },
  f64: { i32: SIMD.i32x4TruncSatF64x2SZero, f32: SIMD.f32x4DemoteF64x2Zero },
};

/** A combination that the verifier should have refused. */
export function missing(what: string, type: RegType): never {
  throw new Error(`internal: wasm emitter has no ${what} for ${type.scalar}x${type.lanes}`);
}
