/**
 * One x86 machine: its threads, its control words, and the loop programs loaded into it. Tensors are ordinary
 * ArrayBuffers; addresses are taken for each run, during which the buffers are referenced. Knows loop programs and
 * bindings, not graphs.
 */

import type { LoopKernel } from '../../compiler/loops.ts';
import { wantedThreads } from '../../compiler/processors.ts';
import { span } from '../../compiler/profile.ts';
import { type ComingProgram, type HostKernel, type LoopProgram, whole } from '../../compiler/program.ts';
import { verifyKernel, verifyProgram } from '../../compiler/verify/index.ts';
import { type HostArray, hostView } from '../../graph/dtype.ts';
import type { DeviceBuffer, Variable } from '../../graph/storage.ts';
import { ListingAssembler } from './assembler/listing.ts';
import { CONTROL, CONTROL_BYTES, MAX_THREADS } from './control.ts';
import { Guard } from './guard.ts';
import type { Isa } from './isa.ts';
import type { TranslatedProgram } from './kept-code.ts';
import { type Elsewhere, LoadedProgram } from './loaded-program.ts';
import type { CodePages, Native, NativeCall } from './memory/native.ts';
import { ResultMemory } from './memory/results.ts';
import { Uncounted } from './memory/uncounted.ts';
import { PageTouch } from './page-touch.ts';
import { emitAlone, type ProgramCode, ProgramEmitter, SEGMENT_BYTES } from './program-code.ts';
import { Threads } from './threads.ts';
import { type Area, Workspace } from './workspace.ts';

export const BACKEND_NAME = 'x86';

const ALIGN = 64;

/** Memory of the machine: an array buffer with an address. */
export class NativeBuffer implements DeviceBuffer {
  readonly bytes: number;
  readonly view: Uint8Array;
  readonly address: number;
  private readonly machine: Machine;

  constructor(machine: Machine, bytes: number, allocate = (bytes: number): ArrayBufferLike => new ArrayBuffer(bytes)) {
    const { native } = machine;
    this.machine = machine;
    this.bytes = bytes;
    // Aligned by hand: the collector's allocator promises 16 bytes.
    const whole = new Uint8Array(allocate(bytes + ALIGN));
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

/** What a workspace has beyond the bytes that are probably needed: addresses, and no memory as long as nobody uses it. */
const SPARE = 0.25;
const LEAST_SPARE = 4 << 20;

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
  /** Bytes from which on a segment of code ends: for tests. */
  readonly segmentBytes?: number;
}

export class Machine {
  readonly native: Native;
  readonly isa: Isa;
  readonly allThreads: boolean;
  private readonly segmentBytes: number;
  readonly control: number;
  readonly pool: Threads;
  readonly results = new ResultMemory();
  private wanted = Math.min(wantedThreads(), MAX_THREADS);
  private readonly work: Workspace;
  private readonly pages: PageTouch;
  /** Memory of variables that do not reside here yet. */
  private readonly expected = new WeakMap<Variable, NativeBuffer>();
  private readonly uncounted = new Uncounted();
  /** The run that the event loop does not wait for, and those that wait for it. */
  led: Job | null = null;
  /** Bytes of host copies given up since the collector was last told. */
  private left = 0;
  private readonly queue: Job[] = [];
  private readonly words = new Uint8Array(CONTROL.failValue + 8);
  private readonly checked =
    globalThis.process?.env?.['NODE_ENV'] === 'test' || !!globalThis.process?.env?.['TENON_DEBUG'];

  /** Runs kernels between guard pages, in that mode. */
  readonly guard: Guard | null;

  constructor(native: Native, isa: Isa, options: MachineOptions = {}) {
    const { allThreads = false, guards = debugs('guard'), segmentBytes = SEGMENT_BYTES } = options;
    this.native = native;
    this.segmentBytes = segmentBytes;
    this.guard = guards ? new Guard(native) : null;
    this.isa = isa;
    this.allThreads = allThreads;
    this.control = native.sharedWords(CONTROL_BYTES);
    this.pool = new Threads(native, this.control, isa);
    this.pages = new PageTouch(native);
    this.work = new Workspace(native, this.pages);
  }

  get threads(): number {
    return this.wanted;
  }

  set threads(count: number) {
    this.wanted = Math.max(1, Math.min(count, MAX_THREADS));
  }

  /** A program in place; `written` is told its code, for later processes. */
  load(program: LoopProgram, written?: (translated: TranslatedProgram) => void): LoadedProgram {
    if (this.checked) verifyProgram(program);
    return this.loadComing(whole(program), written);
  }

  /** The same for one whose kernels are still to come; `written` is told once all of them are there. */
  loadComing(
    program: ComingProgram,
    written: (translated: TranslatedProgram) => void = () => {},
    elsewhere?: Elsewhere,
  ): LoadedProgram {
    const comes = program.kernels.length < program.count;
    const room = this.expect(program.likelyBytes, comes);
    const listing = debugs('code') ? new ListingAssembler() : undefined;
    const { preparations } = program;
    const emitter = new ProgramEmitter(program, this.control, this.isa, listing, preparations, this.segmentBytes);
    const more = span('x86: emit', () => emitter.advance());
    const done = (translated: TranslatedProgram): void => {
      if (listing) console.error(listing.text());
      if (comes && this.checked) verifyProgram(program);
      written(translated);
    };
    const loaded = new LoadedProgram(this, program, room, { emitter, coming: program, written: done, elsewhere });
    // Where nobody looks on, what is left is written while the first run goes on.
    if (!more || listing || loaded.byStep) loaded.finishCode();
    return loaded;
  }

  /** Whether programs are looked at on the way: then none may come from an earlier process. */
  get watches(): boolean {
    return this.checked;
  }

  loadTranslated({ outline, code }: TranslatedProgram): LoadedProgram {
    this.expect(outline.arenaBytes, false);
    return new LoadedProgram(this, outline, outline.arenaBytes, code);
  }

  /** Puts code in place to run on this machine's threads. */
  loadCode({ bytes, control }: Pick<ProgramCode, 'bytes' | 'control'>): CodePages {
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

  /**
   * Makes ready what a program will run in, while it is translated, and says how much there is: some more than `bytes`
   * where that is a guess. A run that goes on needs the workspace it has.
   */
  private expect(bytes: number, guessed: boolean): number {
    const spare = guessed && this.work.bytes < bytes ? Math.ceil(bytes * SPARE) + LEAST_SPARE : 0;
    if (!this.led) this.work.atLeast(bytes + spare, spare);
    return guessed ? Math.max(bytes + spare, this.work.bytes) : bytes;
  }

  /**
   * Makes ready the memory of variables that a program is to be compiled for. Where they have values on the host, only
   * as much as `reside` takes before it gives such values up: both would be there at once.
   */
  expectVariables(variables: Iterable<Variable>): void {
    const buffers: NativeBuffer[] = [];
    const later: NativeBuffer[] = [];
    let copied = 0;
    for (const variable of variables) {
      if (variable.device || this.expected.has(variable)) continue;
      if (variable.host) copied += variable.bytes;
      if (variable.host && copied > MUCH) continue;
      const buffer = new NativeBuffer(this, variable.bytes, bytes => this.uncounted.allocate(bytes));
      this.expected.set(variable, buffer);
      (variable.host ? buffers : later).push(buffer);
    }
    buffers.push(...later);
    this.pages.touch(
      buffers,
      buffers.map(({ view }) => view),
    );
  }

  /** The variable's memory here, holding its newest value. */
  reside(variable: Variable): NativeBuffer {
    let { device } = variable;
    if (device?.backend !== BACKEND_NAME) {
      this.settle();
      const buffer = this.expected.get(variable) ?? new NativeBuffer(this, variable.bytes);
      this.expected.delete(variable);
      variable.readInto(hostView(variable.dtype, buffer.view.buffer, buffer.view.byteOffset, variable.size));
      device?.buffer.free();
      device = { backend: BACKEND_NAME, buffer };
      variable.moveTo(device);
      // The collector takes the host's copy. It counts bytes of its own heap, not those of arrays, so it is told when
      // they are many.
      if (variable.host) this.left += variable.bytes;
      variable.leaveToDevice();
      if (this.left > MUCH) {
        this.left = 0;
        this.native.collect();
      }
    } else if (!variable.deviceIsCurrent) {
      device.buffer.upload(variable.read());
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
      this.led = null;
      job.finish();
      this.leadNext();
    });
  }

  private leadNext(): void {
    const next = this.queue.shift();
    if (next) this.lead(next);
  }

  /**
   * Waits for what goes on, and runs what waits for it, here and now: programs run one at a time, in the order they
   * came.
   */
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
