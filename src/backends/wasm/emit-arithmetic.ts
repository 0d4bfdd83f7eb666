/**
 * Arithmetic of the loop IR as WebAssembly: tables where one instruction does, short sequences where none does. Operands come from
 * the `Operands` interface, so nothing here knows where values live.
 */
import type { BinOp, CmpOp, Inst, Reg, RegType, Scalar, UnOp } from '../../compiler/loops.ts';
import type { ValueType } from './encoder.ts';
import type { FunctionWriter } from './function-writer.ts';
import { OP, SIMD } from './opcodes.ts';

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

type Number4 = 'i32' | 'i64' | 'f32' | 'f64';
type Table<K extends string> = { readonly [F in K]?: { readonly [S in Number4]?: number } };

/** What a scalar of this type computes in: masks and pointers are i32. */
export const scalarOf = (scalar: Scalar): Number4 => (scalar === 'mask' || scalar === 'ptr' ? 'i32' : scalar);

/** What vector lanes compute in: the lanes of a mask are 16 / lanes bytes wide. */
const laneOf = (type: RegType): Number4 =>
  type.scalar === 'mask' ? (type.lanes === 2 ? 'i64' : 'i32') : scalarOf(type.scalar);

export const valueType = (type: RegType): ValueType => (type.lanes > 1 ? 'v128' : scalarOf(type.scalar));

/** Whether a register of two lanes keeps 4-byte elements (in the low half of the vector). */
const isHalf = (type: RegType): boolean => type.lanes === 2 && (type.scalar === 'i32' || type.scalar === 'f32');

const SCALAR_UN: Table<UnOp> = {
  neg: { f32: OP.f32Neg, f64: OP.f64Neg },
  abs: { f32: OP.f32Abs, f64: OP.f64Abs },
  sqrt: { f32: OP.f32Sqrt, f64: OP.f64Sqrt },
  floor: { f32: OP.f32Floor, f64: OP.f64Floor },
  ceil: { f32: OP.f32Ceil, f64: OP.f64Ceil },
  trunc: { f32: OP.f32Trunc, f64: OP.f64Trunc },
  nearest: { f32: OP.f32Nearest, f64: OP.f64Nearest },
  clz: { i32: OP.i32Clz, i64: OP.i64Clz },
};

const VECTOR_UN: Table<UnOp> = {
  neg: { i32: SIMD.i32x4Neg, i64: SIMD.i64x2Neg, f32: SIMD.f32x4Neg, f64: SIMD.f64x2Neg },
  abs: { i32: SIMD.i32x4Abs, i64: SIMD.i64x2Abs, f32: SIMD.f32x4Abs, f64: SIMD.f64x2Abs },
  sqrt: { f32: SIMD.f32x4Sqrt, f64: SIMD.f64x2Sqrt },
  floor: { f32: SIMD.f32x4Floor, f64: SIMD.f64x2Floor },
  ceil: { f32: SIMD.f32x4Ceil, f64: SIMD.f64x2Ceil },
  trunc: { f32: SIMD.f32x4Trunc, f64: SIMD.f64x2Trunc },
  nearest: { f32: SIMD.f32x4Nearest, f64: SIMD.f64x2Nearest },
  not: { i32: SIMD.not, i64: SIMD.not },
};

const SCALAR_BIN: Table<BinOp> = {
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

const VECTOR_BIN: Table<BinOp> = {
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

const VECTOR_SHIFT: Table<BinOp> = {
  shl: { i32: SIMD.i32x4Shl, i64: SIMD.i64x2Shl },
  shrS: { i32: SIMD.i32x4ShrS, i64: SIMD.i64x2ShrS },
  shrU: { i32: SIMD.i32x4ShrU, i64: SIMD.i64x2ShrU },
};

const SCALAR_CMP: { readonly [F in CmpOp]: { readonly [S in Number4]?: number } } = {
  eq: { i32: OP.i32Eq, i64: OP.i64Eq, f32: OP.f32Eq, f64: OP.f64Eq },
  ne: { i32: OP.i32Ne, i64: OP.i64Ne, f32: OP.f32Ne, f64: OP.f64Ne },
  lt: { i32: OP.i32LtS, i64: OP.i64LtS, f32: OP.f32Lt, f64: OP.f64Lt },
  le: { i32: OP.i32LeS, i64: OP.i64LeS, f32: OP.f32Le, f64: OP.f64Le },
  gt: { i32: OP.i32GtS, i64: OP.i64GtS, f32: OP.f32Gt, f64: OP.f64Gt },
  ge: { i32: OP.i32GeS, i64: OP.i64GeS, f32: OP.f32Ge, f64: OP.f64Ge },
  ltU: { i32: OP.i32LtU, i64: OP.i64LtU },
};

const VECTOR_CMP: { readonly [F in CmpOp]: { readonly [S in Number4]?: number } } = {
  eq: { i32: SIMD.i32x4Eq, i64: SIMD.i64x2Eq, f32: SIMD.f32x4Eq, f64: SIMD.f64x2Eq },
  ne: { i32: SIMD.i32x4Ne, i64: SIMD.i64x2Ne, f32: SIMD.f32x4Ne, f64: SIMD.f64x2Ne },
  lt: { i32: SIMD.i32x4LtS, i64: SIMD.i64x2LtS, f32: SIMD.f32x4Lt, f64: SIMD.f64x2Lt },
  le: { i32: SIMD.i32x4LeS, i64: SIMD.i64x2LeS, f32: SIMD.f32x4Le, f64: SIMD.f64x2Le },
  gt: { i32: SIMD.i32x4GtS, i64: SIMD.i64x2GtS, f32: SIMD.f32x4Gt, f64: SIMD.f64x2Gt },
  ge: { i32: SIMD.i32x4GeS, i64: SIMD.i64x2GeS, f32: SIMD.f32x4Ge, f64: SIMD.f64x2Ge },
  ltU: { i32: SIMD.i32x4LtU },
};

const SPLAT = { i32: SIMD.i32x4Splat, i64: SIMD.i64x2Splat, f32: SIMD.f32x4Splat, f64: SIMD.f64x2Splat } as const;
const EXTRACT = {
  i32: SIMD.i32x4ExtractLane,
  i64: SIMD.i64x2ExtractLane,
  f32: SIMD.f32x4ExtractLane,
  f64: SIMD.f64x2ExtractLane,
} as const;
const REPLACE = {
  i32: SIMD.i32x4ReplaceLane,
  i64: SIMD.i64x2ReplaceLane,
  f32: SIMD.f32x4ReplaceLane,
  f64: SIMD.f64x2ReplaceLane,
} as const;

function missing(what: string, type: RegType): never {
  throw new Error(`internal: wasm emitter has no ${what} for ${type.scalar}x${type.lanes}`);
}

/** Lanes of a shuffle that brings the low words of both 64-bit lanes to the front. */
const LOW_WORDS = [0, 2, 0, 2];

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

export function floatBits(value: number): number {
  bits.setFloat32(0, value);
  return bits.getInt32(0);
}

function doubleBits(value: number): bigint {
  bits.setFloat64(0, value);
  return bits.getBigInt64(0);
}

export function pushUnary(o: Operands, fn: UnOp, a: Reg): void {
  const w = o.writer;
  const { type } = a;
  if (type.lanes > 1) {
    o.use(a);
    w.simd(VECTOR_UN[fn]?.[laneOf(type)] ?? missing(fn, type));
    return;
  }
  const scalar = scalarOf(type.scalar);
  const opcode = SCALAR_UN[fn]?.[scalar];
  if (opcode !== undefined) {
    o.use(a);
    w.op(opcode);
    return;
  }
  const wide = scalar === 'i64';
  const push = (value: number): void => (wide ? w.i64(BigInt(value)) : w.i32(value));
  if (fn === 'not') {
    o.use(a);
    if (type.scalar === 'mask') {
      w.op(OP.i32Eqz);
      return;
    }
    push(-1);
    w.op(wide ? OP.i64Xor : OP.i32Xor);
  } else if (fn === 'neg') {
    push(0);
    o.use(a);
    w.op(wide ? OP.i64Sub : OP.i32Sub);
  } else if (fn === 'abs') {
    // (a ^ s) - s with s = a >> (width - 1)
    o.hold(a);
    o.peek(a);
    o.peek(a);
    push(wide ? 63 : 31);
    w.op(wide ? OP.i64ShrS : OP.i32ShrS);
    w.op(wide ? OP.i64Xor : OP.i32Xor);
    o.peek(a);
    push(wide ? 63 : 31);
    w.op(wide ? OP.i64ShrS : OP.i32ShrS);
    w.op(wide ? OP.i64Sub : OP.i32Sub);
    o.done(a);
  } else missing(fn, type);
}

export function pushBinary(o: Operands, fn: BinOp, a: Reg, b: Reg): void {
  if (a.type.lanes > 1) vectorBinary(o, fn, a, b);
  else scalarBinary(o, fn, a, b);
}

function scalarBinary(o: Operands, fn: BinOp, a: Reg, b: Reg): void {
  const w = o.writer;
  const scalar = scalarOf(a.type.scalar);
  const opcode = SCALAR_BIN[fn]?.[scalar];
  if (opcode !== undefined) {
    o.use(a);
    o.use(b);
    w.op(opcode);
    return;
  }
  switch (fn) {
    case 'min':
    case 'max':
    case 'pmin':
    case 'pmax': {
      // pmin is b < a ? b : a, pmax is a < b ? b : a.
      const less = SCALAR_CMP.lt[scalar]!;
      o.hold(a);
      o.hold(b);
      o.peek(b);
      o.peek(a);
      const isMin = fn === 'min' || fn === 'pmin';
      o.peek(isMin ? b : a);
      o.peek(isMin ? a : b);
      w.op(less);
      w.op(OP.select);
      o.done(a);
      o.done(b);
      return;
    }
    case 'andnot':
      o.use(a);
      o.use(b);
      if (a.type.scalar === 'mask') {
        w.op(OP.i32Eqz);
        w.op(OP.i32And);
      } else if (scalar === 'i64') {
        w.i64(-1n);
        w.op(OP.i64Xor);
        w.op(OP.i64And);
      } else {
        w.i32(-1);
        w.op(OP.i32Xor);
        w.op(OP.i32And);
      }
      return;
    case 'mulHiU':
      if (scalar !== 'i32') missing(fn, a.type);
      o.use(a);
      w.op(OP.i64ExtendI32U);
      o.use(b);
      w.op(OP.i64ExtendI32U);
      w.op(OP.i64Mul);
      w.i64(32n);
      w.op(OP.i64ShrU);
      w.op(OP.i32WrapI64);
      return;
    default:
      missing(fn, a.type);
  }
}

function vectorBinary(o: Operands, fn: BinOp, a: Reg, b: Reg): void {
  const w = o.writer;
  const lane = laneOf(a.type);
  const opcode = VECTOR_BIN[fn]?.[lane];
  if (opcode !== undefined) {
    o.use(a);
    o.use(b);
    w.simd(opcode);
    return;
  }
  switch (fn) {
    case 'min':
    case 'max':
    case 'pmin':
    case 'pmax':
      o.hold(a);
      o.hold(b);
      o.peek(a);
      o.peek(b);
      o.peek(a);
      o.peek(b);
      w.simd(fn === 'min' || fn === 'pmin' ? SIMD.i64x2LtS : SIMD.i64x2GtS);
      w.simd(SIMD.bitselect);
      o.done(a);
      o.done(b);
      return;
    case 'copysign':
      // Sign bits of b, the rest of a.
      o.use(b);
      o.use(a);
      w.splatBits(lane === 'f32' ? -0x80000000 : 1n << 63n);
      w.simd(SIMD.bitselect);
      return;
    case 'mulHiU':
      if (lane !== 'i32') missing(fn, a.type);
      o.hold(a);
      o.hold(b);
      o.peek(a);
      o.peek(b);
      w.simd(SIMD.i64x2ExtmulLowI32x4U);
      o.peek(a);
      o.peek(b);
      w.simd(SIMD.i64x2ExtmulHighI32x4U);
      w.shuffle([1, 3, 5, 7], 4);
      o.done(a);
      o.done(b);
      return;
    case 'shl':
    case 'shrS':
    case 'shrU':
      vectorShift(o, fn, a, b);
      return;
    default:
      missing(fn, a.type);
  }
}

/** WebAssembly shifts all lanes by one scalar count: free for constants and splats, lane by lane otherwise. */
function vectorShift(o: Operands, fn: 'shl' | 'shrS' | 'shrU', a: Reg, b: Reg): void {
  const w = o.writer;
  const lane = laneOf(a.type);
  const opcode = VECTOR_SHIFT[fn]?.[lane] ?? missing(fn, a.type);
  const count = o.definition(b);
  if (count?.op === 'const') {
    o.use(a);
    w.i32(Number(BigInt(count.value) & (lane === 'i64' ? 63n : 31n)));
    w.simd(opcode);
    o.drop(b);
    return;
  }
  if (count?.op === 'splat') {
    o.use(a);
    o.use(b);
    w.lane(EXTRACT[lane], 0);
    if (lane === 'i64') w.op(OP.i32WrapI64);
    w.simd(opcode);
    return;
  }
  const scalar = SCALAR_BIN[fn]![lane]!;
  o.hold(a);
  o.hold(b);
  o.peek(a);
  for (let i = 0; i < a.type.lanes; i++) {
    o.peek(a);
    w.lane(EXTRACT[lane], i);
    o.peek(b);
    w.lane(EXTRACT[lane], i);
    w.op(scalar);
    w.lane(REPLACE[lane], i);
  }
  o.done(a);
  o.done(b);
}

export function pushCompare(o: Operands, fn: CmpOp, a: Reg, b: Reg): void {
  const w = o.writer;
  const { type } = a;
  if (type.lanes === 1) {
    o.use(a);
    o.use(b);
    const unsigned = type.scalar === 'ptr' && fn === 'lt' ? 'ltU' : fn;
    w.op(SCALAR_CMP[unsigned][scalarOf(type.scalar)] ?? missing(fn, type));
    return;
  }
  const lane = laneOf(type);
  o.use(a);
  if (fn === 'ltU' && lane === 'i64') {
    // Flipping the sign bits turns the unsigned order into the signed one.
    w.splatBits(1n << 63n);
    w.simd(SIMD.xor);
    o.use(b);
    w.splatBits(1n << 63n);
    w.simd(SIMD.xor);
    w.simd(SIMD.i64x2LtS);
    return;
  }
  o.use(b);
  w.simd(VECTOR_CMP[fn][lane] ?? missing(fn, type));
  if (isHalf(type)) w.simd(SIMD.i64x2ExtendLowI32x4S);
}

export function pushFma(o: Operands, a: Reg, b: Reg, c: Reg): void {
  const w = o.writer;
  const { type } = a;
  const scalar = scalarOf(type.scalar);
  const isFloat = scalar === 'f32' || scalar === 'f64';
  const fused = isFloat && o.relaxedMadd;
  if (fused && type.lanes === 1) {
    // There is no scalar madd; through one lane, so that a tail rounds as the vector body does.
    for (const reg of [a, b, c]) {
      o.use(reg);
      w.simd(SPLAT[scalar]);
    }
    w.simd(scalar === 'f32' ? SIMD.f32x4RelaxedMadd : SIMD.f64x2RelaxedMadd);
    w.lane(EXTRACT[scalar], 0);
    return;
  }
  o.use(a);
  o.use(b);
  if (fused) {
    o.use(c);
    w.simd(scalar === 'f32' ? SIMD.f32x4RelaxedMadd : SIMD.f64x2RelaxedMadd);
  } else if (type.lanes > 1) {
    w.simd(VECTOR_BIN.mul![scalar]!);
    o.use(c);
    w.simd(VECTOR_BIN.add![scalar]!);
  } else {
    w.op(SCALAR_BIN.mul![scalar]!);
    o.use(c);
    w.op(SCALAR_BIN.add![scalar]!);
  }
}

export function pushSelect(o: Operands, m: Reg, a: Reg, b: Reg): void {
  const w = o.writer;
  o.use(a);
  o.use(b);
  o.use(m);
  if (a.type.lanes === 1) {
    w.op(OP.select);
    return;
  }
  if (isHalf(a.type)) narrowMask(w);
  w.simd(SIMD.bitselect);
}

/** Turns a mask of two 64-bit lanes on the stack into one for two 32-bit lanes. */
export function narrowMask(w: FunctionWriter): void {
  const mask = w.allocate('v128');
  w.set(mask);
  w.get(mask);
  w.get(mask);
  w.shuffle(LOW_WORDS, 4);
  w.release(mask);
}

const SCALAR_CONVERT: { readonly [From in Number4]: { readonly [To in Number4]?: number } } = {
  i32: { i64: OP.i64ExtendI32S, f32: OP.f32ConvertI32S, f64: OP.f64ConvertI32S },
  i64: { i32: OP.i32WrapI64, f32: OP.f32ConvertI64S, f64: OP.f64ConvertI64S },
  f32: { f64: OP.f64PromoteF32 },
  f64: { f32: OP.f32DemoteF64 },
};

/** One scalar conversion of the value on the stack. */
function convertScalar(w: FunctionWriter, from: Number4, to: Number4): void {
  if (from === to) return;
  const opcode = SCALAR_CONVERT[from][to];
  if (opcode !== undefined) w.op(opcode);
  // The float to integer rows of the 0xfc group: bit 2 says i64, bit 1 says from f64.
  else w.saturate(((to === 'i64' ? 4 : 0) | (from === 'f64' ? 2 : 0)) as 0 | 2 | 4 | 6);
}

const VECTOR_CONVERT: { readonly [From in Number4]: { readonly [To in Number4]?: number } } = {
  i32: { i64: SIMD.i64x2ExtendLowI32x4S, f32: SIMD.f32x4ConvertI32x4S, f64: SIMD.f64x2ConvertLowI32x4S },
  i64: {},
  f32: { i32: SIMD.i32x4TruncSatF32x4S, f64: SIMD.f64x2PromoteLowF32x4 },
  f64: { i32: SIMD.i32x4TruncSatF64x2SZero, f32: SIMD.f32x4DemoteF64x2Zero },
};

export function pushConvert(o: Operands, to: RegType, a: Reg): void {
  const w = o.writer;
  const from = a.type;
  const target = scalarOf(to.scalar);
  if (from.lanes === 1) {
    o.use(a);
    convertScalar(w, scalarOf(from.scalar), target);
    return;
  }
  if (from.scalar === 'mask') {
    o.use(a);
    if (from.lanes === 2 && (target === 'i32' || target === 'f32')) narrowMask(w);
    pushConstant(w, to, 1);
    w.simd(SIMD.and);
    return;
  }
  const source = scalarOf(from.scalar);
  const opcode = VECTOR_CONVERT[source][target];
  if (opcode !== undefined) {
    o.use(a);
    w.simd(opcode);
    return;
  }
  o.hold(a);
  if (source === 'i64' && target === 'i32') {
    o.peek(a);
    o.peek(a);
    w.shuffle(LOW_WORDS, 4);
  } else {
    for (let i = 0; i < from.lanes; i++) {
      o.peek(a);
      w.lane(EXTRACT[source], i);
      convertScalar(w, source, target);
      if (i === 0) w.simd(SPLAT[target]);
      else w.lane(REPLACE[target], i);
    }
  }
  o.done(a);
}

export function pushBitcast(o: Operands, to: RegType, a: Reg): void {
  o.use(a);
  if (to.lanes > 1) return;
  const w = o.writer;
  const key = `${a.type.scalar}>${to.scalar}`;
  if (key === 'f32>i32') w.op(OP.i32ReinterpretF32);
  else if (key === 'i32>f32') w.op(OP.f32ReinterpretI32);
  else if (key === 'f64>i64') w.op(OP.i64ReinterpretF64);
  else if (key === 'i64>f64') w.op(OP.f64ReinterpretI64);
  else if (a.type.scalar !== to.scalar) missing(`bitcast to ${to.scalar}`, a.type);
}

export function pushSplat(o: Operands, to: RegType, a: Reg): void {
  const w = o.writer;
  const value = o.definition(a);
  if (value?.op === 'const') {
    pushConstant(w, to, value.value);
    o.drop(a);
    return;
  }
  if (to.scalar === 'mask') {
    // 0 or 1 becomes 0 or -1.
    w.i32(0);
    o.use(a);
    w.op(OP.i32Sub);
    w.simd(SIMD.i32x4Splat);
    return;
  }
  o.use(a);
  w.simd(SPLAT[laneOf(to)]);
}

export function pushExtract(o: Operands, a: Reg, lane: number): void {
  const w = o.writer;
  o.use(a);
  if (a.type.scalar !== 'mask') {
    w.lane(EXTRACT[laneOf(a.type)], lane);
    return;
  }
  w.lane(SIMD.i32x4ExtractLane, a.type.lanes === 2 ? lane * 2 : lane);
  w.i32(1);
  w.op(OP.i32And);
}

export function pushInsert(o: Operands, a: Reg, lane: number, s: Reg): void {
  const w = o.writer;
  o.use(a);
  if (a.type.scalar !== 'mask') {
    o.use(s);
    w.lane(REPLACE[laneOf(a.type)], lane);
    return;
  }
  w.i32(0);
  o.use(s);
  w.op(OP.i32Sub);
  if (a.type.lanes === 2) {
    w.op(OP.i64ExtendI32S);
    w.lane(SIMD.i64x2ReplaceLane, lane);
  } else w.lane(SIMD.i32x4ReplaceLane, lane);
}

export function pushShuffle(o: Operands, a: Reg, b: Reg, lanes: readonly number[]): void {
  const w = o.writer;
  o.use(a);
  o.use(b);
  if (isHalf(a.type)) {
    // Two lanes of four bytes: lane 2 and 3 of the pair are the front of the second vector.
    const at = lanes.map(lane => (lane < 2 ? lane : lane + 2));
    w.shuffle([at[0]!, at[1]!, at[0]!, at[1]!], 4);
  } else w.shuffle(lanes, a.type.lanes === 2 ? 8 : 4);
}

type ReduceFn = Extract<Inst, { op: 'reduce' }>['fn'];

/** Halves are combined until one lane is left. */
export function pushReduce(o: Operands, fn: ReduceFn, a: Reg): void {
  const w = o.writer;
  const { type } = a;
  o.use(a);
  if (type.scalar === 'mask') {
    if (fn === 'or') w.simd(SIMD.anyTrue);
    else if (fn === 'and') w.simd(type.lanes === 2 ? SIMD.i64x2AllTrue : SIMD.i32x4AllTrue);
    else missing(`reduce ${fn}`, type);
    return;
  }
  const lane = laneOf(type);
  const vector = w.allocate('v128');
  w.set(vector);
  if (type.lanes === 4) {
    w.get(vector);
    w.get(vector);
    w.get(vector);
    w.shuffle([2, 3, 0, 1], 4);
    w.simd(VECTOR_BIN[fn]?.[lane] ?? missing(`reduce ${fn}`, type));
    w.set(vector);
  }
  const extract = (i: number): void => {
    w.get(vector);
    w.lane(EXTRACT[lane], i);
  };
  const opcode = SCALAR_BIN[fn]?.[lane];
  extract(0);
  extract(1);
  if (opcode !== undefined) w.op(opcode);
  else {
    extract(0);
    extract(1);
    w.op(SCALAR_CMP[fn === 'min' ? 'lt' : 'gt'][lane]!);
    w.op(OP.select);
  }
  w.release(vector);
}
