import { expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import { choose, loop } from '../../src/graph/control.ts';
import { printGraph } from '../../src/graph/print.ts';
import { Variable } from '../../src/graph/storage.ts';
import { checkpointed, vjp } from '../../src/transform/index.ts';
import { leaf } from './evaluate.ts';

it('prints a layer and its gradient', () => {
  const w = g.variable(new Variable([3, 2], 'f32', new Float32Array(6), 'fc.weight'), true);
  const x = g.placeholder('x', [4, 3], 'f32');
  const h = g.unary('tanh', g.contract(x, w, [0, 1], [1, 2], [0, 2]));
  const loss = g.reduce('sum', h, [0, 1]);
  const [dw] = vjp([loss], [g.full(1, [], 'f32')], [w]);
  expect(printGraph([loss, dw!])).toMatchInlineSnapshot(`
    "%0: f32[4, 3] = placeholder "x"
    %1: f32[3, 2] = variable "fc.weight"
    %2: f32[4, 2] = contract ij,jk->ik (%0, %1)
    %3: f32[4, 2] = tanh (%2)
    %4: f32[] = reduce sum over 0, 1 (%3)
    %5: f32[] = constant 1
    %6: f32[4, 2] = reindex [i, j] <- [] (%5)
    %7: f32[4, 2] = mul (%3, %3)
    %8: f32[4, 2] = sub (%6, %7)
    %9: f32[3, 2] = contract ij,ik->jk (%0, %8)
    return %4, %9"
  `);
});

it('prints every kind of attribute', () => {
  const x = leaf([1, 2, 3], [3]);
  const index = g.checkIndex(leaf([1, -1], [2], 'i32'), 3, 'index');
  const windows = g.reindex(x, [2, 2], [{ terms: [[0, 2], [1, -1]], offset: -1, div: 3 }], 0.5); // biome-ignore format: a map
  const nodes = [
    g.gather(x, index, 0),
    windows,
    g.where(g.compare('lt', x, g.full(2, [3], 'f64')), x, g.cast(g.iota(3, 'i32'), 'f64')),
    g.scatter('add', x, index, leaf([5, 6], [2]), 0),
    g.scan('prod', x, 0, true),
    g.argReduce('min', x, 0),
    g.argSort(x, 0, true),
    g.bitcast(x, 'i64'),
    g.random(leaf([1, 0], [2], 'i64'), [5]),
    ...checkpointed([x], ([a]) => [g.detach(g.reshape(a!, [3, 1]))]),
  ];
  expect(printGraph(nodes)).toMatchInlineSnapshot(`
    "%0: f64[3] = data
    %1: i32[2] = data
    %2: i32[2] = checkIndex "index" < 3 (%1)
    %3: f64[2] = gather axis 0 (%0, %2)
    %4: f64[2, 2] = reindex [i, j] <- [(2*i - j - 1) / 3] else 0.5 (%0)
    %5: f64[] = constant 2
    %6: f64[3] = reindex [i] <- [] (%5)
    %7: bool[3] = lt (%0, %6)
    %8: f64[3] = iota
    %9: f64[3] = where (%7, %0, %8)
    %10: f64[2] = data
    %11: f64[3] = scatter add axis 0 (%0, %2, %10)
    %12: f64[3] = scan prod over 0 reversed (%0)
    %13: i64[] = argReduce min over 0 (%0)
    %14: i64[3] = argSort axis 0 descending (%0)
    %15: i64[3] = bitcast (%0)
    %16: i64[2] = data
    %17: i32[5] = random (%16)
    %18: f64[3, 1] = reshape (%0)
    %19: f64[3, 1] = barrier group 1 checkpoint (%18)
    return %3, %4, %9, %11, %12, %13, %14, %15, %17, %19"
  `);
});

it('takes evaluated nodes as leaves', () => {
  const x = leaf([1], [1]);
  const y = g.unary('exp', x);
  const z = g.unary('sin', y);
  y.value = Float64Array.of(Math.E);
  expect(printGraph([z])).toMatchInlineSnapshot(`
    "%0: f64[1] = known unary
    %1: f64[1] = sin (%0)
    return %1"
  `);
});

it('prints loops and choices with their bodies', () => {
  const c = g.placeholder('carry', [2], 'f32');
  const x = g.placeholder('slice', [2], 'f32');
  const body = { params: [c, x], outputs: [g.binary('add', c, x)] };
  const of = { body, cond: null, carries: 1, xs: 1, length: 5, reverse: true };
  const inputs = [leaf([1, 2], [2], 'f32'), leaf(new Array(10).fill(1), [5, 2], 'f32')];
  const last = loop(of, inputs, 0);
  const side = (fn: 'exp' | 'sin') => ({ params: [c], outputs: [g.unary(fn, c)] });
  const choice = { onTrue: side('exp'), onFalse: side('sin') };
  const chosen = choose(choice, [leaf([1], [], 'bool'), last], 0);
  expect(printGraph([chosen, loop(of, inputs, 1)])).toMatchInlineSnapshot(`
    "%0: bool[] = data
    %1: f32[2] = data
    %2: f32[5, 2] = data
    %3: f32[2] = loop 5 steps reversed, result 0 (%1, %2)
    %4: f32[2] = choose result 0 (%0, %3)
    %5: f32[5, 2] = loop 5 steps reversed, result 1 (%1, %2)
    return %4, %5
    step:
      %0: f32[2] = placeholder "carry"
      %1: f32[2] = placeholder "slice"
      %2: f32[2] = add (%0, %1)
      return %2
    if true:
      %0: f32[2] = placeholder "carry"
      %1: f32[2] = exp (%0)
      return %1
    if false:
      %0: f32[2] = placeholder "carry"
      %1: f32[2] = sin (%0)
      return %1"
  `);
});
