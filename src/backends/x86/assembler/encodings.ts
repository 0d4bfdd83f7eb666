/**
 * How an instruction becomes bytes: ModRM, SIB and displacement, and the prefixes of the legacy (REX), VEX and EVEX
 * encodings before them. Knows no instruction by name but the one whose operand is like no other's. Source: Intel SDM
 * volume 2.
 */
import type { Tuple, VectorForm } from './forms.ts';
import { type Address, type Label, type Mem, R, type RM, type VectorOptions } from './operands.ts';

/** [base + vector[i] * scale] for each lane i. */
export interface Gathered {
  readonly base: number;
  readonly vector: number;
  readonly scale: 1 | 2 | 4 | 8;
}

/**
 * Where bytes go: several with a call, as most of a program's code is written by JavaScript that runs for the first
 * time.
 */
export interface Sink {
  /** The lowest `count` bytes of a word of 32 bits, the lowest first. */
  append(word: number, count: number): void;
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

/** A place in the code. A read, as `in` asks the engine's runtime. */
const labelOf = (at: Mem): Label | undefined => (at as { readonly label?: Label }).label;

/**
 * What ModRM and SIB have no room for: bit 3 of the register or the base, and above it bit 4 of the register (of
 * vectors) or bit 3 of the index.
 */
const highBits = (rm: RM): number => {
  if (typeof rm === 'number') return (rm >> 3) & 3;
  if (labelOf(rm)) return 0;
  const { base, index } = rm as Address;
  const b = (base >> 3) & 1;
  return index === undefined ? b : b | (((index >> 3) & 1) << 1);
};

/** A byte of opcode, ModRM, SIB and displacement. `unit` scales an 8-bit displacement; `after` bytes follow. */
export function modRM(out: Sink, opcode: number, reg: number, rm: RM, unit: number, after: number): void {
  const head = opcode | ((reg & 7) << 11);
  if (typeof rm === 'number') {
    out.append(head | 0xc000 | ((rm & 7) << 8), 2);
    return;
  }
  const label = labelOf(rm);
  if (label) {
    out.append(head | 0x500, 2);
    out.distance(label, after);
    return;
  }
  const { base, index, scale, disp } = rm as Address;
  const scaled = disp / unit;
  const isShort = Number.isInteger(scaled) && scaled >= -128 && scaled <= 127;
  // rbp and r13 as base always take a displacement.
  const mode = disp === 0 && (base & 7) !== 5 ? 0 : isShort ? 0x40 : 0x80;
  const count = mode === 0x40 ? 1 : 0;
  const byte = count === 1 ? scaled & 0xff : 0;
  if (index !== undefined || (base & 7) === 4) {
    if (index === R.rsp) throw new Error('internal: rsp cannot be an index');
    const sib = index === undefined ? 0x24 : (Math.log2(scale ?? 1) << 6) | ((index & 7) << 3) | (base & 7);
    out.append(head | ((mode | 4) << 8) | (sib << 16) | (byte << 24), 3 + count);
  } else out.append(head | ((mode | (base & 7)) << 8) | (byte << 16), 2 + count);
  if (mode === 0x80) out.append(disp, 4);
}

/**
 * [prefix] [REX] opcode ModRM. `opcode` is one byte, or two with 0x0f first; `low8`: an 8-bit register operand that
 * needs a REX prefix to be meant.
 */
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
  let word = prefix;
  let count = prefix === 0 ? 0 : 1;
  const rex = 0x40 | (wide ? 8 : 0) | (((reg >> 3) & 1) << 2) | highBits(rm);
  if (rex !== 0x40 || low8) word |= rex << (8 * count++);
  if (opcode > 0xff) word |= (opcode >> 8) << (8 * count++);
  if (count > 0) out.append(word, count);
  modRM(out, opcode & 0xff, reg, rm, 1, after);
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
  const high = highBits(rm);
  const r = (((reg >> 3) & 1) ^ 1) << 7;
  const tail = ((~vvvv & 15) << 3) | (l << 2) | form.pp;
  if (high || form.map !== 1 || form.w)
    out.append(0xc4 | ((r | ((high ^ 3) << 5) | form.map) << 8) | (((form.w << 7) | tail) << 16), 3);
  else out.append(0xc5 | ((r | tail) << 8), 2);
}

/**
 * One EVEX instruction. `l` is 0, 1 or 2 for 128, 256 or 512 bits. `d` is ModRM.reg (a vector, mask or general register
 * as the form says), `v` the second operand or 0, `s` register or memory.
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
  const { zero, broadcast, k = 0, imm } = options;
  const first = ((((reg >> 3) & 1) ^ 1) << 7) | ((highBits(s) ^ 3) << 5) | ((((reg >> 4) & 1) ^ 1) << 4) | map;
  const second = (w << 7) | ((~vvvv & 15) << 3) | 4 | pp;
  const third = (zero ? 0x80 : 0) | (l << 5) | (broadcast ? 0x10 : 0) | ((((vvvv >> 4) & 1) ^ 1) << 3) | k;
  out.append(0x62 | (first << 8) | (second << 16) | (third << 24), 4);
  const unit = typeof s === 'number' ? 1 : broadcast ? (w === 1 ? 8 : 4) : ELEMENT[tuple](16 << l);
  modRM(out, opcode, reg, s, unit, imm === undefined ? 0 : 1);
  if (imm !== undefined) out.append(imm, 1);
}

/** vpgatherdd, whose memory has a vector as its index. */
export function evexGather(out: Sink, l: number, d: number, at: Gathered, k: number): void {
  const { base, vector, scale } = at;
  const inverted = (n: number, bit: number): number => ((n >> bit) & 1) ^ 1;
  const first =
    (inverted(d, 3) << 7) | (inverted(vector, 3) << 6) | (inverted(base, 3) << 5) | (inverted(d, 4) << 4) | 2;
  out.append(0x62 | (first << 8) | (0x7d << 16) | (((l << 5) | (inverted(vector, 4) << 3) | k) << 24), 4);
  const short = (base & 7) === 5;
  const sib = (Math.log2(scale) << 6) | ((vector & 7) << 3) | (base & 7);
  out.append(0x90 | (((short ? 0x44 : 0x04) | ((d & 7) << 3)) << 8) | (sib << 16), short ? 4 : 3);
}
