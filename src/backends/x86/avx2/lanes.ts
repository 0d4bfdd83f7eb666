/**
 * Conversions between types and movements between lanes with AVX2. Conversions with 64-bit integers go lane by lane
 * through the stack.
 */

import type { Inst, Reg } from '../../../compiler/loops.ts';
import { classOf } from '../allocate.ts';
import { type Mem, mem, R } from '../assembler/operands.ts';
import type { VexOp } from '../assembler/vex.ts';
import { missing } from '../emit-general.ts';
import { BEYOND, LARGEST } from '../emit-lanes.ts';
import { bitsOf, FRAME, FRAME_VECTOR, type Frame, G0, G1, isFloat, isWide, lengthOf } from '../frame.ts';
import { combine, named, packed } from './arithmetic.ts';
import { maskBits, narrowMask, spreadTruth, T0, T1, T2 } from './registers.ts';

const home = (offset: number): Mem => mem(R.rsp, FRAME.vector + offset);

/** A general register's value as lane 0 of `into`. */
const toVector = (f: Frame, into: number, wide: boolean, from: number): void =>
  f.asm.vex(wide ? 'vmovq' : 'vmovd', 0, into, 0, from);

const toGeneral = (f: Frame, into: number, wide: boolean, from: number): void =>
  f.asm.vex(wide ? 'vmovq_st' : 'vmovd_st', 0, from, 0, into);

const spread = (f: Frame, l: number, wide: boolean, into: number, from: number | Mem): void =>
  f.asm.vex(wide ? 'vpbroadcastq' : 'vpbroadcastd', l, into, 0, from);

/** Conversion instructions by `from>to`; the vector length is that of the wider side. */
const CONVERT: { readonly [key: string]: VexOp } = {
  'i32>f32': 'vcvtdq2ps',
  'i32>f64': 'vcvtdq2pd',
  'f32>f64': 'vcvtps2pd',
  'f64>f32': 'vcvtpd2ps',
  'f32>i32': 'vcvttps2dq',
  'f64>i32': 'vcvttpd2dq',
  'i32>i64': 'vpmovsxdq',
};

/** 64-bit integers of `x` as floats in T0, one by one. */
function fromLongs(f: Frame, lanes: number, x: number, wide: boolean): void {
  const { asm } = f;
  asm.vex('vmovups_st', lanes === 1 ? 0 : 1, x, 0, FRAME_VECTOR);
  asm.vex('vpxor', 0, T0, T0, T0);
  // What is written is never beyond what was read.
  for (let i = 0; i < lanes; i++) {
    asm.vex(wide ? 'vcvtsi2sd' : 'vcvtsi2ss', 0, T0, T0, home(i * 8));
    asm.vex(wide ? 'vmovsd_st' : 'vmovss_st', 0, T0, 0, home(i * (wide ? 8 : 4)));
  }
  asm.vex('vmovups', wide && lanes > 1 ? 1 : 0, T0, 0, FRAME_VECTOR);
}

/** The f64 lanes of `x` as 64-bit integers in T0, one by one. */
function toLongs(f: Frame, lanes: number, x: number): void {
  const { asm } = f;
  const l = lanes === 1 ? 0 : 1;
  asm.vex('vmovups_st', l, x, 0, FRAME_VECTOR);
  for (let i = 0; i < lanes; i++) {
    asm.vex('vcvttsd2si', 0, G1, 0, home(i * 8));
    asm.movStore(8, home(i * 8), G1);
  }
  asm.vex('vmovups', l, T0, 0, FRAME_VECTOR);
}

/**
 * What is too large for `target` or NaN came out as the smallest integer: puts it right in T0. `x` has the floats, in
 * lanes of `from`.
 */
function saturate(f: Frame, from: Reg['type'], x: number, target: 'i32' | 'i64', to: Reg['type']): void {
  const { asm } = f;
  const fl = lengthOf(from);
  const tl = lengthOf(to);
  const narrows = isWide(from) && !isWide(to) && from.lanes > 1;
  asm.vex(packed('vcmp', from), fl, T1, x, f.pattern(fl, isWide(from), bitsOf(from, BEYOND[target])), 0x1d);
  if (narrows) narrowMask(f, T1, T1);
  const blend = isWide(to) ? 'vblendvpd' : 'vblendvps';
  asm.vex(blend, tl, T0, T0, f.pattern(tl, isWide(to), LARGEST[target]), named(T1));
  asm.vex(packed('vcmp', from), fl, T1, x, x, 3);
  if (narrows) narrowMask(f, T1, T1);
  asm.vex('vpandn', tl, T0, T1, T0);
}

function fromMask(f: Frame, d: Reg, a: Reg): void {
  const { asm } = f;
  const to = d.type;
  const l = lengthOf(to);
  if (isWide(to)) asm.vex('vpmovsxdq', l, T0, 0, f.v(a));
  else asm.vex('vmovaps', l, T0, 0, f.v(a));
  asm.vex('vpand', l, T0, T0, f.pattern(l, isWide(to), bitsOf(to, isFloat(to) ? 1 : 1n)));
  f.vDone(d, T0);
}

export function convert(f: Frame, d: Reg, a: Reg): void {
  const { asm } = f;
  const to = d.type;
  const from = a.type;
  if (from.scalar === 'mask' && from.lanes > 1) {
    fromMask(f, d, a);
    return;
  }
  const source = from.scalar === 'ptr' || from.scalar === 'mask' ? (isWide(from) ? 'i64' : 'i32') : from.scalar;
  const target = to.scalar === 'ptr' ? 'i64' : to.scalar === 'mask' ? 'i32' : to.scalar;
  let x: number;
  if (classOf(from) === 'general') {
    x = T1;
    toVector(f, T1, isWide(from), f.g(a, G0));
  } else x = f.v(a);
  const wider = isWide(from) ? from : to;
  const l = lengthOf(wider);
  if (source === target) asm.vex('vmovaps', l, T0, 0, x);
  else if (source === 'i64' && isFloat(to)) fromLongs(f, from.lanes, x, isWide(to));
  else if (source === 'i64' && target === 'i32') {
    asm.vex('vextracti128', 1, x, 0, T0, 1);
    asm.vex('vshufps', 0, T0, x, T0, 0x88);
  } else if (isFloat(from) && target === 'i64') {
    let wide = x;
    if (!isWide(from)) {
      wide = T2;
      asm.vex('vcvtps2pd', l, T2, 0, x);
    }
    toLongs(f, from.lanes, wide);
    saturate(f, { scalar: 'f64', lanes: from.lanes }, wide, 'i64', to);
  } else {
    const op = CONVERT[`${source}>${target}`];
    if (!op) missing(`conversion to ${to.scalar}`, from);
    asm.vex(op, l, T0, 0, x);
    if (isFloat(from) && target === 'i32') saturate(f, from, x, 'i32', to);
  }
  if (classOf(to) === 'general') {
    toGeneral(f, G0, isWide(to), T0);
    f.gDone(d, G0);
  } else f.vDone(d, T0);
}

export function bitcast(f: Frame, d: Reg, a: Reg): void {
  if (classOf(a.type) === 'general') {
    const into = f.vInto(d);
    toVector(f, into, isWide(a.type), f.g(a, G0));
    f.vDone(d, into);
  } else if (classOf(d.type) === 'general') {
    const into = f.gInto(d);
    toGeneral(f, into, isWide(d.type), f.v(a));
    f.gDone(d, into);
  } else f.vDone(d, f.v(a));
}

export function splat(f: Frame, d: Reg, a: Reg): void {
  const to = d.type;
  const wide = isWide(to);
  const l = lengthOf(to);
  const into = f.vInto(d);
  if (to.scalar === 'mask') spreadTruth(f, into, l, a);
  else if (classOf(a.type) === 'general') {
    const literal = f.literal(a);
    if (literal !== null) f.splatBits(into, l, wide, literal);
    else {
      toVector(f, T0, wide, f.g(a, G0));
      spread(f, l, wide, into, T0);
    }
  } else spread(f, l, wide, into, f.v(a));
  f.vDone(d, into);
}

export function extract(f: Frame, d: Reg, a: Reg, lane: number): void {
  const { asm } = f;
  const { type } = a;
  if (type.lanes === 1) {
    f.vDone(d, f.v(a));
    return;
  }
  if (type.scalar === 'mask') {
    maskBits(f, a);
    if (lane > 0) asm.shiftImm('shr', false, G0, lane);
    asm.aluImm('and', false, G0, 1);
    f.gDone(d, G0);
    return;
  }
  const perHalf = isWide(type) ? 2 : 4;
  const within = lane % perHalf;
  let at = f.v(a);
  if (lane >= perHalf) {
    asm.vex('vextracti128', 1, at, 0, T0, 1);
    at = T0;
  }
  if (within > 0) {
    asm.vex('vpshufd', 0, T0, 0, at, isWide(type) ? 0xee : within);
    at = T0;
  }
  if (isFloat(type)) f.vDone(d, at);
  else {
    const into = f.gInto(d);
    toGeneral(f, into, isWide(type), at);
    f.gDone(d, into);
  }
}

export function insert(f: Frame, d: Reg, a: Reg, lane: number, s: Reg): void {
  const { type } = a;
  const l = lengthOf(type);
  const wide = isWide(type);
  if (type.scalar === 'mask') spreadTruth(f, T0, l, s);
  else if (classOf(s.type) === 'general') {
    toVector(f, T0, wide, f.g(s, G0));
    spread(f, l, wide, T0, T0);
  } else spread(f, l, wide, T0, f.v(s, 1));
  const into = f.vInto(d);
  f.asm.vex('vpblendd', l, into, f.v(a, 0), T0, wide ? 3 << (2 * lane) : 1 << lane);
  f.vDone(d, into);
}

export function shuffle(f: Frame, d: Reg, a: Reg, b: Reg, lanes: readonly number[]): void {
  const { asm } = f;
  const { type } = a;
  const n = type.lanes;
  const l = lengthOf(type);
  const words = isWide(type)
    ? lanes.flatMap(lane => [2 * (lane % n), 2 * (lane % n) + 1])
    : lanes.map(lane => lane % n);
  const index = Int32Array.from({ length: 8 }, (_, i) => words[i] ?? 0);
  let fromB = 0;
  for (const [i, lane] of lanes.entries()) if (lane >= n) fromB |= isWide(type) ? 3 << (2 * i) : 1 << i;
  const all = isWide(type) ? 4 ** n - 1 : 2 ** n - 1;
  asm.vex('vmovups', 1, T0, 0, asm.constant(new Uint8Array(index.buffer)));
  const into = f.vInto(d);
  if (fromB === 0 || a === b) asm.vex('vpermd', 1, into, T0, f.v(a, 0));
  else if (fromB === all) asm.vex('vpermd', 1, into, T0, f.v(b, 1));
  else {
    asm.vex('vpermd', 1, T1, T0, f.v(a, 0));
    asm.vex('vpermd', 1, T0, T0, f.v(b, 1));
    asm.vex('vpblendd', l, into, T1, T0, fromB);
  }
  f.vDone(d, into);
}

type ReduceFn = Extract<Inst, { op: 'reduce' }>['fn'];

/** Halves are combined until one lane is left. */
export function reduce(f: Frame, fn: ReduceFn, d: Reg, a: Reg): void {
  const { asm } = f;
  const { type } = a;
  if (type.scalar === 'mask') {
    maskBits(f, a);
    asm.aluImm('cmp', false, G0, fn === 'and' ? 2 ** type.lanes - 1 : 0);
    asm.setcc(fn === 'and' ? 'e' : 'ne', G0);
    asm.movExtend('zx8', G0, G0);
    f.gDone(d, G0);
    return;
  }
  const l = lengthOf(type);
  asm.vex('vmovaps', l, T0, 0, f.v(a));
  const words = isWide(type) ? 2 : 1;
  for (let width = type.lanes / 2; width >= 1; width /= 2) {
    // Only the lanes that are combined matter: halves of the register, or of its halves.
    if (width * words === 4) asm.vex('vpermq', 1, T1, 0, T0, 0x4e);
    else asm.vex('vpshufd', l, T1, 0, T0, width * words === 2 ? 0x4e : 0xb1);
    combine(f, fn, type);
  }
  if (isFloat(type)) f.vDone(d, T0);
  else {
    toGeneral(f, G0, isWide(type), T0);
    f.gDone(d, G0);
  }
}

export function anyTrue(f: Frame, d: Reg, a: Reg): void {
  maskBits(f, a);
  f.asm.test(false, G0, G0);
  f.asm.setcc('ne', G0);
  f.asm.movExtend('zx8', G0, G0);
  f.gDone(d, G0);
}
