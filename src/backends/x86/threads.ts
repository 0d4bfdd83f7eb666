/**
 * Worker threads on generated code: each waits for a run, takes its part if it has one, says so, and waits again. Thread 0 is the caller, through
 * `start`. Knows control words, not programs.
 */
import { Assembler, type Label, mem, R } from './assembler/assembler.ts';
import { CONTROL, CONTROL_BYTES, HANDLE_BYTES, MAX_THREADS } from './control.ts';
import { PRESERVED } from './emit.ts';
import type { Isa } from './isa.ts';
import { LEDGER_BYTES, LEDGER_ENTRY_BYTES } from './memory/ledger.ts';
import { type Native, type NativeCall, PAGE, pageAlign } from './memory/native.ts';
import { fetchAdd, futex } from './program-code.ts';
import { waitingCode } from './system-code.ts';

/** Looks at the word that counts runs before a worker sleeps: some 0.1 ms, as a pause takes 30 cycles. */
const SPINS = 10_000;

/** What the worker changes of what its caller wants kept; an odd number of them aligns the stack for calls. */
const WORKER_KEEPS = [R.rbx, R.r12, R.rbp] as const;

const LED = new Uint8Array(Uint32Array.of(1).buffer);

interface PoolCode {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly lead: number;
  readonly wait: number;
  readonly worker: number;
  readonly end: number;
}

function poolCode(control: number, ledger: number): PoolCode {
  const asm = new Assembler();
  const start = startCode(asm, control);
  const lead = leadCode(asm, control, start);
  const wait = waitCode(asm, control);
  const worker = workerCode(asm, control);
  const end = endCode(asm, control, ledger);
  const bytes = asm.finish();
  return { bytes, start: start.at, lead: lead.at, wait: wait.at, worker: worker.at, end: end.at };
}

/** start(program, args, threads): hands the run to the workers, plays thread 0 and returns when all workers are done with it. */
function startCode(asm: Assembler, control: number): Label {
  const start = asm.label();
  const alone = asm.label();
  const awake = asm.label();
  const check = asm.label();
  const over = asm.label();
  asm.bind(start);
  for (const r of PRESERVED) asm.push(r);
  asm.movImm(R.rcx, BigInt(control));
  asm.movStore(8, mem(R.rcx, CONTROL.program), R.rdi);
  asm.movStore(8, mem(R.rcx, CONTROL.args), R.rsi);
  asm.movStore(4, mem(R.rcx, CONTROL.threads), R.rdx);
  asm.mov(true, R.rbx, R.rdi);
  asm.mov(false, R.rbp, R.rdx);
  asm.aluImm('cmp', false, R.rdx, 1);
  asm.jump(alone, 'e');
  asm.movStoreImm32(mem(R.rcx, CONTROL.done), 0);
  fetchAdd(asm, CONTROL.runs, 1);
  asm.aluImm('cmp', false, mem(R.rcx, CONTROL.asleep), 0);
  asm.jump(awake, 'e');
  futex(asm, CONTROL.runs, false);
  asm.bind(awake);
  asm.bind(alone);
  asm.mov(true, R.rdi, R.rsi);
  asm.alu('xor', false, R.rsi, R.rsi);
  asm.mov(false, R.rdx, R.rbp);
  asm.callRegister(R.rbx);
  asm.aluImm('cmp', false, R.rbp, 1);
  asm.jump(over, 'e');
  asm.movImm(R.rbx, BigInt(control));
  asm.movImm(R.r12, BigInt(SPINS));
  asm.bind(check);
  asm.mov(false, R.rax, mem(R.rbx, CONTROL.workers));
  asm.alu('cmp', false, R.rax, mem(R.rbx, CONTROL.done));
  asm.jump(over, 'e');
  asm.plain('pause');
  asm.aluImm('sub', false, R.r12, 1);
  asm.jump(check, 'ne');
  // A worker that was not scheduled gets this core.
  asm.mov(true, R.rax, mem(R.rbx, CONTROL.yield));
  asm.callRegister(R.rax);
  asm.movImm(R.r12, 100n);
  asm.jump(check);
  asm.bind(over);
  for (const r of PRESERVED.toReversed()) asm.pop(r);
  asm.plain('ret');
  return start;
}

/** lead(program, args, threads): the same on a thread of its own, after which the word `led` is 0 again. */
function leadCode(asm: Assembler, control: number, start: Label): Label {
  const lead = asm.label();
  asm.bind(lead);
  asm.call(start);
  asm.movImm(R.rcx, BigInt(control));
  asm.movStoreImm32(mem(R.rcx, CONTROL.led), 0);
  futex(asm, CONTROL.led, false);
  asm.plain('ret');
  return lead;
}

/** wait(): returns once `led` is 0. */
function waitCode(asm: Assembler, control: number): Label {
  const wait = asm.label();
  const stillLed = asm.label();
  const ended = asm.label();
  asm.bind(wait);
  asm.movImm(R.rcx, BigInt(control));
  asm.bind(stillLed);
  asm.aluImm('cmp', false, mem(R.rcx, CONTROL.led), 0);
  asm.jump(ended, 'e');
  asm.movImm(R.rdx, 1n);
  futex(asm, CONTROL.led, true);
  asm.jump(stillLed);
  asm.bind(ended);
  asm.plain('ret');
  return wait;
}

/** worker(index): until `end`; `index` has the count of runs so far above its 16 low bits. */
function workerCode(asm: Assembler, control: number): Label {
  const worker = asm.label();
  const again = asm.label();
  const look = asm.label();
  const sleep = asm.label();
  const woken = asm.label();
  const go = asm.label();
  const done = asm.label();
  const leave = asm.label();
  asm.bind(worker);
  for (const r of WORKER_KEEPS) asm.push(r);
  asm.movExtend('zx16', R.rbx, R.rdi);
  asm.mov(true, R.r12, R.rdi);
  asm.shiftImm('shr', true, R.r12, 16);
  asm.bind(again);
  asm.movImm(R.rcx, BigInt(control));
  asm.movImm(R.rax, BigInt(SPINS));
  asm.bind(look);
  asm.alu('cmp', false, R.r12, mem(R.rcx, CONTROL.runs));
  asm.jump(go, 'ne');
  asm.plain('pause');
  asm.aluImm('sub', false, R.rax, 1);
  asm.jump(look, 'ne');
  fetchAdd(asm, CONTROL.asleep, 1);
  asm.bind(sleep);
  asm.alu('cmp', false, R.r12, mem(R.rcx, CONTROL.runs));
  asm.jump(woken, 'ne');
  asm.mov(false, R.rdx, R.r12);
  futex(asm, CONTROL.runs, true);
  asm.jump(sleep);
  asm.bind(woken);
  fetchAdd(asm, CONTROL.asleep, -1);
  asm.bind(go);
  asm.aluImm('cmp', false, mem(R.rcx, CONTROL.over), 0);
  asm.jump(leave, 'ne');
  asm.aluImm('add', false, R.r12, 1);
  asm.alu('cmp', false, R.rbx, mem(R.rcx, CONTROL.threads));
  asm.jump(done, 'ae');
  asm.mov(true, R.rdi, mem(R.rcx, CONTROL.args));
  asm.mov(false, R.rsi, R.rbx);
  asm.mov(false, R.rdx, mem(R.rcx, CONTROL.threads));
  asm.mov(true, R.rax, mem(R.rcx, CONTROL.program));
  asm.callRegister(R.rax);
  asm.bind(done);
  asm.movImm(R.rcx, BigInt(control));
  fetchAdd(asm, CONTROL.done, 1);
  asm.jump(again);
  asm.bind(leave);
  for (const r of WORKER_KEEPS.toReversed()) asm.pop(r);
  asm.plain('ret');
  return worker;
}

/**
 * end(control): called on the thread that handed out runs as it ends: lets all workers end, and gives back what the thread held. Once they have ended
 * nobody else runs this thread's code. The last to go is the page this is on: the system's function returns to the caller.
 */
function endCode(asm: Assembler, control: number, ledger: number): Label {
  const end = asm.label();
  const [nextWorker, ended, nextPages, given] = Array.from({ length: 4 }, () => asm.label());
  const callAt = (offset: number): void => {
    asm.mov(true, R.rax, mem(R.rbx, offset));
    asm.callRegister(R.rax);
  };
  asm.bind(end);
  for (const r of WORKER_KEEPS) asm.push(r);
  asm.movImm(R.rbx, BigInt(control));
  asm.mov(true, R.rcx, R.rbx);
  asm.movStoreImm32(mem(R.rcx, CONTROL.over), 1);
  fetchAdd(asm, CONTROL.runs, 1);
  futex(asm, CONTROL.runs, false);

  asm.mov(false, R.rbp, mem(R.rbx, CONTROL.workers));
  asm.lea(R.r12, mem(R.rbx, CONTROL.handles));
  asm.bind(nextWorker!);
  asm.aluImm('sub', false, R.rbp, 1);
  asm.jump(ended!, 'b');
  asm.mov(true, R.rdi, mem(R.r12));
  asm.alu('xor', false, R.rsi, R.rsi);
  callAt(CONTROL.join);
  asm.aluImm('add', true, R.r12, HANDLE_BYTES);
  asm.jump(nextWorker!);
  asm.bind(ended!);
  asm.mov(true, R.rdi, mem(R.rbx, CONTROL.endKey));
  callAt(CONTROL.forgetEnd);

  asm.movImm(R.r12, BigInt(ledger));
  asm.bind(nextPages!);
  asm.mov(true, R.rdi, mem(R.r12));
  asm.aluImm('cmp', true, R.rdi, 0);
  asm.jump(given!, 'e');
  asm.mov(true, R.rsi, mem(R.r12, 8));
  callAt(CONTROL.unmap);
  asm.aluImm('add', true, R.r12, LEDGER_ENTRY_BYTES);
  asm.jump(nextPages!);
  asm.bind(given!);
  asm.movImm(R.rdi, BigInt(ledger));
  asm.movImm(R.rsi, BigInt(LEDGER_BYTES));
  callAt(CONTROL.unmap);

  asm.mov(true, R.r12, mem(R.rbx, CONTROL.poolCode));
  asm.mov(true, R.rbp, mem(R.rbx, CONTROL.unmap));
  asm.mov(true, R.rdi, R.rbx);
  asm.movImm(R.rsi, BigInt(pageAlign(CONTROL_BYTES)));
  asm.callRegister(R.rbp);
  asm.mov(true, R.rdi, R.r12);
  asm.movImm(R.rsi, BigInt(PAGE));
  asm.mov(true, R.rax, R.rbp);
  for (const r of WORKER_KEEPS.toReversed()) asm.pop(r);
  asm.push(R.rax);
  asm.plain('ret');
  return end;
}

export class Threads {
  private readonly native: Native;
  private readonly control: number;
  private readonly workerAddress: number;
  private readonly startCode: NativeCall;
  private readonly leadCode: NativeCall;
  private readonly waitCode: NativeCall;
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
    const code = poolCode(control, native.ledgerAddress);
    if (code.bytes.length > PAGE) throw new Error('internal: x86: the code of threads takes more than a page');
    const pages = native.loadOwned(code.bytes);
    this.workerAddress = pages.address + code.worker;
    this.startCode = native.callable(pages.address + code.start);
    this.leadCode = native.callable(pages.address + code.lead);
    this.waitCode = native.callable(pages.address + code.wait);
    const atEnd = native.atThreadEnd(pages.address + code.end, control);
    if (atEnd) this.writeWords(CONTROL.endKey, [atEnd.key, atEnd.forget, atEnd.join, atEnd.unmap, pages.address]);
  }

  private writeWords(offset: number, values: readonly number[]): void {
    const words = BigInt64Array.from(values, BigInt);
    this.native.write(this.control + offset, new Uint8Array(words.buffer));
  }

  /** Starts workers until `threads` can run at once, or as many as the system grants, and says how many; they live as long as the thread they are started from. */
  private grow(threads: number): number {
    const wanted = Math.min(threads, this.most);
    if (this.workers >= wanted - 1) return wanted;
    const word = new Uint8Array(4);
    this.native.read(word, this.control + CONTROL.runs);
    const runs = new DataView(word.buffer).getUint32(0, true);
    while (this.workers < wanted - 1) {
      const handle = this.native.startThread(this.workerAddress, this.workers + 1 + runs * 2 ** 16);
      if (handle === null) {
        this.most = this.workers + 1;
        console.error(`tenon: computing on ${this.most} of ${wanted} threads: x86: the system refuses more`);
        break;
      }
      const place = this.control + CONTROL.handles + this.workers * HANDLE_BYTES;
      this.native.write(place, new Uint8Array(BigUint64Array.of(handle).buffer));
      this.workers++;
    }
    this.native.write(this.control + CONTROL.workers, new Uint8Array(Uint32Array.of(this.workers).buffer));
    return Math.min(wanted, this.workers + 1);
  }

  /** Runs code(args, thread, threads) on every thread; returns when all are done. */
  run(code: number, args: number, threads: number): void {
    this.startCode(code, args, this.grow(threads), 0);
  }

  /** The same with a thread of the event loop's pool as thread 0; `done` is called from the event loop. */
  lead(code: number, args: number, threads: number, done: () => void): void {
    const granted = this.grow(threads);
    this.native.write(this.control + CONTROL.led, LED);
    this.leadCode.async(code, args, granted, 0, done);
  }

  /** Whether what `lead` started goes on. */
  get leads(): boolean {
    const word = new Uint8Array(4);
    this.native.read(word, this.control + CONTROL.led);
    return word[0] !== 0;
  }

  /** Returns when what `lead` started is over. */
  wait(): void {
    this.waitCode(0, 0, 0, 0);
  }
}
