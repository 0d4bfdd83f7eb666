/**
 * Eigenvalues of symmetric matrices as LAPACK's syevd finds those of small ones: reflections to tridiagonal form
 * (sytrd), then implicit QL or QR iterations (steqr), whose rotations turn the rows of the transposed eigenvectors.
 */
import type { Reg } from '../../loops.ts';
import { formQ, reflector } from './householder.ts';
import { EPSILON, eigenvaluesOf2, givens, hypotenuse, MOST_SWEEPS, SAFE_MIN, turn } from './rotations.ts';
import type { Grid, MatrixBuilder, Row } from './rows.ts';

/** Diagonal, what stands beside it, and three more rows to work in, of n elements each. */
interface Tridiagonal {
  readonly d: Row;
  readonly e: Row;
  readonly taus: Row;
  readonly x: Row;
}

/**
 * `w` [n, n], symmetric, to d and e with the rows of `z` [n, n] as the transpose of what takes it there. Row i of w
 * holds the reflection from element i + 1 on.
 */
export function tridiagonalise(m: MatrixBuilder, w: Grid, z: Grid, n: number, { d, e, taus, x }: Tridiagonal): void {
  const { b } = m;
  m.fill(e, n, 0);
  m.for(0, n - 1, i => {
    const v = m.row(w, i);
    const next = m.plus(i, 1);
    m.set(d, i, m.get(v, i));
    const tau = reflector(m, v, next, n);
    m.set(taus, i, tau);
    const beside = m.get(v, next);
    m.set(e, i, beside);
    b.if(b.cmp('ne', tau, m.f64(0)), () => {
      m.set(v, next, m.f64(1));
      m.for(next, n, r => m.set(x, r, b.mul(tau, m.dot(m.row(w, r), v, next, n))));
      m.addScaled(x, b.mul(b.mul(m.f64(-0.5), tau), m.dot(x, v, next, n)), v, next, n);
      m.for(next, n, r =>
        m.addScaledTwo(m.row(w, r), b.un('neg', m.get(v, r)), x, b.un('neg', m.get(x, r)), v, next, n),
      );
      m.set(v, next, beside);
    });
  });
  if (n > 0) m.set(d, n - 1, m.load(w, n - 1, n - 1));
  formQ(m, z, n, w, n, Math.max(n - 1, 0), taus, 1);
}

/** d ends as eigenvalues, in no order, the rows of `z` as their vectors. */
export function diagonalise(m: MatrixBuilder, z: Grid, n: number, { d, e }: Tridiagonal): void {
  const { b } = m;
  const start = b.copy(b.i32(0));
  b.while(
    () => b.cmp('lt', start, b.i32(n)),
    () => {
      const end = b.copy(start);
      const going = b.copy(b.i32(1));
      b.while(
        () => b.bin('and', b.cmp('lt', end, b.i32(n - 1)), b.cmp('eq', going, b.i32(1))),
        () => {
          const near = b.mul(root(m, m.get(d, end)), root(m, m.get(d, m.plus(end, 1))));
          b.if(
            b.cmp('gt', m.abs(m.get(e, end)), b.mul(near, m.f64(EPSILON))),
            () => b.move(end, b.add(end, b.i32(1))),
            () => b.move(going, b.i32(0)),
          );
        },
      );
      m.set(e, end, m.f64(0));
      // From the smaller end to the larger.
      const back = b.cmp('lt', m.abs(m.get(d, end)), m.abs(m.get(d, start)));
      iterate(m, z, n, d, e, {
        first: b.select(back, end, start),
        last: b.select(back, start, end),
        step: b.select(back, b.i32(-1), b.i32(1)),
      });
      b.move(start, b.add(end, b.i32(1)));
    },
  );
}

const root = (m: MatrixBuilder, x: Reg): Reg => m.b.un('sqrt', m.abs(x));

interface Block {
  readonly first: Reg;
  readonly last: Reg;
  /** 1 for QL, -1 for QR. */
  readonly step: Reg;
}

function iterate(m: MatrixBuilder, z: Grid, n: number, d: Row, e: Row, { first, last, step }: Block): void {
  const { b } = m;
  const backwards = b.select(b.cmp('lt', step, b.i32(0)), b.i32(-1), b.i32(0));
  /** What stands between i and i + step. */
  const off = (i: Reg): Reg => b.add(i, backwards);
  const beyond = b.add(last, step);
  const l = b.copy(first);
  const sweeps = b.copy(b.i32(MOST_SWEEPS * n));
  b.while(
    () => b.bin('and', b.cmp('ne', l, beyond), b.cmp('gt', sweeps, b.i32(0))),
    () => {
      b.move(sweeps, b.sub(sweeps, b.i32(1)));
      const end = b.copy(l);
      const going = b.copy(b.i32(1));
      b.while(
        () => b.bin('and', b.cmp('ne', end, last), b.cmp('eq', going, b.i32(1))),
        () => {
          const beside = m.get(e, off(end));
          const near = b.mul(b.mul(m.f64(EPSILON ** 2), m.abs(m.get(d, end))), m.abs(m.get(d, b.add(end, step))));
          b.if(
            b.cmp('gt', b.mul(beside, beside), b.add(near, m.f64(SAFE_MIN))),
            () => b.move(end, b.add(end, step)),
            () => b.move(going, b.i32(0)),
          );
        },
      );
      b.if(b.cmp('ne', end, last), () => m.set(e, off(end), m.f64(0)));
      b.if(
        b.cmp('eq', end, l),
        () => b.move(l, b.add(l, step)),
        () =>
          b.if(
            b.cmp('eq', end, b.add(l, step)),
            () => {
              const low = b.bin('min', l, end);
              const high = b.add(low, b.i32(1));
              const two = eigenvaluesOf2(m, m.get(d, low), m.get(e, low), m.get(d, high));
              turn(m, m.row(z, low), m.row(z, high), two.c, two.s, n);
              m.set(d, low, two.larger);
              m.set(d, high, two.other);
              m.set(e, low, m.f64(0));
              b.move(l, b.add(b.add(l, step), step));
            },
            () => sweep(m, z, n, d, e, l, end, step, off),
          ),
      );
    },
  );
}

/** One implicitly shifted sweep from `end` to `l`. */
function sweep(
  m: MatrixBuilder,
  z: Grid,
  n: number,
  d: Row,
  e: Row,
  l: Reg,
  end: Reg,
  step: Reg,
  off: (i: Reg) => Reg,
): void {
  const { b } = m;
  const dl = m.get(d, l);
  const el = m.get(e, off(l));
  const ratio = b.bin('div', b.sub(m.get(d, b.add(l, step)), dl), b.add(el, el));
  const shift = b.add(ratio, b.bin('copysign', hypotenuse(m, ratio, m.f64(1)), ratio));
  const g = b.copy(b.add(b.sub(m.get(d, end), dl), b.bin('div', el, shift)));
  const [c, s, p] = [b.copy(m.f64(1)), b.copy(m.f64(1)), b.copy(m.f64(0))];
  const i = b.copy(b.sub(end, step));
  const beyond = b.sub(l, step);
  const first = b.copy(i);
  b.while(
    () => b.cmp('ne', i, beyond),
    () => {
      const next = b.add(i, step);
      const beside = m.get(e, off(i));
      const [f, along] = [b.mul(s, beside), b.mul(c, beside)];
      const turned = givens(m, g, f);
      b.if(b.cmp('ne', i, first), () => m.set(e, off(next), turned.r));
      b.move(c, turned.c);
      b.move(s, turned.s);
      const rest = b.sub(m.get(d, next), p);
      const r = b.add(b.mul(b.sub(m.get(d, i), rest), s), b.mul(b.add(c, c), along));
      b.move(p, b.mul(s, r));
      m.set(d, next, b.add(rest, p));
      b.move(g, b.sub(b.mul(c, r), along));
      turn(m, m.row(z, i), m.row(z, next), c, b.un('neg', s), n);
      b.move(i, b.sub(i, step));
    },
  );
  m.set(d, l, b.sub(m.get(d, l), p));
  m.set(e, off(l), g);
}
