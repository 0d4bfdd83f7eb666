/**
 * Writes x86-64 machine code: legacy (REX), VEX and EVEX encodings, labels, jumps that become as short as they can, and a pool of constants
 * behind the code, addressed by RIP. Knows encodings only. Source: Intel SDM volume 2.
 */
import { MASK_FORMS, type MaskOp, type Tuple, type VectorOp, vectorForm } from './forms.ts';
import { type Constant, type Jump, layOut, type Reference } from './layout.ts';
import { TILE_FORMS, type TileOp, type VexOp, vexForm } from './vex.ts';

/** General registers by number. */
export const R = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;

/** [base + index * scale + disp], or a place in the code or the constant pool. */
export type Mem =
  | { readonly base: number; readonly index?: number; readonly scale?: 1 | 2 | 4 | 8; readonly disp: number }
  | { readonly label: Label };

/** A register number or memory. */
export type RM = number | Mem;

export const mem = (base: number, disp = 0): Mem => ({ base, disp });

/** A place in the code: bytes before it, and jumps of its segment before it. */
export class Label {
  at = -1;
  jumps = -1;
}

/** Condition codes. */
export const CC = { b: 2, ae: 3, e: 4, ne: 5, be: 6, a: 7, s: 8, l: 12, ge: 13, le: 14, g: 15 } as const;
export type Condition = keyof typeof CC;

/** Two-operand integer instructions by their /digit and their opcode column. */
export const ALU = { add: 0, or: 1, and: 4, sub: 5, xor: 6, cmp: 7 } as const;
export type AluOp = keyof typeof ALU;
export const SHIFT = { shl: 4, shr: 5, sar: 7 } as const;

/** Instructions without operands. */
export const PLAIN = {
  ret: [0xc3],
  pause: [0xf3, 0x90],
  syscall: [0x0f, 0x05],
  cpuid: [0x0f, 0xa2],
  xgetbv: [0x0f, 0x01, 0xd0],
  sfence: [0x0f, 0xae, 0xf8],
  vzeroupper: [0xc5, 0xf8, 0x77],
  tilerelease: [0xc4, 0xe2, 0x78, 0x49, 0xc0],
} as const;

export interface VectorOptions {
  /** Opmask register, 0 for none. */
  readonly k?: number;
  readonly zero?: boolean;
  /** Memory operand is one element, spread over all lanes. */
  readonly broadcast?: boolean;
  readonly imm?: number;
}

const ELEMENT: { readonly [tuple in Tuple]: (bytes: number) => number } = {
  full: bytes => bytes,
  half: bytes => bytes / 2,
  quarter: bytes => bytes / 4,
  eighth: bytes => bytes / 8,
  s1: () => 1,
  s2: () => 2,
  s4: () => 4,
  s8: () => 8,
  none: () => 1,
};

const TWO_32 = 1n << 32n;
const LEAST_32 = -(1n << 31n);

/** Widening moves to 32 bits. */
const EXTEND = { zx8: 0x0fb6, sx8: 0x0fbe, zx16: 0x0fb7, sx16: 0x0fbf } as const;

/** What ModRM and SIB have no room for of the register or the base: bit 3. */
const baseBit = (rm: RM): number => (typeof rm === 'number' ? (rm >> 3) & 1 : 'label' in rm ? 0 : (rm.base >> 3) & 1);

/** Bit 3 of the index, or bit 4 of the register (for vectors). */
const indexBit = (rm: RM): number => {
  if (typeof rm === 'number') return (rm >> 4) & 1;
  return 'label' in rm || rm.index === undefined ? 0 : (rm.index >> 3) & 1;
};

export class Assembler {
  /** Segments that are laid out, and the bytes of all of them. */
  private readonly segments: Uint8Array[] = [];
  private before = 0;
  /** The segment that is being written: its code without jumps, and what is still to be resolved in it. */
  private code = new Uint8Array(1 << 12);
  private length = 0;
  private jumps: Jump[] = [];
  private references: Reference[] = [];
  private labels: Label[] = [];
  /** Constants by their bytes; words of 32 and 64 bits by their value. */
  private readonly pool = new Map<string | number | bigint, Constant>();
  private readonly view = new DataView(new ArrayBuffer(8));

  // ---- bytes

  byte(value: number): void {
    if (this.length === this.code.length) {
      const grown = new Uint8Array(this.length * 2);
      grown.set(this.code);
      this.code = grown;
    }
    this.code[this.length++] = value;
  }

  private int32(value: number): void {
    this.byte(value & 0xff);
    this.byte((value >>> 8) & 0xff);
    this.byte((value >>> 16) & 0xff);
    this.byte(value >>> 24);
  }

  private int64(value: bigint): void {
    this.int32(Number(BigInt.asIntN(32, value)));
    this.int32(Number(BigInt.asIntN(32, value >> 32n)));
  }

  // ---- labels and constants

  label(): Label {
    return new Label();
  }

  bind(label: Label): void {
    label.at = this.before + this.length;
    label.jumps = this.jumps.length;
    this.labels.push(label);
  }

  /** A line for whoever reads along; see listing.ts. */
  comment(_text: string): void {}

  /** A constant behind the code; equal ones are one. */
  constant(bytes: Uint8Array): Mem {
    return this.pooled(bytes.join(), () => bytes);
  }

  private pooled(key: string | number | bigint, bytes: () => Uint8Array): Mem {
    let entry = this.pool.get(key);
    if (!entry) {
      entry = { label: new Label(), bytes: bytes() };
      this.pool.set(key, entry);
    }
    return { label: entry.label };
  }

  /** A word beside the constants that no other value shares; its place is the label's when the code is finished. */
  word64(bits: bigint): { readonly label: Label } {
    this.view.setBigInt64(0, bits, true);
    const label = new Label();
    this.pool.set(`word ${this.pool.size}`, { label, bytes: new Uint8Array(this.view.buffer.slice(0, 8)) });
    return { label };
  }

  constant32(bits: number): Mem {
    return this.pooled(bits | 0, () => new Uint8Array(Int32Array.of(bits).buffer));
  }

  constant64(bits: bigint): Mem {
    const signed = BigInt.asIntN(64, bits);
    return this.pooled(signed, () => new Uint8Array(BigInt64Array.of(signed).buffer));
  }

  // ---- operands

  /** ModRM, SIB and displacement. `unit` scales an 8-bit displacement; `after` bytes follow. */
  private modRM(reg: number, rm: RM, unit: number, after: number): void {
    const field = (reg & 7) << 3;
    if (typeof rm === 'number') {
      this.byte(0xc0 | field | (rm & 7));
      return;
    }
    if ('label' in rm) {
      this.byte(field | 5);
      this.references.push({ at: this.before + this.length, jumps: this.jumps.length, after, target: rm.label });
      this.int32(0);
      return;
    }
    const { base, index, disp } = rm;
    const scaled = disp / unit;
    const short = Number.isInteger(scaled) && scaled >= -128 && scaled <= 127;
    // rbp and r13 as base always take a displacement.
    const mode = disp === 0 && (base & 7) !== 5 ? 0 : short ? 0x40 : 0x80;
    if (index !== undefined) {
      if (index === R.rsp) throw new Error('internal: rsp cannot be an index');
      this.byte(mode | field | 4);
      this.byte((Math.log2(rm.scale ?? 1) << 6) | ((index & 7) << 3) | (base & 7));
    } else if ((base & 7) === 4) {
      this.byte(mode | field | 4);
      this.byte(0x24);
    } else this.byte(mode | field | (base & 7));
    if (mode === 0x40) this.byte(scaled & 0xff);
    else if (mode === 0x80) this.int32(disp);
  }

  // ---- legacy encodings

  /** [prefix] [REX] opcode ModRM. `opcode` is one byte, or two with 0x0f first; `low8`: an 8-bit register operand that needs a REX prefix to be meant. */
  private legacy(wide: boolean, opcode: number, reg: number, rm: RM, after = 0, prefix = 0, low8 = false): void {
    if (prefix !== 0) this.byte(prefix);
    const rex = 0x40 | (wide ? 8 : 0) | (((reg >> 3) & 1) << 2) | (indexBit(rm) << 1) | baseBit(rm);
    if (rex !== 0x40 || low8) this.byte(rex);
    if (opcode > 0xff) this.byte(opcode >> 8);
    this.byte(opcode & 0xff);
    this.modRM(reg, rm, 1, after);
  }

  mov(wide: boolean, d: number, s: RM): void {
    this.legacy(wide, 0x8b, d, s);
  }

  movStore(bytes: 1 | 2 | 4 | 8, d: Mem, s: number): void {
    if (bytes === 1) this.legacy(false, 0x88, s, d, 0, 0, s >= 4);
    else this.legacy(bytes === 8, 0x89, s, d, 0, bytes === 2 ? 0x66 : 0);
  }

  /** d = value, in the shortest encoding; flags are kept. */
  movImm(d: number, value: bigint): void {
    const signed = BigInt.asIntN(64, value);
    if (signed >= 0n && signed < TWO_32) {
      if (d > 7) this.byte(0x41);
      this.byte(0xb8 | (d & 7));
      this.int32(Number(signed));
    } else if (signed >= LEAST_32 && signed < 0n) {
      this.legacy(true, 0xc7, 0, d, 4);
      this.int32(Number(signed));
    } else {
      this.byte(0x48 | (d >> 3));
      this.byte(0xb8 | (d & 7));
      this.int64(signed);
    }
  }

  /** Stores a 32-bit immediate. */
  movStoreImm32(d: Mem, value: number): void {
    this.legacy(false, 0xc7, 0, d, 4);
    this.int32(value);
  }

  /** Widens 1 or 2 bytes to 32 bits, or 4 signed bytes to 64. */
  movExtend(kind: 'zx8' | 'sx8' | 'zx16' | 'sx16' | 'sx32', d: number, s: RM): void {
    if (kind === 'sx32') this.legacy(true, 0x63, d, s);
    else this.legacy(false, EXTEND[kind], d, s, 0, 0, kind.endsWith('8') && typeof s === 'number' && s >= 4);
  }

  /** prefetcht0 or prefetchw: brings a line in, to be read or to be written. */
  prefetch(s: Mem, write: boolean): void {
    this.legacy(false, write ? 0x0f0d : 0x0f18, 1, s);
  }

  lea(d: number, s: Mem): void {
    this.legacy(true, 0x8d, d, s);
  }

  alu(op: AluOp, wide: boolean, d: number, s: RM): void {
    this.legacy(wide, ALU[op] * 8 + 3, d, s);
  }

  aluImm(op: AluOp, wide: boolean, d: RM, value: number): void {
    if (value >= -128 && value <= 127) {
      this.legacy(wide, 0x83, ALU[op], d, 1);
      this.byte(value & 0xff);
    } else {
      this.legacy(wide, 0x81, ALU[op], d, 4);
      this.int32(value);
    }
  }

  test(wide: boolean, a: number, b: number): void {
    this.legacy(wide, 0x85, b, a);
  }

  imul(wide: boolean, d: number, s: RM): void {
    this.legacy(wide, 0x0faf, d, s);
  }

  imulImm(wide: boolean, d: number, s: RM, value: number): void {
    const short = value >= -128 && value <= 127;
    this.legacy(wide, short ? 0x6b : 0x69, d, s, short ? 1 : 4);
    if (short) this.byte(value & 0xff);
    else this.int32(value);
  }

  /** mul, div, idiv on rdx:rax; neg and not in place. */
  group3(op: 'not' | 'neg' | 'mul' | 'div' | 'idiv', wide: boolean, rm: RM): void {
    this.legacy(wide, 0xf7, { not: 2, neg: 3, mul: 4, div: 6, idiv: 7 }[op], rm);
  }

  /** rdx = sign of rax. */
  cdq(wide: boolean): void {
    if (wide) this.byte(0x48);
    this.byte(0x99);
  }

  shiftCl(op: keyof typeof SHIFT, wide: boolean, d: number): void {
    this.legacy(wide, 0xd3, SHIFT[op], d);
  }

  shiftImm(op: keyof typeof SHIFT, wide: boolean, d: number, count: number): void {
    this.legacy(wide, 0xc1, SHIFT[op], d, 1);
    this.byte(count);
  }

  lzcnt(wide: boolean, d: number, s: RM): void {
    this.legacy(wide, 0x0fbd, d, s, 0, 0xf3);
  }

  setcc(condition: Condition, d: number): void {
    this.legacy(false, 0x0f90 | CC[condition], 0, d, 0, 0, d >= 4);
  }

  cmov(condition: Condition, wide: boolean, d: number, s: RM): void {
    this.legacy(wide, 0x0f40 | CC[condition], d, s);
  }

  push(r: number): void {
    if (r > 7) this.byte(0x41);
    this.byte(0x50 | (r & 7));
  }

  pop(r: number): void {
    if (r > 7) this.byte(0x41);
    this.byte(0x58 | (r & 7));
  }

  plain(op: keyof typeof PLAIN): void {
    for (const byte of PLAIN[op]) this.byte(byte);
  }

  /** Atomic: xadd (d += s, s = old d) or cmpxchg (d == eax ? d = s : eax = d), 32 bits. */
  locked(op: 'xadd' | 'cmpxchg', d: Mem, s: number): void {
    this.byte(0xf0);
    this.legacy(false, op === 'xadd' ? 0x0fc1 : 0x0fb1, s, d);
  }

  callRegister(r: number): void {
    this.legacy(false, 0xff, 2, r);
  }

  jump(target: Label, condition?: Condition): void {
    this.jumps.push({ at: this.before + this.length, target, condition: condition ? CC[condition] : -1 });
  }

  call(target: Label): void {
    this.jumps.push({ at: this.before + this.length, target, condition: -2 });
  }

  // ---- vectors and masks

  /**
   * One EVEX instruction. `l` is 0, 1 or 2 for 128, 256 or 512 bits. `d` is ModRM.reg (a vector, mask or general register as the form
   * says), `v` the second operand or 0, `s` register or memory.
   */
  vector(op: VectorOp, l: number, d: number, v: number, s: RM, options: VectorOptions = {}): void {
    const form = vectorForm(op);
    const { pp, map, w, opcode, tuple, digit } = form;
    // Shifts by an immediate have the destination in vvvv and their digit in ModRM.reg.
    const reg = digit >= 0 ? digit : d;
    const vvvv = digit >= 0 ? d : v;
    const b = baseBit(s);
    const x = indexBit(s);
    this.byte(0x62);
    this.byte(((((reg >> 3) & 1) ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | ((((reg >> 4) & 1) ^ 1) << 4) | map);
    this.byte((w << 7) | ((~vvvv & 15) << 3) | 4 | pp);
    this.byte(
      (options.zero ? 0x80 : 0) |
        (l << 5) |
        (options.broadcast ? 0x10 : 0) |
        ((((vvvv >> 4) & 1) ^ 1) << 3) |
        (options.k ?? 0),
    );
    this.byte(opcode);
    const unit = options.broadcast ? (w === 1 ? 8 : 4) : ELEMENT[tuple](16 << l);
    this.modRM(reg, s, unit, options.imm === undefined ? 0 : 1);
    if (options.imm !== undefined) this.byte(options.imm);
  }

  /** vpgatherdd: d[i] = the 32 bits at base + vector[i] * scale where mask `k` is set, other lanes kept; `k` is 0 afterwards. */
  gather(
    l: number,
    d: number,
    at: { readonly base: number; readonly vector: number; readonly scale: 1 | 2 | 4 | 8 },
    k: number,
  ): void {
    const { base, vector, scale } = at;
    const inverted = (n: number, bit: number): number => ((n >> bit) & 1) ^ 1;
    this.byte(0x62);
    this.byte(
      (inverted(d, 3) << 7) | (inverted(vector, 3) << 6) | (inverted(base, 3) << 5) | (inverted(d, 4) << 4) | 2,
    );
    this.byte(0x7d);
    this.byte((l << 5) | (inverted(vector, 4) << 3) | k);
    this.byte(0x90);
    const short = (base & 7) === 5;
    this.byte((short ? 0x44 : 0x04) | ((d & 7) << 3));
    this.byte((Math.log2(scale) << 6) | ((vector & 7) << 3) | (base & 7));
    if (short) this.byte(0);
  }

  /** VEX prefix: two bytes where they say enough. */
  private vexPrefix(reg: number, rm: RM, vvvv: number, l: number, form: { pp: number; map: number; w: number }): void {
    const b = baseBit(rm);
    const x = indexBit(rm);
    const r = (((reg >> 3) & 1) ^ 1) << 7;
    const tail = ((~vvvv & 15) << 3) | (l << 2) | form.pp;
    if (b || x || form.map !== 1 || form.w) {
      this.byte(0xc4);
      this.byte(r | ((x ^ 1) << 6) | ((b ^ 1) << 5) | form.map);
      this.byte((form.w << 7) | tail);
    } else {
      this.byte(0xc5);
      this.byte(r | tail);
    }
  }

  /**
   * One VEX instruction on xmm (`l` 0) or ymm (1) registers. `d` is ModRM.reg (a vector or general register as the form says), `v` the second
   * operand or 0, `s` register or memory, `imm` an immediate (for blends by a register: its number times 16).
   */
  vex(op: VexOp, l: number, d: number, v: number, s: RM, imm?: number): void {
    const form = vexForm(op);
    // Shifts by an immediate have the destination in vvvv and their digit in ModRM.reg.
    const reg = form.digit >= 0 ? form.digit : d;
    this.vexPrefix(reg, s, form.digit >= 0 ? d : v, l, form);
    this.byte(form.opcode);
    this.modRM(reg, s, 1, imm === undefined ? 0 : 1);
    if (imm !== undefined) this.byte(imm);
  }

  /** One tile instruction: `s` is memory with a stride register as index, or a tile; `v` the third tile. */
  tile(op: TileOp, d: number, s: RM = 0, v = 0): void {
    const { pp, opcode } = TILE_FORMS[op];
    this.vexPrefix(d, s, v, 0, { pp, map: 2, w: 0 });
    this.byte(opcode);
    this.modRM(d, s, 1, 0);
  }

  /** Sets up the tiles as 64 bytes of memory say. */
  loadTileConfig(s: Mem): void {
    this.vexPrefix(0, s, 0, 0, { pp: 0, map: 2, w: 0 });
    this.byte(0x49);
    this.modRM(0, s, 1, 0);
  }

  /** One opmask instruction, in VEX. */
  mask(op: MaskOp, d: number, v: number, s: RM): void {
    const { pp, w, l, opcode } = MASK_FORMS[op];
    this.vexPrefix(d, s, l ? v : 0, l, { pp, map: 1, w });
    this.byte(opcode);
    this.modRM(d, s, 1, 0);
  }

  // ---- the end

  /** Bytes of code in the segment that is being written, as far as they are known. */
  segmentLength(): number {
    return this.length;
  }

  /**
   * Ends a segment: its jumps and, behind them, its constants are laid out. Places of its labels are final byte offsets from now on, to which later segments
   * may go; it cannot go to theirs.
   */
  cut(): void {
    const { before, jumps, references, labels } = this;
    const code = this.code.subarray(0, this.length);
    const segment = layOut({ before, code, jumps, references, labels, constants: [...this.pool.values()] });
    this.segments.push(segment);
    this.before += segment.length;
    this.length = 0;
    this.jumps = [];
    this.references = [];
    this.labels = [];
    this.pool.clear();
  }

  /** The segments that have ended. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.before);
    let at = 0;
    for (const segment of this.segments) {
      all.set(segment, at);
      at += segment.length;
    }
    return all;
  }

  /** All that was written. */
  finish(): Uint8Array {
    this.cut();
    return this.bytes();
  }
}
