/** Derivatives of every primitive. The tables are total: a new primitive does not compile until it has a case here. */
import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { Binary, Node, Primitive, ReduceKind, ScanKind, ScatterKind, Unary } from '../../src/graph/node.ts';
import { completed, jvp, markGrad, vjp } from '../../src/transform/index.ts';
import { leaf, numbers } from '../graph/evaluate.ts';
import { checkDerivatives, generic, type Point } from './derivatives.ts';

const at = (...values: number[]): Point => ({ shape: [values.length], values });

/** A function without a derivative: neither mode may make one up. */
function checkNoDerivative(f: (x: Node) => Node, point: Point = generic([3])): void {
  const x = g.placeholder('x', point.shape, 'f64', true);
  const y = f(x);
  expect(vjp([y], [g.full(1, y.shape, y.dtype)], [x])).toEqual([null]);
  expect(jvp([y], [x], [g.full(1, x.shape, 'f64')])).toEqual([null]);
}

describe('unary', () => {
  const flat = 'flat' as const;
  const CASES: { readonly [F in Unary]: Point | typeof flat | 'integers' } = {
    neg: at(-1.5, 0, 2),
    abs: at(-1.5, 0.5, 2),
    sign: flat,
    floor: flat,
    ceil: flat,
    trunc: flat,
    round: flat,
    sqrt: at(0.3, 1, 7),
    exp: at(-2, 0, 1.5),
    expm1: at(-2, 0, 1.5),
    log: at(0.2, 1, 5),
    log1p: at(-0.7, 0, 5),
    sin: at(-2, 0, 1.5),
    cos: at(-2, 0, 1.5),
    tan: at(-1.2, 0, 2.5),
    tanh: at(-2, 0, 1.5),
    sigmoid: at(-2, 0, 1.5),
    erf: at(-1.2, 0, 0.7),
    atan: at(-3, 0, 0.7),
    lgamma: at(-1.3, 0.4, 3.7),
    digamma: at(-1.3, 0.7, 3.7),
    not: 'integers',
  };
  it.each(Object.entries(CASES) as [Unary, Point | 'flat' | 'integers'][])('%s', (fn, point) => {
    if (point === 'integers') return checkNoDerivative(x => g.cast(g.unary(fn, g.cast(x, 'i32')), 'f64'));
    if (point === 'flat') return checkNoDerivative(x => g.unary(fn, x));
    checkDerivatives(x => g.unary(fn, x), point);
  });
});

describe('binary', () => {
  const CASES: { readonly [F in Binary]: readonly [Point, Point] | 'flat' | 'integers' } = {
    add: [generic([2, 3]), generic([2, 3], 2)],
    sub: [generic([2, 3]), generic([2, 3], 2)],
    mul: [generic([2, 3]), generic([2, 3], 2)],
    div: [generic([3]), at(0.7, -1.5, 3)],
    floorDiv: 'flat',
    mod: [at(5.3, -5.3, 5.3, 0.4), at(2, 2, -2, 3)],
    pow: [at(0.5, 2, 1.3, 3), at(2.5, -1.5, 0, 1)],
    atan2: [at(0.5, -2, 0), at(1, -0.5, 2)],
    min: [at(1, 5), at(2, 3)],
    max: [at(1, 5), at(2, 3)],
    and: 'integers',
    or: 'integers',
    xor: 'integers',
    shl: 'integers',
    shr: 'integers',
  };
  it.each(Object.entries(CASES) as [Binary, readonly [Point, Point] | 'flat' | 'integers'][])('%s', (fn, points) => {
    if (points === 'flat') return checkNoDerivative(x => g.binary(fn, x, x));
    if (points === 'integers') {
      const cast = (x: Node): Node => g.cast(x, 'i32');
      return checkNoDerivative(x => g.cast(g.binary(fn, cast(x), cast(x)), 'f64'));
    }
    checkDerivatives((a, b) => g.binary(fn, a, b), ...points);
  });

  it.each([0, 1, 2, 3, -1])('x to the power %d, known when built', exponent => {
    checkDerivatives(x => g.binary('pow', x, g.full(exponent, x.shape, 'f64')), at(-1.5, 0.5, 2));
  });
});

describe('reductions and scans', () => {
  // Zeros where they matter to products: none, one, two in a row of the axis.
  const withZeros = { shape: [3, 4], values: [0.5, 2, -1, 3, 0.5, 0, -1, 3, 0, 2, 0, 3] };

  const REDUCE: { readonly [K in ReduceKind]: readonly Point[] } = {
    sum: [generic([2, 3, 2])],
    prod: [generic([2, 3, 2]), withZeros],
    max: [generic([2, 3, 2])],
    min: [generic([2, 3, 2])],
  };
  it.each(Object.entries(REDUCE) as [ReduceKind, readonly Point[]][])('reduce %s', (kind, points) => {
    for (const point of points)
      for (const axes of [[1], [0, point.shape.length - 1]]) checkDerivatives(x => g.reduce(kind, x, axes), point);
  });

  const SCAN: { readonly [K in ScanKind]: readonly Point[] } = {
    sum: [generic([2, 3, 2])],
    prod: [generic([2, 3, 2]), withZeros, generic([7])],
    max: [generic([2, 5, 2])],
    min: [generic([2, 5, 2])],
  };
  it.each(Object.entries(SCAN) as [ScanKind, readonly Point[]][])('scan %s', (kind, points) => {
    for (const point of points)
      for (const reverse of [false, true])
        checkDerivatives(x => g.scan(kind, x, point.shape.length > 1 ? 1 : 0, reverse), point);
  });
});

describe('scatter', () => {
  const index = leaf([2, 0, 2], [3], 'i64');
  const CASES: { readonly [K in ScatterKind]: readonly Point[] } = {
    set: [generic([2, 4]), generic([2, 3], 5)],
    add: [generic([2, 4]), generic([2, 3], 5)],
    mul: [generic([2, 4]), generic([2, 3], 5)],
    max: [generic([2, 4]), generic([2, 3], 5)],
    min: [generic([2, 4]), generic([2, 3], 5)],
  };
  it.each(Object.entries(CASES) as [ScatterKind, readonly Point[]][])(
    '%s, with an index that comes twice',
    (kind, points) => {
      checkDerivatives((base, updates) => g.scatter(kind, base, index, updates, 1), ...points);
    },
  );

  it('mul by zero', () => {
    // Place 2 (value 7) is hit by 0 and 3, place 0 (value 5) by 2.
    const base = markGrad(leaf([5, 6, 7, 8], [4]));
    const updates = markGrad(leaf([0, 2, 3], [3]));
    const y = g.scatter('mul', base, index, updates, 0);
    const [dBase, dUpdates] = vjp([y], [g.full(1, [4], 'f64')], [base, updates]);
    expect(numbers(dBase!)).toEqual([2, 1, 0, 1]);
    expect(numbers(dUpdates!)).toEqual([7 * 3, 5, 0]);
  });
});

/** Tested above, and control flow, which the runtime runs, in tests/tensor/control.test.ts. */
type Elsewhere = 'unary' | 'binary' | 'reduce' | 'scan' | 'scatter' | 'loop' | 'choose';

/** The other primitives, one function of floats each; null where nothing flows. */
const CASES: { readonly [P in Exclude<Primitive, Elsewhere>]: () => void } = {
  constant: () => checkDerivatives(x => g.binary('mul', x, g.full(3, [2], 'f64')), generic([2])),
  data: () => checkDerivatives(x => g.binary('mul', x, leaf([2, 3], [2])), generic([2])),
  variable: () => checkDerivatives(x => x, generic([2])),
  placeholder: () => checkDerivatives(x => g.binary('mul', x, x), generic([2])),
  iota: () => checkDerivatives(x => g.binary('mul', x, g.iota(3, 'f64')), generic([3])),
  compare: () => checkNoDerivative(x => g.cast(g.compare('lt', x, g.unary('neg', x)), 'f64')),
  where: () =>
    checkDerivatives(
      (a, b) => g.where(leaf([1, 0, 1], [3], 'bool'), g.unary('exp', a), g.binary('mul', a, b)),
      generic([3]),
      generic([3], 2),
    ),
  cast: () => {
    checkNoDerivative(x => g.cast(g.cast(x, 'i64'), 'f64'));
    const x = g.placeholder('x', [2], 'f32', true);
    const [dx] = vjp([g.cast(x, 'f64')], [leaf([1, 2], [2])], [x]);
    expect(dx!.dtype).toBe('f32');
    const [t] = jvp([g.cast(x, 'f64')], [x], [leaf([1, 2], [2], 'f32')]);
    expect(t!.dtype).toBe('f64');
  },
  bitcast: () => checkNoDerivative(x => g.bitcast(g.bitcast(x, 'i64'), 'f64')),
  checkIndex: () => checkNoDerivative(x => g.cast(g.checkIndex(g.cast(x, 'i64'), 5, 'test'), 'f64')),
  detach: () => {
    checkNoDerivative(x => g.detach(x));
    // d/dx (x * stop(x)) = stop(x) = 3, not 2 x = 6.
    const x = markGrad(leaf([3], [1]));
    const [dx] = vjp([g.binary('mul', x, g.detach(x))], [g.full(1, [1], 'f64')], [x]);
    expect(numbers(dx!)).toEqual([3]);
  },
  barrier: () => checkDerivatives(x => g.barrier(g.unary('exp', x), 1, { after: [g.unary('sin', x)] }), generic([2])),
  reshape: () => checkDerivatives(x => g.unary('exp', g.reshape(x, [3, 2])), generic([2, 3])),
  reindex: () => {
    checkDerivatives(x => g.unary('exp', g.pad(x, [1, -1], [0, 2], 0.5)), generic([2, 3]));
    checkDerivatives(x => g.unary('exp', g.slice(x, [1, 2], [1, 2], [1, -2])), generic([2, 3]));
  },
  concat: () => {
    checkDerivatives((a, b) => g.unary('exp', g.concat([a, b, a], 1)), generic([2, 3]), generic([2, 1], 2));
    // Four disjoint slices: their cotangents come back side by side, with a gap where nothing was read.
    checkDerivatives(
      x => {
        const parts = [0, 1, 3, 4].map(i => g.unary('exp', g.slice(x, [i, 0], [1, 2])));
        return parts.reduce((a, b) => g.binary('mul', a, b));
      },
      generic([5, 2]),
    );
  },
  gather: () =>
    checkDerivatives(x => g.unary('exp', g.gather(x, leaf([1, 0, 1, 1], [2, 2], 'i32'), 1)), generic([2, 3])),
  argReduce: () => checkNoDerivative(x => g.cast(g.argReduce('max', x, 0), 'f64')),
  contract: () => {
    const cases: [number[], number[], number[], number[], number[]][] = [
      // matmul, batched, outer product, weighted sum over a label both keep, labels of one operand
      [
        [2, 3],
        [3, 4],
        [0, 1],
        [1, 2],
        [0, 2],
      ],
      [
        [2, 2, 3],
        [2, 3, 2],
        [0, 1, 2],
        [0, 2, 3],
        [0, 3, 1],
      ],
      [[2], [3], [0], [1], [1, 0]],
      [[2, 3], [2, 3], [0, 1], [0, 1], [1]],
      [[3], [3], [0], [0], []],
    ].map(c => c as [number[], number[], number[], number[], number[]]);
    for (const [sa, sb, la, lb, out] of cases)
      checkDerivatives((a, b) => g.contract(a, b, la, lb, out), generic(sa), generic(sb, 2));
    checkDerivatives(a => g.contract(a, g.unary('exp', a), [0, 1], [2, 1], [0, 2]), generic([2, 3]));
  },
  argSort: () => checkNoDerivative(x => g.cast(g.argSort(x, 0), 'f64')),
  // Each routine has its cases in matrix.test.ts.
  matrix: () => checkDerivatives((l, b) => g.matrix('solveTriangular', l, b), generic([2, 2]), generic([2, 1], 2)),
  custom: () => {
    // x^2 with its derivative given in one direction: the other one is its transpose.
    const square = (x: Node): Node => g.binary('mul', x, x);
    const slope = (t: Node, x: Node): Node => g.binary('mul', t, g.binary('add', x, x));
    const results = (args: readonly Node[]): Node[] => args.map(square);
    const back = completed({ count: 1, results, vjp: ([x], _, [ct]) => [slope(ct!, x!)] }, vjp);
    const forth = completed({ count: 1, results, jvp: ([x], _, [t]) => [slope(t!, x!)] }, vjp);
    for (const rule of [back, forth]) checkDerivatives(x => g.custom(square(x), [x], rule, 0), generic([3]));
  },
  random: () => {
    const bits = g.cast(g.random(leaf([1, 2], [2], 'i64'), [3]), 'f64');
    const noise = g.binary('mul', bits, g.full(2 ** -31, [3], 'f64'));
    checkDerivatives(x => g.binary('mul', x, noise), generic([3]));
  },
};

describe('other primitives', () => {
  it.each(Object.entries(CASES))('%s', (_, check) => check());
});
