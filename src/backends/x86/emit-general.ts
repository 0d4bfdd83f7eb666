/**
 * Arithmetic of the loop IR on general registers: scalar integers, pointers, and truth values of one lane. The same for
 * every instruction set.
 */
import type { BinOp, CmpOp, Reg, RegType, UnOp } from '../../compiler/loops.ts';
import type { AluOp, Condition, SHIFT } from './assembler/operands.ts';
import { type Frame, G0, G1, G2, isWide } from './frame.ts';

export function missing(what: string, type: RegType): never {
  throw new Error(`internal: x86 emitter has no ${what} of ${type.scalar}x${type.lanes}`);
}

export function unaryGeneral(f: Frame, fn: UnOp, d: Reg, a: Reg): void {
  const { asm } = f;
  const { type } = a;
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
}

const ALU_OPS: Partial<Record<BinOp, AluOp>> = { add: 'add', sub: 'sub', and: 'and', or: 'or', xor: 'xor' };
const SHIFTS: Partial<Record<BinOp, keyof typeof SHIFT>> = { shl: 'shl', shrS: 'sar', shrU: 'shr' };

export function binaryGeneral(f: Frame, fn: BinOp, d: Reg, a: Reg, b: Reg): void {
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
    if (count !== null) asm.shiftImm(shift, wide, G0, Number(count & (wide ? 63n : 31n)));
    else {
      f.gCopy(b, G1);
      asm.shiftCl(shift, wide, G0);
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
 * Unsigned 32-bit division by a constant: the high half of a * ceil(2^64 / divisor), which is exact for every a
 * (Lemire, Kaser, Kurz 2019).
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

const CONDITIONS: { readonly [fn in CmpOp]: Condition } = {
  eq: 'e',
  ne: 'ne',
  lt: 'l',
  le: 'le',
  gt: 'g',
  ge: 'ge',
  ltU: 'b',
};
/** Sets the flags by a comparison of general registers; gives the condition that says it is true. */
export function flagsOf(f: Frame, { fn, a, b }: { readonly fn: CmpOp; readonly a: Reg; readonly b: Reg }): Condition {
  const { type } = a;
  const wide = isWide(type);
  const x = f.g(a, G0);
  const immediate = f.immediate(b);
  if (immediate !== null) f.asm.aluImm('cmp', wide, x, immediate);
  else f.asm.alu('cmp', wide, x, f.g(b, G1));
  return type.scalar === 'ptr' && fn === 'lt' ? 'b' : CONDITIONS[fn];
}

export function compareGeneral(f: Frame, fn: CmpOp, d: Reg, a: Reg, b: Reg): void {
  f.asm.setcc(flagsOf(f, { fn, a, b }), G0);
  f.asm.movExtend('zx8', G0, G0);
  f.gDone(d, G0);
}

export function multiplyAddGeneral(f: Frame, d: Reg, a: Reg, b: Reg, c: Reg): void {
  const wide = isWide(d.type);
  f.gCopy(a, G0);
  f.asm.imul(wide, G0, f.g(b, G1));
  f.asm.alu('add', wide, G0, f.g(c, G1));
  f.gDone(d, G0);
}

export function selectGeneral(f: Frame, d: Reg, m: Reg, a: Reg, b: Reg): void {
  f.gCopy(b, G0);
  const x = f.g(a, G1);
  const test = f.g(m, G2);
  f.asm.test(false, test, test);
  f.asm.cmov('ne', isWide(d.type), G0, x);
  f.gDone(d, G0);
}
