/**
 * `tensor.backward()`: finds the parameters a tensor was computed from, and adds their gradients up. Imports transform
 * and runtime.
 */
import * as build from '../graph/build.ts';
import { isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { withNodeNumbers } from '../graph/numbers.ts';
import { keepForFlush, quietly } from '../runtime/index.ts';
import { vjp } from '../transform/index.ts';
import { shapeText } from './convert.ts';
import type { Parameter } from './parameter.ts';
import { parameterOf } from './sources.ts';
import { refuseWhileTraced } from './symbolic.ts';
import { Tensor } from './tensor.ts';

/** Parameters that require a gradient among the ancestors of `output`, with the nodes that stand for their values. */
function reachable(output: Node): Map<Node, Parameter> {
  const found = new Map<Node, Parameter>();
  withNodeNumbers(seen => {
    const stack = [output];
    for (let node = stack.pop(); node; node = stack.pop()) {
      const parameter = parameterOf(node);
      if (parameter) {
        if (parameter.requiresGrad) found.set(node, parameter);
        continue;
      }
      for (const input of node.inputs) {
        if (!input.requiresGrad || seen.get(input) !== 0) continue;
        seen.set(input, 1);
        stack.push(input);
      }
    }
  });
  return found;
}

/** The cotangent of `output`: the one given, or 1 for a single element. */
export function cotangentOf(op: string, output: Tensor, gradient?: Tensor): Node {
  if (!isFloat(output.dtype)) throw new TypeError(`${op}: expected a float tensor, got ${output.dtype}`);
  if (!gradient) {
    if (output.numel() !== 1)
      throw new Error(
        `${op}: a tensor of shape ${shapeText(output.shape)} needs a gradient of that shape; only one element needs none`,
      );
    return build.full(1, output.shape, output.dtype);
  }
  if (gradient.ndim !== output.ndim || gradient.shape.some((n, d) => n !== output.shape[d]))
    throw new RangeError(
      `${op}: gradient: shape ${shapeText(gradient.shape)} came, expected ${shapeText(output.shape)}`,
    );
  return build.cast(gradient.node, output.dtype);
}

/** See Tensor.backward. */
export function backward(loss: Tensor, gradient?: Tensor): void {
  refuseWhileTraced('backward', 'use grad, valueAndGrad or vjp there');
  const output = loss.node;
  if (!output.requiresGrad)
    throw new Error(
      'backward: the tensor was not computed from a parameter that requires a gradient (or its graph was released: call backward once, before reading other values)',
    );
  const sources = reachable(output);
  const nodes = [...sources.keys()];
  const gradients = build.withoutGradient(() => vjp([output], [cotangentOf('backward', loss, gradient)], nodes));
  quietly(() => {
    for (const [i, node] of nodes.entries()) {
      const found = gradients[i];
      if (found) sources.get(node)!.addGrad(new Tensor(build.detach(found)));
    }
  });
  keepForFlush(output);
}
