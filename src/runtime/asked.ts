/**
 * Values that a program asked for and may still read when what they depend on has been overwritten: `pred.eq(y).sum()`
 * made before `optimizer.step()` and read after it, a part of a loss, a model's output. A step computes them along with
 * itself. Knows nodes only; what counts as asked for is said from above.
 */
import type { Node } from '../graph/node.ts';
import { type NodeNumbers, withNodeNumbers } from '../graph/numbers.ts';
import { topologicalOrder } from '../graph/order.ts';

/** Nodes remembered: what a user reads late was made late. */
const CAPACITY = 512;
/** Elements of a value that is computed unread (1 MB of f32). */
const LARGEST = 2 ** 18;

/** What was made since the last program ran, newest last. */
let made: Node[] = [];
/** Of these, results that are worth keeping although something was computed from them. */
let results: Node[] = [];
let isQuiet = false;

/** Takes note of a value that the user has made. */
export function noteMade(node: Node): void {
  if (isQuiet || node.value || node.inputs.length === 0) return;
  made.push(node);
  if (made.length > CAPACITY) made = made.slice(CAPACITY / 2);
}

/** Takes note of a model's output. */
export function noteResult(node: Node): void {
  if (isQuiet || node.value || node.inputs.length === 0) return;
  results.push(node);
  if (results.length > CAPACITY) results = results.slice(CAPACITY / 2);
}

/** Runs `fn`, whose values are none that the user has asked for. */
export function quietly<T>(fn: () => T): T {
  const before = isQuiet;
  isQuiet = true;
  try {
    return fn();
  } finally {
    isQuiet = before;
  }
}

/** A program has run: what it left unread is not remembered, or a loop over large values would keep them all. */
export function forgetMade(): void {
  if (made.length > 0) made = [];
  if (results.length > 0) results = [];
}

/**
 * What is known of a node, as bits: something was computed from it; it depends on a parameter; on one that has another
 * value by now.
 */
const CONSUMED = 1;
const CHANGING = 2;
const OUTDATED = 4;

function mark(roots: readonly Node[], marks: NodeNumbers): void {
  for (const node of topologicalOrder(roots, ({ value }) => value !== null)) {
    if (node.is('variable')) {
      const isOutdated = node.attrs.variable.version !== node.attrs.version;
      marks.set(node, isOutdated ? CHANGING | OUTDATED : CHANGING);
    } else if (!node.value) {
      let own = 0;
      for (const input of node.inputs) {
        const known = marks.get(input);
        own |= known & (CHANGING | OUTDATED);
        marks.set(input, known | CONSUMED);
      }
      if (own !== 0) marks.set(node, own);
    }
  }
}

/**
 * The values to compute before parameters change: outputs of models, scalars, and what nothing was computed from yet,
 * unless it is large, depends on no parameter or is out of date already. `used` are those that something outside needs
 * anyway.
 */
export function askedFor(used: ReadonlySet<Node>): Node[] {
  const isCandidate = (node: Node): boolean => !node.value && node.size <= LARGEST && !used.has(node);
  if (!results.some(isCandidate) && !made.some(isCandidate)) return [];
  return withNodeNumbers(marks => {
    mark([...made, ...results], marks);
    const isWanted = (node: Node): boolean =>
      isCandidate(node) && (marks.get(node) & (CHANGING | OUTDATED)) === CHANGING;
    const isAsked = (node: Node): boolean => node.size === 1 || (marks.get(node) & CONSUMED) === 0;
    return [...new Set([...results, ...made.filter(isAsked)].filter(isWanted))];
  });
}
