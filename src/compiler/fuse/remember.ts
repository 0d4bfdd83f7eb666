/**
 * Which values of a kernel are worth memory although other kernels read them: not those that are a cheap step away from something that is in
 * memory anyway. What a forward pass leaves for the gradient shrinks to what cannot be had cheaply. Imports the flow.
 */
import { costOf } from '../expr.ts';
import { isElementwise, storage, type Value } from '../flow.ts';
import type { Selection } from './select.ts';

/** Largest cost of what every reader computes again. */
const CHEAP = 6;

interface Recipe {
  readonly sources: readonly Value[];
  readonly cost: number;
}

/** Takes values out of `stored` that are computed again from the rest, one source of full size each. */
export function forgetCheap(stored: Set<Value>, selection: Selection): void {
  const recipes = new Map<Value, Recipe>();
  for (const value of [...stored].sort((a, b) => a.id - b.id)) {
    if (selection.forced.has(value) || !isElementwise(value)) continue;
    const recipe = recipeOf(value, stored, selection, recipes);
    if (!recipe) continue;
    recipes.set(value, recipe);
    stored.delete(value);
  }
}

function recipeOf(
  value: Value,
  stored: ReadonlySet<Value>,
  selection: Selection,
  recipes: ReadonlyMap<Value, Recipe>,
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
    } else if (selection.virtual[v.id]) {
      if (isElementwise(v)) cost += costOf(v);
      const root = storage(v);
      for (const input of root === v ? v.inputs : [root]) visit(input);
    } else possible = false;
    if (cost > CHEAP) possible = false;
  };
  for (const input of value.inputs) visit(input);
  if (!possible || cost > CHEAP) return null;
  let large = 0;
  for (const source of sources) if (source.size >= value.size && source.size > 1) large++;
  return large <= 1 ? { sources: [...sources], cost } : null;
}
