/**
 * From the distinct rows of a batch to what a model reads, and back: pooling of ragged bags, sequences, and the merging
 * of gradients of duplicate signs in the order of the batch. By generated code where there is some, by plain loops over
 * typed arrays elsewhere; knows no tables and no tensors.
 */
import type { HostKernels } from '../../compiler/program.ts';
import { withHostKernels } from '../../runtime/index.ts';
import type { SparseBatch } from '../batch.ts';
import { MergeKernel, PoolKernel } from '../kernels/index.ts';
import type { SparseModel } from '../models/model.ts';
import type { Lookup } from '../table/sparse-table.ts';

export const POOLINGS = ['sum', 'mean', 'sqrtn'] as const;

/** How the vectors of a bag become one. `sqrtn` is the sum over the root of their number. */
export type Pooling = (typeof POOLINGS)[number];

/** What happens to each slot. */
interface SlotPlan {
  /** Place among the pooled fields, -1 for a sequence. */
  readonly field: number;
  readonly pooling: Pooling;
  /** Place among the sequences, -1 for a pooled slot. */
  readonly sequence: number;
}

/** Gradients of the inputs that `forward` fills. */
interface PooledGradients {
  readonly wides: Float32Array;
  readonly vectors: Float32Array;
  readonly histories: readonly Float32Array[];
}

/** What a batch brings to each distinct sign: [unique, width], and [unique] each. */
export interface SignSums {
  readonly gradients: Float32Array;
  readonly shows: Float32Array;
  readonly clicks: Float32Array;
  readonly slots: Int32Array;
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
  /** `[capacity, fields]`: first distinct sign of each bag, -1 for none. */
  readonly ids: Int32Array<ArrayBuffer>;
  private readonly withIds: boolean;
  private lastSize: number;
  /** Generated code for the machine it was last wanted for. */
  private generated: { readonly machine: HostKernels; readonly pool: PoolKernel; readonly merge: MergeKernel } | null =
    null;

  constructor(model: SparseModel, poolings: Readonly<Record<string, Pooling>>, capacity: number) {
    const { schema, sequences, needs, fields } = model;
    const names = Object.keys(sequences);
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

  /** Generated code for the present backend, where it takes some. */
  private kernels(): { readonly pool: PoolKernel; readonly merge: MergeKernel } | null {
    return withHostKernels(machine => {
      if (this.generated?.machine === machine) return this.generated;
      const { fields, wide, dim, lengths } = this;
      const slots = this.slots.map(({ pooling, ...slot }) => ({ ...slot, pooling: POOLINGS.indexOf(pooling) }));
      const shape = { slots, fields, wide, dim, lengths };
      const pool = new PoolKernel(machine, shape, this.withIds);
      this.generated = { machine, pool, merge: new MergeKernel(machine, shape) };
      return this.generated;
    });
  }

  /** Fills the model's inputs from rows [unique, width]. */
  forward(batch: SparseBatch, lookup: Lookup, rows: Float32Array): void {
    const { size } = batch;
    const kernels = this.kernels();
    if (!kernels) {
      this.wipe(0, Math.max(size, this.lastSize));
      this.forwardPlainly(batch, lookup, rows);
    } else {
      this.wipe(size, this.lastSize);
      kernels.pool.run(size, batch.offsets, lookup.inverse, rows, this);
    }
    this.lastSize = size;
  }

  private forwardPlainly({ size, offsets }: SparseBatch, { inverse }: Lookup, rows: Float32Array): void {
    const { slots, fields, wide, dim, width, wides, vectors, ids, withIds } = this;
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

  /** Empties examples [from, to) of the inputs. */
  private wipe(from: number, to: number): void {
    if (from >= to) return;
    const { fields, wide, dim, lengths } = this;
    this.wides.fill(0, from * fields * wide, to * fields * wide);
    this.vectors.fill(0, from * fields * dim, to * fields * dim);
    this.ids.fill(-1, from * fields, to * fields);
    lengths.forEach((length, i) => {
      this.histories[i]!.fill(0, from * length * dim, to * length * dim);
      this.masks[i]!.fill(0, from * length, to * length);
    });
  }

  /**
   * Adds up what a batch brings to each distinct sign, in the order of the batch: gradients, each times `scales` (of
   * the wide weight, of the vector); shows; clicks (of label `click`; -1: every example is one); and the slot it was
   * last in.
   */
  backward(
    batch: SparseBatch,
    lookup: Lookup,
    gradients: PooledGradients,
    scales: readonly [wide: number, vector: number],
    click: number,
    into: SignSums,
  ): void {
    const { size, offsets, labels, schema } = batch;
    const kernels = this.kernels();
    if (kernels) {
      const sizes = { size, unique: lookup.unique, click, columns: schema.labels.length };
      kernels.merge.run(sizes, offsets, lookup.inverse, labels, gradients, scales, into);
      return;
    }
    this.mergePlainly(batch, lookup, gradients, scales, into.gradients);
    this.statistics(batch, lookup, click, into);
  }

  private mergePlainly(
    { size, offsets }: SparseBatch,
    { inverse, unique }: Lookup,
    gradients: PooledGradients,
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

  private statistics(
    { size, offsets, labels, schema }: SparseBatch,
    { inverse, unique }: Lookup,
    click: number,
    { shows, clicks, slots: slotOf }: SignSums,
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
