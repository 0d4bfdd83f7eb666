/**
 * Where a kernel's values are: registers, stack slots, literals; and how an instruction gets at them. Registers that
 * are never handed out serve as temporaries. What instructions are written is up to the emit-*.ts files.
 */
import type { Inst, LoopKernel, Reg, RegType } from '../../compiler/loops.ts';
import { bytesOf } from '../../graph/dtype.ts';
import { type Allocation, allocate, classOf, type Place } from './allocate.ts';
import type { Assembler } from './assembler/assembler.ts';
import { type Mem, mem, R, type RM } from './assembler/operands.ts';
import { Folding } from './folding.ts';
import type { Isa } from './isa.ts';
import { liveIntervals } from './liveness.ts';
import type { Sequence } from './sequence.ts';

/** Registers with a fixed meaning: the table of buffer addresses. */
export const ARGS = R.r15;
/** General temporaries; shifts, divisions and calls need just these. */
export const G0 = R.rax;
export const G1 = R.rcx;
export const G2 = R.rdx;
/** Vector and mask temporaries of multi-instruction sequences. */
export const T0 = 30;
export const T1 = 31;
export const K0 = 6;
export const K1 = 7;

const GENERAL = [R.rbx, R.rsi, R.rdi, R.r8, R.r9, R.r10, R.r11, R.r12, R.r13, R.r14, R.rbp];
const MASKS = [1, 2, 3, 4, 5];
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/**
 * Vector registers handed out (those above serve as temporaries), and where spilled operands come to: only set aside
 * when something was spilled.
 */
const VECTORS: { readonly [isa in 'evex' | 'vex']: { readonly all: number; readonly spilled: readonly number[] } } = {
  evex: { all: 30, spilled: [27, 28, 29] },
  vex: { all: 13, spilled: [10, 11, 12] },
};

/** Vector registers that are handed out where nothing is spilled. */
export const vectorsOf = (isa: Isa): number => VECTORS[isa === 'avx2' ? 'vex' : 'evex'].all;

/** Bytes of the frame below the slots. */
export const FRAME = { savedStack: 0, thread: 8, threads: 12, parallelEnd: 16, vector: 64, slots: 128 } as const;
/** Room for one vector. */
export const FRAME_VECTOR: Mem = mem(R.rsp, FRAME.vector);

/** 0, 1, 2 for vectors of 128, 256, 512 bits; scalars are in 128. */
export function lengthOf(type: RegType): number {
  if (type.lanes === 1) return 0;
  switch (type.lanes * (isWide(type) ? 8 : 4)) {
    case 64:
      return 2;
    case 32:
      return 1;
    case 16:
      return 0;
    default:
      throw new Error(`internal: x86 has no vector of ${type.lanes} ${type.scalar}`);
  }
}

export const isWide = (type: RegType): boolean =>
  type.scalar === 'i64' || type.scalar === 'f64' || type.scalar === 'ptr';
export const isFloat = (type: RegType): boolean => type.scalar === 'f32' || type.scalar === 'f64';

/** Distances below this fit the 32 bits of an address. */
const NEAR = 2 ** 31;

const literalBits = (type: RegType, value: number | bigint): bigint =>
  type.scalar === 'mask' ? (Number(value) === 0 ? 0n : 1n) : bitsOf(type, value);

type Literal = Extract<Inst, { op: 'const' }>;

const bits = new DataView(new ArrayBuffer(8));
/** A constant's bits, as its type has them in memory. */
export function bitsOf(type: RegType, value: number | bigint): bigint {
  if (typeof value === 'number' && type.scalar === 'i32') return BigInt(value | 0);
  bits.setBigInt64(0, 0n, true);
  if (type.scalar === 'f32') bits.setFloat32(0, Number(value), true);
  else if (type.scalar === 'f64') bits.setFloat64(0, Number(value), true);
  else bits.setBigInt64(0, BigInt(value), true);
  return isWide(type) ? bits.getBigInt64(0, true) : BigInt(bits.getInt32(0, true));
}

export class Frame {
  readonly asm: Assembler;
  readonly kernel: LoopKernel;
  readonly sequence: Sequence;
  /** Whether vectors are those of AVX2, and masks are vectors. */
  readonly vex: boolean;
  readonly folding: Folding;
  private readonly allocation: Allocation;
  private readonly places: Allocation['places'];
  /** By register id: what is a literal; and its value, as far as it was asked for. */
  private readonly literals: (Literal | undefined)[] = [];
  private readonly values: (bigint | undefined)[] = [];
  private readonly spilled: readonly number[];

  /**
   * @param sequence the kernel's instructions
   * @param held vector constants, by register id, that are to stay in their registers
   */
  constructor(kernel: LoopKernel, sequence: Sequence, held: ReadonlySet<number>, asm: Assembler, isa: Isa) {
    this.kernel = kernel;
    this.asm = asm;
    this.vex = isa === 'avx2';
    this.sequence = sequence;
    this.folding = new Folding(sequence, !this.vex, held);
    const placeless = Uint8Array.from(this.folding.taken);
    for (const at of sequence.constants) {
      const { id } = (sequence.insts[at] as Literal).d;
      const definition = sequence.definition[id] as Literal | undefined;
      if (!definition || classOf(definition.d.type) !== 'general') continue;
      placeless[id] = 1;
      this.literals[id] = definition;
    }
    const intervals = liveIntervals(sequence, placeless, this.folding);
    const { all, spilled } = VECTORS[this.vex ? 'vex' : 'evex'];
    this.spilled = spilled;
    const allocated = (vectors: number): Allocation =>
      allocate(intervals, { general: GENERAL, vector: upTo(vectors), mask: MASKS }, this.vex ? 'vector' : 'mask');
    const roomy = allocated(all);
    this.allocation = roomy.spillsVectors ? allocated(all - spilled.length) : roomy;
    this.places = this.allocation.places;
  }

  /** Bytes below the saved stack pointer. */
  get frameBytes(): number {
    return FRAME.slots + this.allocation.stackBytes;
  }

  /**
   * The value of a general register that is written once, by a constant: it has no place and is written into its users.
   */
  literal(reg: Reg): bigint | null {
    const definition = this.literals[reg.id];
    if (!definition) return null;
    return (this.values[reg.id] ??= literalBits(reg.type, definition.value));
  }

  /** The literal if it fits a sign-extended 32-bit immediate. */
  immediate(reg: Reg): number | null {
    const definition = this.literals[reg.id];
    if (!definition) return null;
    // Nearly all of them are.
    if (reg.type.scalar === 'i32' && typeof definition.value === 'number') return definition.value | 0;
    const value = this.literal(reg);
    return value !== null && value >= -(1n << 31n) && value < 1n << 31n ? Number(value) : null;
  }

  private placeless(reg: Reg): never {
    throw new Error(`internal: register r${reg.id} of kernel ${this.kernel.name} has no place`);
  }

  private slot(place: Place): Mem {
    return mem(R.rsp, FRAME.slots + ~place);
  }

  // ---- general registers

  /** The register that holds the value; `spare` takes it when it is a literal or on the stack. */
  g(reg: Reg, spare: number): number {
    if (this.literals[reg.id]) {
      const literal = this.literal(reg)!;
      this.asm.movImm(spare, isWide(reg.type) ? literal : BigInt.asUintN(32, literal));
      return spare;
    }
    const place = this.places[reg.id] ?? this.placeless(reg);
    if (place >= 0) return place;
    this.asm.mov(true, spare, this.slot(place));
    return spare;
  }

  /** The value in `into`, which may be changed. */
  gCopy(reg: Reg, into: number): void {
    const at = this.g(reg, into);
    if (at !== into) this.asm.mov(isWide(reg.type), into, at);
  }

  /** Register to compute `d` in; `gDone` puts it away. */
  gInto(d: Reg, spare: number = G0): number {
    const place = this.places[d.id] ?? this.placeless(d);
    return place >= 0 ? place : spare;
  }

  /** `d` now has what is in `from`. */
  gDone(d: Reg, from: number): void {
    const place = this.places[d.id] ?? this.placeless(d);
    if (place < 0) this.asm.movStore(8, this.slot(place), from);
    else if (place !== from) this.asm.mov(isWide(d.type), place, from);
  }

  /** Where a load or store goes: `offset` bytes behind pointer `p`, which it may have taken in. G0 and G2 are used. */
  address(p: Reg, offset: number): Mem {
    const taken = this.folding.address(p);
    if (!taken) return mem(this.g(p, G0), offset);
    const isTable = taken.op === 'addr';
    if (isTable) this.asm.mov(true, G0, mem(ARGS, taken.buf * 8));
    const base = isTable ? G0 : this.g(taken.p, G0);
    const by = isTable ? taken.index : taken.by;
    const size = isTable ? this.bytesPerElement(taken.buf) : taken.scale;
    const immediate = by ? this.immediate(by) : 0;
    if (immediate !== null) {
      const distance = immediate * size + offset;
      if (Math.abs(distance) < NEAR) return mem(base, distance);
    }
    const literal = by ? this.literal(by) : 0n;
    if (literal !== null) {
      const distance = literal * BigInt(size) + BigInt(offset);
      if (BigInt.asIntN(32, distance) === distance) return mem(base, Number(distance));
      this.asm.movImm(G2, distance);
      return { base, index: G2, scale: 1, disp: 0 };
    }
    this.asm.movExtend('sx32', G2, this.g(by!, G2));
    if (size === 1 || size === 2 || size === 4 || size === 8) return { base, index: G2, scale: size, disp: offset };
    this.asm.imulImm(true, G2, G2, size);
    return { base, index: G2, scale: 1, disp: offset };
  }

  // ---- vectors

  /** An operand that may be a constant in memory: what to encode it as (EVEX). */
  operand(reg: Reg, operand: 0 | 1 | 2 = 0): { readonly s: RM; readonly broadcast: boolean } {
    const value = this.folding.constant(reg);
    if (value === null) return { s: this.v(reg, operand), broadcast: false };
    return { s: this.element(isWide(reg.type), bitsOf(reg.type, value)), broadcast: true };
  }

  /** The register with the value; operand 0, 1 or 2 of the instruction says where a spilled one comes to. */
  v(reg: Reg, operand: 0 | 1 | 2 = 0): number {
    const place = this.places[reg.id] ?? this.placeless(reg);
    if (place >= 0) return place;
    const spare = this.spilled[operand]!;
    this.moveVector('vmovups', lengthOf(reg.type), spare, this.slot(place));
    return spare;
  }

  /** Register to compute `d` in, in one instruction that reads its operands before it writes. */
  vInto(d: Reg): number {
    const place = this.places[d.id] ?? this.placeless(d);
    return place >= 0 ? place : this.spilled[0]!;
  }

  vDone(d: Reg, from: number): void {
    const place = this.places[d.id] ?? this.placeless(d);
    const l = lengthOf(d.type);
    if (place < 0) this.moveVector('vmovups_st', l, from, this.slot(place));
    else if (place !== from) this.moveVector('vmovaps', l, place, from);
  }

  private moveVector(op: 'vmovups' | 'vmovups_st' | 'vmovaps', l: number, d: number, s: RM): void {
    if (this.vex) this.asm.vex(op, l, d, 0, s);
    else this.asm.vector(op, l, d, 0, s);
  }

  // ---- masks

  k(reg: Reg, spare: number): number {
    const place = this.places[reg.id] ?? this.placeless(reg);
    if (place >= 0) return place;
    this.asm.mask('kmovw', spare, 0, this.slot(place));
    return spare;
  }

  /** The register that `d` has, else `spare`. */
  kInto(d: Reg, spare: number): number {
    return this.gInto(d, spare);
  }

  kDone(d: Reg, from: number): void {
    const place = this.places[d.id] ?? this.placeless(d);
    if (place < 0) this.asm.mask('kmovw_st', from, 0, this.slot(place));
    else if (place !== from) this.asm.mask('kmovw', place, 0, from);
  }

  // ---- constants

  /** A constant of one element in the pool. */
  element(wide: boolean, value: bigint): Mem {
    return wide ? this.asm.constant64(value) : this.asm.constant32(Number(BigInt.asIntN(32, value)));
  }

  /** Fills every lane of vector register `into` with the element's bits. */
  splatBits(into: number, l: number, wide: boolean, value: bigint): void {
    const spread = wide ? 'vpbroadcastq' : 'vpbroadcastd';
    if (this.vex) {
      if (value === 0n) this.asm.vex('vpxor', l, into, into, into);
      else this.asm.vex(spread, l, into, 0, this.element(wide, value));
    } else if (value === 0n) this.asm.vector('vpxord', l, into, into, into);
    else this.asm.vector(spread, l, into, 0, this.element(wide, value));
  }

  /** A whole vector of one element in the pool: VEX instructions have no broadcast. */
  pattern(l: number, wide: boolean, value: bigint): Mem {
    const bytes = new BigUint64Array(2 << l);
    const word = BigInt.asUintN(32, value);
    bytes.fill(wide ? BigInt.asUintN(64, value) : word | (word << 32n));
    return this.asm.constant(new Uint8Array(bytes.buffer));
  }

  bytesPerElement(buffer: number): number {
    return bytesOf(this.kernel.buffers[buffer]!.dtype);
  }
}
