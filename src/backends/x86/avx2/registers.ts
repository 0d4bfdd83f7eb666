/**
 * What code without AVX-512 keeps to itself, and masks: a mask of n lanes is a vector of n 32-bit lanes, all ones or
 * all zeros. Knows the frame and encodings.
 */
import type { Reg } from '../../../compiler/loops.ts';
import { type Frame, G0, isWide, lengthOf } from '../frame.ts';

/** Temporaries of multi-instruction sequences. */
export const T0 = 13;
export const T1 = 14;
export const T2 = 15;

/** The 64-bit lanes of a mask in `from` as 32-bit lanes in `into`; T2 is used. `from` must not be T2. */
export function narrowMask(f: Frame, into: number, from: number): void {
  f.asm.vex('vextracti128', 1, from, 0, T2, 1);
  f.asm.vex('vshufps', 0, into, from, T2, 0x88);
}

/** A general register's truth in every lane of `into`; G0 is used. */
export function spreadTruth(f: Frame, into: number, l: number, m: Reg): void {
  f.gCopy(m, G0);
  f.asm.group3('neg', true, G0);
  f.asm.vex('vmovq', 0, into, 0, G0);
  f.asm.vex('vpbroadcastq', l, into, 0, into);
}

/** The mask `m` over lanes of `like`'s width: where it is, or in T0. */
export function maskOver(f: Frame, m: Reg, like: Reg, operand: 0 | 1 | 2): number {
  if (m.type.lanes === 1) {
    spreadTruth(f, T0, lengthOf(like.type), m);
    return T0;
  }
  const at = f.v(m, operand);
  if (!isWide(like.type)) return at;
  f.asm.vex('vpmovsxdq', 1, T0, 0, at);
  return T0;
}

/** One bit per lane of the mask in G0. */
export const maskBits = (f: Frame, m: Reg): void => f.asm.vex('vmovmskps', lengthOf(m.type), G0, 0, f.v(m));
