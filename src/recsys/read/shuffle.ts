/**
 * A global shuffle in bounded memory: when the buffer is full all of it is permuted, half of it goes out and the rest
 * waits for what comes. Data that fits the buffer is shuffled perfectly; of more, an example travels as far as it
 * likes, with a probability that halves every half buffer.
 */
import { RandomStream } from '../../data/random.ts';
import type { BatchSchema, SparseBatch } from '../batch.ts';
import { gatherBatch } from './batches.ts';

export interface ShuffleOptions {
  readonly seed: number;
  /** Examples that are held; 262,144 by default (60 MB of Criteo's). */
  readonly buffer?: number;
  /** Another order for each epoch of the same seed; 0 by default. */
  readonly epoch?: number;
}

export async function* shuffled(
  batches: AsyncIterable<SparseBatch>,
  schema: BatchSchema,
  { seed, buffer = 262_144, epoch = 0 }: ShuffleOptions,
): AsyncGenerator<SparseBatch, void, undefined> {
  if (!Number.isInteger(buffer) || buffer < 2)
    throw new Error(`shuffle: buffer is ${buffer}, expected at least 2 examples`);
  const random = new RandomStream(seed, epoch, STREAM);
  let held: SparseBatch[] = [];
  let size = 0;
  for await (const batch of batches) {
    held.push(batch);
    size += batch.size;
    if (size < buffer) continue;
    const order = random.permutation(size);
    const out = size >> 1;
    yield gatherBatch(schema, held, order.subarray(0, out));
    held = [gatherBatch(schema, held, order.subarray(out))];
    size -= out;
  }
  if (size > 0) yield gatherBatch(schema, held, random.permutation(size));
}

/** Of random numbers: nothing else that a seed decides uses it. */
const STREAM = 0x5f0e;
