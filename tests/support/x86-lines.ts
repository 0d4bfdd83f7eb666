/**
 * Assembly lines (Intel syntax of GNU as) beside what our assembler makes of the same operands: every form, with
 * operands drawn from a seed.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Assembler } from '../../src/backends/x86/assembler/assembler.ts';
import {
  MASK_FORMS,
  type MaskOp,
  VECTOR_OPS,
  type VectorOp,
  vectorForm,
} from '../../src/backends/x86/assembler/forms.ts';
import { ListingAssembler } from '../../src/backends/x86/assembler/listing.ts';
import { ALU, CC, type Label, type Mem, PLAIN, R } from '../../src/backends/x86/assembler/operands.ts';
import { TILE_FORMS, type TileOp, VEX_OPS, type VexOp } from '../../src/backends/x86/assembler/vex.ts';

export interface Case {
  readonly line: string;
  readonly bytes: Uint8Array;
  /** The instruction as our own printer has it, with the prefix that says which encoding is meant. */
  readonly printed: string;
}

const R64 = Object.keys(R);
const R32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', ...R64.slice(8).map(r => `${r}d`)];
const R8 = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil', ...R64.slice(8).map(r => `${r}b`)];

/** mulberry32. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/**
 * How a form's operands are written: letters d (ModRM.reg), v (second), s (register or memory), i (immediate), in
 * order.
 */
interface Shape {
  readonly order: string;
  /** Kinds of d and s: v full vector, h half, q quarter, x xmm, k mask, e r32, r r64, m only memory. */
  readonly d: string;
  readonly s: string;
}

const IMMEDIATE = /^(vpternlog|valign|vrndscale|vrange|vcmp|vpcmp|vcvtps2ph)/;
function shapeOf(op: VectorOp): Shape {
  const imm = IMMEDIATE.test(op) || op.endsWith('_i') ? 'i' : '';
  if (/^(vpmovqd|vpmovdw|vcvtps2ph)$/.test(op)) return { order: `sd${imm}`, d: 'v', s: 'h' };
  if (op === 'vpmovdb') return { order: 'sd', d: 'v', s: 'q' };
  if (/^vmovs[sd]_st$/.test(op)) return { order: 'sd', d: 'x', s: 'm' };
  if (/^vmovs[sd]$/.test(op)) return { order: 'ds', d: 'x', s: 'm' };
  if (/^vmov[dq]_st$/.test(op)) return { order: 'sd', d: 'x', s: op.startsWith('vmovd') ? 'e' : 'r' };
  if (/^vmov[dq]$/.test(op)) return { order: 'ds', d: 'x', s: op === 'vmovd' ? 'e' : 'r' };
  if (/^vmov(up|ntp)s_st$/.test(op)) return { order: 'sd', d: 'v', s: 'm' };
  if (op.endsWith('_r')) return { order: 'ds', d: 'v', s: op === 'vpbroadcastd_r' ? 'e' : 'r' };
  if (/broadcast/.test(op)) return { order: 'ds', d: 'v', s: 'x' };
  if (/^v(pcmp|cmp)/.test(op)) return { order: 'dvsi', d: 'k', s: 'v' };
  if (/^vpmovm2/.test(op)) return { order: 'ds', d: 'v', s: 'k' };
  if (/^(vcvttpd2dq|vcvtpd2ps|vcvtqq2ps|vcvtneps2bf16)$/.test(op)) return { order: 'ds', d: 'h', s: 'v' };
  if (/^(vcvtdq2pd|vcvtps2pd|vcvttps2qq|vpmovsxdq|vpmovzxwd|vcvtph2ps)$/.test(op))
    return { order: 'ds', d: 'v', s: 'h' };
  if (/^vpmov[zs]xbd$/.test(op)) return { order: 'ds', d: 'v', s: 'q' };
  if (op.endsWith('_i') || /^(vsqrt|vrcp|vpabs|vmov|vcvt(?!ne2)|vrndscale)/.test(op))
    return { order: `ds${imm}`, d: 'v', s: 'v' };
  return { order: `dvs${imm}`, d: 'v', s: 'v' };
}

const vectorName = (kind: string, l: number, n: number): string => {
  const length = kind === 'v' ? l : kind === 'h' ? Math.max(0, l - 1) : kind === 'q' ? Math.max(0, l - 2) : 0;
  return `${'xyz'[length]}mm${n}`;
};

function memory(below: (n: number) => number): { readonly text: string; readonly mem: Mem } {
  const base = below(16);
  const disp = [0, 8, -64, 64, 127, -128, 128, 256, 4096, -8192, 100, 2 ** 30][below(12)]!;
  const tail = disp === 0 ? '' : disp > 0 ? `+${disp}` : `${disp}`;
  if (below(2) === 0) return { text: `[${R64[base]}${tail}]`, mem: { base, disp } };
  const index = [0, 1, 5, 9, 12, 15][below(6)]!;
  const scale = [1, 2, 4, 8][below(4)]! as 1 | 2 | 4 | 8;
  return { text: `[${R64[base]}+${R64[index]}*${scale}${tail}]`, mem: { base, index, scale, disp } };
}

function made(line: string, fill: (asm: Assembler) => void): Case {
  const asm = new Assembler();
  fill(asm);
  const listing = new ListingAssembler();
  fill(listing);
  listing.finish();
  const prefix = /^(\{\w+\} )?/.exec(line)![0];
  return {
    line,
    bytes: asm.finish(),
    printed: listing
      .instructions()
      .map(text => prefix + text)
      .join('\n'),
  };
}

/**
 * In turn: registers, memory, registers under a mask, one element of memory for all lanes; then zeroed where the mask
 * is not set. Where a form has it.
 */
const VARIANTS = ['registers', 'memory', 'mask', 'broadcast', 'zeroing'] as const;
type Variant = (typeof VARIANTS)[number];

function vectorCase(op: VectorOp, below: (n: number) => number, variant: Variant): Case {
  const form = vectorForm(op);
  const shape = shapeOf(op);
  const scalar = shape.d === 'x';
  const l = scalar ? 0 : below(3);
  const [d, v, k] = [shape.d === 'k' ? below(8) : below(32), below(32), 1 + below(7)];
  const hasMemory = !'ekr'.includes(shape.s);
  const wantsMemory = shape.s === 'm' || (hasMemory && (variant === 'memory' || variant === 'broadcast'));
  const m = memory(below);
  const s = below(shape.s === 'k' ? 8 : 'er'.includes(shape.s) ? 16 : 32);
  const maskable = !wantsMemory && !scalar && shape.s !== 'k' && op !== 'vmovups_st';
  const masked = maskable && (variant === 'mask' || variant === 'zeroing');
  const zero = masked && shape.d !== 'k' && variant === 'zeroing';
  const element = form.w === 1 ? 8 : 4;
  const broadcast =
    variant === 'broadcast' && wantsMemory && form.tuple === 'full' && shape.s === 'v' && !/^v(mov|cvt|permw)/.test(op);
  const imm = shape.order.includes('i') ? below(8) : undefined;
  const sizes: { readonly [bytes: number]: string } = {
    2: 'word',
    4: 'dword',
    8: 'qword',
    16: 'xmmword',
    32: 'ymmword',
    64: 'zmmword',
  };
  const width = { full: 16 << l, half: 8 << l, quarter: 4 << l, eighth: 2 << l, s1: 1, s2: 2, s4: 4, s8: 8, none: 0 };
  const memoryText = broadcast ? `${sizes[element]} bcst ${m.text}` : `${sizes[width[form.tuple]]} ptr ${m.text}`;
  const register = (kind: string, n: number): string =>
    kind === 'k' ? `k${n}` : kind === 'e' ? R32[n]! : kind === 'r' ? R64[n]! : vectorName(kind, l, n);
  const text = {
    d: register(shape.d, d),
    v: vectorName('v', l, v),
    s: wantsMemory ? memoryText : register(shape.s, s),
    i: `${imm}`,
  };
  const operands = [...shape.order].map(letter => text[letter as keyof typeof text]);
  if (masked) operands[0] += `{k${k}}${zero ? '{z}' : ''}`;
  const name = op.replace(/_(st|i|r)$/, '');
  return made(`{evex} ${name} ${operands.join(', ')}`, asm =>
    asm.vector(op, l, d, shape.order.includes('v') ? v : 0, wantsMemory ? m.mem : s, {
      k: masked ? k : 0,
      zero,
      broadcast,
      imm,
    }),
  );
}

/**
 * Operands of a VEX form: letters as in Shape, and b for a register named by the immediate. `m` limits s to memory, `n`
 * to registers; `l` is the only length there is.
 */
interface VexShape extends Shape {
  readonly only?: 'memory' | 'register';
  readonly l?: 0 | 1;
}

/** With memory `as` has another encoding of vmovq. */
const quad = (op: VexOp): { only?: 'register' } => (op.startsWith('vmovq') ? { only: 'register' } : {});

function vexShapeOf(op: VexOp): VexShape {
  if (/^vmov(ss|sd|ups|ntps)_st$/.test(op))
    return op.endsWith('ps_st')
      ? { order: 'sd', d: 'v', s: 'v', only: 'memory' }
      : { order: 'sd', d: 'x', s: 'x', only: 'memory' };
  if (/^vmovs[sd]$/.test(op)) return { order: 'ds', d: 'x', s: 'x', only: 'memory' };
  if (/^vmov[dq]_st$/.test(op))
    return { order: 'sd', d: 'x', s: op.startsWith('vmovd') ? 'e' : 'r', l: 0, ...quad(op) };
  if (/^vmov[dq]$/.test(op)) return { order: 'ds', d: 'x', s: op === 'vmovd' ? 'e' : 'r', l: 0, ...quad(op) };
  if (op.endsWith('_i')) return { order: 'dsi', d: 'v', s: 'v', only: 'register' };
  if (op === 'vextracti128') return { order: 'sdi', d: 'v', s: 'x', l: 1 };
  if (op === 'vcvtps2ph') return { order: 'sdi', d: 'v', s: 'h' };
  if (op === 'vmovmskps') return { order: 'ds', d: 'e', s: 'v', only: 'register' };
  if (op === 'vcvttsd2si') return { order: 'ds', d: 'r', s: 'x', l: 0 };
  if (/^vcvtsi2s[sd]/.test(op)) return { order: 'dvs', d: 'x', s: op.endsWith('_d') ? 'e' : 'r', l: 0 };
  if (op === 'vpermq') return { order: 'dsi', d: 'v', s: 'v', l: 1 };
  if (op === 'vpermd') return { order: 'dvs', d: 'v', s: 'v', l: 1 };
  if (/^(vcvttpd2dq|vcvtpd2ps)$/.test(op)) return { order: 'ds', d: 'h', s: 'v' };
  if (/broadcast/.test(op)) return { order: 'ds', d: 'v', s: 'x' };
  if (/^vblendv/.test(op)) return { order: 'dvsb', d: 'v', s: 'v' };
  if (/^(vcmp|vshufps|vpblendd)/.test(op)) return { order: 'dvsi', d: 'v', s: 'v' };
  if (/^vpmov[zs]xbd$/.test(op)) return { order: 'ds', d: 'v', s: 'q' };
  if (/^(vcvtdq2pd|vcvtps2pd|vpmov[sz]xdq|vpmovzxwd|vcvtph2ps)$/.test(op)) return { order: 'ds', d: 'v', s: 'h' };
  if (/^(vround|vpshufd)/.test(op)) return { order: 'dsi', d: 'v', s: 'v' };
  if (/^(vsqrt|vpabs|vmov|vcvt)/.test(op)) return { order: 'ds', d: 'v', s: 'v' };
  return { order: 'dvs', d: 'v', s: 'v' };
}

/** Bytes of memory a form without a vector-sized operand reads or writes. */
const VEX_WIDTH: { readonly [op: string]: number } = {
  vmovss: 4,
  vmovss_st: 4,
  vmovsd: 8,
  vmovsd_st: 8,
  vbroadcastss: 4,
  vpbroadcastd: 4,
  vpbroadcastq: 8,
  vcvttsd2si: 8,
};

function vexCase(op: VexOp, below: (n: number) => number, variant: Variant): Case {
  const shape = vexShapeOf(op);
  const l = shape.l ?? (shape.d === 'x' ? 0 : below(2));
  const [d, v, s, b] = [below(16), below(16), below(16), below(16)];
  const wantsMemory = shape.only ? shape.only === 'memory' : variant === 'memory' || variant === 'broadcast';
  const m = memory(below);
  const imm = shape.order.includes('i') ? below(8) : shape.order.includes('b') ? b << 4 : undefined;
  const name = (kind: string, n: number): string =>
    kind === 'e' ? R32[n]! : kind === 'r' ? R64[n]! : vectorName(kind, l, n);
  const bytes = VEX_WIDTH[op] ?? { v: 16 << l, h: 8 << l, q: 4 << l, x: 16, e: 4, r: 8 }[shape.s as 'v'];
  const sizes: { readonly [n: number]: string } = { 4: 'dword', 8: 'qword', 16: 'xmmword', 32: 'ymmword' };
  const text = {
    d: name(shape.d, d),
    v: vectorName(shape.d === 'x' ? 'x' : 'v', l, v),
    s: wantsMemory ? `${sizes[bytes]} ptr ${m.text}` : name(shape.s, s),
    i: `${imm}`,
    b: vectorName('v', l, b),
  };
  const operands = [...shape.order].map(letter => text[letter as keyof typeof text]);
  // Loads, so that as does not swap operands for a shorter prefix.
  const line = `${wantsMemory ? '{vex}' : '{load}'} ${op.replace(/_(st|i|d)$/, '')} ${operands.join(', ')}`;
  return made(line, asm => asm.vex(op, l, d, shape.order.includes('v') ? v : 0, wantsMemory ? m.mem : s, imm));
}

function tileCases(below: (n: number) => number): Case[] {
  const memoryOf = (index: number | null): { text: string; mem: Mem } => {
    const base = below(16);
    const disp = [0, 64, -128, 2048][below(4)]!;
    const tail = disp === 0 ? '' : disp > 0 ? `+${disp}` : `${disp}`;
    if (index === null) return { text: `[${R64[base]}${tail}]`, mem: { base, disp } };
    return { text: `[${R64[base]}+${R64[index]}*1${tail}]`, mem: { base, index, scale: 1, disp } };
  };
  const cases = (Object.keys(TILE_FORMS) as TileOp[]).map((op): Case => {
    // The three tiles of a product must differ.
    const d = below(8);
    const [a, b] = [(d + 1 + below(3)) % 8, (d + 4 + below(4)) % 8];
    const m = memoryOf([0, 5, 9, 13][below(4)]!);
    const of = (operands: string, s: number | Mem, v = 0): Case =>
      made(`${op} ${operands}`, asm => asm.tile(op, d, s, v));
    if (op === 'tileloadd') return of(`tmm${d}, ${m.text}`, m.mem);
    if (op === 'tilestored') return of(`${m.text}, tmm${d}`, m.mem);
    if (op === 'tilezero') return of(`tmm${d}`, 0);
    return of(`tmm${d}, tmm${a}, tmm${b}`, a, b);
  });
  const config = memoryOf(null);
  cases.push(made(`ldtilecfg ${config.text}`, asm => asm.loadTileConfig(config.mem)));
  return cases;
}

function maskCase(op: MaskOp, below: (n: number) => number): Case {
  const [d, v, s, g] = [below(8), below(8), below(8), below(16)];
  const m = memory(below);
  const name = op.replace(/_.*$/, '');
  const of = (line: string, a: number, b: number, rm: number | Mem): Case => made(line, asm => asm.mask(op, a, b, rm));
  if (op === 'kmovw_st') return of(`${name} word ptr ${m.text}, k${d}`, d, 0, m.mem);
  if (op === 'kmovw_kr') return of(`${name} k${d}, ${R32[g]}`, d, 0, g);
  if (op === 'kmovw_rk') return of(`${name} ${R32[g]}, k${s}`, g, 0, s);
  if (op === 'kmovw') return of(`${name} k${d}, k${s}`, d, 0, s);
  if (op === 'knotw') return of(`${name} k${d}, k${s}`, d, 0, s);
  return of(`${name} k${d}, k${v}, k${s}`, d, v, s);
}

function generalCases(below: (n: number) => number): Case[] {
  const wide = below(2) === 0;
  const names = wide ? R64 : R32;
  const [d, s] = [below(16), below(16)];
  const m = memory(below);
  const size = wide ? 'qword' : 'dword';
  const cases: [string, (asm: Assembler) => void][] = [
    [`mov ${names[d]}, ${size} ptr ${m.text}`, a => a.mov(wide, d, m.mem)],
    [`mov ${size} ptr ${m.text}, ${names[s]}`, a => a.movStore(wide ? 8 : 4, m.mem, s)],
    [
      `mov word ptr ${m.text}, ${R32[s]!.startsWith('e') ? R32[s]!.slice(1) : `${R64[s]}w`}`,
      a => a.movStore(2, m.mem, s),
    ],
    [`mov byte ptr ${m.text}, ${R8[s]}`, a => a.movStore(1, m.mem, s)],
    [`mov ${R32[d]}, 0x12345678`, a => a.movImm(d, 0x12345678n)],
    [`mov ${R64[d]}, -2`, a => a.movImm(d, -2n)],
    [`movabs ${R64[d]}, 0x123456789abcdef0`, a => a.movImm(d, 0x123456789abcdef0n)],
    [`mov dword ptr ${m.text}, 77`, a => a.movStoreImm32(m.mem, 77)],
    [`movzx ${R32[d]}, ${R8[s]}`, a => a.movExtend('zx8', d, s)],
    [`movsx ${R32[d]}, byte ptr ${m.text}`, a => a.movExtend('sx8', d, m.mem)],
    [`movzx ${R32[d]}, word ptr ${m.text}`, a => a.movExtend('zx16', d, m.mem)],
    [`movsx ${R32[d]}, word ptr ${m.text}`, a => a.movExtend('sx16', d, m.mem)],
    [`movsxd ${R64[d]}, ${R32[s]}`, a => a.movExtend('sx32', d, s)],
    [`lea ${R64[d]}, ${m.text}`, a => a.lea(d, m.mem)],
    [`prefetcht0 byte ptr ${m.text}`, a => a.prefetch(m.mem, false)],
    [`prefetchw byte ptr ${m.text}`, a => a.prefetch(m.mem, true)],
    [`test ${names[d]}, ${names[s]}`, a => a.test(wide, d, s)],
    [`imul ${names[d]}, ${size} ptr ${m.text}`, a => a.imul(wide, d, m.mem)],
    [`imul ${names[d]}, ${names[s]}, 100`, a => a.imulImm(wide, d, s, 100)],
    [`imul ${names[d]}, ${names[s]}, 1000`, a => a.imulImm(wide, d, s, 1000)],
    [wide ? 'cqo' : 'cdq', a => a.cdq(wide)],
    [`lzcnt ${names[d]}, ${names[s]}`, a => a.lzcnt(wide, d, s)],
    [`push ${R64[d]}`, a => a.push(d)],
    [`pop ${R64[d]}`, a => a.pop(d)],
    [`call ${R64[d]}`, a => a.callRegister(d)],
    [`jmp ${R64[d]}`, a => a.jumpRegister(d)],
    [`lock xadd dword ptr ${m.text}, ${R32[s]}`, a => a.locked('xadd', m.mem, s)],
    [`lock cmpxchg dword ptr ${m.text}, ${R32[s]}`, a => a.locked('cmpxchg', m.mem, s)],
  ];
  for (const op of Object.keys(ALU) as (keyof typeof ALU)[]) {
    cases.push([`${op} ${names[d]}, ${size} ptr ${m.text}`, a => a.alu(op, wide, d, m.mem)]);
    cases.push([`${op} ${size} ptr ${m.text}, -5`, a => a.aluImm(op, wide, m.mem, -5)]);
    // With eax GNU as takes a form of its own, one byte shorter.
    cases.push([`${op} ${names[d || 1]}, 100000`, a => a.aluImm(op, wide, d || 1, 100000)]);
  }
  for (const op of ['not', 'neg', 'mul', 'div', 'idiv'] as const)
    cases.push([`${op} ${names[d]}`, a => a.group3(op, wide, d)]);
  for (const op of ['shl', 'shr', 'sar'] as const) {
    cases.push([`${op} ${names[d]}, cl`, a => a.shiftCl(op, wide, d)]);
    cases.push([`${op} ${names[d]}, 7`, a => a.shiftImm(op, wide, d, 7)]);
  }
  for (const condition of Object.keys(CC) as (keyof typeof CC)[]) {
    cases.push([`set${condition} ${R8[d]}`, a => a.setcc(condition, d)]);
    cases.push([`cmov${condition} ${names[d]}, ${names[s]}`, a => a.cmov(condition, wide, d, s)]);
  }
  for (const op of Object.keys(PLAIN) as (keyof typeof PLAIN)[]) cases.push([op, a => a.plain(op)]);
  return cases.map(([line, fill]) => made(line, fill));
}

function gatherCase(below: (n: number) => number): Case {
  const [l, d, k] = [below(3), below(32), 1 + below(7)];
  // The destination and the indices must differ; rsp and the like as base, and rbp, are written in ways of their own.
  const at = { base: below(16), vector: (d + 1 + below(31)) % 32, scale: [1, 2, 4, 8][below(4)] as 1 | 2 | 4 | 8 };
  const place = `[${R64[at.base]}+${vectorName('v', l, at.vector)}*${at.scale}]`;
  return made(`{evex} vpgatherdd ${vectorName('v', l, d)}{k${k}}, dword ptr ${place}`, asm => asm.gather(l, d, at, k));
}

/** Jumps and calls over so many bytes, and back over them; their own bytes alone. */
export function jumpCases(): Pick<Case, 'line' | 'bytes'>[] {
  const conditions = [undefined, ...(Object.keys(CC) as (keyof typeof CC)[])];
  const over = (distance: number, write: (asm: Assembler, to: Label) => void, line: (to: string) => string) => {
    const asm = new Assembler();
    const target = asm.label();
    const filler = (): void => {
      for (let i = 0; i < Math.abs(distance); i++) asm.byte(0x90);
    };
    if (distance < 0) {
      asm.bind(target);
      filler();
    }
    write(asm, target);
    if (distance >= 0) {
      filler();
      asm.bind(target);
    }
    const bytes = asm.finish();
    const own = distance < 0 ? bytes.subarray(-distance) : bytes.subarray(0, bytes.length - distance);
    return { line: line(distance < 0 ? `.${distance}` : `.+${own.length + distance}`), bytes: own };
  };
  return [0, 5, 100, 127, 128, 40_000, -100, -126, -127, -40_000].flatMap(distance => [
    ...conditions.map(condition =>
      over(
        distance,
        (asm, to) => asm.jump(to, condition),
        to => `j${condition ?? 'mp'} ${to}`,
      ),
    ),
    over(
      distance,
      (asm, to) => asm.call(to),
      to => `call ${to}`,
    ),
  ]);
}

/** `rounds` cases of every form, each round of another variant. */
export function assemblyCases(seed: number, rounds: number): Case[] {
  const below = random(seed);
  const cases: Case[] = [];
  for (let round = 0; round < rounds; round++) {
    const variant = VARIANTS[round % VARIANTS.length]!;
    for (const op of VECTOR_OPS) cases.push(vectorCase(op, below, variant));
    for (const op of VEX_OPS) cases.push(vexCase(op, below, variant));
    cases.push(gatherCase(below));
    for (const op of Object.keys(MASK_FORMS) as MaskOp[]) cases.push(maskCase(op, below));
    cases.push(...tileCases(below), ...generalCases(below));
  }
  return cases;
}

/** What GNU as makes of the lines, in hexadecimal, one per line. */
export function gnuBytes(lines: readonly string[], folder: string): string[] {
  const source = join(folder, 'lines.s');
  writeFileSync(source, `.intel_syntax noprefix\n${lines.join('\n')}\n`);
  const listing = execFileSync('as', ['-aln', '--listing-lhs-width=8', '-o', join(folder, 'lines.o'), source], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const bytes: string[] = lines.map(() => '');
  for (const row of listing.split('\n')) {
    const match = /^\s*(\d+) [0-9a-f]{4} ((?:[0-9A-F]+ ?)+)/.exec(row);
    if (match) bytes[Number(match[1]) - 2] += match[2]!.replaceAll(' ', '').toLowerCase();
  }
  return bytes;
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
