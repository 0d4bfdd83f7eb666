/**
 * Eigenvalues and singular values in plain JavaScript, in f64, by LAPACK's steps and in its order (syevd and gesdd of small matrices: sytrd and steqr,
 * gebrd and bdsqr), so that the signs of vectors are LAPACK's, too. Matrices are lists of rows.
 */
import { addScaled, applyReflection, dot, formQ, type Matrix, make, reflect, reflector, transposed } from './rows.ts';

const EPSILON = 2 ** -53;
const SAFE_MIN = 2 ** -1022;
/** Sweeps for each eigenvalue or singular value before it is left as it is (there are NaN or infinities then). */
const MOST_SWEEPS = 30;

const withSign = (x: number, sign: number): number => (sign < 0 || Object.is(sign, -0) ? -Math.abs(x) : Math.abs(x));

/** (x, y) becomes (c x + s y, c y - s x). */
function turn(x: Float64Array, y: Float64Array, c: number, s: number): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i]!, y[i]!];
    x[i] = c * a + s * b;
    y[i] = c * b - s * a;
  }
}

/** LAPACK's lartg (3.10): c f + s g = r, c g - s f = 0. */
function givens(f: number, g: number): readonly [c: number, s: number, r: number] {
  if (g === 0) return [1, 0, f];
  if (f === 0) return [0, withSign(1, g), Math.abs(g)];
  const d = Math.sqrt(f * f + g * g);
  const r = withSign(d, f);
  return [Math.abs(f) / d, g / r, r];
}

/** A factor that brings elements to where squares neither overflow nor vanish; 1 where they do not. */
function scaleOf(a: Matrix): number {
  let size = 0;
  for (const row of a) for (const x of row) size = Math.max(size, Math.abs(x));
  return size > 0 && Number.isFinite(size) && (size < 1e-140 || size > 1e140) ? size : 1;
}

// ------------------------------------------------------------------------------------------------ symmetric matrices

/** Eigenvalues of [[a, b], [b, c]], the larger by size first, and its unit vector (LAPACK's laev2). */
function eigenvaluesOf2(
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

function exchange(d: Float64Array, z: Matrix, i: number, k: number): void {
  [d[i], d[k]] = [d[k]!, d[i]!];
  [z[i], z[k]] = [z[k]!, z[i]!];
}

// ------------------------------------------------------------------------------------------------ singular values

/** The smaller singular value of [[f, g], [0, h]] (LAPACK's las2). */
function smallerOf2(f: number, g: number, h: number): number {
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
function singularOf2(f: number, g: number, h: number) {
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

/**
 * Implicit zero-shift QR (Demmel and Kahan 1990) on the upper bidiagonal matrix with diagonal `d` and `e` above it; rows of `u` and `v` (the transposes
 * of the vectors) turn with it. `d` ends as singular values in descending order.
 */
function diagonaliseBidiagonal(d: Float64Array, e: Float64Array, u: Matrix, v: Matrix): void {
  const n = d.length;
  const tolerance = Math.max(10, Math.min(100, EPSILON ** -0.125)) * EPSILON;
  let least = Math.abs(d[0] ?? 0);
  for (let i = 1, mu = least; i < n && least > 0; i++) {
    mu = Math.abs(d[i]!) * (mu / (mu + Math.abs(e[i - 1]!)));
    least = Math.min(least, mu);
  }
  const threshold = Math.max((tolerance * least) / Math.sqrt(n), 6 * n * n * SAFE_MIN);
  let sweeps = MOST_SWEEPS * n;
  let [oldLow, oldHigh, step] = [-1, -1, 1 as 1 | -1];
  for (let high = n - 1; high > 0 && sweeps > 0; ) {
    // The block low .. high that does not fall apart.
    let low = high;
    let most = Math.abs(d[high]!);
    while (low > 0 && Math.abs(e[low - 1]!) > threshold) {
      low--;
      most = Math.max(most, Math.abs(d[low]!), Math.abs(e[low]!));
    }
    if (low > 0) e[low - 1] = 0;
    if (low === high) {
      high--;
      continue;
    }
    if (low === high - 1) {
      const two = singularOf2(d[low]!, e[low]!, d[high]!);
      d[low] = two.larger;
      e[low] = 0;
      d[high] = two.smaller;
      turn(v[low]!, v[high]!, two.cosR, two.sinR);
      turn(u[low]!, u[high]!, two.cosL, two.sinL);
      high -= 2;
      continue;
    }
    // Bulges are chased from the larger end to the smaller.
    if (low > oldHigh || high < oldLow) step = Math.abs(d[low]!) >= Math.abs(d[high]!) ? 1 : -1;
    const [from, to] = step > 0 ? [low, high] : [high, low];
    const off = (i: number): number => (step > 0 ? i : i - 1);
    const last = off(to - step);
    if (!(Math.abs(e[last]!) > tolerance * Math.abs(d[to]!))) {
      e[last] = 0;
      continue;
    }
    let mu = Math.abs(d[from]!);
    let smallest = mu;
    let split = false;
    for (let i = from; i !== to; i += step) {
      if (!(Math.abs(e[off(i)]!) > tolerance * mu)) {
        e[off(i)] = 0;
        split = true;
        break;
      }
      mu = Math.abs(d[i + step]!) * (mu / (mu + Math.abs(e[off(i)]!)));
      smallest = Math.min(smallest, mu);
    }
    if (split) continue;
    [oldLow, oldHigh] = [low, high];
    const [outer, inner] = step > 0 ? [v, u] : [u, v];
    const start = Math.abs(d[from]!);
    let shift = smallerOf2(d[to]!, e[last]!, d[to - step]!);
    if (n * tolerance * (smallest / most) <= Math.max(EPSILON, 0.01 * tolerance)) shift = 0;
    else if (start > 0 && (shift / start) ** 2 < EPSILON) shift = 0;
    sweeps--;
    if (shift === 0) {
      let [c, s, r] = [1, 0, 0];
      let [oldC, oldS] = [1, 0];
      for (let i = from; i !== to; i += step) {
        [c, s, r] = givens(d[i]! * c, e[off(i)]!);
        if (i !== from) e[off(i - step)] = oldS * r;
        [oldC, oldS, d[i]] = givens(oldC * r, d[i + step]! * s);
        turn(outer[i]!, outer[i + step]!, c, s);
        turn(inner[i]!, inner[i + step]!, oldC, oldS);
      }
      const h = d[to]! * c;
      d[to] = h * oldC;
      e[last] = h * oldS;
    } else {
      let f = (start - shift) * (withSign(1, d[from]!) + shift / d[from]!);
      let g = e[off(from)]!;
      for (let i = from; i !== to; i += step) {
        const [cosR, sinR, r] = givens(f, g);
        if (i !== from) e[off(i - step)] = r;
        const [di, ei, next] = [d[i]!, e[off(i)]!, d[i + step]!];
        const [cosL, sinL, diagonal] = givens(cosR * di + sinR * ei, sinR * next);
        const above = cosR * ei - sinR * di;
        d[i] = diagonal;
        f = cosL * above + sinL * cosR * next;
        d[i + step] = cosL * cosR * next - sinL * above;
        if (i + step !== to) {
          g = sinL * e[off(i + step)]!;
          e[off(i + step)] = cosL * e[off(i + step)]!;
        }
        turn(outer[i]!, outer[i + step]!, cosR, sinR);
        turn(inner[i]!, inner[i + step]!, cosL, sinL);
      }
      e[last] = f;
    }
    if (!(Math.abs(e[last]!) > threshold)) e[last] = 0;
  }
  for (let i = 0; i < n; i++) {
    if (d[i]! >= 0) continue;
    d[i] = -d[i]!;
    v[i] = v[i]!.map(x => -x);
  }
  for (let end = n - 1; end > 0; end--) {
    let k = 0;
    for (let j = 1; j <= end; j++) if (d[j]! <= d[k]!) k = j;
    exchange(d, u, k, end);
    [v[k], v[end]] = [v[end]!, v[k]!];
  }
}

/** A [m, n], m >= n, to an upper bidiagonal matrix: the transposes of the vectors on its left [n, m] and on its right [n, n]. */
function bidiagonalise(a: Matrix, m: number, n: number) {
  const w = a.map(row => row.slice());
  const left = make(n, m);
  const [d, e] = [new Float64Array(n), new Float64Array(n)];
  const [onLeft, onRight] = [new Float64Array(n), new Float64Array(n)];
  for (let i = 0; i < n; i++) {
    const column = left[i]!;
    for (let r = i; r < m; r++) column[r] = w[r]![i]!;
    onLeft[i] = reflector(column, i, m);
    d[i] = column[i]!;
    const product = new Float64Array(n);
    const element = (r: number): number => (r === i ? 1 : column[r]!);
    for (let r = i; r < m; r++) addScaled(product, onLeft[i]! * element(r), w[r]!, i + 1);
    for (let r = i; r < m; r++) addScaled(w[r]!, -element(r), product, i + 1);
    if (i === n - 1) break;
    const row = w[i]!;
    onRight[i] = reflector(row, i + 1, n);
    e[i] = row[i + 1]!;
    for (let r = i + 1; r < m; r++) applyReflection(w[r]!, row, i + 1, onRight[i]!);
  }
  return { d, e, u: formQ(left, onLeft, n, n, m, 0), v: formQ(w, onRight, Math.max(n - 1, 0), n, n, 1) };
}

/** U [m, k], singular values, V [n, k] as lists of the transposes' rows. */
export function svdParts(
  a: Matrix,
  m: number,
  n: number,
): { readonly s: Float64Array; readonly u: Matrix; readonly v: Matrix } {
  const k = Math.min(m, n);
  const wide = m < n;
  const scale = scaleOf(a);
  const scaled = a.map(row => row.map(x => x / scale));
  // The longer side down.
  const tall = wide ? transposed(scaled, n) : scaled;
  const length = Math.max(m, n);
  let [core, rows] = [tall, length];
  let w: Matrix = [];
  let taus: Float64Array = new Float64Array(0);
  const byQR = k > 0 && length >= Math.floor((k * 11) / 6);
  if (byQR) {
    w = transposed(tall, k);
    taus = reflect(w, length);
    const r = make(k, k).map((row, i) => row.map((_, j) => (i <= j ? w[j]![i]! : 0)));
    [core, rows] = [wide ? transposed(r, k) : r, k];
  }
  const form = bidiagonalise(core, rows, k);
  const { d, e } = form;
  // A matrix that was made tall by turning it over has its lower bidiagonal form: rotated into an upper one.
  let [u, v] = wide && !byQR ? [form.v, form.u] : [form.u, form.v];
  if (wide && !byQR)
    for (let i = 0; i < k - 1; i++) {
      const [c, s, r] = givens(d[i]!, e[i]!);
      [d[i], e[i], d[i + 1]] = [r, s * d[i + 1]!, c * d[i + 1]!];
      turn(u[i]!, u[i + 1]!, c, s);
    }
  diagonaliseBidiagonal(d, e, u, v);
  if (byQR) {
    const long = (wide ? v : u).map(row => Float64Array.from({ length }, (_, j) => row[j] ?? 0));
    for (let i = k - 1; i >= 0; i--) for (const row of long) applyReflection(row, w[i]!, i, taus[i]!);
    [u, v] = wide ? [u, long] : [long, v];
  }
  return { s: d.map(x => x * scale), u, v };
}

/** See MATRIX_ROUTINES: U, singular values, V. */
export function svd(a: Matrix, [m, n]: readonly [rows: number, cols: number]): Matrix {
  const { s, u, v } = svdParts(a, m, n);
  return [...transposed(u, m), s, ...transposed(v, n)];
}
