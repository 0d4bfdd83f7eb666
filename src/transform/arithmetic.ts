/**
 * Short names for node arithmetic, so that the rules of the transforms read as formulas. Imports the graph's
 * constructors only.
 */
import * as g from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { identityAxis } from '../graph/reindex.ts';

export const add = (a: Node, b: Node): Node => g.binary('add', a, b);
export const sub = (a: Node, b: Node): Node => g.binary('sub', a, b);
export const mul = (a: Node, b: Node): Node => g.binary('mul', a, b);
export const div = (a: Node, b: Node): Node => g.binary('div', a, b);
export const neg = (x: Node): Node => g.unary('neg', x);
export const square = (x: Node): Node => mul(x, x);

/** `value` everywhere, in the shape and dtype of `x`. */
export const like = (x: Node, value: number): Node => g.full(value, x.shape, x.dtype);
export const zero = (x: Node): Node => like(x, 0);
export const one = (x: Node): Node => like(x, 1);

export const equal = (a: Node, b: Node): Node => g.compare('eq', a, b);
export const less = (a: Node, b: Node): Node => g.compare('lt', a, b);
export const and = (a: Node, b: Node): Node => g.binary('and', a, b);
export const or = (a: Node, b: Node): Node => g.binary('or', a, b);
/** 1 where `condition` holds, else 0, as floats of `x`'s dtype. */
export const indicator = (condition: Node, x: Node): Node => g.cast(condition, x.dtype);
/** `x` where `condition` holds, else 0. */
export const keep = (condition: Node, x: Node): Node => g.where(condition, x, zero(x));

/** Undoes a reduction's change of shape: reduced axes come back with size 1 and are stretched to `shape`. */
export function expand(x: Node, axes: readonly number[], shape: readonly number[]): Node {
  const kept = shape.map((n, d) => (axes.includes(d) ? 1 : n));
  return g.broadcastTo(g.reshape(x, kept), shape);
}

/** The same `x` for each of `size` examples, along a new first axis. */
export const spread = (x: Node, size: number): Node =>
  g.reindex(
    x,
    [size, ...x.shape],
    x.shape.map((_, d) => identityAxis(d + 1)),
  );

/** Moves axis `from` to `to`. */
export function moveAxis(x: Node, from: number, to: number): Node {
  const order = x.shape.map((_, d) => d).filter(d => d !== from);
  order.splice(to, 0, from);
  return g.permute(x, order);
}

/** Moves elements `by` positions along `axis` (later positions for positive `by`); what falls in is `fill`. */
export function shift(x: Node, axis: number, by: number, fill: number): Node {
  const amounts = (n: number): number[] => x.shape.map((_, d) => (d === axis ? n : 0));
  return g.pad(x, amounts(by), amounts(-by), fill);
}
