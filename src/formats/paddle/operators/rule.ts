/**
 * What a rule of an operator of Paddle sees and gives, and what rules of several families share.
 */
import type { DType, Tensor } from '../../../tensor/index.ts';
import { knownNumbers as numbersOf } from '../../controlFlow.ts';

/**
 * A value of a program: a tensor, and for ragged ones the offsets at which its sequences begin (level 0 of Paddle's
 * LoD).
 */
export interface Value {
  readonly tensor: Tensor;
  readonly offsets?: readonly number[];
}

/** What a rule sees of its operator. */
export interface Call {
  readonly type: string;
  /** The first input of a parameter. @throws Error where there is none */
  input(parameter: string): Tensor;
  optional(parameter: string): Tensor | null;
  all(parameter: string): readonly Tensor[];
  offsets(parameter: string): readonly number[] | undefined;
  number(name: string, absent?: number): number;
  numbers(name: string, absent?: readonly number[]): readonly number[];
  text(name: string, absent?: string): string;
  flag(name: string, absent?: boolean): boolean;
  has(name: string): boolean;
  dtype(name: string): DType;
  /** What the output's variable holds before the operator runs. */
  current(parameter: string): Tensor | null;
  /** How many outputs the parameter has. */
  count(parameter: string): number;
}

/** Outputs by parameter; one that is not asked for may be left out. */
export type Outputs = Readonly<Record<string, Tensor | Value | readonly Tensor[]>>;

export type Rule = (call: Call) => Outputs;

/** Numbers of framework.proto's VarType.Type. */
export const DTYPES: Readonly<Record<number, DType>> = {
  0: 'bool', 1: 'i32', 2: 'i32', 3: 'i64', 4: 'f16', 5: 'f32', 6: 'f64', 20: 'u8', 21: 'i8', 22: 'bf16',
}; // biome-ignore format: a table

export const unary =
  (apply: (x: Tensor, call: Call) => Tensor): Rule =>
  call => ({ Out: apply(call.input('X'), call) });

export const normal = (dim: number, rank: number): number => (dim < 0 ? dim + rank : dim);

/** A list that is an attribute, or the value of an input, or several inputs of one number each. */
export function listOf(call: Call, attribute: string, whole: string, parts: string): readonly number[] {
  const tensor = call.optional(whole);
  if (tensor) return numbersOf(tensor);
  const single = call.all(parts);
  return single.length > 0 ? single.map(x => numbersOf(x)[0]!) : call.numbers(attribute);
}

export const padded = (x: Tensor, pairs: readonly (readonly number[])[], value = 0): Tensor =>
  pairs.every(([a, b]) => a === 0 && b === 0) ? x : x.constantPad([...pairs].reverse().flat(), value);
