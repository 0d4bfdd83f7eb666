/**
 * Notices when one and the same computation is compiled again and again, for other shapes or other plain numbers: each
 * time costs more than many runs, and nothing in the results shows why a loop is slow. Imports graph alone.
 */
import type { Node } from '../graph/node.ts';
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

/** Names of operations, their functions and dtypes, by number. */
const names = new Map<string, number>();

function numberOf(name: string): number {
  const known = names.get(name);
  if (known !== undefined) return known;
  names.set(name, names.size);
  return names.size - 1;
}

/** The operations in order, whatever their shapes and attributes. */
function operationsOf(order: readonly Node[]): { readonly key: string; readonly count: number } {
  let hash = 0;
  let count = 0;
  for (const { op, dtype, attrs } of order) {
    if (op === 'constant') continue;
    count++;
    hash = (Math.imul(hash, 0x01000193) + numberOf(op)) | 0;
    if ('fn' in attrs) hash = (Math.imul(hash, 0x01000193) + numberOf(attrs.fn)) | 0;
    hash = (Math.imul(hash, 0x01000193) + numberOf(dtype)) | 0;
  }
  return { key: `${count}.${hash}`, count };
}

/**
 * Takes note of a program of the nodes `order` that had to be compiled. `notice` gets a sentence when it was one too
 * many.
 */
export function noteCompiled(
  order: readonly Node[],
  leaves: readonly Node[],
  milliseconds: number,
  notice: (sentence: string) => void = noticeOnce,
): void {
  const { key, count } = operationsOf(order);
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
