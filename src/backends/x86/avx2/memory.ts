/**
 * Loads and stores of vectors and scalar floats with AVX2 and F16C. Bits of 16-bit floats agree with graph/half.ts.
 */
import type { Inst, Reg } from '../../../compiler/loops.ts';
import type { Mem } from '../assembler/operands.ts';
import type { VexOp } from '../assembler/vex.ts';
import { type Frame, G0, G1, isWide, lengthOf } from '../frame.ts';
import { named } from './arithmetic.ts';
import { T0, T1, T2 } from './registers.ts';

const WIDEN: { readonly [type: string]: VexOp } = {
  i8: 'vpmovsxbd',
  u8: 'vpmovzxbd',
  bool: 'vpmovzxbd',
  f16: 'vcvtph2ps',
  bf16: 'vpmovzxwd',
};

export function load(f: Frame, inst: Extract<Inst, { op: 'load' }>): void {
  const { asm } = f;
  const { d, p, offset, mem: type } = inst;
  const from = f.address(p, offset);
  const into = f.vInto(d);
  if (d.type.lanes > 1) {
    const l = lengthOf(d.type);
    asm.vex(WIDEN[type] ?? 'vmovups', l, into, 0, from);
    if (type === 'bf16') asm.vex('vpslld_i', l, into, 0, into, 16);
  } else if (type === 'f64') asm.vex('vmovsd', 0, into, 0, from);
  else if (type === 'f32') asm.vex('vmovss', 0, into, 0, from);
  else {
    asm.movExtend('zx16', G0, from);
    if (type === 'bf16') asm.shiftImm('shl', false, G0, 16);
    asm.vex('vmovd', 0, into, 0, G0);
    if (type === 'f16') asm.vex('vcvtph2ps', 0, into, 0, into);
  }
  f.vDone(d, into);
}

/** A scalar load spread over all lanes: one instruction. */
export function loadSplat(f: Frame, d: Reg, p: Reg, offset: number): void {
  const into = f.vInto(d);
  f.asm.vex(isWide(d.type) ? 'vpbroadcastq' : 'vpbroadcastd', lengthOf(d.type), into, 0, f.address(p, offset));
  f.vDone(d, into);
}

/**
 * `x` as bf16 in the low halves of T0's 32-bit lanes: rounded to nearest even, NaN quiet, or as it is where it is one
 * already.
 */
function roundToBf16(f: Frame, l: number, x: number, exact = false): void {
  const { asm } = f;
  if (exact) {
    asm.vex('vpsrld_i', l, T0, 0, x, 16);
    return;
  }
  asm.vex('vpsrld_i', l, T0, 0, x, 16);
  asm.vex('vpand', l, T0, T0, f.pattern(l, false, 1n));
  asm.vex('vpaddd', l, T0, T0, f.pattern(l, false, 0x7fffn));
  asm.vex('vpaddd', l, T0, T0, x);
  asm.vex('vcmpps', l, T1, x, x, 3);
  asm.vex('vpor', l, T2, x, f.pattern(l, false, 0x400000n));
  asm.vex('vblendvps', l, T0, T0, T2, named(T1));
  asm.vex('vpsrld_i', l, T0, 0, T0, 16);
}

/** `x` in T0 with every NaN as the quiet one of its sign, so that narrowing leaves no payload. */
function plainNaN(f: Frame, l: number, x: number): void {
  const { asm } = f;
  asm.vex('vcmpps', l, T1, x, x, 3);
  asm.vex('vpand', l, T0, x, f.pattern(l, false, 0xff800000n));
  asm.vex('vpor', l, T0, T0, f.pattern(l, false, 0x400000n));
  asm.vex('vblendvps', l, T0, x, T0, named(T1));
}

/** In each half of a register, the low bytes of its four words side by side. */
const LOW_BYTES = Uint8Array.from({ length: 32 }, (_, i) => (i % 16 < 4 ? 4 * (i % 16) : 0x80));

/** Stores the low byte of each of T0's 32-bit lanes. */
function storeBytes(f: Frame, l: number, to: Mem): void {
  const { asm } = f;
  asm.vex('vpshufb', l, T0, T0, asm.constant(LOW_BYTES));
  if (l === 0) asm.vex('vmovd_st', 0, T0, 0, to);
  else {
    asm.vex('vextracti128', 1, T0, 0, T1, 1);
    asm.vex('vpunpckldq', 0, T0, T0, T1);
    asm.vex('vmovsd_st', 0, T0, 0, to);
  }
}

export function store(f: Frame, inst: Extract<Inst, { op: 'store' }>): void {
  const { asm } = f;
  const { a, mem: type } = inst;
  const to = f.address(inst.p, inst.offset);
  const x = f.v(a);
  const l = lengthOf(a.type);
  const scalar = a.type.lanes === 1;
  if (inst.past) {
    asm.vex('vmovntps_st', l, x, 0, to);
    return;
  }
  switch (type) {
    case 'f64':
      asm.vex(scalar ? 'vmovsd_st' : 'vmovups_st', l, x, 0, to);
      return;
    case 'f32':
      asm.vex(scalar ? 'vmovss_st' : 'vmovups_st', l, x, 0, to);
      return;
    case 'i32':
    case 'i64':
      asm.vex('vmovups_st', l, x, 0, to);
      return;
    case 'bool':
      if (a.type.scalar === 'mask') asm.vex('vpsrld_i', l, T0, 0, x, 31);
      else {
        asm.vex('vpxor', l, T0, T0, T0);
        asm.vex('vpcmpeqd', l, T0, T0, x);
        asm.vex('vpandn', l, T0, T0, f.pattern(l, false, 1n));
      }
      storeBytes(f, l, to);
      return;
    case 'u8':
    case 'i8':
      if (a.type.scalar === 'mask') asm.vex('vpsrld_i', l, T0, 0, x, 31);
      else asm.vex('vmovaps', l, T0, 0, x);
      storeBytes(f, l, to);
      return;
    case 'f16':
      plainNaN(f, l, x);
      if (!scalar) asm.vex('vcvtps2ph', l, T0, 0, to, 0);
      else {
        asm.vex('vcvtps2ph', 0, T0, 0, T0, 0);
        asm.vex('vmovd_st', 0, T0, 0, G1);
        asm.movStore(2, to, G1);
      }
      return;
    case 'bf16':
      roundToBf16(f, l, x, inst.exact);
      if (scalar) {
        asm.vex('vmovd_st', 0, T0, 0, G1);
        asm.movStore(2, to, G1);
        return;
      }
      asm.vex('vpackusdw', l, T0, T0, T0);
      if (l === 0) asm.vex('vmovsd_st', 0, T0, 0, to);
      else {
        asm.vex('vextracti128', 1, T0, 0, T1, 1);
        asm.vex('vpunpcklqdq', 0, T0, T0, T1);
        asm.vex('vmovups_st', 0, T0, 0, to);
      }
  }
}
