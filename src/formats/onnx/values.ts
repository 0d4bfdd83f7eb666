/**
 * What flows along the edges of an ONNX graph: tensors with their ONNX element type, tensors of strings, sequences,
 * optionals and maps.
 */
import { Tensor } from '../../tensor/index.ts';
import { type ElementType, NATURAL, type NumericType } from './elementTypes.ts';

/** A tensor of numbers. Its dtype is the one that holds `type` (see elementTypes). */
export interface TensorValue {
  readonly kind: 'tensor';
  readonly type: NumericType;
  readonly tensor: Tensor;
}

/** A tensor of strings, in C order. */
export interface StringTensor {
  readonly kind: 'strings';
  readonly shape: readonly number[];
  readonly strings: readonly string[];
}

export interface SequenceValue {
  readonly kind: 'sequence';
  /** Element type of the tensors in it, where it is known. */
  readonly type: ElementType | null;
  readonly values: readonly Value[];
}

/** An optional that holds nothing; one that holds something is that value itself. */
export interface EmptyOptional {
  readonly kind: 'none';
}

/** A map from strings or integers, as ai.onnx.ml's classifiers give. */
export interface MapValue {
  readonly kind: 'map';
  readonly keys: readonly (string | bigint)[];
  readonly values: readonly Value[];
}

export type Value = TensorValue | StringTensor | SequenceValue | EmptyOptional | MapValue;

export const NONE: EmptyOptional = { kind: 'none' };

/** A tensor with its type, by default the natural one of its dtype. */
export const typed = (tensor: Tensor, type: NumericType = NATURAL[tensor.dtype]): TensorValue => ({
  kind: 'tensor',
  type,
  tensor,
});

export const strings = (values: readonly string[], shape: readonly number[] = [values.length]): StringTensor => ({
  kind: 'strings',
  shape,
  strings: values,
});

export const sequence = (values: readonly Value[], type: ElementType | null = null): SequenceValue => ({
  kind: 'sequence',
  type: type ?? (values[0] ? elementTypeOf(values[0]) : null),
  values,
});

/** The element type of a tensor of either kind, or of what a sequence holds. */
function elementTypeOf(value: Value): ElementType | null {
  if (value.kind === 'tensor' || value.kind === 'sequence') return value.type;
  return value.kind === 'strings' ? 'string' : null;
}

/** i64 vector of whole numbers. */
export const int64s = (values: readonly number[]): Tensor =>
  Tensor.from(BigInt64Array.from(values, BigInt), { shape: [values.length] });

const describeShape = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** The value in a few words, for errors. */
export function describeValue(value: Value | null): string {
  switch (value?.kind) {
    case 'tensor':
      return `${value.type} ${describeShape(value.tensor.shape)}`;
    case 'strings':
      return `string ${describeShape(value.shape)}`;
    case 'sequence':
      return `sequence of ${value.values.length}`;
    case 'map':
      return `map of ${value.keys.length}`;
    case 'none':
      return 'empty optional';
    default:
      return 'nothing';
  }
}
