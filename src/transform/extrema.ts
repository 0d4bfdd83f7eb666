/**
 * Which elements an extreme came from. Reductions and scatters share among equal ones, as torch.amax and scatter_reduce
 * do; a running extreme belongs to the latest element that reached it, as torch.cummax's.
 */
import * as g from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { add, div, equal, expand, indicator, like, mul, or, sub } from './arithmetic.ts';

/** y = reduce max or min of x: 1 / (number of equal extremes) at each of them, 0 elsewhere; NaN where y is. */
export function reduceWeights(x: Node, y: Node, axes: readonly number[]): Node {
  const hits = indicator(equal(x, expand(y, axes, x.shape)), x);
  return div(hits, expand(g.reduce('sum', hits, axes), axes, x.shape));
}

/** y = scatter max or min: the same weights for the elements of base, and for the updates. */
export function scatterWeights(node: Node<'scatter'>): { readonly base: Node; readonly updates: Node } {
  const [base, index, updates] = node.inputs as [Node, Node, Node];
  const { axis, what } = node.attrs;
  const ofBase = indicator(equal(base, node), base);
  const ofUpdates = indicator(equal(updates, g.gather(node, index, axis, what)), updates);
  const count = g.scatter('add', ofBase, index, ofUpdates, axis, what);
  return { base: div(ofBase, count), updates: div(ofUpdates, g.gather(count, index, axis, what)) };
}

/** y = running max or min of x: for every element of y, the flat position in x of the element it equals, as [size]. */
export function scanSources(node: Node<'scan'>): Node {
  const [x] = node.inputs as [Node];
  const { axis, reverse } = node.attrs;
  const n = x.shape[axis]!;
  const inner = x.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const position = g.reindex(g.iota(n, 'i32'), x.shape, [{ terms: [[axis, 1]], offset: 0, div: 1 }]);
  // NaN counts: from there on the running extreme is NaN.
  const reached = or(equal(x, node), g.unary('not', equal(x, x)));
  const latest = reverse
    ? g.scan('min', g.where(reached, position, like(position, n - 1)), axis, true)
    : g.scan('max', g.where(reached, position, like(position, 0)), axis);
  const own = g.reshape(g.iota(x.size, 'i32'), x.shape);
  return g.reshape(add(own, mul(sub(latest, position), like(position, inner))), [x.size]);
}

/**
 * Which updates of a `set` scatter are still there at the end (the last one to each place), as bool of the updates'
 * shape.
 */
export function survivingUpdates(node: Node<'scatter'>): Node {
  const [base, index, updates] = node.inputs as [Node, Node, Node];
  const { axis, what } = node.attrs;
  const order = g.reshape(g.iota(index.size, 'i32'), index.shape);
  const last = g.scatter('set', g.full(0, [base.shape[axis]!], 'i32'), index, order, 0, what);
  const survives = equal(g.gather(last, index, 0, what), order);
  return g.reindex(
    survives,
    updates.shape,
    index.shape.map((_, d) => ({ terms: [[axis + d, 1]], offset: 0, div: 1 })),
  );
}
