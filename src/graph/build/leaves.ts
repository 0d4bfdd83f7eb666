/**
 * Nodes without inputs, and the literals among what was built.
 */
import { type DType, type HostArray, isFloat } from '../dtype.ts';
import { roundTo } from '../fold.ts';
import { Node } from '../node.ts';
import type { Variable } from '../storage.ts';
import { fail, node, pending } from './node.ts';

export function constant(value: number | bigint, dtype: DType): Node {
  return node('constant', [], { value: roundTo(value, dtype) }, [], dtype);
}

const NO_INPUTS: readonly Node[] = [];
const NO_ATTRS = {};

export function data(value: HostArray, shape: readonly number[], dtype: DType): Node {
  const leaf = new Node('data', NO_INPUTS, NO_ATTRS, shape, dtype, false);
  if (value.length !== leaf.size) fail(`data of ${value.length} elements for shape [${shape}]`);
  leaf.value = value;
  return leaf;
}

export function variable(of: Variable, requiresGrad = false): Node<'variable'> {
  const attrs = { variable: of, version: of.version };
  return new Node('variable', [], attrs, of.shape, of.dtype, requiresGrad && isFloat(of.dtype));
}

export function placeholder(name: string, shape: readonly number[], dtype: DType, requiresGrad = false): Node {
  return new Node('placeholder', [], { name }, shape, dtype, requiresGrad && isFloat(dtype));
}

/** 0, 1, ..., n - 1 as a [n] of `dtype`. */
export const iota = (n: number, dtype: DType): Node => node('iota', [], {}, [n], dtype);

/** The literal every element of `x` equals, if `x` is a constant or a broadcast one. */
export function uniformValue(x: Node): number | bigint | null {
  if (x.is('constant')) return x.attrs.value;
  if (pending(x, 'reindex') && x.attrs.axes.length === 0) return uniformValue(x.inputs[0]!);
  return null;
}
