/**
 * Bodies of control flow: closed graphs, made from what a function has built over placeholders, and put back in place
 * of a call where no control flow is needed. Imports the graph only.
 */
import * as g from '../graph/build.ts';
import type { Body } from '../graph/control.ts';
import { isFloat } from '../graph/dtype.ts';
import { isMark, type Node } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { copyGraph } from './copy.ts';

/** A parameter of a body, of the type of `x`. Floats may be differentiated by it, whatever the body is given. */
export const param = (name: string, x: { readonly shape: readonly number[]; readonly dtype: Node['dtype'] }): Node =>
  g.placeholder(name, x.shape, x.dtype, isFloat(x.dtype));

/** Whether a node computes without reading anything but literals: a body keeps it. */
const isLiteral = (node: Node): boolean => node.op === 'constant' || node.op === 'iota';

/**
 * Closes graphs over what they read from outside: nodes older than `since`, leaves, and marks of either (a parameter
 * that was just assigned), `params` apart. The same outside node becomes one more parameter of every body. Derivatives
 * of bodies are closed again: the rule of a customGrad runs when they are made, and reads what it likes.
 *
 * @returns the bodies, with the new parameters last, and the nodes that stand outside in their order
 */
export function closeOver(
  parts: readonly { readonly params: readonly Node[]; readonly outputs: readonly Node[] }[],
  since = 0,
): { readonly bodies: readonly Body[]; readonly captured: readonly Node[] } {
  const own = new Set(parts.flatMap(part => part.params));
  const isOutside = (node: Node): boolean =>
    !own.has(node) &&
    !isLiteral(node) &&
    (node.id < since ||
      node.inputs.length === 0 ||
      node.value !== null ||
      (isMark(node) && isOutside(node.inputs[0]!))) &&
    g.uniformValue(node) === null;
  const captured = new Set<Node>();
  for (const { outputs } of parts)
    for (const node of topologicalOrder(outputs, n => own.has(n) || isOutside(n)))
      if (isOutside(node)) captured.add(node);
  const outside = [...captured];
  const bodies = parts.map(({ params, outputs }) => {
    const inside = outside.map(node => param('a value from outside', node));
    const known = new Map([
      ...params.map(p => [p, p] as const),
      ...outside.map((node, i) => [node, inside[i]!] as const),
    ]);
    return { params: [...params, ...inside], outputs: copyGraph(outputs, known) };
  });
  return { bodies, captured: outside };
}

/** What the outputs of `body` are at `args`, as nodes of the graph around it. */
export function inline(body: Body, args: readonly Node[], outputs: readonly Node[] = body.outputs): Node[] {
  return copyGraph(outputs, new Map(body.params.map((p, i) => [p, args[i]!])));
}

/** For each of `outputs`, whether a gradient flows from it to one of `sources`. */
export function flowsTo(outputs: readonly Node[], sources: ReadonlySet<Node>): boolean[] {
  const leads = new Set<Node>();
  for (const node of topologicalOrder(outputs, n => !n.requiresGrad)) {
    const through = node.requiresGrad && node.inputs.some(input => leads.has(input));
    if (through || sources.has(node)) leads.add(node);
  }
  return outputs.map(output => leads.has(output));
}

/** Every node that `outputs` are computed from, themselves included. */
export function readBy(outputs: readonly Node[]): ReadonlySet<Node> {
  return new Set(topologicalOrder(outputs));
}
