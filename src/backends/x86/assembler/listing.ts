/**
 * An assembler that also writes down what it is told, in Intel's syntax as GNU as reads it: for `TENON_DEBUG=code`.
 * Adds text only; the bytes are those of assembler.ts.
 */
import { Assembler } from './assembler.ts';
import { type MaskOp, type VectorOp, vectorForm } from './forms.ts';
import {
  type AluOp,
  type Condition,
  type Label,
  type Mem,
  R,
  type RM,
  type SHIFT,
  type VectorOptions,
} from './operands.ts';
import type { TileOp, VexOp } from './vex.ts';

const R64 = Object.keys(R);
const R32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', ...R64.slice(8).map(r => `${r}d`)];
const R16 = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di', ...R64.slice(8).map(r => `${r}w`)];
const R8 = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil', ...R64.slice(8).map(r => `${r}b`)];

const SIZES: { readonly [bytes: number]: string } = {
  1: 'byte ptr ',
  2: 'word ptr ',
  4: 'dword ptr ',
  8: 'qword ptr ',
  16: 'xmmword ptr ',
  32: 'ymmword ptr ',
  64: 'zmmword ptr ',
};

const general = (n: number, bytes: number): string => ({ 1: R8, 2: R16, 4: R32, 8: R64 })[bytes as 1 | 2 | 4 | 8][n]!;

/** The name of a vector register of 16 << l bytes; what is less than a whole xmm register is named by it. */
const vectorName = (l: number, n: number): string => `${'xyz'[Math.max(0, l)]}mm${n}`;

/** How much narrower than the instruction's length an operand is: halves it so many times. */
const NARROW_SOURCE: readonly (readonly [RegExp, number])[] = [
  [/^(vcvtdq2pd|vcvtps2pd|vcvttps2qq|vpmov[sz]xdq|vpmovzxwd|vcvtph2ps)$/, 1],
  [/^vpmov[sz]xbd$/, 2],
];
/** Stores and narrowings: the other operand is ModRM.reg, `s` is written. */
const WRITES_S: readonly (readonly [RegExp, number])[] = [
  [/_st$/, 0],
  [/^(vpmovqd|vpmovdw|vcvtps2ph)$/, 1],
  [/^vpmovdb$/, 2],
  [/^vextracti128$/, 1],
];
const NARROW_RESULT = /^(vcvttpd2dq|vcvtpd2ps|vcvtqq2ps|vcvtneps2bf16)$/;
const ONE_SOURCE =
  /^(vsqrt|vrcp|vpabs|vmov|vcvt(?!si2|ne2)|vrndscale|vround|vbroadcast|vpbroadcast|vpmov|vpshufd|vpermq|vextract)/;

const find = (table: readonly (readonly [RegExp, number])[], op: string): number | null =>
  table.find(([pattern]) => pattern.test(op))?.[1] ?? null;

interface Line {
  readonly label: Label;
  readonly indent: boolean;
  readonly text: () => string;
}

export class ListingAssembler extends Assembler {
  private readonly lines: Line[] = [];
  private readonly names = new Map<Label, string>();

  /** What was assembled, one line per instruction, each with its byte offset; after `finish`. */
  text(): string {
    return this.lines
      .map(({ label, indent, text }) => `${label.at.toString(16).padStart(6)}  ${indent ? '  ' : ''}${text()}`)
      .join('\n');
  }

  /** The instructions alone. */
  instructions(): string[] {
    return this.lines.filter(line => line.indent).map(line => line.text());
  }

  private note(text: string | (() => string), indent = true): void {
    const label = this.label();
    super.bind(label);
    this.lines.push({ label, indent, text: typeof text === 'string' ? () => text : text });
  }

  private nameOf(label: Label): string {
    return this.names.get(label) ?? '?';
  }

  private memory(m: Mem, bytes: number): string {
    const size = SIZES[bytes] ?? '';
    if ('label' in m) return `${size}[rip+${this.names.get(m.label) ?? 'constant'}]`;
    const index = m.index === undefined ? '' : `+${R64[m.index]}*${m.scale ?? 1}`;
    const disp = m.disp === 0 ? '' : m.disp > 0 ? `+${m.disp}` : String(m.disp);
    return `${size}[${R64[m.base]}${index}${disp}]`;
  }

  private operand(s: RM, bytes: number): string {
    return typeof s === 'number' ? general(s, bytes) : this.memory(s, bytes);
  }

  override comment(text: string): void {
    this.note(`; ${text}`, false);
  }

  override bind(label: Label): void {
    super.bind(label);
    const name = `L${this.names.size}`;
    this.names.set(label, name);
    this.note(`${name}:`, false);
  }

  override mov(wide: boolean, d: number, s: RM): void {
    const bytes = wide ? 8 : 4;
    this.note(`mov ${general(d, bytes)}, ${this.operand(s, bytes)}`);
    super.mov(wide, d, s);
  }

  override movStore(bytes: 1 | 2 | 4 | 8, d: Mem, s: number): void {
    this.note(`mov ${this.memory(d, bytes)}, ${general(s, bytes)}`);
    super.movStore(bytes, d, s);
  }

  override movImm(d: number, value: bigint): void {
    const unsigned = BigInt.asUintN(64, value);
    const signed = BigInt.asIntN(64, value);
    const small = unsigned < 1n << 32n;
    const sign = signed >= -(1n << 31n) && signed < 0n;
    this.note(`${small || sign ? 'mov' : 'movabs'} ${general(d, small ? 4 : 8)}, ${sign ? signed : unsigned}`);
    super.movImm(d, value);
  }

  override movStoreImm32(d: Mem, value: number): void {
    this.note(`mov ${this.memory(d, 4)}, ${value}`);
    super.movStoreImm32(d, value);
  }

  override movExtend(kind: 'zx8' | 'sx8' | 'zx16' | 'sx16' | 'sx32', d: number, s: RM): void {
    const from = Number(kind.slice(2)) / 8;
    const name = kind === 'sx32' ? 'movsxd' : kind.startsWith('zx') ? 'movzx' : 'movsx';
    this.note(`${name} ${general(d, kind === 'sx32' ? 8 : 4)}, ${this.operand(s, from)}`);
    super.movExtend(kind, d, s);
  }

  override prefetch(s: Mem, write: boolean): void {
    this.note(`prefetch${write ? 'w' : 't0'} ${this.memory(s, 1)}`);
    super.prefetch(s, write);
  }

  override lea(d: number, s: Mem): void {
    this.note(`lea ${R64[d]}, ${this.memory(s, 0)}`);
    super.lea(d, s);
  }

  override alu(op: AluOp, wide: boolean, d: number, s: RM): void {
    const bytes = wide ? 8 : 4;
    this.note(`${op} ${general(d, bytes)}, ${this.operand(s, bytes)}`);
    super.alu(op, wide, d, s);
  }

  override aluImm(op: AluOp, wide: boolean, d: RM, value: number): void {
    this.note(`${op} ${this.operand(d, wide ? 8 : 4)}, ${value}`);
    super.aluImm(op, wide, d, value);
  }

  override test(wide: boolean, a: number, b: number): void {
    const bytes = wide ? 8 : 4;
    this.note(`test ${general(a, bytes)}, ${general(b, bytes)}`);
    super.test(wide, a, b);
  }

  override imul(wide: boolean, d: number, s: RM): void {
    const bytes = wide ? 8 : 4;
    this.note(`imul ${general(d, bytes)}, ${this.operand(s, bytes)}`);
    super.imul(wide, d, s);
  }

  override imulImm(wide: boolean, d: number, s: RM, value: number): void {
    const bytes = wide ? 8 : 4;
    this.note(`imul ${general(d, bytes)}, ${this.operand(s, bytes)}, ${value}`);
    super.imulImm(wide, d, s, value);
  }

  override group3(op: 'not' | 'neg' | 'mul' | 'div' | 'idiv', wide: boolean, rm: RM): void {
    this.note(`${op} ${this.operand(rm, wide ? 8 : 4)}`);
    super.group3(op, wide, rm);
  }

  override cdq(wide: boolean): void {
    this.note(wide ? 'cqo' : 'cdq');
    super.cdq(wide);
  }

  override shiftCl(op: keyof typeof SHIFT, wide: boolean, d: number): void {
    this.note(`${op} ${general(d, wide ? 8 : 4)}, cl`);
    super.shiftCl(op, wide, d);
  }

  override shiftImm(op: keyof typeof SHIFT, wide: boolean, d: number, count: number): void {
    this.note(`${op} ${general(d, wide ? 8 : 4)}, ${count}`);
    super.shiftImm(op, wide, d, count);
  }

  override lzcnt(wide: boolean, d: number, s: RM): void {
    const bytes = wide ? 8 : 4;
    this.note(`lzcnt ${general(d, bytes)}, ${this.operand(s, bytes)}`);
    super.lzcnt(wide, d, s);
  }

  override setcc(condition: Condition, d: number): void {
    this.note(`set${condition} ${R8[d]}`);
    super.setcc(condition, d);
  }

  override cmov(condition: Condition, wide: boolean, d: number, s: RM): void {
    const bytes = wide ? 8 : 4;
    this.note(`cmov${condition} ${general(d, bytes)}, ${this.operand(s, bytes)}`);
    super.cmov(condition, wide, d, s);
  }

  override push(r: number): void {
    this.note(`push ${R64[r]}`);
    super.push(r);
  }

  override pop(r: number): void {
    this.note(`pop ${R64[r]}`);
    super.pop(r);
  }

  override plain(op: Parameters<Assembler['plain']>[0]): void {
    this.note(op);
    super.plain(op);
  }

  override locked(op: 'xadd' | 'cmpxchg', d: Mem, s: number): void {
    this.note(`lock ${op} ${this.memory(d, 4)}, ${R32[s]}`);
    super.locked(op, d, s);
  }

  override callRegister(r: number): void {
    this.note(`call ${R64[r]}`);
    super.callRegister(r);
  }

  override jumpRegister(r: number): void {
    this.note(`jmp ${R64[r]}`);
    super.jumpRegister(r);
  }

  override jump(target: Label, condition?: Condition): void {
    this.note(() => `j${condition ?? 'mp'} ${this.nameOf(target)}`);
    super.jump(target, condition);
  }

  override call(target: Label): void {
    this.note(() => `call ${this.nameOf(target)}`);
    super.call(target);
  }

  override vector(op: VectorOp, l: number, d: number, v: number, s: RM, options: VectorOptions = {}): void {
    const { tuple, w } = vectorForm(op);
    const scalar = { s1: 1, s2: 2, s4: 4, s8: 8 }[tuple as 's1'];
    const bytes = scalar ?? { full: 16, half: 8, quarter: 4, eighth: 2 }[tuple as 'full'] * 2 ** l;
    const maskText = options.k ? `{k${options.k}}${options.zero ? '{z}' : ''}` : '';
    const source = (narrow: number): string => {
      if (typeof s !== 'number') {
        return options.broadcast ? `${w ? 'qword' : 'dword'} bcst ${this.memory(s, 0)}` : this.memory(s, bytes);
      }
      if (/_r$/.test(op) || /^vmov[dq](_st)?$/.test(op)) return general(s, /q(_|$)/.test(op) ? 8 : 4);
      if (/^vpmovm2/.test(op)) return `k${s}`;
      return vectorName(/broadcast/.test(op) ? 0 : l - narrow, s);
    };
    const isMask = /^v(pcmp|cmp)/.test(op);
    const result = isMask ? `k${d}` : vectorName(NARROW_RESULT.test(op) ? l - 1 : l, d);
    const imm = options.imm === undefined ? [] : [String(options.imm)];
    const name = op.replace(/_(st|i|r)$/, '');
    const written = find(WRITES_S, op);
    const operands =
      written !== null
        ? [source(written) + maskText, result, ...imm]
        : [
            result + maskText,
            ...(op.endsWith('_i') || ONE_SOURCE.test(op) ? [] : [vectorName(l, v)]),
            source(find(NARROW_SOURCE, op) ?? 0),
            ...imm,
          ];
    this.note(`${name} ${operands.join(', ')}`);
    super.vector(op, l, d, v, s, options);
  }

  override gather(
    l: number,
    d: number,
    at: { readonly base: number; readonly vector: number; readonly scale: 1 | 2 | 4 | 8 },
    k: number,
  ): void {
    this.note(`vpgatherdd ${vectorName(l, d)}{k${k}}, [${R64[at.base]}+${vectorName(l, at.vector)}*${at.scale}]`);
    super.gather(l, d, at, k);
  }

  override vex(op: VexOp, l: number, d: number, v: number, s: RM, imm?: number): void {
    const bytes = /^(vmovss|vbroadcastss|vpbroadcastd|vmovd|vcvtsi2s[sd]_d)/.test(op)
      ? 4
      : /^(vmovsd|vpbroadcastq|vmovq|vcvtsi2s|vcvttsd2si)/.test(op)
        ? 8
        : (16 << l) >> (find(NARROW_SOURCE, op) ?? find(WRITES_S, op) ?? 0);
    const generalSource = /^(vmov[dq](_st)?|vcvtsi2s[sd](_d)?)$/.test(op);
    const source = (narrow: number): string => {
      if (typeof s !== 'number') return this.memory(s, bytes);
      if (generalSource) return general(s, bytes);
      return vectorName(/broadcast|vcvttsd2si/.test(op) ? 0 : l - narrow, s);
    };
    const result =
      op === 'vmovmskps' ? R32[d]! : op === 'vcvttsd2si' ? R64[d]! : vectorName(NARROW_RESULT.test(op) ? l - 1 : l, d);
    const named = /^vblendv/.test(op);
    const tail = imm === undefined ? [] : [named ? vectorName(l, imm >> 4) : String(imm)];
    const written = find(WRITES_S, op);
    const one = op.endsWith('_i') || ONE_SOURCE.test(op);
    const operands =
      written !== null
        ? [source(written), result, ...tail]
        : [result, ...(one ? [] : [vectorName(l, v)]), source(find(NARROW_SOURCE, op) ?? 0), ...tail];
    this.note(`${op.replace(/_(st|i|d)$/, '')} ${operands.join(', ')}`);
    super.vex(op, l, d, v, s, imm);
  }

  override tile(op: TileOp, d: number, s: RM = 0, v = 0): void {
    const text =
      op === 'tilezero'
        ? `tmm${d}`
        : op === 'tilestored'
          ? `${this.memory(s as Mem, 0)}, tmm${d}`
          : op === 'tileloadd'
            ? `tmm${d}, ${this.memory(s as Mem, 0)}`
            : `tmm${d}, tmm${s as number}, tmm${v}`;
    this.note(`${op} ${text}`);
    super.tile(op, d, s, v);
  }

  override loadTileConfig(s: Mem): void {
    this.note(`ldtilecfg ${this.memory(s, 0)}`);
    super.loadTileConfig(s);
  }

  override mask(op: MaskOp, d: number, v: number, s: RM): void {
    const name = op.replace(/_.*$/, '');
    const text =
      op === 'kmovw_st'
        ? `${this.memory(s as Mem, 2)}, k${d}`
        : op === 'kmovw_kr'
          ? `k${d}, ${R32[s as number]}`
          : op === 'kmovw_rk'
            ? `${R32[d]}, k${s as number}`
            : op === 'kmovw' || op === 'knotw'
              ? `k${d}, ${typeof s === 'number' ? `k${s}` : this.memory(s, 2)}`
              : `k${d}, k${v}, k${s as number}`;
    this.note(`${name} ${text}`);
    super.mask(op, d, v, s);
  }
}
