/**
 * From signs to row numbers: 256 open-addressing tables with linear probing, chosen by the sign's hash; where in its
 * table a sign lies is said by its tag, a second hash. Each table grows on its own, so growth never pauses for more
 * than a 256th of the rows and never holds more than a 256th of the index twice. An entry is the tag and row + 1:
 * growing reads entries alone, and the sign itself is compared in the row, which a finder needs next anyway.
 */
import { LargePageArrays } from './mapping.ts';

const PARTS = 256;
const SMALLEST = 16;
/** Entries over capacity from which on a part doubles. */
const FULLEST = 0.8;

/** Whether a row holds a sign. */
export interface SignOwner {
  holds(row: number, hi: number, lo: number): boolean;
}

export class SignIndex {
  size = 0;
  private parts: Uint32Array[] = Array.from({ length: PARTS }, () => new Uint32Array(2 * SMALLEST));
  private readonly used = new Uint32Array(PARTS);
  private readonly arrays = new LargePageArrays();
  private readonly owner: SignOwner;
  /** Per part its address, 0 where it is not known, and its words less one. */
  private readonly places = new BigInt64Array(2 * PARTS);

  constructor(owner: SignOwner) {
    this.owner = owner;
  }

  get bytes(): number {
    return this.parts.reduce((sum, part) => sum + part.byteLength, 0);
  }

  /** Per part its address and its words less one, for generated code; valid until the next insertion. */
  addresses(addressOf: (array: ArrayBufferView) => number): BigInt64Array {
    const { parts, places } = this;
    for (let part = 0; part < PARTS; part++) {
      if (places[2 * part] !== 0n) continue;
      places[2 * part] = BigInt(addressOf(parts[part]!));
      places[2 * part + 1] = BigInt(parts[part]!.length - 1);
    }
    return places;
  }

  /**
   * Reads the places where `count` signs from `from` on would be, so that they are in cache when `guess` comes: these
   * loads do not wait for one another, while those of a search do.
   */
  touch(hash: Int32Array, tag: Uint32Array, from: number, count: number): number {
    let sum = 0;
    for (let k = from; k < from + count; k++) {
      const part = this.parts[hash[k]! >>> 24]!;
      sum += part[(tag[k]! << 1) & (part.length - 1)]!;
    }
    return sum;
  }

  /**
   * The first row whose tag is a sign's, -1 where there is none: its row in all but one of many thousand cases, and not
   * compared yet.
   */
  guess(hash: number, tag: number): number {
    const part = this.parts[hash >>> 24]!;
    const mask = part.length - 1;
    let at = (tag << 1) & mask;
    while (part[at] !== tag && part[at + 1] !== 0) at = (at + 2) & mask;
    return part[at + 1]! - 1;
  }

  /** The row of a sign, -1 where there is none. */
  find(hash: number, tag: number, hi: number, lo: number): number {
    const part = this.parts[hash >>> 24]!;
    const mask = part.length - 1;
    let at = (tag << 1) & mask;
    for (;;) {
      const row = part[at + 1]!;
      if (row === 0) return -1;
      if (part[at] === tag && this.owner.holds(row - 1, hi, lo)) return row - 1;
      at = (at + 2) & mask;
    }
  }

  /** Adds a sign that is not there. */
  insert(hash: number, tag: number, row: number): void {
    const number = hash >>> 24;
    if (2 * (this.used[number]! + 1) > FULLEST * this.parts[number]!.length) this.grow(number, this.larger(number));
    this.used[number] = this.used[number]! + 1;
    this.size++;
    place(this.parts[number]!, tag, row + 1);
  }

  /**
   * Makes room for the entries of signs that are not there, by their hashes; whoever asks enters them. All parts double
   * at about the same time, so `touch` gets the memory they grow into before it is filled.
   */
  reserve(
    hash: Int32Array,
    wanted: Int32Array,
    count: number,
    touch: (pages: readonly ArrayBufferView[]) => void,
  ): void {
    countByPart(this.used, hash, wanted, count);
    this.size += count;
    for (let full = this.fullParts(); full.length > 0; full = this.fullParts()) {
      const larger = full.map(number => this.larger(number));
      touch(this.arrays.takeUntouched());
      full.forEach((number, i) => {
        this.grow(number, larger[i]!);
      });
    }
  }

  /** Parts that are to double. */
  private fullParts(): number[] {
    const full: number[] = [];
    for (let number = 0; number < PARTS; number++)
      if (2 * this.used[number]! > FULLEST * this.parts[number]!.length) full.push(number);
    return full;
  }

  /** Removes a sign that is there; what was pushed behind it moves up, so there are no tombstones. */
  remove(hash: number, tag: number, row: number): void {
    const number = hash >>> 24;
    const part = this.parts[number]!;
    const mask = part.length - 1;
    let hole = (tag << 1) & mask;
    while (part[hole + 1] !== row + 1) hole = (hole + 2) & mask;
    for (let at = (hole + 2) & mask; part[at + 1] !== 0; at = (at + 2) & mask) {
      const home = (part[at]! << 1) & mask;
      // The entry may move to the hole unless its home lies behind the hole.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      part[hole] = part[at]!;
      part[hole + 1] = part[at + 1]!;
      hole = at;
    }
    part[hole] = 0;
    part[hole + 1] = 0;
    this.used[number] = this.used[number]! - 1;
    this.size--;
  }

  clear(): void {
    this.arrays.clear();
    this.parts = Array.from({ length: PARTS }, () => new Uint32Array(2 * SMALLEST));
    this.used.fill(0);
    this.places.fill(0n);
    this.size = 0;
  }

  private larger(number: number): Uint32Array {
    return this.arrays.allocate(2 * this.parts[number]!.length);
  }

  private grow(number: number, after: Uint32Array): void {
    const before = this.parts[number]!;
    placeAll(before, after);
    this.parts[number] = after;
    this.places[2 * number] = 0n;
    this.arrays.release(before);
  }
}

// Loops over thousands of elements are functions of their own: a function that is optimised within its loop does not
// know what follows it, and starts anew at every call.

function countByPart(used: Uint32Array, hash: Int32Array, wanted: Int32Array, count: number): void {
  for (let i = 0; i < count; i++) used[hash[wanted[i]!]! >>> 24]!++;
}

/** Enters what one part has in another. */
function placeAll(from: Uint32Array, to: Uint32Array): void {
  for (let at = 0; at < from.length; at += 2) {
    const row = from[at + 1]!;
    if (row !== 0) place(to, from[at]!, row);
  }
}

function place(part: Uint32Array, tag: number, row: number): void {
  const mask = part.length - 1;
  let at = (tag << 1) & mask;
  while (part[at + 1] !== 0) at = (at + 2) & mask;
  part[at] = tag;
  part[at + 1] = row;
}
