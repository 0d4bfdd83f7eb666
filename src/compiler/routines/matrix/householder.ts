/**
 * Householder reflections 1 - tau v vᵀ with v = (1, ...) that take the columns of a matrix to those of R, with LAPACK's
 * signs. The matrix is held transposed, so that its columns are contiguous.
 */
import type { Reg } from '../../loops.ts';
import type { Grid, Int, MatrixBuilder, Row } from './rows.ts';

/** x -= tau v (vᵀ x), v with a 1 at k and the rest of it from k + 1 on. */
export function applyReflection(m: MatrixBuilder, x: Row, v: Row, k: Int, tau: Reg, length: number): void {
  const { b } = m;
  const next = m.plus(k, 1);
  const product = b.mul(tau, b.add(m.get(x, k), m.dot(v, x, next, length)));
  m.set(x, k, b.sub(m.get(x, k), product));
  m.addScaled(x, b.un('neg', product), v, next, length);
}

/**
 * Turns v from element k on into the reflection that takes it to beta e_k (LAPACK's larfg): v[k] becomes beta, v is
 * what stands behind it. Returns tau, 0 where there is nothing to reflect.
 */
export function reflector(m: MatrixBuilder, v: Row, k: Int, length: number): Reg {
  const { b } = m;
  const tau = b.copy(m.f64(0));
  const next = m.plus(k, 1);
  const alpha = m.get(v, k);
  const tail = m.dot(v, v, next, length);
  b.if(b.cmp('ne', tail, m.f64(0)), () => {
    const norm = b.un('sqrt', b.fma(alpha, alpha, tail));
    const beta = b.select(b.cmp('ge', alpha, m.f64(0)), b.un('neg', norm), norm);
    const scale = b.sub(alpha, beta);
    b.move(tau, b.bin('div', b.sub(beta, alpha), beta));
    m.map(v, next, length, (x, lanes) => b.bin('div', x, b.splat(scale, lanes)));
    m.set(v, k, beta);
  });
  return tau;
}

/** `w` [cols, rows] (the transpose) becomes R and the vectors; `taus` [min(rows, cols)] their factors. */
export function reflect(m: MatrixBuilder, w: Grid, rows: number, cols: number, taus: Row): void {
  m.for(0, Math.min(rows, cols), k => {
    const v = m.row(w, k);
    const tau = reflector(m, v, k, rows);
    m.set(taus, k, tau);
    m.for(m.plus(k, 1), cols, j => applyReflection(m, m.row(w, j), v, k, tau, rows));
  });
}

/**
 * `q` [k, rows] becomes the transpose of the first k columns of the product of `count` reflections, of which number i
 * starts at element i + `offset` of row i of `w`.
 */
export function formQ(
  m: MatrixBuilder,
  q: Grid,
  k: Int,
  w: Grid,
  rows: number,
  count: number,
  taus: Row,
  offset = 0,
): void {
  m.for(0, k, j => {
    m.fill(m.row(q, j), rows, 0);
    m.set(m.row(q, j), j, m.f64(1));
  });
  m.forDown(0, count, i => {
    const tau = m.get(taus, i);
    const start = m.plus(i, offset);
    m.for(start, k, j => applyReflection(m, m.row(q, j), m.row(w, i), start, tau, rows));
  });
}

/** Q x for each of `k` rows x of `q`, Q the product of `count` reflections in the rows of `w`. */
export function applyQ(m: MatrixBuilder, q: Grid, k: number, w: Grid, rows: number, count: number, taus: Row): void {
  m.forDown(0, count, i => {
    const tau = m.get(taus, i);
    m.for(0, k, j => applyReflection(m, m.row(q, j), m.row(w, i), i, tau, rows));
  });
}
