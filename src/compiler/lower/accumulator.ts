/**
 * Reductions in registers: where they start, how elements and partial results are combined, and what becomes of lanes
 * and copies at the end. The order of combination depends on shapes and the target only. Imports level 1 and the loop
 * IR.
 */
import { type DType, isFloat } from '../../graph/dtype.ts';
import type { ReduceKind } from '../../graph/node.ts';
import type { ReducedExpr } from '../expr.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { constantValue, lowerBinary, settle } from '../math/index.ts';
import type { Emitter } from './emitter.ts';
import type { Mode } from './walk.ts';

/** The operation that joins two partial results. */
export const COMBINE = { sum: 'add', prod: 'mul', max: 'max', min: 'min' } as const;

function identity(kind: ReduceKind, dtype: DType): number | bigint {
  if (kind === 'sum') return 0;
  if (kind === 'prod') return 1;
  const max = kind === 'max';
  if (isFloat(dtype)) return max ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  switch (dtype) {
    case 'i64':
      return max ? -(2n ** 63n) : 2n ** 63n - 1n;
    case 'i32':
      return max ? -(2 ** 31) : 2 ** 31 - 1;
    case 'i8':
      return max ? -128 : 127;
    case 'u8':
      return max ? 0 : 255;
    default:
      return max ? 0 : 1;
  }
}

/** The type sums are kept in: half floats in f32 and narrow integers in i32, rounded or wrapped once at the end. */
export const wideOf = (kind: ReduceKind, dtype: DType): DType => {
  if (kind === 'max' || kind === 'min') return dtype;
  if (dtype === 'f16' || dtype === 'bf16') return 'f32';
  return dtype === 'u8' || dtype === 'i8' ? 'i32' : dtype;
};

/** The running result of one reduction while its elements go by. */
export class Accumulator {
  private readonly b: LoopBuilder;
  private readonly e: ReducedExpr;
  private readonly kind: ReduceKind;
  private readonly wide: DType;
  /** One per copy: vectors along the lane variable, or whatever the mode around the pass says. */
  private vectors: Reg[] = [];
  private tail: Reg | null = null;
  private along = false;

  constructor(b: LoopBuilder, e: ReducedExpr, mode: Mode | null, vector: boolean) {
    this.b = b;
    this.e = e;
    this.kind = e.value.attrs.kind;
    this.wide = wideOf(this.kind, e.dtype);
    if (mode) {
      const copies = vector ? mode.copies : 1;
      for (let c = 0; c < copies; c++) this.vectors.push(this.start(vector ? mode.lanes : 1));
    }
  }

  private start(lanes: number): Reg {
    return this.b.copy(constantValue(this.b, this.wide, identity(this.kind, this.wide), lanes));
  }

  alongLane(lanes: number, copies: number, hasTail: boolean): void {
    this.along = true;
    for (let c = 0; c < copies; c++) this.vectors.push(this.start(lanes));
    if (hasTail) this.tail = this.start(1);
  }

  private combine(x: Reg, y: Reg): Reg {
    return lowerBinary(this.b, COMBINE[this.kind], this.wide, x, y);
  }

  step(emitter: Emitter): void {
    const { b } = this;
    const [arg] = this.e.args;
    if (this.along && emitter.mode.lanes === 1) {
      b.move(this.tail!, this.combine(this.tail!, emitter.value(arg!)));
      return;
    }
    const copies = this.along ? emitter.mode.copies : this.vectors.length;
    // Summing along lanes, those that do not exist add nothing.
    const active = this.along ? emitter.activeMask() : null;
    for (let c = 0; c < copies; c++) {
      const acc = this.vectors[c]!;
      const x = acc.type.lanes > 1 ? emitter.vector(arg!, c) : emitter.value(arg!);
      const sum = this.combine(acc, x);
      b.move(acc, active ? b.select(active, sum, acc) : sum);
    }
  }

  /** One step with values that come from elsewhere. */
  stepBy(value: (copy: number) => Reg): void {
    this.vectors.forEach((acc, copy) => {
      this.b.move(acc, this.combine(acc, value(copy)));
    });
  }

  /** Makes the reduction's result known, and returns it as it was summed, per copy. */
  finish(emitter: Emitter): readonly Reg[] {
    if (!this.along) {
      this.vectors.forEach((acc, c) => {
        emitter.bind(this.e, this.settled(acc), c);
      });
      return this.vectors;
    }
    let vectors = this.vectors;
    while (vectors.length > 1) {
      const half = vectors.length >> 1;
      vectors = vectors.slice(0, half).map((v, i) => this.combine(v, vectors[half + i]!));
    }
    let result = this.acrossLanes(vectors[0]!);
    if (this.tail) result = this.combine(result, this.tail);
    emitter.bind(this.e, this.settled(result));
    return [result];
  }

  private acrossLanes(vector: Reg): Reg {
    const { b } = this;
    const { lanes, scalar } = vector.type;
    if (lanes === 1) return vector;
    if (scalar === 'mask') {
      const any = this.kind === 'max' || this.kind === 'sum';
      return any ? b.anyTrue(vector) : b.un('not', b.anyTrue(b.un('not', vector)));
    }
    return b.reduce(COMBINE[this.kind], vector);
  }

  private settled(x: Reg): Reg {
    return this.wide === this.e.dtype ? x : settle(this.b, this.e.dtype, x);
  }
}
