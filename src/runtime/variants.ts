/**
 * Notices when one and the same computation is compiled again and again, for other shapes or other plain numbers: each
 * time costs more than many runs, and nothing in the results shows why a loop is slow. Imports graph alone.
 */
import type { Node } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { noticeOnce } from './notice.ts';

/**
 * From so many programs of the same operations on, and so much time spent on compiling them, it is said: once for each
 * computation.
 */
const PROGRAMS = 16;
const MILLISECONDS = 3000;
/** Computations remembered. */
const CAPACITY = 512;

interface Computation {
  programs: number;
  milliseconds: number;
  leaves: readonly string[];
}

const known = new Map<string, Computation>();

const describe = (leaf: Node): string => `${leaf.dtype} [${leaf.shape.join(', ')}]`;

/** The operations in order, whatever their shapes and attributes. */
function operationsOf(
  roots: readonly Node[],
  leaves: ReadonlySet<Node>,
): { readonly key: string; readonly count: number } {
  const order = topologicalOrder(roots, node => leaves.has(node)).filter(node => node.op !== 'constant');
  let hash = 0;
  for (const { op, dtype, attrs } of order)
    for (const c of `${op} ${'fn' in attrs ? attrs.fn : ''} ${dtype};`)
      hash = (Math.imul(hash, 31) + c.charCodeAt(0)) | 0;
  return { key: `${order.length}.${hash}`, count: order.length };
}

/** Takes note of a program that had to be compiled. `notice` gets a sentence when it was one too many. */
export function noteCompiled(
  roots: readonly Node[],
  leaves: readonly Node[],
  milliseconds: number,
  notice: (sentence: string) => void = noticeOnce,
): void {
  const { key, count } = operationsOf(roots, new Set(leaves));
  const found = known.get(key) ?? { programs: 0, milliseconds: 0, leaves: [] };
  if (known.size >= CAPACITY) known.clear();
  known.set(key, found);
  const before = found.leaves;
  found.leaves = leaves.map(describe);
  const wasSaid = found.programs >= PROGRAMS && found.milliseconds >= MILLISECONDS;
  found.programs++;
  found.milliseconds += milliseconds;
  if (wasSaid || found.programs < PROGRAMS || found.milliseconds < MILLISECONDS) return;
  const other = found.leaves.findIndex((leaf, i) => leaf !== before[i]);
  const why =
    other < 0
      ? 'the shapes stay, so a plain number in it changes: pass it as a tensor, tensor(0.5)'
      : `now with ${found.leaves[other]} where ${before[other] ?? 'nothing'} was: every new shape is a new program, so pad sequences and batches to a few sizes, or leave out the last batch (dropLast)`;
  notice(
    `the same ${count} operations have been compiled ${found.programs} times, which took ${(found.milliseconds / 1000).toFixed(1)} s: ${why}`,
  );
}
