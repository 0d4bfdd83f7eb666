/**
 * The mode TENON_DEBUG=guard: every kernel runs with each of its buffers in memory of its own that ends where the
 * buffer ends, or in other runs begins where it begins, between pages that nobody may touch. An access out of bounds
 * ends the process there and then. Knows kernels' buffers and addresses.
 */
import type { KernelOutline } from '../../compiler/program.ts';
import { bytesOf } from '../../graph/dtype.ts';
import { type Native, PAGE, pageAlign } from './memory/native.ts';

/** What scratch memory holds before a kernel has written it. */
const SCRATCH = 0x7f;

/** Memory that a kernel is given. */
interface Given {
  readonly address: number;
  readonly bytes: number;
  /** Whether what it holds counts before the kernel, and whether after it. */
  readonly read: boolean;
  readonly written: boolean;
}

/**
 * Where it lies while the kernel runs: `area` is the first byte of `room` that may be touched, `address` that of the
 * copy.
 */
interface Placed extends Given {
  readonly area: number;
  readonly room: number;
  readonly at: number;
  readonly content: Uint8Array;
}

export class Guard {
  private readonly native: Native;
  /** Areas in between uses, by their bytes; addresses of the first byte that may be touched. */
  private readonly free = new Map<number, number[]>();
  /** Arrays whose addresses stand in other arrays, for kernels that follow them. */
  private readonly pointed = new Map<number, WeakRef<ArrayBufferView>>();
  private runs = 0;

  constructor(native: Native) {
    this.native = native;
  }

  /**
   * Has `call` run a kernel by a table of guarded copies of its buffers, which lie at `addresses`; what it has written
   * is copied back.
   */
  run({ kernel }: KernelOutline, addresses: readonly number[], call: (table: number) => void): void {
    const placed = kernel.buffers.map(({ dtype, elements, access }, i) =>
      this.place({
        address: addresses[i]!,
        bytes: elements * bytesOf(dtype),
        read: access !== 'scratch',
        written: access === 'write' || access === 'readwrite',
      }),
    );
    const table = placed.map(({ at }, i) => (kernel.buffers[i]!.access === 'count' ? addresses[i]! : at));
    this.call(placed, table, call);
  }

  /** The address of an array that kernels may go to when they find it in another. */
  addressOf(array: ArrayBufferView): number {
    const address = this.native.addressOf(array);
    this.pointed.set(address, new WeakRef(array));
    return address;
  }

  /**
   * The same as `run` for a kernel over arrays of the host, of whatever size they are, and those that addresses in them
   * lead to.
   */
  runOver(arrays: readonly ArrayBufferView[], call: (table: number) => void): void {
    const { native } = this;
    const followed = new Map<number, Placed>();
    const placed = arrays.map(array => {
      const given = { address: native.addressOf(array), bytes: array.byteLength, read: true };
      if (!(array instanceof BigInt64Array)) return this.place({ ...given, written: true });
      // Addresses are read alone.
      const copy = this.place({ ...given, written: false });
      const words = new BigInt64Array(copy.content.buffer);
      for (const [i, word] of words.entries()) {
        const target = this.pointed.get(Number(word))?.deref();
        if (!target) continue;
        const address = Number(word);
        if (!followed.has(address))
          followed.set(address, this.place({ address, bytes: target.byteLength, read: true, written: true }));
        words[i] = BigInt(followed.get(address)!.at);
      }
      if (words.length > 0) native.write(copy.at, copy.content);
      return copy;
    });
    const table = placed.map(({ at }) => at);
    this.call([...placed, ...followed.values()], table, call);
  }

  private call(placed: readonly Placed[], table: readonly number[], call: (table: number) => void): void {
    const { native } = this;
    this.runs++;
    call(native.addressOf(BigUint64Array.from(table, BigInt)));
    for (const { address, area, at, content, room, written } of placed) {
      if (written && content.length > 0) {
        native.read(content, at);
        native.write(address, content);
      }
      this.giveBack(area, room);
    }
  }

  /** Thue and Morse's sequence: no kernel of a program that runs again and again meets one end only. */
  private get atEnd(): boolean {
    let bits = this.runs;
    for (let shift = 16; shift > 0; shift >>= 1) bits ^= bits >>> shift;
    return (bits & 1) === 1;
  }

  private place(given: Given): Placed {
    const { native } = this;
    const { address, bytes, read } = given;
    // What has no elements may be read where a guard discards it.
    const room = pageAlign(Math.max(bytes, 1));
    const area = this.take(room);
    const at = this.atEnd && bytes > 0 ? area + room - bytes : area;
    const content = new Uint8Array(bytes).fill(SCRATCH);
    if (bytes > 0) {
      if (read) native.read(content, address);
      native.write(at, content);
    }
    return { ...given, area, room, at, content };
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
}
