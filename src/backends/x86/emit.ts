/**
 * One loop-IR kernel as one function of (args, thread, threads), where `args` addresses a table with the byte address
 * of each kernel buffer. This file has the control flow; emit-*.ts the values.
 */
import type { Inst, LoopKernel, Reg } from '../../compiler/loops.ts';
import type { Nested } from '../../compiler/usage.ts';
import { classOf } from './allocate.ts';
import type { Assembler } from './assembler/assembler.ts';
import { type Condition, type Label, mem, R } from './assembler/operands.ts';
import { vectorInstruction } from './avx2/index.ts';
import { loadSplat as avx2LoadSplat } from './avx2/memory.ts';
import { binary, compare, multiplyAdd, select, unary } from './emit-arithmetic.ts';
import { flagsOf } from './emit-general.ts';
import { anyTrue, bitcast, convert, extract, insert, reduce, shuffle, splat } from './emit-lanes.ts';
import { address, advance, apart, gather, iota, load, loadSplat, store } from './emit-memory.ts';
import { configureTiles, dot, tileSums, tiles } from './emit-tiles.ts';
import { ARGS, bitsOf, FRAME, Frame, G0, G1, G2, isWide, K0, lengthOf, vectorsOf } from './frame.ts';
import { hoistConstants } from './hoist.ts';
import type { Isa } from './isa.ts';
import { foldMoves } from './peephole.ts';
import { BEGIN, GONE, Sequence } from './sequence.ts';
import { takeTurns } from './turns.ts';

/** Functions of the runtime that kernels call; they keep every register but rax, rcx and rdx. */
interface Runtime {
  readonly barrier: Label;
  /** Site in eax, value in rdx. */
  readonly fail: Label;
}

/** What the System V convention wants preserved. */
export const PRESERVED = [R.rbx, R.rbp, R.r12, R.r13, R.r14, R.r15] as const;

/** What callers want to know of a kernel that was written. */
interface Emitted {
  /** Whether it may write the error record. */
  readonly fails: boolean;
  /** Estimated work, see sequence.ts. */
  readonly work: number;
}

/** Writes the kernel at the end of the assembler's code; tells what it does. */
export function emitKernel(kernel: LoopKernel, asm: Assembler, runtime: Runtime, isa: Isa): Emitted {
  const registers = vectorsOf(isa);
  const inTurns = isa === 'avx512' ? takeTurns(kernel.body, registers) : kernel.body;
  const { body, held } = hoistConstants(inTurns, registers);
  const sequence = new Sequence(body);
  foldMoves(sequence);
  new KernelEmitter(new Frame(kernel, sequence, held, asm, isa), runtime).run();
  return sequence;
}

class KernelEmitter {
  private readonly f: Frame;
  private readonly asm: Assembler;
  private readonly runtime: Runtime;

  constructor(frame: Frame, runtime: Runtime) {
    this.f = frame;
    this.asm = frame.asm;
    this.runtime = runtime;
  }

  run(): void {
    const { asm, f } = this;
    const { tiles, streams, kinds } = f.sequence;
    for (const r of PRESERVED) asm.push(r);
    asm.mov(true, G0, R.rsp);
    asm.aluImm('sub', true, R.rsp, Math.ceil(f.frameBytes / 64) * 64);
    asm.aluImm('and', true, R.rsp, -64);
    asm.movStore(8, mem(R.rsp, FRAME.savedStack), G0);
    asm.mov(true, ARGS, R.rdi);
    asm.movStore(4, mem(R.rsp, FRAME.thread), R.rsi);
    asm.movStore(4, mem(R.rsp, FRAME.threads), R.rdx);
    if (tiles) configureTiles(asm);
    this.between(-1, kinds.length);
    if (streams) asm.plain('sfence');
    if (tiles) asm.plain('tilerelease');
    asm.mov(true, R.rsp, mem(R.rsp, FRAME.savedStack));
    for (const r of PRESERVED.toReversed()) asm.pop(r);
    asm.plain('ret');
  }

  /** The block behind place `at`; returns the place where it is over. */
  private block(at: number): number {
    const over = this.f.sequence.over.get(at)!;
    this.between(at, over);
    return over;
  }

  /** What stands between two places. */
  private between(before: number, until: number): void {
    const { f } = this;
    const { kinds, insts, uses } = f.sequence;
    const { taken } = f.folding;
    for (let at = before + 1; at < until; at++) {
      const kind = kinds[at]!;
      const inst = insts[at]!;
      if (kind === BEGIN) {
        at = this.control(inst as Nested, at);
        continue;
      }
      if (kind === GONE) continue;
      // Nothing reads it, or its reader takes it in.
      if (kind >= 0 && (uses[kind] === 0 || taken[kind] === 1)) continue;
      if (inst.op === 'load') {
        const behind = f.sequence.behind(at);
        const next = insts[behind];
        // A loaded element that is only spread out is one instruction.
        if (next?.op === 'splat' && isSpread(f, inst, next)) {
          (f.vex ? avx2LoadSplat : loadSplat)(f, next.d, inst.p, inst.offset);
          at = behind;
          continue;
        }
      }
      this.instruction(inst);
    }
  }

  private instruction(inst: Inst): void {
    const { asm, f } = this;
    const value = VALUES[inst.op as Value] as ((f: Frame, inst: Inst) => void) | undefined;
    if (value) {
      if (!f.vex || !vectorInstruction(f, inst)) value(f, inst);
      return;
    }
    if (inst.op === 'barrier') asm.call(this.runtime.barrier);
    else if (inst.op === 'fail') {
      const value = f.g(inst.value, G2);
      if (inst.value.type.scalar === 'i64') asm.mov(true, G2, value);
      else asm.movExtend('sx32', G2, value);
      asm.movImm(G0, BigInt(inst.site));
      asm.call(this.runtime.fail);
    }
  }

  /** An instruction with blocks that begins at `at`; returns the place of its end. */
  private control(inst: Nested, at: number): number {
    switch (inst.op) {
      case 'for':
        return this.forLoop(inst, at);
      case 'parallel':
        return this.parallel(inst, at);
      case 'while':
        return this.whileLoop(inst, at);
      case 'if':
        return this.choice(inst, at);
      case 'once':
        return this.once(at);
    }
  }

  private once(at: number): number {
    const { asm } = this;
    const end = asm.label();
    asm.aluImm('cmp', false, mem(R.rsp, FRAME.thread), 0);
    asm.jump(end, 'ne');
    const over = this.block(at);
    asm.bind(end);
    return over;
  }

  /** Jumps where the scalar mask is 0. */
  private unless(m: Reg, target: Label): void {
    const comparison = this.f.folding.comparison(m);
    if (comparison) {
      this.asm.jump(target, OPPOSITE[flagsOf(this.f, comparison)]!);
      return;
    }
    const at = this.f.g(m, G0);
    this.asm.test(false, at, at);
    this.asm.jump(target, 'e');
  }

  private whileLoop(inst: Extract<Inst, { op: 'while' }>, at: number): number {
    const { asm } = this;
    const top = asm.label();
    const end = asm.label();
    asm.bind(top);
    const body = this.block(at);
    this.unless(inst.m, end);
    const over = this.block(body);
    asm.jump(top);
    asm.bind(end);
    return over;
  }

  private choice(inst: Extract<Inst, { op: 'if' }>, at: number): number {
    const { asm } = this;
    const otherwise = asm.label();
    this.unless(inst.m, otherwise);
    const next = this.block(at);
    if (inst.otherwise.length === 0) {
      asm.bind(otherwise);
      return this.block(next);
    }
    const end = asm.label();
    asm.jump(end);
    asm.bind(otherwise);
    const over = this.block(next);
    asm.bind(end);
    return over;
  }

  private compareCounter(i: Reg, hi: Reg | number): void {
    const { asm, f } = this;
    const at = f.g(i, G0);
    const end = typeof hi === 'number' ? hi : f.immediate(hi);
    if (end !== null) asm.aluImm('cmp', false, at, end);
    else asm.alu('cmp', false, at, f.g(hi as Reg, G1));
  }

  private step(i: Reg, by: number): void {
    const { asm, f } = this;
    const at = f.gInto(i);
    f.gCopy(i, at);
    asm.aluImm('add', false, at, by);
    f.gDone(i, at);
  }

  private forLoop(inst: Extract<Inst, { op: 'for' }>, at: number): number {
    const { asm, f } = this;
    const { i, lo, hi, step } = inst;
    const from = typeof lo === 'number' ? lo : f.immediate(lo);
    const to = typeof hi === 'number' ? hi : f.immediate(hi);
    if (from !== null && to !== null && from >= to) return f.sequence.over.get(at)!;
    const end = asm.label();
    if (from !== null) {
      asm.movImm(G0, BigInt.asUintN(32, BigInt(from)));
      f.gDone(i, G0);
    } else f.gDone(i, f.g(lo as Reg, G0));
    if (from === null || to === null) {
      this.compareCounter(i, hi);
      asm.jump(end, 'ge');
    }
    const once = from !== null && to !== null && from + step >= to;
    const top = asm.label();
    asm.bind(top);
    const over = this.block(at);
    if (!once) {
      this.step(i, step);
      this.compareCounter(i, hi);
      asm.jump(top, 'l');
    }
    asm.bind(end);
    return over;
  }

  /** Iterations floor(extent * thread / threads) up to floor(extent * (thread + 1) / threads). */
  private parallel(inst: Extract<Inst, { op: 'parallel' }>, at: number): number {
    const { asm, f } = this;
    const { i, extent } = inst;
    const endSlot = mem(R.rsp, FRAME.parallelEnd);
    const bound = (next: boolean): void => {
      asm.mov(false, G0, mem(R.rsp, FRAME.thread));
      if (next) asm.aluImm('add', false, G0, 1);
      if (typeof extent === 'number') asm.imulImm(true, G0, G0, extent);
      else asm.imul(true, G0, f.g(extent, G1));
      asm.mov(false, G1, mem(R.rsp, FRAME.threads));
      asm.alu('xor', false, G2, G2);
      asm.group3('div', true, G1);
    };
    bound(true);
    asm.movStore(4, endSlot, G0);
    bound(false);
    f.gDone(i, G0);
    const end = asm.label();
    const top = asm.label();
    asm.alu('cmp', false, f.g(i, G0), endSlot);
    asm.jump(end, 'ge');
    asm.bind(top);
    const over = this.block(at);
    this.step(i, 1);
    asm.alu('cmp', false, f.g(i, G0), endSlot);
    asm.jump(top, 'l');
    asm.bind(end);
    return over;
  }
}

/** Whether a loaded element is read by nobody but the instruction behind it, which spreads it over all lanes. */
function isSpread(f: Frame, load: Extract<Inst, { op: 'load' }>, next: Extract<Inst, { op: 'splat' }>): boolean {
  const { uses, definition } = f.sequence;
  const { d } = load;
  return (
    !load.m &&
    next.a === d &&
    uses[d.id] === 1 &&
    definition[d.id] === load &&
    load.mem === next.d.type.scalar &&
    next.d.type.lanes > 1
  );
}

/** Of the conditions that comparisons set. */
const OPPOSITE: { readonly [c in Condition]?: Condition } = {
  b: 'ae', ae: 'b', e: 'ne', ne: 'e', be: 'a', a: 'be', l: 'ge', ge: 'l', le: 'g', g: 'le',
}; // biome-ignore format: a table

const unsignedBits = (d: Reg, value: number | bigint): bigint =>
  isWide(d.type) ? bitsOf(d.type, value) : BigInt.asUintN(32, bitsOf(d.type, value));

type Control = 'for' | 'parallel' | 'while' | 'if' | 'once' | 'barrier' | 'fail';
type Value = Exclude<Inst['op'], Control>;

/** Instructions that stand for themselves. */
const VALUES: {
  readonly [O in Value]: (f: Frame, inst: Extract<Inst, { op: O }>) => void;
} = {
  const: (f, { d, value }) => constant(f, d, value),
  move,
  un: (f, { fn, d, a }) => unary(f, fn, d, a),
  bin: (f, { fn, d, a, b }) => binary(f, fn, d, a, b),
  cmp: (f, { fn, d, a, b }) => compare(f, fn, d, a, b),
  fma: (f, { d, a, b, c }) => multiplyAdd(f, d, a, b, c),
  dot,
  tiles,
  tileSums,
  select: (f, { d, m, a, b }) => select(f, d, m, a, b),
  cvt: (f, { d, a }) => convert(f, d, a),
  bitcast: (f, { d, a }) => bitcast(f, d, a),
  splat: (f, { d, a }) => splat(f, d, a),
  extract: (f, { d, a, lane }) => extract(f, d, a, lane),
  insert: (f, { d, a, lane, s }) => insert(f, d, a, lane, s),
  shuffle: (f, { d, a, b, lanes }) => shuffle(f, d, a, b, lanes),
  reduce: (f, { fn, d, a }) => reduce(f, fn, d, a),
  anyTrue: (f, { d, a }) => anyTrue(f, d, a),
  addr: address,
  advance,
  prefetch: (f, { p, offset, write }) => f.asm.prefetch(f.address(p, offset), write),
  gather,
  follow: (f, { d, p, offset }) => {
    const into = f.gInto(d);
    f.asm.mov(true, into, f.address(p, offset));
    f.gDone(d, into);
  },
  apart,
  count: (f, { d, buf }) => {
    const into = f.gInto(d);
    f.asm.mov(false, into, mem(ARGS, buf * 8));
    f.gDone(d, into);
  },
  iota: (f, { d, step }) => iota(f, d, step),
  load,
  store,
  thread: (f, { d }) => ofRun(f, d, FRAME.thread),
  threads: (f, { d }) => ofRun(f, d, FRAME.threads),
};

function constant(f: Frame, d: Reg, value: number | bigint): void {
  const kind = classOf(d.type);
  if (kind === 'general') {
    // With one write it is a literal and has no place.
    if (f.literal(d) !== null) return;
    f.asm.movImm(G0, d.type.scalar === 'mask' ? BigInt(Number(value) !== 0) : unsignedBits(d, value));
    f.gDone(d, G0);
  } else if (kind === 'mask') {
    f.asm.mask(Number(value) === 0 ? 'kxorw' : 'kxnorw', K0, K0, K0);
    f.kDone(d, K0);
  } else {
    const into = f.vInto(d);
    f.splatBits(into, lengthOf(d.type), isWide(d.type), bitsOf(d.type, value));
    f.vDone(d, into);
  }
}

function move(f: Frame, { d, a }: Extract<Inst, { op: 'move' }>): void {
  const kind = classOf(d.type);
  if (kind === 'general') f.gDone(d, f.g(a, G0));
  else if (kind === 'vector') f.vDone(d, f.v(a));
  else f.kDone(d, f.k(a, K0));
}

/** What the caller said of this run, in the frame. */
function ofRun(f: Frame, d: Reg, at: number): void {
  f.asm.mov(false, G0, mem(R.rsp, at));
  f.gDone(d, G0);
}
