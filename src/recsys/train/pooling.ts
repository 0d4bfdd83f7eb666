/**
 * From the distinct rows of a batch to what a model reads, and back: pooling of ragged bags, sequences, and the merging of gradients of
 * duplicate signs in the order of the batch. Plain loops over typed arrays; knows no tables and no tensors.
 */
import type { SparseBatch } from '../batch.ts';
import type { SparseModel } from '../models/model.ts';
import type { Lookup } from '../table/sparse-table.ts';

/** How the vectors of a bag become one. `sqrtn` is the sum over the root of their number. */
export type Pooling = 'sum' | 'mean' | 'sqrtn';

/** What happens to each slot. */
interface SlotPlan {
  /** Place among the pooled fields, -1 for a sequence. */
  readonly field: number;
  readonly pooling: Pooling;
  /** Place among the sequences, -1 for a pooled slot. */
  readonly sequence: number;
}

/** The factor of a bag of `n`. */
const scaleOf = (pooling: Pooling, n: number): number =>
  pooling === 'sum' ? 1 : pooling === 'mean' ? 1 / n : 1 / Math.sqrt(n);

export class BatchPooling {
  readonly slots: readonly SlotPlan[];
  readonly fields: number;
  /** Length of each sequence, in the order of the model's. */
  readonly lengths: readonly number[];
  readonly wide: number;
  readonly dim: number;
  /** Weights per distinct sign. */
  readonly width: number;
  /** Most examples a batch may have: the size of all buffers. */
  readonly capacity: number;
  /** [capacity, fields], [capacity, fields, dim] */
  readonly wides: Float32Array<ArrayBuffer>;
  readonly vectors: Float32Array<ArrayBuffer>;
  /** Per sequence [capacity, length, dim] and [capacity, length]. */
  readonly histories: readonly Float32Array<ArrayBuffer>[];
  readonly masks: readonly Float32Array<ArrayBuffer>[];
  /** [capacity, fields]: first distinct sign of each bag, -1 for none. */
  readonly ids: Int32Array<ArrayBuffer>;
  private readonly withIds: boolean;
  private lastSize: number;

  constructor(model: SparseModel, poolings: Readonly<Record<string, Pooling>>, capacity: number) {
    const { schema, sequences, needs, fields } = model;
    const names = Object.keys(sequences);
    for (const slot of Object.keys(poolings))
      if (!fields.includes(slot)) throw new Error(`pooling: slot "${slot}" came, expected one of ${fields.join(', ')}`);
    this.slots = schema.slots.map(slot => ({
      field: fields.indexOf(slot),
      pooling: poolings[slot] ?? 'sum',
      sequence: names.indexOf(slot),
    }));
    this.fields = fields.length;
    this.lengths = names.map(slot => sequences[slot]!);
    this.wide = needs.wide ? 1 : 0;
    this.dim = needs.dim;
    this.width = this.wide + this.dim;
    this.capacity = capacity;
    this.wides = new Float32Array(capacity * this.fields * this.wide);
    this.vectors = new Float32Array(capacity * this.fields * this.dim);
    this.histories = this.lengths.map(n => new Float32Array(capacity * n * this.dim));
    this.masks = this.lengths.map(n => new Float32Array(capacity * n));
    this.ids = new Int32Array(capacity * this.fields);
    this.withIds = model.statistics;
    this.lastSize = capacity;
  }

  /** Fills the model's inputs from rows [unique, width]. */
  forward({ size, offsets }: SparseBatch, { inverse }: Lookup, rows: Float32Array): void {
    const { slots, fields, wide, dim, width, wides, vectors, ids, withIds } = this;
    this.wipe(size);
    if (withIds) ids.fill(-1);
    const count = slots.length;
    for (let b = 0; b < size; b++) {
      for (let s = 0; s < count; s++) {
        const from = offsets[b * count + s]!;
        const to = offsets[b * count + s + 1]!;
        if (from === to) continue;
        const { field, pooling, sequence } = slots[s]!;
        if (sequence >= 0) {
          const length = this.lengths[sequence]!;
          const history = this.histories[sequence]!;
          const mask = this.masks[sequence]!;
          for (let k = Math.max(from, to - length), step = b * length; k < to; k++, step++) {
            const row = inverse[k]! * width + wide;
            for (let d = 0; d < dim; d++) history[step * dim + d] = rows[row + d]!;
            mask[step] = 1;
          }
          continue;
        }
        const place = b * fields + field;
        if (withIds) ids[place] = inverse[from]!;
        const out = place * dim;
        for (let k = from; k < to; k++) {
          const row = inverse[k]! * width;
          if (wide) wides[place] = wides[place]! + rows[row]!;
          for (let d = 0; d < dim; d++) vectors[out + d] = vectors[out + d]! + rows[row + wide + d]!;
        }
        if (pooling === 'sum' || to - from === 1) continue;
        const scale = scaleOf(pooling, to - from);
        if (wide) wides[place] = wides[place]! * scale;
        for (let d = 0; d < dim; d++) vectors[out + d] = vectors[out + d]! * scale;
      }
    }
  }

  /** Zeros what this and the last batch may leave behind. */
  private wipe(size: number): void {
    const rows = Math.max(size, this.lastSize);
    this.lastSize = size;
    this.wides.fill(0, 0, rows * this.fields * this.wide);
    this.vectors.fill(0, 0, rows * this.fields * this.dim);
    this.histories.forEach((history, i) => {
      history.fill(0, 0, rows * this.lengths[i]! * this.dim);
      this.masks[i]!.fill(0, 0, rows * this.lengths[i]!);
    });
  }

  /**
   * Adds up the gradients of each distinct sign into `out` [unique, width], in the order of the batch, each times `scales` (of the wide
   * weight, of the vector).
   */
  backward(
    { size, offsets }: SparseBatch,
    { inverse, unique }: Lookup,
    gradients: {
      readonly wides: Float32Array;
      readonly vectors: Float32Array;
      readonly histories: readonly Float32Array[];
    },
    scales: readonly [wide: number, vector: number],
    out: Float32Array,
  ): void {
    const { slots, fields, wide, dim, width } = this;
    const { wides, vectors, histories } = gradients;
    out.fill(0, 0, unique * width);
    const count = slots.length;
    for (let b = 0; b < size; b++) {
      for (let s = 0; s < count; s++) {
        const from = offsets[b * count + s]!;
        const to = offsets[b * count + s + 1]!;
        if (from === to) continue;
        const { field, pooling, sequence } = slots[s]!;
        if (sequence >= 0) {
          const length = this.lengths[sequence]!;
          const history = histories[sequence]!;
          for (let k = Math.max(from, to - length), step = b * length; k < to; k++, step++) {
            const row = inverse[k]! * width + wide;
            for (let d = 0; d < dim; d++) out[row + d] = out[row + d]! + scales[1] * history[step * dim + d]!;
          }
          continue;
        }
        const place = b * fields + field;
        const scale = to - from === 1 ? 1 : scaleOf(pooling, to - from);
        const byVector = scale * scales[1];
        for (let k = from; k < to; k++) {
          const row = inverse[k]! * width;
          if (wide) out[row] = out[row]! + scale * scales[0] * wides[place]!;
          for (let d = 0; d < dim; d++)
            out[row + wide + d] = out[row + wide + d]! + byVector * vectors[place * dim + d]!;
        }
      }
    }
  }

  /** Shows, clicks (of label `click`; -1: every example is one) and the slot of each distinct sign. */
  statistics(
    { size, offsets, labels, schema }: SparseBatch,
    { inverse, unique }: Lookup,
    click: number,
    shows: Float32Array,
    clicks: Float32Array,
    slotOf: Uint16Array,
  ): void {
    shows.fill(0, 0, unique);
    clicks.fill(0, 0, unique);
    const count = this.slots.length;
    const columns = schema.labels.length;
    for (let b = 0; b < size; b++) {
      const label = click < 0 ? 1 : labels[b * columns + click]!;
      const clicked = label > 0 ? label : 0;
      for (let s = 0; s < count; s++) {
        for (let k = offsets[b * count + s]!; k < offsets[b * count + s + 1]!; k++) {
          const u = inverse[k]!;
          shows[u] = shows[u]! + 1;
          clicks[u] = clicks[u]! + clicked;
          slotOf[u] = s;
        }
      }
    }
  }
}
