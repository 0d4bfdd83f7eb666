/**
 * One application of an operator: its node, its inputs and its attributes, as the rules of ops/ see them. Rules are
 * `(call) -> outputs` on the Tensor API; everything that can be wrong is reported with the node's name.
 */
import { isFloat } from '../../graph/dtype.ts';
import type { Tensor } from '../../tensor/index.ts';
import { dataIfKnown } from '../controlFlow.ts';
import { type NumericType, TYPES } from './elementTypes.ts';
import type { AttributeProto, GraphProto, TypeProto } from './proto/schema.ts';
import { numbersOf } from './tensorData.ts';
import { describeValue, type StringTensor, typed, type Value } from './values.ts';
import { fitTo } from './wrap.ts';

export type Output = Value | Tensor | null;
/**
 * What a rule gives: one output, or several in the node's order (null where nothing stands). Plain tensors have their
 * natural type.
 */
export type Result = Output | readonly Output[];
export type Rule = (call: Call) => Result;
/** A rule for every version, or rules by the first opset version that each holds from, ascending. */
export type Versions = Rule | readonly (readonly [since: number, rule: Rule])[];
export type OperatorTable = Readonly<Record<string, Versions>>;

/** A subgraph as control flow calls it: values for its inputs in, values of its outputs out. */
export interface Subgraph {
  readonly inputs: readonly { readonly name: string; readonly type: TypeProto | null }[];
  readonly outputs: readonly { readonly name: string; readonly type: TypeProto | null }[];
  run(inputs: readonly Value[]): Value[];
}

/** What the executor gives a call beside its inputs. */
export interface Context {
  /** Node name, operator and opset, as errors show them. */
  readonly label: string;
  readonly opset: number;
  readonly training: boolean;
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  /** How many outputs the node names, and which of them anybody may read. */
  readonly outputs: readonly string[];
  subgraph(name: string): Subgraph;
  /** Runs the nodes that lead from `replaced` names to `wanted`, with the values given. */
  rerun(replaced: ReadonlyMap<string, Value>, wanted: string): Value;
  attributeTensor(attribute: AttributeProto): Value;
}

const decoder = new TextDecoder();

export class Call {
  readonly inputs: readonly (Value | null)[];
  readonly context: Context;

  constructor(context: Context, inputs: readonly (Value | null)[]) {
    this.context = context;
    this.inputs = inputs;
  }

  get opset(): number {
    return this.context.opset;
  }

  fail(what: string): never {
    throw new Error(`${this.context.label}: ${what}`);
  }

  // ------------------------------------------------------------------------------------------------ inputs

  has(i: number): boolean {
    return (this.inputs[i] ?? null) !== null;
  }

  value(i: number): Value {
    return this.inputs[i] ?? this.fail(`input ${i} is missing`);
  }

  /** Input i, a tensor of numbers. */
  x(i = 0): Tensor {
    const value = this.value(i);
    if (value.kind !== 'tensor')
      return this.fail(`input ${i}: expected a tensor of numbers, got ${describeValue(value)}`);
    return value.tensor;
  }

  optional(i: number): Tensor | null {
    return this.has(i) ? this.x(i) : null;
  }

  /** All inputs, tensors of numbers. */
  tensors(from = 0): Tensor[] {
    return this.inputs.slice(from).map((_, i) => this.x(from + i));
  }

  stringTensor(i: number): StringTensor {
    const value = this.value(i);
    return value.kind === 'strings' ? value : this.fail(`input ${i}: expected strings, got ${describeValue(value)}`);
  }

  isString(i: number): boolean {
    return this.inputs[i]?.kind === 'strings';
  }

  sequence(i: number): readonly Value[] {
    const value = this.value(i);
    return value.kind === 'sequence'
      ? value.values
      : this.fail(`input ${i}: expected a sequence, got ${describeValue(value)}`);
  }

  type(i = 0): NumericType {
    const value = this.value(i);
    return value.kind === 'tensor'
      ? value.type
      : this.fail(`input ${i}: expected numbers, got ${describeValue(value)}`);
  }

  /** The values of input i as plain numbers, known while the graph is built. */
  numbers(i: number): number[] {
    const tensor = this.x(i);
    return numbersOf(this.data(tensor, i), tensor.dtype);
  }

  numbersOr(i: number, absent: readonly number[]): number[] {
    return this.has(i) ? this.numbers(i) : [...absent];
  }

  number(i: number): number {
    const list = this.numbers(i);
    return list.length === 1 ? list[0]! : this.fail(`input ${i}: expected one value, got ${list.length}`);
  }

  numberOr(i: number, absent: number): number {
    return this.has(i) ? this.number(i) : absent;
  }

  /** Host elements of a tensor whose value decides a shape. */
  data(tensor: Tensor, i: number): ReturnType<Tensor['data']> {
    return (
      this.dataIfKnown(tensor) ??
      this.fail(`input ${i} decides the shape of a result and depends on the data: run the model outside of compile`)
    );
  }

  /** The same, or null where it only becomes known when a compiled program runs. */
  dataIfKnown(tensor: Tensor): ReturnType<Tensor['data']> | null {
    return dataIfKnown(tensor);
  }

  // ------------------------------------------------------------------------------------------------ attributes

  attribute(name: string): AttributeProto | undefined {
    return this.context.attributes.get(name);
  }

  int(name: string, absent?: number): number {
    const found = this.attribute(name);
    if (found) return Number(found.i);
    return absent ?? this.fail(`attribute ${name} is missing`);
  }

  flag(name: string, absent = false): boolean {
    return this.int(name, absent ? 1 : 0) !== 0;
  }

  ints(name: string): number[] | null {
    return this.attribute(name)?.ints.map(Number) ?? null;
  }

  float(name: string, absent?: number): number {
    const found = this.attribute(name);
    if (found) return found.f;
    return absent ?? this.fail(`attribute ${name} is missing`);
  }

  floats(name: string): number[] | null {
    return this.attribute(name)?.floats ?? null;
  }

  text(name: string, absent?: string): string {
    const found = this.attribute(name);
    if (found) return decoder.decode(found.s);
    return absent ?? this.fail(`attribute ${name} is missing`);
  }

  /** A text that must be one of a few. */
  choice<const T extends string>(name: string, options: readonly T[], absent?: T): T {
    const value = this.text(name, absent);
    return (
      options.find(option => option === value) ?? this.fail(`${name}: expected ${options.join(', ')}, got "${value}"`)
    );
  }

  texts(name: string): string[] | null {
    return this.attribute(name)?.strings.map(bytes => decoder.decode(bytes)) ?? null;
  }

  tensorAttribute(name: string): Value | null {
    const found = this.attribute(name);
    return found?.t || found?.sparseTensor ? this.context.attributeTensor(found) : null;
  }

  graph(name: string): GraphProto | null {
    return this.attribute(name)?.g ?? null;
  }

  // ------------------------------------------------------------------------------------------------ shapes and results

  /** `axis` of a tensor of `rank` dims, negative ones counted from the end. */
  axis(axis: number, rank: number): number {
    if (!Number.isInteger(axis) || axis < -rank || axis >= Math.max(rank, 1))
      this.fail(`axis ${axis} is out of range for ${rank} dims`);
    return axis < 0 ? axis + rank : axis;
  }

  axisAttribute(absent: number, rank: number, name = 'axis'): number {
    return this.axis(this.int(name, absent), rank);
  }

  /** `tensor` with the type of input i: wrapped or rounded where that is narrower than its dtype. */
  like(i: number, tensor: Tensor): Value {
    return this.as(this.type(i), tensor);
  }

  as(type: NumericType, tensor: Tensor): Value {
    return typed(fitTo(type, tensor), type);
  }

  /** Whether output i is named, so that somebody may read it. */
  wants(i: number): boolean {
    return Boolean(this.context.outputs[i]);
  }

  /** Whether input 0 holds floating numbers. */
  isFloat(i = 0): boolean {
    return isFloat(TYPES[this.type(i)].dtype);
  }
}
