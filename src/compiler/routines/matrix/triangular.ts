/**
 * Cholesky factors and triangular systems, row by row.
 */
import type { Reg } from '../../loops.ts';
import type { Grid, MatrixBuilder } from './rows.ts';

/** Every row of L (in `l`, f64) is found from the rows above it; elements above the diagonal are 0. */
export function cholesky(m: MatrixBuilder, a: Grid, n: number, l: Grid): void {
  const { b } = m;
  m.for(0, n, i => {
    const row = m.row(l, i);
    m.fill(row, n, 0);
    m.for(0, i, j => {
      const above = m.row(l, j);
      const rest = b.sub(m.load(a, i, j), m.dot(row, above, 0, j));
      m.set(row, j, b.bin('div', rest, m.get(above, j)));
    });
    const rest = b.sub(m.load(a, i, i), m.dot(row, row, 0, i));
    m.set(row, i, b.select(b.cmp('gt', rest, m.f64(0)), b.un('sqrt', rest), m.f64(Number.NaN)));
  });
}

/** x (f64, holds B before) with L x = B. */
export function solveTriangular(m: MatrixBuilder, l: Grid, n: number, x: Grid, k: number): void {
  const { b } = m;
  m.for(0, n, i => {
    const row = m.row(x, i);
    m.for(0, i, j => m.addScaled(row, b.un('neg', m.load(l, i, j)), m.row(x, j), 0, k));
    const diagonal = m.load(l, i, i);
    m.map(row, 0, k, (value: Reg, lanes) => b.bin('div', value, b.splat(diagonal, lanes)));
  });
}
