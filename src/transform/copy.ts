/**
 * Copies of parts of a graph over other inputs. What several nodes share (a checkpoint, a loop, a choice) is copied
 * once for all of them, so that the copies belong together and to nothing else. Imports the graph only.
 */
import { noteCopies } from '../graph/composite.ts';
import { type Attrs, type Checkpoint, isMark, Node, type Primitive } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';

/** Barriers of group 0 are marks; every checkpoint and every recomputation has a group of its own. */
let groups = 0;
export const newGroup = (): number => ++groups;

/** Everything a node refers to: its inputs, and the ends of its checkpoint, which it need not depend on itself. */
export const referencesOf = (node: Node): readonly Node[] =>
  node.is('barrier') && node.attrs.checkpoint ? [...node.inputs, ...node.attrs.checkpoint.inputs] : node.inputs;

/**
 * Copies of what computes `outputs`, reading `known.get(node)` for every node in `known`, which receives all that is
 * copied. What depends on none of those is not copied.
 */
export function copyGraph(outputs: readonly Node[], known: Map<Node, Node>): Node[] {
  const shared = new Map<object, object>();
  const copyOf = (node: Node): Node => known.get(node) ?? node;
  const once = <T extends object>(original: object, copy: () => T): T => {
    const made = (shared.get(original) as T | undefined) ?? copy();
    shared.set(original, made);
    return made;
  };
  const attrsOf = (node: Node): Attrs[Primitive] => {
    if (node.is('barrier') && node.attrs.checkpoint) {
      const { checkpoint } = node.attrs;
      return once<{ group: number; checkpoint: Checkpoint }>(checkpoint, () => ({
        group: newGroup(),
        checkpoint: { inputs: checkpoint.inputs.map(copyOf) },
      }));
    }
    if (node.is('loop')) {
      const { loop, output } = node.attrs;
      return { loop: once(loop, () => ({ ...loop })), output };
    }
    if (node.is('choose')) {
      const { choice, output } = node.attrs;
      return { choice: once(choice, () => ({ ...choice })), output };
    }
    if (node.is('custom')) {
      const { rule, output } = node.attrs;
      return { rule: once(rule, () => ({ ...rule })), output };
    }
    return node.attrs;
  };
  for (const node of topologicalOrder(outputs, node => known.has(node), referencesOf)) {
    if (known.has(node) || referencesOf(node).every(source => copyOf(source) === source)) continue;
    const inputs = node.inputs.map(copyOf);
    // A mark requires a gradient whatever it stands for; other nodes no longer do if nothing they read does.
    const requiresGrad = node.requiresGrad && (isMark(node) || inputs.some(input => input.requiresGrad));
    known.set(node, new Node(node.op, inputs, attrsOf(node), node.shape, node.dtype, requiresGrad));
  }
  noteCopies(known);
  return outputs.map(copyOf);
}
