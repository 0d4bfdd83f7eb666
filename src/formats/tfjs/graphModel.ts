/**
 * A TensorFlow graph, as TensorFlow.js converts SavedModels, as a module: nodes run once their inputs are there. Constants that are floats become
 * parameters under their names.
 */
import { Module } from '../../nn/index.ts';
import { type DType, isFloat, Parameter, type Tensor } from '../../tensor/index.ts';
import type { Json } from '../json.ts';
import type { Port } from '../weights.ts';
import type { Weights } from './layersModel.ts';
import { isObject } from './manifest.ts';
import { type Attributes, OPERATORS } from './operators.ts';

type JsonObject = { readonly [key: string]: Json };

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  /** `name`, `name:1` for a later output; control inputs (`^name`) are left out, as nothing here has side effects. */
  readonly inputs: readonly string[];
  readonly attributes: JsonObject;
}

const DTYPES: Readonly<Record<string, DType>> = {
  DT_FLOAT: 'f32', DT_DOUBLE: 'f64', DT_HALF: 'f16', DT_BFLOAT16: 'bf16', DT_INT32: 'i32', DT_INT64: 'i64', DT_UINT8: 'u8',
  DT_INT8: 'i8', DT_BOOL: 'bool',
}; // biome-ignore format: a table

/** Numbers of TensorFlow's enum, which some converters write. */
const DTYPE_NUMBERS = [
  '',
  'DT_FLOAT',
  'DT_DOUBLE',
  'DT_INT32',
  'DT_UINT8',
  '',
  'DT_INT8',
  '',
  '',
  'DT_INT64',
  'DT_BOOL',
];

const SOURCES: ReadonlySet<string> = new Set(['Placeholder', 'Const', 'NoOp']);
export const runsOperator = (op: string): boolean => SOURCES.has(op) || Object.hasOwn(OPERATORS, op);

/** The nodes of a GraphDef in JSON. @throws Error naming what is wrong */
export function nodesOf(topology: Json, path: string): GraphNode[] {
  const list = isObject(topology) ? topology['node'] : undefined;
  if (!Array.isArray(list)) throw new Error(`${path}: the graph has no list "node"`);
  const names = new Set<string>();
  return list.map((node: Json, i) => {
    if (!isObject(node) || typeof node['name'] !== 'string' || typeof node['op'] !== 'string')
      throw new Error(`${path}: node ${i} has no name and op`);
    const { name, op } = node as { name: string; op: string };
    if (names.has(name)) throw new Error(`${path}: two nodes are named ${JSON.stringify(name)}`);
    names.add(name);
    const input = Array.isArray(node['input']) ? node['input'] : [];
    return {
      name,
      op,
      inputs: input.map(String).filter(text => !text.startsWith('^')),
      attributes: isObject(node['attr']) ? node['attr'] : {},
    };
  });
}

/** Bytes are base64 in JSON; texts of attributes were bytes. */
const decoded = (value: Json): string => Buffer.from(String(value), 'base64').toString('utf8');

function dtypeOf(value: Json | undefined): DType | undefined {
  const name = typeof value === 'number' ? DTYPE_NUMBERS[value] : value;
  return typeof name === 'string' ? DTYPES[name] : undefined;
}

function attributesOf({ name, op, attributes }: GraphNode): Attributes {
  const field = (key: string, kind: string): Json | undefined => {
    const value = attributes[key];
    return isObject(value) ? value[kind] : undefined;
  };
  const items = (key: string, kind: string): readonly Json[] => {
    const list = field(key, 'list');
    const found = isObject(list) ? list[kind] : undefined;
    return Array.isArray(found) ? found : [];
  };
  const missing = (key: string): never => {
    throw new Error(`${op} "${name}": the attribute ${key} is missing`);
  };
  return {
    number: (key, absent) => {
      const value = field(key, 'i') ?? field(key, 'f') ?? absent;
      return value === undefined ? missing(key) : Number(value);
    },
    flag: key => field(key, 'b') === true,
    text: (key, absent) => {
      const value = field(key, 's');
      return value === undefined ? (absent ?? missing(key)) : decoded(value);
    },
    numbers: key => (items(key, 'i').length > 0 ? items(key, 'i') : items(key, 'f')).map(Number),
    texts: key => items(key, 's').map(decoded),
    dtype: (key, absent) => dtypeOf(field(key, 'type')) ?? absent ?? missing(key),
  };
}

/** Inputs and outputs by the signature, else placeholders and what nobody reads. */
export interface GraphPorts {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

export function portsOf(nodes: readonly GraphNode[], signature: Json | undefined): GraphPorts {
  const listed = (key: string): Port[] | null => {
    const ports = isObject(signature) ? signature[key] : undefined;
    return isObject(ports)
      ? Object.values(ports).map((port, i) =>
          isObject(port)
            ? portOf(String(port['name'] ?? Object.keys(ports)[i]), port['dtype'], port['tensorShape'])
            : portOf('?', null, null),
        )
      : null;
  };
  const read = new Set(nodes.flatMap(({ inputs }) => inputs.map(nodeOf)));
  const shapeOf = ({ attributes }: GraphNode): Json | undefined => {
    const shape = attributes['shape'];
    return isObject(shape) ? shape['shape'] : undefined;
  };
  const typeOf = ({ attributes }: GraphNode): Json | undefined => {
    const type = attributes['dtype'] ?? attributes['T'];
    return isObject(type) ? type['type'] : undefined;
  };
  const placeholders = nodes.filter(({ op }) => op === 'Placeholder');
  const last = nodes.filter(({ name, op }) => !read.has(name) && !SOURCES.has(op));
  return {
    inputs: listed('inputs') ?? placeholders.map(node => portOf(node.name, typeOf(node), shapeOf(node))),
    outputs: listed('outputs') ?? last.map(node => portOf(node.name, typeOf(node), undefined)),
  };
}

function portOf(name: string, type: Json | undefined, shape: Json | undefined): Port {
  const dims = isObject(shape ?? null) ? (shape as JsonObject)['dim'] : undefined;
  const sizes = (Array.isArray(dims) ? dims : []).map((dim: Json) => (isObject(dim) ? Number(dim['size'] ?? -1) : -1));
  return { name, type: String(type ?? '?'), shape: sizes.map(n => (n < 0 ? null : n)) };
}

/** `scope/name:1` -> the node's name and which of its outputs. */
const nodeOf = (reference: string): string => reference.replace(/:\d+$/, '');
const outputOf = (reference: string): number => Number(/:(\d+)$/.exec(reference)?.[1] ?? 0);

/** A graph. Takes one tensor per input and gives one per output, in the signature's order. */
export class GraphModel extends Module<readonly Tensor[], Tensor | readonly Tensor[]> {
  readonly #order: readonly GraphNode[];
  readonly #ports: GraphPorts;
  readonly #constants = new Map<string, Tensor>();

  constructor(nodes: readonly GraphNode[], signature: Json | undefined, weights: Weights, path: string) {
    super();
    const missing = [...new Set(nodes.filter(({ op }) => !runsOperator(op)).map(({ op }) => op))];
    if (missing.length > 0) throw new Error(`${path}: operators that Tenon cannot run: ${missing.join(', ')}`);
    this.#ports = portsOf(nodes, signature);
    if (this.#ports.outputs.length === 0)
      throw new Error(`${path}: every node of the graph is an input of another: it has no outputs`);
    this.#order = ordered(nodes, this.#ports, path);
    for (const { name, op } of this.#order) {
      if (op !== 'Const') continue;
      const value = weights[name];
      if (!value) throw new Error(`${path}: the constant ${JSON.stringify(name)} is not among the weights`);
      if (name in this) throw new Error(`${path}: the name of the constant ${name} is taken by a member of the class`);
      if (isFloat(value.dtype)) {
        const parameter = new Parameter(value, { name });
        Object.defineProperty(this, name, { value: parameter, enumerable: true, configurable: true, writable: true });
        this.#constants.set(name, parameter);
      } else this.#constants.set(name, value);
    }
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
    const known = new Map<string, readonly Tensor[]>();
    this.inputs.forEach(({ name }, i) => {
      known.set(nodeOf(name), [inputs[i]!]);
    });
    const value = (reference: string): Tensor => {
      const found = known.get(nodeOf(reference))?.[outputOf(reference)];
      if (!found) throw new Error(`GraphModel: there is no value ${reference}`);
      return found;
    };
    for (const node of this.#order) {
      if (known.has(node.name) || node.op === 'NoOp') continue;
      if (node.op === 'Placeholder') throw new Error(`GraphModel: the input ${node.name} is not given`);
      const constant = this.#constants.get(node.name);
      if (constant) {
        known.set(node.name, [constant]);
        continue;
      }
      let result: Tensor | readonly Tensor[];
      try {
        result = OPERATORS[node.op]!(node.inputs.map(value), attributesOf(node));
      } catch (error) {
        throw new Error(`${node.op} "${node.name}": ${(error as Error).message}`, { cause: error });
      }
      known.set(node.name, Array.isArray(result) ? result : [result as Tensor]);
    }
    const outputs = this.outputs.map(({ name }) => value(name));
    return outputs.length === 1 ? outputs[0]! : outputs;
  }
}

/** What the outputs need, each node after its inputs. @throws Error for a cycle, and for an input that is no node */
function ordered(nodes: readonly GraphNode[], ports: GraphPorts, path: string): GraphNode[] {
  const byName = new Map(nodes.map(node => [node.name, node]));
  const state = new Map<string, 'open' | 'done'>();
  const order: GraphNode[] = [];
  const stack = ports.outputs.map(({ name }) => nodeOf(name)).reverse();
  while (stack.length > 0) {
    const name = stack.at(-1)!;
    const node = byName.get(name);
    if (!node) throw new Error(`${path}: there is no node ${JSON.stringify(name)}`);
    const before = state.get(name);
    if (before !== undefined) {
      stack.pop();
      if (before === 'open') {
        state.set(name, 'done');
        order.push(node);
      }
      continue;
    }
    state.set(name, 'open');
    for (const input of node.inputs.map(nodeOf)) {
      const seen = state.get(input);
      if (seen === 'open') throw new Error(`${path}: the node ${JSON.stringify(input)} is an input of itself`);
      if (seen === undefined) stack.push(input);
    }
  }
  return order;
}
