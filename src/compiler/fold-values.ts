/**
 * What can be read off a value without computing it. Imports the flow.
 */
import type { Value } from './flow.ts';

/** An integer that was brought inside of [lo, hi]. */
interface Clamped {
  readonly of: Value;
  readonly lo: number;
  readonly hi: number;
}

/** What was clamped, and to which range, where the value is min(max(x, lo), hi); else null. */
export function clamped(value: Value): Clamped | null {
  const above = bounded(value, 'min');
  const below = above && bounded(above.of, 'max');
  return below && below.by <= above.by ? { of: below.of, lo: below.by, hi: above.by } : null;
}

/** The index of a scatter brought inside of its base, as readers of the same rows use it; null where nobody does. */
export function insideIndex(scatter: Value<'scatter'>): Value | null {
  const [base, index] = scatter.inputs as readonly [Value, Value];
  const rows = base.shape[scatter.attrs.axis]!;
  const isInside = (user: Value): boolean => {
    const range = clamped(user);
    return range !== null && range.of === index && range.lo === 0 && range.hi === rows - 1;
  };
  return index.users.flatMap(({ users }) => users).find(isInside) ?? null;
}

function bounded(value: Value, fn: 'min' | 'max'): { readonly of: Value; readonly by: number } | null {
  if (value.leaf >= 0 || !value.is('binary') || value.attrs.fn !== fn) return null;
  const [x, y] = value.inputs as readonly [Value, Value];
  const [left, right] = [uniform(x), uniform(y)];
  if (right !== null) return { of: x, by: Number(right) };
  return left === null ? null : { of: y, by: Number(left) };
}

/** The literal every element equals, where the value is one literal spread out; else null. */
export function uniform(value: Value): number | bigint | null {
  let v = value;
  for (;;) {
    if (v.leaf >= 0) return null;
    if (v.is('constant')) return v.attrs.value;
    if (v.is('reshape') || (v.is('reindex') && v.attrs.axes.length === 0)) v = v.inputs[0]!;
    else return null;
  }
}
