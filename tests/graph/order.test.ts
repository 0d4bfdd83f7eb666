import { expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import { topologicalOrder } from '../../src/graph/order.ts';
import { leaf } from './evaluate.ts';

it('lists inputs before readers, each node once, roots in their order', () => {
  const x = leaf([1], [1]);
  const a = g.unary('exp', x);
  const b = g.unary('sin', a);
  const c = g.binary('add', a, b);
  expect(topologicalOrder([c, x])).toEqual([x, a, b, c]);
  expect(topologicalOrder([b, c])).toEqual([x, a, b, c]);
  expect(topologicalOrder([])).toEqual([]);
});

it('stops where it is told, and walks what it is told', () => {
  const x = leaf([1], [1]);
  const a = g.unary('exp', x);
  const b = g.unary('sin', a);
  expect(topologicalOrder([b], node => node === a)).toEqual([a, b]);
  const order = topologicalOrder(
    [b],
    () => false,
    node => (node === b ? [x] : node.inputs),
  );
  expect(order).toEqual([x, b]);
});

it('waits for an input that is also read further down', () => {
  // d reads a before c, but c reads b, which reads a: the deepest path decides.
  const a = leaf([1], [1]);
  const b = g.unary('exp', a);
  const c = g.unary('sin', b);
  const d = g.binary('add', a, c);
  const e = g.binary('mul', d, b);
  expect(topologicalOrder([e])).toEqual([a, b, c, d, e]);
});

it('is linear in graphs that double at every level', () => {
  let x = leaf([1], [1]);
  for (let i = 0; i < 60; i++) x = g.binary('add', x, x);
  expect(topologicalOrder([x])).toHaveLength(61);
});
