/**
 * Code that differs between operating systems: how a thread sleeps and is woken, and what stands between the system's
 * calling convention and that of generated code, which is System V's everywhere. Knows conventions and system functions
 * by address; programs reach them through control words. Windows' is run under Wine (tests/windows) and, as far as that
 * goes, on Linux (tests/backends/x86/systems.test.ts); what macOS takes is checked by its text.
 */
import { Assembler } from './assembler/assembler.ts';
import { mem, R } from './assembler/operands.ts';
import type { Isa } from './isa.ts';

/** The functions that sleep, wake and yield, by address; Linux has system calls instead. */
export type SystemFunctions =
  | { readonly system: 'linux' }
  | { readonly system: 'darwin' | 'win32'; readonly wait: number; readonly wake: number; readonly yield: number };

interface WaitingCode {
  readonly bytes: Uint8Array;
  /**
   * wait(address in rdi, value in edx): sleeps while the word there is `edx`. Byte offset; keeps every register but
   * rax, as the others do.
   */
  readonly wait: number;
  /** wake(address in rdi): wakes all who sleep there. */
  readonly wake: number;
  /** yield(): gives the core away. */
  readonly yield: number;
}

const FUTEX = 202n;
const FUTEX_WAIT_PRIVATE = 128n;
const FUTEX_WAKE_PRIVATE = 129n;
const SCHED_YIELD = 24n;
const EVERYBODY = 0x7fffffffn;
/** Darwin, bsd/sys/ulock.h: UL_COMPARE_AND_WAIT, and with ULF_WAKE_ALL. */
const ULOCK_WAIT = 1n;
const ULOCK_WAKE_ALL = 0x101n;
const INFINITE = 0xffffffffn;
/** What Windows' convention reserves below the return address for the callee. */
export const SHADOW = 32;

/** What a function of the C convention may change, and generated code expects to be kept. */
const SCRATCH = [R.rcx, R.rdx, R.rsi, R.rdi, R.r8, R.r9, R.r10, R.r11] as const;
const PAGE = 4096;
/** A kernel's frame may pass the page that makes Windows' stack grow: so many pages are touched in order before. */
const FRAME_PAGES = 16;

export function waitingCode(functions: SystemFunctions, isa: Isa, asm: Assembler = new Assembler()): WaitingCode {
  const [wait, wake, yieldLabel] = [asm.label(), asm.label(), asm.label()];
  const calls = functions.system === 'linux' ? linuxCalls(asm) : libraryCalls(functions, isa, asm);
  for (const [label, write] of [
    [wait, calls.wait],
    [wake, calls.wake],
    [yieldLabel, calls.yield],
  ] as const) {
    asm.bind(label);
    write();
    asm.plain('ret');
  }
  const bytes = asm.finish();
  return { bytes, wait: wait.at, wake: wake.at, yield: yieldLabel.at };
}

interface Calls {
  wait(): void;
  wake(): void;
  yield(): void;
}

function linuxCalls(asm: Assembler): Calls {
  const call = (number: bigint, operation: bigint, count?: bigint): void => {
    const saved = [R.rdi, R.rsi, R.rdx, R.rcx, R.r10, R.r11];
    for (const r of saved) asm.push(r);
    asm.movImm(R.rsi, operation);
    if (count !== undefined) asm.movImm(R.rdx, count);
    asm.movImm(R.r10, 0n);
    asm.movImm(R.rax, number);
    asm.plain('syscall');
    for (const r of saved.toReversed()) asm.pop(r);
  };
  return {
    wait: () => call(FUTEX, FUTEX_WAIT_PRIVATE),
    wake: () => call(FUTEX, FUTEX_WAKE_PRIVATE, EVERYBODY),
    yield: () => call(SCHED_YIELD, 0n),
  };
}

function libraryCalls(functions: Exclude<SystemFunctions, { system: 'linux' }>, isa: Isa, asm: Assembler): Calls {
  const call = (address: number, give: () => void): void =>
    keepingAll(asm, isa, () => {
      give();
      asm.movImm(R.rax, BigInt(address));
      asm.callRegister(R.rax);
    });
  if (functions.system === 'darwin') {
    const ulock = (operation: bigint): void => {
      asm.mov(true, R.rsi, R.rdi);
      asm.movImm(R.rdi, operation);
      asm.mov(false, R.rdx, R.rdx);
      // No timeout.
      asm.movImm(R.rcx, 0n);
    };
    return {
      wait: () => call(functions.wait, () => ulock(ULOCK_WAIT)),
      wake: () => call(functions.wake, () => ulock(ULOCK_WAKE_ALL)),
      yield: () => call(functions.yield, () => {}),
    };
  }
  return {
    wait: () =>
      call(functions.wait, () => {
        // What it compares with is in memory.
        asm.movStore(4, mem(R.rsp, SHADOW), R.rdx);
        asm.mov(true, R.rcx, R.rdi);
        asm.lea(R.rdx, mem(R.rsp, SHADOW));
        asm.movImm(R.r8, 4n);
        asm.movImm(R.r9, INFINITE);
      }),
    wake: () => call(functions.wake, () => asm.mov(true, R.rcx, R.rdi)),
    yield: () => call(functions.yield, () => {}),
  };
}

/**
 * Runs `body`, which calls a function of the system, with the stack aligned and every register but rax as it was
 * afterwards.
 */
function keepingAll(asm: Assembler, isa: Isa, body: () => void): void {
  const vex = isa === 'avx2';
  const vectors = vex ? 16 : 32;
  const width = vex ? 32 : 64;
  const masks = SHADOW + 32;
  const first = masks + 32;
  const move = (op: 'vmovups' | 'vmovups_st'): void => {
    for (let v = 0; v < vectors; v++) {
      const place = mem(R.rsp, first + v * width);
      if (vex) asm.vex(op, 1, v, 0, place);
      else asm.vector(op, 2, v, 0, place);
    }
    if (!vex)
      for (let k = 1; k < 8; k++) {
        const place = mem(R.rsp, masks + 2 * k);
        if (op === 'vmovups_st') asm.mask('kmovw_st', k, 0, place);
        else asm.mask('kmovw', k, 0, place);
      }
  };
  asm.push(R.rbp);
  asm.mov(true, R.rbp, R.rsp);
  for (const r of SCRATCH) asm.push(r);
  asm.aluImm('sub', true, R.rsp, first + vectors * width);
  asm.aluImm('and', true, R.rsp, -64);
  move('vmovups_st');
  body();
  move('vmovups');
  asm.lea(R.rsp, mem(R.rbp, -8 * SCRATCH.length));
  for (const r of SCRATCH.toReversed()) asm.pop(r);
  asm.pop(R.rbp);
}

/**
 * A function of Windows' convention (rcx, rdx, r8, r9) that calls generated code at `target` with the same four
 * arguments (rdi, rsi, rdx, rcx) and keeps what Windows wants kept: rdi, rsi and xmm6 to xmm15. Generated code keeps
 * the rest.
 */
export function windowsEntry(target: number, asm: Assembler = new Assembler()): Uint8Array {
  const kept = Array.from({ length: 10 }, (_, i) => 6 + i);
  asm.push(R.rdi);
  asm.push(R.rsi);
  for (let page = 1; page <= FRAME_PAGES; page++) asm.aluImm('or', false, mem(R.rsp, -page * PAGE), 0);
  // With both pushes and the return address, a multiple of 16.
  const frame = kept.length * 16 + 8;
  asm.aluImm('sub', true, R.rsp, frame);
  for (const [i, v] of kept.entries()) asm.vex('vmovups_st', 0, v, 0, mem(R.rsp, i * 16));
  asm.mov(true, R.rdi, R.rcx);
  asm.mov(true, R.rsi, R.rdx);
  asm.mov(true, R.rdx, R.r8);
  asm.mov(true, R.rcx, R.r9);
  asm.movImm(R.rax, BigInt(target));
  asm.callRegister(R.rax);
  for (const [i, v] of kept.entries()) asm.vex('vmovups', 0, v, 0, mem(R.rsp, i * 16));
  asm.aluImm('add', true, R.rsp, frame);
  asm.pop(R.rsi);
  asm.pop(R.rdi);
  asm.plain('ret');
  return asm.finish();
}
