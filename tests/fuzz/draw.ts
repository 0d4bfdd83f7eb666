/**
 * What the steps of a random graph draw from: the values so far, and fresh leaves.
 */
import * as g from '../../src/graph/build.ts';
import { type DType, isFloat } from '../../src/graph/dtype.ts';
import type { Node } from '../../src/graph/node.ts';
import { Random } from './random.ts';
import { BOUND_LIMIT, type LeafOptions, leaf, sizeOf, type Value } from './values.ts';

/** A step that does not suit the value it was given returns null. */
export type Step = (draw: Draw, x: Value) => Value | null;

export class Draw {
  readonly r: Random;
  readonly wild: boolean;
  readonly whole: boolean;
  readonly values: Value[] = [];

  constructor(seed: number) {
    this.r = new Random(seed);
    this.wild = this.r.once(3);
    this.whole = this.r.once(2);
  }

  leaf(shape: readonly number[], dtype: DType, options: LeafOptions = {}): Value {
    return leaf(this.r, shape, dtype, { wild: this.wild, whole: this.whole, ...options });
  }

  /** One of the values, the last ones more often. */
  take(): Value {
    const { r, values } = this;
    return r.once(3) ? r.pick(values) : values[values.length - 1 - r.int(Math.min(3, values.length))]!;
  }

  /** A value of this shape and dtype: one of those there are, brought to the shape, or a leaf. */
  partner(shape: readonly number[], dtype: DType): Value {
    const fitting = this.values.filter(v => v.node.dtype === dtype).flatMap(v => fit(v, shape));
    return fitting.length > 0 && !this.r.once(4) ? this.r.pick(fitting) : this.leaf(shape, dtype);
  }

  mask(shape: readonly number[]): Node {
    return this.partner(shape, 'bool').node;
  }
}

/** The value in another shape, by reshape or broadcast, if either is possible. */
function fit(x: Value, shape: readonly number[]): Value[] {
  const { node } = x;
  if (node.size === sizeOf(shape)) return [{ ...x, node: g.reshape(node, shape) }];
  const lead = shape.length - node.shape.length;
  if (lead >= 0 && node.shape.every((n, d) => n === 1 || n === shape[d + lead]))
    return [{ ...x, node: g.broadcastTo(node, shape) }];
  return [];
}

/** The value, unless its numbers have become too large to say anything about them. */
export const kept = (value: Value): Value | null => {
  const { dtype } = value.node;
  if (!isFloat(dtype)) return value;
  const fits = value.bound <= BOUND_LIMIT[dtype]! && value.error <= 0.05 * Math.max(1, value.bound);
  return fits ? value : null;
};
