/**
 * The ONNX graph that is being written: nodes in order, initializers, and readable unique names; and the graphs that
 * stand in its attributes (bodies of loops, branches), which see every name around them. Knows the schema, nothing of
 * our graphs but their nodes' sameness.
 */
import type { DType, HostArray } from '../../../graph/dtype.ts';
import { codeOf, NATURAL } from '../elementTypes.ts';
import type { AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto } from '../proto/schema.ts';
import { bytesFromElements, hostOf } from '../tensorData.ts';
import { type Expression, expressionKey } from './sizes.ts';

/** Values of attributes: whole numbers are ints, others must say that they are floats. */
export type AttributeValue =
  | number
  | { readonly float: number }
  | string
  | readonly number[]
  | { readonly floats: readonly number[] }
  | { readonly graph: GraphProto };

/** A value's name, type and sizes: a text for a dim that has a name, null for one that is not said. */
export interface Port {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string | null)[];
}

const encoder = new TextEncoder();

/** AttributeProto.AttributeType. */
const TYPE = { float: 1, int: 2, string: 3, graph: 5, floats: 6, ints: 7 } as const;

function attributeOf(name: string, value: AttributeValue): Partial<AttributeProto> {
  if (typeof value === 'number') return { name, type: TYPE.int, i: BigInt(value) };
  if (typeof value === 'string') return { name, type: TYPE.string, s: encoder.encode(value) };
  if ('float' in value) return { name, type: TYPE.float, f: value.float };
  if ('graph' in value) return { name, type: TYPE.graph, g: value.graph };
  if ('floats' in value) return { name, type: TYPE.floats, floats: [...value.floats] };
  return { name, type: TYPE.ints, ints: value.map(BigInt) };
}

function info({ name, dtype, shape }: Port): ValueInfoProto {
  const dim = shape.map(size =>
    typeof size === 'number' ? { dimValue: size, dimParam: '' } : { dimValue: null, dimParam: size ?? '' },
  );
  return {
    name,
    type: {
      tensorType: { elemType: codeOf(NATURAL[dtype]), shape: { dim } },
      sequenceType: null,
      mapType: null,
      sparseTensorType: null,
      optionalType: null,
    },
  };
}

const graphsOf = (node: NodeProto): GraphProto[] => node.attribute.flatMap(({ g }) => g ?? []);

/** Every name that a node reads, those in the graphs of its attributes included. */
const readBy = (node: NodeProto): string[] => [...node.input, ...graphsOf(node).flatMap(graph => graph.node.flatMap(readBy))]; // biome-ignore format: one list

function rename(node: NodeProto, names: ReadonlyMap<string, string>): void {
  const renamed = (list: readonly string[]): string[] => list.map(name => names.get(name) ?? name);
  node.input = renamed(node.input);
  node.output = renamed(node.output);
  for (const graph of graphsOf(node)) for (const inner of graph.node) rename(inner, names);
}

/** What stands once in a file, however many graphs it has. */
interface File {
  readonly names: Set<string>;
  readonly counts: Map<string, number>;
  readonly initializers: Partial<TensorProto>[];
  /** Constants by what they hold, so that each stands once. */
  readonly constants: Map<string, string>;
}

export class GraphWriter {
  readonly opset: number;
  readonly #outer: GraphWriter | null;
  readonly #file: File;
  readonly #nodes: NodeProto[] = [];
  readonly #sizes = new Map<string, string>();

  /** A graph of its own, or one in an attribute of a node of `outer`. */
  constructor(opset: number, outer: GraphWriter | null = null) {
    this.opset = opset;
    this.#outer = outer;
    this.#file = outer ? outer.#file : { names: new Set(), counts: new Map(), initializers: [], constants: new Map() };
  }

  /** The name of a size that this graph or one around it has computed. */
  #sizeNamed(key: string): string | undefined {
    const outer = this.#outer;
    return this.#sizes.get(key) ?? (outer ? outer.#sizeNamed(key) : undefined);
  }

  /** Takes a name that must stay as it is. */
  reserve(name: string): void {
    if (this.#file.names.has(name)) throw new Error(`export: the name "${name}" stands for two values`);
    this.#file.names.add(name);
  }

  /** `stem`, or `stem_1`, ... */
  fresh(stem: string): string {
    for (;;) {
      const count = this.#file.counts.get(stem) ?? 0;
      this.#file.counts.set(stem, count + 1);
      const name = count === 0 ? stem : `${stem}_${count}`;
      if (this.#file.names.has(name)) continue;
      this.#file.names.add(name);
      return name;
    }
  }

  /** Adds a node of one output and gives that output's name. */
  node(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    return this.nodeOf(opType, inputs, 1, attributes)[0]!;
  }

  nodeOf(
    opType: string,
    inputs: readonly string[],
    outputs: number,
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): string[] {
    const name = this.fresh(opType);
    const output = Array.from({ length: outputs }, (_, i) =>
      this.fresh(i === 0 ? `${name}_output` : `${name}_output_${i}`),
    );
    // Absent inputs at the end are left out.
    const used = [...inputs];
    while (used.at(-1) === '') used.pop();
    this.#nodes.push({
      name,
      opType,
      input: used,
      output,
      attribute: Object.entries(attributes).map(([key, value]) => attributeOf(key, value) as AttributeProto),
      domain: '',
      overload: '',
    });
    return output;
  }

  initializer(name: string, host: HostArray, shape: readonly number[], dtype: DType): string {
    const type = NATURAL[dtype];
    this.#file.initializers.push({
      name,
      dims: [...shape],
      dataType: codeOf(type),
      rawData: bytesFromElements(host, type),
    });
    return name;
  }

  /** A small constant of numbers, by value. */
  constant(values: readonly number[], shape: readonly number[], dtype: DType): string {
    const key = `${dtype}[${shape}]${values.map(v => (Object.is(v, -0) ? '-0' : v)).join()}`;
    let name = this.#file.constants.get(key);
    if (name === undefined) {
      name = this.initializer(this.fresh('constant'), hostOf(values, dtype), shape, dtype);
      this.#file.constants.set(key, name);
    }
    return name;
  }

  scalar(value: number, dtype: DType): string {
    return this.constant([value], [], dtype);
  }

  int64s(values: readonly number[]): string {
    return this.constant(values, [values.length], 'i64');
  }

  /** A size as an int64 [1], computed from the inputs' shapes where it is dynamic. */
  size(expression: Expression): string {
    const { symbols, a, c, b } = expression;
    if (symbols.length === 0) return this.int64s([b]);
    const key = expressionKey(expression);
    const known = this.#sizeNamed(key);
    if (known) return known;
    let value = symbols.map(({ input, axis }) => this.dim(input, axis)).reduce((p, q) => this.node('Mul', [p, q]));
    if (a !== 1) value = this.node('Mul', [value, this.int64s([a])]);
    if (c !== 1) value = this.node('Div', [value, this.int64s([c])]);
    if (b !== 0) value = this.node('Add', [value, this.int64s([b])]);
    this.#sizes.set(key, value);
    return value;
  }

  /** A size as an int64 []. */
  scalarSize(expression: Expression): string {
    return this.node('Reshape', [this.size(expression), this.int64s([])]);
  }

  dim(input: string, axis: number): string {
    const key = `dim:${input}:${axis}`;
    let name = this.#sizeNamed(key);
    if (!name) {
      name = this.node('Shape', [input], { start: axis, end: axis + 1 });
      this.#sizes.set(key, name);
    }
    return name;
  }

  /** Sizes as an int64 vector: a constant where none is dynamic. */
  sizes(expressions: readonly Expression[]): string {
    if (expressions.every(({ symbols }) => symbols.length === 0)) return this.int64s(expressions.map(({ b }) => b));
    const parts = expressions.map(expression => this.size(expression));
    return parts.length === 1 ? parts[0]! : this.node('Concat', parts, { axis: 0 });
  }

  /** The finished graph, without what no output needs. Every output is `values[i]` under the name of `outputs[i]`. */
  finish(name: string, inputs: readonly Port[], outputs: readonly Port[], values: readonly string[]): GraphProto {
    this.#nameOutputs(outputs, values);
    const needed = new Set(outputs.map(output => output.name));
    const node: NodeProto[] = [];
    for (const written of [...this.#nodes].reverse()) {
      if (!written.output.some(output => needed.has(output))) continue;
      node.push(written);
      for (const read of readBy(written)) needed.add(read);
    }
    const initializer = this.#outer ? [] : this.#file.initializers.filter(tensor => needed.has(tensor.name!));
    return {
      name,
      node: node.reverse(),
      initializer: initializer as TensorProto[],
      sparseInitializer: [],
      valueInfo: [],
      input: inputs.map(info),
      output: outputs.map(info),
    };
  }

  /** Gives the outputs their names: the node's own output where nothing else has to keep it, an Identity otherwise. */
  #nameOutputs(outputs: readonly Port[], values: readonly string[]): void {
    const renamed = new Map<string, string>();
    const computed = new Set(this.#nodes.flatMap(node => node.output));
    const copies: [value: string, name: string][] = [];
    outputs.forEach(({ name }, i) => {
      const value = values[i]!;
      if (computed.has(value) && !renamed.has(value)) renamed.set(value, name);
      else copies.push([value, name]);
    });
    for (const node of this.#nodes) rename(node, renamed);
    for (const [value, name] of copies) {
      this.node('Identity', [renamed.get(value) ?? value]);
      this.#nodes.at(-1)!.output = [name];
    }
  }
}
