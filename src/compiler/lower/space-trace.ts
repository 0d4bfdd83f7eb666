/**
 * A space kernel as expressions: its members at coordinates over whatever loop variables were chosen, its results with
 * where they are stored, and its reductions, looped over or written out. Imports level 1; chooses no loops.
 */

import { type Combination, type Expr, type ReducedExpr, Tracer } from '../expr.ts';
import type { Value } from '../flow.ts';
import type { IndexTable, Ix, VarAtom } from '../index-expr.ts';
import type { SpaceKernel } from '../kernels.ts';
import type { ProgramContext } from './context.ts';
import { indicesOf, reachable, type Traced } from './domain.ts';

/** A result, or a part of one. */
export interface StoreExpr {
  readonly value: Value;
  readonly ix: Ix;
  readonly expr: Expr;
  /** Whether the value has the summed dims too. */
  readonly full: boolean;
  /** The row of a variable it is put into, for an update of rows: only where that is one of `rows`. */
  readonly row?: { readonly index: Expr; readonly rows: number };
}

export interface SpaceTrace extends Traced {
  readonly stores: readonly StoreExpr[];
  readonly reduced: readonly ReducedExpr[];
}

/** How a kernel's expressions are wanted. */
interface SpaceView {
  readonly vars: readonly VarAtom[];
  /** The kernel's own variables in terms of `vars`. */
  readonly meaning: ReadonlyMap<VarAtom, Ix>;
  /** Whether reductions are written out, element by element. */
  readonly writtenOut: boolean;
}

export function traceSpace(
  kernel: SpaceKernel,
  context: ProgramContext,
  realised: (value: Value) => boolean,
  { vars, meaning, writtenOut }: SpaceView,
): SpaceTrace {
  const { table } = context;
  const memo = new Map<Ix, Ix>();
  const move = (coords: readonly Ix[]): Ix[] => coords.map(ix => table.substitute(ix, meaning, memo));
  const kept = kernel.kept ?? kernel.shape.map(() => true);
  const summed = new Set<VarAtom>();
  kernel.vars.forEach((v, d) => {
    if (kept[d]) return;
    for (const { atom } of meaning.get(v)!.terms) collectVars(atom, summed);
  });
  const members = new Map([...kernel.members].map(([value, coords]) => [value, move(coords)]));
  const tracer = new Tracer(table, vars, {
    windows: context.windows,
    members,
    realised,
    reducedVars: summed,
  });
  const full = move(kernel.vars.map(v => table.ofAtom(v)));
  const combinations = writtenOut ? combinationsOf(table, members, full, summed) : null;
  tracer.combinations = combinations;
  for (const reduction of kernel.reductions) tracer.inputCoords.set(reduction, full);
  const reduced: ReducedExpr[] = [];
  for (const reduction of combinations ? [] : kernel.reductions) {
    const e = tracer.trace(reduction, members.get(reduction)!);
    if (e.kind !== 'reduced') throw new Error('internal: a reduction is not traced as one');
    reduced.push(e);
  }
  const stores = kernel.stores.flatMap((value): StoreExpr[] => {
    const isFull = value.op !== 'reduce' && (kernel.kept === null || hasSummedDims(kernel, value));
    const at = (where: ReadonlyMap<Value, readonly Ix[]>): StoreExpr => {
      const coords = where.get(value)!;
      const expr = tracer.within(where, () => tracer.trace(value, coords));
      if (!value.is('scatter')) return { value, ix: table.linear(coords, value.shape), expr, full: isFull };
      const { ix, index } = tracer.rowOf(value, coords);
      return { value, ix, expr, full: isFull, row: { index, rows: value.shape[0]! } };
    };
    return combinations && isFull && kernel.kept ? combinations.map(c => at(c.members)) : [at(members)];
  });
  const exprs = reachable([...stores.flatMap(s => (s.row ? [s.expr, s.row.index] : [s.expr])), ...reduced]);
  const indices = [...new Set([...stores.map(s => s.ix), ...exprs.flatMap(indicesOf)])];
  return { tracer, exprs, indices, stores, reduced };
}

/** Every combination of values of the summed variables, as coordinates. */
function combinationsOf(
  table: IndexTable,
  members: ReadonlyMap<Value, readonly Ix[]>,
  full: readonly Ix[],
  summed: ReadonlySet<VarAtom>,
): Combination[] {
  let choices: ReadonlyMap<VarAtom, Ix>[] = [new Map()];
  for (const v of summed)
    choices = choices.flatMap(choice =>
      Array.from({ length: v.extent }, (_, i) => new Map(choice).set(v, table.constant(i))),
    );
  return choices.map(choice => {
    const memo = new Map<Ix, Ix>();
    const put = (coords: readonly Ix[]): Ix[] => coords.map(ix => table.substitute(ix, choice, memo));
    return { members: new Map([...members].map(([value, coords]) => [value, put(coords)])), full: put(full) };
  });
}

/** Whether a member has the kernel's full size (as against the size of its results). */
function hasSummedDims(kernel: SpaceKernel, value: Value): boolean {
  const summed = kernel.vars.filter((_, d) => !kernel.kept![d]);
  const coords = kernel.members.get(value)!;
  const present = new Set<VarAtom>();
  for (const ix of coords) for (const { atom } of ix.terms) collectVars(atom, present);
  return summed.some(v => present.has(v));
}

function collectVars(atom: Ix['terms'][number]['atom'], into: Set<VarAtom>): void {
  if (atom.kind === 'var') into.add(atom);
  else if (atom.kind === 'data') for (const v of atom.vars) into.add(v);
  else for (const { atom: inner } of atom.of.terms) collectVars(inner, into);
}
