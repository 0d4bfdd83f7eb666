/**
 * Where a derivative is a convention, Tenon's is PyTorch's. Figures of PyTorch 1.13; the command stands beside each.
 */
import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { jvp, markGrad, vjp } from '../../src/transform/index.ts';
import { leaf, numbers } from '../graph/evaluate.ts';

const NAN = Number.NaN;
const INF = Number.POSITIVE_INFINITY;

/** Gradients of the sum of f. */
function gradients(f: (...xs: Node[]) => Node, ...values: number[][]): number[][] {
  const xs = values.map(v => markGrad(leaf(v, [v.length])));
  const y = f(...xs);
  return vjp([y], [g.full(1, y.shape, y.dtype)], xs).map(node => numbers(node!));
}

describe('conventions', () => {
  it('abs has slope 0 at 0', () => expect(gradients(x => g.unary('abs', x), [0, -2])).toEqual([[0, -1]]));

  it('sqrt has an infinite slope at 0', () =>
    // a=t([0.,-0.0],requires_grad=True);a.sqrt().sum().backward();a.grad
    expect(gradients(x => g.unary('sqrt', x), [0, -0])).toEqual([[INF, -INF]]));

  it('max and min share ties evenly and give NaN to both sides', () => {
    // a=t([2.,n,1.,n]);b=t([2.,1.,n,n]);torch.maximum(a,b).sum().backward()
    const a = [2, NAN, 1, NAN];
    const b = [2, 1, NAN, NAN];
    expect(gradients((x, y) => g.binary('max', x, y), a, b)).toEqual([
      [0.5, 1, 1, 1],
      [0.5, 1, 1, 1],
    ]);
    expect(gradients((x, y) => g.binary('min', x, y), [1, 3, 2], [2, 3, 1])).toEqual([
      [1, 0.5, 0],
      [0, 0.5, 1],
    ]);
  });

  it('amax shares evenly among ties, and is NaN where its value is', () => {
    expect(gradients(x => g.reduce('max', x, [0]), [3, 1, 3, 3, 0])).toEqual([[1 / 3, 0, 1 / 3, 1 / 3, 0]]);
    expect(gradients(x => g.reduce('max', x, [0]), [2, NAN, 1])).toEqual([[NAN, NAN, NAN]]);
  });

  it('a running maximum belongs to the latest element that reached it', () => {
    // a=t([2.,3,3],requires_grad=True);torch.cummax(a,0)[0].sum().backward()
    expect(gradients(x => g.scan('max', x, 0), [2, 3, 3])).toEqual([[1, 1, 1]]);
    expect(gradients(x => g.scan('max', x, 0), [2, 1, 3, 0])).toEqual([[2, 0, 2, 0]]);
    expect(gradients(x => g.scan('max', x, 0), [1, NAN, 3])).toEqual([[1, 2, 0]]);
    expect(gradients(x => g.scan('min', x, 0, true), [5, 1, 2])).toEqual([[0, 2, 1]]);
  });

  it('powers at 0, and of negative numbers', () => {
    // x=t([0.,2.,-1.,0.,0.]);y=t([0.,0.,3.,2.,-1.]);torch.pow(x,y).sum().backward()
    const [dx, dy] = gradients((x, y) => g.binary('pow', x, y), [0, 2, -1, 0, 0], [0, 0, 3, 2, -1]);
    expect(dx!.map(v => v + 0)).toEqual([0, 0, 3, 0, -INF]);
    expect(dy).toEqual([0, Math.LN2, NAN, 0, -INF]);
  });

  it('atan2 has no slope at the origin', () => {
    // a=t([0.,1.,0.]);b=t([0.,0.,-1.]);torch.atan2(a,b).sum().backward()
    const [da, db] = gradients((a, b) => g.binary('atan2', a, b), [0, 1, 0], [0, 0, -1]);
    expect(da).toEqual([NAN, 0, -1]);
    expect(db!.map(v => v + 0)).toEqual([NAN, -1, 0]);
  });

  it('products with zeros', () => {
    expect(gradients(x => g.reduce('prod', x, [0]), [0, 3, 2])).toEqual([[6, 0, 0]]);
    expect(gradients(x => g.reduce('prod', x, [0]), [0, 3, 0])).toEqual([[0, 0, 0]]);
    // y = a, ab, abc: dy/da = 1 + b + bc, dy/db = a + ac, dy/dc = ab
    expect(gradients(x => g.scan('prod', x, 0), [0, 3, 0])).toEqual([[4, 0, 0]]);
  });

  it('scatter: the last update stays, extremes share with the base', () => {
    const index = leaf([0, 0, 1, 2], [4], 'i64');
    const into =
      (kind: 'set' | 'max' | 'min') =>
      (a: Node, u: Node): Node => {
        const y = g.scatter(kind, a, index, u, 0);
        return g.binary('mul', y, y);
      };
    // torch.scatter_reduce(a,0,t([0,0,1,2]),u,'amax').pow(2).sum().backward()
    expect(gradients(into('max'), [2, 3, 0], [2, 4, 5, 0])).toEqual([
      [0, 0, 0],
      [0, 8, 10, 0],
    ]);
    expect(gradients(into('min'), [2, 3, 0], [2, 4, 5, 0])).toEqual([
      [2, 6, 0],
      [2, 0, 0, 0],
    ]);
    expect(gradients(into('set'), [2, 3, 0], [2, 4, 5, 1])).toEqual([
      [0, 0, 0],
      [0, 8, 10, 2],
    ]);
  });
});

describe('vjp and jvp', () => {
  const ones = (x: Node): Node => g.full(1, x.shape, x.dtype);

  it('add up over every path, and over several outputs', () => {
    const x = markGrad(leaf([2], [1]));
    const square = g.binary('mul', x, x);
    const cube = g.binary('mul', square, x);
    // d(x^2 + x^3 + x) = 2x + 3x^2 + 1
    expect(numbers(vjp([square, cube, x], [ones(x), ones(x), ones(x)], [x])[0]!)).toEqual([4 + 12 + 1]);
  });

  it('give null for what is not reached, and cotangents of nodes in the middle', () => {
    const x = markGrad(leaf([2], [1]));
    const other = markGrad(leaf([5], [1]));
    const middle = g.binary('mul', x, x);
    const y = g.unary('exp', middle);
    const [dOther, dMiddle, dx] = vjp([y], [ones(y)], [other, middle, x]);
    expect(dOther).toBeNull();
    expect(numbers(dMiddle!)).toEqual([Math.exp(4)]);
    expect(numbers(dx!)).toEqual([Math.exp(4) * 4]);
    expect(jvp([y], [other], [ones(x)])).toEqual([null]);
  });

  it('go on through values that are known already', () => {
    const x = markGrad(leaf([2], [1]));
    const y = g.binary('mul', x, x);
    y.value = Float64Array.of(4);
    const z = g.binary('mul', y, y);
    expect(numbers(vjp([z], [ones(z)], [x])[0]!)).toEqual([32]);
  });

  it('are fast and safe on graphs far deeper than the stack', () => {
    const x = markGrad(leaf([1], [1]));
    let y = x;
    for (let i = 0; i < 20_000; i++) y = g.binary('add', y, x);
    expect(numbers(vjp([y], [ones(y)], [x])[0]!)).toEqual([20_001]);
  });

  it('reach the fourth derivative', () => {
    // sin'''' = sin; (x^5)'''' = 120 x
    const x = markGrad(leaf([0.7], [1]));
    let y = g.binary('add', g.unary('sin', x), g.binary('pow', x, g.full(5, [1], 'f64')));
    for (let order = 0; order < 4; order++) y = vjp([y], [ones(y)], [x])[0]!;
    expect(numbers(y)[0]).toBeCloseTo(Math.sin(0.7) + 120 * 0.7, 9);
  });
});
