/**
 * Writes x86-64 machine code, an instruction a call: with labels, jumps that become as short as they can, and a pool of
 * constants behind the code, addressed by RIP. Knows which instructions there are; encodings.ts how they become bytes.
 */
import { evex, evexGather, type Gathered, legacy, modRM, type Sink, vexPrefix } from './encodings.ts';
import { MASK_FORMS, type MaskOp, type VectorOp, vectorForm } from './forms.ts';
import { type Constant, type Jump, layOut, type Reference } from './layout.ts';
import {
  ALU,
  type AluOp,
  CC,
  type Condition,
  Label,
  type Mem,
  PLAIN,
  type RM,
  SHIFT,
  type VectorOptions,
} from './operands.ts';
import { TILE_FORMS, type TileOp, type VexOp, vexForm } from './vex.ts';

const TWO_32 = 1n << 32n;
const LEAST_32 = -(1n << 31n);

/** Widening moves to 32 bits. */
const EXTEND = { zx8: 0x0fb6, sx8: 0x0fbe, zx16: 0x0fb7, sx16: 0x0fbf } as const;

export class Assembler implements Sink {
  /** Segments that have ended, and where the one that is being written begins. */
  private readonly segments: { readonly at: number; readonly bytes: Uint8Array }[] = [];
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

  append(word: number, count: number): void {
    const at = this.length;
    if (at + 4 > this.code.length) this.grow();
    const { code } = this;
    // Four are written, of which the next ones write over those that do not count.
    code[at] = word;
    code[at + 1] = word >> 8;
    code[at + 2] = word >> 16;
    code[at + 3] = word >> 24;
    this.length = at + count;
  }

  private grow(): void {
    const grown = new Uint8Array(this.code.length * 2);
    grown.set(this.code);
    this.code = grown;
  }

  byte(value: number): void {
    this.append(value, 1);
  }

  private int32(value: number): void {
    this.append(value, 4);
  }

  private int64(value: bigint): void {
    this.int32(Number(BigInt.asIntN(32, value)));
    this.int32(Number(BigInt.asIntN(32, value >> 32n)));
  }

  distance(target: Label, after: number): void {
    this.references.push({ at: this.before + this.length, jumps: this.jumps.length, after, target });
    this.int32(0);
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

  // ---- general registers

  mov(wide: boolean, d: number, s: RM): void {
    legacy(this, wide, 0x8b, d, s);
  }

  movStore(bytes: 1 | 2 | 4 | 8, d: Mem, s: number): void {
    if (bytes === 1) legacy(this, false, 0x88, s, d, 0, 0, s >= 4);
    else legacy(this, bytes === 8, 0x89, s, d, 0, bytes === 2 ? 0x66 : 0);
  }

  /** d = value, in the shortest encoding; flags are kept. */
  movImm(d: number, value: bigint): void {
    const signed = BigInt.asIntN(64, value);
    if (signed >= 0n && signed < TWO_32) {
      if (d > 7) this.byte(0x41);
      this.byte(0xb8 | (d & 7));
      this.int32(Number(signed));
    } else if (signed >= LEAST_32 && signed < 0n) {
      legacy(this, true, 0xc7, 0, d, 4);
      this.int32(Number(signed));
    } else {
      this.byte(0x48 | (d >> 3));
      this.byte(0xb8 | (d & 7));
      this.int64(signed);
    }
  }

  /** Stores a 32-bit immediate. */
  movStoreImm32(d: Mem, value: number): void {
    legacy(this, false, 0xc7, 0, d, 4);
    this.int32(value);
  }

  /** Widens 1 or 2 bytes to 32 bits, or 4 signed bytes to 64. */
  movExtend(kind: 'zx8' | 'sx8' | 'zx16' | 'sx16' | 'sx32', d: number, s: RM): void {
    if (kind === 'sx32') legacy(this, true, 0x63, d, s);
    else legacy(this, false, EXTEND[kind], d, s, 0, 0, kind.endsWith('8') && typeof s === 'number' && s >= 4);
  }

  /** prefetcht0 or prefetchw: brings a line in, to be read or to be written. */
  prefetch(s: Mem, write: boolean): void {
    legacy(this, false, write ? 0x0f0d : 0x0f18, 1, s);
  }

  lea(d: number, s: Mem): void {
    legacy(this, true, 0x8d, d, s);
  }

  alu(op: AluOp, wide: boolean, d: number, s: RM): void {
    legacy(this, wide, ALU[op] * 8 + 3, d, s);
  }

  aluImm(op: AluOp, wide: boolean, d: RM, value: number): void {
    if (value >= -128 && value <= 127) {
      legacy(this, wide, 0x83, ALU[op], d, 1);
      this.byte(value & 0xff);
    } else {
      legacy(this, wide, 0x81, ALU[op], d, 4);
      this.int32(value);
    }
  }

  test(wide: boolean, a: number, b: number): void {
    legacy(this, wide, 0x85, b, a);
  }

  imul(wide: boolean, d: number, s: RM): void {
    legacy(this, wide, 0x0faf, d, s);
  }

  imulImm(wide: boolean, d: number, s: RM, value: number): void {
    const short = value >= -128 && value <= 127;
    legacy(this, wide, short ? 0x6b : 0x69, d, s, short ? 1 : 4);
    if (short) this.byte(value & 0xff);
    else this.int32(value);
  }

  /** mul, div, idiv on rdx:rax; neg and not in place. */
  group3(op: 'not' | 'neg' | 'mul' | 'div' | 'idiv', wide: boolean, rm: RM): void {
    legacy(this, wide, 0xf7, { not: 2, neg: 3, mul: 4, div: 6, idiv: 7 }[op], rm);
  }

  /** rdx = sign of rax. */
  cdq(wide: boolean): void {
    if (wide) this.byte(0x48);
    this.byte(0x99);
  }

  shiftCl(op: keyof typeof SHIFT, wide: boolean, d: number): void {
    legacy(this, wide, 0xd3, SHIFT[op], d);
  }

  shiftImm(op: keyof typeof SHIFT, wide: boolean, d: number, count: number): void {
    legacy(this, wide, 0xc1, SHIFT[op], d, 1);
    this.byte(count);
  }

  lzcnt(wide: boolean, d: number, s: RM): void {
    legacy(this, wide, 0x0fbd, d, s, 0, 0xf3);
  }

  setcc(condition: Condition, d: number): void {
    legacy(this, false, 0x0f90 | CC[condition], 0, d, 0, 0, d >= 4);
  }

  cmov(condition: Condition, wide: boolean, d: number, s: RM): void {
    legacy(this, wide, 0x0f40 | CC[condition], d, s);
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
    legacy(this, false, op === 'xadd' ? 0x0fc1 : 0x0fb1, s, d);
  }

  callRegister(r: number): void {
    legacy(this, false, 0xff, 2, r);
  }

  jumpRegister(r: number): void {
    legacy(this, false, 0xff, 4, r);
  }

  jump(target: Label, condition?: Condition): void {
    this.jumps.push({ at: this.before + this.length, target, condition: condition ? CC[condition] : -1 });
  }

  call(target: Label): void {
    this.jumps.push({ at: this.before + this.length, target, condition: -2 });
  }

  // ---- vectors and masks

  /**
   * One EVEX instruction. `l` is 0, 1 or 2 for 128, 256 or 512 bits. `d` is ModRM.reg (a vector, mask or general
   * register as the form says), `v` the second operand or 0, `s` register or memory.
   */
  vector(op: VectorOp, l: number, d: number, v: number, s: RM, options: VectorOptions = {}): void {
    evex(this, vectorForm(op), l, d, v, s, options);
  }

  /**
   * vpgatherdd: d[i] = the 32 bits at base + vector[i] * scale where mask `k` is set, other lanes kept; `k` is 0
   * afterwards.
   */
  gather(l: number, d: number, at: Gathered, k: number): void {
    evexGather(this, l, d, at, k);
  }

  /**
   * One VEX instruction on xmm (`l` 0) or ymm (1) registers. `d` is ModRM.reg (a vector or general register as the form
   * says), `v` the second operand or 0, `s` register or memory, `imm` an immediate (for blends by a register: its
   * number times 16).
   */
  vex(op: VexOp, l: number, d: number, v: number, s: RM, imm?: number): void {
    const form = vexForm(op);
    // Shifts by an immediate have the destination in vvvv and their digit in ModRM.reg.
    const reg = form.digit >= 0 ? form.digit : d;
    vexPrefix(this, reg, s, form.digit >= 0 ? d : v, l, form);
    modRM(this, form.opcode, reg, s, 1, imm === undefined ? 0 : 1);
    if (imm !== undefined) this.byte(imm);
  }

  /** One tile instruction: `s` is memory with a stride register as index, or a tile; `v` the third tile. */
  tile(op: TileOp, d: number, s: RM = 0, v = 0): void {
    const { pp, opcode } = TILE_FORMS[op];
    vexPrefix(this, d, s, v, 0, { pp, map: 2, w: 0 });
    modRM(this, opcode, d, s, 1, 0);
  }

  /** Sets up the tiles as 64 bytes of memory say. */
  loadTileConfig(s: Mem): void {
    vexPrefix(this, 0, s, 0, 0, { pp: 0, map: 2, w: 0 });
    modRM(this, 0x49, 0, s, 1, 0);
  }

  /** One opmask instruction, in VEX. */
  mask(op: MaskOp, d: number, v: number, s: RM): void {
    const { pp, w, l, opcode } = MASK_FORMS[op];
    vexPrefix(this, d, s, l ? v : 0, l, { pp, map: 1, w });
    modRM(this, opcode, d, s, 1, 0);
  }

  // ---- the end

  /** Bytes of code in the segment that is being written, as far as they are known. */
  segmentLength(): number {
    return this.length;
  }

  /**
   * Ends a segment: its jumps and, behind them, its constants are laid out. Places of its labels are final byte offsets
   * from now on, to which later segments may go; it cannot go to theirs. The next one begins at a multiple of `align`
   * bytes.
   */
  cut(align = 1): void {
    const { before, jumps, references, labels } = this;
    const code = this.code.subarray(0, this.length);
    const segment = layOut({ before, code, jumps, references, labels, constants: [...this.pool.values()] });
    this.segments.push({ at: before, bytes: segment });
    this.before = Math.ceil((this.before + segment.length) / align) * align;
    this.length = 0;
    this.jumps = [];
    this.references = [];
    this.labels = [];
    this.pool.clear();
  }

  /** The segments that have ended, and where they begin. */
  ended(): readonly { readonly at: number; readonly bytes: Uint8Array }[] {
    return this.segments;
  }

  /** All that was written. */
  finish(): Uint8Array {
    this.cut();
    const all = new Uint8Array(this.before);
    for (const { at, bytes } of this.segments) all.set(bytes, at);
    return all;
  }
}
