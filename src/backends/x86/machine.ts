/**
 * One x86 machine: its threads, its control words, and the loop programs loaded into it. Tensors are ordinary ArrayBuffers; addresses are taken for each
 * run, during which the buffers are referenced. Knows loop programs and bindings, not graphs.
 */
import { wantedThreads } from '../../compiler/processors.ts';
import { isProfiling, record, span } from '../../compiler/profile.ts';
import type { Binding, Executable, LoopProgram, PlacedKernel } from '../../compiler/program.ts';
import { verifyProgram } from '../../compiler/verify-loops.ts';
import { bytesOf, type HostArray, hostArray } from '../../graph/dtype.ts';
import { type DeviceBuffer, Variable } from '../../graph/storage.ts';
import { CONTROL, CONTROL_BYTES } from './control.ts';
import type { Isa } from './isa.ts';
import type { CodePages, Native } from './memory/native.ts';
import { emitProgram, type ProgramCode } from './program-code.ts';
import { MAX_THREADS, Threads } from './threads.ts';

export const BACKEND_NAME = 'x86';

const ALIGN = 64;

/** Memory of the machine: an ArrayBuffer with an address. */
export class NativeBuffer implements DeviceBuffer {
  readonly bytes: number;
  readonly view: Uint8Array;
  readonly address: number;

  constructor(native: Native, bytes: number) {
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
    bytesIn(into).set(this.view);
  }

  upload(from: HostArray): void {
    this.view.set(bytesIn(from));
  }

  /** The collector takes the memory. */
  free(): void {}
}

const bytesIn = (array: HostArray): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

export class Machine {
  readonly native: Native;
  readonly isa: Isa;
  readonly control: number;
  readonly pool: Threads;
  private wanted = Math.min(wantedThreads(), MAX_THREADS);
  private work: NativeBuffer;
  private readonly words = new Uint8Array(CONTROL.failValue + 8);
  private readonly checked =
    globalThis.process?.env?.['NODE_ENV'] === 'test' || !!globalThis.process?.env?.['TENON_DEBUG'];

  constructor(native: Native, isa: Isa) {
    this.native = native;
    this.isa = isa;
    this.control = native.sharedWords(CONTROL_BYTES);
    this.pool = new Threads(native, this.control);
    this.work = new NativeBuffer(native, 0);
  }

  get threads(): number {
    return this.wanted;
  }

  set threads(count: number) {
    this.wanted = Math.max(1, Math.min(count, MAX_THREADS));
  }

  load(program: LoopProgram): LoadedProgram {
    if (this.checked) verifyProgram(program);
    const code = span('x86: emit', () => emitProgram(program.kernels, this.control, this.isa));
    const pages = this.native.load(code.bytes);
    const loaded = new LoadedProgram(this, program, code, pages);
    this.native.releaseWith(loaded, pages);
    return loaded;
  }

  /** Memory for intermediates, shared by all programs because they run one at a time; it only grows. */
  workspace(bytes: number): NativeBuffer {
    if (bytes > this.work.bytes) this.work = new NativeBuffer(this.native, bytes);
    return this.work;
  }

  /** The variable's memory here, holding its newest value. */
  reside(variable: Variable): NativeBuffer {
    let { device } = variable;
    if (device?.backend !== BACKEND_NAME) {
      const host = variable.read();
      device?.buffer.free();
      const buffer = new NativeBuffer(this.native, variable.bytes);
      buffer.upload(host);
      device = { backend: BACKEND_NAME, buffer };
      variable.device = device;
      variable.deviceIsCurrent = true;
    } else if (!variable.deviceIsCurrent) {
      device.buffer.upload(variable.host!);
      variable.deviceIsCurrent = true;
    }
    return device.buffer as NativeBuffer;
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

/** A loop program as machine code. */
export class LoadedProgram implements Executable {
  private readonly machine: Machine;
  private readonly program: LoopProgram;
  private readonly code: ProgramCode;
  private readonly pages: CodePages;
  /** The args table: one 64-bit address per kernel buffer, written as two halves. */
  private readonly words: Uint32Array;
  private readonly tableAddress: number;
  private readonly leafWords: readonly number[][];
  private readonly outputWords: readonly number[][];
  private readonly arenaWords: readonly (readonly [word: number, offset: number])[];
  private workspace: NativeBuffer | null = null;
  private freed = false;

  constructor(machine: Machine, program: LoopProgram, code: ProgramCode, pages: CodePages) {
    this.machine = machine;
    this.program = program;
    this.code = code;
    this.pages = pages;
    this.words = new Uint32Array(new ArrayBuffer(Math.max(code.argsBytes, 8)));
    this.tableAddress = machine.native.addressOf(this.words);
    this.leafWords = program.leaves.map(() => []);
    this.outputWords = program.outputs.map(() => []);
    const arenaWords: [number, number][] = [];
    for (const [k, { places }] of program.kernels.entries())
      for (const [b, place] of places.entries()) {
        const word = code.argsOffsets[k]! / 8 + b;
        if (place.kind === 'leaf') this.leafWords[place.index]!.push(word);
        else if (place.kind === 'output') this.outputWords[place.index]!.push(word);
        else arenaWords.push([word, place.offset]);
      }
    this.arenaWords = arenaWords;
  }

  private put(word: number, address: number): void {
    this.words[word * 2] = address % 2 ** 32;
    this.words[word * 2 + 1] = Math.floor(address / 2 ** 32);
  }

  run(bindings: readonly Binding[]): HostArray[] {
    if (this.freed) throw new Error('internal: a program was run after it was freed');
    const { machine, program } = this;
    const { native } = machine;
    const { leaves } = program;
    if (bindings.length !== leaves.length)
      throw new Error(`internal: ${bindings.length} bindings came, expected ${leaves.length}`);
    for (let i = 0; i < leaves.length; i++) {
      const binding = bindings[i]!;
      const size = binding instanceof Variable ? binding.size : binding.length;
      if (size !== leaves[i]!.elements)
        throw new Error(`internal: binding ${i} has ${size} elements, expected ${leaves[i]!.elements}`);
      const address = binding instanceof Variable ? machine.reside(binding).address : native.addressOf(binding);
      for (const word of this.leafWords[i]!) this.put(word, address);
    }
    const outputs = program.outputs.map(({ dtype, elements }) => hostArray(dtype, elements));
    for (let i = 0; i < outputs.length; i++) {
      const address = native.addressOf(outputs[i]!);
      for (const word of this.outputWords[i]!) this.put(word, address);
    }
    const workspace = machine.workspace(program.arenaBytes);
    if (workspace !== this.workspace) {
      for (const [word, offset] of this.arenaWords) this.put(word, workspace.address + offset);
      this.workspace = workspace;
    }
    const mayFail = program.failSites.length > 0;
    if (mayFail) machine.clearFailure();
    if (isProfiling()) this.runSteps(machine.threads);
    else machine.pool.run(this.pages.address + this.code.run, this.tableAddress, machine.threads);
    const failure = mayFail ? machine.failure() : null;
    if (failure) {
      const site = program.failSites[failure.site]!;
      throw new Error(`${site.what}: index ${failure.value} is out of range for ${site.size} elements`);
    }
    for (let i = 0; i < bindings.length; i++) if (leaves[i]!.written) (bindings[i] as Variable).deviceWritten();
    return outputs;
  }

  /** Runs here and now; the promise is for callers that do not care which backend it is. */
  runAsync(bindings: readonly Binding[]): Promise<HostArray[]> {
    return Promise.resolve().then(() => this.run(bindings));
  }

  free(): void {
    if (this.freed) return;
    this.freed = true;
    this.machine.native.forget(this);
    this.machine.native.release(this.pages);
  }

  /** Runs kernel by kernel, each recorded as an event. */
  private runSteps(threads: number): void {
    const { machine, program } = this;
    for (const [step, placed] of program.kernels.entries()) {
      if (placed.commits && program.failSites.length > 0 && machine.failure()) continue;
      const start = performance.now();
      machine.pool.run(
        this.pages.address + this.code.steps[step]!,
        this.tableAddress + this.code.argsOffsets[step]!,
        threads,
      );
      record(placed.kernel.name, start, performance.now(), { threads, bytes: bytesTouched(placed) });
    }
  }
}

/** Bytes of all buffers of a kernel. */
const bytesTouched = ({ kernel }: PlacedKernel): number =>
  kernel.buffers.reduce((sum, b) => sum + b.elements * bytesOf(b.dtype), 0);
