/**
 * Walks the traces of a module in step and writes each value once: a named composition as its operator, anything else by the rule of its
 * primitive.
 */
import type { Node, Primitive } from '../../../graph/node.ts';
import { topologicalOrder } from '../../../graph/order.ts';
import type { Composite } from '../../../tensor/composite.ts';
import { COMPOSITES } from './composites.ts';
import { GraphWriter } from './graph.ts';
import { PRIMITIVES } from './primitives.ts';
import { type DynamicAxis, type Expression, solve } from './sizes.ts';

/** The same value in every trace; the first trace speaks for what does not depend on sizes. */
type Twins = readonly Node[];

export interface TraceOf {
  readonly placeholders: readonly Node[];
  readonly outputs: readonly Node[];
  readonly composites: ReadonlyMap<Node, Composite>;
}

export class Writer {
  readonly graph: GraphWriter;
  readonly #traces: readonly TraceOf[];
  readonly #symbols: readonly DynamicAxis[];
  /** Names of values by their node in the first trace. */
  readonly #names = new Map<Node, string>();
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
    this.graph = new GraphWriter(opset);
    this.#traces = traces;
    this.#symbols = symbols;
    this.#parameters = parameters;
    for (const name of [...inputs, ...parameters.values()]) this.graph.reserve(name);
    traces[0]!.placeholders.forEach((node, i) => {
      this.#names.set(node, inputs[i]!);
      this.#twins.set(node, traces.map(trace => trace.placeholders[i]!)); // biome-ignore format: one call
    });
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

  /** What a value is computed from: a composition's own inputs, or the primitive's. */
  #inputsOf(node: Node, trace: number): readonly Node[] {
    const composite = this.compositeOf(node, trace);
    if (composite && this.#writes(composite)) return composite.inputs.filter(input => input !== null);
    return node.op === 'barrier' ? node.inputs.slice(0, 1) : node.inputs;
  }

  #writes(composite: Composite): boolean {
    const rule = COMPOSITES[composite.name];
    return rule !== undefined && rule.since <= this.opset && (rule.when?.(composite) ?? true);
  }

  /** Writes what the outputs need; names of the outputs in order. */
  write(): string[] {
    this.#pair();
    const leaf = (node: Node): boolean => node.op === 'variable' || node.op === 'placeholder' || node.value !== null;
    const roots = this.#traces[0]!.outputs;
    for (const node of topologicalOrder(roots, leaf, node => this.#inputsOf(node, 0))) this.#emit(node);
    return roots.map(node => this.name(node));
  }

  /** Finds the twins of every node by walking all traces in step. */
  #pair(): void {
    const stack: Twins[] = this.#traces[0]!.outputs.map((_, i) => this.#traces.map(trace => trace.outputs[i]!));
    while (stack.length > 0) {
      const twins = stack.pop()!;
      const [first] = twins as [Node];
      if (this.#twins.has(first)) continue;
      this.#twins.set(first, twins);
      const inputs = twins.map((node, trace) => (this.#isLeaf(node) ? [] : this.#inputsOf(node, trace)));
      if (
        twins.some(
          (node, t) => node.op !== first.op || node.dtype !== first.dtype || inputs[t]!.length !== inputs[0]!.length,
        )
      )
        this.fail(
          `the module builds another graph for other sizes of its dynamic axes (${twins.map(node => `${node.op} [${node.shape}]`).join(', ')})`,
        );
      for (const i of inputs[0]!.keys()) stack.push(inputs.map(list => list[i]!));
    }
  }

  #isLeaf(node: Node): boolean {
    return node.op === 'variable' || node.op === 'placeholder' || node.value !== null;
  }

  twins(node: Node): Twins {
    return this.#twins.get(node) ?? this.fail(`internal: ${node.op} was not walked`);
  }

  #emit(node: Node): void {
    if (this.#names.has(node)) return;
    this.#names.set(node, this.#written(node));
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
        `a constant [${node.shape}] depends on the sizes of the dynamic axes: compute it from the input, or leave these axes fixed`,
      );
    return this.graph.initializer(this.graph.fresh('constant'), node.value!, node.shape, node.dtype);
  }

  /** Name of a value written before. */
  name(node: Node): string {
    return this.#names.get(node) ?? this.fail(`internal: ${node.op} is read before it is written`);
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
