/**
 * Matrix routines: algorithms over matrices that are no expressions over their elements. All have the same form:
 * matrices [..., r, c] with equal leading dims, of f32 or f64, go in; one matrix [..., R, C] of the same dtype comes
 * out, which packs everything the routine finds. They are batched over the leading dims by definition. How each is
 * computed is in backends/reference and compiler/routines/matrix (in f64, whatever the dtype); its derivative is in
 * transform/matrix.ts.
 */

type Size = readonly [rows: number, cols: number];

/** The size of each routine's result from the sizes of its inputs. */
export const MATRIX_ROUTINES = {
  /**
   * A [n, n], of which the lower triangle is read -> L with A = L Lᵀ; NaN from the first pivot on that is not positive.
   */
  cholesky: ([a]) => a!,
  /** (L [n, n], of which the lower triangle is read, B [n, k]) -> X with L X = B. */
  solveTriangular: ([, b]) => b!,
  /** (A [n, n], B [n, k]) -> X with A X = B; infinities and NaN where A is singular. */
  solve: ([, b]) => b!,
  /**
   * A [m, n] -> [m, n + 2] with P L U = A by partial pivoting: L below the diagonal, U from it on; then a column with
   * the row that row i was swapped with (counted from 1, as in LAPACK), and a column with the row of A that stands at
   * row i.
   */
  lu: ([a]) => [a![0], a![1] + 2],
  /** Row swaps [1, m] as in lu's next to last column -> [1, m], as in its last column. */
  permutation: ([swaps]) => swaps!,
  /** A [n, n] -> its determinant [1, 1]. */
  det: () => [1, 1],
  /**
   * A [m, n] -> [m + 1, n]: R above the diagonal and Householder vectors below it, as in LAPACK's geqrf; then their
   * factors tau.
   */
  geqrf: ([a]) => [a![0] + 1, a![1]],
  /** A [m, n], k = min(m, n) -> [m + n, k]: Q [m, k], then Rᵀ [n, k]. */
  qr: ([a]) => [a![0] + a![1], Math.min(...a!)],
  /**
   * A [n, n], of which the lower triangle is read -> [1 + n, n]: eigenvalues in ascending order, then their vectors as
   * columns.
   */
  eigh: ([a]) => [a![0] + 1, a![1]],
  /** The same of the upper triangle, reduced from the other end as LAPACK does, which decides the signs of vectors. */
  eighUpper: ([a]) => [a![0] + 1, a![1]],
  /** A [m, n], k = min(m, n) -> [m + 1 + n, k]: U [m, k], singular values in descending order, V [n, k]. */
  svd: ([a]) => [a![0] + 1 + a![1], Math.min(...a!)],
  /**
   * (A [m, n], [1, 2] = a and r) -> its pseudo-inverse [n, m], of singular values above max(a, r * the largest one).
   */
  pinv: ([a]) => [a![1], a![0]],
  /**
   * A [n, n], of which the lower triangle is read -> [n, n + 1]: L D Lᵀ by Bunch-Kaufman pivoting and its pivots as in
   * LAPACK's sytrf.
   */
  ldl: ([a]) => [a![0], a![1] + 1],
  /** (ldl's result [n, n + 1], B [n, k]) -> X with A X = B. */
  ldlSolve: ([, b]) => b!,
} satisfies { readonly [name: string]: (sizes: readonly Size[]) => Size };

export type MatrixRoutine = keyof typeof MATRIX_ROUTINES;
