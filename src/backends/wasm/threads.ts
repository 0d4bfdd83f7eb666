/**
 * Compute threads over the shared memory: worker_threads in Node, Workers in cross-origin-isolated browsers. The main
 * thread is thread 0 of every synchronous run; an asynchronous one is led by a worker instead. Knows control words and
 * modules, not programs' contents.
 */

import { availableProcessors, wantedThreads } from '../../compiler/processors.ts';
import { clock } from '../../launch/clock.ts';
import { CONTROL, MAX_THREADS } from './control.ts';
import type { LinearMemory } from './memory.ts';
import { BROWSER_WORKER, NODE_WORKER } from './worker-source.ts';

/** One program as the threads know it. */
export interface ThreadedProgram {
  readonly id: number;
  readonly module: WebAssembly.Module;
}

interface Command {
  readonly program: ThreadedProgram;
  /** Address of the args table. */
  readonly args: number;
  readonly threads: number;
  /** Kernel to run alone, or -1 for the whole program. */
  readonly step: number;
}

interface ComputeWorker {
  /** Hands over a module, or takes it back. */
  send(message: { readonly id: number; readonly module: WebAssembly.Module | null }): void;
  /** Browsers: starts a command. Node's workers find it in the control words. */
  start: ((command: { id: number; args: number; threads: number; step: number }) => void) | null;
  /** Whether the process waits for this worker. */
  hold(keepAlive: boolean): void;
  readonly known: Set<number>;
}

/** Looks before sleep; tens of microseconds. Threads that outnumber the cores give way at once. */
const SPINS = 20_000;
const CROWDED_SPINS = 50;

const word = (address: number): number => address >> 2;
const nodeThreads = () => globalThis.process?.getBuiltinModule?.('node:worker_threads');

/** The threads that are wanted; 1 where they cannot share memory. */
export const defaultThreads = (shared: boolean): number => (shared ? Math.min(wantedThreads(), MAX_THREADS) : 1);

export class ThreadPool {
  private readonly memory: LinearMemory;
  /** Worker 0 leads asynchronous runs and is started by the first of them. */
  private readonly workers: (ComputeWorker | undefined)[] = [];
  private readonly words: Int32Array;
  /** Milliseconds that runs will still wait for workers in all: one that cannot start must not slow every run. */
  private patience = 1000;
  private led: { readonly target: number; readonly finish: () => void } | null = null;

  constructor(memory: LinearMemory) {
    this.memory = memory;
    this.words = new Int32Array(memory.memory.buffer, 0, 1 << 14);
    this.words[word(CONTROL.mainMaySleep)] = nodeThreads() ? 1 : 0;
  }

  /** Starts workers so that `threads` threads will be there soon; they come up in the background. */
  prepare(threads: number): void {
    this.words[word(CONTROL.spins)] = threads > availableProcessors() ? CROWDED_SPINS : SPINS;
    for (let index = 1; index < threads; index++) this.workers[index] ??= this.spawn(index);
  }

  /**
   * How many of `threads` threads could run now: the main thread, and workers from the first on that are up. Waits for
   * workers that are just starting for up to `patience` milliseconds, where this thread may sleep.
   */
  available(threads: number, patience = 0): number {
    let count = 1;
    while (count < threads && (this.isUp(count) || this.awaitWorker(count, patience))) count++;
    return count;
  }

  private awaitWorker(index: number, patience: number): boolean {
    if (!this.words[word(CONTROL.mainMaySleep)] || Math.min(patience, this.patience) <= 0) return false;
    const start = clock();
    Atomics.wait(this.words, word(CONTROL.ready) + index, 0, Math.min(patience, this.patience));
    this.patience -= clock() - start;
    return this.isUp(index);
  }

  private isUp(index: number): boolean {
    return Atomics.load(this.words, word(CONTROL.ready) + index) === 1;
  }

  /** Starts a command on threads 1 to `threads` - 1. The caller plays thread 0 right after. */
  start(command: Command): void {
    for (let index = 1; index < command.threads; index++) this.introduce(index, command.program);
    this.issue(command, 0);
  }

  /**
   * Starts a command with worker 0 as thread 0. `finish` is called once, when it has run: from the event loop, or by
   * `settle`. False when that worker is not up yet.
   */
  lead(command: Command, finish: () => void): boolean {
    const leader = (this.workers[0] ??= this.spawn(0));
    if (!this.isUp(0)) return false;
    for (let index = 0; index < command.threads; index++) this.introduce(index, command.program);
    this.led = { target: Atomics.load(this.words, word(CONTROL.ledRuns)) + 1, finish };
    leader.hold(true);
    this.issue(command, 1);
    return true;
  }

  /** Waits for a led run that is under way. */
  settle(): void {
    if (!this.led) return;
    const at = word(CONTROL.ledRuns);
    for (;;) {
      const now = Atomics.load(this.words, at);
      if (now === this.led.target) break;
      if (this.words[word(CONTROL.mainMaySleep)]) Atomics.wait(this.words, at, now);
    }
    this.ledIsDone();
  }

  private ledIsDone(): void {
    const { led } = this;
    if (!led || Atomics.load(this.words, word(CONTROL.ledRuns)) !== led.target) return;
    this.led = null;
    this.workers[0]!.hold(false);
    led.finish();
  }

  /** Whether a thread has met an exception; the pool is of no use then. */
  get crashed(): boolean {
    return Atomics.load(this.words, word(CONTROL.crashed)) > 0;
  }

  /** Lets the threads forget a program. */
  forget(program: ThreadedProgram): void {
    for (const worker of this.workers)
      if (worker?.known.delete(program.id)) worker.send({ id: program.id, module: null });
  }

  private introduce(index: number, program: ThreadedProgram): void {
    const worker = this.workers[index]!;
    if (worker.known.has(program.id)) return;
    worker.known.add(program.id);
    worker.send({ id: program.id, module: program.module });
  }

  private issue(command: Command, led: 0 | 1): void {
    const { words } = this;
    const first = led ? 0 : 1;
    if (this.workers[first]!.start) {
      const message = { id: command.program.id, args: command.args, threads: command.threads, step: command.step };
      for (let index = first; index < command.threads; index++) this.workers[index]!.start!(message);
      return;
    }
    // Odd while the words change, so that a worker that is not part of the last command cannot read half of the next
    // one.
    Atomics.add(words, word(CONTROL.runs), 1);
    Atomics.store(words, word(CONTROL.program), command.program.id);
    Atomics.store(words, word(CONTROL.args), command.args);
    Atomics.store(words, word(CONTROL.threads), command.threads);
    Atomics.store(words, word(CONTROL.step), command.step);
    Atomics.store(words, word(CONTROL.led), led);
    Atomics.add(words, word(CONTROL.runs), 1);
    if (Atomics.load(words, word(CONTROL.asleep)) > 0) Atomics.notify(words, word(CONTROL.runs));
  }

  private spawn(index: number): ComputeWorker {
    const { memory } = this.memory;
    const threads = nodeThreads();
    if (threads) {
      const { port1, port2 } = new threads.MessageChannel();
      const worker = new threads.Worker(NODE_WORKER, {
        eval: true,
        workerData: { memory, index, port: port2 },
        transferList: [port2],
        execArgv: [],
        name: 'tenon',
      });
      worker.on('message', () => this.ledIsDone());
      // Last, because a listener takes a reference.
      worker.unref();
      port1.unref();
      return {
        send: message => port1.postMessage(message),
        start: null,
        hold: keepAlive => (keepAlive ? worker.ref() : worker.unref()),
        known: new Set(),
      };
    }
    const url = URL.createObjectURL(new Blob([BROWSER_WORKER], { type: 'text/javascript' }));
    const worker = new Worker(url, { name: 'tenon' });
    worker.onmessage = () => this.ledIsDone();
    worker.postMessage({ memory, index });
    return {
      send: message => worker.postMessage(message),
      start: command => worker.postMessage(command),
      hold: () => {},
      known: new Set(),
    };
  }
}
