/**
 * The mode TENON_DEBUG=guard: every kernel runs with each of its buffers in memory of its own that ends where the buffer ends, or in the next run begins where it
 * begins, between pages that nobody may touch. An access out of bounds ends the process there and then. Knows kernels' buffers and addresses.
 */
import type { KernelOutline } from '../../compiler/program.ts';
import { bytesOf } from '../../graph/dtype.ts';
import { type Native, PAGE, pageAlign } from './memory/native.ts';

/** What scratch memory holds before a kernel has written it. */
const SCRATCH = 0x7f;

export class Guard {
  private readonly native: Native;
  /** Areas in between uses, by their bytes; addresses of the first byte that may be touched. */
  private readonly free = new Map<number, number[]>();
  private atEnd = false;

  constructor(native: Native) {
    this.native = native;
  }

  private take(room: number): number {
    const known = this.free.get(room)?.pop();
    if (known !== undefined) return known;
    const start = this.native.sharedWords(room + 2 * PAGE);
    this.native.forbid(start, PAGE);
    this.native.forbid(start + PAGE + room, PAGE);
    return start + PAGE;
  }

  private giveBack(area: number, room: number): void {
    const list = this.free.get(room);
    if (list) list.push(area);
    else this.free.set(room, [area]);
  }

  /** Has `call` run a kernel by a table of guarded copies of its buffers, which lie at `addresses`; what it has written is copied back. */
  run({ kernel }: KernelOutline, addresses: readonly number[], call: (table: number) => void): void {
    const { native } = this;
    this.atEnd = !this.atEnd;
    const areas = kernel.buffers.map(({ dtype, elements, access }, i) => {
      const bytes = elements * bytesOf(dtype);
      // What has no elements may be read where a guard discards it.
      const room = pageAlign(Math.max(bytes, 1));
      const area = this.take(room);
      const address = this.atEnd && bytes > 0 ? area + room - bytes : area;
      const content = new Uint8Array(bytes).fill(SCRATCH);
      if (access !== 'scratch' && bytes > 0) native.read(content, addresses[i]!);
      if (bytes > 0) native.write(address, content);
      return { area, room, address, content, written: access === 'write' || access === 'readwrite' };
    });
    const table = BigUint64Array.from(areas, ({ address }, i) =>
      BigInt(kernel.buffers[i]!.access === 'count' ? addresses[i]! : address),
    );
    call(native.addressOf(table));
    for (const [i, { area, room, address, content, written }] of areas.entries()) {
      if (written && content.length > 0) {
        native.read(content, address);
        native.write(addresses[i]!, content);
      }
      this.giveBack(area, room);
    }
  }
}
