/**
 * Singular values in plain JavaScript, in f64, by the steps of LAPACK's gesdd for small matrices and in its order
 * (gebrd, bdsqr), so that the signs of vectors are LAPACK's, too. Matrices are lists of rows.
 */
import {
  EPSILON,
  exchange,
  givens,
  MOST_SWEEPS,
  SAFE_MIN,
  scaleOf,
  singularOf2,
  smallerOf2,
  turn,
  withSign,
} from './rotations.ts';
import { addScaled, applyReflection, formQ, type Matrix, make, reflect, reflector, transposed } from './rows.ts';

/**
 * An upper bidiagonal matrix, `d` on its diagonal and `e` above it; rows of `u` and `v` (the transposes of its vectors)
 * turn with it.
 */
interface Bidiagonal {
  readonly d: Float64Array;
  readonly e: Float64Array;
  readonly u: Matrix;
  readonly v: Matrix;
}

/** The way of a bulge through a block: towards its end (step 1) or its beginning. */
interface Way {
  readonly from: number;
  readonly to: number;
  readonly step: 1 | -1;
}

const TOLERANCE = Math.max(10, Math.min(100, EPSILON ** -0.125)) * EPSILON;

/** Where `e` holds what stands between i and i + step. */
const between = (i: number, step: 1 | -1): number => (step > 0 ? i : i - 1);

/** Implicit zero-shift QR (Demmel and Kahan 1990). `d` ends as singular values in descending order. */
function diagonaliseBidiagonal(b: Bidiagonal): void {
  const { d, e, u, v } = b;
  const n = d.length;
  const threshold = thresholdOf(d, e);
  let sweeps = MOST_SWEEPS * n;
  let [oldLow, oldHigh, step] = [-1, -1, 1 as 1 | -1];
  for (let high = n - 1; high > 0 && sweeps > 0; ) {
    const { low, most } = blockBelow(b, high, threshold);
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
    const way: Way = step > 0 ? { from: low, to: high, step } : { from: high, to: low, step };
    const smallest = leastAlong(b, way);
    if (smallest === null) continue;
    [oldLow, oldHigh] = [low, high];
    sweeps--;
    const shift = shiftOf(b, way, smallest / most);
    if (shift === 0) sweepUnshifted(b, way);
    else sweepShifted(b, way, shift);
    const last = between(way.to - step, step);
    if (!(Math.abs(e[last]!) > threshold)) e[last] = 0;
  }
  inOrder(b);
}

/** Below which an element beside the diagonal counts as 0. */
function thresholdOf(d: Float64Array, e: Float64Array): number {
  const n = d.length;
  let least = Math.abs(d[0] ?? 0);
  for (let i = 1, mu = least; i < n && least > 0; i++) {
    mu = Math.abs(d[i]!) * (mu / (mu + Math.abs(e[i - 1]!)));
    least = Math.min(least, mu);
  }
  return Math.max((TOLERANCE * least) / Math.sqrt(n), 6 * n * n * SAFE_MIN);
}

/** The block low .. high that does not fall apart, and its largest element. */
function blockBelow(
  { d, e }: Bidiagonal,
  high: number,
  threshold: number,
): { readonly low: number; readonly most: number } {
  let low = high;
  let most = Math.abs(d[high]!);
  while (low > 0 && Math.abs(e[low - 1]!) > threshold) {
    low--;
    most = Math.max(most, Math.abs(d[low]!), Math.abs(e[low]!));
  }
  return { low, most };
}

/**
 * A lower bound of a block's singular values; null where the block falls apart instead, at an element that became 0.
 */
function leastAlong({ d, e }: Bidiagonal, { from, to, step }: Way): number | null {
  const last = between(to - step, step);
  if (!(Math.abs(e[last]!) > TOLERANCE * Math.abs(d[to]!))) {
    e[last] = 0;
    return null;
  }
  let mu = Math.abs(d[from]!);
  let smallest = mu;
  for (let i = from; i !== to; i += step) {
    const off = between(i, step);
    if (!(Math.abs(e[off]!) > TOLERANCE * mu)) {
      e[off] = 0;
      return null;
    }
    mu = Math.abs(d[i + step]!) * (mu / (mu + Math.abs(e[off]!)));
    smallest = Math.min(smallest, mu);
  }
  return smallest;
}

/**
 * The shift of a sweep over a block whose smallest singular value is `ratio` of its largest element; 0 where a shift
 * would cost accuracy.
 */
function shiftOf({ d, e }: Bidiagonal, { from, to, step }: Way, ratio: number): number {
  if (d.length * TOLERANCE * ratio <= Math.max(EPSILON, 0.01 * TOLERANCE)) return 0;
  const shift = smallerOf2(d[to]!, e[between(to - step, step)]!, d[to - step]!);
  const start = Math.abs(d[from]!);
  return start > 0 && (shift / start) ** 2 < EPSILON ? 0 : shift;
}

/** The vectors on the side that is rotated first, and the others. */
const sidesOf = ({ u, v }: Bidiagonal, step: 1 | -1): readonly [outer: Matrix, inner: Matrix] =>
  step > 0 ? [v, u] : [u, v];

function sweepUnshifted(b: Bidiagonal, { from, to, step }: Way): void {
  const { d, e } = b;
  const [outer, inner] = sidesOf(b, step);
  let [c, s, r] = [1, 0, 0];
  let [oldC, oldS] = [1, 0];
  for (let i = from; i !== to; i += step) {
    [c, s, r] = givens(d[i]! * c, e[between(i, step)]!);
    if (i !== from) e[between(i - step, step)] = oldS * r;
    [oldC, oldS, d[i]] = givens(oldC * r, d[i + step]! * s);
    turn(outer[i]!, outer[i + step]!, c, s);
    turn(inner[i]!, inner[i + step]!, oldC, oldS);
  }
  const h = d[to]! * c;
  d[to] = h * oldC;
  e[between(to - step, step)] = h * oldS;
}

function sweepShifted(b: Bidiagonal, { from, to, step }: Way, shift: number): void {
  const { d, e } = b;
  const [outer, inner] = sidesOf(b, step);
  let f = (Math.abs(d[from]!) - shift) * (withSign(1, d[from]!) + shift / d[from]!);
  let g = e[between(from, step)]!;
  for (let i = from; i !== to; i += step) {
    const [cosR, sinR, r] = givens(f, g);
    if (i !== from) e[between(i - step, step)] = r;
    const [di, ei, next] = [d[i]!, e[between(i, step)]!, d[i + step]!];
    const [cosL, sinL, diagonal] = givens(cosR * di + sinR * ei, sinR * next);
    const above = cosR * ei - sinR * di;
    d[i] = diagonal;
    f = cosL * above + sinL * cosR * next;
    d[i + step] = cosL * cosR * next - sinL * above;
    if (i + step !== to) {
      const further = between(i + step, step);
      g = sinL * e[further]!;
      e[further] = cosL * e[further]!;
    }
    turn(outer[i]!, outer[i + step]!, cosR, sinR);
    turn(inner[i]!, inner[i + step]!, cosL, sinL);
  }
  e[between(to - step, step)] = f;
}

/** Singular values without sign, in descending order. */
function inOrder({ d, u, v }: Bidiagonal): void {
  for (let i = 0; i < d.length; i++) {
    if (d[i]! >= 0) continue;
    d[i] = -d[i]!;
    v[i] = v[i]!.map(x => -x);
  }
  for (let end = d.length - 1; end > 0; end--) {
    let k = 0;
    for (let j = 1; j <= end; j++) if (d[j]! <= d[k]!) k = j;
    exchange(d, u, k, end);
    [v[k], v[end]] = [v[end]!, v[k]!];
  }
}

/**
 * A [m, n], m >= n, to an upper bidiagonal matrix: the transposes of the vectors on its left [n, m] and on its right
 * [n, n].
 */
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
  diagonaliseBidiagonal({ d, e, u, v });
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
