/**
 * A whole LoopProgram as one WebAssembly module: every distinct kernel once, a barrier, the error record, and
 * `run(args, thread, threads)`, which every thread calls. `kernel0`, `kernel1`, ... run one step alone. Knows where
 * control words are, not who the threads are.
 */
import type { LoopKernel } from '../../compiler/loops.ts';
import { CONTROL, MAX_PAGES } from './control.ts';
import { type EmittedFunction, emitKernel } from './emit.ts';
import { encodeModule, type FunctionBody, type FunctionType } from './encoder.ts';
import { FunctionWriter } from './function-writer.ts';
import { ATOMIC, OP } from './opcodes.ts';

const KERNEL_TYPE = 0;
const BARRIER_TYPE = 1;
const FAIL_TYPE = 2;
const TYPES: readonly FunctionType[] = [
  { params: ['i32', 'i32', 'i32'], results: [] },
  { params: ['i32', 'i32'], results: [] },
  { params: ['i32', 'i64'], results: [] },
];

const BARRIER = 0;
const FAIL = 1;
const FIRST_KERNEL = 2;

/** What a module may rely on. */
interface ModuleOptions {
  readonly relaxedMadd: boolean;
  /** Whether the memory is shared, and its declared maximum in pages when it is. */
  readonly shared: boolean;
  readonly maximumPages?: number;
}

/** A kernel and how it stands among the others of its program. */
export interface Step {
  readonly kernel: LoopKernel;
  readonly barrierBefore: boolean;
  readonly commits: boolean;
}

interface ProgramModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Byte offset in the args table of each step's addresses, one 32-bit word per kernel buffer. */
  readonly argsOffsets: readonly number[];
  /** Bytes of the args table. */
  readonly argsBytes: number;
  /** Estimated instructions that one thread would execute. */
  readonly work: number;
}

function function_(type: number, w: FunctionWriter): FunctionBody {
  return { type, locals: w.locals, code: w.code.view() };
}

/** Pushes the word at a control address, read atomically. */
function atomicLoad(w: FunctionWriter, address: number): void {
  w.i32(0);
  w.atomic(ATOMIC.i32Load, address);
}

/** Adds to the word at a control address; the old value is pushed. */
function atomicAdd(w: FunctionWriter, address: number, op: number = ATOMIC.i32RmwAdd): void {
  w.i32(0);
  w.i32(1);
  w.atomic(op, address);
}

/**
 * barrier(thread, threads): the last to arrive opens it. The others look `spins` times, then sleep on the word that
 * counts openings. A sleeper announces itself before it sleeps, and sleeps only if the count has not moved, so it
 * cannot be missed.
 */
function barrierFunction(shared: boolean): FunctionBody {
  const w = new FunctionWriter(2);
  const [thread, threads] = [0, 1];
  w.get(threads);
  w.i32(1);
  w.op(OP.i32Eq);
  w.open(OP.if);
  keepFailures(w);
  w.op(OP.return);
  w.end();
  if (shared) {
    const before = w.allocate('i32');
    const looks = w.allocate('i32');
    atomicLoad(w, CONTROL.opened);
    w.set(before);
    openIfLast(w, threads);
    lookForOpening(w, thread, before, looks);
    sleepUntilOpened(w, before);
  }
  return function_(BARRIER_TYPE, w);
}

/** Whether anything has failed so far, as it is at this barrier. */
function keepFailures(w: FunctionWriter): void {
  w.i32(0);
  atomicLoad(w, CONTROL.failed);
  w.memory(OP.i32Store, 2, CONTROL.failedAtBarrier);
}

/** Arrives; the last thread to do so opens the barrier, wakes who sleeps and returns. */
function openIfLast(w: FunctionWriter, threads: number): void {
  atomicAdd(w, CONTROL.arrived);
  w.i32(1);
  w.op(OP.i32Add);
  w.get(threads);
  w.op(OP.i32Eq);
  w.open(OP.if);
  w.i32(0);
  w.i32(0);
  w.atomic(ATOMIC.i32Store, CONTROL.arrived);
  keepFailures(w);
  atomicAdd(w, CONTROL.opened);
  w.op(OP.drop);
  atomicLoad(w, CONTROL.sleepers);
  w.open(OP.if);
  w.i32(0);
  w.i32(-1);
  w.atomic(ATOMIC.notify, CONTROL.opened);
  w.op(OP.drop);
  w.end();
  w.op(OP.return);
  w.end();
}

/** Looks `spins` times whether the barrier has opened since `before`, and returns if so. */
function lookForOpening(w: FunctionWriter, thread: number, before: number, looks: number): void {
  w.i32(0);
  w.memory(OP.i32Load, 2, CONTROL.spins);
  w.set(looks);
  w.open(OP.loop);
  atomicLoad(w, CONTROL.opened);
  w.get(before);
  w.op(OP.i32Ne);
  w.open(OP.if);
  w.op(OP.return);
  w.end();
  w.get(looks);
  w.i32(1);
  w.op(OP.i32Sub);
  w.tee(looks);
  w.branch(OP.brIf, 0);
  // Thread 0 of a browser must not sleep: it goes on looking.
  w.get(thread);
  w.i32(0);
  w.memory(OP.i32Load, 2, CONTROL.mainMaySleep);
  w.op(OP.i32Or);
  w.op(OP.i32Eqz);
  w.branch(OP.brIf, 0);
  w.end();
}

function sleepUntilOpened(w: FunctionWriter, before: number): void {
  atomicAdd(w, CONTROL.sleepers);
  w.op(OP.drop);
  w.open(OP.loop);
  w.i32(0);
  w.get(before);
  w.i64(-1n);
  w.atomic(ATOMIC.wait32, CONTROL.opened);
  w.op(OP.drop);
  atomicLoad(w, CONTROL.opened);
  w.get(before);
  w.op(OP.i32Eq);
  w.branch(OP.brIf, 0);
  w.end();
  atomicAdd(w, CONTROL.sleepers, ATOMIC.i32RmwSub);
  w.op(OP.drop);
}

/** fail(site, value): the first failure of a run keeps the record. */
function failFunction(): FunctionBody {
  const w = new FunctionWriter(2);
  const [site, value] = [0, 1];
  w.i32(0);
  w.i32(0);
  w.i32(1);
  w.atomic(ATOMIC.i32RmwCmpxchg, CONTROL.failed);
  w.op(OP.i32Eqz);
  w.open(OP.if);
  w.i32(0);
  w.get(site);
  w.memory(OP.i32Store, 2, CONTROL.failSite);
  w.i32(0);
  w.get(value);
  w.memory(OP.i64Store, 3, CONTROL.failValue);
  w.end();
  return function_(FAIL_TYPE, w);
}

interface PooledKernel {
  /** Function index. */
  readonly func: number;
  readonly emitted: EmittedFunction;
}

/** Kernels by their code, so that equal ones (layers of one shape) are compiled once. */
class KernelPool {
  readonly functions: FunctionBody[] = [];
  private readonly byBody = new Map<LoopKernel['body'], PooledKernel>();
  private readonly byHash = new Map<number, PooledKernel[]>();
  private readonly relaxedMadd: boolean;

  constructor(relaxedMadd: boolean) {
    this.relaxedMadd = relaxedMadd;
  }

  of(kernel: LoopKernel): PooledKernel {
    const known = this.byBody.get(kernel.body);
    if (known) return known;
    const emitted = emitKernel(kernel, { barrier: BARRIER, fail: FAIL, relaxedMadd: this.relaxedMadd });
    const hash = hashOf(emitted.code);
    const twins = this.byHash.get(hash) ?? [];
    let pooled = twins.find(
      twin => equalBytes(twin.emitted.code, emitted.code) && equalBytes(twin.emitted.locals, emitted.locals),
    );
    if (!pooled) {
      this.functions.push({ type: KERNEL_TYPE, locals: emitted.locals, code: emitted.code });
      pooled = { func: FIRST_KERNEL + this.functions.length - 1, emitted };
      twins.push(pooled);
      this.byHash.set(hash, twins);
    }
    this.byBody.set(kernel.body, pooled);
    return pooled;
  }
}

/** FNV-1a. */
function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

function equalBytes(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The module of a program. */
export function emitProgram(steps: readonly Step[], options: ModuleOptions): ProgramModule {
  const pool = new KernelPool(options.relaxedMadd);
  const w = new FunctionWriter(3);
  const [args, thread, threads] = [0, 1, 2];
  const argsOffsets: number[] = [];
  const exports: [string, number][] = [];
  let argsBytes = 0;
  let work = 0;
  // Threads agree on whether something failed only through a barrier: one must stand between a failing kernel and a
  // commit.
  let failures = false;
  let undecided = false;
  const barrier = (): void => {
    w.get(thread);
    w.get(threads);
    w.call(BARRIER);
    undecided = false;
  };
  for (const [k, step] of steps.entries()) {
    argsOffsets.push(argsBytes);
    if (step.barrierBefore || (step.commits && undecided)) barrier();
    const guarded = step.commits && failures;
    if (guarded) {
      w.i32(0);
      w.memory(OP.i32Load, 2, CONTROL.failedAtBarrier);
      w.op(OP.i32Eqz);
      w.open(OP.if);
    }
    const { func, emitted } = pool.of(step.kernel);
    w.get(args);
    if (argsBytes > 0) {
      w.i32(argsBytes);
      w.op(OP.i32Add);
    }
    w.get(thread);
    w.get(threads);
    w.call(func);
    if (guarded) w.end();
    work += emitted.work;
    if (emitted.fails) {
      failures = true;
      undecided = true;
    }
    argsBytes += step.kernel.buffers.length * 4;
    exports.push([`kernel${k}`, func]);
  }
  barrier();
  const functions = [barrierFunction(options.shared), failFunction(), ...pool.functions, function_(KERNEL_TYPE, w)];
  exports.push(['run', functions.length - 1], ['barrier', BARRIER]);
  const bytes = encodeModule({
    types: TYPES,
    memory: {
      minimum: 1,
      maximum: options.shared ? (options.maximumPages ?? MAX_PAGES) : undefined,
      shared: options.shared,
    },
    functions,
    exports,
  });
  return { bytes, argsOffsets, argsBytes, work };
}
