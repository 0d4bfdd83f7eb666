/**
 * Which columns a row of scores does not see: where a comparison of the row's and the column's number decides that
 * every sum over the row gains nothing and everything kept is 0 (causal masks). Whole blocks of such scores need not be
 * computed. Products of 0 with what is infinite or NaN count as 0. Imports level 1.
 */
import type { Expr, OpExpr, ReducedExpr } from '../expr.ts';
import type { VarAtom } from '../index-expr.ts';

/** row * coefficient + column * coefficient + constant. */
interface Affine {
  readonly row: number;
  readonly column: number;
  readonly constant: number;
}

/** A literal that holds for every unseen column, or null for anything. */
type Known = number | boolean | null;

/** Rows that see some of their columns. */
export interface Seen {
  /** Row r sees columns below r + `reach` only; at least 1: every row sees something. */
  readonly reach: number;
  /** The comparison that says so, and what it is where a column is seen. */
  readonly condition: Expr;
  readonly truth: boolean;
}

/** Which columns rows see, where that is not all of them. */
export function seenColumns(
  exprs: readonly Expr[],
  sums: readonly ReducedExpr[],
  kept: readonly Expr[],
  row: VarAtom,
  column: VarAtom,
): Seen | null {
  for (const e of exprs) {
    if (e.kind !== 'op' || !e.value.is('compare') || e.value.attrs.fn === 'eq') continue;
    const [x, y] = e.args.map(arg => affine(arg, row, column));
    if (!x || !y) continue;
    // e holds where 0 < difference.
    const difference = y.constant - x.constant + (e.value.attrs.fn === 'le' ? 1 : 0);
    const [byRow, byColumn] = [y.row - x.row, y.column - x.column];
    if (byColumn === 1 && byRow === -1) {
      const seen = 1 - difference;
      if (seen >= 1 && isNeutral(e, true, sums, kept)) return { reach: seen, condition: e, truth: false };
    } else if (byColumn === -1 && byRow === 1) {
      if (difference >= 1 && isNeutral(e, false, sums, kept)) return { reach: difference, condition: e, truth: true };
    }
  }
  return null;
}

function affine(e: Expr, row: VarAtom, column: VarAtom): Affine | null {
  if (e.kind === 'const') return { row: 0, column: 0, constant: Number(e.value) };
  if (e.kind === 'index') {
    let result: Affine = { row: 0, column: 0, constant: e.ix.constant };
    for (const { atom, coef } of e.ix.terms) {
      if (atom === row) result = { ...result, row: coef };
      else if (atom === column) result = { ...result, column: coef };
      else return null;
    }
    return result;
  }
  if (e.kind !== 'op') return null;
  if (e.value.is('cast')) return affine(e.args[0]!, row, column);
  if (!e.value.is('binary')) return null;
  const [x, y] = e.args.map(arg => affine(arg, row, column));
  if (!x || !y) return null;
  const plus = (sign: number): Affine => ({
    row: x.row + sign * y.row,
    column: x.column + sign * y.column,
    constant: x.constant + sign * y.constant,
  });
  if (e.value.attrs.fn === 'add') return plus(1);
  return e.value.attrs.fn === 'sub' ? plus(-1) : null;
}

const NEUTRAL = {
  sum: 0,
  prod: 1,
  max: Number.NEGATIVE_INFINITY,
  min: Number.POSITIVE_INFINITY,
} as const;

/** Whether nothing is summed and nothing but 0 is kept where `condition` is `truth`. */
function isNeutral(condition: Expr, truth: boolean, sums: readonly ReducedExpr[], kept: readonly Expr[]): boolean {
  const memo = new Map<Expr, Known>([[condition, truth]]);
  const known = (e: Expr): Known => {
    let value = memo.get(e);
    if (value === undefined) {
      value = e.kind === 'const' ? Number(e.value) : e.kind === 'op' ? operation(e, known) : null;
      memo.set(e, value);
    }
    return value;
  };
  return sums.every(e => known(e.args[0]!) === NEUTRAL[e.value.attrs.kind]) && kept.every(e => known(e) === 0);
}

function operation(e: OpExpr, known: (e: Expr) => Known): Known {
  const { value } = e;
  const args = e.args.map(known);
  const [x, y, z] = args as [Known, Known, Known];
  if (value.is('where')) return x === null ? (y === z ? y : null) : x ? y : z;
  if (value.is('unary')) {
    if (x === null) return null;
    if (value.attrs.fn === 'not') return e.dtype === 'bool' ? !x : null;
    if (value.attrs.fn === 'neg') return 0 - Number(x);
    return value.attrs.fn === 'exp' && x === Number.NEGATIVE_INFINITY ? 0 : null;
  }
  if (value.is('cast')) return x === null || e.dtype === 'bool' ? null : Number(x);
  if (!value.is('binary')) return null;
  const infinite = (k: Known): boolean => k === Number.NEGATIVE_INFINITY;
  switch (value.attrs.fn) {
    case 'add':
      if (infinite(x) || infinite(y)) return Number.NEGATIVE_INFINITY;
      return x === null || y === null ? null : Number(x) + Number(y);
    case 'sub':
      if (infinite(x)) return x;
      return x === null || y === null ? null : Number(x) - Number(y);
    case 'mul':
      if (x === 0 || y === 0) return 0;
      if (infinite(x) && typeof y === 'number' && y > 0) return x;
      return infinite(y) && typeof x === 'number' && x > 0 ? y : null;
    case 'div':
      return x === 0 ? 0 : null;
    case 'and':
      return x === false || y === false ? false : null;
    case 'or':
      return x === true || y === true ? true : null;
    default:
      return null;
  }
}
