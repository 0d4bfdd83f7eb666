/**
 * Matrix routines (see graph/matrix.ts) in plain JavaScript, in f64: textbook algorithms, written to be read.
 */
import type { MatrixRoutine } from '../../graph/matrix.ts';
import { svd, svdParts } from './bidiagonal.ts';
import { addScaled, dot, formQ, type Matrix, make, reflect, transposed } from './rows.ts';
import { eigh } from './symmetric.ts';

const swap = (a: Matrix, i: number, j: number): void => {
  [a[i], a[j]] = [a[j]!, a[i]!];
};

/** Every row of L is found from the rows above it. */
function cholesky(a: Matrix): Matrix {
  const n = a.length;
  const l = make(n, n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      const rest = a[i]![j]! - dot(l[i]!, l[j]!, 0, j);
      l[i]![j] = i > j ? rest / l[j]![j]! : rest > 0 ? Math.sqrt(rest) : Number.NaN;
    }
  return l;
}

function solveTriangular(l: Matrix, b: Matrix): Matrix {
  const x = b.map(row => row.slice());
  x.forEach((row, i) => {
    for (let j = 0; j < i; j++) addScaled(row, -l[i]![j]!, x[j]!);
    for (let k = 0; k < row.length; k++) row[k] = row[k]! / l[i]![i]!;
  });
  return x;
}

/** Row operations in place; returns which row each one was swapped with. */
function eliminate(a: Matrix, n: number): number[] {
  const swaps: number[] = [];
  for (let k = 0; k < Math.min(a.length, n); k++) {
    let p = k;
    for (let i = k + 1; i < a.length; i++) if (Math.abs(a[i]![k]!) > Math.abs(a[p]![k]!)) p = i;
    swaps.push(p);
    swap(a, k, p);
    const pivot = a[k]![k]!;
    if (pivot === 0) continue;
    for (let i = k + 1; i < a.length; i++) {
      a[i]![k] = a[i]![k]! / pivot;
      addScaled(a[i]!, -a[i]![k]!, a[k]!, k + 1);
    }
  }
  return swaps;
}

/** Where each row comes from after swaps. */
function orderAfter(swaps: readonly number[], count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  swaps.forEach((p, i) => {
    [order[i], order[p]] = [order[p]!, order[i]!];
  });
  return order;
}

function solve(a: Matrix, b: Matrix): Matrix {
  const n = a.length;
  const work = a.map((row, i) => Float64Array.of(...row, ...b[i]!));
  eliminate(work, n);
  for (let i = n - 1; i >= 0; i--) {
    const row = work[i]!;
    for (let j = i + 1; j < n; j++) for (let k = n; k < row.length; k++) row[k] = row[k]! - row[j]! * work[j]![k]!;
    for (let k = n; k < row.length; k++) row[k] = row[k]! / row[i]!;
  }
  return work.map(row => row.slice(n));
}

function lu(a: Matrix, [, n]: Size): Matrix {
  const work = a.map(row => row.slice());
  const swaps = eliminate(work, n);
  const order = orderAfter(swaps, a.length);
  return work.map((row, i) => Float64Array.of(...row, swaps[i] === undefined ? i + 1 : swaps[i] + 1, order[i]!));
}

function permutation(swaps: Matrix): Matrix {
  // A swap with a row that is not there is none.
  const list = Array.from(swaps[0]!, (p, i) => (p >= 1 && p <= swaps[0]!.length ? Math.trunc(p) - 1 : i));
  return [Float64Array.from(orderAfter(list, list.length))];
}

function det(a: Matrix, [, n]: Size): Matrix {
  const work = a.map(row => row.slice());
  const swaps = eliminate(work, n);
  return [Float64Array.of(swaps.reduce((d, p, i) => d * work[i]![i]! * (p === i ? 1 : -1), 1))];
}

function geqrf(a: Matrix, [m, n]: Size): Matrix {
  const w = transposed(a, n);
  const taus = reflect(w, m);
  return [...transposed(w, m), Float64Array.from({ length: n }, (_, j) => taus[j] ?? 0)];
}

function qr(a: Matrix, [m, n]: Size): Matrix {
  const k = Math.min(m, n);
  const w = transposed(a, n);
  const taus = reflect(w, m);
  const q = formQ(w, taus, k, k, m);
  return [...transposed(q, m), ...w.map((row, j) => row.slice(0, k).map((x, i) => (i <= j ? x : 0)))];
}

function pinv(a: Matrix, tolerance: Matrix): Matrix {
  const [m, n] = [a.length, a[0]?.length ?? 0];
  const { s, u, v } = svdParts(a, m, n);
  const [absolute, relative] = tolerance[0] as unknown as [number, number];
  const least = Math.max(absolute, relative * (s[0] ?? 0));
  const p = make(n, m);
  s.forEach((value, r) => {
    if (value > least)
      p.forEach((row, i) => {
        addScaled(row, v[r]![i]! / value, u[r]!);
      });
  });
  return p;
}

/** Threshold of Bunch and Kaufman (1977). */
const ALPHA = (1 + Math.sqrt(17)) / 8;

/** L D Lᵀ with 1 x 1 and 2 x 2 blocks in D, in the lower triangle; pivots as in LAPACK's sytf2. */
function ldl(a: Matrix): Matrix {
  const n = a.length;
  const w = a.map(row => row.slice());
  const pivots = new Float64Array(n);
  const at = (i: number, j: number): number => (i >= j ? w[i]![j]! : w[j]![i]!);
  for (let k = 0; k < n; ) {
    const diagonal = Math.abs(w[k]![k]!);
    let row = k;
    let most = 0;
    for (let i = k + 1; i < n; i++)
      if (Math.abs(w[i]![k]!) > most) {
        most = Math.abs(w[i]![k]!);
        row = i;
      }
    let p = k;
    let step = 1;
    if (Math.max(diagonal, most) > 0 && diagonal < ALPHA * most) {
      let other = 0;
      for (let j = k; j < n; j++) if (j !== row) other = Math.max(other, Math.abs(at(row, j)));
      if (diagonal < ALPHA * most * (most / other)) {
        p = row;
        if (Math.abs(w[row]![row]!) < ALPHA * other) step = 2;
      }
    }
    const kk = k + step - 1;
    if (p !== kk) {
      for (let i = p + 1; i < n; i++) [w[i]![kk], w[i]![p]] = [w[i]![p]!, w[i]![kk]!];
      for (let j = kk + 1; j < p; j++) [w[j]![kk], w[p]![j]] = [w[p]![j]!, w[j]![kk]!];
      [w[kk]![kk], w[p]![p]] = [w[p]![p]!, w[kk]![kk]!];
      if (step === 2) [w[k + 1]![k], w[p]![k]] = [w[p]![k]!, w[k + 1]![k]!];
    }
    if (step === 1) {
      pivots[k] = p + 1;
      const d = w[k]![k]!;
      if (d !== 0) {
        for (let j = k + 1; j < n; j++) for (let i = j; i < n; i++) w[i]![j] = w[i]![j]! - (w[i]![k]! * w[j]![k]!) / d;
        for (let i = k + 1; i < n; i++) w[i]![k] = w[i]![k]! / d;
      }
    } else {
      pivots[k] = pivots[k + 1] = -(p + 1);
      const d21 = w[k + 1]![k]!;
      const d11 = w[k + 1]![k + 1]! / d21;
      const d22 = w[k]![k]! / d21;
      const factor = 1 / (d11 * d22 - 1) / d21;
      for (let j = k + 2; j < n; j++) {
        const first = factor * (d11 * w[j]![k]! - w[j]![k + 1]!);
        const second = factor * (d22 * w[j]![k + 1]! - w[j]![k]!);
        for (let i = j; i < n; i++) w[i]![j] = w[i]![j]! - w[i]![k]! * first - w[i]![k + 1]! * second;
        w[j]![k] = first;
        w[j]![k + 1] = second;
      }
    }
    k += step;
  }
  return w.map((row, i) => Float64Array.of(...row.map((x, j) => (j <= i ? x : 0)), pivots[i]!));
}

function ldlSolve(packed: Matrix, b: Matrix): Matrix {
  const n = packed.length;
  const x = b.map(row => row.slice());
  const pivotAt = (k: number): number => packed[k]![n]!;
  const blocks: { readonly k: number; readonly step: 1 | 2; readonly p: number }[] = [];
  for (let k = 0; k < n; ) {
    const step = pivotAt(k) > 0 || k === n - 1 ? 1 : 2;
    const p = Math.trunc(Math.abs(pivotAt(k))) - 1;
    blocks.push({ k, step, p: p >= 0 && p < n ? p : k });
    k += step;
  }
  for (const { k, step, p } of blocks) {
    swap(x, k + step - 1, p);
    for (let c = k; c < k + step; c++) for (let i = k + step; i < n; i++) addScaled(x[i]!, -packed[i]![c]!, x[c]!);
    const [first, second] = [x[k]!, x[k + 1]!];
    const d11 = packed[k]![k]!;
    if (step === 1) for (let c = 0; c < first.length; c++) first[c] = first[c]! / d11;
    else {
      const d21 = packed[k + 1]![k]!;
      const d22 = packed[k + 1]![k + 1]!;
      const determinant = d11 * d22 - d21 * d21;
      for (let c = 0; c < first.length; c++) {
        const [y1, y2] = [first[c]!, second[c]!];
        first[c] = (d22 * y1 - d21 * y2) / determinant;
        second[c] = (d11 * y2 - d21 * y1) / determinant;
      }
    }
  }
  for (const { k, step, p } of blocks.reverse()) {
    for (let c = k; c < k + step; c++) for (let i = k + step; i < n; i++) addScaled(x[c]!, -packed[i]![c]!, x[i]!);
    swap(x, k + step - 1, p);
  }
  return x;
}

type Size = readonly [rows: number, cols: number];

const ROUTINES: { readonly [R in MatrixRoutine]: (a: Matrix, ...rest: never[]) => Matrix } = {
  cholesky,
  solveTriangular,
  solve,
  lu,
  permutation,
  det,
  geqrf,
  qr,
  eigh: a => eigh(a, false),
  eighUpper: a => eigh(a, true),
  svd,
  pinv,
  ldl,
  ldlSolve,
};

/** Fills `out` [batch, R, C] from inputs [batch, r, c]. */
export function matrix(
  routine: MatrixRoutine,
  inputs: readonly ArrayLike<number>[],
  shapes: readonly (readonly number[])[],
  out: { length: number; set(values: ArrayLike<number>, offset: number): void },
): void {
  const sizes = shapes.map(shape => shape.slice(-2) as unknown as Size);
  const batch = shapes[0]!.slice(0, -2).reduce((a, n) => a * n, 1);
  const compute = ROUTINES[routine] as (...args: (Matrix | Size)[]) => Matrix;
  for (let item = 0; item < batch && out.length > 0; item++) {
    const matrices = inputs.map((values, k) => {
      const [rows, cols] = sizes[k]!;
      return Array.from({ length: rows }, (_, i) =>
        Float64Array.from({ length: cols }, (__, j) => values[(item * rows + i) * cols + j]!),
      );
    });
    const result = compute(...matrices, ...(matrices.length === 1 ? [sizes[0]!] : []));
    const size = out.length / batch;
    result.forEach((row, i) => {
      out.set(row, item * size + i * row.length);
    });
  }
}
