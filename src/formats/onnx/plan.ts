/**
 * From a GraphProto to nodes ready to run: operators resolved to rules by opset, functions expanded, attributes bound,
 * everything checked. Nothing runs here; what cannot run is named, all of it at once.
 */
import type { Rule } from './call.ts';
import { ruleFor } from './ops/index.ts';
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  ValueInfoProto,
} from './proto/schema.ts';

/** A node with its rule, or a call of a function with the function's plan. */
export interface PlannedNode {
  readonly node: NodeProto;
  readonly label: string;
  readonly opset: number;
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  readonly rule: Rule | null;
  readonly function: PlannedFunction | null;
  readonly graphs: ReadonlyMap<string, PlannedGraph>;
}

interface PlannedFunction {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly PlannedNode[];
}

export interface PlannedGraph {
  readonly proto: GraphProto;
  readonly inputs: readonly ValueInfoProto[];
  readonly outputs: readonly ValueInfoProto[];
  readonly nodes: readonly PlannedNode[];
}

/** Functions are expanded where they are called; a file must not unfold into more nodes than this. */
const MAX_NODES = 1_000_000;
/** How deep functions and subgraphs may call one another. */
const MAX_DEPTH = 64;

const ATTRIBUTE_TYPE_GRAPH = 5;

type Opsets = ReadonlyMap<string, number>;

export const domainOf = (domain: string): string => (domain === 'ai.onnx' ? '' : domain);
const domainName = (domain: string): string => domain || 'ai.onnx';
export const functionKey = (domain: string, name: string, overload: string): string =>
  `${domainOf(domain)}:${name}:${overload}`;

export const opsetsOf = (imports: readonly { domain: string; version: number }[]): Opsets =>
  new Map(imports.map(({ domain, version }) => [domainOf(domain), version]));

class Planner {
  readonly file: string;
  readonly functions: ReadonlyMap<string, FunctionProto>;
  /** Operators nobody here knows, by what they are called. */
  readonly unsupported: string[] = [];
  #nodes = 0;
  readonly #calls: string[] = [];

  constructor(file: string, model: ModelProto) {
    this.file = file;
    this.functions = new Map(model.functions.map(f => [functionKey(f.domain, f.name, f.overload), f]));
  }

  fail(what: string): never {
    throw new Error(`${this.file}: ${what}`);
  }

  graph(proto: GraphProto, opsets: Opsets, outer: ReadonlySet<string>, bound: Bound, path: string): PlannedGraph {
    if (this.#calls.length > MAX_DEPTH) this.fail(`${path}: graphs and functions nest deeper than ${MAX_DEPTH}`);
    const known = new Set<string>();
    for (const { name } of proto.input) this.define(known, name, `${path}: input`);
    for (const { name } of proto.initializer) known.add(name);
    for (const { values } of proto.sparseInitializer) if (values) known.add(values.name);
    const nodes = this.nodes(proto.node, opsets, known, outer, bound, path);
    for (const { name } of proto.output)
      if (!known.has(name) && !outer.has(name)) this.fail(`${path}: output "${name}" is computed by no node`);
    return { proto, inputs: proto.input, outputs: proto.output, nodes };
  }

  define(known: Set<string>, name: string, where: string): void {
    if (known.has(name)) this.fail(`${where} "${name}" is defined twice`);
    known.add(name);
  }

  /** Nodes in an order in which every value is there before it is read. */
  nodes(
    protos: readonly NodeProto[],
    opsets: Opsets,
    known: Set<string>,
    outer: ReadonlySet<string>,
    bound: Bound,
    path: string,
  ): PlannedNode[] {
    this.#nodes += protos.length;
    if (this.#nodes > MAX_NODES) this.fail(`its functions unfold into more than ${MAX_NODES} nodes`);
    const ordered = this.sorted(protos, known, outer, path);
    const visible = new Set([...outer, ...known]);
    for (const node of ordered) {
      for (const name of node.output)
        if (name) {
          this.define(known, name, `${this.label(node, path)}: output`);
          visible.add(name);
        }
    }
    return ordered.map(node => this.node(node, opsets, visible, bound, path));
  }

  sorted(
    protos: readonly NodeProto[],
    known: ReadonlySet<string>,
    outer: ReadonlySet<string>,
    path: string,
  ): readonly NodeProto[] {
    const producer = new Map<string, NodeProto>();
    for (const node of protos)
      for (const name of node.output) if (name && !producer.has(name)) producer.set(name, node);
    const needs = new Map(protos.map(node => [node, [...node.input, ...freeNames(node)]]));
    const available = new Set([...known, ...outer]);
    const order: NodeProto[] = [];
    const state = new Map<NodeProto, 'open' | 'done'>();
    const stack: NodeProto[] = [];
    for (const start of protos) {
      stack.push(start);
      while (stack.length > 0) {
        const node = stack[stack.length - 1]!;
        if (state.get(node) === 'done') {
          stack.pop();
          continue;
        }
        const missing = needs
          .get(node)!
          .filter(name => name && !available.has(name) && !node.output.includes(name) && producer.has(name))
          .map(name => producer.get(name)!);
        if (missing.length > 0) {
          if (state.get(node) === 'open') {
            const open = missing.find(other => state.get(other) === 'open') ?? missing[0]!;
            this.fail(`${this.label(node, path)}: the graph has a cycle through ${this.label(open, path)}`);
          }
          state.set(node, 'open');
          for (const other of missing) {
            if (state.get(other) === 'open')
              this.fail(`${this.label(node, path)}: the graph has a cycle through ${this.label(other, path)}`);
            stack.push(other);
          }
          continue;
        }
        for (const name of node.input)
          if (name && !available.has(name))
            this.fail(`${this.label(node, path)}: input "${name}" is neither an input, an initializer nor computed`);
        stack.pop();
        state.set(node, 'done');
        order.push(node);
        for (const name of node.output) available.add(name);
      }
    }
    return order;
  }

  label(node: NodeProto, path: string): string {
    const name = node.name || node.output.find(output => output !== '') || '';
    return `${path ? `${path} / ` : ''}node "${name}" (${node.domain && node.domain !== 'ai.onnx' ? `${node.domain}.` : ''}${node.opType})`;
  }

  node(node: NodeProto, opsets: Opsets, visible: ReadonlySet<string>, bound: Bound, path: string): PlannedNode {
    const domain = domainOf(node.domain);
    const label = this.label(node, path);
    const attributes = boundAttributes(node, bound);
    const called = this.functions.get(functionKey(domain, node.opType, node.overload));
    const opset =
      opsets.get(domain) ?? (called ? 0 : this.fail(`${label}: domain "${domainName(domain)}" has no opset_import`));
    const planned = { node, label: `${label}, opset ${opset}`, opset, attributes };
    if (called) return { ...planned, rule: null, function: this.call(called, attributes, label), graphs: new Map() };
    const rule = ruleFor(domain, node.opType, opset);
    if (!rule) this.unsupported.push(`${label}, opset ${opset}`);
    const graphs = new Map<string, PlannedGraph>();
    this.#calls.push(label);
    for (const [name, { g, type }] of attributes)
      if (g && (type === ATTRIBUTE_TYPE_GRAPH || type === 0))
        graphs.set(name, this.graph(g, opsets, visible, bound, `${label}.${name}`));
    this.#calls.pop();
    return { ...planned, rule, function: null, graphs };
  }

  call(proto: FunctionProto, given: ReadonlyMap<string, AttributeProto>, label: string): PlannedFunction {
    const key = functionKey(proto.domain, proto.name, proto.overload);
    if (this.#calls.includes(key)) this.fail(`${label}: function ${proto.name} calls itself`);
    if (this.#calls.length > MAX_DEPTH) this.fail(`${label}: functions nest deeper than ${MAX_DEPTH}`);
    const bound = new Map(proto.attributeProto.map(attribute => [attribute.name, attribute]));
    for (const [name, attribute] of given) bound.set(name, attribute);
    const known = new Set(proto.input);
    this.#calls.push(key);
    const nodes = this.nodes(proto.node, opsetsOf(proto.opsetImport), known, new Set(), bound, label);
    this.#calls.pop();
    for (const name of proto.output)
      if (!known.has(name)) this.fail(`${label}: function ${proto.name} does not compute its output "${name}"`);
    return { inputs: proto.input, outputs: proto.output, nodes };
  }
}

/** Attributes of the function around, which a node's attribute may refer to by name. */
type Bound = ReadonlyMap<string, AttributeProto> | null;

function boundAttributes(node: NodeProto, bound: Bound): ReadonlyMap<string, AttributeProto> {
  const attributes = new Map<string, AttributeProto>();
  for (const attribute of node.attribute) {
    if (!attribute.refAttrName) attributes.set(attribute.name, attribute);
    else {
      const value = bound?.get(attribute.refAttrName);
      if (value) attributes.set(attribute.name, { ...value, name: attribute.name });
    }
  }
  return attributes;
}

/** Names a node's subgraphs read from around them. */
function freeNames(node: NodeProto): string[] {
  const free: string[] = [];
  for (const { g } of node.attribute) if (g) collectFree(g, free, 0);
  return free;
}

function collectFree(graph: GraphProto, free: string[], depth: number): void {
  if (depth > MAX_DEPTH) return;
  const own = new Set([
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.node.flatMap(node => node.output),
  ]);
  const inner: string[] = [];
  for (const node of graph.node) {
    inner.push(...node.input);
    for (const { g } of node.attribute) if (g) collectFree(g, inner, depth + 1);
  }
  inner.push(...graph.output.map(({ name }) => name));
  for (const name of inner) if (name && !own.has(name)) free.push(name);
}

/**
 * The model's graph, planned.
 * @throws Error naming every node whose operator is not supported, or what is wrong with the graph
 */
export function planModel(model: ModelProto, file: string): PlannedGraph {
  const planner = new Planner(file, model);
  if (!model.graph) return planner.fail('the model has no graph');
  const opsets = new Map(opsetsOf(model.opsetImport));
  // Files of IR version 1 and 2 may import nothing: they are of opset 1.
  if (!opsets.has('') && model.irVersion < 3) opsets.set('', 1);
  const graph = planner.graph(model.graph, opsets, new Set(), null, '');
  if (planner.unsupported.length > 0)
    throw new Error(
      `${file}: operators that are not supported:\n${planner.unsupported.map(text => `  ${text}`).join('\n')}`,
    );
  return graph;
}
