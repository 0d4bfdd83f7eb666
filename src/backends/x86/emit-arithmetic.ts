/**
 * Arithmetic of the loop IR as x86-64 with AVX-512. Scalar floats are lane 0 of 128-bit vectors and use the packed instructions.
 */
import type { BinOp, CmpOp, Reg, RegType, UnOp } from '../../compiler/loops.ts';
import { classOf } from './allocate.ts';
import type { VectorOp } from './assembler/forms.ts';
import type { AluOp, Condition } from './assembler/operands.ts';
import { bitsOf, type Frame, G0, G1, G2, isFloat, isWide, K0, K1, lengthOf, T0, T1 } from './frame.ts';

export function missing(what: string, type: RegType): never {
  throw new Error(`internal: x86 emitter has no ${what} of ${type.scalar}x${type.lanes}`);
}

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
    const wide = isWide(type);
    if (fn === 'clz') asm.lzcnt(wide, G0, f.g(a, G0));
    else {
      f.gCopy(a, G0);
      if (fn === 'not' && type.scalar === 'mask') asm.aluImm('xor', false, G0, 1);
      else if (fn === 'not' || fn === 'neg') asm.group3(fn, wide, G0);
      else if (fn === 'abs') {
        asm.mov(wide, G1, G0);
        asm.group3('neg', wide, G0);
        asm.cmov('s', wide, G0, G1);
      } else missing(fn, type);
    }
    f.gDone(d, G0);
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

const ALU_OPS: Partial<Record<BinOp, AluOp>> = { add: 'add', sub: 'sub', and: 'and', or: 'or', xor: 'xor' };
const SHIFTS: Partial<Record<BinOp, { readonly scalar: 'shl' | 'sar' | 'shr'; readonly vector: string }>> = {
  shl: { scalar: 'shl', vector: 'vpsll' },
  shrS: { scalar: 'sar', vector: 'vpsra' },
  shrU: { scalar: 'shr', vector: 'vpsrl' },
};

export function binary(f: Frame, fn: BinOp, d: Reg, a: Reg, b: Reg): void {
  const kind = classOf(a.type);
  if (kind === 'general') scalarBinary(f, fn, d, a, b);
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

function scalarBinary(f: Frame, fn: BinOp, d: Reg, a: Reg, b: Reg): void {
  const { asm } = f;
  const wide = isWide(a.type);
  const alu = ALU_OPS[fn];
  if (alu) {
    const immediate = f.immediate(b);
    const y = immediate === null ? f.g(b, G1) : -1;
    const into = f.gInto(d);
    // Where d is b's register, a goes elsewhere first.
    const at = into === y ? G0 : into;
    f.gCopy(a, at);
    if (immediate !== null) asm.aluImm(alu, wide, at, immediate);
    else asm.alu(alu, wide, at, y);
    f.gDone(d, at);
    return;
  }
  const shift = SHIFTS[fn];
  if (shift) {
    const count = f.literal(b);
    f.gCopy(a, G0);
    if (count !== null) asm.shiftImm(shift.scalar, wide, G0, Number(count & (wide ? 63n : 31n)));
    else {
      f.gCopy(b, G1);
      asm.shiftCl(shift.scalar, wide, G0);
    }
    f.gDone(d, G0);
    return;
  }
  switch (fn) {
    case 'mul': {
      const immediate = f.immediate(b);
      if (immediate !== null) asm.imulImm(wide, G0, f.g(a, G0), immediate);
      else {
        f.gCopy(a, G0);
        asm.imul(wide, G0, f.g(b, G1));
      }
      f.gDone(d, G0);
      return;
    }
    case 'div':
    case 'rem':
    case 'divU':
    case 'remU': {
      const literal = f.literal(b);
      if (literal !== null && !wide && (fn === 'divU' || fn === 'remU')) {
        divideBy(f, d, a, BigInt.asUintN(32, literal), fn === 'remU');
        return;
      }
      const divisor = f.g(b, G1);
      f.gCopy(a, G0);
      const signed = fn === 'div' || fn === 'rem';
      if (signed) asm.cdq(wide);
      else asm.alu('xor', false, G2, G2);
      asm.group3(signed ? 'idiv' : 'div', wide, divisor);
      f.gDone(d, fn === 'div' || fn === 'divU' ? G0 : G2);
      return;
    }
    case 'min':
    case 'pmin':
    case 'max':
    case 'pmax': {
      const y = f.g(b, G1);
      f.gCopy(a, G0);
      asm.alu('cmp', wide, G0, y);
      asm.cmov(fn === 'min' || fn === 'pmin' ? 'g' : 'l', wide, G0, y);
      f.gDone(d, G0);
      return;
    }
    case 'andnot':
      f.gCopy(b, G1);
      if (a.type.scalar === 'mask') asm.aluImm('xor', false, G1, 1);
      else asm.group3('not', wide, G1);
      asm.alu('and', wide, G1, f.g(a, G0));
      f.gDone(d, G1);
      return;
    case 'mulHiU':
      f.gCopy(a, G0);
      asm.group3('mul', false, f.g(b, G1));
      f.gDone(d, G2);
      return;
    default:
      missing(fn, a.type);
  }
}

/**
 * Unsigned 32-bit division by a constant: the high half of a * ceil(2^64 / divisor), which is exact for every a (Lemire, Kaser, Kurz 2019).
 */
function divideBy(f: Frame, d: Reg, a: Reg, divisor: bigint, remainder: boolean): void {
  const { asm } = f;
  if (divisor <= 1n) {
    if (remainder) asm.movImm(G2, 0n);
    else f.gCopy(a, G2);
    f.gDone(d, G2);
    return;
  }
  asm.movImm(G1, (1n << 64n) / divisor + ((1n << 64n) % divisor === 0n ? 0n : 1n));
  const x = f.g(a, G0);
  // Writing 32 bits clears the upper half.
  asm.mov(false, G0, x);
  asm.group3('mul', true, G1);
  if (!remainder) {
    f.gDone(d, G2);
    return;
  }
  asm.imulImm(false, G2, G2, Number(BigInt.asIntN(32, divisor)));
  const y = f.g(a, G0);
  asm.mov(false, G0, y);
  asm.alu('sub', false, G0, G2);
  f.gDone(d, G0);
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

/**
 * min or max with NaN from either side and -0 below +0: the instruction takes its second operand for both, so both orders are
 * combined. `x` and `y` must not be the temporaries; the result is in T0.
 */
function exactMinMax(f: Frame, fn: 'min' | 'max', type: RegType, x: number, y: number): void {
  const { asm } = f;
  const l = lengthOf(type);
  const op = packed(fn === 'min' ? 'vmin' : 'vmax', type);
  asm.vector(op, l, T0, x, y);
  asm.vector(op, l, T1, y, x);
  asm.vector(fn === 'min' ? 'vpord' : 'vpandd', l, T0, T0, T1);
  asm.vector(packed('vcmp', type), l, K1, x, y, { imm: 3 });
  f.asm.vector(isWide(type) ? 'vpbroadcastq' : 'vpbroadcastd', l, T0, 0, nan(f, type), { k: K1 });
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
    const count = f.usage.definition[b.id];
    const into = f.vInto(d);
    if (count?.op === 'const') {
      const imm = Number(BigInt(count.value) & (wide ? 63n : 31n));
      asm.vector(`${shift.vector}${wide ? 'q' : 'd'}_i` as VectorOp, l, into, 0, x, { imm });
    } else {
      f.splatBits(T0, l, wide, wide ? 63n : 31n);
      asm.vector('vpandd', l, T0, T0, f.v(b, 1));
      asm.vector(integer(`${shift.vector}v`, type), l, into, x, T0);
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
    default:
      missing(fn, type);
  }
}

const CONDITIONS: { readonly [fn in CmpOp]: Condition } = {
  eq: 'e',
  ne: 'ne',
  lt: 'l',
  le: 'le',
  gt: 'g',
  ge: 'ge',
  ltU: 'b',
};
export const FLOAT_PREDICATE = { eq: 0, ne: 4, lt: 0x11, le: 0x12, gt: 0x1e, ge: 0x1d, ltU: -1 } as const;
const INTEGER_PREDICATE = { eq: 0, ne: 4, lt: 1, le: 2, gt: 6, ge: 5, ltU: 1 } as const;

/** Sets the flags by a comparison of general registers; gives the condition that says it is true. */
export function compareGeneral(
  f: Frame,
  { fn, a, b }: { readonly fn: CmpOp; readonly a: Reg; readonly b: Reg },
): Condition {
  const { type } = a;
  const wide = isWide(type);
  const x = f.g(a, G0);
  const immediate = f.immediate(b);
  if (immediate !== null) f.asm.aluImm('cmp', wide, x, immediate);
  else f.asm.alu('cmp', wide, x, f.g(b, G1));
  return type.scalar === 'ptr' && fn === 'lt' ? 'b' : CONDITIONS[fn];
}

export function compare(f: Frame, fn: CmpOp, d: Reg, a: Reg, b: Reg): void {
  const { asm } = f;
  const { type } = a;
  const kind = classOf(type);
  if (kind === 'general') {
    asm.setcc(compareGeneral(f, { fn, a, b }), G0);
    asm.movExtend('zx8', G0, G0);
    f.gDone(d, G0);
    return;
  }
  if (kind === 'mask') missing(fn, type);
  const l = lengthOf(type);
  const x = f.v(a, 0);
  const { s, broadcast } = f.operand(b, 1);
  if (isFloat(type)) {
    if (fn === 'ltU') missing(fn, type);
    asm.vector(packed('vcmp', type), l, K0, x, s, { imm: FLOAT_PREDICATE[fn], broadcast });
  } else {
    const op = integer(fn === 'ltU' ? 'vpcmpu' : 'vpcmp', type);
    asm.vector(op, l, K0, x, s, { imm: INTEGER_PREDICATE[fn], broadcast });
  }
  if (type.lanes > 1) f.kDone(d, K0);
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
      f.gCopy(a, G0);
      asm.imul(isWide(type), G0, f.g(b, G1));
      asm.alu('add', isWide(type), G0, f.g(c, G1));
      f.gDone(d, G0);
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
    const wide = isWide(type);
    f.gCopy(b, G0);
    const x = f.g(a, G1);
    const test = f.g(m, G2);
    asm.test(false, test, test);
    asm.cmov('ne', wide, G0, x);
    f.gDone(d, G0);
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
export function combine(
  f: Frame,
  fn: 'add' | 'mul' | 'min' | 'max' | 'and' | 'or',
  type: RegType,
  home: Parameters<typeof f.asm.vector>[4],
): void {
  const { asm } = f;
  const l = lengthOf(type);
  const float = isFloat(type);
  if (float && (fn === 'min' || fn === 'max')) {
    const op = packed(fn === 'min' ? 'vmin' : 'vmax', type);
    asm.vector('vmovups_st', l, T0, 0, home);
    asm.vector(packed('vcmp', type), l, K1, T0, T1, { imm: 3 });
    asm.vector(op, l, T0, T0, T1);
    asm.vector(op, l, T1, T1, home);
    asm.vector(fn === 'min' ? 'vpord' : 'vpandd', l, T0, T0, T1);
    asm.vector(isWide(type) ? 'vpbroadcastq' : 'vpbroadcastd', l, T0, 0, nan(f, type), { k: K1 });
    return;
  }
  const bit = fn === 'and' || fn === 'or' ? BIT_OPS[fn]! : null;
  const name = bit ?? (float ? FLOAT_OPS : INTEGER_OPS)[fn]!;
  asm.vector(bit || !float ? integer(name, type) : packed(name, type), l, T0, T0, T1);
}
