/**
 * A TensorFlow graph, as TensorFlow.js converts SavedModels, as a module: nodes run once their inputs are there.
 * Constants that are floats become parameters under their names.
 */
import { Module } from '../../nn/index.ts';
import { isFloat, Parameter, type Tensor } from '../../tensor/index.ts';
import type { Json } from '../json.ts';
import { addParameter, liveParameter } from '../liveParameters.ts';
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

/** What the file says, which copies of the model share. */
class GraphFile {
  readonly ports: GraphPorts;
  readonly execution: Execution;
  /** Const nodes that are no parameters. */
  readonly fixed = new Map<string, readonly Tensor[]>();
  /** Names of the parameters. */
  readonly trained: string[] = [];

  constructor(ports: GraphPorts, execution: Execution) {
    this.ports = ports;
    this.execution = execution;
  }
}

/** A symbol, as the fields with names are the file's. */
const FILE = Symbol('file');

/** A graph. Takes one tensor per input and gives one per output, in the signature's order. */
export class GraphModel extends Module<readonly Tensor[], Tensor | readonly Tensor[]> {
  private readonly [FILE]: GraphFile;

  constructor(
    nodes: readonly GraphNode[],
    library: Library,
    signature: Json | undefined,
    weights: Weights,
    path: string,
  ) {
    super();
    const ports = portsOf(nodes, signature);
    const used = [...calledFrom(nodes, library)].flatMap(name => library.get(name)?.nodes ?? []);
    const missing = [...new Set([...nodes, ...used].filter(({ op }) => !runsOperator(op)).map(({ op }) => op))];
    if (missing.length > 0) throw new Error(`${path}: operators that Tenon cannot run: ${missing.join(', ')}`);
    if (ports.outputs.length === 0)
      throw new Error(`${path}: every node of the graph is an input of another: it has no outputs`);
    const constants = new Set<string>();
    const file = new GraphFile(ports, executionOf(nodes, library, path));
    this[FILE] = file;
    for (const { name, op } of [...reached(nodes, ports, path), ...used]) {
      if (op !== 'Const' || constants.has(name)) continue;
      constants.add(name);
      const value = weights[name];
      if (!value) throw new Error(`${path}: the constant ${JSON.stringify(name)} is not among the weights`);
      if (isFloat(value.dtype)) {
        addParameter(this, name, new Parameter(value, { name }), `${path}: the name of the constant`);
        file.trained.push(name);
      } else file.fixed.set(name, [value]);
    }
  }

  get inputs(): readonly Port[] {
    return this[FILE].ports.inputs;
  }

  get outputs(): readonly Port[] {
    return this[FILE].ports.outputs;
  }

  forward(...inputs: readonly Tensor[]): Tensor | readonly Tensor[] {
    if (inputs.length !== this.inputs.length)
      throw new Error(
        `GraphModel: ${inputs.length} inputs came, expected ${this.inputs.map(({ name }) => name).join(', ')}`,
      );
    const given = this.inputs.map(({ name }, i) => [nodeOf(name), [inputs[i]!]] as const);
    const { execution, fixed, trained } = this[FILE];
    const live = trained.map(name => [name, [liveParameter(this, name)]] as const);
    const outputs = execution.run(
      this.outputs.map(({ name }) => name),
      new Map(given),
      new Map([...fixed, ...live]),
    );
    return outputs.length === 1 ? outputs[0]! : outputs;
  }
}

function executionOf(nodes: readonly GraphNode[], library: Library, path: string): Execution {
  try {
    return new Execution(nodes, library);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
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
