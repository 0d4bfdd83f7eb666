/**
 * Walking a graph from its results to its leaves. Iterative, since the graph of a training step is thousands of nodes deep.
 */
import type { Node } from './node.ts';

/**
 * Every node that `roots` depend on, each once, inputs before the nodes that read them; roots are visited in their order. The inputs
 * of nodes for which `stopAt` holds are not walked (the nodes themselves are part of the result); `inputsOf` may say otherwise what a node
 * depends on.
 */
export function topologicalOrder(
  roots: readonly Node[],
  stopAt: (node: Node) => boolean = () => false,
  inputsOf: (node: Node) => readonly Node[] = node => node.inputs,
): Node[] {
  const order: Node[] = [];
  const done = new Set<Node>();
  const opened = new Set<Node>();
  const stack: Node[] = [];
  for (const root of roots) {
    stack.push(root);
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      if (done.has(node) || opened.has(node)) {
        stack.pop();
        if (!done.has(node)) {
          done.add(node);
          order.push(node);
        }
        continue;
      }
      opened.add(node);
      if (stopAt(node)) continue;
      const inputs = inputsOf(node);
      for (let i = inputs.length - 1; i >= 0; i--) {
        const input = inputs[i]!;
        if (!opened.has(input)) stack.push(input);
      }
    }
  }
  return order;
}
