/**
 * Writing modules as ONNX files: the module is traced over symbolic inputs, its graph is written with the operators of
 * the field. Imports nn and the tensor API.
 */
import { placeholder } from '../../../graph/build.ts';
import { recordComposites } from '../../../graph/composite.ts';
import type { DType } from '../../../graph/dtype.ts';
import type { Node } from '../../../graph/node.ts';
import type { AnyModule } from '../../../nn/index.ts';
import { flush, pendingCells } from '../../../runtime/index.ts';
import { noGrad, Parameter, Tensor } from '../../../tensor/index.ts';
import { describe } from '../../../tensor/operands.ts';
import { checkOptions } from '../../../tensor/options.ts';
import { flatten, unflatten } from '../../../tensor/tree.ts';
import { writeAtomic } from '../../atomic.ts';
import { writeMessage } from '../proto/write.ts';
import type { DynamicAxis } from './sizes.ts';
import { type TraceOf, Writer } from './writer.ts';

export interface ExportOptions {
  /** Version of ai.onnx's operators, 17 (the default) to 26. */
  readonly opset?: number;
  /** Names of the inputs, in the order of the tensors in `exampleInputs`; input, input_1, ... by default. */
  readonly inputNames?: readonly string[];
  /** Names of the outputs; output, output_1, ... by default. */
  readonly outputNames?: readonly string[];
  /** By input name: axes whose size may differ at run time, and what each is called. Axes of one name have one size. */
  readonly dynamicAxes?: Readonly<Record<string, Readonly<Record<number, string>>>>;
  /** Stands in the file; the module's class by default. */
  readonly graphName?: string;
}

const LEAST_OPSET = 17;
const MOST_OPSET = 26;
/** The IR version that came with an opset's release. */
const irVersion = (opset: number): number =>
  opset >= 25 ? 12 : opset >= 23 ? 11 : opset >= 21 ? 10 : opset >= 19 ? 9 : 8;

/** How many traces there are where something is dynamic: two solve for an affine expression, the third checks it. */
const TRACES = 3;

/**
 * Sizes of one symbol in the traces: multiples of the example's, since models may ask for multiples; each symbol grows
 * at its own pace.
 */
function probes(example: number, i: number): number[] {
  const base = Math.max(example, 2);
  const factors = [1, 2 + (i % 2), 3 - (i % 2) + 2 * Math.floor(i / 2)];
  return factors.map(factor => base * factor);
}

function symbolsOf(
  names: readonly string[],
  shapes: readonly (readonly number[])[],
  dynamic: ExportOptions['dynamicAxes'] = {},
): DynamicAxis[] {
  const symbols = new Map<string, DynamicAxis>();
  for (const [input, axes] of Object.entries(dynamic)) {
    const at = names.indexOf(input);
    if (at < 0)
      throw new Error(
        `export: dynamicAxes names an input "${input}"; the inputs are ${names.map(name => `"${name}"`).join(', ')}`,
      );
    for (const [key, name] of Object.entries(axes)) {
      const axis = Number(key);
      const size = shapes[at]![axis];
      if (size === undefined)
        throw new RangeError(`export: dynamicAxes: axis ${key} of "${input}", which has ${shapes[at]!.length} dims`);
      if (!symbols.has(name)) symbols.set(name, { name, sizes: probes(size, symbols.size), input, axis });
    }
  }
  return [...symbols.values()];
}

interface Example {
  readonly dtype: DType;
  /** Sizes, and for dynamic axes the symbol. */
  readonly shape: readonly (number | DynamicAxis)[];
}

const isTensorTree = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** The module's graph over placeholders whose dynamic axes have the sizes of trace `t`. */
function traced(module: AnyModule, inputs: readonly unknown[], examples: readonly Example[], t: number): TraceOf {
  const placeholders = examples.map(
    ({ dtype, shape }, i) =>
    placeholder(`input ${i}`, shape.map(size => (typeof size === 'number' ? size : size.sizes[t]!)), dtype), // biome-ignore format: one call
  );
  const { form } = flatten(inputs, 'export: exampleInputs');
  const args = unflatten(form, placeholders.map(node => new Tensor(node))) as never[]; // biome-ignore format: one call
  try {
    const { result, composites } = recordComposites(() => noGrad(() => module.forward(...(args as never[]))));
    const outputs: Node[] = flatten(result, 'export: the result of forward').tensors.map(tensor => tensor.node);
    return { placeholders, outputs, composites };
  } finally {
    // Running statistics that training mode has moved on by symbols.
    for (const cell of pendingCells()) cell.settle();
  }
}

/**
 * Writes a module as an ONNX model. `module.forward` runs once per trace over symbolic inputs, in the mode the module
 * is in (call `eval()` first), so control flow of JavaScript is written as it goes for the example's shapes; `cond`,
 * `whileLoop` and `scan` stay what they are. What forward assigns (running statistics) is not kept, neither in the
 * module nor in the file.
 *
 * @param exampleInputs the arguments of `forward`: trees of tensors, of which only shapes and dtypes matter, and plain
 * values
 * @returns the file's bytes; initializers have the names of `stateDict()`
 * @throws Error that names what ONNX has no operator for, or what depends on a dynamic axis and cannot be written
 */
export function exportModel(
  module: AnyModule,
  exampleInputs: Tensor | readonly unknown[],
  options: ExportOptions = {},
): Uint8Array {
  const { opset = LEAST_OPSET } = checkOptions('export', options, [
    'opset',
    'inputNames',
    'outputNames',
    'dynamicAxes',
    'graphName',
  ]);
  if (typeof module?.forward !== 'function')
    throw new TypeError('export: module: expected a Module (a function is exported as the forward of one)');
  if (!(exampleInputs instanceof Tensor) && !Array.isArray(exampleInputs))
    throw new TypeError(
      `export: exampleInputs: expected the arguments of forward, tensors of their shapes, got ${describe(exampleInputs)}`,
    );
  if (!Number.isInteger(opset) || opset < LEAST_OPSET || opset > MOST_OPSET)
    throw new RangeError(`export: opset: expected a whole number from ${LEAST_OPSET} to ${MOST_OPSET}, got ${opset}`);
  const inputs = isTensorTree(exampleInputs) ? exampleInputs : [exampleInputs];
  const { tensors } = flatten(inputs, 'export: exampleInputs');
  const numbered = (stem: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => (i === 0 ? stem : `${stem}_${i}`));
  const inputNames = options.inputNames ?? numbered('input', tensors.length);
  if (inputNames.length !== tensors.length)
    throw new RangeError(`export: inputNames has ${inputNames.length} names for ${tensors.length} tensors`);
  const symbols = symbolsOf(inputNames, tensors.map(({ shape }) => shape), options.dynamicAxes); // biome-ignore format: one call
  const symbolAt = (i: number, axis: number): DynamicAxis | undefined => {
    const name = options.dynamicAxes?.[inputNames[i]!]?.[axis];
    return symbols.find(symbol => symbol.name === name);
  };
  const examples = tensors.map(({ dtype, shape }, i) => ({
    dtype,
    shape: shape.map((size, axis) => symbolAt(i, axis) ?? size),
  }));
  // Parameters must be leaves, not what will be assigned to them.
  flush();
  const traces = Array.from({ length: symbols.length > 0 ? TRACES : 1 }, (_, t) => traced(module, inputs, examples, t));

  const parameters = new Map<object, string>();
  for (const [name, value] of Object.entries(module.stateDict()))
    if (value instanceof Parameter && !parameters.has(value.cell.variable)) parameters.set(value.cell.variable, name);
  for (const [name, value] of module.namedBuffers())
    if (!parameters.has(value.cell.variable)) parameters.set(value.cell.variable, name);
  const writer = new Writer(opset, traces, symbols, inputNames, parameters);
  const values = writer.write();
  const outputNames = options.outputNames ?? numbered('output', values.length);
  if (outputNames.length !== values.length)
    throw new RangeError(`export: outputNames has ${outputNames.length} names for ${values.length} outputs`);
  const shapes = traces[0]!.outputs.map(node =>
    writer
      .shape(node)
      .map((size, d) =>
        size.symbols.length === 0
          ? size.b
          : size.symbols.length === 1 && size.a === size.c && size.b === 0
            ? size.symbols[0]!.name
            : `${outputNames[0]}_dim_${d}`,
      ),
  );
  for (const name of outputNames) writer.graph.reserve(name);
  const graph = writer.graph.finish(
    options.graphName ?? module.constructor.name,
    examples.map(({ dtype, shape }, i) => ({
      name: inputNames[i]!,
      dtype,
      shape: shape.map(size => (typeof size === 'number' ? size : size.name)),
    })),
    traces[0]!.outputs.map((node, i) => ({ name: outputNames[i]!, dtype: node.dtype, shape: shapes[i]! })),
    values,
  );
  return writeMessage('ModelProto', {
    irVersion: irVersion(opset),
    producerName: 'tenon',
    opsetImport: [{ domain: '', version: opset }],
    graph,
  });
}

/** `exportModel` into a file, written atomically. */
export function save(
  path: string,
  module: AnyModule,
  exampleInputs: Tensor | readonly unknown[],
  options: ExportOptions = {},
): void {
  writeAtomic(path, [exportModel(module, exampleInputs, options)]);
}
