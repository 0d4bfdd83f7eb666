/**
 * What every metric is, and how values come in: tensors or plain arrays, read as numbers. Imports tensor for its type
 * only.
 */

import { bf16Value, f16Value } from '../graph/half.ts';
import { shapeText } from '../tensor/convert.ts';
import type { Tensor } from '../tensor/index.ts';

/** A tensor, or a flat array of numbers (bigints for i64 data). */
export type MetricInput = Tensor | ArrayLike<number> | ArrayLike<bigint>;

/**
 * A running metric: `State` is plain JSON, and `merge(other.state())` equals having seen the other's batches as well.
 */
export interface Metric<Value, State> {
  /** The metric over everything seen since the last `reset`; NaN where it is not defined (nothing seen). */
  compute(): Value;
  /** Forgets everything seen. */
  reset(): void;
  /** What was seen, to be saved or merged. */
  state(): State;
  /** Takes in what another metric of the same kind and settings has seen. */
  merge(state: State): void;
}

const isTensor = (x: MetricInput): x is Tensor => 'dtype' in x && 'shape' in x;

/** The values as numbers, flat; tensors are evaluated. */
export function numbersOf(x: MetricInput): ArrayLike<number> {
  if (isTensor(x)) {
    const data = x.data();
    if (x.dtype === 'f16') return Float64Array.from(data as Uint16Array, f16Value);
    if (x.dtype === 'bf16') return Float64Array.from(data as Uint16Array, bf16Value);
    return data instanceof BigInt64Array ? Float64Array.from(data, Number) : data;
  }
  return typeof x[0] === 'bigint' ? Array.from(x as ArrayLike<bigint>, Number) : (x as ArrayLike<number>);
}

/** [rows, columns] of scores: a tensor's own shape, or a flat array cut into rows of `columns`. */
export function scoreShape(metric: string, scores: MetricInput, columns: number): [rows: number, columns: number] {
  if (isTensor(scores)) {
    if (scores.shape.length !== 2)
      throw new Error(`${metric}: scores have shape ${shapeText(scores.shape)}, expected [rows, classes]`);
    return [scores.shape[0]!, scores.shape[1]!];
  }
  if (columns < 1 || scores.length % columns !== 0)
    throw new Error(`${metric}: ${scores.length} scores do not make rows of ${columns} classes`);
  return [scores.length / columns, columns];
}

/** Throws unless predictions and targets are equally many. */
export function checkPairs(metric: string, predictions: number, targets: number): void {
  if (predictions !== targets) throw new Error(`${metric}: ${predictions} predictions for ${targets} targets`);
}
