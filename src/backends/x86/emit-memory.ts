/**
 * Loads, stores and addresses. Bits of 16-bit floats agree with graph/half.ts.
 */
import type { Inst, Reg, RegType } from '../../compiler/loops.ts';
import type { DType } from '../../graph/dtype.ts';
import { classOf } from './allocate.ts';
import { type Mem, mem, type VectorOptions } from './assembler/operands.ts';
import { ARGS, type Frame, G0, G1, G2, isWide, K0, K1, lengthOf, T0, T1 } from './frame.ts';

/** Adds a constant to a register, through G1 where it is too large. */
function addConstant(f: Frame, register: number, value: bigint): void {
  if (value === 0n) return;
  if (value >= -(1n << 31n) && value < 1n << 31n) f.asm.aluImm('add', true, register, Number(value));
  else {
    f.asm.movImm(G1, value);
    f.asm.alu('add', true, register, G1);
  }
}

/** d = base + index * size, where base is in G0 or another register that may equal d's. */
function scaled(f: Frame, d: Reg, base: number, index: Reg, size: number): void {
  const { asm } = f;
  asm.movExtend('sx32', G1, f.g(index, G1));
  const into = f.gInto(d);
  if (size === 1 || size === 2 || size === 4 || size === 8) asm.lea(into, { base, index: G1, scale: size, disp: 0 });
  else {
    asm.imulImm(true, G1, G1, size);
    asm.lea(into, { base, index: G1, scale: 1, disp: 0 });
  }
  f.gDone(d, into);
}

export function address(f: Frame, inst: Extract<Inst, { op: 'addr' }>): void {
  const { d, buf, index } = inst;
  const table = mem(ARGS, buf * 8);
  const literal = index === null ? 0n : f.literal(index);
  if (literal === null) {
    f.asm.mov(true, G0, table);
    scaled(f, d, G0, index!, f.bytesPerElement(buf));
    return;
  }
  const into = f.gInto(d);
  f.asm.mov(true, into, table);
  addConstant(f, into, literal * BigInt(f.bytesPerElement(buf)));
  f.gDone(d, into);
}

export function advance(f: Frame, inst: Extract<Inst, { op: 'advance' }>): void {
  const { d, p, by, scale } = inst;
  const literal = f.literal(by);
  if (literal === null) {
    scaled(f, d, f.g(p, G0), by, scale);
    return;
  }
  const step = literal * BigInt(scale);
  const into = f.gInto(d);
  const from = f.g(p, G0);
  if (from !== into && step >= -(1n << 31n) && step < 1n << 31n) f.asm.lea(into, mem(from, Number(step)));
  else {
    if (from !== into) f.asm.mov(true, into, from);
    addConstant(f, into, step);
  }
  f.gDone(d, into);
}

/** Lines of the caches: what streaming stores fill whole. */
const LINE = 64;

export function apart(f: Frame, { d, buf, others }: Extract<Inst, { op: 'apart' }>): void {
  const { asm } = f;
  asm.mov(true, G1, mem(ARGS, buf * 8));
  asm.movImm(G2, BigInt(LINE - 1));
  asm.test(true, G1, G2);
  asm.setcc('e', G0);
  for (const other of others) {
    asm.alu('cmp', true, G1, mem(ARGS, other * 8));
    asm.setcc('ne', G2);
    asm.alu('and', false, G0, G2);
  }
  asm.movExtend('zx8', G0, G0);
  f.gDone(d, G0);
}

export function load(f: Frame, inst: Extract<Inst, { op: 'load' }>): void {
  const { asm } = f;
  const { d, p, offset } = inst;
  const from = f.address(p, offset);
  if (d.type.lanes > 1) {
    const into = f.vInto(d);
    loadVector(f, inst.mem, into, d.type, from, inst.m ? { k: f.k(inst.m, K1), zero: true } : {});
    f.vDone(d, into);
  } else if (classOf(d.type) === 'general') {
    const into = f.gInto(d);
    if (inst.mem === 'i64') asm.mov(true, into, from);
    else if (inst.mem === 'i32') asm.mov(false, into, from);
    else asm.movExtend(inst.mem === 'i8' ? 'sx8' : 'zx8', into, from);
    f.gDone(d, into);
  } else {
    const into = f.vInto(d);
    switch (inst.mem) {
      case 'f64':
        asm.vector('vmovsd', 0, into, 0, from);
        break;
      case 'f32':
        asm.vector('vmovss', 0, into, 0, from);
        break;
      default:
        asm.movExtend('zx16', G0, from);
        if (inst.mem === 'bf16') asm.shiftImm('shl', false, G0, 16);
        asm.vector('vmovd', 0, into, 0, G0);
        if (inst.mem === 'f16') asm.vector('vcvtph2ps', 0, into, 0, into);
    }
    f.vDone(d, into);
  }
}

function loadVector(f: Frame, type: DType, into: number, to: RegType, from: Mem, mask: VectorOptions): void {
  const { asm } = f;
  const l = lengthOf(to);
  switch (type) {
    case 'f64':
    case 'i64':
    case 'f32':
    case 'i32':
      asm.vector('vmovups', l, into, 0, from, mask);
      return;
    case 'i8':
      asm.vector('vpmovsxbd', l, into, 0, from, mask);
      return;
    case 'u8':
    case 'bool':
      asm.vector('vpmovzxbd', l, into, 0, from, mask);
      return;
    case 'f16':
      asm.vector('vcvtph2ps', l, into, 0, from, mask);
      return;
    case 'bf16':
      asm.vector('vpmovzxwd', l, into, 0, from, mask);
      asm.vector('vpslld_i', l, into, 0, into, { imm: 16 });
      return;
  }
}

/** The instruction clears its mask and must not write its index, so both are copies. */
export function gather(f: Frame, inst: Extract<Inst, { op: 'gather' }>): void {
  const { asm } = f;
  const { d, p, index, m } = inst;
  const l = lengthOf(d.type);
  if (m) asm.mask('kmovw', K1, 0, f.k(m, K1));
  else asm.mask('kxnorw', K1, K1, K1);
  asm.vector('vpxord', l, T0, T0, T0);
  const at = f.address(p, 0);
  asm.lea(G0, at);
  asm.gather(l, T0, { base: G0, vector: f.v(index), scale: 4 }, K1);
  f.vDone(d, T0);
}

export function iota(f: Frame, d: Reg, step: number): void {
  const into = f.vInto(d);
  const lanes = Int32Array.from({ length: d.type.lanes }, (_, i) => i * step);
  f.asm.vector('vmovups', lengthOf(d.type), into, 0, f.asm.constant(new Uint8Array(lanes.buffer)));
  f.vDone(d, into);
}

/** A scalar load spread over all lanes: one instruction. */
export function loadSplat(f: Frame, d: Reg, p: Reg, offset: number): void {
  const into = f.vInto(d);
  f.asm.vector(isWide(d.type) ? 'vpbroadcastq' : 'vpbroadcastd', lengthOf(d.type), into, 0, f.address(p, offset));
  f.vDone(d, into);
}

/** `x` as bf16 in the high halves of T0's 32-bit lanes: rounded to nearest even, NaN quiet. Bits below are anything. */
export function roundToBf16(f: Frame, l: number, x: number): void {
  const { asm } = f;
  const element = (bits: bigint): Mem => f.element(false, bits);
  asm.vector('vpsrld_i', l, T0, 0, x, { imm: 16 });
  asm.vector('vpandd', l, T0, T0, element(1n), { broadcast: true });
  asm.vector('vpaddd', l, T0, T0, element(0x7fffn), { broadcast: true });
  asm.vector('vpaddd', l, T0, T0, x);
  asm.vector('vcmpps', l, K1, x, x, { imm: 3 });
  asm.vector('vpord', l, T0, x, element(0x400000n), { broadcast: true, k: K1 });
}

/** `x` as bf16 in the low halves of T0's 32-bit lanes: rounded, or as it is where it is one already. */
function narrowToBf16(f: Frame, l: number, x: number, exact = false): void {
  if (!exact) roundToBf16(f, l, x);
  f.asm.vector('vpsrld_i', l, T0, 0, exact ? x : T0, { imm: 16 });
}

/** `x` in T0 with every NaN as the quiet one of its sign, so that narrowing leaves no payload. */
function plainNaN(f: Frame, l: number, x: number): void {
  const { asm } = f;
  asm.vector('vmovaps', l, T0, 0, x);
  asm.vector('vcmpps', l, K1, x, x, { imm: 3 });
  asm.vector('vpandd', l, T0, T0, f.element(false, 0xff800000n), { broadcast: true, k: K1 });
  asm.vector('vpord', l, T0, T0, f.element(false, 0x400000n), { broadcast: true, k: K1 });
}

export function store(f: Frame, inst: Extract<Inst, { op: 'store' }>): void {
  const { asm } = f;
  const { a } = inst;
  const to = f.address(inst.p, inst.offset);
  if (a.type.lanes > 1) {
    // K1 is needed on the way.
    if (inst.past) asm.vector('vmovntps_st', lengthOf(a.type), f.v(a), 0, to);
    else storeVector(f, inst, to, inst.m ? { k: f.k(inst.m, K0) } : {});
    return;
  }
  if (classOf(a.type) === 'general') {
    const x = f.g(a, G1);
    if (inst.mem === 'i64') asm.movStore(8, to, x);
    else if (inst.mem === 'i32') asm.movStore(4, to, x);
    else if (inst.mem === 'bool' && a.type.scalar !== 'mask') {
      asm.test(isWide(a.type), x, x);
      asm.setcc('ne', G1);
      asm.movStore(1, to, G1);
    } else asm.movStore(1, to, x);
    return;
  }
  const x = f.v(a);
  if (inst.mem === 'f32') asm.vector('vmovss_st', 0, x, 0, to);
  else if (inst.mem === 'f64') asm.vector('vmovsd_st', 0, x, 0, to);
  else {
    if (inst.mem === 'bf16') narrowToBf16(f, 0, x, inst.exact);
    else {
      plainNaN(f, 0, x);
      asm.vector('vcvtps2ph', 0, T0, 0, T0, { imm: 0 });
    }
    asm.vector('vmovd_st', 0, T0, 0, G1);
    asm.movStore(2, to, G1);
  }
}

function storeVector(f: Frame, inst: Extract<Inst, { op: 'store' }>, to: Mem, mask: VectorOptions): void {
  const { asm } = f;
  const { a, mem: type, exact } = inst;
  if (a.type.scalar === 'mask') {
    const l = Math.max(0, Math.log2(a.type.lanes / 4));
    asm.vector('vpmovm2d', l, T0, 0, f.k(a, K1));
    asm.vector('vpsrld_i', l, T0, 0, T0, { imm: 31 });
    asm.vector('vpmovdb', l, T0, 0, to, mask);
    return;
  }
  const x = f.v(a);
  const l = lengthOf(a.type);
  switch (type) {
    case 'f64':
    case 'i64':
    case 'f32':
    case 'i32':
      asm.vector('vmovups_st', l, x, 0, to, mask);
      return;
    case 'bool':
      asm.vector('vpxord', l, T0, T0, T0);
      asm.vector('vpcmpd', l, K1, x, T0, { imm: 4 });
      asm.vector('vpbroadcastd', l, T1, 0, f.element(false, 1n), { k: K1, zero: true });
      asm.vector('vpmovdb', l, T1, 0, to, mask);
      return;
    case 'u8':
    case 'i8':
      asm.vector('vpmovdb', l, x, 0, to, mask);
      return;
    case 'f16':
      plainNaN(f, l, x);
      asm.vector('vcvtps2ph', l, T0, 0, to, { ...mask, imm: 0 });
      return;
    case 'bf16':
      if (inst.flush && !inst.m && l > 0) {
        asm.vector('vcvtneps2bf16', l, T0, 0, x);
        asm.vector('vmovups_st', l - 1, T0, 0, to);
        return;
      }
      narrowToBf16(f, l, x, exact);
      asm.vector('vpmovdw', l, T0, 0, to, mask);
      return;
  }
}
