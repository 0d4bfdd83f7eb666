/**
 * Values passed on as they are, which say something about gradients or about where things are computed.
 */
import { isFloat } from '../dtype.ts';
import { type Checkpoint, type CustomRule, Node } from '../node.ts';
import { node, recordsGradients } from './node.ts';

export const detach = (x: Node): Node => (x.requiresGrad ? node('detach', [x], {}, x.shape, x.dtype) : x);

/** An identity of `x` that requires a gradient whatever `x` does. */
export const marked = (x: Node): Node => new Node('barrier', [x], { group: 0 }, x.shape, x.dtype, isFloat(x.dtype));

/** An identity of `result`, whose derivative by `args` is what `rule` says. */
export const custom = (result: Node, args: readonly Node[], rule: CustomRule, output: number): Node => {
  const requiresGrad = recordsGradients() && isFloat(result.dtype) && args.some(arg => arg.requiresGrad);
  return new Node('custom', [result, ...args], { rule, output }, result.shape, result.dtype, requiresGrad);
};

/** An identity of `x`; see Attrs.barrier. */
export function barrier(
  x: Node,
  group: number,
  { after = [], checkpoint }: { readonly after?: readonly Node[]; readonly checkpoint?: Checkpoint } = {},
): Node {
  const attrs = checkpoint ? { group, checkpoint } : { group };
  return new Node('barrier', [x, ...after], attrs, x.shape, x.dtype, x.requiresGrad);
}
