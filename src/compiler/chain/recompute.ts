/**
 * Scores are computed again instead of kept: what a forward pass derives from a product element by element (masks,
 * exponentials, weights) and a gradient reads is computed a second time for the gradient, from the product on, while
 * sums over rows are shared (Dao et al., FlashAttention, NeurIPS 2022). Both sides then are chains that never store a
 * score. Rewrites the flow.
 */
import { type Flow, isElementwise, storage, Value } from '../flow.ts';

/** Scores fewer than this stay in the second cache. */
const SMALLEST = 1 << 16;

/** A flow in which gradients have scores of their own, and those products; null where there are none. */
interface Recomputed {
  readonly flow: Flow;
  /** The second of each product, by the first. */
  readonly products: ReadonlyMap<Value, Value>;
}

interface Twice {
  /** The product that the first computation is for. */
  readonly summed: Value;
  /** What is computed again, in order. */
  readonly values: readonly Value[];
  /** Values of the gradient: they read the second ones. */
  readonly late: ReadonlySet<Value>;
}

export function recomputeScores(flow: Flow, wanted: (product: Value) => boolean): Recomputed | null {
  const pinned = new Set([...flow.outputs, ...flow.updates.map(update => update.value)].map(storage));
  const found: Twice[] = [];
  for (const value of flow.values) {
    if (!value.is('contract') || value.leaf >= 0 || value.size < SMALLEST) continue;
    const twice = wanted(value) && isBatched(value) && isNormalised(value) ? scoresOf(flow, value, pinned) : null;
    if (twice) found.push(twice);
  }
  return found.length > 0 ? rewrite(flow, found) : null;
}

/** Whether a product stands beside others: attention's heads, unlike a layer's. */
export const isBatched = ({ attrs: { a, b, out }, shape }: Value<'contract'>): boolean =>
  out.some((label, d) => shape[d]! > 1 && a.includes(label) && b.includes(label));

/** Whether rows of what is computed from a product element by element are reduced. */
function isNormalised(product: Value): boolean {
  const seen = new Set<Value>();
  const visit = (value: Value): boolean =>
    value.users.some(user => {
      if (user.is('reduce')) return user.attrs.axes.every(axis => axis === value.shape.length - 1);
      if (seen.has(user) || user.size !== product.size || !(isElementwise(user) || user.op === 'reshape')) return false;
      seen.add(user);
      return visit(user);
    });
  return visit(product);
}

/**
 * What is computed from a product element by element, if a later product sums over it and what follows from that reads
 * it again.
 */
function scoresOf(flow: Flow, product: Value, pinned: ReadonlySet<Value>): Twice | null {
  const scores = new Set<Value>([product]);
  const after = new Set<Value>();
  let summed: Value | null = null;
  let reduced = false;
  for (let id = product.id + 1; id < flow.values.length; id++) {
    const value = flow.values[id]!;
    if (value.leaf >= 0) continue;
    if (value.inputs.some(input => after.has(input))) {
      after.add(value);
      continue;
    }
    const reads = value.inputs.some(input => scores.has(input));
    if (!reads) continue;
    if (value.is('contract')) {
      if (summed) return null;
      summed = value;
      after.add(value);
    } else if (value.is('reduce')) reduced = true;
    else if (
      value.size === product.size &&
      value.group === product.group &&
      (isElementwise(value) || value.op === 'reshape')
    )
      scores.add(value);
    else return null;
  }
  if (!summed || !reduced) return null;
  const late = new Set<Value>();
  const again = new Set<Value>();
  const repeat = (value: Value): void => {
    if (!scores.has(value) || again.has(value)) return;
    again.add(value);
    for (const input of value.inputs) repeat(input);
  };
  for (const value of scores) {
    if (pinned.has(value)) return null;
    for (const user of value.users) {
      if (user === summed || !after.has(user)) continue;
      late.add(user);
      repeat(value);
    }
  }
  return late.size > 0 ? { values: [...again].sort((a, b) => a.id - b.id), late, summed } : null;
}

function rewrite(flow: Flow, found: readonly Twice[]): Recomputed {
  const values: Value[] = [];
  const products = new Map<Value, Value>();
  const copies = new Map<Value, Value>();
  const seconds = new Map<Value, Value>();
  const lasting = new Set<Value>();
  const first = new Map<Value, Twice[]>();
  const second = new Set<Value>();
  for (const twice of found) {
    const user = [...twice.late].reduce((a, b) => (a.id < b.id ? a : b));
    first.set(user, [...(first.get(user) ?? []), twice]);
    for (const value of twice.late) second.add(value);
  }
  const enter = (value: Value, inputs: readonly Value[], born: number): Value => {
    const { op, attrs, shape, dtype, leaf, group } = value;
    const copy = new Value(values.length, op, attrs, inputs, shape, dtype, leaf, born, group);
    values.push(copy);
    if (flow.lasts(value)) lasting.add(copy);
    return copy;
  };
  for (const value of flow.values) {
    for (const twice of first.get(value) ?? [])
      for (const again of twice.values) {
        const copy = enter(
          again,
          again.inputs.map(input => seconds.get(input) ?? copies.get(input)!),
          value.born,
        );
        seconds.set(again, copy);
        if (!again.is('contract')) continue;
        copy.after = copies.get(twice.summed)!;
        products.set(again, copy);
      }
    const reads = (input: Value): Value => (second.has(value) ? seconds.get(input) : undefined) ?? copies.get(input)!;
    copies.set(value, enter(value, value.inputs.map(reads), value.born));
  }
  const copied = (value: Value): Value => copies.get(value)!;
  return {
    flow: {
      values,
      leaves: flow.leaves.map(leaf => leaf && copied(leaf)),
      outputs: flow.outputs.map(copied),
      updates: flow.updates.map(({ leaf, value }) => ({ leaf, value: copied(value) })),
      sameMemory: flow.sameMemory,
      lasts: value => lasting.has(value),
    },
    products,
  };
}
