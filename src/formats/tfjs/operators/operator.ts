/**
 * What an operator's rule is, and the forms that many share.
 */
import { type DType, Tensor } from '../../../tensor/index.ts';
import { knownNumbers } from '../../controlFlow.ts';

/** Attributes of one node, by TensorFlow's AttrValue. */
export interface Attributes {
  number(name: string, absent?: number): number;
  flag(name: string): boolean;
  text(name: string, absent?: string): string;
  numbers(name: string): readonly number[];
  texts(name: string): readonly string[];
  dtype(name: string, absent?: DType): DType;
}

export type Operator = (inputs: readonly Tensor[], attributes: Attributes) => Tensor | readonly Tensor[];

/** By TensorFlow's name. */
export type Operators = Readonly<Record<string, Operator>>;

/** The number in a tensor that says a size, an axis or a place. */
export const number = (x: Tensor): number => knownNumbers(x)[0]!;
export const i32 = (values: readonly number[]): Tensor =>
  Tensor.from(Int32Array.from(values), { shape: [values.length] });

export const unary =
  (apply: (x: Tensor) => Tensor): Operator =>
  ([x]) =>
    apply(x!);
export const binary =
  (apply: (a: Tensor, b: Tensor) => Tensor): Operator =>
  ([a, b]) =>
    apply(a!, b!);
