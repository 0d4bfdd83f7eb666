/**
 * The ONNX graph that is being written: nodes in order, initializers, and readable unique names. Knows the schema, nothing of our graphs but
 * their nodes' sameness.
 */
import type { DType, HostArray } from '../../../graph/dtype.ts';
import { codeOf, NATURAL } from '../elementTypes.ts';
import type { AttributeProto, GraphProto, NodeProto, TensorProto } from '../proto/schema.ts';
import { bytesFromElements, hostOf } from '../tensorData.ts';
import { type Expression, expressionKey } from './sizes.ts';

/** Values of attributes: whole numbers are ints, others must say that they are floats. */
export type AttributeValue =
  | number
  | { readonly float: number }
  | string
  | readonly number[]
  | { readonly floats: readonly number[] };

const encoder = new TextEncoder();

/** AttributeProto.AttributeType. */
const TYPE = { float: 1, int: 2, string: 3, floats: 6, ints: 7 } as const;

function attributeOf(name: string, value: AttributeValue): Partial<AttributeProto> {
  if (typeof value === 'number') return { name, type: TYPE.int, i: BigInt(value) };
  if (typeof value === 'string') return { name, type: TYPE.string, s: encoder.encode(value) };
  if ('float' in value) return { name, type: TYPE.float, f: value.float };
  if ('floats' in value) return { name, type: TYPE.floats, floats: [...value.floats] };
  return { name, type: TYPE.ints, ints: value.map(BigInt) };
}

export class GraphWriter {
  readonly nodes: Partial<NodeProto>[] = [];
  readonly initializers: Partial<TensorProto>[] = [];
  readonly #names = new Set<string>();
  readonly #counts = new Map<string, number>();
  /** Constants by what they hold, so that each stands once. */
  readonly #constants = new Map<string, string>();
  readonly #sizes = new Map<string, string>();
  readonly opset: number;

  constructor(opset: number) {
    this.opset = opset;
  }

  /** Takes a name that must stay as it is. */
  reserve(name: string): void {
    if (this.#names.has(name)) throw new Error(`export: the name "${name}" stands for two values`);
    this.#names.add(name);
  }

  /** `stem`, or `stem_1`, ... */
  fresh(stem: string): string {
    for (;;) {
      const count = this.#counts.get(stem) ?? 0;
      this.#counts.set(stem, count + 1);
      const name = count === 0 ? stem : `${stem}_${count}`;
      if (this.#names.has(name)) continue;
      this.#names.add(name);
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
    this.nodes.push({
      name,
      opType,
      input: used,
      output,
      attribute: Object.entries(attributes).map(([key, value]) => attributeOf(key, value) as AttributeProto),
    });
    return output;
  }

  initializer(name: string, host: HostArray, shape: readonly number[], dtype: DType): string {
    const type = NATURAL[dtype];
    this.initializers.push({ name, dims: [...shape], dataType: codeOf(type), rawData: bytesFromElements(host, type) });
    return name;
  }

  /** A small constant of numbers, by value. */
  constant(values: readonly number[], shape: readonly number[], dtype: DType): string {
    const key = `${dtype}[${shape}]${values.map(v => (Object.is(v, -0) ? '-0' : v)).join()}`;
    let name = this.#constants.get(key);
    if (name === undefined) {
      name = this.initializer(this.fresh('constant'), hostOf(values, dtype), shape, dtype);
      this.#constants.set(key, name);
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
    const known = this.#sizes.get(key);
    if (known) return known;
    let value = symbols.map(({ input, axis }) => this.dim(input, axis)).reduce((p, q) => this.node('Mul', [p, q]));
    if (a !== 1) value = this.node('Mul', [value, this.int64s([a])]);
    if (c !== 1) value = this.node('Div', [value, this.int64s([c])]);
    if (b !== 0) value = this.node('Add', [value, this.int64s([b])]);
    this.#sizes.set(key, value);
    return value;
  }

  dim(input: string, axis: number): string {
    const key = `dim:${input}:${axis}`;
    let name = this.#sizes.get(key);
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

  finish(name: string): Pick<GraphProto, 'node' | 'initializer' | 'name'> {
    return { name, node: this.nodes as NodeProto[], initializer: this.initializers as TensorProto[] };
  }
}
