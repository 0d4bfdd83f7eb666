/**
 * Plane rotations on pairs of rows, and the small eigenvalue and singular value problems of LAPACK (lartg, laev2, las2,
 * lasv2) that decide their angles.
 */
import type { Reg } from '../../loops.ts';
import type { MatrixBuilder, Row } from './rows.ts';

/** Half a unit in the last place of 1. */
export const EPSILON = 2 ** -53;
export const SAFE_MIN = 2 ** -1022;
/** Sweeps for each value before it is left as it is (there are NaN or infinities then). */
export const MOST_SWEEPS = 30;

export interface Rotation {
  readonly c: Reg;
  readonly s: Reg;
  readonly r: Reg;
}

/** (x, y) becomes (c x + s y, c y - s x). */
export function turn(m: MatrixBuilder, x: Row, y: Row, c: Reg, s: Reg, count: number): void {
  m.rotate(x, y, c, m.b.un('neg', s), count);
}

/** c f + s g = r, c g - s f = 0 (lartg of LAPACK 3.10). */
export function givens(m: MatrixBuilder, f: Reg, g: Reg): Rotation {
  const { b } = m;
  const [c, s, r] = [b.copy(m.f64(1)), b.copy(m.f64(0)), b.copy(f)];
  b.if(b.cmp('ne', g, m.f64(0)), () => {
    b.if(
      b.cmp('eq', f, m.f64(0)),
      () => {
        b.move(c, m.f64(0));
        b.move(s, b.bin('copysign', m.f64(1), g));
        b.move(r, m.abs(g));
      },
      () => {
        const d = b.un('sqrt', b.fma(f, f, b.mul(g, g)));
        b.move(c, b.bin('div', m.abs(f), d));
        b.move(r, b.bin('copysign', d, f));
        b.move(s, b.bin('div', g, r));
      },
    );
  });
  return { c, s, r };
}

/** sqrt(x² + y²) of numbers whose squares neither overflow nor vanish. */
export const hypotenuse = (m: MatrixBuilder, x: Reg, y: Reg): Reg => m.b.un('sqrt', m.b.fma(x, x, m.b.mul(y, y)));

/** Eigenvalues of [[a, b], [b, c]], the larger by size first, and its unit vector. */
export function eigenvaluesOf2(m: MatrixBuilder, a: Reg, off: Reg, c: Reg) {
  const { b } = m;
  const zero = m.f64(0);
  const half = m.f64(0.5);
  const [sum, difference, twice] = [b.add(a, c), b.sub(a, c), b.add(off, off)];
  const root = hypotenuse(m, difference, twice);
  const first = b.cmp('gt', m.abs(a), m.abs(c));
  const [most, least] = [b.select(first, a, c), b.select(first, c, a)];
  const negative = b.cmp('lt', sum, zero);
  const larger = b.mul(half, b.select(negative, b.sub(sum, root), b.add(sum, root)));
  const product = b.sub(b.mul(b.bin('div', most, larger), least), b.mul(b.bin('div', off, larger), off));
  const other = b.select(b.cmp('eq', sum, zero), b.un('neg', b.mul(half, root)), product);
  const downwards = b.cmp('lt', difference, zero);
  const cs = b.select(downwards, b.sub(difference, root), b.add(difference, root));
  const [cos, sin] = [b.copy(m.f64(1)), b.copy(zero)];
  b.if(
    b.cmp('gt', m.abs(cs), m.abs(twice)),
    () => {
      const cotangent = b.un('neg', b.bin('div', twice, cs));
      b.move(sin, b.bin('div', m.f64(1), hypotenuse(m, cotangent, m.f64(1))));
      b.move(cos, b.mul(cotangent, sin));
    },
    () =>
      b.if(b.cmp('ne', twice, zero), () => {
        const tangent = b.un('neg', b.bin('div', cs, twice));
        b.move(cos, b.bin('div', m.f64(1), hypotenuse(m, tangent, m.f64(1))));
        b.move(sin, b.mul(tangent, cos));
      }),
  );
  const same = b.cmp('eq', b.select(negative, b.i32(1), b.i32(0)), b.select(downwards, b.i32(1), b.i32(0)));
  return { larger, other, c: b.select(same, b.un('neg', sin), cos), s: b.select(same, cos, sin) };
}

/** The smaller singular value of [[f, g], [0, h]]. */
export function smallerOf2(m: MatrixBuilder, f: Reg, g: Reg, h: Reg): Reg {
  const { b } = m;
  const one = m.f64(1);
  const [fa, ga, ha] = [m.abs(f), m.abs(g), m.abs(h)];
  const [least, most] = [b.bin('min', fa, ha), b.bin('max', fa, ha)];
  const found = b.copy(m.f64(0));
  b.if(b.cmp('ne', least, m.f64(0)), () => {
    const as = b.add(one, b.bin('div', least, most));
    const at = b.bin('div', b.sub(most, least), most);
    b.if(
      b.cmp('lt', ga, most),
      () => {
        const ratio = b.bin('div', ga, most);
        const [p, q] = [hypotenuse(m, as, ratio), hypotenuse(m, at, ratio)];
        b.move(found, b.mul(least, b.bin('div', m.f64(2), b.add(p, q))));
      },
      () => {
        const au = b.bin('div', most, ga);
        const [p, q] = [hypotenuse(m, one, b.mul(as, au)), hypotenuse(m, one, b.mul(at, au))];
        const value = b.mul(b.mul(m.f64(2), b.bin('div', least, b.add(p, q))), au);
        b.move(found, b.select(b.cmp('eq', au, m.f64(0)), b.bin('div', b.mul(least, most), ga), value));
      },
    );
  });
  return found;
}

/** The singular value decomposition of [[f, g], [0, h]]. */
export function singularOf2(m: MatrixBuilder, f: Reg, g: Reg, h: Reg) {
  const { b } = m;
  const [zero, one] = [m.f64(0), m.f64(1)];
  const unit = (of: Reg): Reg => b.bin('copysign', one, of);
  const swapped = b.cmp('gt', m.abs(h), m.abs(f));
  const [ft, ht] = [b.select(swapped, h, f), b.select(swapped, f, h)];
  const [fa, ga, ha] = [m.abs(ft), m.abs(g), m.abs(ht)];
  const [smaller, larger] = [b.copy(ha), b.copy(fa)];
  const [cl, cr, sl, sr] = [b.copy(one), b.copy(one), b.copy(zero), b.copy(zero)];
  const above = b.cmp('gt', ga, fa);
  const huge = b.bin('and', above, b.cmp('lt', b.bin('div', fa, ga), m.f64(EPSILON)));
  b.if(
    huge,
    () => {
      b.move(larger, ga);
      const small = b.bin('div', fa, b.bin('div', ga, ha));
      b.move(smaller, b.select(b.cmp('gt', ha, one), small, b.mul(b.bin('div', fa, ga), ha)));
      b.move(sl, b.bin('div', ht, g));
      b.move(sr, one);
      b.move(cr, b.bin('div', ft, g));
    },
    () =>
      b.if(b.cmp('ne', ga, zero), () => {
        const d = b.sub(fa, ha);
        const l = b.select(b.cmp('eq', d, fa), one, b.bin('div', d, fa));
        const ratio = b.bin('div', g, ft);
        const square = b.mul(ratio, ratio);
        const t = b.sub(m.f64(2), l);
        const s = hypotenuse(m, t, ratio);
        const r = hypotenuse(m, l, ratio);
        const a = b.mul(m.f64(0.5), b.add(s, r));
        b.move(smaller, b.bin('div', ha, a));
        b.move(larger, b.mul(fa, a));
        const steep = b.mul(b.bin('copysign', m.f64(2), ft), unit(g));
        const flat = b.add(b.bin('div', g, b.bin('copysign', d, ft)), b.bin('div', ratio, t));
        const usual = b.mul(b.add(b.bin('div', ratio, b.add(s, t)), b.bin('div', ratio, b.add(r, l))), b.add(one, a));
        const tiny = b.select(b.cmp('eq', l, zero), steep, flat);
        const tangent = b.select(b.cmp('eq', square, zero), tiny, usual);
        const root = hypotenuse(m, tangent, m.f64(2));
        b.move(cr, b.bin('div', m.f64(2), root));
        b.move(sr, b.bin('div', tangent, root));
        b.move(cl, b.bin('div', b.fma(sr, ratio, cr), a));
        b.move(sl, b.bin('div', b.mul(b.bin('div', ht, ft), sr), a));
      }),
  );
  const [cosL, sinL] = [b.select(swapped, sr, cl), b.select(swapped, cr, sl)];
  const [cosR, sinR] = [b.select(swapped, sl, cr), b.select(swapped, cl, sr)];
  const byAbove = b.mul(b.mul(unit(sinR), unit(cosL)), unit(g));
  const bySwapped = b.mul(b.mul(unit(sinR), unit(sinL)), unit(h));
  const byFirst = b.mul(b.mul(unit(cosR), unit(cosL)), unit(f));
  const sign = b.select(above, byAbove, b.select(swapped, bySwapped, byFirst));
  return {
    larger: b.bin('copysign', larger, sign),
    smaller: b.bin('copysign', smaller, b.mul(b.mul(sign, unit(f)), unit(h))),
    cosL,
    sinL,
    cosR,
    sinR,
  };
}
