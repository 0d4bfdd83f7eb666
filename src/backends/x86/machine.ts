/**
 * One x86 machine: its threads, its control words, and the loop programs loaded into it. Tensors are ordinary ArrayBuffers; addresses are taken for each
 * run, during which the buffers are referenced. Knows loop programs and bindings, not graphs.
 */

import type { LoopKernel } from '../../compiler/loops.ts';
import { wantedThreads } from '../../compiler/processors.ts';
import { isProfiling, record, span } from '../../compiler/profile.ts';
import {
  type Binding,
  type Executable,
  type HostKernel,
  type KernelOutline,
  type LoopProgram,
  outlineOf,
  type ProgramOutline,
} from '../../compiler/program.ts';
import { ThreadChoice } from '../../compiler/thread-choice.ts';
import { verifyKernel, verifyProgram } from '../../compiler/verify-loops.ts';
import { bytesOf, type HostArray, hostView } from '../../graph/dtype.ts';
import { failureText } from '../../graph/failure.ts';
import { type DeviceBuffer, Variable } from '../../graph/storage.ts';
import { AddressTable } from './address-table.ts';
import { ListingAssembler } from './assembler/listing.ts';
import { CONTROL, CONTROL_BYTES, MAX_THREADS } from './control.ts';
import { Guard } from './guard.ts';
import type { Isa } from './isa.ts';
import type { TranslatedProgram } from './kept-code.ts';
import type { CodePages, Native, NativeCall } from './memory/native.ts';
import { ResultMemory } from './memory/results.ts';
import { emitAlone, emitProgram, type ProgramCode, type ProgramEntries } from './program-code.ts';
import { Threads } from './threads.ts';
import { type Area, Workspace } from './workspace.ts';

export const BACKEND_NAME = 'x86';

const ALIGN = 64;

/** Memory of the machine: an ArrayBuffer with an address. */
export class NativeBuffer implements DeviceBuffer {
  readonly bytes: number;
  readonly view: Uint8Array;
  readonly address: number;
  private readonly machine: Machine;

  constructor(machine: Machine, bytes: number) {
    const { native } = machine;
    this.machine = machine;
    this.bytes = bytes;
    // Aligned by hand: the collector's allocator promises 16 bytes.
    const whole = new Uint8Array(new ArrayBuffer(bytes + ALIGN));
    const start = native.addressOf(whole);
    const skip = (ALIGN - (start % ALIGN)) % ALIGN;
    this.view = whole.subarray(skip, skip + bytes);
    this.address = start + skip;
    native.preferLargePages(this.address, bytes);
  }

  download(into: HostArray): void {
    this.machine.settle();
    bytesIn(into).set(this.view);
  }

  upload(from: HostArray): void {
    this.machine.settle();
    this.view.set(bytesIn(from));
  }

  /** The collector takes the memory. */
  free(): void {}
}

const bytesIn = (array: HostArray): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A run that the event loop does not wait for. */
interface Job {
  readonly code: number;
  readonly args: number;
  /** Puts addresses in place; returns the number of threads, or null where that failed. */
  begin(): number | null;
  finish(): void;
}

/** Host copies worth a collection (some 10 ms) at once. */
const MUCH = 1 << 26;

/** Whether `TENON_DEBUG` asks for something. */
const debugs = (what: 'code' | 'guard'): boolean =>
  (globalThis.process?.env?.['TENON_DEBUG'] ?? '').split(',').includes(what);

export interface MachineOptions {
  /** Whether every program runs on all threads, however little there is to do: for tests. */
  readonly allThreads?: boolean;
  /** Whether kernels run between guard pages; what TENON_DEBUG says by default. */
  readonly guards?: boolean;
}

export class Machine {
  readonly native: Native;
  readonly isa: Isa;
  readonly allThreads: boolean;
  readonly control: number;
  readonly pool: Threads;
  readonly results = new ResultMemory();
  private wanted = Math.min(wantedThreads(), MAX_THREADS);
  private readonly work: Workspace;
  /** The run that the event loop does not wait for, and those that wait for it. */
  private led: Job | null = null;
  /** Bytes of host copies given up since the collector was last told. */
  private left = 0;
  private readonly queue: Job[] = [];
  private readonly words = new Uint8Array(CONTROL.failValue + 8);
  private readonly checked =
    globalThis.process?.env?.['NODE_ENV'] === 'test' || !!globalThis.process?.env?.['TENON_DEBUG'];

  /** Runs kernels between guard pages, in that mode. */
  readonly guard: Guard | null;

  constructor(native: Native, isa: Isa, { allThreads = false, guards = debugs('guard') }: MachineOptions = {}) {
    this.native = native;
    this.guard = guards ? new Guard(native) : null;
    this.isa = isa;
    this.allThreads = allThreads;
    this.control = native.sharedWords(CONTROL_BYTES);
    this.pool = new Threads(native, this.control, isa);
    this.work = new Workspace(native);
  }

  get threads(): number {
    return this.wanted;
  }

  set threads(count: number) {
    this.wanted = Math.max(1, Math.min(count, MAX_THREADS));
  }

  load(program: LoopProgram): LoadedProgram {
    return this.loadTranslated(this.translate(program));
  }

  /** Whether programs are looked at on the way: then none may come from an earlier process. */
  get watches(): boolean {
    return this.checked;
  }

  translate(program: LoopProgram): TranslatedProgram {
    if (this.checked) verifyProgram(program);
    this.expect(program);
    const listing = debugs('code') ? new ListingAssembler() : undefined;
    const code = span('x86: emit', () =>
      emitProgram(program.kernels, this.control, this.isa, listing, program.preparations),
    );
    if (listing) console.error(listing.text());
    return { outline: outlineOf(program), code };
  }

  loadTranslated({ outline, code }: TranslatedProgram): LoadedProgram {
    this.expect(outline);
    const { bytes: _, ...entries } = code;
    const pages = span('x86: load', () => this.loadCode(code));
    const loaded = new LoadedProgram(this, outline, entries, pages);
    this.native.releaseWith(loaded, pages);
    return loaded;
  }

  /** Puts code in place to run on this machine's threads. */
  loadCode({ bytes, control }: ProgramCode): CodePages {
    new DataView(bytes.buffer, bytes.byteOffset).setBigInt64(control, BigInt(this.control), true);
    return this.native.load(bytes);
  }

  /** A kernel of somebody else's over arrays of the host. */
  loadAlone(kernel: LoopKernel): HostKernel {
    if (this.checked) verifyKernel(kernel, 0);
    const listing = debugs('code') ? new ListingAssembler() : undefined;
    const pages = this.native.load(emitAlone(kernel, this.isa, listing));
    if (listing) console.error(listing.text());
    const loaded = new LoadedKernel(this, kernel, pages);
    this.native.releaseWith(loaded, pages);
    return loaded;
  }

  allocate(bytes: number): NativeBuffer {
    return new NativeBuffer(this, bytes);
  }

  /** Memory for intermediates, shared by all programs because they run one at a time; it only grows. */
  workspace(bytes: number): Area {
    return this.work.atLeast(bytes);
  }

  /** Makes ready what a program will run in, while it is translated. A run that goes on needs the workspace it has. */
  private expect({ arenaBytes }: { readonly arenaBytes: number }): void {
    if (!this.led) this.workspace(arenaBytes);
  }

  /** The variable's memory here, holding its newest value. */
  reside(variable: Variable): NativeBuffer {
    let { device } = variable;
    if (device?.backend !== BACKEND_NAME) {
      this.settle();
      const buffer = new NativeBuffer(this, variable.bytes);
      variable.readInto(hostView(variable.dtype, buffer.view.buffer, buffer.view.byteOffset, variable.size));
      device?.buffer.free();
      device = { backend: BACKEND_NAME, buffer };
      variable.device = device;
      // The collector takes the host's copy. It counts bytes of its own heap, not those of arrays, so it is told when they are many.
      if (variable.host) this.left += variable.bytes;
      variable.leaveToDevice();
      if (this.left > MUCH) {
        this.left = 0;
        this.native.collect();
      }
    } else if (!variable.deviceIsCurrent) {
      device.buffer.upload(variable.host!);
      variable.deviceIsCurrent = true;
    }
    return device.buffer as NativeBuffer;
  }

  /** Runs a program that the event loop does not wait for, after those that came before it. */
  submit(job: Job): void {
    if (this.led) this.queue.push(job);
    else this.lead(job);
  }

  /** Whether a run goes on that the event loop does not wait for. */
  get busy(): boolean {
    return this.led !== null;
  }

  private lead(job: Job): void {
    const threads = job.begin();
    if (threads === null) {
      this.leadNext();
      return;
    }
    this.led = job;
    this.pool.lead(job.code, job.args, threads, () => {
      if (this.led !== job) return;
      this.led = null;
      job.finish();
      this.leadNext();
    });
  }

  private leadNext(): void {
    const next = this.queue.shift();
    if (next) this.lead(next);
  }

  /** Waits for what goes on, and runs what waits for it, here and now: programs run one at a time, in the order they came. */
  settle(): void {
    const { led } = this;
    if (!led) return;
    this.pool.wait();
    this.led = null;
    led.finish();
    for (let job = this.queue.shift(); job; job = this.queue.shift()) {
      const threads = job.begin();
      if (threads === null) continue;
      this.pool.run(job.code, job.args, threads);
      job.finish();
    }
  }

  clearFailure(): void {
    this.words.fill(0);
    this.native.write(this.control, this.words);
    this.native.write(this.control + CONTROL.failedAtBarrier, this.words.subarray(0, 4));
  }

  /** The error record, if something failed. */
  failure(): { readonly site: number; readonly value: bigint } | null {
    this.native.read(this.words, this.control);
    const view = new DataView(this.words.buffer);
    if (view.getInt32(CONTROL.failed, true) === 0) return null;
    return { site: view.getInt32(CONTROL.failSite, true), value: view.getBigInt64(CONTROL.failValue, true) };
  }
}

/** One kernel as machine code, called with the addresses of the arrays it is given. */
class LoadedKernel implements HostKernel {
  private readonly machine: Machine;
  private readonly pages: CodePages;
  private readonly call: NativeCall;
  private readonly addresses: Float64Array;
  private readonly words: BigInt64Array;
  private readonly table: number;

  constructor(machine: Machine, { buffers }: LoopKernel, pages: CodePages) {
    this.machine = machine;
    this.pages = pages;
    this.call = machine.native.callable(pages.address);
    this.addresses = new Float64Array(buffers.length).fill(Number.NaN);
    this.words = new BigInt64Array(buffers.length);
    this.table = machine.native.addressOf(this.words);
  }

  run(arrays: readonly ArrayBufferView[], alone = false): void {
    const { machine, addresses, words } = this;
    if (arrays.length !== words.length)
      throw new Error(`internal: ${arrays.length} arrays came, expected ${words.length}`);
    const threads = alone || machine.busy ? 1 : machine.threads;
    const call = (table: number): void => {
      if (threads === 1) this.call(table, 0, 1, 0);
      else machine.pool.run(this.pages.address, table, threads);
    };
    if (machine.guard) {
      machine.guard.runOver(arrays, call);
      return;
    }
    for (let k = 0; k < arrays.length; k++) {
      const address = machine.native.addressOf(arrays[k]!);
      if (addresses[k] === address) continue;
      addresses[k] = address;
      words[k] = BigInt(address);
    }
    call(this.table);
  }
}

/** A loop program as machine code. */
export class LoadedProgram implements Executable {
  private readonly machine: Machine;
  private readonly program: ProgramOutline;
  private readonly code: ProgramEntries;
  private readonly pages: CodePages;
  private readonly table: AddressTable;
  /** Where the code of the whole program starts. */
  private readonly entry: number;
  /** Whether an index can be out of range. */
  private readonly mayFail: boolean;
  private readonly choice: ThreadChoice;
  private kept: NativeBuffer | null = null;
  /** What the kept memory was made from, by leaf. */
  private readonly madeFrom: ({ readonly of: Binding; readonly version: number } | null)[];
  private freed = false;

  constructor(machine: Machine, program: ProgramOutline, code: ProgramEntries, pages: CodePages) {
    this.machine = machine;
    this.program = program;
    this.code = code;
    this.pages = pages;
    this.entry = pages.address + code.run;
    this.mayFail = program.failSites.length > 0;
    this.table = new AddressTable(machine, program, code.argsOffsets, code.argsBytes);
    this.madeFrom = program.leaves.map(() => null);
    this.choice = new ThreadChoice(code.work + bytesOfAll(program) / BYTES_PER_INSTRUCTION);
  }

  run(bindings: readonly Binding[]): HostArray[] {
    const { machine, choice } = this;
    machine.settle();
    const outputs = this.place(bindings);
    const threads = this.threads();
    if (this.byStep) this.runSteps(this.program.preparations, this.program.kernels.length, threads);
    else {
      const start = choice.undecided && machine.threads > 1 ? performance.now() : 0;
      machine.pool.run(this.entry, this.table.address, threads);
      if (start > 0) choice.took(threads, performance.now() - start);
    }
    return this.finish(bindings, outputs);
  }

  /** On a thread of the event loop's pool, but for programs that are over before it would have woken. */
  runAsync(bindings: readonly Binding[]): Promise<HostArray[]> {
    const waits = this.choice.undecided || this.machine.busy;
    if (!waits || this.byStep) return Promise.resolve().then(() => this.run(bindings));
    return new Promise((resolve, reject) => {
      let outputs: readonly (HostArray | null)[] = [];
      this.machine.submit({
        code: this.entry,
        args: this.table.address,
        begin: () => {
          try {
            outputs = this.place(bindings);
            return this.threads();
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
  private get byStep(): boolean {
    return isProfiling() || this.machine.guard !== null;
  }

  private threads(): number {
    const { machine } = this;
    return machine.allThreads ? machine.threads : this.choice.next(machine.threads);
  }

  private place(bindings: readonly Binding[]): readonly (HostArray | null)[] {
    if (this.freed) throw new Error('internal: a program was run after it was freed');
    if (this.mayFail) this.machine.clearFailure();
    const placed = this.table.place(bindings);
    if (this.program.preparations > 0) this.prepare(bindings);
    return placed;
  }

  /** Fills the kept memory again where a leaf that it was made from has changed. */
  private prepare(bindings: readonly Binding[]): void {
    const { machine, program, madeFrom } = this;
    let changed = false;
    if (!this.kept) {
      this.kept = new NativeBuffer(machine, program.keptBytes);
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
    if (!changed) return;
    const threads = machine.threads;
    if (this.byStep) this.runSteps(0, program.preparations, threads);
    else machine.pool.run(this.pages.address + this.code.prepare!, this.table.address, threads);
    // What failed fails again when it is tried again.
    if (this.mayFail && machine.failure()) madeFrom.fill(null);
  }

  /** Marks written variables and returns the outputs, or throws what the error record says. */
  private finish(bindings: readonly Binding[], placed: readonly (HostArray | null)[]): HostArray[] {
    const failure = this.mayFail ? this.machine.failure() : null;
    if (failure) {
      const site = this.program.failSites[failure.site]!;
      throw new Error(failureText(site.what, failure.value, site.size));
    }
    return this.table.collect(bindings, placed);
  }

  free(): void {
    if (this.freed) return;
    this.freed = true;
    this.machine.settle();
    this.machine.native.forget(this);
    this.machine.native.release(this.pages);
  }

  /** Runs steps one by one, each recorded as an event. */
  private runSteps(from: number, until: number, threads: number): void {
    const { machine, program } = this;
    for (let step = from; step < until; step++) {
      const placed = program.kernels[step]!;
      if (placed.commits && this.mayFail && machine.failure()) continue;
      const start = performance.now();
      const code = this.pages.address + this.code.steps[step]!;
      const offset = this.code.argsOffsets[step]!;
      const run = (table: number): void => machine.pool.run(code, table, threads);
      if (machine.guard) machine.guard.run(placed, this.table.addressesAt(offset, placed.kernel.buffers.length), run);
      else run(this.table.address + offset);
      record(placed.kernel.name, start, performance.now(), { threads, bytes: bytesTouched(placed) });
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
