/**
 * Derivatives of products over an axis, without a division, so that zeros need no special care in gradients of any
 * order.
 */
import * as g from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { add, equal, indicator, keep, mul, one, shift, zero } from './arithmetic.ts';

/** Product of the elements before each one (after it, when `reverse`); 1 for the first. */
const exclusiveProduct = (x: Node, axis: number, reverse: boolean): Node =>
  g.scan('prod', shift(x, axis, reverse ? -1 : 1, 1), axis, reverse);

/** For every element, the product of all others along `axes`: what stands before times what stands after. */
export function productOfOthers(x: Node, axes: readonly number[]): Node {
  const kept = x.shape.map((_, d) => d).filter(d => !axes.includes(d));
  const order = [...kept, ...axes];
  const moved = g.permute(x, order);
  const rows = g.reshape(moved, [...kept.map(d => x.shape[d]!), axes.reduce((n, d) => n * x.shape[d]!, 1)]);
  const last = kept.length;
  const others = mul(exclusiveProduct(rows, last, false), exclusiveProduct(rows, last, true));
  return g.permute(
    g.reshape(others, moved.shape),
    order.map((_, d) => order.indexOf(d)),
  );
}

/**
 * The linear recurrence s[i] = c[i] + a[i] * s[i - 1] along `axis` (s[i + 1] when `reverse`), in log2(n) doublings:
 * after k of them s reaches 2^k elements back, and a is the product over that reach (Kogge and Stone, 1973).
 */
function recurrence(c: Node, a: Node, axis: number, reverse: boolean): Node {
  let sum = c;
  let reach = a;
  for (let by = 1; by < c.shape[axis]!; by *= 2) {
    const step = reverse ? -by : by;
    sum = add(sum, mul(reach, shift(sum, axis, step, 0)));
    reach = mul(reach, shift(reach, axis, step, 0));
  }
  return sum;
}

/**
 * Cotangent of x for y = scan('prod', x). With P[i] the product before i, y[j] = P[i] * x[i] * (product of x between i
 * and j), so dx[i] = P[i] * S[i], where S[i] = ct[i] + x[i + 1] * S[i + 1].
 */
export function scanProductVjp(ct: Node, x: Node, axis: number, reverse: boolean): Node {
  const next = shift(x, axis, reverse ? 1 : -1, 0);
  return mul(exclusiveProduct(x, axis, reverse), recurrence(ct, next, axis, !reverse));
}

/** Tangent of y = scan('prod', x): dy[j] = P[j] * t[j] + x[j] * dy[j - 1]. */
export const scanProductJvp = (t: Node, x: Node, axis: number, reverse: boolean): Node =>
  recurrence(mul(exclusiveProduct(x, axis, reverse), t), x, axis, reverse);

/** For every update of a multiplying scatter, the product of everything else at its place. */
export function scatterProductOfOthers(node: Node<'scatter'>): Node {
  const [base, index, updates] = node.inputs as [Node, Node, Node];
  const { axis, what } = node.attrs;
  const isZero = equal(updates, zero(updates));
  const nonzero = g.where(isZero, one(updates), updates);
  // A zero factor's others are the place's product without zeros, if it is the only one.
  const withoutZeros = g.gather(g.scatter('mul', base, index, nonzero, axis, what), index, axis, what);
  const zeros = g.scatter('add', zero(base), index, indicator(isZero, updates), axis, what);
  const onlyOne = equal(g.gather(zeros, index, axis, what), one(updates));
  const quotient = g.binary('div', g.gather(node, index, axis, what), nonzero);
  return g.where(isZero, keep(onlyOne, withoutZeros), quotient);
}
