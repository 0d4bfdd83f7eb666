/**
 * From a graph that fails to one that is small enough to read: one output, and as many nodes as possible replaced by
 * the data they have on the reference backend.
 */
import { referenceBackend } from '../../src/backends/reference/index.ts';
import { data } from '../../src/graph/build.ts';
import { Node } from '../../src/graph/node.ts';
import { topologicalOrder } from '../../src/graph/order.ts';
import { programOf } from '../compiler/support.ts';
import type { Value } from './values.ts';

const isLeaf = (node: Node): boolean => node.value !== null;

/** The graph with one node replaced. */
function replaced(root: Node, from: Node, to: Node): Node {
  const made = new Map<Node, Node>([[from, to]]);
  for (const node of topologicalOrder([root], n => isLeaf(n) || n === from)) {
    if (made.has(node)) continue;
    const inputs = node.inputs.map(input => made.get(input)!);
    const same = isLeaf(node) || inputs.every((input, i) => input === node.inputs[i]);
    made.set(node, same ? node : new Node(node.op, inputs, node.attrs, node.shape, node.dtype, false));
  }
  return made.get(root)!;
}

function asData(node: Node): Node {
  const program = programOf([node]);
  const [value] = referenceBackend.compile(program).run(program.leaves.map(leaf => leaf.value!));
  return data(value!, node.shape, node.dtype);
}

/** The smallest graph found for which `fails` still holds; that of all outputs where none fails alone. */
export function shrunk(outputs: readonly Value[], fails: (outputs: readonly Value[]) => boolean): readonly Value[] {
  let value = outputs.find(output => fails([output]));
  if (!value) return outputs;
  for (let smaller = true; smaller; ) {
    smaller = false;
    // From the result up: what is cut off near it takes most of the graph along.
    for (const node of topologicalOrder([value.node], isLeaf).reverse()) {
      if (isLeaf(node) || node === value.node || node.op === 'constant') continue;
      const candidate: Value = { ...value, node: replaced(value.node, node, asData(node)) };
      if (!fails([candidate])) continue;
      value = candidate;
      smaller = true;
      break;
    }
  }
  return [value];
}
