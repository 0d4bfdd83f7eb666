/**
 * Checks derivatives of a graph function against central finite differences in f64, and the two modes against each
 * other.
 */
import { expect } from 'vitest';
import { referenceBackend } from '../../src/backends/reference/index.ts';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { topologicalOrder } from '../../src/graph/order.ts';
import { jvp, vjp } from '../../src/transform/index.ts';
import { leaf } from '../graph/evaluate.ts';

export interface Point {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** A point of the given shape with values that are no special case of anything; deterministic. */
export function generic(shape: readonly number[], seed = 1): Point {
  const size = shape.reduce((a, n) => a * n, 1);
  // Multiples of the golden ratio modulo 1 keep their distance, so extremes have no near ties.
  const values = Array.from({ length: size }, (_, i) => (((i + 7 * seed) * 0.6180339887498949) % 1) * 2 - 0.93);
  return { shape, values };
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** Numbers of `nodes` as a function of the values of `xs`. */
function evaluator(
  nodes: readonly Node[],
  xs: readonly Node[],
): (values: readonly (readonly number[])[]) => number[][] {
  const bound = topologicalOrder(nodes).filter(node => node.value !== null && !xs.includes(node));
  const executable = referenceBackend.compile({ leaves: [...xs, ...bound], outputs: nodes, updates: [] });
  return values =>
    executable
      .run([...values.map(v => Float64Array.from(v)), ...bound.map(node => node.value!)])
      .map(host => Array.from(host as Float64Array));
}

/** Gradient of sum(outputs * weights) by central differences. */
function differences(
  f: (values: readonly (readonly number[])[]) => number[][],
  values: readonly (readonly number[])[],
  weights: readonly (readonly number[])[],
): number[][] {
  const step = 1e-5;
  return values.map((xs, k) =>
    xs.map((_, i) => {
      const at = (by: number): number => {
        const moved = values.map((v, j) => (j === k ? v.map((x, m) => (m === i ? x + by : x)) : v));
        return f(moved).reduce((sum, y, j) => sum + dot(y, weights[j]!), 0);
      };
      return (at(step) - at(-step)) / (2 * step);
    }),
  );
}

function expectClose(actual: readonly number[][], expected: readonly number[][], what: string): void {
  actual.forEach((xs, k) => {
    xs.forEach((x, i) => {
      const tolerance = 2e-6 * Math.max(1, Math.abs(expected[k]![i]!));
      const message = `${what}: input ${k} element ${i}: ${x}, expected ${expected[k]![i]}`;
      expect(Math.abs(x - expected[k]![i]!), message).toBeLessThanOrEqual(tolerance);
    });
  });
}

/**
 * First and second derivatives of `f` at `points` (all f64): vjp against differences of the values, vjp of vjp against
 * differences of vjp, and jvp against vjp by <ct, J t> = <J' ct, t>, for both orders.
 */
export function checkDerivatives(f: (...xs: Node[]) => Node, ...points: readonly Point[]): void {
  const xs = points.map((p, i) => g.placeholder(`x${i}`, p.shape, 'f64', true));
  const values = points.map(p => p.values);
  const asLeaf = (p: Point): Node => leaf(p.values, p.shape);
  const inner = (a: readonly number[][], b: readonly Point[]): number =>
    a.reduce((sum, x, i) => sum + dot(x, b[i]!.values), 0);
  const scale = (a: number): number => 1e-9 * Math.max(1, Math.abs(a));

  const y = f(...xs);
  const ct = generic(y.shape, 3);
  const tangents = points.map((p, i) => generic(p.shape, 11 + i));
  const first = vjp([y], [asLeaf(ct)], xs).map((node, i) => node ?? g.full(0, xs[i]!.shape, 'f64'));
  const firstAt = evaluator(first, xs);
  const gradient = firstAt(values);
  expectClose(gradient, differences(evaluator([y], xs), values, [ct.values]), 'first derivative');

  const [tangent] = jvp([y], xs, tangents.map(asLeaf));
  const forward = tangent ? dot(evaluator([tangent], xs)(values)[0]!, ct.values) : 0;
  const reverse = inner(gradient, tangents);
  expect(Math.abs(forward - reverse), `jvp ${forward}, vjp ${reverse}`).toBeLessThanOrEqual(scale(reverse));

  const weights = points.map((p, i) => generic(p.shape, 23 + i));
  const second = vjp(first, weights.map(asLeaf), xs).map((node, i) => node ?? g.full(0, xs[i]!.shape, 'f64'));
  const hessian = evaluator(second, xs)(values);
  const expected = differences(
    firstAt,
    values,
    weights.map(w => w.values),
  );
  expectClose(hessian, expected, 'second derivative');

  const along = jvp(first, xs, tangents.map(asLeaf));
  const kept = along.flatMap((node, i) => (node ? [{ node, weight: weights[i]! }] : []));
  const forwardSecond = inner(
    evaluator(
      kept.map(k => k.node),
      xs,
    )(values),
    kept.map(k => k.weight),
  );
  const reverseSecond = inner(hessian, tangents);
  expect(
    Math.abs(forwardSecond - reverseSecond),
    `second order: jvp ${forwardSecond}, vjp ${reverseSecond}`,
  ).toBeLessThanOrEqual(scale(reverseSecond));
}
