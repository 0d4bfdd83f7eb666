/**
 * A batch as readers make it and trainers take it: ragged 64-bit signs per slot, a dense block, labels. A sign is two
 * 32-bit halves everywhere inside, because a JavaScript number is exact only up to 2^53; `bigint` is accepted at the
 * edge.
 */

/**
 * A feature sign: an unsigned 64-bit integer. A number is taken where it is exact (a non-negative integer below 2^53).
 */
export type Sign = bigint | number;

/** What the columns of a batch are; the same for all batches of a run. */
export interface BatchSchema {
  /** Names of the sparse slots, in order. */
  readonly slots: readonly string[];
  /** Names of the dense (numeric) columns, in order; may be empty. */
  readonly dense: readonly string[];
  /** Names of the labels, in order: one per task. */
  readonly labels: readonly string[];
}

/**
 * `size` examples. Example-major, so that readers append as they parse and an example is one stretch: the bag of
 * example b and slot s has number `b * schema.slots.length + s` and holds ids `offsets[bag]` to `offsets[bag + 1]`
 * (exclusive) of `hi` and `lo`. An empty bag is a missing feature. Arrays may be longer than what is used, so that a
 * reader can use them again.
 */
export interface SparseBatch {
  readonly schema: BatchSchema;
  readonly size: number;
  /** Upper 32 bits of each sign. */
  readonly hi: Uint32Array;
  /** Lower 32 bits of each sign. */
  readonly lo: Uint32Array;
  /** [size * slots + 1], ascending, from 0. */
  readonly offsets: Uint32Array;
  /** [size, schema.dense.length], row by row. */
  readonly dense: Float32Array;
  /** [size, schema.labels.length], row by row; a label that is missing is NaN. */
  readonly labels: Float32Array;
}

/** Column `at` of rows of `width` values each. */
export const columnOf = (values: ArrayLike<number>, width: number, at: number, rows: number): Float32Array =>
  Float32Array.from({ length: rows }, (_, i) => values[i * width + at]!);

/**
 * What stands for a label that an example does not have (conversion of an impression without click, a stream joined
 * later).
 */
export const MISSING_LABEL = Number.NaN;

/** Bags of a batch: one per example and slot. */
export const bagCount = ({ size, schema }: SparseBatch): number => size * schema.slots.length;

/**
 * The halves of a sign.
 * @throws RangeError when it is negative, not an integer, over 64 bits, or a number that may have lost digits.
 */
export function signParts(sign: Sign): { readonly hi: number; readonly lo: number } {
  if (typeof sign === 'number') {
    if (!Number.isSafeInteger(sign) || sign < 0)
      throw new RangeError(`sign: ${sign} came, expected a bigint from 0 to 2^64 - 1 or an integer from 0 to 2^53 - 1`);
    return { hi: Math.floor(sign / 2 ** 32), lo: sign >>> 0 };
  }
  if (sign < 0n || sign > 0xffffffffffffffffn)
    throw new RangeError(`sign: ${sign} came, expected an unsigned integer of 64 bits (0 to 18446744073709551615)`);
  return { hi: Number(sign >> 32n), lo: Number(sign & 0xffffffffn) };
}

/** The sign of two halves. */
export const signOf = (hi: number, lo: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

/** @throws Error in one sentence where a batch is not what its schema says. */
export function checkBatch(batch: SparseBatch): void {
  const { schema, size, hi, lo, offsets, dense, labels } = batch;
  const bags = bagCount(batch);
  const need = (name: string, length: number, least: number): void => {
    if (length < least)
      throw new RangeError(`batch of ${size} examples: ${name} has ${length} elements, expected ${least}`);
  };
  need('offsets', offsets.length, bags + 1);
  need('hi', hi.length, offsets[bags]!);
  need('lo', lo.length, offsets[bags]!);
  need('dense', dense.length, size * schema.dense.length);
  need('labels', labels.length, size * schema.labels.length);
  if (offsets[0] !== 0) throw new RangeError(`batch: offsets start at ${offsets[0]}, expected 0`);
  for (let bag = 0; bag < bags; bag++) {
    if (offsets[bag + 1]! < offsets[bag]!)
      throw new RangeError(`batch: offsets fall from ${offsets[bag]} to ${offsets[bag + 1]} at bag ${bag}`);
  }
}
