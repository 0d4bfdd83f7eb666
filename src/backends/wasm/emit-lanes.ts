/**
 * Conversions between types and movements between lanes, as WebAssembly. Like emit-arithmetic.ts, it takes operands as
 * they come.
 */
import type { Inst, Reg, RegType } from '../../compiler/loops.ts';
import type { FunctionWriter } from './function-writer.ts';
import {
  EXTRACT,
  isHalf,
  laneOf,
  missing,
  type Number4,
  REPLACE,
  SCALAR_BIN,
  SCALAR_CMP,
  SCALAR_CONVERT,
  SPLAT,
  scalarOf,
  VECTOR_BIN,
  VECTOR_CONVERT,
} from './instruction-tables.ts';
import { OP, SIMD } from './opcodes.ts';
import { type Operands, pushConstant } from './operands.ts';

/** Lanes of a shuffle that brings the low words of both 64-bit lanes to the front. */
const LOW_WORDS = [0, 2, 0, 2];

/** Turns a mask of two 64-bit lanes on the stack into one for two 32-bit lanes. */
export function narrowMask(w: FunctionWriter): void {
  const mask = w.allocate('v128');
  w.set(mask);
  w.get(mask);
  w.get(mask);
  w.shuffle(LOW_WORDS, 4);
  w.release(mask);
}

/** One scalar conversion of the value on the stack. */
function convertScalar(w: FunctionWriter, from: Number4, to: Number4): void {
  if (from === to) return;
  const opcode = SCALAR_CONVERT[from][to];
  if (opcode !== undefined) w.op(opcode);
  // The float to integer rows of the 0xfc group: bit 2 says i64, bit 1 says from f64.
  else w.saturate(((to === 'i64' ? 4 : 0) | (from === 'f64' ? 2 : 0)) as 0 | 2 | 4 | 6);
}

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
