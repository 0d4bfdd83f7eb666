/**
 * Memory that the operating system maps: of files, and anonymous on large pages, because a table of gigabytes is read
 * all over, and with pages of 4 KB most reads first wait for their address. Linux, through koffi.
 */
import { createRequire } from 'node:module';

export interface MappingSystem {
  mmap(address: number, bytes: number, protection: number, flags: number, file: number, offset: number): number;
  munmap(address: number, bytes: number): number;
  madvise(address: number, bytes: number, advice: number): number;
  view(address: bigint, bytes: number): ArrayBuffer;
}

let found: MappingSystem | null | undefined;

/** The system's memory mapping, null where koffi or Linux is not there. */
export function mappingSystem(): MappingSystem | null {
  found ??= openSystem();
  return found;
}

function openSystem(): MappingSystem | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as {
      load(path: string): { func(signature: string): unknown };
      view(address: bigint, bytes: number): ArrayBuffer;
    };
    const libc = koffi.load('libc.so.6');
    return {
      mmap: libc.func('int64_t mmap(int64_t, uint64_t, int, int, int, int64_t)') as MappingSystem['mmap'],
      munmap: libc.func('int munmap(int64_t, uint64_t)') as MappingSystem['munmap'],
      madvise: libc.func('int madvise(int64_t, uint64_t, int)') as MappingSystem['madvise'],
      view: koffi.view,
    };
  } catch {
    return null;
  }
}

const READ_WRITE = 3;
export const SHARED = 1;
const PRIVATE_ANONYMOUS = 0x22;
const ADVISE_LARGE_PAGES = 14;
export const LARGE_PAGE = 1 << 21;
export const PAGE = 4096;

/** Mappings of one owner. */
export class Maps {
  private readonly system: MappingSystem;
  private list: { readonly address: number; readonly bytes: number }[] = [];

  constructor(system: MappingSystem) {
    this.system = system;
  }

  /** Address of a new mapping, null where the system refuses. */
  add(bytes: number, flags: number, file: number, offset: number): number | null {
    const address = Number(this.system.mmap(0, bytes, READ_WRITE, flags, file, offset));
    if (address === -1) return null;
    this.list.push({ address, bytes });
    return address;
  }

  /** Zeros that begin at a large page. @throws Error when the system refuses */
  onLargePages(bytes: number): ArrayBuffer {
    const whole = Math.ceil(bytes / LARGE_PAGE) * LARGE_PAGE;
    // Mapped with room to begin at a multiple of the large page.
    const address = this.add(whole + LARGE_PAGE, PRIVATE_ANONYMOUS, -1, 0);
    if (address === null) throw new Error(`EmbeddingTable: the system refuses ${whole} bytes of memory`);
    const start = Math.ceil(address / LARGE_PAGE) * LARGE_PAGE;
    this.system.madvise(start, whole, ADVISE_LARGE_PAGES);
    return this.system.view(BigInt(start), bytes);
  }

  clear(): void {
    for (const { address, bytes } of this.list) this.system.munmap(address, bytes);
    this.list = [];
  }
}

/** Unmaps what belonged to tables that are gone. */
export const givenUp = new FinalizationRegistry<Maps>(maps => maps.clear());

/** Bytes from which on arrays are worth a place on large pages. */
const SMALLEST = 1 << 15;

/**
 * Arrays of one length on large pages, several to a page where they are small. Given back to the system when the last
 * of a page is.
 */
interface Slab {
  readonly maps: Maps;
  readonly buffer: ArrayBuffer;
  used: number;
  live: number;
}

/**
 * Arrays of words whose lengths are powers of two, on large pages. A length has its own pages: the parts of an index
 * grow at about the same time, and then leave whole pages behind.
 */
export class LargePageArrays {
  private readonly system: MappingSystem | null = mappingSystem();
  private readonly open = new Map<number, Slab>();
  private readonly slabOf = new Map<Uint32Array, Slab>();
  private untouched: Uint8Array[] = [];

  /** Zeros. */
  allocate(length: number): Uint32Array {
    const bytes = 4 * length;
    if (!this.system || bytes < SMALLEST) return new Uint32Array(length);
    let slab = this.open.get(length);
    if (!slab) {
      const maps = new Maps(this.system);
      slab = { maps, buffer: maps.onLargePages(Math.max(bytes, LARGE_PAGE)), used: 0, live: 0 };
      givenUp.register(slab, maps);
      this.untouched.push(new Uint8Array(slab.buffer));
      this.open.set(length, slab);
    }
    const array = new Uint32Array(slab.buffer, slab.used, length);
    this.slabOf.set(array, slab);
    slab.used += bytes;
    slab.live++;
    if (slab.used === slab.buffer.byteLength) this.open.delete(length);
    return array;
  }

  /** The pages that were mapped since this was last asked. */
  takeUntouched(): Uint8Array[] {
    const { untouched } = this;
    this.untouched = [];
    return untouched;
  }

  /** The array is not used any more. */
  release(array: Uint32Array): void {
    const slab = this.slabOf.get(array);
    if (!slab) return;
    this.slabOf.delete(array);
    slab.live--;
    if (slab.live === 0 && slab.used === slab.buffer.byteLength) slab.maps.clear();
  }

  clear(): void {
    for (const slab of new Set([...this.slabOf.values(), ...this.open.values()])) slab.maps.clear();
    this.slabOf.clear();
    this.open.clear();
    this.untouched = [];
  }
}
