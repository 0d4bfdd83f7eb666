/**
 * Values that a program asked for and may still read when what they depend on has been overwritten: `pred.eq(y).sum()` made before `optimizer.step()` and read
 * after it, a part of a loss, a model's output. A step computes them along with itself. Knows nodes only; what counts as asked for is said from above.
 */
import type { Node } from '../graph/node.ts';
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
 * The values to compute before parameters change: outputs of models, scalars, and what nothing was computed from yet, unless it is large, depends on no parameter or
 * is out of date already. `used` are those that something outside needs anyway.
 */
export function askedFor(used: ReadonlySet<Node>): Node[] {
  const consumed = new Set<Node>();
  const changing = new Set<Node>();
  const outdated = new Set<Node>();
  for (const node of topologicalOrder([...made, ...results], ({ value }) => value !== null)) {
    if (node.is('variable')) {
      if (node.attrs.variable.version !== node.attrs.version) outdated.add(node);
      changing.add(node);
    } else if (!node.value)
      for (const input of node.inputs) {
        consumed.add(input);
        if (changing.has(input)) changing.add(node);
        if (outdated.has(input)) outdated.add(node);
      }
  }
  const isWanted = (node: Node): boolean =>
    !node.value && node.size <= LARGEST && !used.has(node) && changing.has(node) && !outdated.has(node);
  return [...new Set([...results, ...made.filter(node => node.size === 1 || !consumed.has(node))].filter(isWanted))];
}
