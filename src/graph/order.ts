/**
 * Walking a graph from its results to its leaves. Iterative, since the graph of a training step is thousands of nodes
 * deep.
 */
import type { Node } from './node.ts';
import { type NodeNumbers, withNodeNumbers } from './numbers.ts';

/** What a walk has to do with a node still: its inputs have been put on the stack, or nothing any more. */
const OPENED = 1;
const DONE = 2;

/**
 * Every node that `roots` depend on, each once, inputs before the nodes that read them; roots are visited in their
 * order. The inputs of nodes for which `stopAt` holds are not walked (the nodes themselves are part of the result);
 * `inputsOf` may say otherwise what a node depends on.
 */
export function topologicalOrder(
  roots: readonly Node[],
  stopAt: (node: Node) => boolean = () => false,
  inputsOf: (node: Node) => readonly Node[] = node => node.inputs,
): Node[] {
  return withNodeNumbers(states => orderOf(roots, stopAt, inputsOf, states));
}

function orderOf(
  roots: readonly Node[],
  stopAt: (node: Node) => boolean,
  inputsOf: (node: Node) => readonly Node[],
  states: NodeNumbers,
): Node[] {
  const order: Node[] = [];
  const stack: Node[] = [];
  for (const root of roots) {
    stack.push(root);
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      const state = states.get(node);
      if (state !== 0) {
        stack.pop();
        if (state === OPENED) {
          states.set(node, DONE);
          order.push(node);
        }
        continue;
      }
      states.set(node, OPENED);
      if (stopAt(node)) continue;
      const inputs = inputsOf(node);
      for (let i = inputs.length - 1; i >= 0; i--) {
        const input = inputs[i]!;
        if (states.get(input) === 0) stack.push(input);
      }
    }
  }
  return order;
}
