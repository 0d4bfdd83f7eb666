/**
 * Conversions between types and movements between lanes, as x86-64 with AVX-512.
 */
import type { Inst, Reg } from '../../compiler/loops.ts';
import { classOf } from './allocate.ts';
import type { VectorOp } from './assembler/forms.ts';
import { combine, integer, packed } from './emit-arithmetic.ts';
import { missing } from './emit-general.ts';
import { bitsOf, type Frame, G0, G1, isFloat, isWide, K0, K1, lengthOf, T0, T1 } from './frame.ts';

/** Conversion instructions by `from>to`; the vector length is that of the wider side. */
const CONVERT: { readonly [key: string]: VectorOp } = {
  'i32>f32': 'vcvtdq2ps',
  'i32>f64': 'vcvtdq2pd',
  'i64>f64': 'vcvtqq2pd',
  'i64>f32': 'vcvtqq2ps',
  'f32>f64': 'vcvtps2pd',
  'f64>f32': 'vcvtpd2ps',
  'f32>i32': 'vcvttps2dq',
  'f32>i64': 'vcvttps2qq',
  'f64>i32': 'vcvttpd2dq',
  'f64>i64': 'vcvttpd2qq',
  'i32>i64': 'vpmovsxdq',
  'i64>i32': 'vpmovqd',
};

/** Least float beyond the integers of a type. */
export const BEYOND = { i32: 2 ** 31, i64: 2 ** 63 } as const;
export const LARGEST = { i32: 2n ** 31n - 1n, i64: 2n ** 63n - 1n } as const;

/** A general register's value as lane 0 of `into`. */
function toVector(f: Frame, into: number, wide: boolean, from: number): void {
  f.asm.vector(wide ? 'vmovq' : 'vmovd', 0, into, 0, from);
}

function toGeneral(f: Frame, into: number, wide: boolean, from: number): void {
  f.asm.vector(wide ? 'vmovq_st' : 'vmovd_st', 0, from, 0, into);
}

export function convert(f: Frame, d: Reg, a: Reg): void {
  const { asm } = f;
  const to = d.type;
  const from = a.type;
  if (from.lanes === 1 && from.scalar === 'mask' && !isFloat(to)) {
    f.gDone(d, f.g(a, G0));
    return;
  }
  if (from.scalar === 'mask' && from.lanes > 1) {
    const l = lengthOf(to);
    const wide = isWide(to);
    const k = f.k(a, K0);
    asm.vector(wide ? 'vpbroadcastq' : 'vpbroadcastd', l, T0, 0, f.element(wide, bitsOf(to, isFloat(to) ? 1 : 1n)), {
      k,
      zero: true,
    });
    f.vDone(d, T0);
    return;
  }
  const source = from.scalar === 'ptr' || from.scalar === 'mask' ? (isWide(from) ? 'i64' : 'i32') : from.scalar;
  const target = to.scalar === 'ptr' ? 'i64' : to.scalar === 'mask' ? 'i32' : to.scalar;
  if (from.lanes === 1 && !isFloat(from) && !isFloat(to)) {
    const x = f.g(a, G0);
    if (isWide(to) && !isWide(from)) asm.movExtend('sx32', G0, x);
    else asm.mov(isWide(to), G0, x);
    f.gDone(d, G0);
    return;
  }
  const wider = isWide(from) ? from : to;
  const l = lengthOf(wider);
  let x: number;
  if (classOf(from) === 'general') {
    x = T1;
    toVector(f, T1, isWide(from), f.g(a, G0));
  } else x = f.v(a);
  const op = source === target ? 'vmovaps' : CONVERT[`${source}>${target}`];
  if (!op) missing(`conversion to ${to.scalar}`, from);
  // vpmovqd has its operands the other way round.
  if (op === 'vpmovqd') asm.vector(op, l, x, 0, T0);
  else asm.vector(op, l, T0, 0, x);
  if (isFloat(from) && (target === 'i32' || target === 'i64')) {
    // What is too large or NaN came out as the smallest integer.
    const fl = lengthOf(from);
    const tl = lengthOf(to);
    const floatWide = isWide(from);
    const wide = isWide(to);
    f.splatBits(T1, fl, floatWide, bitsOf(from, BEYOND[target]));
    asm.vector(packed('vcmp', from), fl, K0, x, T1, { imm: 0x1d });
    asm.vector(packed('vcmp', from), fl, K1, x, x, { imm: 3 });
    const broadcast = wide ? 'vpbroadcastq' : 'vpbroadcastd';
    asm.vector(broadcast, tl, T0, 0, f.element(wide, LARGEST[target]), { k: K0 });
    asm.vector(integer('vpxor', to), tl, T0, T0, T0, { k: K1 });
  }
  if (classOf(to) === 'general') {
    toGeneral(f, G0, isWide(to), T0);
    f.gDone(d, G0);
  } else f.vDone(d, T0);
}

export function bitcast(f: Frame, d: Reg, a: Reg): void {
  const from = classOf(a.type);
  const to = classOf(d.type);
  if (from === to && from === 'vector') f.vDone(d, f.v(a));
  else if (from === to && from === 'general') f.gDone(d, f.g(a, G0));
  else if (from === 'general' && to === 'vector') {
    const into = f.vInto(d);
    toVector(f, into, isWide(a.type), f.g(a, G0));
    f.vDone(d, into);
  } else if (from === 'vector' && to === 'general') {
    const into = f.gInto(d);
    toGeneral(f, into, isWide(d.type), f.v(a));
    f.gDone(d, into);
  } else missing(`bitcast to ${d.type.scalar}`, a.type);
}

export function splat(f: Frame, d: Reg, a: Reg): void {
  const { asm } = f;
  const to = d.type;
  const wide = isWide(to);
  if (to.scalar === 'mask') {
    f.gCopy(a, G0);
    asm.group3('neg', false, G0);
    asm.mask('kmovw_kr', K0, 0, G0);
    f.kDone(d, K0);
    return;
  }
  const into = f.vInto(d);
  const l = lengthOf(to);
  if (classOf(a.type) === 'general') {
    const literal = f.literal(a);
    if (literal !== null) f.splatBits(into, l, wide, literal);
    else asm.vector(wide ? 'vpbroadcastq_r' : 'vpbroadcastd_r', l, into, 0, f.g(a, G0));
  } else asm.vector(wide ? 'vpbroadcastq' : 'vpbroadcastd', l, into, 0, f.v(a));
  f.vDone(d, into);
}

export function extract(f: Frame, d: Reg, a: Reg, lane: number): void {
  const { asm } = f;
  const { type } = a;
  if (type.scalar === 'mask') {
    if (type.lanes === 1) f.gCopy(a, G0);
    else asm.mask('kmovw_rk', G0, 0, f.k(a, K0));
    if (lane > 0) asm.shiftImm('shr', false, G0, lane);
    asm.aluImm('and', false, G0, 1);
    f.gDone(d, G0);
    return;
  }
  if (type.lanes === 1) {
    if (classOf(type) === 'general') f.gDone(d, f.g(a, G0));
    else f.vDone(d, f.v(a));
    return;
  }
  const x = f.v(a);
  let at = x;
  if (lane > 0) {
    at = T0;
    asm.vector(integer('valign', type), lengthOf(type), T0, x, x, { imm: lane });
  }
  if (isFloat(type)) f.vDone(d, at);
  else {
    const into = f.gInto(d);
    toGeneral(f, into, isWide(type), at);
    f.gDone(d, into);
  }
}

export function insert(f: Frame, d: Reg, a: Reg, lane: number, s: Reg): void {
  const { asm } = f;
  const { type } = a;
  if (type.scalar === 'mask') {
    asm.mask('kmovw_rk', G0, 0, f.k(a, K0));
    asm.aluImm('and', false, G0, ~(1 << lane));
    f.gCopy(s, G1);
    asm.shiftImm('shl', false, G1, lane);
    asm.alu('or', false, G0, G1);
    asm.mask('kmovw_kr', K0, 0, G0);
    f.kDone(d, K0);
    return;
  }
  const l = lengthOf(type);
  const wide = isWide(type);
  asm.movImm(G0, BigInt(1 << lane));
  asm.mask('kmovw_kr', K1, 0, G0);
  asm.vector('vmovaps', l, T0, 0, f.v(a));
  if (classOf(s.type) === 'general')
    asm.vector(wide ? 'vpbroadcastq_r' : 'vpbroadcastd_r', l, T0, 0, f.g(s, G0), { k: K1 });
  else asm.vector(wide ? 'vpbroadcastq' : 'vpbroadcastd', l, T0, 0, f.v(s, 1), { k: K1 });
  f.vDone(d, T0);
}

export function shuffle(f: Frame, d: Reg, a: Reg, b: Reg, lanes: readonly number[]): void {
  const { type } = a;
  const wide = isWide(type);
  const indices = wide ? BigInt64Array.from(lanes, BigInt) : Int32Array.from(lanes);
  const l = lengthOf(type);
  f.asm.vector('vmovups', l, T0, 0, f.asm.constant(new Uint8Array(indices.buffer)));
  f.asm.vector(integer('vpermi2', type), l, T0, f.v(a, 0), f.v(b, 1));
  f.vDone(d, T0);
}

type ReduceFn = Extract<Inst, { op: 'reduce' }>['fn'];

/** Halves are combined until one lane is left. */
export function reduce(f: Frame, fn: ReduceFn, d: Reg, a: Reg): void {
  const { asm } = f;
  const { type } = a;
  if (type.scalar === 'mask') {
    testMask(f, a);
    const all = 2 ** type.lanes - 1;
    if (fn === 'and') asm.aluImm('cmp', false, G0, all);
    asm.setcc(fn === 'and' ? 'e' : 'ne', G0);
    asm.movExtend('zx8', G0, G0);
    f.gDone(d, G0);
    return;
  }
  asm.vector('vmovaps', lengthOf(type), T0, 0, f.v(a));
  const fewest = isWide(type) ? 2 : 4;
  for (let width = type.lanes / 2; width >= 1; width /= 2) {
    // Lanes move more quickly (2 cycles, not 5, on Zen 5) where there are only 128 bits.
    const part = { ...type, lanes: Math.max(fewest, 2 * width) };
    asm.vector(integer('valign', type), lengthOf(part), T1, T0, T0, { imm: width });
    combine(f, fn, part);
  }
  if (isFloat(type)) f.vDone(d, T0);
  else {
    toGeneral(f, G0, isWide(type), T0);
    f.gDone(d, G0);
  }
}

/** The lanes of a mask as bits of G0, flags set by them. */
function testMask(f: Frame, a: Reg): void {
  f.asm.mask('kmovw_rk', G0, 0, f.k(a, K0));
  f.asm.aluImm('and', false, G0, 2 ** a.type.lanes - 1);
}

export function anyTrue(f: Frame, d: Reg, a: Reg): void {
  if (a.type.lanes === 1) f.gCopy(a, G0);
  else {
    testMask(f, a);
    f.asm.setcc('ne', G0);
    f.asm.movExtend('zx8', G0, G0);
  }
  f.gDone(d, G0);
}
