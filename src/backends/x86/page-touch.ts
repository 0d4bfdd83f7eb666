/**
 * Pages before they are needed. What the system has promised it has not yet given: pages are cleared when they are
 * first touched, which takes 40 ms to half a second for the 200 MB of ResNet-18's intermediates (decision 110), and as
 * long again for its parameters and their state (decision 250). So another thread touches them, while this one compiles
 * and computes.
 */
import { Assembler } from './assembler/assembler.ts';
import { mem, R } from './assembler/operands.ts';
import { type Native, type NativeCall, PAGE } from './memory/native.ts';

/** What `touch` is told of an area: its address and its bytes, in words of eight bytes. */
const AREA_BYTES = 16;

/** Less memory than this is given faster than a thread wakes. */
const WORTH_A_THREAD = 8 << 20;

/** Memory that nothing has touched. */
export interface Untouched {
  readonly address: number;
  readonly bytes: number;
}

/**
 * touch(areas, count): adds 0 to a word of every page. An atomic addition loses nothing that others write at the same
 * time.
 */
function touchCode(): Uint8Array {
  const asm = new Assembler();
  const [area, page, over] = Array.from({ length: 3 }, () => asm.label());
  asm.mov(true, R.r8, R.rsi);
  asm.bind(area!);
  asm.aluImm('sub', true, R.r8, 1);
  asm.jump(over!, 'b');
  asm.mov(true, R.rdx, mem(R.rdi));
  asm.mov(true, R.rsi, mem(R.rdi, 8));
  asm.alu('add', true, R.rsi, R.rdx);
  asm.aluImm('add', true, R.rdi, AREA_BYTES);
  asm.bind(page!);
  asm.alu('xor', false, R.rax, R.rax);
  asm.locked('xadd', mem(R.rdx), R.rax);
  asm.aluImm('add', true, R.rdx, PAGE);
  asm.alu('cmp', true, R.rdx, R.rsi);
  asm.jump(page!, 'b');
  asm.jump(area!);
  asm.bind(over!);
  asm.plain('ret');
  return asm.finish();
}

export class PageTouch {
  private readonly native: Native;
  private call: NativeCall | null = null;
  /** What is being touched must not be collected meanwhile. */
  private readonly held = new Set<readonly unknown[]>();

  constructor(native: Native) {
    this.native = native;
  }

  /** Has areas touched from start to end, on a thread of the event loop's pool; `memory` holds them. */
  touch(areas: readonly Untouched[], memory: readonly unknown[]): void {
    if (areas.reduce((sum, { bytes }) => sum + bytes, 0) < WORTH_A_THREAD) return;
    // Of a buffer of its own: the collector moves short arrays that have none.
    const words = new BigInt64Array(new ArrayBuffer(areas.length * AREA_BYTES));
    words.set(areas.flatMap(({ address, bytes }) => [BigInt(address), BigInt(bytes)]));
    const holding = [words, memory];
    this.held.add(holding);
    this.call ??= this.native.callable(this.native.load(touchCode()).address);
    this.call.async(this.native.addressOf(words), areas.length, 0, 0, () => this.held.delete(holding));
  }
}
