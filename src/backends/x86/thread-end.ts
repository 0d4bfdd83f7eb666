/**
 * How threads end: code that the system calls on the thread that handed out runs as it ends, however that ends. Lets
 * its workers end and gives back what it held. Knows control words and the ledger of pages.
 */
import type { Assembler } from './assembler/assembler.ts';
import { type Label, mem, R } from './assembler/operands.ts';
import { CONTROL, CONTROL_BYTES, HANDLE_BYTES } from './control.ts';
import { LEDGER_BYTES, LEDGER_ENTRY_BYTES } from './memory/ledger.ts';
import { PAGE, pageAlign } from './memory/native.ts';
import { fetchAdd, futex } from './program-code.ts';
import { SHADOW } from './system-code.ts';

/** What the worker changes of what its caller wants kept; an odd number of them aligns the stack for calls. */
export const WORKER_KEEPS = [R.rbx, R.r12, R.rbp] as const;

/** VirtualFree's MEM_RELEASE. */
const RELEASE = 0x8000n;
const INFINITE = 0xffffffffn;

/** Has all workers end, soon. */
function letGo(asm: Assembler, control: number): void {
  asm.movImm(R.rcx, BigInt(control));
  asm.movStoreImm32(mem(R.rcx, CONTROL.over), 1);
  fetchAdd(asm, CONTROL.runs, 1);
  futex(asm, CONTROL.runs, false);
}

/** For every worker, with its handle in [r12]; rbx has the control words. */
function forEachWorker(asm: Assembler, body: () => void): void {
  const [next, over] = [asm.label(), asm.label()];
  asm.mov(false, R.rbp, mem(R.rbx, CONTROL.workers));
  asm.lea(R.r12, mem(R.rbx, CONTROL.handles));
  asm.bind(next);
  asm.aluImm('sub', false, R.rbp, 1);
  asm.jump(over, 'b');
  body();
  asm.aluImm('add', true, R.r12, HANDLE_BYTES);
  asm.jump(next);
  asm.bind(over);
}

/** For every entry of the ledger, at [r12], with its address in `address`. */
function forEachPages(asm: Assembler, ledger: number, address: number, body: () => void): void {
  const [next, over] = [asm.label(), asm.label()];
  asm.movImm(R.r12, BigInt(ledger));
  asm.bind(next);
  asm.mov(true, address, mem(R.r12));
  asm.aluImm('cmp', true, address, 0);
  asm.jump(over, 'e');
  body();
  asm.aluImm('add', true, R.r12, LEDGER_ENTRY_BYTES);
  asm.jump(next);
  asm.bind(over);
}

/**
 * end(control): waits for the workers, and gives back what the thread held: then nobody else runs this thread's code.
 * The last to go is the page this is on: the system's function returns to the caller.
 */
export function endCode(asm: Assembler, control: number, ledger: number): Label {
  const end = asm.label();
  const callAt = (offset: number): void => {
    asm.mov(true, R.rax, mem(R.rbx, offset));
    asm.callRegister(R.rax);
  };
  asm.bind(end);
  for (const r of WORKER_KEEPS) asm.push(r);
  letGo(asm, control);
  asm.movImm(R.rbx, BigInt(control));
  forEachWorker(asm, () => {
    asm.mov(true, R.rdi, mem(R.r12));
    asm.alu('xor', false, R.rsi, R.rsi);
    callAt(CONTROL.join);
  });
  asm.mov(true, R.rdi, mem(R.rbx, CONTROL.endKey));
  callAt(CONTROL.forgetEnd);

  forEachPages(asm, ledger, R.rdi, () => {
    asm.mov(true, R.rsi, mem(R.r12, 8));
    callAt(CONTROL.unmap);
  });
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
  asm.jumpRegister(R.rax);
  return end;
}

/**
 * end(control) on Windows, where a thread that ends had better not wait for another (both may want the loader's lock):
 * starts one that does, on `reap`. Called through an entry of system-code.ts.
 */
export function endOnWindows(asm: Assembler, control: number): Label {
  const end = asm.label();
  const refused = asm.label();
  asm.bind(end);
  asm.push(R.rbx);
  letGo(asm, control);
  asm.movImm(R.rbx, BigInt(control));
  // CreateThread(no attributes, its usual stack, reap, control, at once, no number)
  asm.aluImm('sub', true, R.rsp, SHADOW + 16);
  asm.alu('xor', false, R.rcx, R.rcx);
  asm.alu('xor', false, R.rdx, R.rdx);
  asm.mov(true, R.r8, mem(R.rbx, CONTROL.reap));
  asm.mov(true, R.r9, R.rbx);
  asm.movStore(8, mem(R.rsp, SHADOW), R.rcx);
  asm.movStore(8, mem(R.rsp, SHADOW + 8), R.rcx);
  asm.mov(true, R.rax, mem(R.rbx, CONTROL.startThread));
  // What that thread gives back is not touched afterwards.
  asm.mov(true, R.rbx, mem(R.rbx, CONTROL.closeHandle));
  asm.callRegister(R.rax);
  asm.aluImm('cmp', true, R.rax, 0);
  asm.jump(refused, 'e');
  asm.mov(true, R.rcx, R.rax);
  asm.callRegister(R.rbx);
  asm.bind(refused);
  asm.aluImm('add', true, R.rsp, SHADOW + 16);
  asm.pop(R.rbx);
  asm.plain('ret');
  return end;
}

/**
 * reap(control), a thread of Windows' convention: does what endCode does, once the thread that handed out runs has
 * ended, too. The last to go is the page this is on.
 */
export function reapCode(asm: Assembler, ledger: number): Label {
  const reap = asm.label();
  const callAt = (offset: number): void => {
    asm.mov(true, R.rax, mem(R.rbx, offset));
    asm.callRegister(R.rax);
  };
  const waitFor = (handle: () => void): void => {
    handle();
    asm.movImm(R.rdx, INFINITE);
    callAt(CONTROL.join);
    handle();
    callAt(CONTROL.closeHandle);
  };
  /** Of the address in rcx. */
  const whole = (): void => {
    asm.alu('xor', false, R.rdx, R.rdx);
    asm.movImm(R.r8, RELEASE);
  };
  asm.bind(reap);
  for (const r of WORKER_KEEPS) asm.push(r);
  asm.aluImm('sub', true, R.rsp, SHADOW);
  asm.mov(true, R.rbx, R.rcx);
  forEachWorker(asm, () => waitFor(() => asm.mov(true, R.rcx, mem(R.r12))));
  waitFor(() => asm.mov(true, R.rcx, mem(R.rbx, CONTROL.thisThread)));
  asm.mov(true, R.rcx, mem(R.rbx, CONTROL.endKey));
  callAt(CONTROL.forgetEnd);

  forEachPages(asm, ledger, R.rcx, () => {
    whole();
    callAt(CONTROL.unmap);
  });
  asm.movImm(R.rcx, BigInt(ledger));
  whole();
  callAt(CONTROL.unmap);

  asm.mov(true, R.r12, mem(R.rbx, CONTROL.poolCode));
  asm.mov(true, R.rbp, mem(R.rbx, CONTROL.unmap));
  asm.mov(true, R.rcx, R.rbx);
  whole();
  asm.callRegister(R.rbp);
  asm.mov(true, R.rcx, R.r12);
  whole();
  asm.mov(true, R.rax, R.rbp);
  asm.aluImm('add', true, R.rsp, SHADOW);
  for (const r of WORKER_KEEPS.toReversed()) asm.pop(r);
  asm.jumpRegister(R.rax);
  return reap;
}
