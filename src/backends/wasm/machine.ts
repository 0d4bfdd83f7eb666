/**
 * One WebAssembly machine: a linear memory, its threads, and the loop programs loaded into it. Knows loop programs and
 * bindings, not graphs.
 */

import { isProfiling, record, span } from '../../compiler/profile.ts';
import {
  type Binding,
  type Executable,
  type LoopProgram,
  type PlacedKernel,
  writtenLeaves,
} from '../../compiler/program.ts';
import { ThreadChoice } from '../../compiler/thread-choice.ts';
import { verifyProgram } from '../../compiler/verify/index.ts';
import { bytesOf, type HostArray, hostArray } from '../../graph/dtype.ts';
import { failureText } from '../../graph/failure.ts';
import { deviceWrote, Variable, whole } from '../../graph/storage.ts';
import { clock } from '../../launch/clock.ts';
import { CONTROL, MAX_THREADS } from './control.ts';
import { compileModule, features } from './features.ts';
import { alignUp, canShareMemory, type LinearBuffer, LinearMemory } from './memory.ts';
import { emitProgram } from './program-module.ts';
import { defaultThreads, type ThreadedProgram, ThreadPool } from './threads.ts';

export const BACKEND_NAME = 'wasm';

/**
 * From this many estimated instructions on (some 10 ms), the optimising compiler is worth its time before the first
 * run.
 */
const WORK_TO_OPTIMISE = 20_000_000;

/** Milliseconds that a run waits for threads that are just starting. */
const PATIENCE = 100;
/** What moving a byte of a buffer counts in the estimate of a program's work. */
const BYTES_PER_INSTRUCTION = 4;

type Run = (args: number, thread: number, threads: number) => void;

/** What the collector gives back when a program is dropped without `free`. */
interface Remains {
  readonly address: number;
  readonly bytes: number;
  readonly threaded: ThreadedProgram;
}

export class Machine {
  readonly memory: LinearMemory;
  private threadPool: ThreadPool | null;
  private wanted: number;
  private work = { address: 0, bytes: 0 };
  private programs = 0;
  private readonly collected = new FinalizationRegistry<Remains>(remains => this.discard(remains));
  private readonly checked =
    globalThis.process?.env?.['NODE_ENV'] === 'test' || !!globalThis.process?.env?.['TENON_DEBUG'];

  /** @param shared whether threads may be used at all; the host may still refuse. */
  constructor(shared = canShareMemory()) {
    this.memory = new LinearMemory(shared);
    this.threadPool = this.memory.shared ? new ThreadPool(this.memory) : null;
    this.wanted = defaultThreads(this.memory.shared);
  }

  /** The threads, where there can be any. */
  get pool(): ThreadPool | null {
    return this.threadPool;
  }

  get threads(): number {
    return this.wanted;
  }

  /** 1 to 1023; more than one only where threads can share memory. */
  set threads(count: number) {
    this.wanted = this.pool ? Math.max(1, Math.min(count, MAX_THREADS)) : 1;
    this.pool?.prepare(this.wanted);
  }

  /**
   * Starts the threads of a run and plays thread 0. Generated code cannot throw, so an exception is a bug of Tenon;
   * threads may then wait for each other for ever, and are not used again.
   */
  runThreads(program: ThreadedProgram, args: number, threads: number, step: number, thread0: () => void): void {
    const pool = this.threadPool!;
    let cause: unknown = 'in another thread';
    try {
      pool.start({ program, args, threads, step });
      thread0();
      if (!pool.crashed) return;
    } catch (error) {
      cause = error;
    }
    this.threadPool = null;
    this.wanted = 1;
    throw trapped(cause);
  }

  /** Compiles a loop program to an executable. */
  load(program: LoopProgram): LoadedProgram {
    if (this.checked) verifyProgram(program);
    const { memory } = this;
    const emitted = span('wasm: emit', () =>
      emitProgram(program.kernels, {
        relaxedMadd: features().fusedMadd,
        shared: memory.shared,
        maximumPages: memory.maximumPages,
      }),
    );
    // Workers take some 40 ms to start; they do it while the module compiles.
    const choice = new ThreadChoice(emitted.work + bytesOfAll(program) / BYTES_PER_INSTRUCTION);
    if (this.wanted > 1 && !choice.brief) this.pool!.prepare(this.wanted);
    const module = span('wasm: module', () => compileModule(emitted.bytes, emitted.work >= WORK_TO_OPTIMISE));
    const threaded = { id: ++this.programs, module };
    const args = memory.allocate(emitted.argsBytes);
    const loaded = new LoadedProgram(this, program, threaded, args, emitted.argsOffsets, choice);
    this.collected.register(loaded, { address: args, bytes: emitted.argsBytes, threaded }, loaded);
    return loaded;
  }

  /** Gives a program's memory back. */
  unload(loaded: LoadedProgram, bytes: number): void {
    this.collected.unregister(loaded);
    this.discard({ address: loaded.args, bytes, threaded: loaded.threaded });
  }

  private discard(remains: Remains): void {
    this.memory.release(remains.address, remains.bytes);
    this.pool?.forget(remains.threaded);
  }

  /**
   * Memory for staged values and intermediates, shared by all programs because they run one at a time; it only grows.
   */
  workspace(bytes: number): number {
    if (bytes > this.work.bytes) {
      if (this.work.bytes > 0) this.memory.release(this.work.address, this.work.bytes);
      this.work = { address: 0, bytes: 0 };
      this.work = { address: this.memory.allocate(bytes), bytes };
    }
    return this.work.address;
  }

  /** The variable's memory here, holding its newest value. */
  reside(variable: Variable): number {
    let { device } = variable;
    if (device?.backend !== BACKEND_NAME || (device.buffer as LinearBuffer).memory !== this.memory) {
      const host = variable.read();
      device?.buffer.free();
      const buffer = this.memory.buffer(variable.bytes);
      buffer.upload(host);
      device = { backend: BACKEND_NAME, buffer };
      variable.moveTo(device);
    } else if (!variable.deviceIsCurrent) {
      device.buffer.upload(variable.read());
      variable.deviceIsCurrent = true;
    }
    return (device.buffer as LinearBuffer).address;
  }
}

/** A loop program in a machine's memory. */
class LoadedProgram implements Executable {
  readonly args: number;
  readonly threaded: ThreadedProgram;
  private readonly machine: Machine;
  private readonly program: LoopProgram;
  private readonly argsOffsets: readonly number[];
  private readonly exports: WebAssembly.Exports;
  private readonly runAll: Run;
  private readonly choice: ThreadChoice;
  private readonly written: readonly number[];
  private freed = false;
  /**
   * Words of the args table that hold the address of each leaf and output, and of each arena buffer with its offset.
   */
  private readonly leafWords: readonly number[][];
  private readonly outputWords: readonly number[][];
  private readonly arenaWords: readonly (readonly [word: number, offset: number])[];
  /** Leaves that had a host array last time; the layout of the workspace depends on it. */
  private staged: boolean[] | null = null;
  private leafOffsets: number[] = [];
  private outputOffsets: number[] = [];
  private arenaOffset = 0;
  private workspaceBytes = 0;
  private base = -1;
  private readonly leafAddresses: number[];

  constructor(
    machine: Machine,
    program: LoopProgram,
    threaded: ThreadedProgram,
    args: number,
    argsOffsets: readonly number[],
    choice: ThreadChoice,
  ) {
    this.machine = machine;
    this.program = program;
    this.threaded = threaded;
    this.args = args;
    this.argsOffsets = argsOffsets;
    const instance = new WebAssembly.Instance(threaded.module, { env: { memory: machine.memory.memory } });
    this.exports = instance.exports;
    this.runAll = this.exports['run'] as Run;
    this.leafAddresses = program.leaves.map(() => -1);
    this.leafWords = program.leaves.map(() => []);
    this.outputWords = program.outputs.map(() => []);
    const arenaWords: [number, number][] = [];
    for (const [k, { places }] of program.kernels.entries()) {
      for (const [b, place] of places.entries()) {
        const word = (args + argsOffsets[k]!) / 4 + b;
        if (place.kind === 'leaf') this.leafWords[place.index]!.push(word);
        else if (place.kind === 'output') this.outputWords[place.index]!.push(word);
        else if (place.kind === 'arena') arenaWords.push([word, place.offset]);
        else if (place.kind === 'count') machine.memory.words[word] = place.value;
        else throw new Error('internal: wasm keeps no memory between runs');
      }
    }
    this.arenaWords = arenaWords;
    this.choice = choice;
    this.written = writtenLeaves(program);
  }

  run(bindings: readonly Binding[]): HostArray[] {
    const { machine } = this;
    machine.pool?.settle();
    const threads = this.begin(bindings);
    if (isProfiling()) this.runSteps(threads);
    else {
      const start = !this.choice.brief && machine.threads > 1 ? clock() : 0;
      this.runHere(threads);
      if (start > 0) this.choice.took(threads, clock() - start);
    }
    return this.finish(bindings);
  }

  runAsync(bindings: readonly Binding[]): Promise<HostArray[]> {
    const { machine, args } = this;
    const { pool } = machine;
    pool?.settle();
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        try {
          resolve(this.finish(bindings));
        } catch (error) {
          reject(error);
        }
      };
      const threads = this.begin(bindings);
      // Small programs are over before a worker would have woken.
      const led =
        pool !== null &&
        (!this.choice.brief || threads > 1) &&
        pool.lead({ program: this.threaded, args, threads, step: -1 }, settle);
      if (led) return;
      this.runHere(threads);
      settle();
    });
  }

  /** The whole program, with this thread as thread 0. */
  private runHere(threads: number): void {
    if (threads === 1) {
      try {
        this.runAll(this.args, 0, 1);
      } catch (error) {
        throw trapped(error);
      }
    } else this.machine.runThreads(this.threaded, this.args, threads, -1, () => this.runAll(this.args, 0, threads));
  }

  free(): void {
    if (this.freed) return;
    this.freed = true;
    this.machine.pool?.settle();
    this.machine.unload(
      this,
      this.program.kernels.reduce((sum, k) => sum + k.kernel.buffers.length * 4, 0),
    );
  }

  /** Puts bindings and addresses in place; returns the number of threads to run on. */
  private begin(bindings: readonly Binding[]): number {
    if (this.freed) throw new Error('internal: a program was run after it was freed');
    const { machine, program } = this;
    this.checkBindings(bindings);
    this.layOut(bindings);
    // Variables first: they may grow the memory, and views of it then change.
    for (let i = 0; i < bindings.length; i++) {
      const binding = bindings[i]!;
      if (!(binding instanceof Variable)) continue;
      const address = machine.reside(binding);
      if (address === this.leafAddresses[i]) continue;
      this.leafAddresses[i] = address;
      const { words } = machine.memory;
      for (const word of this.leafWords[i]!) words[word] = address;
    }
    const base = machine.workspace(this.workspaceBytes);
    if (base !== this.base) this.place(base);
    for (let i = 0; i < bindings.length; i++) {
      const binding = bindings[i]!;
      if (!(binding instanceof Variable)) machine.memory.write(base + this.leafOffsets[i]!, binding);
    }
    const { words } = machine.memory;
    if (program.failSites.length > 0) {
      words[CONTROL.failed / 4] = 0;
      words[CONTROL.failedAtBarrier / 4] = 0;
    }
    const threads = this.choice.next(machine.threads);
    return threads > 1 ? machine.pool!.available(threads, PATIENCE) : 1;
  }

  private checkBindings(bindings: readonly Binding[]): void {
    const { leaves } = this.program;
    if (bindings.length !== leaves.length)
      throw new Error(`internal: ${bindings.length} bindings came, expected ${leaves.length}`);
    for (let i = 0; i < leaves.length; i++) {
      const binding = bindings[i]!;
      const { elements } = leaves[i]!;
      if (!(binding instanceof Variable)) whole(binding, elements);
      else if (binding.size !== elements)
        throw new Error(`internal: binding ${i} has ${binding.size} elements, expected ${elements}`);
    }
  }

  /**
   * Decides where in the workspace host leaves, outputs and the arena stand, unless that is known from the last run.
   */
  private layOut(bindings: readonly Binding[]): void {
    const { staged, program } = this;
    if (staged && bindings.every((binding, i) => binding instanceof Variable !== staged[i])) return;
    this.staged = bindings.map(binding => !(binding instanceof Variable));
    let bytes = 0;
    const take = (elements: number, width: number): number => {
      const at = bytes;
      bytes += alignUp(elements * width);
      return at;
    };
    this.leafOffsets = program.leaves.map((leaf, i) =>
      this.staged![i] ? take(leaf.elements, bytesOf(leaf.dtype)) : -1,
    );
    this.outputOffsets = program.outputs.map(output => take(output.elements, bytesOf(output.dtype)));
    this.arenaOffset = bytes;
    this.workspaceBytes = bytes + alignUp(program.arenaBytes);
    this.base = -1;
    this.leafAddresses.fill(-1);
  }

  /** Writes every address that depends on where the workspace is. */
  private place(base: number): void {
    const { words } = this.machine.memory;
    const put = (list: readonly number[], address: number): void => {
      for (const word of list) words[word] = address;
    };
    for (const [i, offset] of this.leafOffsets.entries()) if (offset >= 0) put(this.leafWords[i]!, base + offset);
    for (const [i, offset] of this.outputOffsets.entries()) put(this.outputWords[i]!, base + offset);
    for (const [word, offset] of this.arenaWords) words[word] = base + this.arenaOffset + offset;
    this.base = base;
  }

  /** Runs kernel by kernel, each recorded as an event. */
  private runSteps(threads: number): void {
    const { machine, args } = this;
    const barrier = this.exports['barrier'] as (thread: number, threads: number) => void;
    const failed = (): boolean => Atomics.load(machine.memory.words, CONTROL.failed / 4) !== 0;
    for (const [step, placed] of this.program.kernels.entries()) {
      if (placed.commits && this.program.failSites.length > 0 && failed()) continue;
      const at = args + this.argsOffsets[step]!;
      const start = clock();
      const kernel = this.exports[`kernel${step}`] as Run;
      const thread0 = (): void => {
        kernel(at, 0, threads);
        barrier(0, threads);
      };
      if (threads === 1) thread0();
      else machine.runThreads(this.threaded, at, threads, step, thread0);
      record(placed.kernel.name, start, clock(), { threads, bytes: bytesTouched(placed) });
    }
  }

  /** Reads outputs and marks written variables, or throws what the error record says. */
  private finish(bindings: readonly Binding[]): HostArray[] {
    const { program, machine } = this;
    const { memory } = machine;
    if (program.failSites.length > 0 && memory.words[CONTROL.failed / 4] !== 0) {
      const site = program.failSites[memory.words[CONTROL.failSite / 4]!]!;
      const value = memory.longs[CONTROL.failValue / 8]!;
      throw new Error(failureText(site.what, value, site.size));
    }
    deviceWrote(bindings, this.written);
    return program.outputs.map((output, i) => {
      const host = hostArray(output.dtype, output.elements);
      memory.read(this.base + this.outputOffsets[i]!, host);
      return host;
    });
  }
}

const trapped = (cause: unknown): Error => new Error(`internal: a kernel trapped: ${cause}`, { cause });

/** Bytes of all buffers of all kernels. */
const bytesOfAll = (program: LoopProgram): number =>
  program.kernels.reduce((sum, placed) => sum + bytesTouched(placed), 0);

/** Bytes of all buffers of a kernel. */
const bytesTouched = ({ kernel }: PlacedKernel): number =>
  kernel.buffers.reduce((sum, b) => sum + b.elements * bytesOf(b.dtype), 0);
