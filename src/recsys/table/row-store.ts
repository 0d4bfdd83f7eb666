/**
 * Rows of equal size in segments of a power of two of them: growing adds a segment and copies nothing. A row is 32-bit
 * words, floats and integers side by side in one cache line or two; freed rows form a list through one of their words.
 * Where segments live is the `Backing`'s business.
 */
import type { Backing } from './backing.ts';

/** Words of `segment(row)` as floats and as integers, over the same memory. */
export interface Segment {
  readonly f32: Float32Array;
  readonly u32: Uint32Array;
}

/** Words of a cache line. */
const LINE = 16;

export class RowStore {
  readonly words: number;
  /** Rows of a segment are numbered by the lower `shift` bits. */
  readonly shift: number;
  readonly mask: number;
  /** Rows in use. */
  size = 0;
  /** Rows ever handed out: every number below is in use or free. */
  end = 0;
  private readonly segments: (Segment | null)[] = [];
  private readonly backing: Backing;
  private readonly linkWord: number;
  private free = 0;
  /** Addresses of the segments that generated code has asked for. */
  private known = new BigInt64Array(16);
  private knownCount = 0;

  /** `linkWord`: the word that holds the next free row while a row is free. */
  constructor(words: number, linkWord: number, backing: Backing) {
    this.words = words;
    this.linkWord = linkWord;
    this.backing = backing;
    this.shift = backing.shift;
    this.mask = (1 << this.shift) - 1;
  }

  /** The segment of a row; held no longer than until the store's next access, which may page it out. */
  segment(row: number): Segment {
    const number = row >>> this.shift;
    return this.segments[number] ?? this.backing.fetch(this.segments, number);
  }

  /** First word of a row in its segment. */
  at(row: number): number {
    return (row & this.mask) * this.words;
  }

  /** Segments from a number on, where their pages are worth touching before rows are written to them. */
  freshSegments(from: number): ArrayBufferView[] {
    return this.backing.onLargePages ? this.segments.slice(from).map(segment => segment!.u32) : [];
  }

  get segmentCount(): number {
    return this.segments.length;
  }

  /** Whether segments have addresses that stay. */
  get fixed(): boolean {
    return this.backing.fixed;
  }

  /** Bytes of the segments that live in a file. */
  get fileBytes(): number {
    return this.backing.fileBytes;
  }

  /** Address of each segment; valid until the store grows or is cleared. */
  addresses(addressOf: (array: ArrayBufferView) => number): BigInt64Array {
    const { segments } = this;
    if (this.known.length < segments.length) {
      const longer = new BigInt64Array(2 * segments.length);
      longer.set(this.known);
      this.known = longer;
    }
    for (; this.knownCount < segments.length; this.knownCount++)
      this.known[this.knownCount] = BigInt(addressOf(segments[this.knownCount]!.u32));
    return this.known;
  }

  /**
   * Reads a word of every cache line of rows[from, from + count) (-1: none), up to word `words`: like SignIndex.touch.
   */
  touch(rows: Int32Array, from: number, count: number, words: number): number {
    let sum = 0;
    for (let k = from; k < from + count; k++) {
      const row = rows[k]!;
      if (row < 0) continue;
      const { u32 } = this.segment(row);
      const at = this.at(row);
      for (let word = 0; word < words; word += LINE) sum += u32[at + word]!;
      sum += u32[at + words - 1]!;
    }
    return sum;
  }

  /** A row of zeros. @throws Error when the backing has no more room. */
  allocate(): number {
    let row = this.free - 1;
    if (row >= 0) {
      const { u32 } = this.segment(row);
      const at = this.at(row);
      this.free = u32[at + this.linkWord]!;
      u32.fill(0, at, at + this.words);
    } else {
      row = this.end;
      if (row >>> this.shift === this.segments.length)
        this.segments.push(this.backing.create(this.segments, this.words << this.shift));
      this.end++;
    }
    this.size++;
    return row;
  }

  /**
   * Rows for `wanted[0, count)`, into their places of `rows`; what is in them is to be written.
   * @throws Error when the backing has no more room, after `size` says how many
   */
  allocateAll(rows: Int32Array, wanted: Int32Array, count: number): void {
    let given = 0;
    for (; given < count && this.free > 0; given++) rows[wanted[given]!] = this.allocate();
    while (given < count) {
      if (this.end >>> this.shift === this.segments.length)
        this.segments.push(this.backing.create(this.segments, this.words << this.shift));
      const first = this.end;
      const some = Math.min(count - given, (this.segments.length << this.shift) - first);
      for (let i = 0; i < some; i++) rows[wanted[given + i]!] = first + i;
      given += some;
      this.end += some;
      this.size += some;
    }
  }

  release(row: number): void {
    this.segment(row).u32[this.at(row) + this.linkWord] = this.free;
    this.free = row + 1;
    this.size--;
  }

  clear(): void {
    this.backing.drop(this.segments);
    this.segments.length = 0;
    this.knownCount = 0;
    this.size = 0;
    this.end = 0;
    this.free = 0;
  }
}
