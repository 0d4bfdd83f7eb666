/**
 * A loop program as machine code: what it runs on, run after run. Knows bindings and the program's outline, not its
 * loops.
 */

import { isProfiling, record, span } from '../../compiler/profile.ts';
import {
  type Binding,
  type ComingProgram,
  type Executable,
  type GraphProgram,
  type KernelOutline,
  MachineRefusal,
  outlineOf,
  type ProgramOutline,
} from '../../compiler/program.ts';
import { ThreadChoice } from '../../compiler/thread-choice.ts';
import { bytesOf, type HostArray } from '../../graph/dtype.ts';
import { failureText } from '../../graph/failure.ts';
import { Variable } from '../../graph/storage.ts';
import { clock } from '../../launch/clock.ts';
import { runCold } from '../../launch/engine.ts';
import { AddressTable } from './address-table.ts';
import { runWhileWritten } from './first-run.ts';
import type { TranslatedProgram } from './kept-code.ts';
import { LastSource } from './last-source.ts';
import type { Machine, NativeBuffer } from './machine.ts';
import type { CodePages } from './memory/native.ts';
import type { ProgramCode, ProgramEmitter, ProgramEntries } from './program-code.ts';

/** All of a program's code in memory. */
interface PlacedCode {
  readonly isPlaced: true;
  readonly pages: CodePages;
  /** Where the whole program starts, but for its preparations. */
  readonly start: number;
  readonly entries: ProgramEntries;
  readonly choice: ThreadChoice;
  /**
   * Whether it is over before another thread would have woken, and nobody looks at its steps: then nobody need ask how
   * many threads it takes.
   */
  readonly isBrief: boolean;
  /** Whether it keeps memory from run to run. */
  readonly prepares: boolean;
}

/** The same program on another backend. */
export type Elsewhere = NonNullable<GraphProgram['elsewhere']>;

/**
 * Code of which some is still to be written, who wants to know when it is, and what to do where the system refuses it.
 */
interface CodeToCome {
  readonly isPlaced: false;
  readonly emitter: ProgramEmitter;
  readonly coming: ComingProgram;
  readonly written: (translated: TranslatedProgram) => void;
  readonly elsewhere: Elsewhere | undefined;
}

export class LoadedProgram implements Executable {
  private readonly machine: Machine;
  /** All that there is of it by now. */
  private program: ProgramOutline;
  private code: PlacedCode | CodeToCome;
  private readonly table: AddressTable;
  /** Whether an index can be out of range. */
  private readonly mayFail: boolean;
  private kept: NativeBuffer | null = null;
  /** What runs instead, where the system refused the code. */
  private moved: Executable | null = null;
  /** What the kept memory was made from, by leaf. */
  private readonly madeFrom: ({ readonly of: Binding; readonly version: number } | null)[];
  private readonly last = new LastSource();
  private freed = false;

  /** The workspace has `room` for what is still to come of the program, as far as one can say. */
  constructor(
    machine: Machine,
    program: ProgramOutline,
    room: number,
    code: ProgramCode | Omit<CodeToCome, 'isPlaced'>,
  ) {
    this.machine = machine;
    this.program = program;
    this.mayFail = program.failSites.length > 0;
    this.table = new AddressTable(machine, program, room);
    this.table.extend(program);
    this.madeFrom = program.leaves.map(() => null);
    this.code = 'emitter' in code ? { isPlaced: false, ...code } : this.put(code);
  }

  private put(code: ProgramCode): PlacedCode {
    const { machine, program } = this;
    const { bytes: _, ...entries } = code;
    const pages = span('x86: load', () => machine.loadCode(code));
    machine.native.releaseWith(this, pages);
    const choice = new ThreadChoice(entries.work + bytesOfAll(program) / BYTES_PER_INSTRUCTION);
    const isBrief = choice.brief && !machine.allThreads && !machine.guard;
    const prepares = program.preparations > 0;
    return { isPlaced: true, pages, start: pages.address + entries.run, entries, choice, isBrief, prepares };
  }

  /** All of the code: what is still to come of it is written now. */
  finishCode(): PlacedCode {
    const { code } = this;
    if (code.isPlaced) return code;
    const whole = span('x86: emit', () => code.emitter.finish());
    const outline = outlineOf(code.coming);
    this.program = outline;
    const placed = this.put(whole);
    this.table.extend(outline);
    this.code = placed;
    code.written({ outline, code: whole });
    return placed;
  }

  // What a small program costs is this function and what it calls, in code that V8 has not optimised yet: short
  // functions, of which those that a small program does not call stay out of V8's way (decisions 235 and 293).
  run(bindings: readonly Binding[], source = 0): HostArray[] {
    const { machine, code, table } = this;
    if (!code.isPlaced) return this.runFirst(bindings, source, code);
    if (machine.led) machine.settle();
    if (this.freed || this.mayFail) this.begin();
    const outputs = table.place(bindings, source);
    if (code.prepares && this.keptChanged(bindings, source)) this.prepare();
    if (code.isBrief && !isProfiling()) machine.pool.start(code.start, table.address, 1, 0);
    else this.runPlaced(code);
    if (this.mayFail) this.refuseFailed();
    return table.collect(bindings, outputs);
  }

  private runPlaced(code: PlacedCode): void {
    if (this.byStep) this.runSteps(this.program.preparations, this.program.kernels.length, this.threads(code));
    else if (this.machine.threads === 1) this.machine.pool.run(code.start, this.table.address, 1);
    else this.runTimed(code);
  }

  private runTimed(code: PlacedCode): void {
    const { start, choice } = code;
    const threads = this.threads(code);
    const begin = clock();
    this.machine.pool.run(start, this.table.address, threads);
    choice.took(threads, clock() - begin);
  }

  /** By itself, so that later runs make no closures. */
  private runFirst(bindings: readonly Binding[], source: number, code: CodeToCome): HostArray[] {
    if (this.moved) return this.moved.run(bindings, source);
    const { machine, program, table } = this;
    try {
      if (this.byStep) {
        this.finishCode();
        return this.run(bindings, source);
      }
      machine.settle();
      // Steps that write variables look at it, also where this program cannot fail: another's failure is not its own.
      machine.clearFailure();
      const outputs = this.place(bindings, source);
      const changed = program.preparations > 0 && this.keptChanged(bindings, source);
      const finish = (): number => this.finishCode().pages.address;
      runCold(() => runWhileWritten(machine, code, table, finish));
      if (changed) this.forgetFailed();
      return this.finish(bindings, outputs);
    } catch (error) {
      return this.movedBy(error, code).run(bindings, source);
    }
  }

  /** The program elsewhere from now on. @throws what came, where it is no refusal */
  private movedBy(error: unknown, { elsewhere }: CodeToCome): Executable {
    if (!(error instanceof MachineRefusal && elsewhere)) throw error;
    this.moved = elsewhere(error);
    return this.moved;
  }

  /** On a thread of the event loop's pool, but for programs that are over before it would have woken. */
  runAsync(bindings: readonly Binding[], source = 0): Promise<HostArray[]> {
    if (this.moved) return this.moved.runAsync(bindings, source);
    const before = this.code;
    if (!before.isPlaced)
      try {
        this.finishCode();
      } catch (error) {
        return this.movedBy(error, before).runAsync(bindings, source);
      }
    const code = this.finishCode();
    const waits = !code.choice.brief || this.machine.busy;
    if (!waits || this.byStep) return Promise.resolve().then(() => this.run(bindings, source));
    return new Promise((resolve, reject) => {
      let outputs: readonly (HostArray | null)[] = [];
      this.machine.submit({
        code: code.start,
        args: this.table.address,
        begin: () => {
          try {
            outputs = this.place(bindings, source);
            if (this.program.preparations > 0 && this.keptChanged(bindings, source)) this.prepare();
            return this.threads(code);
          } catch (error) {
            reject(error);
            return null;
          }
        },
        finish: () => {
          try {
            resolve(this.finish(bindings, outputs));
          } catch (error) {
            reject(error);
          }
        },
      });
    });
  }

  /** Whether somebody looks at every step. */
  get byStep(): boolean {
    return isProfiling() || this.machine.guard !== null;
  }

  private threads({ choice }: PlacedCode): number {
    const { machine } = this;
    return machine.allThreads ? machine.threads : choice.next(machine.threads);
  }

  private begin(): void {
    if (this.freed) throw new Error('internal: a program was run after it was freed');
    if (this.mayFail) this.machine.clearFailure();
  }

  private place(bindings: readonly Binding[], source: number): readonly (HostArray | null)[] {
    this.begin();
    return this.table.place(bindings, source);
  }

  /** Whether a leaf that the kept memory was made from has changed; takes note of what they are now. */
  private keptChanged(bindings: readonly Binding[], source: number): boolean {
    return !this.last.is(source) && this.lastingChanged(bindings, source);
  }

  private lastingChanged(bindings: readonly Binding[], source: number): boolean {
    const { machine, program, madeFrom } = this;
    let changed = false;
    if (!this.kept) {
      this.kept = machine.allocate(program.keptBytes);
      this.table.placeKept(this.kept);
      changed = true;
    }
    for (let i = 0; i < bindings.length; i++) {
      if (!program.leaves[i]!.lasting) continue;
      const of = bindings[i]!;
      const version = of instanceof Variable ? of.version : 0;
      if (madeFrom[i]?.of === of && madeFrom[i]!.version === version) continue;
      madeFrom[i] = { of, version };
      changed = true;
    }
    this.last.note(source);
    return changed;
  }

  /** Fills the kept memory again. */
  private prepare(): void {
    const { machine, program } = this;
    const { pages, entries } = this.finishCode();
    const threads = machine.threads;
    if (this.byStep) this.runSteps(0, program.preparations, threads);
    else machine.pool.run(pages.address + entries.prepare!, this.table.address, threads);
    this.forgetFailed();
  }

  /** What failed while the kept memory was filled fails again when it is tried again. */
  private forgetFailed(): void {
    if (!this.mayFail || !this.machine.failure()) return;
    this.madeFrom.fill(null);
    this.last.forget();
  }

  /** Marks written variables and returns the outputs, or throws what the error record says. */
  private finish(bindings: readonly Binding[], placed: readonly (HostArray | null)[]): HostArray[] {
    if (this.mayFail) this.refuseFailed();
    return this.table.collect(bindings, placed);
  }

  private refuseFailed(): void {
    const failure = this.machine.failure();
    if (!failure) return;
    const site = this.program.failSites[failure.site]!;
    throw new Error(failureText(site.what, failure.value, site.size));
  }

  free(): void {
    if (this.freed) return;
    this.freed = true;
    this.machine.settle();
    this.moved?.free();
    if (!this.code.isPlaced) return;
    this.machine.native.forget(this);
    this.machine.native.release(this.code.pages);
  }

  /** Runs steps one by one, each recorded as an event. */
  private runSteps(from: number, until: number, threads: number): void {
    const { machine, program } = this;
    const { pages, entries } = this.finishCode();
    for (let step = from; step < until; step++) {
      const placed = program.kernels[step]!;
      if (placed.commits && this.mayFail && machine.failure()) continue;
      const start = clock();
      const code = pages.address + entries.steps[step]!;
      const offset = this.table.offsets[step]!;
      const run = (table: number): void => machine.pool.run(code, table, threads);
      if (machine.guard) machine.guard.run(placed, this.table.addressesAt(offset, placed.kernel.buffers.length), run);
      else run(this.table.address + offset);
      record(placed.kernel.name, start, clock(), { threads, bytes: bytesTouched(placed) });
    }
  }
}

/** What moving a byte of a buffer counts in the estimate of a program's work. */
const BYTES_PER_INSTRUCTION = 4;

const bytesOfAll = (program: ProgramOutline): number =>
  program.kernels.slice(program.preparations).reduce((sum, placed) => sum + bytesTouched(placed), 0);

/** Bytes of all buffers of a kernel. */
const bytesTouched = ({ kernel }: KernelOutline): number =>
  kernel.buffers.reduce((sum, b) => sum + b.elements * bytesOf(b.dtype), 0);
