/**
 * Memory that the system has promised and not yet given: it is cleared, page by page, when it is first touched, which takes 40 ms to half a second for the
 * 150 MB of intermediates of ResNet-18's step (decision 093). Here another thread touches it, while this one compiles and computes. Knows addresses.
 */
import { Assembler, mem, R } from './assembler/assembler.ts';
import { type Native, type NativeCall, PAGE } from './memory/native.ts';

/** Less memory than this is given faster than a thread wakes. */
const WORTH_A_THREAD = 8 << 20;

/** touch(address, bytes): adds 0 to a word of every page. An atomic addition loses nothing that others write at the same time. */
function touchCode(): Uint8Array {
  const asm = new Assembler();
  const next = asm.label();
  asm.alu('add', true, R.rsi, R.rdi);
  asm.alu('xor', false, R.rax, R.rax);
  asm.bind(next);
  asm.locked('xadd', mem(R.rdi, 0), R.rax);
  asm.alu('xor', false, R.rax, R.rax);
  asm.aluImm('add', true, R.rdi, PAGE);
  asm.alu('cmp', true, R.rdi, R.rsi);
  asm.jump(next, 'b');
  asm.plain('ret');
  return asm.finish();
}

/** Fresh memory at an address that holds as long as the object lives. */
interface Memory {
  readonly address: number;
  readonly bytes: number;
}

export class FirstTouch {
  private readonly native: Native;
  private call: NativeCall | null = null;
  /** What is being touched must not be collected meanwhile. */
  private readonly underway = new Set<Memory>();

  constructor(native: Native) {
    this.native = native;
  }

  /** Touches memory on a thread of the event loop's pool, from its start on; returns at once. */
  ahead(memory: Memory): void {
    if (memory.bytes < WORTH_A_THREAD) return;
    this.call ??= this.native.callable(this.native.load(touchCode()).address);
    this.underway.add(memory);
    this.call.async(memory.address, memory.bytes, 0, 0, () => this.underway.delete(memory));
  }
}
