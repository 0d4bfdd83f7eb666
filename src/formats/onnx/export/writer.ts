/**
 * Walks the traces of a module in step and writes each value once: a named composition as its operator, anything else
 * by the rule of its primitive. Bodies of loops and choices are graphs inside, which see every value around them.
 */

import type { Composite } from '../../../graph/composite.ts';
import type { Node, Primitive } from '../../../graph/node.ts';
import { topologicalOrder } from '../../../graph/order.ts';
import { shapeText } from '../../../tensor/convert.ts';
import type { GraphProto } from '../proto/schema.ts';
import { COMPOSITES } from './composites.ts';
import { GraphWriter, type Port } from './graph.ts';
import { readsOf } from './live.ts';
import { PRIMITIVES } from './primitives.ts';
import { type DynamicAxis, type Expression, solve } from './sizes.ts';

/** The same value in every trace; the first trace speaks for what does not depend on sizes. */
export type Twins = readonly Node[];

export interface TraceOf {
  readonly placeholders: readonly Node[];
  readonly outputs: readonly Node[];
  readonly composites: ReadonlyMap<Node, Composite>;
}

/** An output of a body that no node stands for. */
export interface Computed {
  readonly like: Port;
  readonly compute: (graph: GraphWriter) => string;
}

/** A graph that is being written, and what has been written in it. */
interface Scope {
  readonly graph: GraphWriter;
  /** Names of values by their node in the first trace. */
  readonly names: Map<Node, string>;
  /** Names of the results of a loop or a choice, by its identity and the result's number. */
  readonly applications: Map<object, ReadonlyMap<number, string>>;
  /** Which results of a loop or a choice something in this scope reads. */
  readonly wanted: Map<object, Set<number>>;
  readonly outer: Scope | null;
}

const scope = (graph: GraphWriter, outer: Scope | null = null): Scope => ({
  graph,
  names: new Map(),
  applications: new Map(),
  wanted: new Map(),
  outer,
});

/** What the results of one loop or choice have in common, and which of them the node is. */
function applicationOf(node: Node): { readonly of: object; readonly output: number } | null {
  if (node.is('loop')) return { of: node.attrs.loop, output: node.attrs.output };
  return node.is('choose') ? { of: node.attrs.choice, output: node.attrs.output } : null;
}

export class Writer {
  #scope: Scope;
  readonly #traces: readonly TraceOf[];
  readonly #symbols: readonly DynamicAxis[];
  readonly #twins = new Map<Node, Twins>();
  /** Names of parameters and buffers by variable. */
  readonly #parameters: ReadonlyMap<object, string>;

  constructor(
    opset: number,
    traces: readonly TraceOf[],
    symbols: readonly DynamicAxis[],
    inputs: readonly string[],
    parameters: ReadonlyMap<object, string>,
  ) {
    this.#scope = scope(new GraphWriter(opset));
    this.#traces = traces;
    this.#symbols = symbols;
    this.#parameters = parameters;
    for (const name of [...inputs, ...parameters.values()]) this.graph.reserve(name);
    traces[0]!.placeholders.forEach((node, i) => {
      this.#scope.names.set(node, inputs[i]!);
      this.#twins.set(node, traces.map(trace => trace.placeholders[i]!)); // biome-ignore format: one call
    });
  }

  get graph(): GraphWriter {
    return this.#scope.graph;
  }

  get opset(): number {
    return this.graph.opset;
  }

  fail(what: string): never {
    throw new Error(`export: ${what}`);
  }

  compositeOf(node: Node, trace = 0): Composite | undefined {
    return this.#traces[trace]!.composites.get(node);
  }

  /** What a value is computed from: a composition's own inputs, or what the primitive reads of its own. */
  inputsOf(node: Node, trace = 0): readonly Node[] {
    const composite = this.compositeOf(node, trace);
    if (composite && this.#writes(composite)) return composite.inputs.filter(input => input !== null);
    return readsOf(node, input => this.inputsOf(input, trace));
  }

  #writes(composite: Composite): boolean {
    const rule = COMPOSITES[composite.name];
    return rule !== undefined && rule.since <= this.opset && (rule.when?.(composite) ?? true);
  }

  /** Writes what the module's outputs need; names of the outputs in order. */
  write(): string[] {
    return this.#values(this.#traces[0]!.outputs.map((_, i) => this.#traces.map(trace => trace.outputs[i]!)));
  }

  /** Writes what nodes made here need; their names. `make` builds the nodes of one trace. */
  values(make: (trace: number) => readonly Node[]): string[] {
    return this.#values(this.across(make));
  }

  /** The nodes that `make` builds in each trace, as twins. */
  across(make: (trace: number) => readonly Node[]): Twins[] {
    const made = this.#traces.map((_, t) => make(t));
    return made[0]!.map((_, i) => made.map(nodes => nodes[i]!));
  }

  #values(outputs: readonly Twins[]): string[] {
    this.#pair(outputs);
    const roots = outputs.map(([first]) => first!);
    const { wanted } = this.#scope;
    const together = new Map<object, Set<Node>>();
    for (const node of topologicalOrder(roots, this.#isLeaf, node => this.inputsOf(node))) {
      const application = applicationOf(node);
      if (!application) continue;
      const { of, output } = application;
      wanted.set(of, (wanted.get(of) ?? new Set()).add(output));
      together.set(of, new Set([...(together.get(of) ?? []), ...this.inputsOf(node)]));
    }
    // All results of a loop or a choice are written by the first of them.
    const order = topologicalOrder(roots, this.#isLeaf, node => {
      const application = applicationOf(node);
      return application ? [...together.get(application.of)!] : this.inputsOf(node);
    });
    for (const node of order) this.#emit(node);
    return roots.map(node => this.name(node));
  }

  /**
   * Writes a graph for an attribute: `outputs` over `inputs`, which are those of the graph, and `bound`, which stand
   * for values around it.
   */
  body(
    stem: string,
    inputs: readonly (Twins | Port)[],
    bound: readonly (readonly [Twins, string])[],
    outputs: readonly (Twins | Computed)[],
  ): GraphProto {
    const outer = this.#scope;
    this.#scope = scope(new GraphWriter(this.opset, outer.graph), outer);
    for (const [twins, name] of bound) this.#bind(twins, name);
    const ports = inputs.map(input =>
      'name' in input ? input : this.port(input, this.#bind(input, this.graph.fresh(`${stem}_input`))),
    );
    const nodes = outputs.flatMap(output => ('compute' in output ? [] : [output]));
    const written = this.#values(nodes);
    const values = outputs.map(output =>
      'compute' in output ? output.compute(this.graph) : written[nodes.indexOf(output)]!,
    );
    const results = outputs.map(output => {
      const name = this.graph.fresh(`${stem}_result`);
      return 'compute' in output ? { ...output.like, name } : this.port(output, name);
    });
    const graph = this.graph.finish(this.graph.fresh(stem), ports, results, values);
    this.#scope = outer;
    return graph;
  }

  /** A value of the traces as an input or output of a graph; sizes that depend on dynamic axes are not said. */
  port(twins: Twins, name: string): Port {
    const shape = this.shape(twins[0]!).map(size => (isStatic([size]) ? size.b : null));
    return { name, dtype: twins[0]!.dtype, shape };
  }

  #bind(twins: Twins, name: string): string {
    this.#scope.names.set(twins[0]!, name);
    this.#twins.set(twins[0]!, twins);
    return name;
  }

  /** The results of a loop or a choice that are wanted here, each once: `write` names them by number. */
  application(
    of: object,
    write: (wanted: readonly number[]) => ReadonlyMap<number, string>,
  ): ReadonlyMap<number, string> {
    const { applications, wanted } = this.#scope;
    const known = applications.get(of) ?? write([...wanted.get(of)!].sort((a, b) => a - b));
    applications.set(of, known);
    return known;
  }

  /** Finds the twins of every node by walking all traces in step. */
  #pair(outputs: readonly Twins[]): void {
    const stack: Twins[] = [...outputs];
    while (stack.length > 0) {
      const twins = stack.pop()!;
      const [first] = twins as [Node];
      if (this.#twins.has(first)) continue;
      this.#twins.set(first, twins);
      const inputs = twins.map((node, trace) => (this.#isLeaf(node) ? [] : this.inputsOf(node, trace)));
      if (
        twins.some(
          (node, t) => node.op !== first.op || node.dtype !== first.dtype || inputs[t]!.length !== inputs[0]!.length,
        )
      )
        this.fail(
          `the module builds another graph for other sizes of its dynamic axes (${twins.map(node => `${node.op} ${shapeText(node.shape)}`).join(', ')})`,
        );
      for (const i of inputs[0]!.keys()) stack.push(inputs.map(list => list[i]!));
    }
  }

  #isLeaf = (node: Node): boolean => node.op === 'variable' || node.op === 'placeholder' || node.value !== null;

  twins(node: Node): Twins {
    return this.#twins.get(node) ?? this.fail(`internal: ${node.op} was not walked`);
  }

  #emit(node: Node): void {
    if (this.#named(node) !== undefined) return;
    this.#scope.names.set(node, this.#written(node));
  }

  #written(node: Node): string {
    if (node.is('variable')) {
      const name =
        this.#parameters.get(node.attrs.variable) ?? this.fail('the module reads a parameter that is not its own');
      return this.graph.initializer(name, node.attrs.variable.read(), node.shape, node.dtype);
    }
    if (node.value) return this.#stored(node);
    const composite = this.compositeOf(node);
    if (composite && this.#writes(composite)) return COMPOSITES[composite.name]!.write(this, composite, node);
    const rule = PRIMITIVES[node.op as Primitive] as (writer: Writer, node: Node) => string;
    return rule(this, node);
  }

  #stored(node: Node): string {
    if (this.twins(node).some(twin => twin.shape.join() !== node.shape.join() || !sameData(twin, node)))
      this.fail(
        `a constant ${shapeText(node.shape)} depends on the sizes of the dynamic axes: compute it from the input, or leave these axes fixed`,
      );
    return this.graph.initializer(this.graph.fresh('constant'), node.value!, node.shape, node.dtype);
  }

  #named(node: Node): string | undefined {
    for (let at: Scope | null = this.#scope; at; at = at.outer) {
      const name = at.names.get(node);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  /** Name of a value written before. */
  name(node: Node): string {
    return this.#named(node) ?? this.fail(`internal: ${node.op} is read before it is written`);
  }

  /** A number that may differ between traces, as an expression of the dynamic axes. */
  expression(values: readonly number[], what: string): Expression {
    return (
      solve(values, this.#symbols) ??
      this.fail(`${what} is ${values.join(', ')} for other sizes of the dynamic axes, which is no expression of them`)
    );
  }

  /** Sizes of a value. */
  shape(node: Node): Expression[] {
    const twins = this.twins(node);
    return node.shape.map((_, d) => this.expression(twins.map(twin => twin.shape[d]!), `dim ${d} of a value`)); // biome-ignore format: one call
  }
}

function sameData(a: Node, b: Node): boolean {
  const [p, q] = [a.value!, b.value!];
  if (p === q) return true;
  if (p.length !== q.length) return false;
  for (let i = 0; i < p.length; i++) if (!Object.is(p[i], q[i])) return false;
  return true;
}

export const isStatic = (expressions: readonly Expression[]): boolean =>
  expressions.every(({ symbols }) => symbols.length === 0);
