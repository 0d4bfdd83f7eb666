/**
 * Arithmetic of the loop IR on vectors and masks with AVX-512, and on general registers through emit-general.ts. Scalar
 * floats are lane 0 of 128-bit vectors and use the packed instructions.
 */
import type { BinOp, CmpOp, Reg, RegType, UnOp } from '../../compiler/loops.ts';
import { classOf } from './allocate.ts';
import type { VectorOp } from './assembler/forms.ts';
import {
  binaryGeneral,
  compareGeneral,
  missing,
  multiplyAddGeneral,
  selectGeneral,
  unaryGeneral,
} from './emit-general.ts';
import { roundToBf16 } from './emit-memory.ts';
import { bitsOf, type Frame, G0, isFloat, isWide, K0, K1, lengthOf, T0, T1 } from './frame.ts';

/** The packed instruction of a name for the type: ps/pd for floats, d/q for integers. */
export const packed = (name: string, type: RegType): VectorOp =>
  `${name}${isFloat(type) ? (isWide(type) ? 'pd' : 'ps') : isWide(type) ? 'q' : 'd'}` as VectorOp;
export const integer = (name: string, type: RegType): VectorOp => `${name}${isWide(type) ? 'q' : 'd'}` as VectorOp;

export const signBit = (type: RegType): bigint => (isWide(type) ? -(1n << 63n) : -(1n << 31n));

/** Rounding of conversions to half floats: nearest, ties to even. */
const NEAREST = 0;
const ROUND: Partial<Record<UnOp, number>> = { nearest: 8, floor: 9, ceil: 10, trunc: 11 };

export function unary(f: Frame, fn: UnOp, d: Reg, a: Reg): void {
  const { asm } = f;
  const { type } = a;
  const kind = classOf(type);
  if (kind === 'mask') {
    if (fn !== 'not') missing(fn, type);
    asm.mask('knotw', K0, 0, f.k(a, K0));
    f.kDone(d, K0);
    return;
  }
  if (kind === 'general') {
    unaryGeneral(f, fn, d, a);
    return;
  }
  const l = lengthOf(type);
  const x = f.v(a);
  const into = f.vInto(d);
  const wide = isWide(type);
  if (fn in ROUND) asm.vector(packed('vrndscale', type), l, into, 0, x, { imm: ROUND[fn]! });
  else if (fn === 'sqrt') asm.vector(packed('vsqrt', type), l, into, 0, x);
  else if (fn === 'nearInverse') asm.vector(packed('vrcp14', type), l, into, 0, x);
  else if (fn === 'toF16') {
    asm.vector('vcvtps2ph', l, x, 0, into, { imm: NEAREST });
    asm.vector('vcvtph2ps', l, into, 0, into);
  } else if (fn === 'toBf16') {
    roundToBf16(f, l, x);
    asm.vector('vpandd', l, into, T0, f.element(false, -0x10000n), { broadcast: true });
  } else if (fn === 'toNormalBf16') {
    asm.vector('vcvtneps2bf16', l, T0, 0, x);
    asm.vector('vpmovzxwd', l, into, 0, T0);
    asm.vector('vpslld_i', l, into, 0, into, { imm: 16 });
  } else if (fn === 'not') asm.vector('vpternlogd', l, into, x, x, { imm: 0x55 });
  else if (fn === 'abs' || fn === 'neg') {
    if (isFloat(type)) {
      const bits = fn === 'neg' ? signBit(type) : ~signBit(type);
      asm.vector(integer(fn === 'neg' ? 'vpxor' : 'vpand', type), l, into, x, f.element(wide, bits), {
        broadcast: true,
      });
    } else if (fn === 'abs') asm.vector(integer('vpabs', type), l, into, 0, x);
    else {
      f.splatBits(T0, l, wide, 0n);
      asm.vector(integer('vpsub', type), l, into, T0, x);
    }
  } else missing(fn, type);
  f.vDone(d, into);
}

const SHIFTS: Partial<Record<BinOp, string>> = { shl: 'vpsll', shrS: 'vpsra', shrU: 'vpsrl' };

export function binary(f: Frame, fn: BinOp, d: Reg, a: Reg, b: Reg): void {
  const kind = classOf(a.type);
  if (kind === 'general') binaryGeneral(f, fn, d, a, b);
  else if (kind === 'mask') maskBinary(f, fn, d, a, b);
  else vectorBinary(f, fn, d, a, b);
}

function maskBinary(f: Frame, fn: BinOp, d: Reg, a: Reg, b: Reg): void {
  const x = f.k(a, K0);
  const y = f.k(b, K1);
  if (fn === 'and') f.asm.mask('kandw', K0, x, y);
  else if (fn === 'or') f.asm.mask('korw', K0, x, y);
  else if (fn === 'xor') f.asm.mask('kxorw', K0, x, y);
  else if (fn === 'andnot') f.asm.mask('kandnw', K0, y, x);
  else missing(fn, a.type);
  f.kDone(d, K0);
}

const FLOAT_OPS: Partial<Record<BinOp, string>> = {
  add: 'vadd',
  sub: 'vsub',
  mul: 'vmul',
  div: 'vdiv',
  scale: 'vscalef',
};
const INTEGER_OPS: Partial<Record<BinOp, string>> = {
  add: 'vpadd',
  sub: 'vpsub',
  mul: 'vpmull',
  min: 'vpmins',
  max: 'vpmaxs',
  pmin: 'vpmins',
  pmax: 'vpmaxs',
};
const BIT_OPS: Partial<Record<BinOp, string>> = { and: 'vpand', or: 'vpor', xor: 'vpxor' };

/** What vrange picks, as an immediate: the smaller or the larger, with its own sign. */
const PICKS = { min: 4, max: 5 } as const;
/** A bit of the third operand chooses: the first two joined by `and`, or by `or`. */
const AND_OR_OR = 0xd4;

/**
 * min or max with NaN from either side and -0 below +0, in T0. Where one operand is NaN, or both are zeros, vmin and
 * vmax take the second one, so both orders are joined bit by bit: a NaN stays one, and the sign of zero is the lower or
 * the higher one. A running result waits 4 cycles (Zen 5), and 8 where a mask guards NaN: as in reductions, whose
 * operands are in the temporaries.
 */
function exactMinMax(f: Frame, fn: 'min' | 'max', type: RegType, x: number, y: number): void {
  const { asm } = f;
  const l = lengthOf(type);
  if (x === T0) {
    asm.vector(packed('vcmp', type), l, K1, x, y, { imm: 3 });
    asm.vector(packed('vrange', type), l, T0, x, y, { imm: PICKS[fn] });
    asm.vector(isWide(type) ? 'vpbroadcastq' : 'vpbroadcastd', l, T0, 0, nan(f, type), { k: K1 });
    return;
  }
  const op = packed(fn === 'min' ? 'vmin' : 'vmax', type);
  asm.vector(op, l, T0, x, y);
  asm.vector(op, l, T1, y, x);
  if (fn === 'min') asm.vector(integer('vpor', type), l, T0, T0, T1);
  else {
    const sign = f.element(isWide(type), signBit(type));
    asm.vector(integer('vpternlog', type), l, T0, T1, sign, { imm: AND_OR_OR, broadcast: true });
  }
}

const nan = (f: Frame, type: RegType) => f.element(isWide(type), bitsOf(type, Number.NaN));

function vectorBinary(f: Frame, fn: BinOp, d: Reg, a: Reg, b: Reg): void {
  const { asm } = f;
  const { type } = a;
  const l = lengthOf(type);
  const float = isFloat(type);
  const wide = isWide(type);
  if (f.folding.constant(a) !== null) {
    // It commutes: the constant comes second.
    vectorBinary(f, fn, d, b, a);
    return;
  }
  const x = f.v(a, 0);
  const shift = SHIFTS[fn];
  if (shift) {
    const count = f.sequence.definition[b.id];
    const into = f.vInto(d);
    if (count?.op === 'const') {
      const imm = Number(BigInt(count.value) & (wide ? 63n : 31n));
      asm.vector(`${shift}${wide ? 'q' : 'd'}_i` as VectorOp, l, into, 0, x, { imm });
    } else {
      f.splatBits(T0, l, wide, wide ? 63n : 31n);
      asm.vector('vpandd', l, T0, T0, f.v(b, 1));
      asm.vector(integer(`${shift}v`, type), l, into, x, T0);
    }
    f.vDone(d, into);
    return;
  }
  const { s, broadcast } = f.operand(b, 1);
  const into = f.vInto(d);
  const bit = BIT_OPS[fn];
  const name = bit ?? (float ? FLOAT_OPS : INTEGER_OPS)[fn];
  if (name) {
    asm.vector(bit || !float ? integer(name, type) : packed(name, type), l, into, x, s, { broadcast });
    f.vDone(d, into);
    return;
  }
  if (fn === 'pmin' || fn === 'pmax') {
    // The second operand is what counts where one is NaN.
    const y = broadcast ? T0 : (s as number);
    if (broadcast) asm.vector(wide ? 'vpbroadcastq' : 'vpbroadcastd', l, T0, 0, s);
    asm.vector(packed(fn === 'pmin' ? 'vmin' : 'vmax', type), l, into, y, x);
    f.vDone(d, into);
    return;
  }
  const y = s as number;
  switch (fn) {
    case 'min':
    case 'max':
      exactMinMax(f, fn, type, x, y);
      f.vDone(d, T0);
      return;
    case 'andnot':
      asm.vector(integer('vpandn', type), l, into, y, x);
      f.vDone(d, into);
      return;
    case 'copysign':
      f.splatBits(T0, l, wide, signBit(type));
      // Bit by bit: T0 ? y : x.
      asm.vector('vpternlogd', l, T0, y, x, { imm: 0xca });
      f.vDone(d, T0);
      return;
    case 'mulHiU':
      asm.vector('vpsrlq_i', l, T0, 0, x, { imm: 32 });
      asm.vector('vpsrlq_i', l, T1, 0, y, { imm: 32 });
      asm.vector('vpmuludq', l, T1, T0, T1);
      asm.vector('vpmuludq', l, T0, x, y);
      asm.vector('vpsrlq_i', l, T0, 0, T0, { imm: 32 });
      asm.movImm(G0, 0xaaaan);
      asm.mask('kmovw_kr', K1, 0, G0);
      asm.vector('vblendmps', l, T0, T0, T1, { k: K1 });
      f.vDone(d, T0);
      return;
    case 'toBf16Words':
      asm.vector('vcvtne2ps2bf16', l, T1, y, x);
      asm.vector('vmovups', l, T0, 0, asm.constant(wordsOfHalves(type.lanes)));
      asm.vector('vpermw', l, into, T0, T1);
      f.vDone(d, into);
      return;
    default:
      missing(fn, type);
  }
}

/** For vpermw: words of the lower and of the upper half of a vector in turns. */
function wordsOfHalves(lanes: number): Uint8Array {
  const words = Int16Array.from({ length: 2 * lanes }, (_, i) => (i >> 1) + (i % 2) * lanes);
  return new Uint8Array(words.buffer);
}

export const FLOAT_PREDICATE = { eq: 0, ne: 4, lt: 0x11, le: 0x12, gt: 0x1e, ge: 0x1d, ltU: -1 } as const;
const INTEGER_PREDICATE = { eq: 0, ne: 4, lt: 1, le: 2, gt: 6, ge: 5, ltU: 1 } as const;

export function compare(f: Frame, fn: CmpOp, d: Reg, a: Reg, b: Reg): void {
  const { asm } = f;
  const { type } = a;
  const kind = classOf(type);
  if (kind === 'general') {
    compareGeneral(f, fn, d, a, b);
    return;
  }
  if (kind === 'mask') missing(fn, type);
  const l = lengthOf(type);
  const x = f.v(a, 0);
  const { s, broadcast } = f.operand(b, 1);
  const into = type.lanes > 1 ? f.kInto(d, K0) : K0;
  if (isFloat(type)) {
    if (fn === 'ltU') missing(fn, type);
    asm.vector(packed('vcmp', type), l, into, x, s, { imm: FLOAT_PREDICATE[fn], broadcast });
  } else {
    const op = integer(fn === 'ltU' ? 'vpcmpu' : 'vpcmp', type);
    asm.vector(op, l, into, x, s, { imm: INTEGER_PREDICATE[fn], broadcast });
  }
  if (type.lanes > 1) f.kDone(d, into);
  else {
    asm.mask('kmovw_rk', G0, 0, K0);
    asm.aluImm('and', false, G0, 1);
    f.gDone(d, G0);
  }
}

export function multiplyAdd(f: Frame, d: Reg, a: Reg, b: Reg, c: Reg): void {
  const { asm } = f;
  const { type } = d;
  if (!isFloat(type)) {
    if (type.lanes === 1) {
      multiplyAddGeneral(f, d, a, b, c);
      return;
    }
    const l = lengthOf(type);
    asm.vector(integer('vpmull', type), l, T0, f.v(a, 0), f.v(b, 1));
    asm.vector(integer('vpadd', type), l, T0, T0, f.v(c, 2));
    f.vDone(d, T0);
    return;
  }
  const l = lengthOf(type);
  const into = f.vInto(d);
  const constant = [a, b, c].find(reg => f.folding.constant(reg) !== null);
  if (constant) {
    const { s, broadcast } = f.operand(constant);
    if (constant === c) {
      const [x, y] = [f.v(a, 0), f.v(b, 1)];
      // d = d * other + c, d being whichever operand it may be.
      const other = into === y ? x : y;
      if (into !== x && into !== y) asm.vector('vmovaps', l, into, 0, x);
      asm.vector(packed('vfmadd213', type), l, into, other, s, { broadcast });
    } else {
      const [x, z] = [f.v(constant === a ? b : a, 1), f.v(c, 2)];
      // d += x * constant, behind a copy of x where d takes its place.
      let factor = x;
      if (into === x && into !== z) {
        asm.vector('vmovaps', l, T0, 0, x);
        factor = T0;
      }
      if (into !== z) asm.vector('vmovaps', l, into, 0, z);
      asm.vector(packed('vfmadd231', type), l, into, factor, s, { broadcast });
    }
    f.vDone(d, into);
    return;
  }
  const [x, y, z] = [f.v(a, 0), f.v(b, 1), f.v(c, 2)];
  if (into === z) asm.vector(packed('vfmadd231', type), l, z, x, y);
  else if (into === x) asm.vector(packed('vfmadd213', type), l, x, y, z);
  else if (into === y) asm.vector(packed('vfmadd213', type), l, y, x, z);
  else {
    asm.vector('vmovaps', l, into, 0, z);
    asm.vector(packed('vfmadd231', type), l, into, x, y);
  }
  f.vDone(d, into);
}

export function select(f: Frame, d: Reg, m: Reg, a: Reg, b: Reg): void {
  const { asm } = f;
  const { type } = d;
  const kind = classOf(type);
  if (kind === 'general') {
    selectGeneral(f, d, m, a, b);
    return;
  }
  if (kind === 'mask') {
    const test = f.k(m, K0);
    asm.mask('kandnw', K1, test, f.k(b, K1));
    asm.mask('kandw', K0, test, f.k(a, 0));
    asm.mask('korw', K0, K0, K1);
    f.kDone(d, K0);
    return;
  }
  let k = K0;
  if (m.type.lanes > 1) k = f.k(m, K0);
  else if (type.lanes > 1) {
    f.gCopy(m, G0);
    asm.group3('neg', false, G0);
    asm.mask('kmovw_kr', K0, 0, G0);
  } else asm.mask('kmovw_kr', K0, 0, f.g(m, G0));
  const into = f.vInto(d);
  const other = f.v(b, 0);
  const { s, broadcast } = f.operand(a, 1);
  const op = packed('vblendm', { ...type, scalar: isWide(type) ? 'f64' : 'f32' });
  asm.vector(op, lengthOf(type), into, other, s, { k, broadcast });
  f.vDone(d, into);
}

/** `x` in T0 and `y` in T1, combined into T0, for reductions. */
export function combine(f: Frame, fn: 'add' | 'mul' | 'min' | 'max' | 'and' | 'or', type: RegType): void {
  const { asm } = f;
  const l = lengthOf(type);
  const float = isFloat(type);
  if (float && (fn === 'min' || fn === 'max')) {
    exactMinMax(f, fn, type, T0, T1);
    return;
  }
  const bit = fn === 'and' || fn === 'or' ? BIT_OPS[fn]! : null;
  const name = bit ?? (float ? FLOAT_OPS : INTEGER_OPS)[fn]!;
  asm.vector(bit || !float ? integer(name, type) : packed(name, type), l, T0, T0, T1);
}
