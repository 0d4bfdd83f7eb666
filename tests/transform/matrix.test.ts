/**
 * Matrix routines: what they return satisfies the equation that defines it, and first and second derivatives agree with
 * finite differences in f64. All through the reference backend.
 */
import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { MatrixRoutine } from '../../src/graph/matrix.ts';
import type { Node } from '../../src/graph/node.ts';
import { leaf, numbers } from '../graph/evaluate.ts';
import { checkDerivatives, generic, type Point } from './derivatives.ts';

const transpose = (x: Node): Node => g.permute(x, [1, 0]);
const matmul = (a: Node, b: Node): Node => g.contract(a, b, [0, 1], [1, 2], [0, 2]);
/** Positive definite: X Xᵀ + 1. */
const definite = (x: Node): Node => {
  const n = x.shape[0]!;
  const one = g.reshape(
    leaf(
      Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
      [n * n],
    ),
    [n, n],
  );
  return g.binary('add', matmul(x, transpose(x)), one);
};
/** Far from triangular factors that are singular. */
const shifted = (x: Node): Node => {
  const [m, n] = x.shape as [number, number];
  const one = Array.from({ length: m * n }, (_, i) => (i % n === Math.floor(i / n) ? 2 + (i % n) : 0));
  return g.binary('add', x, leaf(one, [m, n]));
};
const rows = (x: Node, from: number, count: number): Node => g.slice(x, [from, 0], [count, x.shape[1]!]);

const CASES: { readonly [R in Exclude<MatrixRoutine, 'permutation' | 'geqrf' | 'ldl' | 'ldlSolve'>]: () => void } = {
  cholesky: () => checkDerivatives(x => g.matrix('cholesky', definite(x)), generic([3, 3])),
  solveTriangular: () =>
    checkDerivatives((l, b) => g.matrix('solveTriangular', shifted(l), b), generic([3, 3]), generic([3, 2], 2)),
  solve: () => checkDerivatives((a, b) => g.matrix('solve', shifted(a), b), generic([3, 3]), generic([3, 2], 2)),
  lu: () => {
    for (const shape of [
      [3, 3],
      [2, 4],
      [4, 2],
    ])
      checkDerivatives(x => g.matrix('lu', shifted(x)), generic(shape));
  },
  det: () => {
    checkDerivatives(x => g.matrix('det', shifted(x)), generic([3, 3]));
    // A singular matrix: its gradient is the transposed adjugate, here [[4, -3], [-2, 1.5]] of [[1.5, 2], [3, 4]].
    const singular: Point = { values: [1.5, 2, 3, 4], shape: [2, 2] };
    checkDerivatives(x => g.matrix('det', x), singular);
  },
  qr: () => {
    for (const shape of [
      [3, 3],
      [4, 2],
      [2, 4],
    ])
      checkDerivatives(x => g.matrix('qr', shifted(x)), generic(shape));
  },
  eigh: () => checkDerivatives(x => g.matrix('eigh', g.binary('add', shifted(x), transpose(x))), generic([3, 3])),
  eighUpper: () =>
    checkDerivatives(x => g.matrix('eighUpper', g.binary('add', shifted(x), transpose(x))), generic([3, 3])),
  svd: () => {
    for (const shape of [
      [3, 3],
      [4, 2],
      [2, 4],
    ])
      checkDerivatives(x => g.matrix('svd', shifted(x)), generic(shape));
  },
  pinv: () => {
    const tolerance = leaf([1e-6, 0], [1, 2]);
    for (const shape of [
      [3, 3],
      [4, 2],
      [2, 4],
    ])
      checkDerivatives(x => g.matrix('pinv', shifted(x), tolerance), generic(shape));
    // Of rank 2, 4 by 3: singular values of 0 are left out, and the rank stays.
    checkDerivatives(
      (x, y) => g.matrix('pinv', matmul(shifted(x), transpose(shifted(y))), tolerance),
      generic([4, 2]),
      generic([3, 2], 2),
    );
  },
};

describe('derivatives of routines', () => {
  it.each(Object.entries(CASES))('%s', (_, check) => check());
});

describe('values', () => {
  it('svd of a matrix of rank 1 has orthonormal vectors all the same', () => {
    const a = leaf([1, 2, 3, 2, 4, 6, -1, -2, -3, 0.5, 1, 1.5], [4, 3]);
    const usv = g.matrix('svd', a);
    const [u, s, v] = [rows(usv, 0, 4), rows(usv, 4, 1), rows(usv, 5, 3)];
    const one = [1, 0, 0, 0, 1, 0, 0, 0, 1];
    const close = (x: Node, expected: readonly number[]): void => {
      const values = numbers(x);
      expected.forEach((y, i) => {
        expect(values[i]).toBeCloseTo(y, 12);
      });
    };
    for (const x of [u, v]) close(matmul(transpose(x), x), one);
    const back = matmul(g.binary('mul', u, g.broadcastTo(s, [4, 3])), transpose(v));
    close(back, numbers(a));
  });
});
