/**
 * Views as arithmetic: given coordinates of a view's element, the coordinates of the element it shows and the
 * conditions under which it shows one. Imports the flow and index expressions; knows nothing of kernels.
 */
import type { Value } from './flow.ts';
import { gcd, type IndexTable, type Ix } from './index-expr.ts';

/** Holds iff 0 <= ix < size. */
export interface Condition {
  readonly ix: Ix;
  readonly size: number;
}

/** What a guarded view shows at some coordinates. */
export interface Shown {
  readonly coords: readonly Ix[];
  /** Conditions not proven by ranges; where one fails the view shows its fill. */
  readonly conditions: readonly Condition[];
  /** Whether some condition can never hold. */
  readonly never: boolean;
}

/** Reads through a reindex. */
export function throughReindex(table: IndexTable, view: Value<'reindex'>, coords: readonly Ix[]): Shown {
  const inShape = view.inputs[0]!.shape;
  const conditions: Condition[] = [];
  let never = false;
  const require = (ix: Ix, size: number): void => {
    if (ix.lo >= 0 && ix.hi < size) return;
    if (ix.hi < 0 || ix.lo >= size) never = true;
    conditions.push({ ix, size });
  };
  const through = view.attrs.axes.map((map, a) => {
    const numerator =
      map.terms.length === 1 && map.terms[0]![1] === 1 && map.offset === 0
        ? coords[map.terms[0]![0]]!
        : table.sum(
            map.terms.map(([dim, coef]) => [coords[dim]!, coef] as const),
            map.offset,
          );
    const position = table.floorDiv(numerator, map.div);
    if (map.div !== 1) require(table.mod(numerator, map.div), 1);
    require(position, inShape[a]!);
    return inShape[a] === 1 && position.terms.length > 0 ? table.zero : position;
  });
  return { coords: through, conditions, never };
}

/**
 * The same condition over fewer variables, where the others cannot change it: 0 <= 384 * k + 64 * l + m - 384 < 384 is
 * 0 <= k - 1 < 1 for 64 * l + m < 384. What is padded or cut after dims were joined is then known per part.
 */
export function simplest(table: IndexTable, condition: Condition): Condition {
  const { ix, size } = condition;
  if (ix.terms.length < 2) return condition;
  const steps = new Set(ix.terms.map(({ coef }) => gcd(size, Math.abs(coef))));
  for (const step of [...steps].sort((a, b) => b - a)) {
    const whole = step > 1 ? table.wholeSteps(ix, step) : null;
    if (whole && whole.terms.length < ix.terms.length) return { ix: whole, size: size / step };
  }
  return condition;
}

/** Where an unguarded reindex reads, relative to where its first element is read. */
export function withoutOffsets(table: IndexTable, view: Value<'reindex'>, coords: readonly Ix[]): Ix[] {
  return view.attrs.axes.map(map => table.sum(map.terms.map(([dim, coef]) => [coords[dim]!, coef] as const)));
}

/** Reads through a reshape. */
export function throughReshape(table: IndexTable, view: Value, coords: readonly Ix[]): Ix[] {
  return table.unravel(table.linear(coords, view.shape), view.inputs[0]!.shape);
}
