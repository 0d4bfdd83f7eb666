/**
 * Reverse mode: one rule per primitive says how the cotangent of its result becomes cotangents of its inputs, as more graph. Imports the
 * graph only. The rules are built from primitives, so gradients of every order follow.
 */
import * as g from '../graph/build.ts';
import type { Binary, Node, Primitive, ReduceKind, ScanKind, ScatterKind, Unary } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';

/** Cotangents of a node's inputs; null where none flows. */
type Cotangents = readonly (Node | null)[];
type VjpRule<P extends Primitive> = (node: Node<P>, ct: Node) => Cotangents;

const add = (a: Node, b: Node): Node => g.binary('add', a, b);
const sub = (a: Node, b: Node): Node => g.binary('sub', a, b);
const mul = (a: Node, b: Node): Node => g.binary('mul', a, b);
const div = (a: Node, b: Node): Node => g.binary('div', a, b);
const neg = (x: Node): Node => g.unary('neg', x);
const like = (x: Node, value: number): Node => g.full(value, x.shape, x.dtype);
const zero = (x: Node): Node => like(x, 0);
const square = (x: Node): Node => mul(x, x);
const masked = (mask: Node, x: Node): Node => g.where(mask, x, zero(x));

/** Puts reduced axes back with size 1, and stretches them to `shape`. */
function expand(x: Node, axes: readonly number[], shape: readonly number[]): Node {
  const kept = shape.map((n, d) => (axes.includes(d) ? 1 : n));
  return g.broadcastTo(g.reshape(x, kept), shape);
}

/** The exact inverse of g.permute. */
const unpermute = (x: Node, order: readonly number[]): Node =>
  g.permute(
    x,
    order.map((_, d) => order.indexOf(d)),
  );

const UNARY: { readonly [F in Unary]: (ct: Node, x: Node, y: Node) => Node | null } = {
  neg: ct => neg(ct),
  abs: (ct, x) => mul(ct, g.unary('sign', x)),
  sign: () => null,
  floor: () => null,
  ceil: () => null,
  trunc: () => null,
  round: () => null,
  sqrt: (ct, _, y) => div(ct, mul(like(y, 2), y)),
  exp: (ct, _, y) => mul(ct, y),
  expm1: (ct, _, y) => mul(ct, add(y, like(y, 1))),
  log: (ct, x) => div(ct, x),
  log1p: (ct, x) => div(ct, add(x, like(x, 1))),
  sin: (ct, x) => mul(ct, g.unary('cos', x)),
  cos: (ct, x) => neg(mul(ct, g.unary('sin', x))),
  tanh: (ct, _, y) => mul(ct, sub(like(y, 1), square(y))),
  sigmoid: (ct, _, y) => mul(ct, mul(y, sub(like(y, 1), y))),
  // erf' = 2 / sqrt(pi) * exp(-x^2)
  erf: (ct, x) => mul(ct, mul(like(x, 2 / Math.sqrt(Math.PI)), g.unary('exp', neg(square(x))))),
  atan: (ct, x) => div(ct, add(like(x, 1), square(x))),
  lgamma: (ct, x) => mul(ct, g.unary('digamma', x)),
  digamma: () => {
    throw new Error('gradient of digamma: the trigamma function is not among the primitives');
  },
  not: () => null,
};

const BINARY: { readonly [F in Binary]: (ct: Node, a: Node, b: Node, y: Node) => Cotangents } = {
  add: ct => [ct, ct],
  sub: ct => [ct, neg(ct)],
  mul: (ct, a, b) => [mul(ct, b), mul(ct, a)],
  // y = a / b, so dy/db = -a / b^2 = -y / b
  div: (ct, _, b, y) => [div(ct, b), neg(div(mul(ct, y), b))],
  floorDiv: () => [null, null],
  // y = a - b * floor(a / b)
  mod: (ct, a, b) => [ct, neg(mul(ct, g.unary('floor', div(a, b))))],
  // d/da = b * a^(b-1), which is 0 where b is 0 whatever a; d/db = y * log(a), which is 0 where a is 0 and b is not negative
  pow: (ct, a, b, y) => {
    const slope = mul(ct, mul(b, g.binary('pow', a, sub(b, like(b, 1)))));
    const vanishes = g.binary('and', g.compare('eq', a, zero(a)), g.compare('le', zero(b), b));
    return [
      g.where(g.compare('eq', b, zero(b)), zero(a), slope),
      g.where(vanishes, zero(a), mul(ct, mul(y, g.unary('log', g.where(vanishes, like(a, 1), a))))),
    ];
  },
  // y = atan2(a, b): d/da = b / (a^2 + b^2), d/db = -a / (a^2 + b^2)
  atan2: (ct, a, b) => {
    const scaled = div(ct, add(square(a), square(b)));
    return [mul(scaled, b), neg(mul(scaled, a))];
  },
  min: (ct, a, b) => extremum(ct, a, b, g.compare('lt', a, b)),
  max: (ct, a, b) => extremum(ct, a, b, g.compare('lt', b, a)),
  and: () => [null, null],
  or: () => [null, null],
  xor: () => [null, null],
  shl: () => [null, null],
  shr: () => [null, null],
};

/** The whole cotangent goes to the winner; a tie shares it. */
function extremum(ct: Node, a: Node, b: Node, aWins: Node): Cotangents {
  const half = masked(g.compare('eq', a, b), mul(ct, like(ct, 0.5)));
  const bWins = g.unary('not', g.binary('or', aWins, g.compare('eq', a, b)));
  return [add(half, masked(aWins, ct)), add(half, masked(bWins, ct))];
}

const REDUCE: { readonly [K in ReduceKind]: (ct: Node, x: Node, y: Node, axes: readonly number[]) => Node } = {
  sum: (ct, x, _, axes) => expand(ct, axes, x.shape),
  max: (ct, x, y, axes) => shareTies(ct, x, y, axes),
  min: (ct, x, y, axes) => shareTies(ct, x, y, axes),
  // d/dx_i = product of the others = (product before i) * (product after i), which needs no division and so no zero is special
  prod: (ct, x, _, axes) => {
    const order = [...x.shape.keys()].filter(d => !axes.includes(d)).concat(axes);
    const moved = g.permute(x, order);
    const outer = x.shape.filter((_, d) => !axes.includes(d));
    const flat = g.reshape(moved, [...outer, axes.reduce((n, d) => n * x.shape[d]!, 1)]);
    const last = outer.length;
    const others = mul(exclusiveProduct(flat, last, false), exclusiveProduct(flat, last, true));
    const result = mul(expand(ct, [last], flat.shape), others);
    return unpermute(g.reshape(result, moved.shape), order);
  },
};

/** As torch.amax: equal extrema share the cotangent evenly. */
function shareTies(ct: Node, x: Node, y: Node, axes: readonly number[]): Node {
  const hit = g.compare('eq', x, expand(y, axes, x.shape));
  const count = g.reduce('sum', g.cast(hit, x.dtype), axes);
  return masked(hit, expand(div(ct, count), axes, x.shape));
}

/** Product of all elements before (after, when `reverse`) each one. */
function exclusiveProduct(x: Node, axis: number, reverse: boolean): Node {
  const one = x.shape.map((_, d) => (d === axis ? 1 : 0));
  const minus = one.map(n => -n);
  return g.scan('prod', reverse ? g.pad(x, minus, one, 1) : g.pad(x, one, minus, 1), axis, reverse);
}

const SCAN: { readonly [K in ScanKind]: (ct: Node, node: Node<'scan'>) => Node } = {
  sum: (ct, node) => g.scan('sum', ct, node.attrs.axis, !node.attrs.reverse),
  prod: (ct, node) => scanProductGradient(ct, node),
  max: (ct, node) => scanExtremumGradient(ct, node),
  min: (ct, node) => scanExtremumGradient(ct, node),
};

/**
 * dx_k = sum over i from k on of ct_i * (product over j <= i, j != k, of x_j). The products are scans over j of x with element k replaced by
 * 1, for every k at once: quadratic in the axis, and right whatever is zero.
 */
function scanProductGradient(ct: Node, node: Node<'scan'>): Node {
  const [x] = node.inputs as [Node];
  const { axis, reverse } = node.attrs;
  const n = x.shape[axis]!;
  const shape = [...x.shape.slice(0, axis), n, ...x.shape.slice(axis)];
  const along = (d: number): Node => {
    const position = g.reshape(
      g.iota(n, 'i32'),
      shape.map((_, i) => (i === d ? n : 1)),
    );
    return g.broadcastTo(position, shape);
  };
  const over = (value: Node): Node => {
    const kept = shape.map((size, d) => (d === axis ? 1 : size));
    return g.broadcastTo(g.reshape(value, kept), shape);
  };
  const k = along(axis);
  const j = along(axis + 1);
  const without = g.scan('prod', g.where(g.compare('eq', k, j), g.full(1, shape, x.dtype), over(x)), axis + 1, reverse);
  const reached = reverse ? g.compare('le', j, k) : g.compare('le', k, j);
  return g.reduce('sum', masked(reached, mul(over(ct), without)), [axis + 1]);
}

/** The running extremum at i is x at the latest position that set it; that position collects ct_i. */
function scanExtremumGradient(ct: Node, node: Node<'scan'>): Node {
  const [x] = node.inputs as [Node];
  const { axis, reverse } = node.attrs;
  const order = [...x.shape.keys()].filter(d => d !== axis).concat(axis);
  const n = x.shape[axis]!;
  const rows = x.size / Math.max(n, 1);
  const flat = (value: Node): Node => g.reshape(g.permute(value, order), [rows, n]);
  const position = g.broadcastTo(g.iota(n, 'i32'), [rows, n]);
  const sets = g.compare('eq', flat(x), flat(node));
  const latest = reverse
    ? g.scan('min', g.where(sets, position, like(position, n - 1)), 1, true)
    : g.scan('max', masked(sets, position), 1, false);
  const row = g.broadcastTo(g.reshape(g.iota(rows, 'i32'), [rows, 1]), [rows, n]);
  const target = g.reshape(add(mul(row, like(row, n)), latest), [rows * n]);
  const summed = g.scatter('add', g.full(0, [rows * n], x.dtype), target, g.reshape(flat(ct), [rows * n]), 0);
  return unpermute(
    g.reshape(
      summed,
      order.map(d => x.shape[d]!),
    ),
    order,
  );
}

const SCATTER: { readonly [K in ScatterKind]: (ct: Node, node: Node<'scatter'>) => Cotangents } = {
  set: (ct, node) => {
    const [, index, updates] = node.inputs as [Node, Node, Node];
    const { axis, what } = node.attrs;
    return [g.scatter('set', ct, index, zero(updates), axis, what), null, g.gather(ct, index, axis, what)];
  },
  add: (ct, node) => [ct, null, g.gather(ct, node.inputs[1]!, node.attrs.axis, node.attrs.what)],
  mul: (ct, node) => {
    const [base, index, updates] = node.inputs as [Node, Node, Node];
    const { axis, what } = node.attrs;
    const factors = g.scatter('mul', like(base, 1), index, updates, axis, what);
    return [mul(ct, factors), null, div(g.gather(mul(ct, node), index, axis, what), updates)];
  },
  max: (ct, node) => scatterExtremum(ct, node),
  min: (ct, node) => scatterExtremum(ct, node),
};

/** Everything equal to the extremum of its place shares that place's cotangent evenly. */
function scatterExtremum(ct: Node, node: Node<'scatter'>): Cotangents {
  const [base, index, updates] = node.inputs as [Node, Node, Node];
  const { axis, what } = node.attrs;
  const baseHit = g.compare('eq', base, node);
  const updateHit = g.compare('eq', updates, g.gather(node, index, axis, what));
  const count = g.scatter('add', g.cast(baseHit, base.dtype), index, g.cast(updateHit, base.dtype), axis, what);
  // A place whose extremum is NaN has no hit at all.
  const share = div(ct, g.binary('max', count, like(count, 1)));
  return [masked(baseHit, share), null, masked(updateHit, g.gather(share, index, axis, what))];
}

const none = (): Cotangents => [];

const RULES: { readonly [P in Primitive]: VjpRule<P> } = {
  constant: none,
  data: none,
  variable: none,
  placeholder: none,
  iota: none,
  unary: (node, ct) => [UNARY[node.attrs.fn](ct, node.inputs[0]!, node)],
  binary: (node, ct) => BINARY[node.attrs.fn](ct, node.inputs[0]!, node.inputs[1]!, node),
  compare: none,
  where: (node, ct) => {
    const [condition] = node.inputs as [Node];
    return [null, masked(condition, ct), g.where(condition, zero(ct), ct)];
  },
  cast: (node, ct) => [g.cast(ct, node.inputs[0]!.dtype)],
  bitcast: none,
  checkIndex: none,
  detach: none,
  barrier: (_, ct) => [ct],
  reshape: (node, ct) => [g.reshape(ct, node.inputs[0]!.shape)],
  reindex: (node, ct) => [g.reindexTranspose(ct, node.attrs.axes, node.inputs[0]!.shape)],
  gather: (node, ct) => {
    const [x, index] = node.inputs as [Node, Node];
    return [g.scatter('add', zero(x), index, ct, node.attrs.axis, node.attrs.what), null];
  },
  reduce: (node, ct) => [REDUCE[node.attrs.kind](ct, node.inputs[0]!, node, node.attrs.axes)],
  argReduce: none,
  scan: (node, ct) => [SCAN[node.attrs.kind](ct, node)],
  scatter: (node, ct) => SCATTER[node.attrs.kind](ct, node),
  contract: (node, ct) => {
    const [a, b] = node.inputs as [Node, Node];
    const { a: la, b: lb, out } = node.attrs;
    return [
      a.requiresGrad ? g.contract(ct, b, out, lb, la) : null,
      b.requiresGrad ? g.contract(a, ct, la, out, lb) : null,
    ];
  },
  argSort: none,
  random: none,
};

/**
 * Cotangents of `wrt` given those of `outputs` (same shapes and dtypes): the vector-Jacobian product. Flows only through nodes that
 * require a gradient, so every node of `wrt` must (see `markGrad`).
 *
 * @returns one node per `wrt`, null where no output depends on it
 */
export function vjp(outputs: readonly Node[], cotangents: readonly Node[], wrt: readonly Node[]): (Node | null)[] {
  const targets = new Set(wrt);
  const order = topologicalOrder(outputs, node => !node.requiresGrad);
  // Only what lies between the outputs and wrt is differentiated.
  const leads = new Set<Node>();
  for (const node of order)
    if (targets.has(node) || (node.requiresGrad && node.inputs.some(input => leads.has(input)))) leads.add(node);

  const total = new Map<Node, Node>();
  const accumulate = (node: Node, ct: Node): void => {
    const before = total.get(node);
    total.set(node, before ? add(before, ct) : ct);
  };
  outputs.forEach((output, i) => {
    if (leads.has(output)) accumulate(output, cotangents[i]!);
  });
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    const ct = total.get(node);
    if (!ct || !leads.has(node)) continue;
    if (!targets.has(node)) total.delete(node);
    if (!node.inputs.some(input => leads.has(input))) continue;
    const parts = (RULES[node.op] as (node: Node, ct: Node) => Cotangents)(node, ct);
    node.inputs.forEach((input, k) => {
      const part = parts[k];
      if (part && leads.has(input)) accumulate(input, part);
    });
  }
  return wrt.map(node => total.get(node) ?? null);
}

/** An identity of `x` that requires a gradient: what explicit transforms differentiate with respect to. */
export const markGrad = (x: Node): Node => g.marked(x);
