/**
 * Worker threads on generated code: each waits for a run, takes its part if it has one, says so, and waits again.
 * Thread 0 is the caller, through `run`, or a thread of the event loop's pool, through `lead`. That pool may be held up
 * by others for as long as they like, so a run stands in the control words until a thread takes it: one that comes from
 * the pool, or the caller when it has to wait.
 */
import { CONTROL, HANDLE_BYTES, LED, MAX_THREADS } from './control.ts';
import type { Isa } from './isa.ts';
import { type Native, type NativeCall, PAGE } from './memory/native.ts';
import { waitingCode } from './system-code.ts';
import { NO_MORE, poolCode } from './thread-code.ts';

/** Calls of the pool at most that the event loop has not yet heard the end of: koffi refuses the 257th. */
const MOST_CALLS = 128;

/** A run that `lead` was given. */
interface Led {
  readonly code: number;
  readonly args: number;
  readonly threads: number;
  readonly done: () => void;
}

export class Threads {
  private readonly native: Native;
  private readonly control: number;
  private readonly workerAddress: number;
  /**
   * start(code, args, threads, 0) runs code(args, thread, threads) where there are so many threads; returns when all are
   * done. With one thread, what a small program calls itself.
   */
  readonly start: NativeCall;
  private readonly offerCode: NativeCall;
  private readonly takeCode: NativeCall;
  private readonly waitCode: NativeCall;
  private readonly readyCode: NativeCall;
  private readonly followAddress: number;
  /** What `lead` was given and nobody has waited for or been told of. */
  private led: Led | null = null;
  /**
   * Calls given to the pool so far, modulo 2^32 as `came` counts them, and those that the event loop has not heard the
   * end of.
   */
  private sent = 0;
  private calls = 0;
  private workers = 0;
  /** Threads that the system grants: fewer than are asked for where a limit of processes refuses one. */
  private most = MAX_THREADS;

  /** @param isa the most that code which waits is written with */
  constructor(native: Native, control: number, isa: Isa) {
    this.native = native;
    this.control = control;
    const waiting = waitingCode(native.functions, isa);
    const { address } = native.load(waiting.bytes);
    this.writeWords(
      CONTROL.wait,
      [waiting.wait, waiting.wake, waiting.yield].map(at => address + at),
    );
    const code = poolCode(control, native.ledgerAddress, native.functions.system);
    if (code.bytes.length > PAGE) throw new Error('internal: x86: the code of threads takes more than a page');
    const pages = native.loadOwned(code.bytes);
    this.workerAddress = pages.address + code.worker;
    this.start = native.callable(pages.address + code.start);
    this.offerCode = native.callable(pages.address + code.offer);
    this.takeCode = native.callable(pages.address + code.take);
    this.waitCode = native.callable(pages.address + code.wait);
    this.readyCode = native.callable(pages.address + code.ready);
    this.followAddress = pages.address + code.follow;
    const atEnd = native.atThreadEnd(pages.address + code.end, control);
    if (!atEnd) return;
    this.writeWords(CONTROL.endKey, [atEnd.key, atEnd.forget, atEnd.join, atEnd.unmap, pages.address]);
    const { windows } = atEnd;
    if (!windows) return;
    this.writeWords(CONTROL.startThread, [windows.start, windows.close]);
    this.writeWords(CONTROL.thisThread, [windows.thread, pages.address + code.reap]);
  }

  private writeWords(offset: number, values: readonly number[]): void {
    const words = BigInt64Array.from(values, BigInt);
    this.native.write(this.control + offset, new Uint8Array(words.buffer));
  }

  private writeCounts(offset: number, counts: readonly number[]): void {
    this.native.write(this.control + offset, new Uint8Array(Uint32Array.from(counts).buffer));
  }

  private word(offset: number): number {
    const bytes = new Uint8Array(4);
    this.native.read(bytes, this.control + offset);
    return new DataView(bytes.buffer).getUint32(0, true);
  }

  /**
   * Starts workers until `threads` can run at once, or as many as the system grants, and says how many; they live as
   * long as the thread they are started from.
   */
  private grow(threads: number): number {
    const wanted = Math.min(threads, this.most);
    if (this.workers >= wanted - 1) return wanted;
    const runs = this.word(CONTROL.runs);
    while (this.workers < wanted - 1) {
      const handle = this.native.startThread(this.workerAddress, this.workers + 1 + runs * 2 ** 16);
      if (handle === null) {
        this.most = this.workers + 1;
        const threads = this.most === 1 ? 'one thread' : `${this.most} threads`;
        console.error(`tenon: computing on ${threads}: x86: the system refuses more`);
        break;
      }
      const place = this.control + CONTROL.handles + this.workers * HANDLE_BYTES;
      this.native.write(place, new Uint8Array(BigUint64Array.of(handle).buffer));
      this.workers++;
    }
    this.writeCounts(CONTROL.workers, [this.workers]);
    return Math.min(wanted, this.workers + 1);
  }

  /** Runs code(args, thread, threads) on every thread; returns when all are done. */
  run(code: number, args: number, threads: number): void {
    this.start(code, args, threads === 1 ? 1 : this.grow(threads), 0);
  }

  /**
   * The same with a thread of the event loop's pool as thread 0, once it has one to spare. `done` is called from the
   * event loop, unless `wait` or another `lead` comes first. One run at a time: not while one `leads`.
   */
  lead(code: number, args: number, threads: number, done: () => void = () => {}): void {
    const granted = this.grow(threads);
    this.led = { code, args, threads: granted, done };
    this.offerCode(code, args, granted, 0);
    this.send();
  }

  /**
   * Has the pool call for what is on offer, unless it is going to: where it is held up, one call waits in it, however
   * many runs were taken back.
   */
  private send(): void {
    if (this.calls === MOST_CALLS || this.word(CONTROL.came) !== this.sent) return;
    this.takeCode.async(0, 0, 0, 0, () => this.called());
    this.calls++;
    this.sent = (this.sent + 1) % 2 ** 32;
  }

  /** A call of the pool is over: perhaps the run is, whichever call took it; perhaps one could not be sent for it. */
  private called(): void {
    this.calls--;
    const { led } = this;
    if (!led) return;
    const state = this.word(CONTROL.led);
    if (state === LED.offered) this.send();
    if (state !== LED.none) return;
    this.led = null;
    led.done();
  }

  /** Whether what was given to `lead` is still to be done or goes on. */
  get leads(): boolean {
    return this.word(CONTROL.led) !== LED.none;
  }

  /** Returns when what was given to `lead` is over. What no thread has begun on is run here. */
  wait(): void {
    const { led } = this;
    if (!led) return;
    if (this.waitCode(0, 0, 0, 0) !== 0) this.start(led.code, led.args, led.threads, 0);
    this.led = null;
  }

  /**
   * Has `lead`'s thread run steps as `ready` says that they are there, each on `threads`: `count` of them, as follow
   * reads them at `steps`. Until `finishSteps` or `stopSteps`.
   */
  follow(steps: number, count: number, threads: number): void {
    this.ready(0);
    this.writeCounts(CONTROL.begun, [0, count, this.grow(threads)]);
    this.lead(this.followAddress, steps, 1);
  }

  /** So many steps may be run from now on. */
  ready(count: number): void {
    this.readyCode(count, 0, 0, 0);
  }

  /** No further step begins; returns when the one that is being run is over. */
  stopSteps(): void {
    this.readyCode(NO_MORE, 0, 0, 0);
    this.wait();
  }

  /** The same, and this thread runs those that are left of all `count`, each on `threads`. */
  finishSteps(steps: number, count: number, threads: number): void {
    this.stopSteps();
    this.ready(count);
    this.writeCounts(CONTROL.stepThreads, [this.grow(threads)]);
    this.start(this.followAddress, steps, 1, 0);
  }
}
