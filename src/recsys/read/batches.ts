/**
 * Cutting and joining batches: all examples of some blocks in another order, or in stretches of another size.
 */
import type { BatchSchema, SparseBatch } from '../batch.ts';

/** Examples [from, to) of a batch; ids, numbers and labels are views. */
function sliceBatch({ schema, hi, lo, offsets, dense, labels }: SparseBatch, from: number, to: number): SparseBatch {
  const slots = schema.slots.length;
  const first = offsets[from * slots];
  const last = offsets[to * slots];
  return {
    schema,
    size: to - from,
    hi: hi.subarray(first, last),
    lo: lo.subarray(first, last),
    offsets: lessFirst(offsets.slice(from * slots, to * slots + 1)),
    dense: dense.subarray(from * schema.dense.length, to * schema.dense.length),
    labels: labels.subarray(from * schema.labels.length, to * schema.labels.length),
  };
}

/**
 * Has offsets begin at 0. A function of its own: what holds such a loop is optimised within it, and anew at every call.
 */
function lessFirst(offsets: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const first = offsets[0];
  if (first !== 0) for (let i = 0; i < offsets.length; i++) offsets[i] -= first;
  return offsets;
}

/**
 * The examples of `blocks` as one batch; `order` numbers them through all blocks, in the blocks' own order by default.
 */
export function gatherBatch(
  schema: BatchSchema,
  blocks: readonly SparseBatch[],
  order: ArrayLike<number> = Array.from({ length: blocks.reduce((n, block) => n + block.size, 0) }, (_, i) => i),
): SparseBatch {
  const slots = schema.slots.length;
  const width = schema.dense.length;
  const tasks = schema.labels.length;
  const size = order.length;
  const blockOf = new Uint32Array(blocks.reduce((n, block) => n + block.size, 0));
  const begins: number[] = [];
  let total = 0;
  blocks.forEach((block, b) => {
    begins.push(total);
    blockOf.fill(b, total, (total += block.size));
  });
  let count = 0;
  for (let i = 0; i < size; i++) {
    const block = blocks[blockOf[order[i]]];
    const row = order[i] - begins[blockOf[order[i]]];
    count += block.offsets[(row + 1) * slots] - block.offsets[row * slots];
  }
  const batch = {
    schema,
    size,
    hi: new Uint32Array(count),
    lo: new Uint32Array(count),
    offsets: new Uint32Array(size * slots + 1),
    dense: new Float32Array(size * width),
    labels: new Float32Array(size * tasks),
  };
  let ids = 0;
  for (let i = 0; i < size; i++) {
    const { hi, lo, offsets, dense, labels } = blocks[blockOf[order[i]]];
    const row = order[i] - begins[blockOf[order[i]]];
    const first = offsets[row * slots];
    const last = offsets[(row + 1) * slots];
    for (let s = 1; s <= slots; s++) batch.offsets[i * slots + s] = ids + offsets[row * slots + s] - first;
    for (let at = first; at < last; at++) {
      batch.hi[ids] = hi[at];
      batch.lo[ids++] = lo[at];
    }
    for (let d = 0; d < width; d++) batch.dense[i * width + d] = dense[row * width + d];
    for (let t = 0; t < tasks; t++) batch.labels[i * tasks + t] = labels[row * tasks + t];
  }
  return batch;
}

/** Batches of exactly `batchSize` examples out of batches of any size; the last may be smaller, or is left out. */
export async function* rebatch(
  batches: AsyncIterable<SparseBatch>,
  schema: BatchSchema,
  batchSize: number,
  dropLast: boolean,
): AsyncGenerator<SparseBatch, void, undefined> {
  let held: SparseBatch[] = [];
  let size = 0;
  for await (const batch of batches) {
    let from = 0;
    while (size + batch.size - from >= batchSize) {
      const part = sliceBatch(batch, from, from + batchSize - size);
      from += part.size;
      yield held.length === 0 ? part : gatherBatch(schema, [...held, part]);
      held = [];
      size = 0;
    }
    if (from === batch.size) continue;
    held.push(sliceBatch(batch, from, batch.size));
    size += batch.size - from;
  }
  if (size > 0 && !dropLast) yield gatherBatch(schema, held);
}
