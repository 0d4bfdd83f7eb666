/**
 * Which values of a kernel are worth memory although other kernels read them: not those that are a cheap step away from
 * something that is in memory anyway. What a forward pass leaves for the gradient shrinks to what cannot be had
 * cheaply. Imports the flow.
 */
import type { DType } from '../../graph/dtype.ts';
import { costOf } from '../expr.ts';
import { isElementwise, storage, type Value } from '../flow.ts';
import type { Kernel } from '../kernels.ts';
import type { Selection } from './select.ts';

/** Largest cost of what every reader computes again. */
const CHEAP = 6;
/**
 * The same for what one other kernel reads and the second cache does not hold: a line that is written and read again
 * moves three times, some 45 cycles a vector; sigmoid costs 30 (GPT's 4096 x 1536 activations: the products they finish
 * 109 -> 125 GFLOP/s).
 */
const CHEAP_ONCE = 28;
const LARGE = 1 << 18;
/**
 * Sources of full size where a whole kernel moves into its reader, which waited for something small (batch norm's
 * gradient: 25.5 -> 22.1 ms of maps in a step of ResNet-18).
 */
const MANY_SOURCES = 3;
/** Types that loads widen to f32. */
const WIDENED: ReadonlySet<DType> = new Set(['bf16', 'f16']);

interface Recipe {
  readonly sources: readonly Value[];
  readonly cost: number;
}

/**
 * Takes values out of `stored` that are computed again from the rest, one source of full size each, or some where that
 * saves a kernel.
 */
export function forgetCheap(stored: Set<Value>, selection: Selection, home: ReadonlyMap<Value, Kernel>): void {
  const recipes = new Map<Value, Recipe>();
  for (const value of [...stored].sort((a, b) => a.id - b.id)) {
    if (selection.forced.has(value) || !isElementwise(value)) continue;
    const readers = otherReaders(value, selection, home);
    const most = value.size >= LARGE && readers.size <= 1 ? CHEAP_ONCE : CHEAP;
    const moves = isPlain(home.get(value)) && [...readers].every(isPlain) && readers.size === 1;
    const sources = moves && isOnlyResult(value, stored, home) ? MANY_SOURCES : 1;
    const recipe = recipeOf(value, stored, selection, recipes, most, sources);
    if (!recipe) continue;
    recipes.set(value, recipe);
    stored.delete(value);
  }
}

/**
 * Stores what a value was widened from in its kernel, where only the wide one is wanted in memory: readers widen it
 * again as they load. (A convolution's bf16 result that batch norm reads in f32: half the bytes.)
 */
export function storeNarrow(stored: Set<Value>, selection: Selection, home: ReadonlyMap<Value, Kernel>): void {
  for (const value of [...stored]) {
    if (selection.forced.has(value) || value.leaf >= 0 || value.op !== 'cast') continue;
    const [narrow] = value.inputs as readonly [Value];
    if (!WIDENED.has(narrow.dtype) || value.dtype !== 'f32' || home.get(narrow) !== home.get(value)) continue;
    stored.delete(value);
    stored.add(narrow);
  }
}

const isPlain = (kernel: Kernel | undefined): boolean => kernel?.kind === 'space' && kernel.kept === null;

/**
 * Whether the kernel of `value` would have nothing to do without it: what it reads is then read by the reader instead.
 */
const isOnlyResult = (value: Value, stored: ReadonlySet<Value>, home: ReadonlyMap<Value, Kernel>): boolean =>
  [...home.get(value)!.members.keys()].every(member => member === value || !stored.has(member));

/** Kernels beside its own that read a value, through whatever is computed again. */
function otherReaders(value: Value, selection: Selection, home: ReadonlyMap<Value, Kernel>): ReadonlySet<Kernel> {
  const found = new Set<Kernel>();
  const visit = (v: Value, depth: number): void => {
    for (const user of v.users) {
      const kernel = home.get(user);
      if (kernel) found.add(kernel);
      else if (selection.virtual[user.id] && depth < 8) visit(user, depth + 1);
    }
  };
  visit(value, 0);
  found.delete(home.get(value)!);
  return found;
}

function recipeOf(
  value: Value,
  stored: ReadonlySet<Value>,
  selection: Selection,
  recipes: ReadonlyMap<Value, Recipe>,
  most: number,
  largest: number,
): Recipe | null {
  let cost = costOf(value);
  let possible = true;
  const sources = new Set<Value>();
  const seen = new Set<Value>();
  const visit = (v: Value): void => {
    if (!possible || seen.has(v)) return;
    seen.add(v);
    const recipe = recipes.get(v);
    if (v.leaf >= 0 || stored.has(v)) sources.add(v);
    else if (recipe) {
      cost += recipe.cost;
      for (const source of recipe.sources) sources.add(source);
    } else if (selection.virtual[v.id] || isElementwise(v)) {
      if (isElementwise(v)) cost += costOf(v);
      const root = storage(v);
      for (const input of root === v ? v.inputs : [root]) visit(input);
    } else possible = false;
    if (cost > most) possible = false;
  };
  for (const input of value.inputs) visit(input);
  if (!possible || cost > most) return null;
  let large = 0;
  for (const source of sources) if (source.size >= value.size && source.size > 1) large++;
  return large <= largest ? { sources: [...sources], cost } : null;
}
