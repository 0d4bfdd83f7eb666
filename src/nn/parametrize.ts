/**
 * Reparametrisations: a weight that is computed from other parameters whenever it is read. The names are those of
 * torch.nn.utils, so that checkpoints with `weight_g` and `weight_v`, or `weight_orig` and `weight_u`, load as they
 * are.
 */
import { Parameter, randn, type Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import type { AnyModule } from './module.ts';
import { keyOf } from './names.ts';

/** What stands in for a parametrised weight: its parts' property names, and its present value in a module. */
interface Parametrised {
  readonly parts: readonly string[];
  readonly value: (module: AnyModule) => Tensor;
}

const parametrised = new WeakMap<AnyModule, Map<string, Parametrised>>();

/** Has `copy`, which has the fields of `module`, know its parametrised weights. */
export function copyParametrised(module: AnyModule, copy: AnyModule): void {
  const all = parametrised.get(module);
  if (all) parametrised.set(copy, new Map(all));
}

/** The property of part `suffix` of the weight `name`: weightG of weight, whose key is weight_g. */
export const partOf = (name: string, suffix: string): string => `${name}${suffix[0]!.toUpperCase()}${suffix.slice(1)}`;

export function weightOf(op: string, module: AnyModule, name: string): Parameter {
  const weight: unknown = Reflect.get(module, name);
  if (parametrised.get(module)?.has(name))
    throw new Error(`${op}: ${module.constructor.name}.${name} is parametrised already`);
  if (!(weight instanceof Parameter))
    throw new TypeError(`${op}: ${module.constructor.name}.${name} is no parameter of the module`);
  return weight;
}

/** Replaces the parameter `name` by its parts, and by a getter that computes it from them. */
export function replace(
  module: AnyModule,
  name: string,
  parts: Readonly<Record<string, Parameter>>,
  value: (module: AnyModule) => Tensor,
): void {
  Reflect.deleteProperty(module, name);
  for (const [part, parameter] of Object.entries(parts))
    Object.defineProperty(module, part, { value: parameter, enumerable: true, configurable: true, writable: true });
  // The module that is asked, not `module`: copies have the same getter.
  const get = function (this: AnyModule): Tensor {
    return value(this);
  };
  Object.defineProperty(module, name, { get, enumerable: false, configurable: true });
  const all = parametrised.get(module) ?? new Map<string, Parametrised>();
  all.set(name, { parts: Object.keys(parts), value });
  parametrised.set(module, all);
}

/** Buffers that the weight is computed from, too. */
export function addParts(module: AnyModule, name: string, ...buffers: readonly string[]): void {
  const all = parametrised.get(module)!;
  const { parts, value } = all.get(name)!;
  all.set(name, { parts: [...parts, ...buffers], value });
}

/** Makes the weight's present value a plain parameter again. */
export function restore(op: string, module: AnyModule, name: string): void {
  const found = parametrised.get(module)?.get(name);
  if (!found) throw new Error(`${op}: ${module.constructor.name}.${name} (${keyOf(name)}) is not parametrised`);
  const value = new Parameter(found.value(module));
  for (const part of found.parts) Reflect.deleteProperty(module, part);
  Object.defineProperty(module, name, { value, enumerable: true, configurable: true, writable: true });
  parametrised.get(module)!.delete(name);
}

/** The 2-norm over all dimensions but `dim` (over all with null), kept as dimensions of 1. */
function normExcept(x: Tensor, dim: number | null): Tensor {
  const dims = x.shape.map((_, d) => d).filter(d => d !== dim);
  return x.mul(x).sum(dims, { keepdim: true }).sqrt();
}

export interface WeightNormOptions {
  /** Which weight; 'weight' by default. */
  readonly name?: string;
  /** The dimension whose slices have a length each; 0 by default, null for one length of the whole. */
  readonly dim?: number | null;
}

/**
 * Splits a weight into its length `weightG` and its direction `weightV`: w = g v / |v| (Salimans and Kingma 2016). Do
 * it before an optimizer takes hold of the parameters.
 * @returns the module
 */
export function weightNorm<M extends AnyModule>(module: M, options: WeightNormOptions = {}): M {
  const { name = 'weight', dim = 0 } = checkOptions('weightNorm', options, ['name', 'dim']);
  const weight = weightOf('weightNorm', module, name);
  const at = dim !== null && dim < 0 ? dim + weight.ndim : dim;
  const [g, v] = [partOf(name, 'g'), partOf(name, 'v')];
  const length = normExcept(weight.detach(), at);
  const parts = { [g]: new Parameter(at === null ? length.reshape([]) : length), [v]: new Parameter(weight.detach()) };
  replace(module, name, parts, owner => {
    const direction = Reflect.get(owner, v) as Parameter;
    return direction.mul((Reflect.get(owner, g) as Parameter).div(normExcept(direction, at)));
  });
  return module;
}

/** Makes a weight that `weightNorm` has split one parameter again. */
export function removeWeightNorm<M extends AnyModule>(module: M, name = 'weight'): M {
  restore('removeWeightNorm', module, name);
  return module;
}

export interface SpectralNormOptions {
  /** Which weight; 'weight' by default. */
  readonly name?: string;
  /** Steps of power iteration at each read of the weight in training; 1 by default. */
  readonly nPowerIterations?: number;
  /** The least norm that counts; 1e-12 by default. */
  readonly eps?: number;
  /** The dimension of the outputs; 0 by default, which is right for all layers but transposed convolutions (1). */
  readonly dim?: number;
}

/**
 * Divides a weight by its largest singular value (Miyato et al. 2018), which a power iteration follows from step to
 * step: `weightOrig` is trained, the vectors `weightU` and `weightV` are buffers.
 * @returns the module
 */
export function spectralNorm<M extends AnyModule>(module: M, options: SpectralNormOptions = {}): M {
  const {
    name = 'weight',
    nPowerIterations = 1,
    eps = 1e-12,
    dim = 0,
  } = checkOptions('spectralNorm', options, ['name', 'nPowerIterations', 'eps', 'dim']);
  const weight = weightOf('spectralNorm', module, name);
  const [orig, left, right] = [partOf(name, 'orig'), partOf(name, 'u'), partOf(name, 'v')];
  const matrix = (x: Tensor): Tensor => x.movedim(dim, 0).flatten(1);
  const unit = (x: Tensor): Tensor => x.div(x.norm(2).clampMin(eps));
  const [rows, columns] = matrix(weight).shape as [number, number];
  replace(module, name, { [orig]: weight }, owner => {
    const own = Reflect.get(owner, orig) as Parameter;
    const [u, v] = [Reflect.get(owner, left) as Parameter, Reflect.get(owner, right) as Parameter];
    const w = matrix(own);
    let [a, b]: [Tensor, Tensor] = [u.detach(), v.detach()];
    if (owner.training) {
      for (let i = 0; i < nPowerIterations; i++) {
        b = unit(w.detach().T.matmul(a));
        a = unit(w.detach().matmul(b));
      }
      u.assign(a);
      v.assign(b);
    }
    return own.div(a.dot(w.matmul(b)));
  });
  module.registerBuffer(left, unit(randn([rows], { dtype: weight.dtype })));
  module.registerBuffer(right, unit(randn([columns], { dtype: weight.dtype })));
  addParts(module, name, left, right);
  return module;
}

/** Makes a weight that `spectralNorm` divides one parameter again, divided for good. */
export function removeSpectralNorm<M extends AnyModule>(module: M, name = 'weight'): M {
  const { training } = module;
  module.training = false;
  restore('removeSpectralNorm', module, name);
  module.training = training;
  return module;
}
