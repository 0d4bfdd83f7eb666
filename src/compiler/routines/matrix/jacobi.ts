/**
 * Eigenvalues and singular values by one-sided Jacobi (Hestenes 1958): pairs of rows are rotated, all of them in turn, until every two are
 * orthogonal. Simple, accurate also for small singular values (Demmel and Veselic 1992), and all its work is on contiguous rows.
 */
import type { Reg } from '../../loops.ts';
import type { Grid, MatrixBuilder, Row } from './rows.ts';

/** Rows count as orthogonal below this cosine. */
const TOLERANCE = 1e-15;
const MOST_SWEEPS = 60;

/** Rotates the `count` rows of `g` (each of `length`), and those of `v` (each of `count`) with them. */
export function orthogonalise(m: MatrixBuilder, g: Grid, v: Grid, count: number, length: number): void {
  const { b } = m;
  m.for(0, count, i => {
    m.fill(m.row(v, i), count, 0);
    m.set(m.row(v, i), i, m.f64(1));
  });
  const sweep = b.copy(b.i32(0));
  b.while(
    () => b.cmp('lt', sweep, b.i32(MOST_SWEEPS)),
    () => {
      const rotated = b.copy(b.i32(0));
      m.for(0, count, i => {
        const gi = m.row(g, i);
        m.for(m.plus(i, 1), count, j => {
          const gj = m.row(g, j);
          const square = [m.dot(gi, gi, 0, length), m.dot(gj, gj, 0, length)] as const;
          const c = m.dot(gi, gj, 0, length);
          const limit = b.mul(m.f64(TOLERANCE), b.un('sqrt', b.mul(...square)));
          b.if(b.cmp('gt', m.abs(c), limit), () => {
            b.move(rotated, b.i32(1));
            const zeta = b.bin('div', b.sub(square[1], square[0]), b.add(c, c));
            const root = b.un('sqrt', b.fma(zeta, zeta, m.f64(1)));
            const t = b.bin('copysign', b.bin('div', m.f64(1), b.add(m.abs(zeta), root)), zeta);
            const cos = b.bin('div', m.f64(1), b.un('sqrt', b.fma(t, t, m.f64(1))));
            const sin = b.mul(cos, t);
            m.rotate(gi, gj, cos, sin, length);
            m.rotate(m.row(v, i), m.row(v, j), cos, sin, count);
          });
        });
      });
      const last = b.cmp('eq', rotated, b.i32(0));
      b.move(sweep, b.select(last, b.i32(MOST_SWEEPS), b.add(sweep, b.i32(1))));
    },
  );
}

/** -1 where the first of the (nearly) largest elements is negative, else 1: the sign that vectors are given. */
export function signOf(m: MatrixBuilder, x: Row, count: number): Reg {
  const { b } = m;
  const largest = b.copy(m.f64(0));
  m.for(0, count, k => {
    const value = m.get(x, k);
    const beyond = b.cmp('gt', m.abs(value), b.mul(m.abs(largest), m.f64(1 + 1e-8)));
    b.move(largest, b.select(beyond, value, largest));
  });
  return b.select(b.cmp('lt', largest, m.f64(0)), m.f64(-1), m.f64(1));
}

/**
 * Visits the indices of `values` [count] by size: r is the place in the order, i the index. `keys` is overwritten.
 */
export function inOrder(
  m: MatrixBuilder,
  keys: Row,
  count: number,
  descending: boolean,
  visit: (r: Reg, i: Reg) => void,
): void {
  const { b } = m;
  const done = m.f64(descending ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY);
  // What is never before anything else (NaN) is taken in the end, in order.
  const taken = Number.NaN;
  m.for(0, count, r => {
    const best = b.copy(b.i32(-1));
    const extreme = b.copy(done);
    m.for(0, count, i => {
      const key = m.get(keys, i);
      const before = descending ? b.cmp('gt', key, extreme) : b.cmp('lt', key, extreme);
      b.if(before, () => {
        b.move(best, i);
        b.move(extreme, key);
      });
    });
    const i = b.select(b.cmp('lt', best, b.i32(0)), r, best);
    m.set(keys, i, m.f64(taken));
    visit(r, i);
  });
}

/** Eigenvectors of A are singular vectors of A + c, which is positive definite for c beyond the sum of any row. */
export function shiftOf(m: MatrixBuilder, a: (i: Reg, j: Reg) => Reg, n: number): Reg {
  const { b } = m;
  const bound = b.copy(m.f64(0));
  m.for(0, n, i => {
    const sum = b.copy(m.f64(0));
    m.for(0, n, j => b.move(sum, b.add(sum, m.abs(a(i, j)))));
    b.move(bound, b.bin('max', bound, sum));
  });
  return b.select(b.cmp('gt', bound, m.f64(0)), b.mul(bound, m.f64(1.5)), m.f64(1));
}

/**
 * Row r of `u` [.., length] becomes a unit vector orthogonal to the rows before it: what is left of the axis that they cover least. `covered`
 * has room for `length` numbers.
 */
export function completeRow(m: MatrixBuilder, u: Grid, r: Reg, length: number, covered: Row): void {
  const { b } = m;
  const row = m.row(u, r);
  m.fill(covered, length, 0);
  m.for(0, r, j => {
    const other = m.row(u, j);
    m.for(0, length, t => {
      const x = m.get(other, t);
      m.set(covered, t, b.fma(x, x, m.get(covered, t)));
    });
  });
  const best = b.copy(b.i32(0));
  m.for(1, length, t => {
    b.if(b.cmp('lt', m.get(covered, t), m.get(covered, best)), () => b.move(best, t));
  });
  m.fill(row, length, 0);
  m.set(row, best, m.f64(1));
  // Twice is enough (Giraud et al. 2005).
  for (let pass = 0; pass < 2; pass++)
    m.for(0, r, j => {
      const other = m.row(u, j);
      m.addScaled(row, b.un('neg', m.dot(other, row, 0, length)), other, 0, length);
    });
  const norm = b.un('sqrt', m.dot(row, row, 0, length));
  m.map(row, 0, length, (x, lanes) => b.bin('div', x, b.splat(norm, lanes)));
}
