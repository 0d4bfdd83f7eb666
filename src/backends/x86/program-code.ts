/**
 * A whole LoopProgram as machine code: every distinct kernel once, a barrier, the error record, and `run(args, thread,
 * threads)`, which every thread calls. Knows where control words are, not who the threads are.
 */
import type { LoopKernel } from '../../compiler/loops.ts';
import { ArgsLayout } from './args-layout.ts';
import { Assembler } from './assembler/assembler.ts';
import { type Label, type Mem, mem, R } from './assembler/operands.ts';
import { CONTROL } from './control.ts';
import { emitKernel, PRESERVED } from './emit.ts';
import type { Isa } from './isa.ts';
import { PAGE } from './memory/native.ts';

/** The steps of a program as they come: `next` makes one more, while there are fewer than `count`. */
export interface StepSource {
  readonly kernels: readonly Step[];
  readonly count: number;
  next(): void;
}

/** A kernel and how it stands among the others of its program. */
export interface Step {
  readonly kernel: LoopKernel;
  readonly barrierBefore: boolean;
  readonly commits: boolean;
}

export interface ProgramCode extends ProgramEntries {
  readonly bytes: Uint8Array;
}

/** Where things are in the code of a program. */
export interface ProgramEntries {
  /** Byte offsets of `run`, of the preparations before it (null: there are none), and of each step's kernel alone. */
  readonly run: number;
  readonly prepare: number | null;
  readonly steps: readonly number[];
  /** Where the 64-bit address of the control words stands in the bytes. */
  readonly control: number;
  /** Estimated work, see sequence.ts. */
  readonly work: number;
}

/** Looks at a barrier before a thread sleeps: some 20 microseconds. */
const SPINS = 4000;

/** Sleeps while the word at rcx + offset is `edx`, or wakes all who sleep there. Keeps all but rax. */
export function futex(asm: Assembler, offset: number, wait: boolean): void {
  asm.push(R.rdi);
  asm.lea(R.rdi, mem(R.rcx, offset));
  asm.mov(true, R.rax, mem(R.rcx, wait ? CONTROL.wait : CONTROL.wake));
  asm.callRegister(R.rax);
  asm.pop(R.rdi);
}

/** Atomic [rcx + offset] += by; the old value comes in eax. */
export function fetchAdd(asm: Assembler, offset: number, by: number): void {
  asm.movImm(R.rax, BigInt.asUintN(32, BigInt(by)));
  asm.locked('xadd', mem(R.rcx, offset), R.rax);
}

/**
 * The last to arrive opens the barrier. The others look for a while, then sleep on the word that counts openings. A
 * sleeper announces itself before it sleeps, and sleeps only if the count has not moved, so it cannot be missed.
 */
function barrierFunction(asm: Assembler, control: Mem): Label {
  const entry = asm.label();
  const [alone, wait, look, sleep, awake, out] = Array.from({ length: 6 }, () => asm.label());
  const snapshot = (): void => {
    asm.mov(false, R.rax, mem(R.rcx, CONTROL.failed));
    asm.movStore(4, mem(R.rcx, CONTROL.failedAtBarrier), R.rax);
  };
  asm.comment('barrier');
  asm.bind(entry);
  asm.mov(true, R.rcx, control);
  asm.aluImm('cmp', false, mem(R.rcx, CONTROL.threads), 1);
  asm.jump(alone!, 'e');
  asm.mov(false, R.rdx, mem(R.rcx, CONTROL.opened));
  fetchAdd(asm, CONTROL.arrived, 1);
  asm.aluImm('add', false, R.rax, 1);
  asm.alu('cmp', false, R.rax, mem(R.rcx, CONTROL.threads));
  asm.jump(wait!, 'ne');
  asm.movStoreImm32(mem(R.rcx, CONTROL.arrived), 0);
  snapshot();
  fetchAdd(asm, CONTROL.opened, 1);
  asm.aluImm('cmp', false, mem(R.rcx, CONTROL.sleepers), 0);
  asm.jump(out!, 'e');
  futex(asm, CONTROL.opened, false);
  asm.plain('ret');
  asm.bind(alone!);
  snapshot();
  asm.plain('ret');
  asm.bind(wait!);
  asm.movImm(R.rax, BigInt(SPINS));
  asm.bind(look!);
  asm.alu('cmp', false, R.rdx, mem(R.rcx, CONTROL.opened));
  asm.jump(out!, 'ne');
  asm.plain('pause');
  asm.aluImm('sub', false, R.rax, 1);
  asm.jump(look!, 'ne');
  fetchAdd(asm, CONTROL.sleepers, 1);
  asm.bind(sleep!);
  asm.alu('cmp', false, R.rdx, mem(R.rcx, CONTROL.opened));
  asm.jump(awake!, 'ne');
  futex(asm, CONTROL.opened, true);
  asm.jump(sleep!);
  asm.bind(awake!);
  fetchAdd(asm, CONTROL.sleepers, -1);
  asm.bind(out!);
  asm.plain('ret');
  return entry;
}

/** The first failure of a run keeps the record. Site in eax, value in rdx. */
function failFunction(asm: Assembler, control: Mem): Label {
  const entry = asm.label();
  const late = asm.label();
  asm.comment('fail');
  asm.bind(entry);
  asm.mov(true, R.rcx, control);
  asm.push(R.rdi);
  asm.mov(false, R.rdi, R.rax);
  asm.push(R.rdx);
  asm.movImm(R.rdx, 1n);
  asm.alu('xor', false, R.rax, R.rax);
  asm.locked('cmpxchg', mem(R.rcx, CONTROL.failed), R.rdx);
  asm.pop(R.rdx);
  asm.jump(late, 'ne');
  asm.movStore(4, mem(R.rcx, CONTROL.failSite), R.rdi);
  asm.movStore(8, mem(R.rcx, CONTROL.failValue), R.rdx);
  asm.bind(late);
  asm.pop(R.rdi);
  asm.plain('ret');
  return entry;
}

/** One kernel that neither fails nor waits as a function of (args, thread, threads). */
export function emitAlone(kernel: LoopKernel, isa: Isa, asm: Assembler = new Assembler()): Uint8Array {
  const body = asm.label();
  const none = asm.label();
  asm.call(body);
  asm.plain('vzeroupper');
  asm.plain('ret');
  // Nobody calls it.
  asm.bind(none);
  asm.plain('ret');
  asm.comment(`kernel ${kernel.name}`);
  asm.bind(body);
  const { fails } = emitKernel(kernel, asm, { barrier: none, fail: none }, isa);
  if (fails) throw new Error(`internal: kernel ${kernel.name} may fail`);
  return asm.finish();
}

/** From so many bytes on a segment of a program's code ends, after the kernel that is being written. */
export const SEGMENT_BYTES = 1 << 14;
/**
 * The first is so many times shorter, as nothing is computed before it is there; each may have twice the bytes of the
 * one before.
 */
const FIRST_SEGMENT = 8;

interface EmittedKernel {
  readonly label: Label;
  readonly fails: boolean;
  readonly work: number;
}

/**
 * Writes a program, segment by segment: in each some kernels, which only need what stands before them, so that a first
 * run may begin on them while later ones are still being written. The first `preparations` steps are a function of
 * their own. Where segments end depends on the program alone.
 */
export class ProgramEmitter {
  private readonly source: StepSource;
  private readonly preparations: number;
  private readonly isa: Isa;
  private readonly asm: Assembler;
  /** The only address in the code: kept code is told the control words of the process that it runs in. */
  private readonly words: { readonly label: Label };
  private readonly runtime: { readonly barrier: Label; readonly fail: Label };
  private readonly kernels = new Map<LoopKernel['body'], EmittedKernel>();
  private readonly segmentBytes: number;
  /** From where on this segment ends. */
  private enough: number;
  private done = 0;

  constructor(
    source: StepSource,
    control: number,
    isa: Isa,
    asm: Assembler = new Assembler(),
    preparations = 0,
    segmentBytes = SEGMENT_BYTES,
  ) {
    this.source = source;
    this.preparations = preparations;
    this.isa = isa;
    this.asm = asm;
    this.segmentBytes = segmentBytes;
    this.enough = segmentBytes / FIRST_SEGMENT;
    this.words = asm.word64(BigInt(control));
    this.runtime = { barrier: barrierFunction(asm, this.words), fail: failFunction(asm, this.words) };
  }

  /** All steps. */
  get count(): number {
    return this.source.count;
  }

  /** Steps whose kernels stand in segments that have ended. */
  get ready(): number {
    return this.done;
  }

  /** Writes the next segment; false once the rest fits into the last one, which `finish` writes. */
  advance(): boolean {
    const { source, asm, kernels } = this;
    let at = this.done;
    for (; at < source.count; at++) {
      if (at === source.kernels.length) source.next();
      const { kernel } = source.kernels[at]!;
      if (kernels.has(kernel.body)) continue;
      if (at > this.done && asm.segmentLength() >= this.enough) {
        asm.cut(PAGE);
        this.enough = Math.min(2 * this.enough, this.segmentBytes);
        this.done = at;
        return true;
      }
      const label = asm.label();
      asm.comment(`kernel ${kernel.name}`);
      asm.bind(label);
      const { fails, work } = emitKernel(kernel, asm, this.runtime, this.isa);
      kernels.set(kernel.body, { label, fails, work });
    }
    this.done = at;
    return false;
  }

  /** The segments that have ended: each is on pages of its own. */
  get segments(): ReturnType<Assembler['ended']> {
    return this.asm.ended();
  }

  /** Where the kernel of a step begins that is ready, and whether it is left out after a failure. */
  stepAt(step: number): { readonly kernel: number; readonly commits: boolean } {
    const { kernel, commits } = this.source.kernels[step]!;
    return { kernel: this.kernels.get(kernel.body)!.label.at, commits };
  }

  /** Writes what is left. */
  finish(): ProgramCode {
    const { preparations, asm, kernels } = this;
    while (this.advance());
    const steps = this.source.kernels;
    const layout = new ArgsLayout();
    layout.extend(steps);
    const prepare = preparations > 0 ? this.sequence('prepare', layout, 0, preparations) : null;
    const run = this.sequence('run', layout, preparations, steps.length);
    const bytes = asm.finish();
    const emitted = steps.map(step => kernels.get(step.kernel.body)!);
    return {
      bytes,
      run: run.at,
      prepare: prepare === null ? null : prepare.at,
      steps: emitted.map(({ label }) => label.at),
      control: this.words.label.at,
      work: emitted.slice(preparations).reduce((sum, { work }) => sum + work, 0),
    };
  }

  /** Writes a function that runs steps one after another. */
  private sequence(name: string, { offsets }: ArgsLayout, from: number, until: number): Label {
    const { kernels, asm } = this;
    const steps = this.source.kernels;
    const emitted = (step: number): EmittedKernel => kernels.get(steps[step]!.kernel.body)!;
    asm.comment(name);
    const entry = asm.label();
    asm.bind(entry);
    for (const r of PRESERVED) asm.push(r);
    asm.mov(true, R.rbx, R.rdi);
    asm.mov(false, R.r12, R.rsi);
    asm.mov(false, R.r13, R.rdx);
    // Threads agree on whether something failed only through a barrier: one must stand between a failing kernel and a
    // commit. Sequences end with one, also the preparations, which may fail in front of a run that would not.
    let failures = false;
    for (let k = 0; k < from; k++) failures ||= emitted(k).fails;
    let undecided = false;
    const barrier = (): void => {
      asm.call(this.runtime.barrier);
      undecided = false;
    };
    for (let k = from; k < until; k++) {
      const step = steps[k]!;
      const { label, fails } = emitted(k);
      if (step.barrierBefore || (step.commits && undecided)) barrier();
      const skip = asm.label();
      if (step.commits && failures) {
        asm.mov(true, R.rcx, this.words);
        asm.aluImm('cmp', false, mem(R.rcx, CONTROL.failedAtBarrier), 0);
        asm.jump(skip, 'ne');
      }
      asm.lea(R.rdi, mem(R.rbx, offsets[k]!));
      asm.mov(false, R.rsi, R.r12);
      asm.mov(false, R.rdx, R.r13);
      asm.call(label);
      asm.bind(skip);
      if (fails) {
        failures = true;
        undecided = true;
      }
    }
    barrier();
    asm.plain('vzeroupper');
    for (const r of PRESERVED.toReversed()) asm.pop(r);
    asm.plain('ret');
    return entry;
  }
}

/**
 * The code of a program whose control words are at address `control`; the first `preparations` steps are a function of
 * their own.
 */
export const emitProgram = (
  steps: readonly Step[],
  control: number,
  isa: Isa,
  asm: Assembler = new Assembler(),
  preparations = 0,
): ProgramCode => new ProgramEmitter(allOf(steps), control, isa, asm, preparations).finish();

const allOf = (kernels: readonly Step[]): StepSource => ({ kernels, count: kernels.length, next: () => {} });
