/**
 * What threads run: how a run is handed to workers and played as thread 0 (`start`), left to a thread of the event
 * loop's pool and taken by it or taken back (`offer`, `take`, `wait`), how steps are run as they become ready
 * (`follow`, `ready`). How threads end is in thread-end.ts. Knows control words, not programs; threads.ts calls it.
 */
import { Assembler } from './assembler/assembler.ts';
import { type Label, mem, R } from './assembler/operands.ts';
import { CONTROL, LED } from './control.ts';
import { PRESERVED } from './emit.ts';
import { fetchAdd, futex } from './program-code.ts';
import type { SystemFunctions } from './system-code.ts';
import { endCode, endOnWindows, reapCode, WORKER_KEEPS } from './thread-end.ts';

/** Looks at the word that counts runs before a worker sleeps: some 0.1 ms, as a pause takes 30 cycles. */
const SPINS = 10_000;

/**
 * What `follow` is told of a step, in words of eight bytes: its kernel, its addresses, and whether it is left out once
 * something has failed.
 */
export const STEP_BYTES = 24;

/** What `ready` says where no further step is to begin. */
export const NO_MORE = -1;

/** The code of threads, and where its functions are in it. */
interface PoolCode {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly offer: number;
  readonly take: number;
  readonly wait: number;
  readonly follow: number;
  readonly ready: number;
  readonly worker: number;
  readonly end: number;
  /** What Windows' end leaves to a thread of its own; `end` elsewhere. */
  readonly reap: number;
}

export function poolCode(control: number, ledger: number, system: SystemFunctions['system']): PoolCode {
  const asm = new Assembler();
  const start = startCode(asm, control);
  const offer = offerCode(asm, control);
  const take = takeCode(asm, control, start);
  const wait = waitCode(asm, control);
  const follow = followCode(asm, control, start);
  const ready = readyCode(asm, control);
  const worker = workerCode(asm, control);
  const end = system === 'win32' ? endOnWindows(asm, control) : endCode(asm, control, ledger);
  const reap = system === 'win32' ? reapCode(asm, ledger) : end;
  const bytes = asm.finish();
  return {
    bytes,
    start: start.at,
    offer: offer.at,
    take: take.at,
    wait: wait.at,
    follow: follow.at,
    ready: ready.at,
    worker: worker.at,
    end: end.at,
    reap: reap.at,
  };
}

/**
 * start(program, args, threads): hands the run to the workers, plays thread 0 and returns when all workers are done
 * with it.
 */
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

/**
 * offer(program, args, threads): leaves a run to whoever takes it; there must be none. Who looks at `came` afterwards
 * knows whether a call is still to come that sees it.
 */
function offerCode(asm: Assembler, control: number): Label {
  const offer = asm.label();
  asm.bind(offer);
  asm.movImm(R.rcx, BigInt(control));
  asm.movStore(8, mem(R.rcx, CONTROL.ledProgram), R.rdi);
  asm.movStore(8, mem(R.rcx, CONTROL.ledArgs), R.rsi);
  asm.movStore(4, mem(R.rcx, CONTROL.ledThreads), R.rdx);
  fetchAdd(asm, CONTROL.led, LED.offered - LED.none);
  asm.plain('ret');
  return offer;
}

/** [rcx + led] = to if it was `offered`; the flag `ne` says that it was not. */
function claim(asm: Assembler, to: number): void {
  asm.movImm(R.rax, BigInt(LED.offered));
  asm.movImm(R.rdx, BigInt(to));
  asm.locked('cmpxchg', mem(R.rcx, CONTROL.led), R.rdx);
}

/**
 * take(): runs what is on offer, if anything is. A call that comes late touches nothing but control words: what it was
 * meant for may be gone.
 */
function takeCode(asm: Assembler, control: number, start: Label): Label {
  const take = asm.label();
  const nothing = asm.label();
  asm.bind(take);
  asm.movImm(R.rcx, BigInt(control));
  fetchAdd(asm, CONTROL.came, 1);
  claim(asm, LED.begun);
  asm.jump(nothing, 'ne');
  asm.mov(true, R.rdi, mem(R.rcx, CONTROL.ledProgram));
  asm.mov(true, R.rsi, mem(R.rcx, CONTROL.ledArgs));
  asm.mov(false, R.rdx, mem(R.rcx, CONTROL.ledThreads));
  asm.call(start);
  asm.movImm(R.rcx, BigInt(control));
  asm.movStoreImm32(mem(R.rcx, CONTROL.led), LED.none);
  futex(asm, CONTROL.led, false);
  asm.bind(nothing);
  asm.plain('ret');
  return take;
}

/** wait(): 0 once the run is over, or at once 1 where no thread had begun on it: it is taken back. */
function waitCode(asm: Assembler, control: number): Label {
  const [wait, look, sleep, over] = Array.from({ length: 4 }, () => asm.label());
  asm.bind(wait!);
  asm.movImm(R.rcx, BigInt(control));
  asm.bind(look!);
  asm.mov(false, R.rdx, mem(R.rcx, CONTROL.led));
  asm.aluImm('cmp', false, R.rdx, LED.none);
  asm.jump(over!, 'e');
  asm.aluImm('cmp', false, R.rdx, LED.begun);
  asm.jump(sleep!, 'e');
  claim(asm, LED.none);
  asm.jump(look!, 'ne');
  asm.movImm(R.rax, 1n);
  asm.plain('ret');
  asm.bind(sleep!);
  futex(asm, CONTROL.led, true);
  asm.jump(look!);
  asm.bind(over!);
  asm.alu('xor', false, R.rax, R.rax);
  asm.plain('ret');
  return wait!;
}

/**
 * follow(steps): a program for one thread that runs steps in order, each on `stepThreads`, from `begun` on: whatever is
 * ready, then it waits for more, until all have run or no further one is to begin.
 */
function followCode(asm: Assembler, control: number, start: Label): Label {
  const follow = asm.label();
  const [next, look, sleep, go, run, skip, over] = Array.from({ length: 7 }, () => asm.label());
  asm.bind(follow);
  for (const r of PRESERVED) asm.push(r);
  asm.movImm(R.rcx, BigInt(control));
  asm.mov(false, R.rbp, mem(R.rcx, CONTROL.begun));
  asm.imulImm(true, R.rbx, R.rbp, STEP_BYTES);
  asm.alu('add', true, R.rbx, R.rdi);
  asm.bind(next!);
  asm.movImm(R.rcx, BigInt(control));
  asm.alu('cmp', false, R.rbp, mem(R.rcx, CONTROL.steps));
  asm.jump(over!, 'e');
  asm.movImm(R.rax, BigInt(SPINS));
  asm.bind(look!);
  asm.mov(false, R.rdx, mem(R.rcx, CONTROL.ready));
  asm.alu('cmp', false, R.rdx, R.rbp);
  asm.jump(go!, 'g');
  asm.jump(over!, 'l');
  asm.plain('pause');
  asm.aluImm('sub', false, R.rax, 1);
  asm.jump(look!, 'ne');
  asm.bind(sleep!);
  futex(asm, CONTROL.ready, true);
  asm.movImm(R.rax, 1n);
  asm.jump(look!);
  asm.bind(go!);
  asm.aluImm('cmp', false, mem(R.rbx, 16), 0);
  asm.jump(run!, 'e');
  asm.aluImm('cmp', false, mem(R.rcx, CONTROL.failed), 0);
  asm.jump(skip!, 'ne');
  asm.bind(run!);
  asm.mov(true, R.rdi, mem(R.rbx));
  asm.mov(true, R.rsi, mem(R.rbx, 8));
  asm.mov(false, R.rdx, mem(R.rcx, CONTROL.stepThreads));
  asm.call(start);
  asm.bind(skip!);
  asm.aluImm('add', false, R.rbp, 1);
  asm.aluImm('add', true, R.rbx, STEP_BYTES);
  asm.movImm(R.rcx, BigInt(control));
  asm.movStore(4, mem(R.rcx, CONTROL.begun), R.rbp);
  asm.jump(next!);
  asm.bind(over!);
  asm.plain('vzeroupper');
  for (const r of PRESERVED.toReversed()) asm.pop(r);
  asm.plain('ret');
  return follow;
}

/** ready(count): so many steps may run from now on, or NO_MORE. */
function readyCode(asm: Assembler, control: number): Label {
  const ready = asm.label();
  asm.bind(ready);
  asm.movImm(R.rcx, BigInt(control));
  asm.movStore(4, mem(R.rcx, CONTROL.ready), R.rdi);
  futex(asm, CONTROL.ready, false);
  asm.plain('ret');
  return ready;
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
