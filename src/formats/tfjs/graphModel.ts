/**
 * A TensorFlow graph, as TensorFlow.js converts SavedModels, as a module: nodes run once their inputs are there.
 * Constants that are floats become parameters under their names.
 */
import { Module } from '../../nn/index.ts';
import { isFloat, Parameter, type Tensor } from '../../tensor/index.ts';
import type { Json } from '../json.ts';
import type { Port } from '../weights.ts';
import { Execution } from './execute.ts';
import type { Weights } from './layersModel.ts';
import {
  CALLERS,
  functionName,
  type GraphNode,
  type GraphPorts,
  type Library,
  nodeOf,
  portsOf,
  runsOperator,
} from './nodes.ts';

/** A graph. Takes one tensor per input and gives one per output, in the signature's order. */
export class GraphModel extends Module<readonly Tensor[], Tensor | readonly Tensor[]> {
  readonly #ports: GraphPorts;
  readonly #execution: Execution;

  constructor(
    nodes: readonly GraphNode[],
    library: Library,
    signature: Json | undefined,
    weights: Weights,
    path: string,
  ) {
    super();
    this.#ports = portsOf(nodes, signature);
    const used = [...calledFrom(nodes, library)].flatMap(name => library.get(name)?.nodes ?? []);
    const missing = [...new Set([...nodes, ...used].filter(({ op }) => !runsOperator(op)).map(({ op }) => op))];
    if (missing.length > 0) throw new Error(`${path}: operators that Tenon cannot run: ${missing.join(', ')}`);
    if (this.#ports.outputs.length === 0)
      throw new Error(`${path}: every node of the graph is an input of another: it has no outputs`);
    const constants = new Map<string, readonly Tensor[]>();
    for (const { name, op } of [...reached(nodes, this.#ports, path), ...used]) {
      if (op !== 'Const' || constants.has(name)) continue;
      const value = weights[name];
      if (!value) throw new Error(`${path}: the constant ${JSON.stringify(name)} is not among the weights`);
      if (name in this) throw new Error(`${path}: the name of the constant ${name} is taken by a member of the class`);
      constants.set(name, [isFloat(value.dtype) ? this.#parameter(name, value) : value]);
    }
    try {
      this.#execution = new Execution(nodes, library, constants);
    } catch (error) {
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  #parameter(name: string, value: Tensor): Parameter {
    const parameter = new Parameter(value, { name });
    Object.defineProperty(this, name, { value: parameter, enumerable: true, configurable: true, writable: true });
    return parameter;
  }

  get inputs(): readonly Port[] {
    return this.#ports.inputs;
  }

  get outputs(): readonly Port[] {
    return this.#ports.outputs;
  }

  forward(...inputs: readonly Tensor[]): Tensor | readonly Tensor[] {
    if (inputs.length !== this.inputs.length)
      throw new Error(
        `GraphModel: ${inputs.length} inputs came, expected ${this.inputs.map(({ name }) => name).join(', ')}`,
      );
    const given = this.inputs.map(({ name }, i) => [nodeOf(name), [inputs[i]!]] as const);
    const outputs = this.#execution.run(
      this.outputs.map(({ name }) => name),
      new Map(given),
    );
    return outputs.length === 1 ? outputs[0]! : outputs;
  }
}

/** Names of the functions that nodes call, and those that these call. */
function calledFrom(nodes: readonly GraphNode[], library: Library): ReadonlySet<string> {
  const namesIn = (list: readonly GraphNode[]): string[] =>
    list.flatMap(node => (CALLERS[node.op] ?? []).flatMap(key => functionName(node, key) ?? []));
  const called = new Set(namesIn(nodes));
  for (const name of called) for (const inner of namesIn(library.get(name)?.nodes ?? [])) called.add(inner);
  return called;
}

/** What the outputs need. @throws Error for a cycle that is no loop, and for an input that is no node */
function reached(nodes: readonly GraphNode[], ports: GraphPorts, path: string): readonly GraphNode[] {
  const byName = new Map(nodes.map(node => [node.name, node]));
  const state = new Map<string, 'open' | 'done'>();
  const found: GraphNode[] = [];
  const stack = ports.outputs.map(({ name }) => nodeOf(name)).reverse();
  // What a loop comes back to its beginning with is looked at on its own.
  const returning: string[] = [];
  while (stack.length > 0 || returning.length > 0) {
    const name = stack.at(-1) ?? returning.pop()!;
    const node = byName.get(name);
    if (!node) throw new Error(`${path}: there is no node ${JSON.stringify(name)}`);
    const before = state.get(name);
    if (before !== undefined) {
      stack.pop();
      if (before === 'open') {
        state.set(name, 'done');
        found.push(node);
      }
      continue;
    }
    if (stack.length === 0) stack.push(name);
    state.set(name, 'open');
    for (const input of node.inputs.map(nodeOf)) {
      const seen = state.get(input);
      if (node.op === 'Merge' && byName.get(input)?.op === 'NextIteration') {
        returning.push(input);
        continue;
      }
      if (seen === 'open') throw new Error(`${path}: the node ${JSON.stringify(input)} is an input of itself`);
      if (seen === undefined) stack.push(input);
    }
  }
  return found;
}
