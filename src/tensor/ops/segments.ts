/**
 * Reductions of consecutive stretches of a dim. Functions here have the tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { shapeText } from '../convert.ts';
import { cat } from '../joins.ts';
import { checkFloat, checkInt, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

export type SegmentReduction = 'sum' | 'mean' | 'max' | 'min' | 'prod';

export interface SegmentOptions {
  /** Lengths [...leading dims, segments] of the stretches, one after another. */
  readonly lengths?: Tensor | null;
  /** Or where they begin, and the last one's end: [...leading dims, segments + 1]. */
  readonly offsets?: Tensor | null;
  /** The dim that is cut; dims before it have stretches of their own. */
  readonly axis?: number;
  /** What each reduction starts from; 0, 1 or an infinity by default, which empty stretches give (the mean NaN). */
  readonly initial?: number | null;
}

const START: { readonly [R in SegmentReduction]: number } = {
  sum: 0,
  mean: 0,
  prod: 1,
  max: Number.NEGATIVE_INFINITY,
  min: Number.POSITIVE_INFINITY,
};
const KIND = { sum: 'add', mean: 'add', prod: 'mul', max: 'max', min: 'min' } as const;

/**
 * One result for each stretch of `axis`: [...leading dims, segments, ...rest]. Elements outside of all stretches do not
 * count.
 */
export function segmentReduce(x: Tensor, reduce: SegmentReduction, options: SegmentOptions = {}): Tensor {
  checkOptions('segmentReduce', options, ['lengths', 'offsets', 'axis', 'initial']);
  const op = 'segmentReduce';
  checkFloat(op, 'input', x);
  if (!(reduce in START))
    throw new RangeError(`${op}: reduce: expected sum, mean, max, min or prod, got ${String(reduce)}`);
  const { lengths = null, offsets = null, initial = null } = options;
  const axis = normalDim(op, options.axis ?? 0, x.ndim);
  const given = lengths ?? offsets;
  if (!given || (lengths && offsets)) throw new TypeError(`${op}: exactly one of lengths and offsets must be given`);
  checkInt(op, lengths ? 'lengths' : 'offsets', given);
  const lead = x.shape.slice(0, axis);
  if (given.ndim !== axis + 1 || shapeText(given.shape.slice(0, -1)) !== shapeText(lead))
    throw new RangeError(
      `${op}: ${lengths ? 'lengths' : 'offsets'}: expected [${[...lead, 'segments'].join(', ')}], got ${shapeText(given.shape)}`,
    );
  const rows = lead.reduce((a, n) => a * n, 1);
  const [n, rest] = [x.shape[axis]!, x.shape.slice(axis + 1)];
  const inner = rest.reduce((a, m) => a * m, 1);
  const flat = given.long().reshape([rows, given.shape.at(-1)!]);
  // Ends of the stretches, and where the first one begins.
  const bounds = lengths ? cat([new Tensor(build.full(0, [rows, 1], 'i64')), flat.cumsum(1)], 1) : flat;
  const segments = bounds.shape[1]! - 1;
  const positions = new Tensor(build.iota(n, 'i64')).expand([rows, n]);
  const found = bounds.searchsorted(positions, { right: true }).sub(1);
  const inside = found.ge(0).logicalAnd(found.lt(segments));
  // What belongs to no stretch goes to a place behind them all.
  const row = new Tensor(build.iota(rows, 'i64')).unsqueeze(1).mul(segments + 1);
  const place = inside.where(found, segments).add(row).reshape([-1]);
  const start = build.full(initial ?? START[reduce], [rows * (segments + 1), inner], x.dtype);
  const updates = x.reshape([rows * n, inner]);
  const scattered = build.scatter(KIND[reduce], start, place.node, updates.node, 0, op);
  let out = new Tensor(scattered).reshape([rows, segments + 1, inner]).narrow(1, 0, segments);
  if (reduce === 'mean') {
    const counts = bounds
      .narrow(1, 1, segments)
      .sub(bounds.narrow(1, 0, segments))
      .unsqueeze(2);
    const empty = counts.eq(0);
    out = empty.where(initial ?? Number.NaN, out.div(empty.where(1, counts)));
  }
  return out.reshape([...lead, segments, ...rest]).to(x.dtype);
}
