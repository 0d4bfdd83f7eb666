/**
 * Where extracted examples are written: growing arrays in the layout of a SparseBatch, one example after the other; an
 * example that turns out bad is taken back.
 */
import type { BatchSchema, SparseBatch } from '../batch.ts';

const grown = (from: Uint32Array, least: number): Uint32Array => {
  const to = new Uint32Array(Math.max(least, from.length * 2));
  to.set(from);
  return to;
};

export class Rows {
  readonly schema: BatchSchema;
  readonly capacity: number;
  size = 0;
  ids = 0;
  hi: Uint32Array;
  lo: Uint32Array;
  offsets: Uint32Array;
  dense: Float32Array;
  labels: Float32Array;
  private bags = 0;

  /** Room for `capacity` examples; ids grow as they come. */
  constructor(schema: BatchSchema, capacity: number) {
    this.schema = schema;
    this.capacity = capacity;
    this.hi = new Uint32Array(capacity * Math.max(1, schema.slots.length));
    this.lo = new Uint32Array(this.hi.length);
    this.offsets = new Uint32Array(capacity * schema.slots.length + 1);
    this.dense = new Float32Array(capacity * schema.dense.length);
    this.labels = new Float32Array(capacity * schema.labels.length);
  }

  /** Adds an id to the bag that is open. */
  id(hi: number, lo: number): void {
    if (this.ids === this.hi.length) {
      this.hi = grown(this.hi, 64);
      this.lo = grown(this.lo, 64);
    }
    this.hi[this.ids] = hi;
    this.lo[this.ids++] = lo;
  }

  /** Room for `count` more ids. */
  reserve(count: number): void {
    if (this.ids + count <= this.hi.length) return;
    this.hi = grown(this.hi, this.ids + count);
    this.lo = grown(this.lo, this.ids + count);
  }

  /** Closes `count` bags of one id each, whose ids stand behind the last. */
  endSingles(count: number): void {
    const { offsets } = this;
    for (let i = 0; i < count; i++) offsets[++this.bags] = ++this.ids;
  }

  /** Closes the present bag. */
  endBag(): void {
    this.offsets[++this.bags] = this.ids;
  }

  /** Keeps the first `count` ids of the present bag. */
  keepFirst(count: number): void {
    this.ids = Math.min(this.ids, this.offsets[this.bags] + count);
  }

  /** Keeps the last `count` ids of the present bag. */
  keepLast(count: number): void {
    const begin = this.offsets[this.bags];
    const surplus = this.ids - begin - count;
    if (surplus <= 0) return;
    this.hi.copyWithin(begin, begin + surplus, this.ids);
    this.lo.copyWithin(begin, begin + surplus, this.ids);
    this.ids -= surplus;
  }

  /** The example is complete. */
  commit(): void {
    this.size++;
  }

  /** Forgets what was written since the last `commit`. */
  rollback(): void {
    this.bags = this.size * this.schema.slots.length;
    this.ids = this.offsets[this.bags];
  }

  get full(): boolean {
    return this.size === this.capacity;
  }

  /** The examples so far as a batch of their own arrays, which may be transferred; these rows are empty afterwards. */
  take(): SparseBatch {
    const { schema, size, ids } = this;
    const batch = {
      schema,
      size,
      hi: this.hi.slice(0, ids),
      lo: this.lo.slice(0, ids),
      offsets: this.offsets.slice(0, size * schema.slots.length + 1),
      dense: this.dense.slice(0, size * schema.dense.length),
      labels: this.labels.slice(0, size * schema.labels.length),
    };
    this.size = 0;
    this.ids = 0;
    this.bags = 0;
    return batch;
  }
}
