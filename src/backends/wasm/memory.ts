/**
 * The linear memory all programs of a backend share: growth, a first-fit allocator, and variables' device copies.
 * Shared between threads where the host allows it. Knows no programs.
 */
import type { HostArray } from '../../graph/dtype.ts';
import type { DeviceBuffer } from '../../graph/storage.ts';
import { HEAP_START, MAX_PAGES, PAGE } from './control.ts';

/** Every block starts on a cache line. */
const ALIGN = 64;

export const alignUp = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

interface Block {
  address: number;
  bytes: number;
}

/** First fit over a list of free blocks, sorted by address, neighbours always merged; above `top` nothing is in use. */
export class Allocator {
  private readonly free: Block[] = [];
  /** First byte above everything in use. */
  top: number;

  constructor(start: number) {
    this.top = start;
  }

  /** Address of `bytes` bytes, a multiple of 64. */
  allocate(bytes: number): number {
    const size = Math.max(alignUp(bytes), ALIGN);
    for (const [i, block] of this.free.entries()) {
      if (block.bytes < size) continue;
      const { address } = block;
      block.address += size;
      block.bytes -= size;
      if (block.bytes === 0) this.free.splice(i, 1);
      return address;
    }
    const address = this.top;
    this.top += size;
    return address;
  }

  /** Gives back what `allocate` returned for the same number of bytes. */
  release(address: number, bytes: number): void {
    const size = Math.max(alignUp(bytes), ALIGN);
    let low = 0;
    let high = this.free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.free[middle]!.address < address) low = middle + 1;
      else high = middle;
    }
    this.free.splice(low, 0, { address, bytes: size });
    const merge = (i: number): void => {
      const [a, b] = [this.free[i], this.free[i + 1]];
      if (!a || !b || a.address + a.bytes !== b.address) return;
      a.bytes += b.bytes;
      this.free.splice(i + 1, 1);
    };
    merge(low);
    merge(low - 1);
    const last = this.free[this.free.length - 1]!;
    if (last.address + last.bytes === this.top) {
      this.top = last.address;
      this.free.pop();
    }
  }
}

/** The largest shared memory the host grants, or an unshared one where it grants none. */
function createMemory(wantShared: boolean): { memory: WebAssembly.Memory; maximumPages: number; shared: boolean } {
  const initial = HEAP_START / PAGE;
  if (wantShared)
    for (let maximumPages = MAX_PAGES; maximumPages >= 1 << 12; maximumPages >>= 1) {
      try {
        const memory = new WebAssembly.Memory({ initial, maximum: maximumPages, shared: true });
        return { memory, maximumPages, shared: true };
      } catch {
        // Less address space than that: ask for half.
      }
    }
  return { memory: new WebAssembly.Memory({ initial, maximum: MAX_PAGES }), maximumPages: MAX_PAGES, shared: false };
}

/** Whether this host lets threads share memory: Node always, browsers when the page is cross-origin isolated. */
export const canShareMemory = (): boolean =>
  typeof SharedArrayBuffer !== 'undefined' &&
  (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false;

interface Views {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly longs: BigInt64Array;
  readonly floats: Float32Array;
}

/**
 * Arrays of up to this many floats (losses, counts) are copied one by one: V8 keeps them inside the heap object, and
 * asking for their buffer would allocate one outside.
 */
const TINY = 16;

export class LinearMemory {
  readonly memory: WebAssembly.Memory;
  readonly maximumPages: number;
  readonly shared: boolean;
  private readonly allocator = new Allocator(HEAP_START);
  private current: Views;
  /** Gives back device copies whose owner was collected. */
  private readonly collected = new FinalizationRegistry<Block>(block => this.release(block.address, block.bytes));

  constructor(wantShared: boolean) {
    const { memory, maximumPages, shared } = createMemory(wantShared);
    this.memory = memory;
    this.maximumPages = maximumPages;
    this.shared = shared;
    this.current = this.viewsOf();
  }

  private viewsOf(): Views {
    const { buffer } = this.memory;
    return {
      bytes: new Uint8Array(buffer),
      words: new Int32Array(buffer),
      longs: new BigInt64Array(buffer),
      floats: new Float32Array(buffer),
    };
  }

  /** The whole memory; valid until the next `allocate`. */
  get bytes(): Uint8Array {
    return this.current.bytes;
  }

  /** The whole memory as 32-bit words; valid until the next `allocate`. */
  get words(): Int32Array {
    return this.current.words;
  }

  get longs(): BigInt64Array {
    return this.current.longs;
  }

  /** Bytes up to the highest address in use. */
  get used(): number {
    return this.allocator.top;
  }

  /** @throws Error when the 4 GiB of a 32-bit memory do not suffice. */
  allocate(bytes: number): number {
    const address = this.allocator.allocate(bytes);
    const needed = Math.ceil(this.allocator.top / PAGE);
    const pages = this.current.bytes.length / PAGE;
    if (needed > pages && !this.grow(pages, needed)) {
      this.allocator.release(address, bytes);
      throw new Error(
        `out of memory: ${mebibytes(bytes)} MiB more than the ${mebibytes(this.allocator.top)} MiB in use do not fit ` +
          `the ${mebibytes(this.maximumPages * PAGE)} MiB of WebAssembly's memory`,
      );
    }
    return address;
  }

  /** Grows by at least an eighth, so that many small requests are few growths; less when the host refuses that. */
  private grow(pages: number, needed: number): boolean {
    for (const goal of [Math.max(needed, Math.min(this.maximumPages, pages + (pages >> 3) + 16)), needed]) {
      try {
        this.memory.grow(goal - pages);
        this.current = this.viewsOf();
        return true;
      } catch {
        // Over the maximum, or the host has no more: the smaller goal is tried next.
      }
    }
    return false;
  }

  release(address: number, bytes: number): void {
    this.allocator.release(address, bytes);
  }

  /** Memory for a variable of this size. */
  buffer(bytes: number): LinearBuffer {
    const buffer = new LinearBuffer(this, this.allocate(bytes), bytes);
    this.collected.register(buffer, { address: buffer.address, bytes }, buffer);
    return buffer;
  }

  /** Frees a variable's memory before its owner is collected. */
  releaseBuffer(buffer: LinearBuffer): void {
    this.collected.unregister(buffer);
    this.release(buffer.address, buffer.bytes);
  }

  write(address: number, from: HostArray): void {
    if (from instanceof Float32Array && from.length <= TINY) {
      const { floats } = this.current;
      for (let i = 0; i < from.length; i++) floats[address / 4 + i] = from[i]!;
    } else this.current.bytes.set(new Uint8Array(from.buffer, from.byteOffset, from.byteLength), address);
  }

  read(address: number, into: HostArray): void {
    if (into instanceof Float32Array && into.length <= TINY) {
      const { floats } = this.current;
      for (let i = 0; i < into.length; i++) into[i] = floats[address / 4 + i]!;
    } else {
      const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
      bytes.set(this.current.bytes.subarray(address, address + into.byteLength));
    }
  }
}

const mebibytes = (bytes: number): number => Math.ceil(bytes / (1 << 20));

/** A variable's place in the linear memory. */
export class LinearBuffer implements DeviceBuffer {
  readonly bytes: number;
  readonly address: number;
  readonly memory: LinearMemory;
  private freed = false;

  constructor(memory: LinearMemory, address: number, bytes: number) {
    this.memory = memory;
    this.address = address;
    this.bytes = bytes;
  }

  download(into: HostArray): void {
    this.memory.read(this.address, into);
  }

  upload(from: HostArray): void {
    this.memory.write(this.address, from);
  }

  free(): void {
    if (this.freed) return;
    this.freed = true;
    this.memory.releaseBuffer(this);
  }
}
