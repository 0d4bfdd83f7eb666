/**
 * Memory for intermediates, one area for all programs of a machine, which only grows. It is a SharedArrayBuffer, which the collector frees but does not
 * count: the size of an array makes it look through the heap, at a time when all that is being compiled lives there.
 *
 * What the system has promised it has not yet given: pages are cleared when they are first touched, which takes 40 ms to half a second for the 200 MB of
 * ResNet-18's step (decision 110). So another thread touches them, while this one compiles and computes.
 */
import { Assembler } from './assembler/assembler.ts';
import { mem, R } from './assembler/operands.ts';
import { LARGE_PAGE, type Native, type NativeCall, PAGE } from './memory/native.ts';

/** Less memory than this is given faster than a thread wakes. */
const WORTH_A_THREAD = 8 << 20;
const LINE = 64;

/** touch(address, bytes): adds 0 to a word of every page. An atomic addition loses nothing that others write at the same time. */
function touchCode(): Uint8Array {
  const asm = new Assembler();
  const next = asm.label();
  asm.alu('add', true, R.rsi, R.rdi);
  asm.bind(next);
  asm.alu('xor', false, R.rax, R.rax);
  asm.locked('xadd', mem(R.rdi), R.rax);
  asm.aluImm('add', true, R.rdi, PAGE);
  asm.alu('cmp', true, R.rdi, R.rsi);
  asm.jump(next, 'b');
  asm.plain('ret');
  return asm.finish();
}

/** Memory for the intermediates of a run, valid as long as the object is held. */
export interface Area {
  readonly address: number;
  readonly bytes: number;
  readonly memory: SharedArrayBuffer;
}

export class Workspace {
  private readonly native: Native;
  private area: Area | null = null;
  private call: NativeCall | null = null;
  /** What is being touched must not be collected meanwhile. */
  private readonly touched = new Set<Area>();

  constructor(native: Native) {
    this.native = native;
  }

  /** An area of so many bytes; another one than before when it grows. */
  atLeast(bytes: number): Area {
    if (!this.area || bytes > this.area.bytes) {
      this.area = this.allocate(bytes);
      if (bytes >= WORTH_A_THREAD) this.touch(this.area);
    }
    return this.area;
  }

  private allocate(bytes: number): Area {
    const { native } = this;
    const align = bytes >= LARGE_PAGE ? LARGE_PAGE : LINE;
    const memory = new SharedArrayBuffer(bytes + align);
    const address = Math.ceil(native.addressOf(new Uint8Array(memory)) / align) * align;
    native.preferLargePages(address, bytes);
    return { address, bytes, memory };
  }

  /** From the start on, which is what a program uses first, on a thread of the event loop's pool. */
  private touch(area: Area): void {
    this.call ??= this.native.callable(this.native.load(touchCode()).address);
    this.touched.add(area);
    this.call.async(area.address, area.bytes, 0, 0, () => this.touched.delete(area));
  }
}
