/**
 * An ONNX file as a Module: its float initializers are parameters under the file's names, running statistics are
 * buffers, everything else is constant. Run it, compile it, take gradients, train it further.
 */

import { Module } from '../../nn/index.ts';
import { Parameter, Tensor } from '../../tensor/index.ts';
import { liveParameter } from '../liveParameters.ts';
import { readMessage } from '../protobuf/read.ts';
import { type ElementType, isNumeric, type NumericType, TYPES, typeOfCode } from './elementTypes.ts';
import { type Files, filesOfBytes, withFiles } from './files.ts';
import { isRandom } from './ops/index.ts';
import { type PlannedGraph, type PlannedNode, planModel } from './plan.ts';
import { type DimensionProto, type ModelProto, ONNX, type TypeProto, type ValueInfoProto } from './proto/schema.ts';
import { decodeTensors, runGraph, Scope, type Session } from './run.ts';
import { denseFromProto, optionalFromProto, sequenceFromProto, tensorFromProto } from './tensorData.ts';
import { type StringTensor, sequence, strings, typed, type Value } from './values.ts';
import { fitTo } from './wrap.ts';

/** Texts in C order and their shape. */
export type Strings = Pick<StringTensor, 'shape' | 'strings'>;
/** What goes in and comes out: tensors, texts, sequences, nothing (an empty optional), maps. */
export type ModelValue = Tensor | Strings | readonly ModelValue[] | null | ReadonlyMap<string | bigint, ModelValue>;

/** One input or output of a model. */
export interface ModelPort {
  readonly name: string;
  readonly kind: 'tensor' | 'sequence' | 'optional' | 'map';
  /** Element type as ONNX names it; null for what is no tensor. */
  readonly type: string | null;
  /** Sizes; a text is a dynamic axis' name, null an unknown size. Null where the rank is unknown. */
  readonly shape: readonly (number | string | null)[] | null;
}

/** Operator inputs that are settings, not weights: what stands there stays constant however it is stored. */
const SETTINGS: Readonly<Record<string, readonly number[]>> = {
  Resize: [1, 2, 3],
  Upsample: [1],
  Clip: [1, 2],
  Pad: [1, 2, 3],
  Range: [0, 1, 2],
  OneHot: [1, 2],
  Dropout: [1, 2],
  Pow: [1],
  QuantizeLinear: [1, 2],
  DequantizeLinear: [1, 2],
  QLinearConv: [1, 2, 4, 5, 6, 7],
  QLinearMatMul: [1, 2, 4, 5, 6, 7],
  MatMulInteger: [2, 3],
  ConvInteger: [2, 3],
  NonMaxSuppression: [2, 3, 4],
  Where: [0],
  MelWeightMatrix: [0, 1, 2, 3, 4],
};

/** Running statistics: state, but nothing a gradient reaches. */
const STATISTICS: Readonly<Record<string, readonly number[]>> = { BatchNormalization: [3, 4] };

const PREFIX = 'onnx:';

/** A size, the name of a free one, or null; -1 is how some writers say that a size is free. */
const sizeOf = ({ dimValue, dimParam }: DimensionProto): number | string | null =>
  dimValue !== null && dimValue >= 0 ? dimValue : dimParam || null;

export function portOf({ name, type }: ValueInfoProto): ModelPort {
  const tensor = type?.tensorType;
  const kind = type?.optionalType ? 'optional' : type?.sequenceType ? 'sequence' : type?.mapType ? 'map' : 'tensor';
  if (!tensor) return { name, kind, type: null, shape: null };
  const shape = tensor.shape?.dim.map(sizeOf) ?? null;
  return { name, kind, type: typeOfCode(tensor.elemType), shape };
}

/** Names that stand where the table says, in this graph and the ones inside it. */
function usedAs(
  table: Readonly<Record<string, readonly number[]>>,
  graph: PlannedGraph,
  found = new Set<string>(),
): Set<string> {
  for (const { node, graphs } of graph.nodes) {
    for (const at of table[node.opType] ?? []) if (node.input[at]) found.add(node.input[at]);
    for (const inner of graphs.values()) usedAs(table, inner, found);
  }
  return found;
}

/** Names of the operators of nodes, their subgraphs and functions. */
function operatorsOf(nodes: readonly PlannedNode[], found = new Set<string>()): Set<string> {
  for (const { node, graphs, function: called } of nodes) {
    if (called) operatorsOf(called.nodes, found);
    else found.add(node.domain && node.domain !== 'ai.onnx' ? `${node.domain}.${node.opType}` : node.opType);
    for (const graph of graphs.values()) operatorsOf(graph.nodes, found);
  }
  return found;
}

/**
 * Nodes of the main graph whose value can be computed once: all they read is constant, and they draw nothing at random.
 */
function constantNodes(graph: PlannedGraph, constants: ReadonlySet<string>): Set<PlannedNode> {
  const known = new Set(constants);
  const found = new Set<PlannedNode>();
  for (const planned of graph.nodes) {
    const { node, graphs } = planned;
    if (graphs.size > 0 || planned.function || isRandom(node.opType)) continue;
    if (!node.input.every(name => name === '' || known.has(name))) continue;
    found.add(planned);
    for (const name of node.output) known.add(name);
  }
  return found;
}

/** What a model and its copies (`clone`) have in common; a class, as copies share what is no plain object. */
class Loaded {
  readonly graph: PlannedGraph;
  readonly session: Omit<Session, 'training'>;
  /** Initializers by name; parameters among them are live. */
  readonly stored: ReadonlyMap<string, Value>;

  constructor(graph: PlannedGraph, session: Omit<Session, 'training'>, stored: ReadonlyMap<string, Value>) {
    this.graph = graph;
    this.session = session;
    this.stored = stored;
  }
}

/**
 * An ONNX file as a module: its initializers are parameters under their names, `forward` takes the inputs in the file's
 * order.
 */
export class OnnxModel extends Module<readonly Tensor[], Tensor> {
  /** What the model takes, without inputs that have a stored default. */
  readonly inputs: readonly ModelPort[];
  readonly outputs: readonly ModelPort[];
  /** Every input of the graph in the file's order, also those with a stored default. */
  readonly ports: readonly ModelPort[];
  /** The operators the model uses, those of other domains than ai.onnx with their domain. */
  readonly operators: readonly string[];
  /** Opset version by domain; '' is ai.onnx. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly producer: string;
  private readonly loaded: Loaded;

  override extraRepr(): string {
    const opsets = Object.entries(this.opsets).map(([domain, version]) => `${domain || 'ai.onnx'}=${version}`);
    const producer = this.producer ? [`producer='${this.producer}'`] : [];
    return [`operators=[${this.operators.join(', ')}]`, ...opsets, ...producer].join(', ');
  }

  constructor(proto: ModelProto, files: Files) {
    super();
    const graph = planModel(proto, files.name);
    this.opsets = Object.fromEntries(proto.opsetImport.map(({ domain, version }) => [domain, version]));
    this.metadata = Object.fromEntries(proto.metadataProps.map(({ key, value }) => [key, value]));
    this.producer = [proto.producerName, proto.producerVersion].filter(Boolean).join(' ');
    const stored = this.readInitializers(graph, files);
    const constants = new Set(
      [...stored]
        .filter(([, value]) => !(value.kind === 'tensor' && value.tensor instanceof Parameter))
        .map(([name]) => name),
    );
    // A stored value with the name of an input is that input's default, and may be replaced.
    for (const { name } of graph.inputs) constants.delete(name);
    this.inputs = graph.inputs.filter(({ name }) => !stored.has(name)).map(portOf);
    this.outputs = graph.outputs.map(portOf);
    this.ports = graph.inputs.map(portOf);
    this.operators = [...operatorsOf(graph.nodes)];
    const session = { files, folded: new Map(), constant: constantNodes(graph, constants), decoded: new Map() };
    this.loaded = new Loaded(graph, session, stored);
    decodeTensors(graph.nodes, { ...session, training: false });
    this.eval();
  }

  private readInitializers(graph: PlannedGraph, files: Files): Map<string, Value> {
    const stored = new Map<string, Value>();
    const settings = usedAs(SETTINGS, graph);
    const statistics = usedAs(STATISTICS, graph);
    for (const proto of graph.proto.initializer) {
      const value = tensorFromProto(proto, files, 'initializer');
      stored.set(proto.name, this.keep(proto.name, value, settings, statistics));
    }
    for (const proto of graph.proto.sparseInitializer) {
      const name = proto.values?.name ?? '';
      stored.set(
        name,
        this.keep(name, denseFromProto(proto, files, `sparse initializer "${name}"`), settings, statistics),
      );
    }
    return stored;
  }

  /** The value as a parameter or buffer where it is one. */
  private keep(name: string, value: Value, settings: ReadonlySet<string>, statistics: ReadonlySet<string>): Value {
    const floats: readonly string[] = ['float', 'double', 'float16', 'bfloat16'];
    if (value.kind !== 'tensor' || !floats.includes(value.type) || settings.has(name)) return value;
    const property = PREFIX + name;
    const parameter = new Parameter(value.tensor, { name, requiresGrad: !statistics.has(name) });
    if (statistics.has(name)) this.registerBuffer(property, parameter);
    else
      Object.defineProperty(this, property, { value: parameter, enumerable: true, configurable: true, writable: true });
    return typed(parameter, value.type);
  }

  protected override childKey(property: string): string {
    return property.startsWith(PREFIX) ? property.slice(PREFIX.length) : property;
  }

  /** The stored value as it is now: `to(dtype)` or `clone` may have replaced a parameter by its twin. */
  private current(name: string, value: Value): Value {
    if (value.kind !== 'tensor' || !(value.tensor instanceof Parameter)) return value;
    const held = liveParameter(this, PREFIX + name);
    return held === value.tensor ? value : typed(held);
  }

  /**
   * Runs the model on inputs in the order of `inputs`.
   * @returns the output of a model that has one, a tensor
   * @throws Error when there are several outputs or it is no tensor: use `run`
   */
  forward(...inputs: readonly Tensor[]): Tensor {
    const [only] = this.outputs;
    if (this.outputs.length !== 1)
      throw new Error(`${this.source}: it has ${this.outputs.length} outputs; use run, which gives all by name`);
    const result = this.run(Object.fromEntries(inputs.map((input, i) => [this.inputName(i, inputs.length), input])));
    const value = result[only!.name];
    if (!(value instanceof Tensor)) throw new Error(`${this.source}: its output "${only!.name}" is no tensor; use run`);
    return value;
  }

  /**
   * Runs the model on inputs by name.
   * @returns all outputs by name
   * @throws Error that names the input that is missing, unknown or of a wrong type or shape, or the node that fails
   */
  run(feeds: Readonly<Record<string, ModelValue>>): Record<string, ModelValue> {
    const given = Object.fromEntries(
      Object.entries(feeds).map(([name, value]) => [name, this.given(name, value)] as const),
    );
    const values = this.runValues(given);
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, publicValue(value)]));
  }

  /** `run` with ONNX's own element types on every value. */
  runValues(feeds: Readonly<Record<string, Value>>): Record<string, Value> {
    const scope = new Scope();
    for (const [name, value] of this.loaded.stored) scope.values.set(name, this.current(name, value));
    for (const [name, value] of Object.entries(feeds)) {
      if (!this.loaded.graph.inputs.some(input => input.name === name))
        throw new Error(
          `${this.source}: there is no input "${name}"; it takes ${this.loaded.graph.inputs.map(input => `"${input.name}"`).join(', ')}`,
        );
      scope.values.set(name, value);
    }
    for (const { name } of this.inputs)
      if (!scope.values.has(name)) throw new Error(`${this.source}: input "${name}" is missing`);
    const outputs = runGraph(this.loaded.graph, scope, { ...this.loaded.session, training: this.training });
    return Object.fromEntries(outputs.map((value, i) => [this.loaded.graph.outputs[i]!.name, value]));
  }

  private get source(): string {
    return this.loaded.session.files.name;
  }

  private inputName(i: number, given: number): string {
    const port = this.inputs[i];
    if (!port) throw new Error(`${this.source}: ${given} inputs came, it takes ${this.inputs.length}`);
    return port.name;
  }

  /** A value from outside with the type the file declares, checked against it. */
  private given(name: string, value: ModelValue): Value {
    const port = this.loaded.graph.inputs.find(input => input.name === name);
    return givenValue(value, port?.type ?? null, what => {
      throw new Error(`${this.source}: input "${name}": ${what}`);
    });
  }
}

function givenValue(value: ModelValue, type: TypeProto | null, fail: (what: string) => never): Value {
  const optional = type?.optionalType?.elemType;
  if (value === null) return optional || type === null ? { kind: 'none' } : fail('null came, expected a value');
  if (optional) return givenValue(value, optional, fail);
  if (Array.isArray(value))
    return sequence(value.map((item: ModelValue) => givenValue(item, type?.sequenceType?.elemType ?? null, fail)));
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<string | bigint, ModelValue>)];
    return {
      kind: 'map',
      keys: entries.map(([key]) => key),
      values: entries.map(([, item]) => givenValue(item, type?.mapType?.valueType ?? null, fail)),
    };
  }
  if (!(value instanceof Tensor)) {
    const texts = value as Strings;
    return Array.isArray(texts.strings) ? strings(texts.strings, texts.shape) : fail('expected a tensor');
  }
  const declared = type?.tensorType ?? null;
  const elements = declared ? typeOfCode(declared.elemType) : null;
  if (!elements) return typed(value);
  if (!isNumeric(elements)) return fail(`expected ${elements}, got a ${value.dtype} tensor`);
  const { dtype } = TYPES[elements];
  if (dtype !== value.dtype) fail(`expected ${dtype} (${elements}), got ${value.dtype}`);
  const sizes = declared!.shape?.dim.map(sizeOf);
  if (sizes) {
    const matches =
      sizes.length === value.ndim && sizes.every((size, d) => typeof size !== 'number' || size === value.shape[d]);
    if (!matches && sizes.length > 0)
      fail(`expected shape [${sizes.map(size => size ?? '?').join(', ')}], got [${value.shape.join(', ')}]`);
  }
  return typed(fitTo(elements, value), elements);
}

function publicValue(value: Value): ModelValue {
  switch (value.kind) {
    case 'tensor':
      return value.tensor;
    case 'strings':
      return { shape: value.shape, strings: value.strings };
    case 'sequence':
      return value.values.map(publicValue);
    case 'map':
      return new Map(value.keys.map((key, i) => [key, publicValue(value.values[i]!)]));
    case 'none':
      return null;
  }
}

/**
 * Reads an ONNX file. Tensors are read one at a time by range, from the file or from external data in its folder, so
 * its size is bounded by what the tensors need.
 * @returns the model in evaluation mode
 * @throws Error naming the file and offset or field that is wrong, or every node whose operator is not supported
 */
export function load(path: string): OnnxModel {
  return withFiles(path, files => new OnnxModel(readModel(files), files));
}

/** The same from bytes in memory; `name` is what errors call them. */
export function parse(bytes: Uint8Array, name = 'onnx'): OnnxModel {
  const files = filesOfBytes(bytes, name);
  return new OnnxModel(readModel(files), files);
}

/**
 * Reads a stored value: the bytes of a TensorProto, SequenceProto or OptionalProto, as test data has them.
 * @throws Error naming what is wrong with it
 */
export function parseValue(bytes: Uint8Array, kind: ModelPort['kind'] = 'tensor', name = 'value'): Value {
  const files = filesOfBytes(bytes, name);
  if (kind === 'optional') return optionalFromProto(readMessage(files.source, ONNX, 'OptionalProto'), files);
  if (kind === 'sequence') return sequenceFromProto(readMessage(files.source, ONNX, 'SequenceProto'), files);
  return tensorFromProto(readMessage(files.source, ONNX, 'TensorProto'), files);
}

/** A tensor converted to what holds the element type `type`, with that type. */
export function typedAs(tensor: Tensor, type: string): Value {
  if (!isNumeric(type as ElementType)) throw new TypeError(`typedAs: ${type} is no type of numbers`);
  return typed(tensor.to(TYPES[type as NumericType].dtype), type as NumericType);
}

function readModel(files: Files): ModelProto {
  const model = readMessage(files.source, ONNX, 'ModelProto');
  if (!model.graph) throw new Error(`${files.name}: it is no ONNX model: there is no graph`);
  return model;
}
