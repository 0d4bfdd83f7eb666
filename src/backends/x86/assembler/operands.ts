/**
 * What instructions are about: registers, memory, labels, conditions, and the names of those that share an encoding.
 * Data only.
 */

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

/** [base + index * scale + disp]. */
export interface Address {
  readonly base: number;
  readonly index?: number;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly disp: number;
}

/** An address, or a place in the code or the constant pool. */
export type Mem = Address | { readonly label: Label };

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
