/**
 * The table that `model.summary()` returns: layers in the order they run, output shapes, parameter counts.
 */
import { isFloat, Tensor, zeros } from '../tensor/index.ts';
import type { AnyModule } from './module.ts';

/** A shape, or an example. */
type Input = readonly number[] | Tensor;

interface Row {
  readonly layer: string;
  readonly output: string;
  readonly count: number;
}

const count = (tensors: readonly Tensor[]): number => tensors.reduce((sum, tensor) => sum + tensor.numel(), 0);
const grouped = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

/** Parameters of a module itself, without its children's. */
function ownParameters(module: AnyModule): Tensor[] {
  const below = new Set(module.children().flatMap(child => child.parameters()));
  return module.parameters().filter(parameter => !below.has(parameter));
}

/** Shapes of what a module returned: a tensor, or tensors in arrays and plain objects. */
function shapesOf(output: unknown): string {
  if (output instanceof Tensor) return `[${output.shape.join(', ')}]`;
  if (typeof output !== 'object' || output === null) return '';
  return Object.values(output).map(shapesOf).filter(Boolean).join(' ');
}

/** Runs `model` on `inputs`, in evaluation mode and without computing anything, and notes what each module returns. */
function outputsOf(model: AnyModule, inputs: readonly Input[]): Map<AnyModule, string> {
  const outputs = new Map<AnyModule, string>();
  const modes = model.modules().map(module => [module, module.training] as const);
  for (const [module] of modes) {
    const { forward } = module;
    module.training = false;
    module.forward = (...args: never[]): unknown => {
      const output = forward.apply(module, args);
      outputs.set(module, shapesOf(output));
      return output;
    };
  }
  try {
    const dtype = model.parameters().find(parameter => isFloat(parameter.dtype))?.dtype;
    const tensors = inputs.map(input => (input instanceof Tensor ? input : zeros(input, { dtype })));
    (model.forward as (...args: Tensor[]) => unknown)(...tensors);
  } finally {
    for (const [module, training] of modes) {
      Reflect.deleteProperty(module, 'forward');
      module.training = training;
    }
  }
  return outputs;
}

/** See Module.summary. */
export function summarize(model: AnyModule, inputs: readonly Input[]): string {
  const outputs = inputs.length > 0 ? outputsOf(model, inputs) : null;
  const named = model.namedModules();
  // A module that did not run may still own parameters that its parent reads, such as position embeddings.
  const ran = outputs ? [...outputs.keys()] : [];
  const order = [...new Set([...ran, ...named.map(([, module]) => module)])];
  const keys = new Map(named.map(([key, module]) => [module, key]));
  // A parameter that two modules share counts where it comes first.
  const counted = new Set<Tensor>();
  const fresh = (module: AnyModule): Tensor[] => {
    const own = ownParameters(module).filter(parameter => !counted.has(parameter));
    for (const parameter of own) counted.add(parameter);
    return own;
  };
  const rows: Row[] = order
    .filter(module => {
      const owns = ownParameters(module).length > 0;
      return owns || (module.children().length === 0 && (!outputs || outputs.has(module)));
    })
    .map(module => ({
      layer: `${keys.get(module) || '(model)'}: ${module.constructor.name}`,
      output: outputs?.get(module) ?? '',
      count: count(fresh(module)),
    }));

  const total = count(model.parameters());
  const trained = count(model.parameters().filter(parameter => parameter.requiresGrad));
  const head = { layer: 'Layer', output: outputs ? 'Output' : '', count: 'Parameters' };
  const wide = (texts: readonly string[]): number => Math.max(...texts.map(text => text.length));
  const layerWidth = wide([head.layer, ...rows.map(row => row.layer)]);
  const outputWidth = wide([head.output, ...rows.map(row => row.output)]);
  const countWidth = wide([head.count, ...rows.map(row => grouped(row.count))]);
  const line = (layer: string, output: string, parameters: string): string =>
    [layer.padEnd(layerWidth), ...(outputs ? [output.padEnd(outputWidth)] : []), parameters.padStart(countWidth)].join(
      '  ',
    );
  const rule = '-'.repeat(line('', '', '').length);
  return [
    line(head.layer, head.output, head.count),
    rule,
    ...rows.map(row => line(row.layer, row.output, grouped(row.count))),
    rule,
    `${grouped(total)} parameters, ${grouped(trained)} of them trained`,
  ].join('\n');
}
