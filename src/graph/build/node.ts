/**
 * A node as it is given, and whether nodes made now need gradients.
 */

import { stayCold } from '../../launch/engine.ts';
import { changes } from '../changes.ts';
import { type DType, isFloat } from '../dtype.ts';
import { type Attrs, Node, type Primitive } from '../node.ts';

/** A disagreement here is a bug of a caller: operations of the user have checked their arguments before. */
export const fail = (message: string): never => {
  throw new Error(`internal: ${message}`);
};

/** Whether new nodes inherit the need of a gradient from their inputs. */
let recording = true;

export const recordsGradients = (): boolean => recording;

/** Runs `fn` (synchronously) with gradients recorded, also inside of `withoutGradient`. */
export function withGradient<T>(fn: () => T): T {
  const before = recording;
  recording = true;
  changes.modes++;
  try {
    return fn();
  } finally {
    recording = before;
    changes.modes++;
  }
}

/** Runs `fn` (synchronously) with every node it builds cut off from gradients. */
export function withoutGradient<T>(fn: () => T): T {
  const before = recording;
  recording = false;
  changes.modes++;
  try {
    return fn();
  } finally {
    recording = before;
    changes.modes++;
  }
}

/**
 * Generated code counts along a dim, and over what lies in memory, in 32 bits, and now and then a step beyond the end
 * before it looks: sums of 2^31 - 1 elements in chunks lost the last of them. A value that no kernel stores may have
 * more elements.
 */
export const MOST_ELEMENTS = 2 ** 31 - 2 ** 16;

/** A node as given; the functions below simplify first. @throws RangeError where a dim is longer than code counts */
export function node<P extends Primitive>(
  op: P,
  inputs: readonly Node[],
  attrs: Attrs[P],
  shape: readonly number[],
  dtype: DType,
): Node<P> {
  // A function that is recorded may make nodes for seconds.
  stayCold();
  for (const n of shape)
    if (n > MOST_ELEMENTS)
      throw new RangeError(`a shape of [${shape.join(', ')}] came: a dim has 2^31 - 2^16 elements at most`);
  // Gradients flow through floats only, and stop at `detach`.
  const requiresGrad = recording && op !== 'detach' && isFloat(dtype) && inputs.some(input => input.requiresGrad);
  return new Node(op, inputs, attrs, shape, dtype, requiresGrad);
}

/** Whether `x` is an operation of this kind that was not computed yet: of a computed one the inputs may be gone. */
export const pending = <P extends Primitive>(x: Node, op: P): x is Node<P> => !x.value && x.is(op);
