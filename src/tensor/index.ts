/**
 * The Tensor API: tensors, the functions over them, and gradients. Imports graph, transform and runtime; knows no modules,
 * optimizers or data sets.
 */
export { DTYPES, type DType, type HostArray, isDType, isFloat } from '../graph/dtype.ts';
export {
  backendNames,
  defaultGenerator,
  type Generator,
  manualSeed,
  numThreads,
  setBackend,
  setNumThreads,
} from '../runtime/index.ts';
export { checkpoint, type GradOptions, grad, jvp, noGrad, valueAndGrad, vjp } from './autograd.ts';
export { type CompiledFunction, compile } from './compile.ts';
export type { Nested, NestedInput, Scalar, TensorData } from './convert.ts';
export * from './creation.ts';
export { einsum } from './einsum.ts';
export * as F from './functional/index.ts';
export * as functional from './functional/index.ts';
export * from './joins.ts';
export type { TensorLike } from './operands.ts';
export { Parameter, type ParameterOptions } from './parameter.ts';
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
} from './random.ts';
export { Tensor, type ValuesAndIndices } from './tensor.ts';
