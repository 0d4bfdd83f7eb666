/**
 * The Tensor API: tensors, the functions over them, and gradients. Imports graph, transform and runtime; knows no
 * modules, optimizers or data sets.
 */
export { DTYPES, type DType, type HostArray, isDType, isFloat, promote as promoteTypes } from '../graph/dtype.ts';
export {
  backendName,
  backendNames,
  defaultGenerator,
  type Generator,
  manualSeed,
  numThreads,
  type Randomness,
  setBackend,
  setNumThreads,
  type TraceEvent,
} from '../runtime/index.ts';
export { type AutocastOptions, autocast } from './autocast.ts';
export {
  type ArgnumsOrOptions,
  checkpoint,
  type GradOptions,
  grad,
  jvp,
  noGrad,
  valueAndGrad,
  vjp,
} from './autograd.ts';
export { type CompiledFunction, compile } from './compile.ts';
export { cond, type ScanOptions, scan, type WhileLoopOptions, whileLoop } from './control.ts';
export type { Nested, NestedInput, Scalar, TensorData } from './convert.ts';
export * from './creation.ts';
export { type CustomRules, customGrad, stopGradient } from './customGrad.ts';
export { einsum } from './einsum.ts';
export * from './extremes.ts';
export { complex, polar, viewAsComplex, viewAsReal } from './fft/complex.ts';
export * as fft from './fft/index.ts';
export { istft, type StftOptions, stft } from './fft/stft.ts';
export * from './fft/windows.ts';
export * as F from './functional/index.ts';
export * as functional from './functional/index.ts';
export { type NormWithStatistics, nativeBatchNorm, nativeLayerNorm } from './functional/nativeNorms.ts';
export { hessian, jacfwd, jacrev } from './jacobian.ts';
export * from './joins.ts';
export * as linalg from './linalg/index.ts';
export * as masked from './masked.ts';
export { resultType, type SizeArgs, type TensorLike } from './operands.ts';
export * from './ops/advanced.ts';
export * from './ops/compare.ts';
export * from './ops/creationLike.ts';
export * from './ops/distinct.ts';
export * from './ops/elementwise.ts';
export * from './ops/histogram.ts';
export * from './ops/indexing.ts';
export * from './ops/math.ts';
export * from './ops/matmul.ts';
export * from './ops/matrix.ts';
export * from './ops/numbers.ts';
export * from './ops/reduce.ts';
export * from './ops/scan.ts';
export * from './ops/segments.ts';
export * from './ops/select.ts';
export * from './ops/shape.ts';
export * from './ops/softmax.ts';
export * from './ops/sort.ts';
export * from './ops/special.ts';
export * from './ops/statistics.ts';
export * from './ops/strided.ts';
export * from './ops/views.ts';
export type { OrAlone, SizeArgsWith } from './options.ts';
export { type DeferredValue, Parameter, type ParameterOptions } from './parameter.ts';
export { type Profile, profile } from './profile.ts';
export {
  bernoulli,
  multinomial,
  normal,
  type RandomOptions,
  rand,
  randint,
  randintLike,
  randLike,
  randn,
  randnLike,
  randperm,
  uniform,
} from './random.ts';
export * as special from './special/index.ts';
export { Tensor, type ValuesAndIndices } from './tensor.ts';
export { type Axes, type VmapOptions, vmap } from './vmap.ts';
