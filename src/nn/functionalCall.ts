/**
 * Modules as functions of their parameters: what transforms over parameters (per-sample gradients, ensembles,
 * meta-learning) start from.
 */
import { shapeText } from '../tensor/convert.ts';
import { Parameter, stack, type Tensor } from '../tensor/index.ts';
import type { Module } from './module.ts';

/** Every parameter and buffer of a module under all its names. */
function namedTensors<In extends readonly unknown[], Out>(module: Module<In, Out>): Map<string, Parameter> {
  const state = Object.entries(module.stateDict()).filter(
    (entry): entry is [string, Parameter] => entry[1] instanceof Parameter,
  );
  return new Map([...module.namedBuffers(), ...module.namedParameters(), ...state]);
}

/**
 * The result of `module.call(...args)` with the tensors of `values` in place of the parameters and buffers of those
 * names (state-dict keys); all others keep their own values. Nothing of the module changes: what it assigns to a
 * replaced buffer is forgotten, or goes to the parameter that stands in for it.
 *
 *     const params = Object.fromEntries(model.namedParameters());
 *     const loss = (p: typeof params, x: Tensor, y: Tensor) => F.mseLoss(functionalCall(model, p, x), y);
 *     const perSample = vmap(grad(loss), { inAxes: [null, 0, 0] })(params, xs, ys);
 *
 * @throws Error for a name the module does not have, or another shape or dtype
 */
export function functionalCall<In extends readonly unknown[], Out>(
  module: Module<In, Out>,
  values: Readonly<Record<string, Tensor>>,
  ...args: In
): Out {
  const tensors = namedTensors(module);
  const standIns = new Map<Parameter, Tensor>();
  for (const [name, value] of Object.entries(values)) {
    const parameter = tensors.get(name);
    if (!parameter) throw new Error(`functionalCall: ${module.constructor.name} has no parameter or buffer "${name}"`);
    const { shape, dtype } = parameter;
    if (value.dtype !== dtype || value.ndim !== shape.length || value.shape.some((n, d) => n !== shape[d]))
      throw new Error(
        `functionalCall: "${name}": ${value.dtype} ${shapeText(value.shape)} came, expected ${dtype} ${shapeText(shape)}`,
      );
    // A parameter as its own value stands for itself.
    if (value !== parameter) standIns.set(parameter, value);
  }
  return Parameter.standingIn(standIns, () => module.call(...args));
}

/**
 * Parameters and buffers of equal modules, each stacked along a new first axis: with `vmap` over `functionalCall`, an
 * ensemble runs as one.
 *
 * @throws Error when a module has other names or shapes than the first
 */
export function stackModuleState<In extends readonly unknown[], Out>(
  modules: readonly Module<In, Out>[],
): { readonly parameters: Record<string, Tensor>; readonly buffers: Record<string, Tensor> } {
  const [first] = modules;
  if (!first) throw new Error('stackModuleState: no modules came');
  const stacked = (named: (module: Module<In, Out>) => [string, Parameter][]): Record<string, Tensor> => {
    const lists = modules.map(module => new Map(named(module)));
    return Object.fromEntries(
      named(first).map(([name, { shape }]) => {
        const own = lists.map((list, i) => {
          const tensor = list.get(name);
          if (!tensor || list.size !== lists[0]!.size || String(tensor.shape) !== String(shape))
            throw new Error(`stackModuleState: module ${i} differs from the first in "${name}"`);
          return tensor.detach();
        });
        return [name, stack(own)];
      }),
    );
  };
  return { parameters: stacked(module => module.namedParameters()), buffers: stacked(module => module.namedBuffers()) };
}
