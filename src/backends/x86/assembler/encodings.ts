/**
 * How an instruction becomes bytes: ModRM, SIB and displacement, and the prefixes of the legacy (REX), VEX and EVEX encodings before them. Knows no instruction by
 * name but the one whose operand is like no other's. Source: Intel SDM volume 2.
 */
import type { Tuple, VectorForm } from './forms.ts';
import { type Label, R, type RM, type VectorOptions } from './operands.ts';

/** [base + vector[i] * scale] for each lane i. */
export interface Gathered {
  readonly base: number;
  readonly vector: number;
  readonly scale: 1 | 2 | 4 | 8;
}

/** Where bytes go. */
export interface Sink {
  byte(value: number): void;
  int32(value: number): void;
  /** The four bytes that say how far `target` is from the end of the instruction, which `after` bytes follow. */
  distance(target: Label, after: number): void;
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

/** What ModRM and SIB have no room for of the register or the base: bit 3. */
const baseBit = (rm: RM): number => (typeof rm === 'number' ? (rm >> 3) & 1 : 'label' in rm ? 0 : (rm.base >> 3) & 1);

/** Bit 3 of the index, or bit 4 of the register (for vectors). */
const indexBit = (rm: RM): number => {
  if (typeof rm === 'number') return (rm >> 4) & 1;
  return 'label' in rm || rm.index === undefined ? 0 : (rm.index >> 3) & 1;
};

/** ModRM, SIB and displacement. `unit` scales an 8-bit displacement; `after` bytes follow. */
export function modRM(out: Sink, reg: number, rm: RM, unit: number, after: number): void {
  const field = (reg & 7) << 3;
  if (typeof rm === 'number') {
    out.byte(0xc0 | field | (rm & 7));
    return;
  }
  if ('label' in rm) {
    out.byte(field | 5);
    out.distance(rm.label, after);
    return;
  }
  const { base, index, disp } = rm;
  const scaled = disp / unit;
  const short = Number.isInteger(scaled) && scaled >= -128 && scaled <= 127;
  // rbp and r13 as base always take a displacement.
  const mode = disp === 0 && (base & 7) !== 5 ? 0 : short ? 0x40 : 0x80;
  if (index !== undefined) {
    if (index === R.rsp) throw new Error('internal: rsp cannot be an index');
    out.byte(mode | field | 4);
    out.byte((Math.log2(rm.scale ?? 1) << 6) | ((index & 7) << 3) | (base & 7));
  } else if ((base & 7) === 4) {
    out.byte(mode | field | 4);
    out.byte(0x24);
  } else out.byte(mode | field | (base & 7));
  if (mode === 0x40) out.byte(scaled & 0xff);
  else if (mode === 0x80) out.int32(disp);
}

/** [prefix] [REX] opcode ModRM. `opcode` is one byte, or two with 0x0f first; `low8`: an 8-bit register operand that needs a REX prefix to be meant. */
export function legacy(
  out: Sink,
  wide: boolean,
  opcode: number,
  reg: number,
  rm: RM,
  after = 0,
  prefix = 0,
  low8 = false,
): void {
  if (prefix !== 0) out.byte(prefix);
  const rex = 0x40 | (wide ? 8 : 0) | (((reg >> 3) & 1) << 2) | (indexBit(rm) << 1) | baseBit(rm);
  if (rex !== 0x40 || low8) out.byte(rex);
  if (opcode > 0xff) out.byte(opcode >> 8);
  out.byte(opcode & 0xff);
  modRM(out, reg, rm, 1, after);
}

/** VEX prefix: two bytes where they say enough. */
export function vexPrefix(
  out: Sink,
  reg: number,
  rm: RM,
  vvvv: number,
  l: number,
  form: { pp: number; map: number; w: number },
): void {
  const b = baseBit(rm);
  const x = indexBit(rm);
  const r = (((reg >> 3) & 1) ^ 1) << 7;
  const tail = ((~vvvv & 15) << 3) | (l << 2) | form.pp;
  if (b || x || form.map !== 1 || form.w) {
    out.byte(0xc4);
    out.byte(r | ((x ^ 1) << 6) | ((b ^ 1) << 5) | form.map);
    out.byte((form.w << 7) | tail);
  } else {
    out.byte(0xc5);
    out.byte(r | tail);
  }
}

/**
 * One EVEX instruction. `l` is 0, 1 or 2 for 128, 256 or 512 bits. `d` is ModRM.reg (a vector, mask or general register as the form
 * says), `v` the second operand or 0, `s` register or memory.
 */
export function evex(
  out: Sink,
  form: VectorForm,
  l: number,
  d: number,
  v: number,
  s: RM,
  options: VectorOptions,
): void {
  const { pp, map, w, opcode, tuple, digit } = form;
  // Shifts by an immediate have the destination in vvvv and their digit in ModRM.reg.
  const reg = digit >= 0 ? digit : d;
  const vvvv = digit >= 0 ? d : v;
  const b = baseBit(s);
  const x = indexBit(s);
  out.byte(0x62);
  out.byte(((((reg >> 3) & 1) ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | ((((reg >> 4) & 1) ^ 1) << 4) | map);
  out.byte((w << 7) | ((~vvvv & 15) << 3) | 4 | pp);
  out.byte(
    (options.zero ? 0x80 : 0) |
      (l << 5) |
      (options.broadcast ? 0x10 : 0) |
      ((((vvvv >> 4) & 1) ^ 1) << 3) |
      (options.k ?? 0),
  );
  out.byte(opcode);
  const unit = options.broadcast ? (w === 1 ? 8 : 4) : ELEMENT[tuple](16 << l);
  modRM(out, reg, s, unit, options.imm === undefined ? 0 : 1);
  if (options.imm !== undefined) out.byte(options.imm);
}

/** vpgatherdd, whose memory has a vector as its index. */
export function evexGather(out: Sink, l: number, d: number, at: Gathered, k: number): void {
  const { base, vector, scale } = at;
  const inverted = (n: number, bit: number): number => ((n >> bit) & 1) ^ 1;
  out.byte(0x62);
  out.byte((inverted(d, 3) << 7) | (inverted(vector, 3) << 6) | (inverted(base, 3) << 5) | (inverted(d, 4) << 4) | 2);
  out.byte(0x7d);
  out.byte((l << 5) | (inverted(vector, 4) << 3) | k);
  out.byte(0x90);
  const short = (base & 7) === 5;
  out.byte((short ? 0x44 : 0x04) | ((d & 7) << 3));
  out.byte((Math.log2(scale) << 6) | ((vector & 7) << 3) | (base & 7));
  if (short) out.byte(0);
}
