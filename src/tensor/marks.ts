/**
 * What derivatives of functions share: arguments that are differentiated by, and results that let go of them.
 */
import * as build from '../graph/build.ts';
import { isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { markGrad } from '../transform/index.ts';
import { shapeText } from './convert.ts';
import { followedBy } from './symbolic.ts';
import { Tensor } from './tensor.ts';
import { type Flat, flatten, unflatten } from './tree.ts';

/** An argument whose tensors stand for themselves in a derivative. */
export interface Marked {
  readonly flat: Flat;
  readonly nodes: readonly Node[];
  readonly value: unknown;
}

/** The tensors of an argument as what is differentiated by. @throws TypeError for a tensor that is no float */
export function mark(op: string, name: string, value: unknown): Marked {
  const flat = flatten(value, `${op}: ${name}`);
  const nodes = flat.tensors.map(tensor => {
    if (!isFloat(tensor.dtype))
      throw new TypeError(`${op}: ${name}: only floats have gradients, got a tensor ${tensor.dtype}`);
    return markGrad(tensor.node);
  });
  return {
    flat,
    nodes,
    value: unflatten(
      flat.form,
      nodes.map(node => new Tensor(node)),
    ),
  };
}

/**
 * Runs the function of a derivative: with gradients recorded, also where `noGrad` stands around the derivative (as in
 * PyTorch, one inside holds).
 */
export const differentiated = <T>(fn: () => T): T => followedBy(() => build.withGradient(fn));

/**
 * Results of a finished derivative no longer need its marks: unless something outside (a parameter, an enclosing
 * derivative) can be reached, they are cut loose, so that a loop over derivatives keeps no history. Under `noGrad` all
 * are.
 */
export function release(nodes: readonly Node[], marks: readonly Node[]): Node[] {
  const own = new Set(marks);
  const reachesOutside = (from: Node): boolean => {
    const seen = new Set<Node>([from]);
    const stack = [from];
    for (let node = stack.pop(); node; node = stack.pop()) {
      const inputs = node.inputs.filter(input => input.requiresGrad);
      if (inputs.length === 0 && node.requiresGrad && !own.has(node)) return true;
      for (const input of inputs) {
        if (seen.has(input)) continue;
        seen.add(input);
        stack.push(input);
      }
    }
    return false;
  };
  const loose = (node: Node): boolean => !build.recordsGradients() || !reachesOutside(node);
  return nodes.map(node => (node.requiresGrad && loose(node) ? build.detach(node) : node));
}

export const zerosOf = (node: Node): Node => build.full(0, node.shape, node.dtype);

/** The nodes of `given`, which must be one for each of `expected`, of its shape. */
export function matching(op: string, name: string, given: readonly Tensor[], expected: readonly Tensor[]): Node[] {
  if (given.length !== expected.length)
    throw new RangeError(`${op}: ${name}: expected ${expected.length} tensors, got ${given.length}`);
  return given.map((tensor, i) => {
    const want = expected[i]!;
    if (tensor.ndim !== want.ndim || tensor.shape.some((n, d) => n !== want.shape[d]))
      throw new RangeError(`${op}: ${name}: expected shape ${shapeText(want.shape)}, got ${shapeText(tensor.shape)}`);
    return build.cast(tensor.node, want.dtype);
  });
}
