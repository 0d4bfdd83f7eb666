/** Steps of random graphs that move elements: views with guards, windows, joins, gathers, orders. */
import * as g from '../../src/graph/build.ts';
import type { AxisMap } from '../../src/graph/node.ts';
import { type Draw, kept, type Step } from './draw.ts';
import { indices, integer, SIZES, type Value } from './values.ts';

const permute: Step = ({ r }, x) => {
  const order = r.shuffled(x.node.shape.map((_, d) => d));
  return order.length < 2 ? null : { ...x, node: g.permute(x.node, order) };
};

/** Another factorisation of the same size. */
const reshape: Step = ({ r }, x) => {
  const to: number[] = [];
  let left = x.node.size;
  while (left > 1 && to.length < 4) {
    const divisors = [2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13].filter(n => left % n === 0);
    const n = divisors.length === 0 || r.once(4) ? left : r.pick(divisors);
    to.push(n);
    left /= n;
  }
  if (left > 1) to.push(left);
  return { ...x, node: g.reshape(x.node, x.node.size === 0 ? [0] : to) };
};

const broadcast: Step = ({ r }, x) => {
  if (x.node.size > 2000) return null;
  return {
    ...x,
    node: g.broadcastTo(g.reshape(x.node, [...x.node.shape, 1]), [...x.node.shape, r.pick(SIZES.slice(0, 12))]),
  };
};

/** What stands outside of a value that is padded: sums of it must stay as certain as they were. */
function padded({ r }: Draw, x: Value): readonly [number, Value] {
  const fill = x.node.dtype === 'bool' ? r.int(2) : r.int(3);
  return [fill, { ...x, bound: Math.max(x.bound, fill) }];
}

const pad: Step = (draw, x) => {
  const { node } = x;
  if (node.size > 20_000) return null;
  const lo = node.shape.map(() => draw.r.int(3));
  const hi = node.shape.map(() => draw.r.int(3));
  const [fill, like] = padded(draw, x);
  return { ...like, node: g.pad(node, lo, hi, fill) };
};

const slice: Step = ({ r }, { node, ...x }) => {
  if (node.size === 0) return null;
  const start = node.shape.map(n => r.int(n));
  const step = node.shape.map(() => r.pick([1, 1, 2, 3, -1, -2]));
  const length = node.shape.map((n, d) => {
    const room = step[d]! > 0 ? Math.ceil((n - start[d]!) / step[d]!) : Math.floor(start[d]! / -step[d]!) + 1;
    return r.once(40) ? 0 : 1 + r.int(room);
  });
  return { ...x, node: g.slice(node, start, length, step) };
};

/** Sliding windows and dilation: several terms, offsets outside, and a divisor. */
const window: Step = (draw, x) => {
  const { node } = x;
  const { r } = draw;
  const rank = node.shape.length;
  if (rank === 0 || node.size > 1500) return null;
  const axes: AxisMap[] = node.shape.map((_, d) => ({ terms: [[d, 1]], offset: 0, div: 1 }));
  const to = [...node.shape];
  const d = r.int(rank);
  if (r.once(2)) {
    const [stride, dilation] = [1 + r.int(3), 1 + r.int(2)];
    axes[d] = { terms: [[d, stride], [rank, dilation]], offset: -r.int(4), div: 1 }; // biome-ignore format: one map
    to[d] = Math.max(1, Math.ceil(to[d]! / stride) + r.int(2));
    to.push(1 + r.int(5));
  } else {
    axes[d] = { terms: [[d, 1]], offset: -r.int(3), div: 1 + r.int(3) };
    to[d] = to[d]! * 2 + r.int(2);
  }
  const [fill, like] = padded(draw, x);
  return { ...like, node: g.reindex(node, to, axes, fill) };
};

const concat: Step = (draw, x) => {
  const { node } = x;
  if (node.shape.length === 0) return null;
  const axis = draw.r.int(node.shape.length);
  const parts = [x, ...Array.from({ length: 1 + draw.r.int(3) }, () => {
    const shape = node.shape.map((n, d) => (d === axis ? draw.r.int(6) : n));
    return draw.partner(shape, node.dtype);
  })]; // biome-ignore format: one list
  const order = draw.r.shuffled(parts);
  return kept({
    node: g.concat(order.map(part => part.node), axis), // biome-ignore format: short
    exact: parts.every(p => p.exact),
    signed: parts.every(p => p.signed),
    whole: parts.every(p => p.whole),
    finite: parts.every(p => p.finite),
    bound: Math.max(...parts.map(p => p.bound)),
    error: Math.max(...parts.map(p => p.error)),
  });
};

const gather: Step = ({ r }, x) => {
  const { node } = x;
  if (node.size === 0 || node.shape.length === 0) return null;
  const axis = r.int(node.shape.length);
  const shape = r.pick([[1 + r.int(5)], [r.pick(SIZES)], [2, 3], []]);
  if ((node.size / node.shape[axis]!) * shape.reduce((a, b) => a * b, 1) > 20_000) return null;
  const index = indices(r, shape, node.shape[axis]!);
  return { ...x, node: g.gather(node, index, axis) };
};

/** Stable orders, with NaN above everything; then the rows in that order. */
const sort: Step = ({ r }, x) => {
  const { node } = x;
  if (!x.exact || node.size === 0 || node.shape.length === 0 || node.size > 4000) return null;
  const axis = r.int(node.shape.length);
  const order = g.argSort(node, axis, r.once(2));
  if (node.shape.length > 1 || r.once(2)) return integer(order);
  return { ...x, node: g.gather(node, order, axis) };
};

const extremePlace: Step = ({ r }, x) => {
  const { node } = x;
  if (!x.exact || node.size === 0 || node.shape.length === 0) return null;
  return integer(g.argReduce(r.pick(['max', 'min'] as const), node, r.int(node.shape.length)));
};

/** Bits of Philox. */
const random: Step = ({ r }, x) => {
  const key = g.data(BigInt64Array.of(BigInt(r.int(2 ** 31)), BigInt(r.int(2 ** 20))), [2], 'i64');
  return integer(g.random(key, x.node.shape));
};

const iota: Step = ({ r }, x) => {
  const { shape } = x.node;
  const n = shape.at(-1) ?? 1;
  const dtype = r.pick(['i64', 'i32', 'f32', 'f64'] as const);
  return { ...integer(g.broadcastTo(g.iota(n, dtype), shape)), bound: Math.max(1, n) };
};

export const VIEWS: readonly Step[] = [
  permute, permute, reshape, reshape, broadcast, pad, slice, slice, window, window, concat, gather, sort, extremePlace, random, iota,
]; // biome-ignore format: a table
