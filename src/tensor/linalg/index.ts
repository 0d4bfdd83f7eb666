/**
 * torch.linalg: products, norms, factorisations, linear systems. Matrices are the last two dims of tensors f32 or f64;
 * leading dims are batches. Imports the Tensor API; the algorithms are the graph's matrix routines.
 */
export {
  cholesky,
  choleskyEx,
  eigh,
  eigvalsh,
  householderProduct,
  type LDL,
  ldlFactor,
  ldlFactorEx,
  ldlSolve,
  lu,
  luFactor,
  luFactorEx,
  type PackedLU,
  type QRMode,
  qr,
  type SVD,
  svd,
  svdvals,
  type Triangle,
} from './factor.ts';
export { cond, type MatrixOrder, matrixNorm, matrixRank, type NormOptions, norm, vectorNorm } from './norms.ts';
export { cross, matrixExp, matrixPower, multiDot, vander, vecdot } from './products.ts';
export {
  det,
  inv,
  invEx,
  type Lstsq,
  type LstsqDriver,
  lstsq,
  luSolve,
  pinv,
  slogdet,
  solve,
  solveEx,
  solveTriangular,
  type TriangularOptions,
  tensorinv,
  tensorsolve,
} from './solve.ts';
export type { Tolerance } from './tolerance.ts';
