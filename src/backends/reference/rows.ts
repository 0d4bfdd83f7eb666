/**
 * What the matrix routines of the reference are written in: matrices as lists of rows, and Householder reflections on
 * them.
 */

/** A matrix as rows. */
export type Matrix = Float64Array[];

export const make = (rows: number, cols: number): Matrix => Array.from({ length: rows }, () => new Float64Array(cols));
export const transposed = (a: Matrix, cols: number): Matrix =>
  Array.from({ length: cols }, (_, j) => Float64Array.from(a, row => row[j]!));
export const dot = (x: Float64Array, y: Float64Array, from = 0, to = x.length): number => {
  let sum = 0;
  for (let i = from; i < to; i++) sum += x[i]! * y[i]!;
  return sum;
};
/** y += a x from `from` on. */
export const addScaled = (y: Float64Array, a: number, x: Float64Array, from = 0): void => {
  for (let i = from; i < y.length; i++) y[i] = y[i]! + a * x[i]!;
};

/**
 * Turns v from element k on into the reflection 1 - tau v vᵀ that takes it to beta e_k (LAPACK's larfg): v[k] becomes
 * beta, v is what stands behind it, with a 1 at k that is left out. Returns tau.
 */
export function reflector(v: Float64Array, k: number, length: number): number {
  const alpha = v[k]!;
  const tail = Math.sqrt(dot(v, v, k + 1));
  if (tail === 0) return 0;
  const beta = alpha >= 0 ? -Math.hypot(alpha, tail) : Math.hypot(alpha, tail);
  for (let i = k + 1; i < length; i++) v[i] = v[i]! / (alpha - beta);
  v[k] = beta;
  return (beta - alpha) / beta;
}

/**
 * Reflections that take column k to beta e_k, one after the other. `w` is Aᵀ, overwritten by R and the vectors; returns
 * their factors.
 */
export function reflect(w: Matrix, m: number): Float64Array {
  const taus = new Float64Array(Math.min(m, w.length));
  for (let k = 0; k < taus.length; k++) {
    taus[k] = reflector(w[k]!, k, m);
    for (let j = k + 1; j < w.length; j++) applyReflection(w[j]!, w[k]!, k, taus[k]!);
  }
  return taus;
}

/** x -= tau v (vᵀ x), v with a 1 at k and the rest of it from k + 1 on. */
export function applyReflection(x: Float64Array, v: Float64Array, k: number, tau: number): void {
  const product = tau * (x[k]! + dot(v, x, k + 1));
  x[k] = x[k]! - product;
  addScaled(x, -product, v, k + 1);
}

/**
 * The transpose [k, m] of the first k columns of the product of `count` reflections, whose row i starts at element i +
 * `offset`.
 */
export function formQ(w: Matrix, taus: ArrayLike<number>, count: number, k: number, m: number, offset = 0): Matrix {
  const q = make(k, m);
  for (let j = 0; j < k; j++) q[j]![j] = 1;
  for (let i = count - 1; i >= 0; i--)
    for (let j = i + offset; j < k; j++) applyReflection(q[j]!, w[i]!, i + offset, taus[i]!);
  return q;
}
