/**
 * Where the segments of rows live: in memory; in a memory-mapped file, which the operating system pages (Linux, through
 * koffi); in a file that is read and written segment by segment, with some of them in memory; or in memory up to a
 * limit and in a file beyond. The files are scratch: they have no name once opened, and go with the process.
 */
import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { reasonOf } from '../../formats/atomic.ts';
import { givenUp, type MappingSystem, Maps, mappingSystem, PAGE, SHARED } from './mapping.ts';
import type { Segment } from './row-store.ts';

export interface Backing {
  /** A segment has 2^shift rows. */
  readonly shift: number;
  /**
   * Whether segments stay where they are for as long as there are rows, so that generated code may know their
   * addresses.
   */
  readonly fixed: boolean;
  /** Whether segments lie on large pages, each zeroed at its first touch. */
  readonly onLargePages?: boolean;
  /** Bytes of the segments that live in a file. */
  readonly fileBytes: number;
  /** A new segment of zeros, `segments.length` by number. */
  create(segments: (Segment | null)[], words: number): Segment;
  /** Brings a segment back that is null in `segments`. */
  fetch(segments: (Segment | null)[], number: number): Segment;
  /** All segments are given up. */
  drop(segments: (Segment | null)[]): void;
}

const views = (buffer: ArrayBuffer): Segment => ({ f32: new Float32Array(buffer), u32: new Uint32Array(buffer) });

/** Segments as ordinary arrays. */
class MemoryBacking implements Backing {
  readonly shift = 16;
  readonly fixed = true;
  readonly fileBytes = 0;

  create(_segments: (Segment | null)[], words: number): Segment {
    return views(new ArrayBuffer(4 * words));
  }

  fetch(_segments: (Segment | null)[], number: number): Segment {
    throw new Error(`internal: segment ${number} is not there`);
  }

  drop(): void {}
}

let scratchFiles = 0;

/** Opens a file in `folder` that has no name any more. */
function openScratch(folder: string): number {
  const file = path.join(folder, `rows.${process.pid}.${++scratchFiles}.tmp`);
  try {
    mkdirSync(folder, { recursive: true });
    const handle = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    rmSync(file);
    return handle;
  } catch (error) {
    throw new Error(`EmbeddingTable: folder ${folder}: cannot make a file for rows: ${reasonOf(error)}`);
  }
}

/** Closes scratch files of tables that are gone. */
const closer = new FinalizationRegistry<number>(handle => closeSync(handle));

/** Segments behind the first that lie side by side: a page which one of them fills in part is filled by the next. */
const SIDE_BY_SIDE = 8;

/**
 * Segments on large pages: a table of gigabytes is read all over, and with pages of 4 KB most reads first wait for
 * their address. The pages are given back when the table is gone.
 */
class LargePageBacking implements Backing {
  readonly shift = 16;
  readonly fixed = true;
  readonly onLargePages = true;
  readonly fileBytes = 0;
  private readonly maps: Maps;
  /** Where the next segments lie, and what is used of it. */
  private room = new ArrayBuffer(0);
  private used = 0;

  constructor(system: MappingSystem) {
    this.maps = new Maps(system);
    givenUp.register(this, this.maps);
  }

  create(segments: (Segment | null)[], words: number): Segment {
    if (this.used === this.room.byteLength) {
      this.room = this.maps.onLargePages((segments.length === 0 ? 1 : SIDE_BY_SIDE) * 4 * words);
      this.used = 0;
    }
    const { room, used } = this;
    this.used += 4 * words;
    return { f32: new Float32Array(room, used, words), u32: new Uint32Array(room, used, words) };
  }

  fetch(_segments: (Segment | null)[], number: number): Segment {
    throw new Error(`internal: segment ${number} is not there`);
  }

  drop(): void {
    this.maps.clear();
    this.room = new ArrayBuffer(0);
    this.used = 0;
  }
}

/** The file doubles until it grows by this much at a time. */
const LARGEST_GROWTH = 1 << 26;
const ZEROS = new Uint8Array(1 << 18);

/**
 * Segments in a shared mapping of one file: the operating system keeps what is used in memory and writes the rest out.
 */
class MappedBacking implements Backing {
  readonly shift: number;
  readonly fixed = true;
  private readonly folder: string;
  private readonly system: MappingSystem;
  private readonly file: number;
  private reserved = 0;
  private used = 0;
  private readonly maps: Maps;

  constructor(folder: string, system: MappingSystem, shift: number) {
    this.folder = folder;
    this.shift = shift;
    this.system = system;
    this.maps = new Maps(system);
    this.file = openScratch(folder);
    closer.register(this, this.file);
    givenUp.register(this, this.maps);
  }

  get fileBytes(): number {
    return this.used;
  }

  create(_segments: (Segment | null)[], words: number): Segment {
    const bytes = Math.ceil((4 * words) / PAGE) * PAGE;
    while (this.reserved < this.used + bytes) this.reserve();
    const address = this.maps.add(bytes, SHARED, this.file, this.used);
    if (address === null)
      throw new Error(`EmbeddingTable: folder ${this.folder}: the system refuses to map ${bytes} bytes`);
    this.used += bytes;
    return views(this.system.view(BigInt(address), 4 * words));
  }

  /** Writes zeros ahead, so that a full disk is an error here and not a signal at some store through the mapping. */
  private reserve(): void {
    const end = this.reserved + Math.min(LARGEST_GROWTH, Math.max(ZEROS.length, this.reserved));
    try {
      for (; this.reserved < end; this.reserved += ZEROS.length)
        writeSync(this.file, ZEROS, 0, ZEROS.length, this.reserved);
    } catch (error) {
      throw new Error(`EmbeddingTable: folder ${this.folder}: cannot grow the file of rows: ${reasonOf(error)}`);
    }
  }

  fetch(_segments: (Segment | null)[], number: number): Segment {
    throw new Error(`internal: segment ${number} is not mapped`);
  }

  drop(segments: (Segment | null)[]): void {
    segments.length = 0;
    this.maps.clear();
    this.used = 0;
    this.reserved = 0;
    ftruncateSync(this.file, 0);
  }
}

/** Segments kept in memory by a `PagedBacking`. */
const RESIDENT = 256;

/** Segments in a file, some of them in memory. */
export class PagedBacking implements Backing {
  readonly shift = 8;
  readonly fixed = false;
  private readonly folder: string;
  private readonly file: number;
  private readonly resident: number;
  private words = 0;
  private created = 0;
  /** Numbers of the segments in memory, in the order they came. */
  private readonly order = new Set<number>();

  constructor(folder: string, resident = RESIDENT) {
    this.folder = folder;
    this.resident = resident;
    this.file = openScratch(folder);
    closer.register(this, this.file);
  }

  get fileBytes(): number {
    return 4 * this.words * this.created;
  }

  create(segments: (Segment | null)[], words: number): Segment {
    this.words = words;
    this.created++;
    this.makeRoom(segments);
    this.order.add(segments.length);
    return views(new ArrayBuffer(4 * words));
  }

  fetch(segments: (Segment | null)[], number: number): Segment {
    this.makeRoom(segments);
    const buffer = new ArrayBuffer(4 * this.words);
    readSync(this.file, new Uint8Array(buffer), 0, buffer.byteLength, number * buffer.byteLength);
    const segment = views(buffer);
    segments[number] = segment;
    this.order.add(number);
    return segment;
  }

  /** First in, first out: a segment still wanted comes back at its next access. */
  private makeRoom(segments: (Segment | null)[]): void {
    if (this.order.size < this.resident) return;
    const [oldest] = this.order;
    const bytes = new Uint8Array(segments[oldest!]!.u32.buffer);
    try {
      for (let at = 0; at < bytes.length; )
        at += writeSync(this.file, bytes, at, bytes.length - at, oldest! * bytes.length + at);
    } catch (error) {
      throw new Error(`EmbeddingTable: folder ${this.folder}: cannot write rows out: ${reasonOf(error)}`);
    }
    this.order.delete(oldest!);
    segments[oldest!] = null;
  }

  drop(): void {
    this.order.clear();
    this.created = 0;
    ftruncateSync(this.file, 0);
  }
}

/** What stores of rows may have of memory together. */
export class MemoryShare {
  readonly limit: number;
  private readonly others: () => number;
  private used = 0;

  /** `others`: bytes of the same limit that something else has at the moment. */
  constructor(limit: number, others: () => number) {
    this.limit = limit;
    this.others = others;
  }

  /** Whether so many more bytes fit; they are taken then. */
  take(bytes: number): boolean {
    if (this.used + this.others() + bytes > this.limit) return false;
    this.used += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.used -= bytes;
  }
}

/** Segments in memory as long as they fit a share of it, in a file beyond. */
class SpillingBacking implements Backing {
  readonly shift: number;
  readonly fixed: boolean;
  private readonly file: Backing;
  private readonly share: MemoryShare;
  private taken = 0;

  constructor(file: Backing, share: MemoryShare) {
    this.file = file;
    this.share = share;
    this.shift = file.shift;
    this.fixed = file.fixed;
  }

  get fileBytes(): number {
    return this.file.fileBytes;
  }

  create(segments: (Segment | null)[], words: number): Segment {
    const bytes = 4 * words;
    if (!this.share.take(bytes)) return this.file.create(segments, words);
    this.taken += bytes;
    return views(new ArrayBuffer(bytes));
  }

  fetch(segments: (Segment | null)[], number: number): Segment {
    return this.file.fetch(segments, number);
  }

  drop(segments: (Segment | null)[]): void {
    this.share.giveBack(this.taken);
    this.taken = 0;
    this.file.drop(segments);
  }
}

/** Rows of a mapped segment, as powers of two: the system allows some 65,000 mappings. */
const MAPPED_SHIFT = { least: 9, most: 12 };

/** Of rows of so many words; smaller where a share of memory would else hold but a few segments. */
function mappedShift(words: number, share: MemoryShare | null): number {
  const { least, most } = MAPPED_SHIFT;
  if (!share) return most;
  return Math.min(most, Math.max(least, Math.floor(Math.log2(share.limit / 8 / (4 * words)))));
}

/**
 * Memory without a folder; else a mapped file where the system can, a paged one otherwise, for what does not fit
 * `share` (without one, for all). One per store of rows, of so many `words` each.
 */
export function backingFor(folder: string | undefined, share: MemoryShare | null, words: number): Backing {
  const system = mappingSystem();
  if (folder === undefined) return system ? new LargePageBacking(system) : new MemoryBacking();
  const file = system ? new MappedBacking(folder, system, mappedShift(words, share)) : new PagedBacking(folder);
  return share ? new SpillingBacking(file, share) : file;
}
