/**
 * The nodes of a TensorFlow graph and of the functions in its library, as TensorFlow.js writes them in JSON (a
 * GraphDef).
 */
import type { DType } from '../../tensor/index.ts';
import type { Json } from '../json.ts';
import type { Port } from '../weights.ts';
import { isObject } from './manifest.ts';
import { OPERATORS } from './operators/index.ts';
import type { Attributes } from './operators/operator.ts';

export type JsonObject = { readonly [key: string]: Json };

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  /** `name`, `name:1` for a later output, in functions `name:output:1`. */
  readonly inputs: readonly string[];
  /** Nodes that come before this one without giving it anything: they say which branch a node belongs to. */
  readonly controls: readonly string[];
  readonly attributes: JsonObject;
}

/** A function of the graph's library. */
export interface GraphFunction {
  readonly nodes: readonly GraphNode[];
  /** Names of its arguments, and what its results are. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export type Library = ReadonlyMap<string, GraphFunction>;

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

/** The nodes of a list in JSON. @throws Error naming what is wrong */
function nodesIn(list: Json | undefined, path: string, what: string): GraphNode[] {
  if (!Array.isArray(list)) throw new Error(`${path}: ${what} has no list of nodes`);
  const names = new Set<string>();
  return list.map((node: Json, i) => {
    if (!isObject(node) || typeof node['name'] !== 'string' || typeof node['op'] !== 'string')
      throw new Error(`${path}: node ${i} has no name and op`);
    const { name, op } = node as { name: string; op: string };
    if (names.has(name)) throw new Error(`${path}: two nodes are named ${JSON.stringify(name)}`);
    names.add(name);
    const input = (Array.isArray(node['input']) ? node['input'] : []).map(String);
    return {
      name,
      op,
      inputs: input.filter(text => !text.startsWith('^')),
      controls: input.filter(text => text.startsWith('^')).map(text => text.slice(1)),
      attributes: isObject(node['attr']) ? node['attr'] : {},
    };
  });
}

export const nodesOf = (topology: Json, path: string): GraphNode[] =>
  nodesIn(isObject(topology) ? topology['node'] : undefined, path, 'the graph');

/** The functions of a GraphDef's library (FunctionDef: a signature, nodes, and which of their outputs are returned). */
export function libraryOf(topology: Json, path: string): Library {
  const library = isObject(topology) ? topology['library'] : undefined;
  const list = isObject(library) && Array.isArray(library['function']) ? library['function'] : [];
  return new Map(
    list.map((entry: Json, i) => {
      const signature = isObject(entry) ? entry['signature'] : undefined;
      const name = isObject(signature) ? signature['name'] : undefined;
      if (!isObject(entry) || !isObject(signature) || typeof name !== 'string')
        throw new Error(`${path}: function ${i} of the library has no signature with a name`);
      const names = (key: string): string[] => {
        const args = signature[key];
        return (Array.isArray(args) ? args : []).map((arg: Json) => (isObject(arg) ? String(arg['name']) : ''));
      };
      const returned = isObject(entry['ret']) ? entry['ret'] : {};
      const outputs = names('outputArg').map(output => {
        const reference = returned[output];
        if (typeof reference !== 'string')
          throw new Error(`${path}: function ${name} does not say what its output ${output} is`);
        return reference;
      });
      const nodes = nodesIn(entry['nodeDef'] ?? [], path, `function ${name}`);
      return [name, { nodes, inputs: names('inputArg'), outputs }] as const;
    }),
  );
}

/** Names of the outputs of operators that have several, for references by name. */
const OUTPUT_NAMES: Readonly<Record<string, readonly string[]>> = {
  FusedBatchNorm: ['y', 'batch_mean', 'batch_variance'],
  FusedBatchNormV2: ['y', 'batch_mean', 'batch_variance'],
  FusedBatchNormV3: ['y', 'batch_mean', 'batch_variance'],
  Merge: ['output', 'value_index'],
  Switch: ['output_false', 'output_true'],
  TensorArrayV3: ['handle', 'flow'],
  TopKV2: ['values', 'indices'],
};

/** `scope/name:1` -> the node's name and which of its outputs. */
export const nodeOf = (reference: string): string => reference.replace(/:.*$/, '');

export function outputOf(reference: string, op: string): number {
  const [, first, second] = reference.split(':');
  if (second === undefined) return Number(first ?? 0);
  return Math.max(0, OUTPUT_NAMES[op]?.indexOf(first!) ?? 0) + Number(second);
}

/** Bytes are base64 in JSON; texts of attributes were bytes. */
const decoded = (value: Json): string =>
  new TextDecoder().decode(Uint8Array.from(atob(String(value)), c => c.charCodeAt(0)));

function dtypeOf(value: Json | undefined): DType | undefined {
  const name = typeof value === 'number' ? DTYPE_NUMBERS[value] : value;
  return typeof name === 'string' ? DTYPES[name] : undefined;
}

export function attributesOf({ name, op, attributes }: GraphNode): Attributes {
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

/** The function that an attribute names. */
export function functionName({ attributes }: GraphNode, key: string): string | undefined {
  const value = attributes[key];
  const called = isObject(value) ? value['func'] : undefined;
  return isObject(called) && typeof called['name'] === 'string' ? called['name'] : undefined;
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

/** Operators that call functions, by the attributes that name them. */
export const CALLERS: Readonly<Record<string, readonly string[]>> = {
  If: ['then_branch', 'else_branch'],
  StatelessIf: ['then_branch', 'else_branch'],
  While: ['cond', 'body'],
  StatelessWhile: ['cond', 'body'],
  PartitionedCall: ['f'],
  StatefulPartitionedCall: ['f'],
};

/** The control flow of TensorFlow 1, where it is part of the graph. */
const FLOW: ReadonlySet<string> = new Set(['Switch', 'Merge', 'Enter', 'Exit', 'NextIteration', 'LoopCond']);

export const runsOperator = (op: string): boolean =>
  SOURCES.has(op) || FLOW.has(op) || Object.hasOwn(CALLERS, op) || Object.hasOwn(OPERATORS, op);
