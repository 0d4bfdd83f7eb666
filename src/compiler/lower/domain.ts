/**
 * The loops of a kernel: from the space that fusion chose to variables in which its accesses are affine. Variables are
 * split where an index divides by a part of them, neighbours are merged where every access walks them as one, and one
 * variable becomes the lanes of vectors. Imports the graph's limits, level 1 and index expressions; emits nothing.
 */
import { MOST_ELEMENTS } from '../../graph/build/node.ts';
import { suggestSplit } from '../absorb.ts';
import type { CheckedIndex, Expr, Tracer } from '../expr.ts';
import { coefficient, type DataAtom, type IndexTable, type Ix, type VarAtom } from '../index-expr.ts';

export interface LoopVar {
  readonly atom: VarAtom;
  /** Whether results have this dim; false for variables that are summed over. */
  readonly kept: boolean;
}

/** A kernel's expressions over some choice of variables. */
export interface Traced {
  readonly tracer: Tracer;
  /** Every expression reachable from a root, arguments first. */
  readonly exprs: readonly Expr[];
  /** Every index expression in use: loads, stores, guards, indices as values. */
  readonly indices: readonly Ix[];
}

/**
 * Expressions reachable from `roots`, arguments (and those of loaded indices) first; with `stop`, not what reductions
 * sum.
 */
export function reachable(
  roots: readonly Expr[],
  stop = false,
  known: { has(e: Expr): boolean } | null = null,
): Expr[] {
  // Ids count up from 0 within one tracer, and arguments are made before what uses them.
  const seen = new Uint8Array(roots.reduce((n, e) => Math.max(n, e.id + 1), 0));
  const order: Expr[] = [];
  const visitLoaded = (checked: CheckedIndex): void => visit(checked.index);
  const visit = (e: Expr): void => {
    if (seen[e.id]) return;
    seen[e.id] = 1;
    if (known?.has(e)) {
      order.push(e);
      return;
    }
    for (const ix of indicesOf(e)) eachLoaded(ix, visitLoaded);
    if (!stop || e.kind !== 'reduced') for (const arg of e.args) visit(arg);
    order.push(e);
  };
  for (const root of roots) visit(root);
  return order;
}

const NONE: readonly Ix[] = [];

/** Index expressions an expression itself uses. */
export function indicesOf(e: Expr): readonly Ix[] {
  if (e.kind === 'op' || e.kind === 'const') return NONE;
  if (e.kind === 'load') return e.conditions.length > 0 ? [e.ix, ...e.conditions.map(c => c.ix)] : [e.ix];
  if (e.kind === 'guard') return e.conditions.map(c => c.ix);
  return e.kind === 'index' ? [e.ix] : NONE;
}

/** Calls `see` for every loaded index under `ix`. */
export function eachLoaded(ix: Ix, see: (checked: CheckedIndex) => void): void {
  for (const { atom } of ix.terms) {
    if (atom.kind === 'data') see((atom as DataAtom<CheckedIndex>).of);
    else if (atom.kind !== 'var') eachLoaded(atom.of, see);
  }
}

/** Variables, and what those of the original space are in terms of them. */
export interface Loops {
  readonly vars: readonly LoopVar[];
  readonly meaning: ReadonlyMap<VarAtom, Ix>;
}

export interface Domain<T extends Traced> extends Loops {
  readonly traced: T;
}

/** A part of a space: variables that start later and are shorter. */
export type Window = ReadonlyMap<VarAtom, { readonly start: number; readonly extent: number }>;

/** Pieces a space is cut into at most. */
const MAX_WINDOWS = 12;

/**
 * Cuts a space where guards change their mind, so that each piece knows what it reads (padding, parts side by side).
 * Only along kept variables, and only where the guard looks at one of them. Null when there is nothing to cut.
 */
export function windowsOf(space: readonly LoopVar[], exprs: readonly Expr[]): Window[] | null {
  const cuts = new Map<VarAtom, Set<number>>();
  for (const e of exprs) {
    if (e.kind !== 'guard') continue;
    for (const { ix, size } of e.conditions) {
      const [term] = ix.terms;
      if (ix.terms.length !== 1 || term!.atom.kind !== 'var') continue;
      const atom = term!.atom;
      if (!space.some(v => v.kept && v.atom === atom)) continue;
      // The condition holds from first to before last.
      const { coef } = term!;
      const [first, last] =
        coef > 0
          ? [Math.ceil(-ix.constant / coef), Math.ceil((size - ix.constant) / coef)]
          : [Math.floor((size - ix.constant) / coef) + 1, Math.floor(-ix.constant / coef) + 1];
      for (const cut of [first, last]) {
        if (cut <= 0 || cut >= atom.extent) continue;
        const known = cuts.get(atom);
        if (known) known.add(cut);
        else cuts.set(atom, new Set([cut]));
      }
    }
  }
  let windows: Map<VarAtom, { start: number; extent: number }>[] = [new Map()];
  for (const [atom, at] of cuts) {
    if (windows.length * (at.size + 1) > MAX_WINDOWS) continue;
    const edges = [0, ...[...at].sort((a, b) => a - b), atom.extent];
    windows = windows.flatMap(window =>
      edges.slice(0, -1).map((start, i) => new Map(window).set(atom, { start, extent: edges[i + 1]! - start })),
    );
  }
  return windows.length > 1 ? windows : null;
}

/** A piece of some loops. */
export function narrow(table: IndexTable, loops: Loops, window: Window): Loops {
  const by = new Map<VarAtom, Ix>();
  const vars = loops.vars.map(({ atom, kept }) => {
    const part = window.get(atom);
    if (!part) return { atom, kept };
    const shorter = table.variable(part.extent);
    by.set(atom, table.add(table.ofAtom(shorter), table.constant(part.start)));
    return { atom: shorter, kept };
  });
  return { vars, meaning: substituted(table, loops.meaning, by) };
}

const substituted = (
  table: IndexTable,
  meaning: ReadonlyMap<VarAtom, Ix>,
  by: ReadonlyMap<VarAtom, Ix>,
): Map<VarAtom, Ix> => new Map([...meaning].map(([original, ix]) => [original, table.substitute(ix, by)]));

/**
 * Splits variables until indices that divide by a part of one are affine, where they can be. `retrace` builds the
 * kernel's expressions when the original variables are replaced as said.
 */
export function splitLoops<T extends Traced>(
  table: IndexTable,
  loops: Loops,
  retrace: (vars: readonly VarAtom[], meaning: ReadonlyMap<VarAtom, Ix>) => T,
): Domain<T> {
  const vars = loops.vars.filter(v => v.atom.extent !== 1);
  let { meaning } = loops;
  const trace = (): T =>
    retrace(
      vars.map(v => v.atom),
      meaning,
    );
  let traced = trace();
  for (let round = 0; round < 8; round++) {
    let changed = false;
    for (const ix of traced.indices) {
      const wanted = suggestSplit(ix);
      const at = wanted ? vars.findIndex(v => v.atom === wanted.variable) : -1;
      if (at < 0) continue;
      const { by } = wanted!;
      const { atom, kept } = vars[at]!;
      const outer = table.variable(atom.extent / by);
      const inner = table.variable(by);
      vars.splice(at, 1, { atom: outer, kept }, { atom: inner, kept });
      const whole = table.sum([
        [table.ofAtom(outer), by],
        [table.ofAtom(inner), 1],
      ]);
      meaning = substituted(table, meaning, new Map([[atom, whole]]));
      changed = true;
      break;
    }
    if (!changed) break;
    traced = trace();
  }
  return { vars, meaning, traced };
}

/** Merges variables that every index walks as one. */
export function mergeLoops<T extends Traced>(
  table: IndexTable,
  domain: Domain<T>,
  retrace: (vars: readonly VarAtom[], meaning: ReadonlyMap<VarAtom, Ix>) => T,
): Domain<T> {
  const merged = mergeNeighbours(table, domain.vars, domain.traced.indices);
  if (!merged) return domain;
  const meaning = substituted(table, domain.meaning, merged.meaning);
  const traced = retrace(
    merged.vars.map(v => v.atom),
    meaning,
  );
  return { vars: merged.vars, meaning, traced };
}

/**
 * The domain in which variables for whose neighbour `joins` holds are one with it, if that turns out to be what
 * splitting and merging would come to; null else.
 */
export function guessed<T extends Traced>(
  table: IndexTable,
  loops: Loops,
  joins: (v: LoopVar, next: LoopVar, isLast: boolean) => boolean,
  retrace: (vars: readonly VarAtom[], meaning: ReadonlyMap<VarAtom, Ix>) => T,
): Domain<T> | null {
  const vars = loops.vars.filter(v => v.atom.extent !== 1);
  const merged = joined(
    table,
    vars,
    vars.map((v, i) => i + 1 < vars.length && joins(v, vars[i + 1]!, i + 2 === vars.length)),
  );
  if (!merged) return null;
  const meaning = substituted(table, loops.meaning, merged.meaning);
  const atoms = merged.vars.map(v => v.atom);
  const traced = retrace(atoms, meaning);
  // Where guards hold is looked for in the variables that there were.
  if (traced.exprs.some(e => e.kind === 'guard')) return null;
  const isPlain = (ix: Ix): boolean => ix.terms.every(({ atom }) => atom.kind === 'var');
  return traced.indices.every(isPlain) ? { vars: merged.vars, meaning, traced } : null;
}

/** Joins runs of neighbouring variables that every index walks as one. */
function mergeNeighbours(
  table: IndexTable,
  vars: readonly LoopVar[],
  indices: readonly Ix[],
): { vars: LoopVar[]; meaning: Map<VarAtom, Ix> } | null {
  const joins = vars.map((v, i) => {
    const next = vars[i + 1];
    if (!next || next.kept !== v.kept) return false;
    return indices.every(ix => {
      const outer = coefficient(ix, v.atom);
      const inner = coefficient(ix, next.atom);
      return outer !== null && inner !== null && outer === inner * next.atom.extent;
    });
  });
  return joined(table, vars, joins);
}

/** Makes each variable for which `joins` holds one with the next. */
function joined(
  table: IndexTable,
  vars: readonly LoopVar[],
  joins: readonly boolean[],
): { vars: LoopVar[]; meaning: Map<VarAtom, Ix> } | null {
  if (!joins.some(Boolean)) return null;
  const result: LoopVar[] = [];
  const meaning = new Map<VarAtom, Ix>();
  for (let i = 0; i < vars.length; ) {
    let end = i;
    let extent = vars[i]!.atom.extent;
    // Loops count in 32 bits.
    while (joins[end] && extent * vars[end + 1]!.atom.extent <= MOST_ELEMENTS) extent *= vars[++end]!.atom.extent;
    if (end === i) result.push(vars[i]!);
    else {
      const run = vars.slice(i, end + 1);
      const whole = table.variable(extent);
      result.push({ atom: whole, kept: run[0]!.kept });
      const coords = table.unravel(
        table.ofAtom(whole),
        run.map(v => v.atom.extent),
      );
      run.forEach((v, r) => {
        meaning.set(v.atom, coords[r]!);
      });
    }
    i = end + 1;
  }
  return { vars: result, meaning };
}

/** Whether computing the expressions may check an index. */
export function checksIndices(exprs: readonly Expr[]): boolean {
  let checks = false;
  for (const e of exprs) {
    if (e.kind === 'op' && (e.value.is('checkIndex') || e.value.is('gather'))) return true;
    for (const ix of indicesOf(e))
      eachLoaded(ix, () => {
        checks = true;
      });
  }
  return checks;
}
