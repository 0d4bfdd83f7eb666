/**
 * Values that depend on nothing a program is given: shapes, axes, literals and what was computed from them. They can be
 * read at any time, also while a function is traced, where other values do not exist yet.
 */
import { referenceBackend } from '../backends/reference/index.ts';
import type { HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { prepare, runPrepared } from './programs.ts';

/** Up to this many elements in all, interpreting a graph is cheaper than compiling it. */
const SMALL = 4096;

/** Whether the value is an argument's, or computed from one: it exists only when a program runs, or never. */
export const isSymbolic = (node: Node): boolean =>
  topologicalOrder([node], at => at.value !== null).some(({ op, value }) => op === 'placeholder' && value === null);

/**
 * The value of `node` (which keeps it) when only data and literals are under it; null when a variable, argument or
 * random key is.
 */
export function constantValue(node: Node): HostArray | null {
  if (node.value) return node.value;
  const order = topologicalOrder([node], at => at.value !== null);
  let elements = 0;
  for (const { op, value, size } of order) {
    if (value === null && (op === 'variable' || op === 'placeholder' || op === 'random')) return null;
    elements += size;
  }
  if (elements > SMALL) node.value = runPrepared(prepare([node], []))[0]!;
  else {
    const leaves = order.filter(at => at.value !== null);
    const program = referenceBackend.compile({ leaves, outputs: [node], updates: [] });
    node.value = program.run(leaves.map(leaf => leaf.value!))[0]!;
  }
  return node.value;
}
