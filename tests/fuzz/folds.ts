/** Steps of random graphs that bring many elements to one: reductions, scans, scatters, contractions, rows. */
import * as g from '../../src/graph/build.ts';
import { isFloat, isInt } from '../../src/graph/dtype.ts';
import type { Node, ReduceKind } from '../../src/graph/node.ts';
import { kept, type Step } from './draw.ts';
import { EPSILON, indices, integer, SIZES, sizeOf, type Value, WHOLE_LIMIT } from './values.ts';

/** What sums run in: half types accumulate in f32, and are rounded once. */
const accumulator = (dtype: Node['dtype']): 'f32' | 'f64' => (dtype === 'f64' ? 'f64' : 'f32');

type Terms = Pick<Value, 'whole' | 'exact' | 'finite' | 'bound' | 'error'>;

/** A sum of `n` terms. */
function summed(node: Node, n: number, terms: Terms): Value | null {
  const { dtype } = node;
  const bound = Math.max(1, terms.bound * n);
  const exact = terms.exact && terms.whole && bound <= WHOLE_LIMIT[accumulator(dtype)]!;
  const rounding = exact ? 0 : 2 * bound * EPSILON[dtype]! + n * bound * EPSILON[accumulator(dtype)]!;
  // Partial sums of one order may overflow where those of another do not.
  if (!exact && !terms.finite && !terms.exact) return null;
  return kept({
    node,
    exact,
    signed: false,
    whole: exact && bound <= WHOLE_LIMIT[dtype]!,
    finite: terms.finite && bound < 6e4,
    bound,
    error: exact ? 0 : terms.error * n + rounding,
  });
}

const reduce: Step = ({ r }, x) => {
  const { node } = x;
  const { dtype } = node;
  const axes = node.shape.map((_, d) => d).filter(() => r.once(2));
  if (axes.length === 0) return null;
  const n = sizeOf(axes.map(d => node.shape[d]!));
  if (dtype === 'bool') return integer(g.reduce(r.pick(['max', 'min'] as const), node, axes));
  const kind: ReduceKind = r.pick(['sum', 'sum', 'max', 'min', 'prod']);
  const result = g.reduce(kind, node, axes);
  if (!isFloat(dtype)) return integer(result);
  if (kind === 'sum') return summed(result, n, x);
  // Products of many numbers are checked where they are whole and small: ones, twos and zeros.
  if (kind === 'prod') {
    const bound = Math.max(1, x.bound) ** n;
    return x.exact && x.whole && bound <= WHOLE_LIMIT[dtype]! ? { ...x, node: result, bound, signed: false } : null;
  }
  return { ...x, node: result, finite: x.finite && n > 0 };
};

const scan: Step = ({ r }, x) => {
  const { node } = x;
  const { dtype } = node;
  if (node.shape.length === 0 || dtype === 'bool' || node.size > 20_000) return null;
  const axis = r.int(node.shape.length);
  const kind = r.pick(['sum', 'sum', 'max', 'min', 'prod'] as const);
  const result = g.scan(kind, node, axis, r.once(2));
  if (!isFloat(dtype)) return integer(result);
  const n = node.shape[axis]!;
  if (kind === 'sum') {
    // Half types may be rounded at every step.
    const certain = x.whole && x.bound * n <= WHOLE_LIMIT[dtype]!;
    const sum = summed(result, n, x);
    return (
      sum &&
      (certain ? sum : { ...sum, exact: false, whole: false, error: sum.error + n * sum.bound * EPSILON[dtype]! })
    );
  }
  if (kind === 'prod') {
    const bound = Math.max(1, x.bound) ** n;
    return x.exact && x.whole && bound <= WHOLE_LIMIT[dtype]! ? { ...x, node: result, bound, signed: false } : null;
  }
  return { ...x, node: result };
};

/** Updates in index order, with indices that meet. */
const scatter: Step = (draw, x) => {
  const { r } = draw;
  const { node } = x;
  const { dtype } = node;
  if (node.shape.length === 0 || node.size === 0 || dtype === 'bool' || node.size > 5000) return null;
  const axis = r.int(node.shape.length);
  const n = node.shape[axis]!;
  const count = r.pick([1, 2, 5, r.pick(SIZES)]);
  const rest = node.size / n;
  if (rest * count > 10_000) return null;
  const shape = [...node.shape.slice(0, axis), count, ...node.shape.slice(axis + 1)];
  const updates = draw.partner(shape, dtype);
  const kind = r.pick(['set', 'add', 'add', 'max', 'min'] as const);
  const result = g.scatter(kind, node, indices(r, [count], n), updates.node, axis);
  if (!isFloat(dtype)) return integer(result);
  const exact = x.exact && updates.exact;
  const finite = x.finite && updates.finite;
  if (kind === 'add') {
    const certain = x.whole && updates.whole;
    const each = {
      whole: certain,
      exact,
      finite,
      bound: Math.max(x.bound, updates.bound),
      error: Math.max(x.error, updates.error),
    };
    const sum = summed(result, count + 1, each);
    return (
      sum &&
      (sum.whole ? sum : { ...sum, exact: false, whole: false, error: sum.error + count * sum.bound * EPSILON[dtype]! })
    );
  }
  return kept({
    node: result,
    exact,
    signed: x.signed && updates.signed,
    whole: x.whole && updates.whole,
    finite,
    bound: Math.max(x.bound, updates.bound),
    error: Math.max(x.error, updates.error),
  });
};

/** What is known of the products of two operands, for sums of them; null where nothing is. */
function products(x: Value, y: Value): Terms | null {
  const exact = x.exact && y.exact;
  const finite = x.finite && y.finite;
  const whole = x.whole && y.whole;
  if (!finite && !exact) return null;
  // The processor's products of bf16 take denormals for zeros, which an infinity turns into NaN.
  if (!finite && !whole && x.node.dtype === 'bf16') return null;
  return { whole, exact, finite, bound: x.bound * y.bound, error: x.error * y.bound + y.error * (x.bound + x.error) };
}

/** Any contraction over the last dims: batched, by several axes, outer products. */
const contract: Step = (draw, x) => {
  const { r } = draw;
  const { node } = x;
  const { dtype } = node;
  const rank = node.shape.length;
  if (rank === 0 || node.size > 1500 || dtype === 'bool' || dtype === 'u8' || dtype === 'i8') return null;
  const labels = node.shape.map((_, d) => d);
  const roles = labels.map(() => r.pick(['left', 'left', 'sum', 'sum', 'batch'] as const));
  const shared = labels.filter((_, d) => roles[d] !== 'left');
  const extra = Array.from({ length: r.int(3) }, (_, k) => rank + k);
  const sizes = new Map<number, number>([
    ...labels.map(l => [l, node.shape[l]!] as const),
    ...extra.map(l => [l, r.pick(SIZES)] as const),
  ]);
  const labelsB = r.shuffled([...shared, ...extra]);
  const out = r.shuffled([...labels.filter((_, d) => roles[d] !== 'sum'), ...extra]);
  const outSize = sizeOf(out.map(l => sizes.get(l)!));
  const n = sizeOf(labels.filter((_, d) => roles[d] === 'sum').map(l => sizes.get(l)!));
  if (outSize * Math.max(1, n) > 60_000 || sizeOf(labelsB.map(l => sizes.get(l)!)) > 20_000) return null;
  const y = draw.partner(labelsB.map(l => sizes.get(l)!), dtype); // biome-ignore format: short
  const result = g.contract(node, y.node, labels, labelsB, out);
  if (isInt(dtype)) return integer(result);
  const each = products(x, y);
  return each && summed(result, n, each);
};

/** A convolution as the tensor layer writes it: windows of [N, C, H, W] against [O, C, kh, kw]. */
const convolution: Step = (draw, x) => {
  const { r } = draw;
  const { node } = x;
  const { dtype } = node;
  if (!isFloat(dtype) || node.size < 4 || node.size > 3000) return null;
  const c = r.pick([1, 2, 3, 4, 8, 16].filter(n => node.size % n === 0));
  const w = r.pick([1, 2, 3, 5, 7, 8, 9, 13].filter(n => (node.size / c) % n === 0));
  const image = g.reshape(node, [1, c, node.size / c / w, w]);
  const [, , height] = image.shape as [number, number, number, number];
  const [kh, kw] = [1 + r.int(3), 1 + r.int(3)];
  const [stride, dilation, padding] = [1 + r.int(2), 1 + r.int(2), r.int(3)];
  const outH = Math.floor((height + 2 * padding - dilation * (kh - 1) - 1) / stride) + 1;
  const outW = Math.floor((w + 2 * padding - dilation * (kw - 1) - 1) / stride) + 1;
  const o = r.pick([1, 3, 8, 15, 17, 32]);
  if (outH < 1 || outW < 1 || outH * outW * kh * kw * c * o > 60_000) return null;
  const at = (dim: number, tap: number) => ({ terms: [[dim, stride], [tap, dilation]] as const, offset: -padding, div: 1 }); // biome-ignore format: one map
  const plain = (dim: number) => ({ terms: [[dim, 1]] as const, offset: 0, div: 1 });
  const windows = g.reindex(image, [1, c, outH, outW, kh, kw], [plain(0), plain(1), at(2, 4), at(3, 5)]);
  const weight = draw.leaf([o, c, kh, kw], dtype);
  const each = products(x, weight);
  return (
    each && summed(g.contract(windows, weight.node, [0, 1, 2, 3, 4, 5], [6, 1, 4, 5], [0, 6, 2, 3]), c * kh * kw, each)
  );
};

const spread = (y: Node, shape: readonly number[], axes: readonly number[]): Node =>
  g.broadcastTo(g.reshape(y, shape.map((n, d) => (axes.includes(d) ? 1 : n))), shape); // biome-ignore format: short

/** Softmax or a normalisation over trailing dims. */
const rows: Step = ({ r }, x) => {
  const { node } = x;
  const { dtype, shape } = node;
  const rank = shape.length;
  if (rank === 0 || node.size === 0 || !isFloat(dtype) || !x.finite || x.bound > 1e4) return null;
  const axes = shape.map((_, d) => d).filter(d => d === rank - 1 || (d > 0 && r.once(3)));
  const n = sizeOf(axes.map(d => shape[d]!));
  const eps = EPSILON[dtype]!;
  const common = { exact: false, signed: false, whole: false, finite: true };
  if (r.once(2)) {
    const shifted = g.binary('sub', node, spread(g.reduce('max', node, axes), shape, axes));
    const e = g.unary('exp', shifted);
    // exp turns absolute errors into relative ones.
    const relative = 4 * x.error + (8 + 4 * x.bound + n) * eps;
    return kept({
      ...common,
      node: g.binary('div', e, spread(g.reduce('sum', e, axes), shape, axes)),
      bound: 1,
      error: relative * 4,
    });
  }
  const mean = g.binary('mul', g.reduce('sum', node, axes), g.full(1 / n, shape.filter((_, d) => !axes.includes(d)), dtype)); // biome-ignore format: short
  const centred = g.binary('sub', node, spread(mean, shape, axes));
  const variance = g.reduce('sum', g.binary('mul', centred, centred), axes);
  const scale = g.unary('sqrt', g.binary('add', variance, g.full(1, variance.shape, dtype)));
  // |centred| is at most the scale, and the scale at least 1.
  const error = 4 * (x.error + (n + 8) * eps * x.bound) * (1 + n);
  return kept({ ...common, node: g.binary('div', centred, spread(scale, shape, axes)), bound: 1, error });
};

export const FOLDS: readonly Step[] = [reduce, reduce, reduce, scan, scatter, contract, contract, convolution, rows];
