/**
 * Symmetric indefinite systems: L D Lᵀ by Bunch and Kaufman's pivoting (1977), with 1 x 1 and 2 x 2 blocks in D, as
 * LAPACK's sytf2 and sytrs.
 */
import type { Reg } from '../../loops.ts';
import type { Grid, Int, MatrixBuilder, Row } from './rows.ts';

const ALPHA = (1 + Math.sqrt(17)) / 8;

/** Swaps two elements of a grid in f64. */
function swapElements(m: MatrixBuilder, w: Grid, first: readonly [Int, Int], second: readonly [Int, Int]): void {
  const [x, y] = [m.load(w, ...first), m.load(w, ...second)];
  m.store(w, ...first, y);
  m.store(w, ...second, x);
}

/** The lower triangle of `w` [n, n] in place; pivots as in LAPACK, counted from 1 and negative for blocks of two. */
export function ldl(m: MatrixBuilder, w: Grid, n: number, pivots: Row): void {
  const { b } = m;
  const at = (i: Reg, j: Reg): Reg => {
    const lower = b.cmp('ge', i, j);
    return m.load(w, b.select(lower, i, j), b.select(lower, j, i));
  };
  const one = b.i32(1);
  const k = b.copy(b.i32(0));
  b.while(
    () => b.cmp('lt', k, b.i32(n)),
    () => {
      const diagonal = m.abs(m.load(w, k, k));
      const row = b.copy(k);
      const most = b.copy(m.f64(0));
      m.for(b.add(k, one), n, i => {
        const size = m.abs(m.load(w, i, k));
        b.if(b.cmp('gt', size, most), () => {
          b.move(most, size);
          b.move(row, i);
        });
      });
      const p = b.copy(k);
      const step = b.copy(one);
      const limit = b.mul(m.f64(ALPHA), most);
      b.if(b.cmp('lt', diagonal, limit), () => {
        const other = b.copy(m.f64(0));
        m.for(k, n, j => {
          b.if(b.cmp('ne', j, row), () => b.move(other, b.bin('max', other, m.abs(at(row, j)))));
        });
        b.if(b.cmp('lt', diagonal, b.mul(limit, b.bin('div', most, other))), () => {
          b.move(p, row);
          const own = m.abs(m.load(w, row, row));
          b.if(b.cmp('lt', own, b.mul(m.f64(ALPHA), other)), () => b.move(step, b.i32(2)));
        });
      });
      const kk = b.sub(b.add(k, step), one);
      const isPair = b.cmp('gt', step, one);
      b.if(b.cmp('ne', p, kk), () => {
        m.for(b.add(p, one), n, i => swapElements(m, w, [i, kk], [i, p]));
        m.for(b.add(kk, one), p, j => swapElements(m, w, [j, kk], [p, j]));
        swapElements(m, w, [kk, kk], [p, p]);
        b.if(isPair, () => swapElements(m, w, [b.add(k, one), k], [p, k]));
      });
      const place = b.cvt('f64', b.add(p, one));
      b.if(
        isPair,
        () => eliminatePair(m, w, n, k, pivots, b.un('neg', place)),
        () => {
          m.set(pivots, k, place);
          const d = m.load(w, k, k);
          b.if(b.cmp('ne', d, m.f64(0)), () => {
            m.for(b.add(k, one), n, j =>
              m.for(j, n, i => {
                const product = b.bin('div', b.mul(m.load(w, i, k), m.load(w, j, k)), d);
                m.store(w, i, j, b.sub(m.load(w, i, j), product));
              }),
            );
            m.for(b.add(k, one), n, i => m.store(w, i, k, b.bin('div', m.load(w, i, k), d)));
          });
        },
      );
      b.move(k, b.add(k, step));
    },
  );
}

function eliminatePair(m: MatrixBuilder, w: Grid, n: number, k: Reg, pivots: Row, pivot: Reg): void {
  const { b } = m;
  const next = b.add(k, b.i32(1));
  m.set(pivots, k, pivot);
  m.set(pivots, next, pivot);
  const d21 = m.load(w, next, k);
  const d11 = b.bin('div', m.load(w, next, next), d21);
  const d22 = b.bin('div', m.load(w, k, k), d21);
  const factor = b.bin('div', b.bin('div', m.f64(1), b.sub(b.mul(d11, d22), m.f64(1))), d21);
  m.for(b.add(k, b.i32(2)), n, j => {
    const [x, y] = [m.load(w, j, k), m.load(w, j, next)];
    const first = b.mul(factor, b.sub(b.mul(d11, x), y));
    const second = b.mul(factor, b.sub(b.mul(d22, y), x));
    m.for(j, n, i => {
      const less = b.add(b.mul(m.load(w, i, k), first), b.mul(m.load(w, i, next), second));
      m.store(w, i, j, b.sub(m.load(w, i, j), less));
    });
    m.store(w, j, k, first);
    m.store(w, j, next, second);
  });
}

/** x [n, k] (f64, holds B before) with A x = B, A as `ldl` packed it in [n, n + 1]. */
export function ldlSolve(m: MatrixBuilder, packed: Grid, n: number, x: Grid, k: number): void {
  const { b } = m;
  const one = b.i32(1);
  const at = b.copy(b.i32(0));
  /**
   * How many rows the block with row i has, and which row its last one was swapped with. Pivots come from outside:
   * whatever they are, no row is met that is not there.
   */
  const block = (i: Reg, alone: Reg): { readonly step: Reg; readonly p: Reg } => {
    const pivot = m.load(packed, i, n);
    const single = b.bin('or', alone, b.cmp('gt', pivot, m.f64(0)));
    const p = b.sub(b.cvt('i32', m.abs(pivot)), one);
    const inside = b.bin('and', b.cmp('ge', p, b.i32(0)), b.cmp('lt', p, b.i32(n)));
    return { step: b.select(single, one, b.i32(2)), p: b.select(inside, p, i) };
  };
  const swapLast = (i: Reg, step: Reg, p: Reg): void =>
    m.swapRows(m.row(x, b.sub(b.add(i, step), one)), m.row(x, p), k);
  b.while(
    () => b.cmp('lt', at, b.i32(n)),
    () => {
      const { step, p } = block(at, b.cmp('eq', at, b.i32(n - 1)));
      const end = b.add(at, step);
      swapLast(at, step, p);
      m.for(at, end, c =>
        m.for(end, n, i => m.addScaled(m.row(x, i), b.un('neg', m.load(packed, i, c)), m.row(x, c), 0, k)),
      );
      const first = m.row(x, at);
      const d11 = m.load(packed, at, at);
      b.if(
        b.cmp('eq', step, one),
        () => m.map(first, 0, k, (value, lanes) => b.bin('div', value, b.splat(d11, lanes))),
        () => {
          const next = b.add(at, one);
          const second = m.row(x, next);
          const [d21, d22] = [m.load(packed, next, at), m.load(packed, next, next)];
          const determinant = b.sub(b.mul(d11, d22), b.mul(d21, d21));
          m.for(0, k, c => {
            const [y1, y2] = [m.get(first, c), m.get(second, c)];
            m.set(first, c, b.bin('div', b.sub(b.mul(d22, y1), b.mul(d21, y2)), determinant));
            m.set(second, c, b.bin('div', b.sub(b.mul(d11, y2), b.mul(d21, y1)), determinant));
          });
        },
      );
      b.move(at, end);
    },
  );
  // Back through the blocks: a pivot that is negative belongs to the second row of a pair.
  b.while(
    () => b.cmp('gt', at, b.i32(0)),
    () => {
      const { step, p } = block(b.sub(at, one), b.cmp('eq', at, one));
      const start = b.sub(at, step);
      m.for(start, at, c =>
        m.for(at, n, i => m.addScaled(m.row(x, c), b.un('neg', m.load(packed, i, c)), m.row(x, i), 0, k)),
      );
      swapLast(start, step, p);
      b.move(at, start);
    },
  );
}
