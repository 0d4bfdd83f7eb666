/**
 * Numbers that a walk gives to nodes. With a Map the bookkeeping costs more than the walk: V8 first gives each object a
 * hash, and grows a table anew for every step of a plain loop. Here it is one open-addressed table of node ids, used
 * again by the next walk.
 */
import type { Node } from './node.ts';

/** Slots of a new table, a power of two. */
const SLOTS = 1 << 10;
/** Slots of a table for every number of a walk that keeps it. */
const SPARE = 64;

/** Positive numbers by node. */
export class NodeNumbers {
  /** Whole numbers beyond 2^31 too: a long run makes more nodes than that. */
  private ids = new Float64Array(SLOTS);
  /** 0 where a slot is free. */
  private numbers = new Int32Array(SLOTS);
  private shift = 32 - Math.log2(SLOTS);
  private size = 0;

  /** Slots that there are now. */
  get slots(): number {
    return this.ids.length;
  }

  /** The number of `node`, 0 where it has none. */
  get({ id }: Node): number {
    // As `slotOf`, without the call: every walk over a graph comes here for each edge.
    const { ids, numbers } = this;
    const mask = ids.length - 1;
    let slot = Math.imul(id, 0x9e3779b1) >>> this.shift;
    while (numbers[slot] !== 0 && ids[slot] !== id) slot = (slot + 1) & mask;
    return numbers[slot]!;
  }

  set(node: Node, number: number): void {
    let slot = this.slotOf(node.id);
    if (this.numbers[slot] === 0) {
      if (2 * ++this.size > this.ids.length) {
        this.grow();
        slot = this.slotOf(node.id);
      }
      this.ids[slot] = node.id;
    }
    this.numbers[slot] = number;
  }

  /**
   * Empties the table. One that this walk had no use for is given up: after one large graph every small walk would
   * clear megabytes.
   */
  clear(): void {
    const { ids, size } = this;
    if (ids.length > SLOTS && ids.length > SPARE * size) this.resize(SLOTS);
    else if (size > 0) this.numbers.fill(0);
    this.size = 0;
  }

  /** Where `id` is, or the free slot where it would be (Fibonacci hashing, linear probing). */
  private slotOf(id: number): number {
    const { ids, numbers } = this;
    const mask = ids.length - 1;
    let slot = Math.imul(id, 0x9e3779b1) >>> this.shift;
    while (numbers[slot] !== 0 && ids[slot] !== id) slot = (slot + 1) & mask;
    return slot;
  }

  /** An empty table of so many slots. */
  private resize(slots: number): void {
    this.ids = new Float64Array(slots);
    this.numbers = new Int32Array(slots);
    this.shift = 32 - Math.log2(slots);
  }

  private grow(): void {
    const { ids, numbers } = this;
    this.resize(2 * ids.length);
    // By index: of thousands of slots half are free, in code that runs for the first time.
    for (let i = 0; i < numbers.length; i++) {
      if (numbers[i] === 0) continue;
      const slot = this.slotOf(ids[i]!);
      this.ids[slot] = ids[i]!;
      this.numbers[slot] = numbers[i]!;
    }
  }
}

/** Tables that no walk uses now. */
const free: NodeNumbers[] = [];

/** Runs a walk with a table that is empty and its own, also where walks are nested. */
export function withNodeNumbers<T>(walk: (numbers: NodeNumbers) => T): T {
  const numbers = free.pop() ?? new NodeNumbers();
  try {
    return walk(numbers);
  } finally {
    numbers.clear();
    free.push(numbers);
  }
}
