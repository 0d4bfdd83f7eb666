/**
 * Singular values as LAPACK's gesdd finds those of small matrices: reflections to bidiagonal form (gebrd), then
 * implicit zero-shift QR iterations (bdsqr; Demmel and Kahan 1990), whose rotations turn the rows of the transposed
 * vectors.
 */
import type { Reg } from '../../loops.ts';
import { applyReflection, formQ, reflector } from './householder.ts';
import { EPSILON, givens, MOST_SWEEPS, type Rotation, SAFE_MIN, singularOf2, smallerOf2, turn } from './rotations.ts';
import type { Grid, MatrixBuilder, Row } from './rows.ts';

/** Rows of n elements. */
interface Bidiagonal {
  readonly d: Row;
  readonly e: Row;
  readonly onLeft: Row;
  readonly onRight: Row;
  readonly product: Row;
}

/** The transposes of vectors: rows of `grid`, `length` elements of each in use. */
export interface Vectors {
  readonly grid: Grid;
  readonly length: number;
}

/**
 * `w` [rows, n], rows >= n, to an upper bidiagonal matrix; `left` [n, rows] holds the reflections of columns. `u` and
 * `v` become the vectors.
 */
export function bidiagonalise(
  m: MatrixBuilder,
  w: Grid,
  left: Grid,
  rows: number,
  n: number,
  { d, e, onLeft, onRight, product }: Bidiagonal,
  u: Grid,
  v: Grid,
): void {
  const { b } = m;
  m.for(0, n, i => {
    const next = m.plus(i, 1);
    const column = m.row(left, i);
    m.for(i, rows, r => m.set(column, r, m.load(w, r, i)));
    const tau = reflector(m, column, i, rows);
    m.set(onLeft, i, tau);
    m.set(d, i, m.get(column, i));
    m.set(column, i, m.f64(1));
    m.fill(product, n, 0);
    m.for(i, rows, r => m.addScaled(product, b.mul(tau, m.get(column, r)), m.row(w, r), next, n));
    m.for(i, rows, r => m.addScaled(m.row(w, r), b.un('neg', m.get(column, r)), product, next, n));
    m.set(column, i, m.get(d, i));
    b.if(b.cmp('lt', i, b.i32(n - 1)), () => {
      const row = m.row(w, i);
      const factor = reflector(m, row, next, n);
      m.set(onRight, i, factor);
      m.set(e, i, m.get(row, next));
      m.for(next, rows, r => applyReflection(m, m.row(w, r), row, next, factor, n));
    });
  });
  formQ(m, u, n, left, rows, n, onLeft);
  formQ(m, v, n, w, n, Math.max(n - 1, 0), onRight, 1);
}

/** A lower bidiagonal matrix becomes an upper one; `u` turns. */
export function lowerToUpper(m: MatrixBuilder, n: number, d: Row, e: Row, u: Vectors): void {
  const { b } = m;
  m.for(0, n - 1, i => {
    const next = m.plus(i, 1);
    const { c, s, r } = givens(m, m.get(d, i), m.get(e, i));
    const below = m.get(d, next);
    m.set(d, i, r);
    m.set(e, i, b.mul(s, below));
    m.set(d, next, b.mul(c, below));
    turn(m, m.row(u.grid, i), m.row(u.grid, next), c, s, u.length);
  });
}

const TOLERANCE = Math.max(10, Math.min(100, EPSILON ** -0.125)) * EPSILON;

/**
 * The upper bidiagonal matrix of `d` and `e` becomes diagonal; `d` ends as singular values in no order, some of them
 * negative.
 */
export function diagonaliseBidiagonal(m: MatrixBuilder, n: number, d: Row, e: Row, u: Vectors, v: Vectors): void {
  const { b } = m;
  const threshold = thresholdOf(m, n, d, e);
  const sweeps = b.copy(b.i32(MOST_SWEEPS * n));
  const [oldLow, oldHigh, step] = [b.copy(b.i32(-1)), b.copy(b.i32(-1)), b.copy(b.i32(1))];
  const high = b.copy(b.i32(n - 1));
  b.while(
    () => b.bin('and', b.cmp('gt', high, b.i32(0)), b.cmp('gt', sweeps, b.i32(0))),
    () => {
      // The block low .. high that does not fall apart.
      const low = b.copy(high);
      const most = b.copy(m.abs(m.get(d, high)));
      const going = b.copy(b.i32(1));
      b.while(
        () => b.bin('and', b.cmp('gt', low, b.i32(0)), b.cmp('eq', going, b.i32(1))),
        () => {
          const beside = m.abs(m.get(e, m.plus(low, -1)));
          b.if(
            b.cmp('gt', beside, threshold),
            () => {
              b.move(low, b.sub(low, b.i32(1)));
              b.move(most, b.bin('max', most, b.bin('max', m.abs(m.get(d, low)), beside)));
            },
            () => {
              m.set(e, m.plus(low, -1), m.f64(0));
              b.move(going, b.i32(0));
            },
          );
        },
      );
      b.if(
        b.cmp('eq', low, high),
        () => b.move(high, b.sub(high, b.i32(1))),
        () =>
          b.if(
            b.cmp('eq', low, m.plus(high, -1) as Reg),
            () => {
              const two = singularOf2(m, m.get(d, low), m.get(e, low), m.get(d, high));
              m.set(d, low, two.larger);
              m.set(e, low, m.f64(0));
              m.set(d, high, two.smaller);
              turn(m, m.row(v.grid, low), m.row(v.grid, high), two.cosR, two.sinR, v.length);
              turn(m, m.row(u.grid, low), m.row(u.grid, high), two.cosL, two.sinL, u.length);
              b.move(high, b.sub(high, b.i32(2)));
            },
            () => {
              // Bulges are chased from the larger end to the smaller.
              b.if(b.bin('or', b.cmp('gt', low, oldHigh), b.cmp('lt', high, oldLow)), () => {
                const down = b.cmp('ge', m.abs(m.get(d, low)), m.abs(m.get(d, high)));
                b.move(step, b.select(down, b.i32(1), b.i32(-1)));
              });
              chase(m, n, d, e, u, v, { low, high, step, most, threshold }, () => {
                b.move(oldLow, low);
                b.move(oldHigh, high);
                b.move(sweeps, b.sub(sweeps, b.i32(1)));
              });
            },
          ),
      );
    },
  );
}

/** Below which an element beside the diagonal counts as 0. */
function thresholdOf(m: MatrixBuilder, n: number, d: Row, e: Row): Reg {
  const { b } = m;
  const floor = m.f64(6 * n * n * SAFE_MIN);
  if (n === 0) return floor;
  const mu = b.copy(m.abs(m.get(d, 0)));
  const least = b.copy(mu);
  m.for(1, n, i => {
    const ratio = b.bin('div', mu, b.add(mu, m.abs(m.get(e, m.plus(i, -1)))));
    b.move(mu, b.select(b.cmp('gt', mu, m.f64(0)), b.mul(m.abs(m.get(d, i)), ratio), m.f64(0)));
    b.move(least, b.bin('min', least, mu));
  });
  return b.bin('max', b.mul(m.f64(TOLERANCE / Math.sqrt(n)), least), floor);
}

interface Block {
  readonly low: Reg;
  readonly high: Reg;
  readonly step: Reg;
  /** The largest element. */
  readonly most: Reg;
  readonly threshold: Reg;
}

/** One sweep over a block of at least three, or an element beside the diagonal that counts as 0. */
function chase(
  m: MatrixBuilder,
  n: number,
  d: Row,
  e: Row,
  u: Vectors,
  v: Vectors,
  { low, high, step, most, threshold }: Block,
  swept: () => void,
): void {
  const { b } = m;
  const down = b.cmp('gt', step, b.i32(0));
  const [from, to] = [b.select(down, low, high), b.select(down, high, low)];
  const backwards = b.select(down, b.i32(0), b.i32(-1));
  const off = (i: Reg): Reg => b.add(i, backwards);
  const last = off(b.sub(to, step));
  const way: Way = { d, e, u, v, from, to, step, last, off };
  const { whole, smallest } = leastAlong(m, way);
  b.if(b.cmp('eq', whole, b.i32(1)), () => {
    swept();
    const start = m.abs(m.get(d, from));
    const shift = shiftOf(m, n, way, start, b.bin('div', smallest, most));
    const i = b.copy(from);
    b.if(
      b.cmp('eq', shift, m.f64(0)),
      () => sweepUnshifted(m, way, i),
      () => sweepShifted(m, way, i, start, shift),
    );
    const rest = m.get(e, last);
    m.set(e, last, b.select(b.cmp('gt', m.abs(rest), threshold), rest, m.f64(0)));
  });
}

/** The way of a bulge through a block. */
interface Way {
  readonly d: Row;
  readonly e: Row;
  readonly u: Vectors;
  readonly v: Vectors;
  readonly from: Reg;
  readonly to: Reg;
  /** 1 or -1. */
  readonly step: Reg;
  /** Where `e` holds what stands between i and i + step, and that at the end of the way. */
  off(i: Reg): Reg;
  readonly last: Reg;
}

/**
 * A lower bound of a block's singular values, and whether (1 or 0) it is whole: else it fell apart, at an element that
 * became 0.
 */
function leastAlong(
  m: MatrixBuilder,
  { d, e, from, to, step, last, off }: Way,
): { readonly whole: Reg; readonly smallest: Reg } {
  const { b } = m;
  const tolerance = m.f64(TOLERANCE);
  const whole = b.copy(b.i32(1));
  b.if(
    b.cmp('gt', m.abs(m.get(e, last)), b.mul(tolerance, m.abs(m.get(d, to)))),
    () => {},
    () => {
      m.set(e, last, m.f64(0));
      b.move(whole, b.i32(0));
    },
  );
  const mu = b.copy(m.abs(m.get(d, from)));
  const smallest = b.copy(mu);
  const at = b.copy(from);
  b.while(
    () => b.bin('and', b.cmp('ne', at, to), b.cmp('eq', whole, b.i32(1))),
    () => {
      const beside = m.abs(m.get(e, off(at)));
      b.if(
        b.cmp('gt', beside, b.mul(tolerance, mu)),
        () => {
          const next = m.abs(m.get(d, b.add(at, step)));
          b.move(mu, b.mul(next, b.bin('div', mu, b.add(mu, beside))));
          b.move(smallest, b.bin('min', smallest, mu));
          b.move(at, b.add(at, step));
        },
        () => {
          m.set(e, off(at), m.f64(0));
          b.move(whole, b.i32(0));
        },
      );
    },
  );
  return { whole, smallest };
}

/**
 * The shift of a sweep over a block whose smallest singular value is `ratio` of its largest element; 0 where a shift
 * would cost accuracy.
 */
function shiftOf(m: MatrixBuilder, n: number, { d, e, to, step, last }: Way, start: Reg, ratio: Reg): Reg {
  const { b } = m;
  const shift = b.copy(smallerOf2(m, m.get(d, to), m.get(e, last), m.get(d, b.sub(to, step))));
  const flat = b.cmp('le', b.mul(m.f64(n * TOLERANCE), ratio), m.f64(Math.max(EPSILON, 0.01 * TOLERANCE)));
  const part = b.bin('div', shift, start);
  const small = b.bin('and', b.cmp('gt', start, m.f64(0)), b.cmp('lt', b.mul(part, part), m.f64(EPSILON)));
  b.move(shift, b.select(b.bin('or', flat, small), m.f64(0), shift));
  return shift;
}

function sweepUnshifted(m: MatrixBuilder, way: Way, i: Reg): void {
  const { b } = m;
  const { d, e, from, to, step, last, off } = way;
  const [c, oldC, oldS] = [b.copy(m.f64(1)), b.copy(m.f64(1)), b.copy(m.f64(0))];
  b.while(
    () => b.cmp('ne', i, to),
    () => {
      const next = b.add(i, step);
      const outer = givens(m, b.mul(m.get(d, i), c), m.get(e, off(i)));
      b.if(b.cmp('ne', i, from), () => m.set(e, off(b.sub(i, step)), b.mul(oldS, outer.r)));
      const inner = givens(m, b.mul(oldC, outer.r), b.mul(m.get(d, next), outer.s));
      b.move(c, outer.c);
      b.move(oldC, inner.c);
      b.move(oldS, inner.s);
      m.set(d, i, inner.r);
      turnSides(m, way, i, next, outer, inner);
      b.move(i, next);
    },
  );
  const h = b.mul(m.get(d, to), c);
  m.set(d, to, b.mul(h, oldC));
  m.set(e, last, b.mul(h, oldS));
}

function sweepShifted(m: MatrixBuilder, way: Way, i: Reg, start: Reg, shift: Reg): void {
  const { b } = m;
  const { d, e, from, to, step, last, off } = way;
  const head = m.get(d, from);
  const ratio = b.add(b.bin('copysign', m.f64(1), head), b.bin('div', shift, head));
  const f = b.copy(b.mul(b.sub(start, shift), ratio));
  const g = b.copy(m.get(e, off(from)));
  b.while(
    () => b.cmp('ne', i, to),
    () => {
      const next = b.add(i, step);
      const outer = givens(m, f, g);
      b.if(b.cmp('ne', i, from), () => m.set(e, off(b.sub(i, step)), outer.r));
      const [di, ei, dn] = [m.get(d, i), m.get(e, off(i)), m.get(d, next)];
      const along = b.fma(outer.c, di, b.mul(outer.s, ei));
      const above = b.sub(b.mul(outer.c, ei), b.mul(outer.s, di));
      const inner = givens(m, along, b.mul(outer.s, dn));
      const kept = b.mul(outer.c, dn);
      m.set(d, i, inner.r);
      b.move(f, b.fma(inner.c, above, b.mul(inner.s, kept)));
      m.set(d, next, b.sub(b.mul(inner.c, kept), b.mul(inner.s, above)));
      b.if(b.cmp('ne', next, to), () => {
        const further = m.get(e, off(next));
        b.move(g, b.mul(inner.s, further));
        m.set(e, off(next), b.mul(inner.c, further));
      });
      turnSides(m, way, i, next, outer, inner);
      b.move(i, next);
    },
  );
  m.set(e, last, f);
}

/**
 * Turns rows i and next of the vectors on the side that is rotated first (right when going down), and of the others.
 */
function turnSides(m: MatrixBuilder, { u, v, step }: Way, i: Reg, next: Reg, outer: Rotation, inner: Rotation): void {
  turnOf(m, m.b.cmp('gt', step, m.b.i32(0)), v, u, i, next, outer.c, outer.s);
  turnOf(m, m.b.cmp('gt', step, m.b.i32(0)), u, v, i, next, inner.c, inner.s);
}

/** Turns rows i and next of one of two sets of vectors. */
function turnOf(m: MatrixBuilder, first: Reg, one: Vectors, other: Vectors, i: Reg, next: Reg, c: Reg, s: Reg): void {
  const rotate =
    ({ grid, length }: Vectors) =>
    () =>
      turn(m, m.row(grid, i), m.row(grid, next), c, s, length);
  m.b.if(first, rotate(one), rotate(other));
}
