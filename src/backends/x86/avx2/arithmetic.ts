/**
 * Arithmetic on vectors, scalar floats (lane 0 of 128-bit vectors) and vector masks with AVX2, FMA and F16C. What AVX2
 * lacks is composed: 64-bit products, minima and arithmetic shifts.
 */

import type { BinOp, CmpOp, Reg, RegType, UnOp } from '../../../compiler/loops.ts';
import type { VexOp } from '../assembler/vex.ts';
import { FLOAT_PREDICATE, signBit } from '../emit-arithmetic.ts';
import { missing } from '../emit-general.ts';
import { bitsOf, FRAME_VECTOR, type Frame, G0, isFloat, isWide, lengthOf } from '../frame.ts';
import { maskOver, narrowMask, T0, T1, T2 } from './registers.ts';

/** ps/pd for floats, d/q for integers. */
export const packed = (name: string, type: RegType): VexOp =>
  `${name}${isFloat(type) ? (isWide(type) ? 'pd' : 'ps') : isWide(type) ? 'q' : 'd'}` as VexOp;

const blend = (type: RegType): VexOp => (isWide(type) ? 'vblendvpd' : 'vblendvps');
/** The immediate that names a register. */
export const named = (register: number): number => register << 4;

/** Rounding of conversions to half floats: nearest, ties to even. */
const NEAREST = 0;
const ROUND: Partial<Record<UnOp, number>> = { nearest: 8, floor: 9, ceil: 10, trunc: 11 };

/** `into` = ~`x`, by T2. */
function invert(f: Frame, l: number, into: number, x: number): void {
  f.asm.vex('vpcmpeqd', l, T2, T2, T2);
  f.asm.vex('vpxor', l, into, x, T2);
}

export function unary(f: Frame, fn: UnOp, d: Reg, a: Reg): void {
  const { asm } = f;
  const { type } = a;
  const l = lengthOf(type);
  const wide = isWide(type);
  const x = f.v(a);
  const into = f.vInto(d);
  if (fn in ROUND) asm.vex(packed('vround', type), l, into, 0, x, ROUND[fn]!);
  else if (fn === 'sqrt') asm.vex(packed('vsqrt', type), l, into, 0, x);
  else if (fn === 'toF16') {
    asm.vex('vcvtps2ph', l, x, 0, into, NEAREST);
    asm.vex('vcvtph2ps', l, into, 0, into);
  } else if (fn === 'not') invert(f, l, into, x);
  else if (isFloat(type) && fn === 'neg') asm.vex('vpxor', l, into, x, f.pattern(l, wide, signBit(type)));
  else if (isFloat(type) && fn === 'abs') asm.vex('vpand', l, into, x, f.pattern(l, wide, ~signBit(type)));
  else if (fn === 'neg') {
    asm.vex('vpxor', l, T0, T0, T0);
    asm.vex(packed('vpsub', type), l, into, T0, x);
  } else if (fn === 'abs' && !wide) asm.vex('vpabsd', l, into, 0, x);
  else if (fn === 'abs') {
    asm.vex('vpxor', l, T0, T0, T0);
    asm.vex('vpcmpgtq', l, T1, T0, x);
    asm.vex('vpsubq', l, T0, T0, x);
    asm.vex('vblendvpd', l, into, x, T0, named(T1));
  } else missing(fn, type);
  f.vDone(d, into);
}

const SHIFTS: Partial<Record<BinOp, string>> = { shl: 'vpsll', shrS: 'vpsra', shrU: 'vpsrl' };

function shift(f: Frame, fn: BinOp, d: Reg, a: Reg, b: Reg): void {
  const { asm } = f;
  const { type } = a;
  const l = lengthOf(type);
  const wide = isWide(type);
  const x = f.v(a, 0);
  const into = f.vInto(d);
  const count = f.sequence.definition[b.id];
  const signed = wide && fn === 'shrS';
  if (count?.op === 'const') {
    const imm = Number(BigInt(count.value) & (wide ? 63n : 31n));
    if (signed) {
      // Shifted without its sign, the sign's bit is spread upwards by a difference.
      const sign = f.pattern(l, true, BigInt.asIntN(64, 1n << BigInt(63 - imm)));
      asm.vex('vpsrlq_i', l, T0, 0, x, imm);
      asm.vex('vpxor', l, T0, T0, sign);
      asm.vex('vpsubq', l, into, T0, sign);
    } else asm.vex(`${SHIFTS[fn]}${wide ? 'q' : 'd'}_i` as VexOp, l, into, 0, x, imm);
  } else {
    asm.vex('vpand', l, T0, f.v(b, 1), f.pattern(l, wide, wide ? 63n : 31n));
    if (signed) {
      asm.vex('vmovups', l, T1, 0, f.pattern(l, true, signBit(type)));
      asm.vex('vpsrlvq', l, T1, T1, T0);
      asm.vex('vpsrlvq', l, T0, x, T0);
      asm.vex('vpxor', l, T0, T0, T1);
      asm.vex('vpsubq', l, into, T0, T1);
    } else asm.vex(`${SHIFTS[fn]}v${wide ? 'q' : 'd'}` as VexOp, l, into, x, T0);
  }
  f.vDone(d, into);
}

const FLOAT_OPS: Partial<Record<BinOp, string>> = { add: 'vadd', sub: 'vsub', mul: 'vmul', div: 'vdiv' };
const INTEGER_OPS: Partial<Record<BinOp, string>> = { add: 'vpadd', sub: 'vpsub' };
const WORD_OPS: Partial<Record<BinOp, VexOp>> = {
  mul: 'vpmulld',
  min: 'vpminsd',
  max: 'vpmaxsd',
  pmin: 'vpminsd',
  pmax: 'vpmaxsd',
};
const BIT_OPS: Partial<Record<BinOp, VexOp>> = { and: 'vpand', or: 'vpor', xor: 'vpxor' };

/** The one instruction that computes `fn`, if there is one. */
function single(fn: BinOp, type: RegType): VexOp | null {
  const bit = BIT_OPS[fn];
  if (bit) return bit;
  const name = (isFloat(type) ? FLOAT_OPS : INTEGER_OPS)[fn];
  if (name) return packed(name, type);
  return isFloat(type) || isWide(type) ? null : (WORD_OPS[fn] ?? null);
}

/** 64-bit product of `x` and `y` in T2; neither may be T2. */
function wideProduct(f: Frame, l: number, x: number, y: number): void {
  const { asm } = f;
  asm.vex('vpsrlq_i', l, T2, 0, x, 32);
  asm.vex('vpmuludq', l, T2, T2, y);
  asm.vex('vmovups_st', l, T2, 0, FRAME_VECTOR);
  asm.vex('vpsrlq_i', l, T2, 0, y, 32);
  asm.vex('vpmuludq', l, T2, T2, x);
  asm.vex('vpaddq', l, T2, T2, FRAME_VECTOR);
  asm.vex('vpsllq_i', l, T2, 0, T2, 32);
  asm.vex('vmovups_st', l, T2, 0, FRAME_VECTOR);
  asm.vex('vpmuludq', l, T2, x, y);
  asm.vex('vpaddq', l, T2, T2, FRAME_VECTOR);
}

/**
 * `x` fn `y` for whatever has no instruction, in T2; neither may be T2, and T0 is used last, so `x` may be in it. min
 * and max of floats take NaN from either side and order -0 below +0: the instruction takes its second operand for both,
 * so both orders are combined.
 */
function composed(f: Frame, fn: BinOp, type: RegType, x: number, y: number): void {
  const { asm } = f;
  const l = lengthOf(type);
  const wide = isWide(type);
  const least = fn === 'min' || fn === 'pmin';
  if (fn === 'mul') wideProduct(f, l, x, y);
  else if (fn !== 'min' && fn !== 'max' && fn !== 'pmin' && fn !== 'pmax') missing(fn, type);
  else if (!isFloat(type)) {
    asm.vex('vpcmpgtq', l, T2, x, y);
    asm.vex('vblendvpd', l, T2, least ? x : y, least ? y : x, named(T2));
  } else if (fn === 'pmin' || fn === 'pmax') asm.vex(packed(least ? 'vmin' : 'vmax', type), l, T2, y, x);
  else {
    const op = packed(least ? 'vmin' : 'vmax', type);
    asm.vex(op, l, T2, x, y);
    asm.vex('vmovups_st', l, T2, 0, FRAME_VECTOR);
    asm.vex(op, l, T2, y, x);
    asm.vex(least ? 'vpor' : 'vpand', l, T2, T2, FRAME_VECTOR);
    asm.vex(packed('vcmp', type), l, T0, x, y, 3);
    asm.vex(blend(type), l, T2, T2, f.pattern(l, wide, bitsOf(type, Number.NaN)), named(T0));
  }
}

/** T0 = T0 fn T1, for reductions. */
export function combine(f: Frame, fn: BinOp, type: RegType): void {
  const l = lengthOf(type);
  const op = single(fn, type);
  if (op) f.asm.vex(op, l, T0, T0, T1);
  else {
    composed(f, fn, type, T0, T1);
    f.asm.vex('vmovaps', l, T0, 0, T2);
  }
}

export function binary(f: Frame, fn: BinOp, d: Reg, a: Reg, b: Reg): void {
  const { asm } = f;
  const { type } = a;
  if (SHIFTS[fn]) {
    shift(f, fn, d, a, b);
    return;
  }
  const l = lengthOf(type);
  const wide = isWide(type);
  const x = f.v(a, 0);
  const y = f.v(b, 1);
  const into = f.vInto(d);
  const op = single(fn, type);
  let result = into;
  if (op) asm.vex(op, l, into, x, y);
  else if (fn === 'andnot') asm.vex('vpandn', l, into, y, x);
  else if (fn === 'copysign') {
    asm.vex('vpand', l, T0, y, f.pattern(l, wide, signBit(type)));
    asm.vex('vpand', l, T1, x, f.pattern(l, wide, ~signBit(type)));
    asm.vex('vpor', l, into, T0, T1);
  } else if (fn === 'mulHiU') {
    asm.vex('vpsrlq_i', l, T0, 0, x, 32);
    asm.vex('vpsrlq_i', l, T1, 0, y, 32);
    asm.vex('vpmuludq', l, T1, T0, T1);
    asm.vex('vpmuludq', l, T0, x, y);
    asm.vex('vpsrlq_i', l, T0, 0, T0, 32);
    asm.vex('vpblendd', l, into, T0, T1, 0xaa);
  } else {
    composed(f, fn, type, x, y);
    result = T2;
  }
  f.vDone(d, result);
}

/** Integer comparison to T0: there are equal and greater. */
function compareIntegers(f: Frame, fn: CmpOp, type: RegType, x: number, y: number): void {
  const { asm } = f;
  const l = lengthOf(type);
  const greater = packed('vpcmpgt', type);
  switch (fn) {
    case 'eq':
    case 'ne':
      asm.vex(packed('vpcmpeq', type), l, T0, x, y);
      break;
    case 'gt':
    case 'le':
      asm.vex(greater, l, T0, x, y);
      break;
    case 'lt':
    case 'ge':
      asm.vex(greater, l, T0, y, x);
      break;
    case 'ltU': {
      const sign = f.pattern(l, isWide(type), signBit(type));
      asm.vex('vpxor', l, T0, x, sign);
      asm.vex('vpxor', l, T1, y, sign);
      asm.vex(greater, l, T0, T1, T0);
    }
  }
  if (fn === 'ne' || fn === 'le' || fn === 'ge') invert(f, l, T0, T0);
}

export function compare(f: Frame, fn: CmpOp, d: Reg, a: Reg, b: Reg): void {
  const { asm } = f;
  const { type } = a;
  const l = lengthOf(type);
  const x = f.v(a, 0);
  const y = f.v(b, 1);
  if (!isFloat(type)) compareIntegers(f, fn, type, x, y);
  else if (fn === 'ltU') missing(fn, type);
  else asm.vex(packed('vcmp', type), l, T0, x, y, FLOAT_PREDICATE[fn]);
  if (type.lanes === 1) {
    asm.vex('vmovd_st', 0, T0, 0, G0);
    asm.aluImm('and', false, G0, 1);
    f.gDone(d, G0);
    return;
  }
  if (isWide(type)) narrowMask(f, T0, T0);
  f.vDone(d, T0);
}

export function multiplyAdd(f: Frame, d: Reg, a: Reg, b: Reg, c: Reg): void {
  const { asm } = f;
  const { type } = d;
  const l = lengthOf(type);
  const [x, y, z] = [f.v(a, 0), f.v(b, 1), f.v(c, 2)];
  if (!isFloat(type)) {
    if (isWide(type)) wideProduct(f, l, x, y);
    else asm.vex('vpmulld', l, T2, x, y);
    asm.vex(packed('vpadd', type), l, T2, T2, z);
    f.vDone(d, T2);
    return;
  }
  const into = f.vInto(d);
  if (into === z) asm.vex(packed('vfmadd231', type), l, z, x, y);
  else if (into === x) asm.vex(packed('vfmadd213', type), l, x, y, z);
  else if (into === y) asm.vex(packed('vfmadd213', type), l, y, x, z);
  else {
    asm.vex('vmovaps', l, into, 0, z);
    asm.vex(packed('vfmadd231', type), l, into, x, y);
  }
  f.vDone(d, into);
}

export function select(f: Frame, d: Reg, m: Reg, a: Reg, b: Reg): void {
  const k = maskOver(f, m, d, 2);
  const into = f.vInto(d);
  f.asm.vex(blend(d.type), lengthOf(d.type), into, f.v(b, 0), f.v(a, 1), named(k));
  f.vDone(d, into);
}
