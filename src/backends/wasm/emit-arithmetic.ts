/**
 * Arithmetic of the loop IR as WebAssembly: tables where one instruction does, short sequences where none does.
 * Operands come from the `Operands` interface, so nothing here knows where values live.
 */
import type { BinOp, CmpOp, Reg, UnOp } from '../../compiler/loops.ts';
import { narrowMask } from './emit-lanes.ts';
import {
  EXTRACT,
  isHalf,
  laneOf,
  missing,
  REPLACE,
  SCALAR_BIN,
  SCALAR_CMP,
  SCALAR_UN,
  SPLAT,
  scalarOf,
  VECTOR_BIN,
  VECTOR_CMP,
  VECTOR_SHIFT,
  VECTOR_UN,
} from './instruction-tables.ts';
import { OP, SIMD } from './opcodes.ts';
import type { Operands } from './operands.ts';

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
