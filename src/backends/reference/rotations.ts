/**
 * Plane rotations on pairs of rows, and the small eigenvalue and singular value problems of LAPACK (lartg, laev2, las2,
 * lasv2) that decide their angles.
 */
import type { Matrix } from './rows.ts';

export const EPSILON = 2 ** -53;
export const SAFE_MIN = 2 ** -1022;
/** Sweeps for each eigenvalue or singular value before it is left as it is (there are NaN or infinities then). */
export const MOST_SWEEPS = 30;

export const withSign = (x: number, sign: number): number =>
  sign < 0 || Object.is(sign, -0) ? -Math.abs(x) : Math.abs(x);

/** (x, y) becomes (c x + s y, c y - s x). */
export function turn(x: Float64Array, y: Float64Array, c: number, s: number): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i]!, y[i]!];
    x[i] = c * a + s * b;
    y[i] = c * b - s * a;
  }
}

/** LAPACK's lartg (3.10): c f + s g = r, c g - s f = 0. */
export function givens(f: number, g: number): readonly [c: number, s: number, r: number] {
  if (g === 0) return [1, 0, f];
  if (f === 0) return [0, withSign(1, g), Math.abs(g)];
  const d = Math.sqrt(f * f + g * g);
  const r = withSign(d, f);
  return [Math.abs(f) / d, g / r, r];
}

/** A factor that brings elements to where squares neither overflow nor vanish; 1 where they do not. */
export function scaleOf(a: Matrix): number {
  let size = 0;
  for (const row of a) for (const x of row) size = Math.max(size, Math.abs(x));
  return size > 0 && Number.isFinite(size) && (size < 1e-140 || size > 1e140) ? size : 1;
}

export function exchange(d: Float64Array, z: Matrix, i: number, k: number): void {
  [d[i], d[k]] = [d[k]!, d[i]!];
  [z[i], z[k]] = [z[k]!, z[i]!];
}

/** Eigenvalues of [[a, b], [b, c]], the larger by size first, and its unit vector (LAPACK's laev2). */
export function eigenvaluesOf2(
  a: number,
  b: number,
  c: number,
): readonly [larger: number, other: number, c: number, s: number] {
  const [sum, difference, twice] = [a + c, a - c, b + b];
  const root = Math.hypot(difference, twice);
  const [most, least] = Math.abs(a) > Math.abs(c) ? [a, c] : [c, a];
  const larger = sum < 0 ? 0.5 * (sum - root) : sum > 0 ? 0.5 * (sum + root) : 0.5 * root;
  const other = sum === 0 ? -0.5 * root : (most / larger) * least - (b / larger) * b;
  const cs = difference >= 0 ? difference + root : difference - root;
  let [cos, sin] = [1, 0];
  if (Math.abs(cs) > Math.abs(twice)) {
    const cotangent = -twice / cs;
    sin = 1 / Math.sqrt(1 + cotangent * cotangent);
    cos = cotangent * sin;
  } else if (twice !== 0) {
    const tangent = -cs / twice;
    cos = 1 / Math.sqrt(1 + tangent * tangent);
    sin = tangent * cos;
  }
  const same = sum < 0 === difference < 0;
  return same ? [larger, other, -sin, cos] : [larger, other, cos, sin];
}

/** The smaller singular value of [[f, g], [0, h]] (LAPACK's las2). */
export function smallerOf2(f: number, g: number, h: number): number {
  const [fa, ga, ha] = [Math.abs(f), Math.abs(g), Math.abs(h)];
  const [least, most] = [Math.min(fa, ha), Math.max(fa, ha)];
  if (least === 0) return 0;
  const [as, at] = [1 + least / most, (most - least) / most];
  if (ga < most) {
    const au = (ga / most) ** 2;
    return least * (2 / (Math.sqrt(as * as + au) + Math.sqrt(at * at + au)));
  }
  const au = most / ga;
  if (au === 0) return (least * most) / ga;
  return 2 * (least * (1 / (Math.sqrt(1 + (as * au) ** 2) + Math.sqrt(1 + (at * au) ** 2)))) * au;
}

/** The singular value decomposition of [[f, g], [0, h]] (LAPACK's lasv2). */
export function singularOf2(f: number, g: number, h: number) {
  const swapped = Math.abs(h) > Math.abs(f);
  const [ft, ht] = swapped ? [h, f] : [f, h];
  const [fa, ga, ha] = [Math.abs(ft), Math.abs(g), Math.abs(ht)];
  let [smaller, larger] = [ha, fa];
  let [cl, cr, sl, sr] = [1, 1, 0, 0];
  const huge = ga > fa && fa / ga < EPSILON;
  if (huge) {
    larger = ga;
    smaller = ha > 1 ? fa / (ga / ha) : (fa / ga) * ha;
    [cl, sl, sr, cr] = [1, ht / g, 1, ft / g];
  } else if (ga !== 0) {
    const d = fa - ha;
    const l = d === fa ? 1 : d / fa;
    const m = g / ft;
    const t = 2 - l;
    const s = Math.sqrt(t * t + m * m);
    const r = l === 0 ? Math.abs(m) : Math.sqrt(l * l + m * m);
    const a = 0.5 * (s + r);
    smaller = ha / a;
    larger = fa * a;
    const tangent =
      m * m === 0
        ? l === 0
          ? withSign(2, ft) * withSign(1, g)
          : g / withSign(d, ft) + m / t
        : (m / (s + t) + m / (r + l)) * (1 + a);
    const root = Math.sqrt(tangent * tangent + 4);
    cr = 2 / root;
    sr = tangent / root;
    cl = (cr + sr * m) / a;
    sl = ((ht / ft) * sr) / a;
  }
  const [cosL, sinL, cosR, sinR] = swapped ? [sr, cr, sl, cl] : [cl, sl, cr, sr];
  const sign =
    ga > fa
      ? withSign(1, sinR) * withSign(1, cosL) * withSign(1, g)
      : swapped
        ? withSign(1, sinR) * withSign(1, sinL) * withSign(1, h)
        : withSign(1, cosR) * withSign(1, cosL) * withSign(1, f);
  return {
    larger: withSign(larger, sign),
    smaller: withSign(smaller, sign * withSign(1, f) * withSign(1, h)),
    cosL,
    sinL,
    cosR,
    sinR,
  };
}
