/**
 * Eigenvalues of symmetric matrices in plain JavaScript, in f64, by the steps of LAPACK's syevd for small ones and in
 * its order (sytrd, steqr), so that the signs of vectors are LAPACK's, too. Matrices are lists of rows.
 */
import {
  EPSILON,
  eigenvaluesOf2,
  exchange,
  givens,
  MOST_SWEEPS,
  SAFE_MIN,
  scaleOf,
  turn,
  withSign,
} from './rotations.ts';
import { addScaled, dot, formQ, type Matrix, reflector, transposed } from './rows.ts';

/** Implicit QL (or QR, from the other end: `step` -1) on the block from `l` to `end`; rows of `z` turn with it. */
function diagonalise(d: Float64Array, e: Float64Array, z: Matrix, first: number, end: number, step: 1 | -1): void {
  const off = (i: number): number => (step > 0 ? i : i - 1);
  let l = first;
  for (let sweeps = MOST_SWEEPS * d.length; l !== end + step && sweeps > 0; sweeps--) {
    let m = l;
    while (m !== end && e[off(m)]! ** 2 > EPSILON ** 2 * Math.abs(d[m]!) * Math.abs(d[m + step]!) + SAFE_MIN) m += step;
    if (m !== end) e[off(m)] = 0;
    if (m === l) {
      l += step;
      continue;
    }
    if (m === l + step) {
      const low = Math.min(l, m);
      const [larger, other, c, s] = eigenvaluesOf2(d[low]!, e[low]!, d[low + 1]!);
      turn(z[low]!, z[low + 1]!, c, s);
      d[low] = larger;
      d[low + 1] = other;
      e[low] = 0;
      l += 2 * step;
      continue;
    }
    let p = d[l]!;
    let g = (d[l + step]! - p) / (2 * e[off(l)]!);
    g = d[m]! - p + e[off(l)]! / (g + withSign(Math.hypot(g, 1), g));
    let [c, s, r] = [1, 1, 0];
    p = 0;
    for (let i = m - step; i !== l - step; i -= step) {
      const [f, b] = [s * e[off(i)]!, c * e[off(i)]!];
      [c, s, r] = givens(g, f);
      if (i !== m - step) e[off(i + step)] = r;
      g = d[i + step]! - p;
      r = (d[i]! - g) * s + 2 * c * b;
      p = s * r;
      d[i + step] = g + p;
      g = c * r - b;
      turn(z[i]!, z[i + step]!, c, -s);
    }
    d[l] = d[l]! - p;
    e[off(l)] = g;
  }
}

/** See MATRIX_ROUTINES: eigenvalues, then their vectors as columns. */
export function eigh(a: Matrix, upper: boolean): Matrix {
  const n = a.length;
  const scale = scaleOf(a);
  // An upper triangle is reduced from its end: the lower one of the matrix turned by half a turn.
  const at = (i: number, j: number): number =>
    upper ? a[n - 1 - Math.max(i, j)]![n - 1 - Math.min(i, j)]! : a[Math.max(i, j)]![Math.min(i, j)]!;
  const w = a.map((row, i) => row.map((_, j) => at(i, j) / scale));
  const [d, e] = [new Float64Array(n), new Float64Array(n)];
  const taus = new Float64Array(n);
  // To tridiagonal form: row i holds the reflection from element i + 1 on.
  for (let i = 0; i < n; i++) {
    const v = w[i]!;
    d[i] = v[i]!;
    if (i === n - 1) break;
    taus[i] = reflector(v, i + 1, n);
    e[i] = v[i + 1]!;
    if (taus[i] === 0) continue;
    v[i + 1] = 1;
    const x = new Float64Array(n);
    for (let r = i + 1; r < n; r++) x[r] = taus[i]! * dot(w[r]!, v, i + 1);
    addScaled(x, -0.5 * taus[i]! * dot(x, v, i + 1), v, i + 1);
    for (let r = i + 1; r < n; r++) {
      const [vr, xr] = [v[r]!, x[r]!];
      addScaled(w[r]!, -vr, x, i + 1);
      addScaled(w[r]!, -xr, v, i + 1);
    }
    v[i + 1] = e[i]!;
  }
  const z = formQ(w, taus, Math.max(n - 1, 0), n, n, 1);
  if (upper) {
    d.reverse();
    e.subarray(0, Math.max(n - 1, 0)).reverse();
    z.reverse();
    for (const row of z) row.reverse();
  }
  for (let start = 0; start < n; ) {
    let m = start;
    while (m < n - 1 && Math.abs(e[m]!) > Math.sqrt(Math.abs(d[m]!)) * Math.sqrt(Math.abs(d[m + 1]!)) * EPSILON) m++;
    e[m] = 0;
    if (Math.abs(d[m]!) < Math.abs(d[start]!)) diagonalise(d, e, z, m, start, -1);
    else diagonalise(d, e, z, start, m, 1);
    start = m + 1;
  }
  for (let i = 0; i < n - 1; i++) {
    let k = i;
    for (let j = i + 1; j < n; j++) if (d[j]! < d[k]!) k = j;
    exchange(d, z, i, k);
  }
  return [d.map(x => x * scale), ...transposed(z, n)];
}
