/**
 * Gaussian elimination with partial pivoting, right-looking: LU factors, permutations, determinants.
 */
import type { Reg } from '../../loops.ts';
import type { Grid, MatrixBuilder, Row } from './rows.ts';

/** Row operations on `work` [rows, cols] in place; `onPivot` hears which row p was swapped with row k. */
export function eliminate(
  m: MatrixBuilder,
  work: Grid,
  rows: number,
  cols: number,
  onPivot: (k: Reg, p: Reg) => void,
): void {
  const { b } = m;
  m.for(0, Math.min(rows, cols), k => {
    const p = b.copy(k);
    const most = b.copy(m.abs(m.load(work, k, k)));
    m.for(m.plus(k, 1), rows, i => {
      const size = m.abs(m.load(work, i, k));
      b.if(b.cmp('gt', size, most), () => {
        b.move(p, i);
        b.move(most, size);
      });
    });
    const pivotRow = m.row(work, k);
    b.if(b.cmp('ne', p, k), () => m.swapRows(pivotRow, m.row(work, p), cols));
    onPivot(k, p);
    const pivot = m.get(pivotRow, k);
    b.if(b.cmp('ne', pivot, m.f64(0)), () =>
      m.for(m.plus(k, 1), rows, i => {
        const row = m.row(work, i);
        const factor = b.bin('div', m.get(row, k), pivot);
        m.set(row, k, factor);
        m.addScaled(row, b.un('neg', factor), pivotRow, m.plus(k, 1), cols);
      }),
    );
  });
}

/** `work` [n, n + k] holds A and B side by side; its last k columns become X with A X = B. */
export function solve(m: MatrixBuilder, work: Grid, n: number, k: number): void {
  const { b } = m;
  const right = (i: Reg): Row => {
    const row = m.row(work, i);
    return { buffer: row.buffer, start: b.add(row.start, b.i32(n)) };
  };
  eliminate(m, work, n, n + k, () => {});
  m.forDown(0, n, i => {
    const row = right(i);
    m.for(m.plus(i, 1), n, j => m.addScaled(row, b.un('neg', m.load(work, i, j)), right(j), 0, k));
    const diagonal = m.load(work, i, i);
    m.map(row, 0, k, (x, lanes) => b.bin('div', x, b.splat(diagonal, lanes)));
  });
}

/** Where each of `count` rows comes from after the swaps row i <-> row swapOf(i), into `order`. */
export function orderAfter(m: MatrixBuilder, order: Row, count: number, swapOf: (i: Reg) => Reg): void {
  const { b } = m;
  m.for(0, count, i => m.set(order, i, b.cvt('f64', i)));
  m.for(0, count, i => {
    const p = swapOf(i);
    const [x, y] = [m.get(order, i), m.get(order, p)];
    m.set(order, i, y);
    m.set(order, p, x);
  });
}
