/**
 * Pooling and the merging of gradients: the twins of `forward`, and of `backward` with `statistics`, of
 * train/pooling.ts. Examples are shared out for pooling, distinct signs for merging: a thread walks the whole batch and
 * adds up what belongs to its own signs, in the order of the batch.
 */
import type { LoopBuilder } from '../../compiler/loop-builder.ts';
import type { Reg } from '../../compiler/loops.ts';
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import {
  type BufferNames,
  chunksOf,
  loadChunk,
  loadedOnce,
  loadKernel,
  loadWide,
  ownerTest,
  real,
  storeChunk,
  storeWide,
  word,
} from './writing.ts';

/** What happens to a slot, as numbers. */
export interface SlotPlan {
  /** Place among the pooled fields, -1 for a sequence. */
  readonly field: number;
  /** 0 sum, 1 mean, 2 sqrtn. */
  readonly pooling: number;
  /** Place among the sequences, -1 for a pooled slot. */
  readonly sequence: number;
}

/** What a kernel is written for. */
interface PoolShape {
  readonly slots: readonly SlotPlan[];
  readonly fields: number;
  readonly wide: number;
  readonly dim: number;
  /** Length of each sequence. */
  readonly lengths: readonly number[];
}

/** Words per slot in the buffer of plans. */
const PLAN = 3;

const planOf = (slots: readonly SlotPlan[]): Int32Array =>
  Int32Array.from(slots.flatMap(({ field, pooling, sequence }) => [field, pooling, sequence]));

/** Shapes whose kernels are the same. */
const keyOf = ({ slots, ...shape }: PoolShape): string => JSON.stringify([slots.length, shape]);

/** Buffers of sequence q are called by these names. */
const sequenceNames = (lengths: readonly number[], names: readonly string[]): BufferNames =>
  Object.fromEntries(lengths.flatMap((_, q) => names.map(name => [`${name}${q}`, 'f32' as const])));

/** One slot of one example, while a kernel is written. */
interface Bag {
  readonly slot: Reg;
  readonly from: Reg;
  readonly to: Reg;
  readonly field: Reg;
  readonly pooling: Reg;
  readonly sequence: Reg;
}

/** Calls `body` for every slot of an example, in order. */
function eachSlot(
  b: LoopBuilder,
  count: number,
  buffer: { readonly offsets: number; readonly plan: number },
  example: Reg,
  body: (bag: Bag) => void,
): void {
  const first = b.mul(example, b.i32(count));
  b.for(0, count, 1, slot => {
    const bounds = b.addr(buffer.offsets, b.add(first, slot));
    const plan = b.addr(buffer.plan, b.mul(slot, b.i32(PLAN)));
    body({
      slot,
      from: b.load('i32', bounds),
      to: b.load('i32', bounds, 4),
      field: b.load('i32', plan),
      pooling: b.load('i32', plan, 4),
      sequence: b.load('i32', plan, 8),
    });
  });
}

/** The factor of a bag of n: 1, 1 / n or 1 / sqrt(n), in f64. */
function scaleOf(b: LoopBuilder, pooling: Reg, n: Reg): Reg {
  const one = b.const('f64', 1);
  const count = b.cvt('f64', n);
  const scale = b.copy(one);
  b.if(b.cmp('eq', pooling, b.i32(1)), () => b.move(scale, b.bin('div', one, count)));
  b.if(b.cmp('eq', pooling, b.i32(2)), () => b.move(scale, b.bin('div', one, b.un('sqrt', count))));
  return scale;
}

const POOL = {
  offsets: 'i32',
  inverse: 'i32',
  rows: 'f32',
  wides: 'f32',
  vectors: 'f32',
  ids: 'i32',
  plan: 'i32',
  numbers: 'i32',
} as const;

/** Fills a model's inputs from the rows of distinct signs; what no sign fills is zero. */
export class PoolKernel {
  private readonly kernel: HostKernel;
  private readonly plan: Int32Array;
  private readonly numbers = new Int32Array(1);

  /** @param withIds whether `ids` is written */
  constructor(machine: HostKernels, shape: PoolShape, withIds: boolean) {
    this.plan = planOf(shape.slots);
    const key = `pool ${withIds} ${keyOf(shape)}`;
    this.kernel = loadedOnce(machine, key, () => poolKernel(machine, shape, withIds));
  }

  run(
    size: number,
    offsets: Uint32Array,
    inverse: Int32Array,
    rows: Float32Array,
    out: {
      readonly wides: Float32Array;
      readonly vectors: Float32Array;
      readonly ids: Int32Array;
      readonly histories: readonly Float32Array[];
      readonly masks: readonly Float32Array[];
    },
  ): void {
    this.numbers[0] = size;
    const sequences = out.histories.flatMap((history, q) => [history, out.masks[q]!]);
    const { wides, vectors, ids } = out;
    this.kernel.run([offsets, inverse, rows, wides, vectors, ids, this.plan, this.numbers, ...sequences]);
  }
}

const MERGE = {
  offsets: 'i32',
  inverse: 'i32',
  wides: 'f32',
  vectors: 'f32',
  labels: 'f32',
  out: 'f32',
  shows: 'f32',
  clicks: 'f32',
  slotOf: 'i32',
  plan: 'i32',
  numbers: 'i32',
  reals: 'f64',
} as const;

/** Signs of one owner that lie together, so that few cache lines of the sums have two: 128 shows are eight lines. */
const OWNED_SHIFT = 7;

/** Adds up gradients, shows and clicks of each distinct sign. */
export class MergeKernel {
  private readonly kernel: HostKernel;
  private readonly plan: Int32Array;
  /** [size, unique, label column of clicks (-1: every example is one), label columns] */
  private readonly numbers = new Int32Array(4);
  private readonly reals = new Float64Array(2);

  constructor(machine: HostKernels, shape: PoolShape) {
    this.plan = planOf(shape.slots);
    this.kernel = loadedOnce(machine, `merge ${keyOf(shape)}`, () => mergeKernel(machine, shape));
  }

  run(
    { size, unique, click, columns }: MergeSizes,
    offsets: Uint32Array,
    inverse: Int32Array,
    labels: Float32Array,
    gradients: {
      readonly wides: Float32Array;
      readonly vectors: Float32Array;
      readonly histories: readonly Float32Array[];
    },
    scales: readonly [wide: number, vector: number],
    into: {
      readonly gradients: Float32Array;
      readonly shows: Float32Array;
      readonly clicks: Float32Array;
      readonly slots: Int32Array;
    },
  ): void {
    this.numbers.set([size, unique, click, columns]);
    this.reals.set(scales);
    this.kernel.run([
      offsets,
      inverse,
      gradients.wides,
      gradients.vectors,
      labels,
      into.gradients,
      into.shows,
      into.clicks,
      into.slots,
      this.plan,
      this.numbers,
      this.reals,
      ...gradients.histories,
    ]);
  }
}

interface MergeSizes {
  readonly size: number;
  readonly unique: number;
  /** Label column whose value counts as clicks; -1: every example is one. */
  readonly click: number;
  readonly columns: number;
}

function poolKernel(machine: HostKernels, shape: PoolShape, withIds: boolean): HostKernel {
  const { slots, fields, wide, dim, lengths } = shape;
  const width = wide + dim;
  const names = { ...POOL, ...sequenceNames(lengths, ['history', 'mask']) };
  return loadKernel(machine, 'pool', names, (b, buffer) => {
    const places = buffer as unknown as Readonly<Record<string, number>>;
    const chunks = chunksOf(b, machine.target, dim);
    const none = b.i32(-1);
    const rowOf = (k: Reg): Reg => b.addr(buffer.rows, b.mul(word(b, buffer.inverse, k), b.i32(width)));
    const size = word(b, buffer.numbers, 0);
    const threads = b.threads();
    const begin = b.bin('div', b.mul(size, b.thread()), threads);
    const end = b.bin('div', b.mul(size, b.add(b.thread(), b.i32(1))), threads);
    b.for(begin, end, 1, example =>
      eachSlot(b, slots.length, buffer, example, ({ from, to, field, pooling, sequence }) => {
        b.if(b.cmp('ge', field, b.i32(0)), () => {
          const place = b.add(b.mul(example, b.i32(fields)), field);
          if (withIds) {
            const id = b.copy(none);
            b.if(b.cmp('lt', from, to), () => b.move(id, word(b, buffer.inverse, from)));
            b.store('i32', b.addr(buffer.ids, place), id);
          }
          const n = b.sub(to, from);
          const several = b.bin('and', b.cmp('gt', n, b.i32(1)), b.cmp('ne', pooling, b.i32(0)));
          const scale = b.copy(b.const('f64', 1));
          b.if(several, () => b.move(scale, scaleOf(b, pooling, n)));
          const scaled = (sum: Reg): void => {
            const { lanes } = sum.type;
            b.if(several, () => b.move(sum, b.cvt('f32', b.mul(b.cvt('f64', sum), b.splat(scale, lanes)))));
          };
          if (wide) {
            const sum = b.copy(b.const('f32', 0));
            b.for(from, to, 1, k => b.move(sum, b.add(sum, b.load('f32', rowOf(k)))));
            scaled(sum);
            b.store('f32', b.addr(buffer.wides, place), sum);
          }
          const out = b.addr(buffer.vectors, b.mul(place, b.i32(dim)));
          for (const chunk of chunks) {
            const sum = b.copy(b.const('f32', 0, chunk.lanes));
            b.for(from, to, 1, k => b.move(sum, b.add(sum, loadChunk(b, rowOf(k), 4 * wide, chunk))));
            scaled(sum);
            storeChunk(b, out, 0, chunk, sum);
          }
        });
        lengths.forEach((length, q) => {
          b.if(b.cmp('eq', sequence, b.i32(q)), () => {
            const first = b.bin('max', from, b.sub(to, b.i32(length)));
            const step = b.mul(example, b.i32(length));
            b.for(0, length, 1, i => {
              const at = b.add(step, i);
              const k = b.add(first, i);
              const out = b.addr(places[`history${q}`]!, b.mul(at, b.i32(dim)));
              b.if(
                b.cmp('lt', k, to),
                () => {
                  const row = rowOf(k);
                  for (const chunk of chunks) storeChunk(b, out, 0, chunk, loadChunk(b, row, 4 * wide, chunk));
                  b.store('f32', b.addr(places[`mask${q}`]!, at), b.const('f32', 1));
                },
                () => {
                  for (const chunk of chunks) storeChunk(b, out, 0, chunk, b.const('f32', 0, chunk.lanes));
                  b.store('f32', b.addr(places[`mask${q}`]!, at), b.const('f32', 0));
                },
              );
            });
          });
        });
      }),
    );
  });
}

function mergeKernel(machine: HostKernels, shape: PoolShape): HostKernel {
  const { slots, fields, wide, dim, lengths } = shape;
  const width = wide + dim;
  const names = { ...MERGE, ...sequenceNames(lengths, ['history']) };
  return loadKernel(machine, 'merge gradients', names, (b, buffer) => {
    const places = buffer as unknown as Readonly<Record<string, number>>;
    const chunks = chunksOf(b, machine.target, dim);
    const whole = chunksOf(b, machine.target, width);
    const zero = b.i32(0);
    const one = b.i32(1);
    const [size, unique, column, columns] = [0, 1, 2, 3].map(i => word(b, buffer.numbers, i)) as [Reg, Reg, Reg, Reg];
    const [wideScale, vectorScale] = [0, 1].map(i => real(b, buffer.reals, i)) as [Reg, Reg];
    const owns = ownerTest(b);
    const isOwn = (u: Reg): Reg => owns(b.bin('shrU', u, b.i32(OWNED_SHIFT)));
    b.for(zero, unique, 1, u =>
      b.if(isOwn(u), () => {
        const out = b.addr(buffer.out, b.mul(u, b.i32(width)));
        for (const chunk of whole) storeChunk(b, out, 0, chunk, b.const('f32', 0, chunk.lanes));
        b.store('f32', b.addr(buffer.shows, u), b.const('f32', 0));
        b.store('f32', b.addr(buffer.clicks, u), b.const('f32', 0));
      }),
    );
    b.for(zero, size, 1, example => {
      const clicked = b.copy(b.const('f32', 1));
      b.if(b.cmp('ge', column, zero), () => {
        const label = b.load('f32', b.addr(buffer.labels, b.add(b.mul(example, columns), column)));
        const none = b.const('f32', 0);
        b.move(clicked, b.select(b.cmp('gt', label, none), label, none));
      });
      eachSlot(b, slots.length, buffer, example, ({ slot, from, to, field, pooling, sequence }) => {
        const n = b.sub(to, from);
        const scale = b.copy(b.const('f64', 1));
        b.if(b.cmp('gt', n, one), () => b.move(scale, scaleOf(b, pooling, n)));
        const byWide = b.mul(scale, wideScale);
        const byVector = b.mul(scale, vectorScale);
        const place = b.add(b.mul(example, b.i32(fields)), field);
        const grow = (total: number, u: Reg, by: Reg): void => {
          const at = b.addr(total, u);
          b.store('f32', at, b.add(b.load('f32', at), by));
        };
        const add = (p: Reg, offset: number, of: readonly (typeof chunks)[number][], by: Reg, gradient: Reg): void => {
          for (const chunk of of) {
            const grown = b.mul(b.splat(by, chunk.lanes), loadWide(b, gradient, 0, chunk));
            storeWide(b, p, offset, chunk, b.add(loadWide(b, p, offset, chunk), grown));
          }
        };
        b.for(from, to, 1, k => {
          const u = word(b, buffer.inverse, k);
          b.if(isOwn(u), () => {
            grow(buffer.shows, u, b.const('f32', 1));
            grow(buffer.clicks, u, clicked);
            b.store('i32', b.addr(buffer.slotOf, u), slot);
            const out = b.addr(buffer.out, b.mul(u, b.i32(width)));
            b.if(b.cmp('ge', field, zero), () => {
              if (wide) add(out, 0, [{ at: 0, lanes: 1, mask: null }], byWide, b.addr(buffer.wides, place));
              if (dim > 0) add(out, 4 * wide, chunks, byVector, b.addr(buffer.vectors, b.mul(place, b.i32(dim))));
            });
            lengths.forEach((length, q) => {
              b.if(b.cmp('eq', sequence, b.i32(q)), () => {
                const first = b.bin('max', from, b.sub(to, b.i32(length)));
                b.if(b.cmp('ge', k, first), () => {
                  const step = b.add(b.mul(example, b.i32(length)), b.sub(k, first));
                  add(out, 4 * wide, chunks, vectorScale, b.addr(places[`history${q}`]!, b.mul(step, b.i32(dim))));
                });
              });
            });
          });
        });
      });
    });
  });
}
