/**
 * Runs planned graphs: values by name in nested scopes, one rule call per node. Running is lazy like every operation of
 * ours; only what decides shapes is evaluated on the way.
 */
import { Tensor } from '../../tensor/index.ts';
import { Call, type Context, type Output, type Subgraph } from './call.ts';
import type { Files } from './files.ts';
import type { PlannedGraph, PlannedNode } from './plan.ts';
import type { AttributeProto } from './proto/schema.ts';
import { denseFromProto, tensorFromProto } from './tensorData.ts';
import { describeValue, typed, type Value } from './values.ts';

/** Values by name; names not found here are looked up outside. */
export class Scope {
  readonly values = new Map<string, Value>();
  readonly outer: Scope | null;

  constructor(outer: Scope | null = null) {
    this.outer = outer;
  }

  find(name: string): Value | null {
    for (let scope: Scope | null = this; scope; scope = scope.outer) {
      const value = scope.values.get(name);
      if (value) return value;
    }
    return null;
  }
}

/** What a run needs beside the graph. */
export interface Session {
  readonly files: Files;
  readonly training: boolean;
  /** Outputs of nodes that depend on nothing given: computed once. */
  readonly folded: Map<PlannedNode, readonly (Value | null)[]>;
  /** Nodes whose inputs are all constant. */
  readonly constant: ReadonlySet<PlannedNode>;
  /** Tensors of attributes and of subgraphs' initializers, decoded once. */
  readonly decoded: Map<object, Value>;
}

function remembered(session: Session, key: object, make: () => Value): Value {
  let value = session.decoded.get(key);
  if (!value) {
    value = make();
    session.decoded.set(key, value);
  }
  return value;
}

function attributeTensor(session: Session, attribute: AttributeProto, label: string): Value {
  return remembered(session, attribute, () =>
    attribute.sparseTensor
      ? denseFromProto(attribute.sparseTensor, session.files, `${label}: ${attribute.name}`)
      : tensorFromProto(attribute.t!, session.files, `${label}: ${attribute.name}`),
  );
}

/** Decodes every tensor the nodes and their subgraphs hold, while the file is open. */
export function decodeTensors(nodes: readonly PlannedNode[], session: Session): void {
  for (const { attributes, graphs, label, ...planned } of nodes) {
    for (const attribute of attributes.values())
      if (attribute.t || attribute.sparseTensor) attributeTensor(session, attribute, label);
    for (const graph of graphs.values()) {
      bindInitializers(graph, new Scope(), session);
      decodeTensors(graph.nodes, session);
    }
    if (planned.function) decodeTensors(planned.function.nodes, session);
  }
}

/** Initializers of a subgraph into its scope. */
function bindInitializers(graph: PlannedGraph, scope: Scope, session: Session): void {
  for (const proto of graph.proto.initializer)
    scope.values.set(
      proto.name,
      remembered(session, proto, () => tensorFromProto(proto, session.files, 'initializer')),
    );
  for (const proto of graph.proto.sparseInitializer)
    scope.values.set(
      proto.values!.name,
      remembered(session, proto, () => denseFromProto(proto, session.files, 'sparse initializer')),
    );
}

function subgraphOf(graph: PlannedGraph, outer: Scope, session: Session, label: string): Subgraph {
  return {
    inputs: graph.inputs,
    outputs: graph.outputs,
    run(inputs) {
      const scope = new Scope(outer);
      bindInitializers(graph, scope, session);
      graph.inputs.forEach(({ name }, i) => {
        const value = inputs[i];
        if (value) scope.values.set(name, value);
        else if (!scope.values.has(name)) throw new Error(`${label}: the subgraph's input "${name}" is not given`);
      });
      runNodes(graph.nodes, scope, session);
      return graph.outputs.map(({ name }) => scope.find(name)!);
    },
  };
}

const asValue = (output: Output): Value | null => (output instanceof Tensor ? typed(output) : output);

function contextOf(planned: PlannedNode, all: readonly PlannedNode[], scope: Scope, session: Session): Context {
  const { label, opset, attributes, node } = planned;
  return {
    label,
    opset,
    attributes,
    training: session.training,
    outputs: node.output,
    subgraph(name) {
      const graph = planned.graphs.get(name);
      if (!graph) throw new Error(`${label}: attribute ${name} is missing`);
      return subgraphOf(graph, scope, session, label);
    },
    rerun(replaced, wanted) {
      const inner = new Scope(scope);
      for (const [name, value] of replaced) inner.values.set(name, value);
      // Only what depends on the replaced values is computed again.
      const changed = new Set(replaced.keys());
      const again = all.filter(other => {
        const depends =
          other.node.input.some(name => changed.has(name)) && !other.node.output.every(name => replaced.has(name));
        if (depends) for (const name of other.node.output) changed.add(name);
        return depends;
      });
      const before = again.indexOf(planned);
      runNodes(before < 0 ? again : again.slice(0, before), inner, session);
      const value = inner.find(wanted);
      if (!value) throw new Error(`${label}: "${wanted}" is not computed before this node`);
      return value;
    },
    attributeTensor: attribute => attributeTensor(session, attribute, label),
  };
}

function callFunction(planned: PlannedNode, inputs: readonly (Value | null)[], session: Session): (Value | null)[] {
  const called = planned.function!;
  const scope = new Scope();
  called.inputs.forEach((name, i) => {
    const value = inputs[i];
    if (value) scope.values.set(name, value);
  });
  runNodes(called.nodes, scope, session);
  return called.outputs.map(name => scope.find(name));
}

/**
 * How JavaScript and our lower levels word what a rule stumbled over, such as a dim that an input should have: no
 * sentence for a user.
 */
const ACCIDENT = /undefined|null|NaN|not iterable|not a function|Cannot |Invalid |^internal|call stack|BigInt/;

function runNode(
  planned: PlannedNode,
  all: readonly PlannedNode[],
  scope: Scope,
  session: Session,
): readonly (Value | null)[] {
  const { node, label, rule } = planned;
  const inputs = node.input.map(name => (name === '' ? null : scope.find(name)));
  if (planned.function) return callFunction(planned, inputs, session);
  let result: ReturnType<NonNullable<typeof rule>>;
  try {
    result = rule!(new Call(contextOf(planned, all, scope, session), inputs));
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    if (said.includes('node "') && !ACCIDENT.test(said)) throw error;
    const reason = ACCIDENT.test(said) ? 'the inputs or attributes do not fit this operator' : said;
    throw new Error(`${label}: ${reason} (inputs: ${inputs.map(describeValue).join(', ')})`, { cause: error });
  }
  return Array.isArray(result) ? result.map(asValue) : [asValue(result as Output)];
}

function runNodes(nodes: readonly PlannedNode[], scope: Scope, session: Session): void {
  for (const planned of nodes) {
    let outputs = session.folded.get(planned);
    if (!outputs) {
      outputs = runNode(planned, nodes, scope, session);
      if (session.constant.has(planned)) session.folded.set(planned, outputs);
    }
    planned.node.output.forEach((name, i) => {
      const value = outputs[i];
      if (name && value) scope.values.set(name, value);
    });
  }
}

/** Runs the model's own graph over a scope that holds its inputs and initializers. */
export function runGraph(graph: PlannedGraph, scope: Scope, session: Session): Value[] {
  runNodes(graph.nodes, scope, session);
  return graph.outputs.map(({ name }) => {
    const value = scope.find(name);
    if (!value) throw new Error(`${session.files.name}: output "${name}" was not computed`);
    return value;
  });
}
