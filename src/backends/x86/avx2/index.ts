/**
 * Everything that touches vector registers, for processors without AVX-512. General registers, control flow and
 * addresses are the emitter's own.
 */
import type { Inst, RegType } from '../../../compiler/loops.ts';
import { classOf } from '../allocate.ts';
import { bitsOf, type Frame, isWide, lengthOf } from '../frame.ts';
import { binary, compare, multiplyAdd, select, unary } from './arithmetic.ts';
import { anyTrue, bitcast, convert, extract, insert, reduce, shuffle, splat } from './lanes.ts';
import { load, store } from './memory.ts';

const inVector = (type: RegType): boolean => classOf(type) !== 'general';

/** Writes the instruction and returns true, if it reads or writes a vector register. */
export function vectorInstruction(f: Frame, inst: Inst): boolean {
  const { asm } = f;
  switch (inst.op) {
    case 'const': {
      const { type } = inst.d;
      if (!inVector(type)) return false;
      const into = f.vInto(inst.d);
      const l = lengthOf(type);
      if (type.scalar !== 'mask') f.splatBits(into, l, isWide(type), bitsOf(type, inst.value));
      else if (Number(inst.value) === 0) asm.vex('vpxor', l, into, into, into);
      else asm.vex('vpcmpeqd', l, into, into, into);
      f.vDone(inst.d, into);
      return true;
    }
    case 'move':
      if (!inVector(inst.d.type)) return false;
      f.vDone(inst.d, f.v(inst.a));
      return true;
    case 'un':
      if (!inVector(inst.d.type)) return false;
      unary(f, inst.fn, inst.d, inst.a);
      return true;
    case 'bin':
      if (!inVector(inst.d.type)) return false;
      binary(f, inst.fn, inst.d, inst.a, inst.b);
      return true;
    case 'cmp':
      if (!inVector(inst.a.type)) return false;
      compare(f, inst.fn, inst.d, inst.a, inst.b);
      return true;
    case 'fma':
      if (!inVector(inst.d.type)) return false;
      multiplyAdd(f, inst.d, inst.a, inst.b, inst.c);
      return true;
    case 'dot':
    case 'tiles':
    case 'tileSums':
      throw new Error(`internal: AVX2 has no ${inst.op}`);
    case 'select':
      if (!inVector(inst.d.type)) return false;
      select(f, inst.d, inst.m, inst.a, inst.b);
      return true;
    case 'cvt':
      if (!inVector(inst.d.type) && !inVector(inst.a.type)) return false;
      convert(f, inst.d, inst.a);
      return true;
    case 'bitcast':
      if (!inVector(inst.d.type) && !inVector(inst.a.type)) return false;
      bitcast(f, inst.d, inst.a);
      return true;
    case 'splat':
      splat(f, inst.d, inst.a);
      return true;
    case 'extract':
      if (!inVector(inst.a.type)) return false;
      extract(f, inst.d, inst.a, inst.lane);
      return true;
    case 'insert':
      insert(f, inst.d, inst.a, inst.lane, inst.s);
      return true;
    case 'shuffle':
      shuffle(f, inst.d, inst.a, inst.b, inst.lanes);
      return true;
    case 'reduce':
      reduce(f, inst.fn, inst.d, inst.a);
      return true;
    case 'anyTrue':
      if (!inVector(inst.a.type)) return false;
      anyTrue(f, inst.d, inst.a);
      return true;
    case 'load':
      if (!inVector(inst.d.type)) return false;
      load(f, inst);
      return true;
    case 'store':
      if (!inVector(inst.a.type)) return false;
      store(f, inst);
      return true;
    default:
      return false;
  }
}
