/**
 * A chain over batches x rows x columns: its products as dense problems, what is computed per row as expressions over
 * three variables, and the sizes of its blocks. Null where something does not fit the form: then its kernels stay
 * apart. Emits nothing.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import { packedProblem, suitsWords, type WordProblem } from '../contract/packed/problem.ts';
import { extent, type Problem, problemsOf, type View } from '../contract/problem.ts';
import type { ContractOperand, ContractSpec } from '../contract/spec.ts';
import { tileCycles } from '../contract/tile.ts';
import { costOf, type Expr, type ReducedExpr, Tracer } from '../expr.ts';
import { storage, type Value } from '../flow.ts';
import { coefficient, type Ix, type VarAtom } from '../index-expr.ts';
import type { ChainKernel, ContractKernel } from '../kernels.ts';
import { registerScalar } from '../loops.ts';
import type { KernelBuffers, ProgramContext } from '../lower/context.ts';
import { NO_BUFFER, specify } from '../lower/contract.ts';
import { eachLoaded, indicesOf, reachable } from '../lower/domain.ts';
import { passDepths } from '../lower/memory-reuse.ts';
import { lanesFor, type Target } from '../target.ts';
import { rowsOf } from './join.ts';
import { type Seen, seenColumns } from './neutral.ts';

/** Rows of a block: the products' tiles divide it. */
export const ROWS = 32;

/** A register tile: `rows` x `vectors`. */
export interface Tile {
  readonly rows: number;
  readonly vectors: number;
}

export interface Product {
  readonly problem: Problem;
  readonly tile: Tile;
  /** The same over words, where the machine multiplies those. */
  readonly words: WordProblem | null;
  /** Coordinates per batch dim: (batch / inner) mod size. */
  readonly batch: readonly { readonly dim: number; readonly inner: number; readonly size: number }[];
}

/** Scores: rows x columns of a block, out of operands in memory. */
export interface Scores extends Product {
  readonly contracted: Expr;
}

/** A product over what a chain makes: of its rows (a result per row) or of its columns (a sum over all rows). */
export interface Result extends Product {
  readonly of: 'rows' | 'columns';
  readonly read: Value;
  readonly mayFail: () => boolean;
}

/** An expression per score that lies in a block's memory between passes, or for the products. */
export interface Kept {
  readonly expr: Expr;
  /** The pass that computes it: -1 for what a product leaves. */
  readonly pass: number;
  readonly area: number;
  /** Whether it is bf16, for products over words: those have areas of their own. */
  readonly narrow: boolean;
}

/** Batches have several variables, outermost first, so that index expressions are sums. */
interface ChainVars {
  readonly batch: readonly VarAtom[];
  readonly row: VarAtom;
  readonly column: VarAtom;
}

export interface ChainPlan {
  readonly batches: number;
  readonly rows: number;
  readonly columns: number;
  /** What is multiplied: f32 in vectors, or words of bf16. */
  readonly on: 'vectors' | 'words';
  readonly scores: readonly Scores[];
  readonly results: readonly Result[];
  readonly vars: ChainVars;
  readonly tracer: Tracer;
  readonly exprs: readonly Expr[];
  readonly depths: ReadonlyMap<Expr, number>;
  readonly sums: readonly ReducedExpr[];
  /** Results per row, stored when the passes are over. */
  readonly stores: readonly { readonly value: Value; readonly ix: Ix; readonly expr: Expr }[];
  readonly passes: number;
  readonly kept: readonly Kept[];
  /** Areas of a block's memory, each for one value per score, of f32 and of bf16. */
  readonly areas: number;
  readonly narrowAreas: number;
  /** What results read. */
  readonly ends: ReadonlyMap<Value, Expr>;
  /** Where that lies. */
  readonly areaOf: ReadonlyMap<Value, number>;
  readonly seen: Seen | null;
}

/** Values that cost as much as an exponential wait in memory for the next pass. */
const COSTLY = 16;

export function planChain(
  chain: ChainKernel,
  context: ProgramContext,
  realised: (value: Value) => boolean,
  buffers: KernelBuffers,
): ChainPlan | null {
  const { table, target } = context;
  const size = rowsOf(chain.rows, table);
  if (!size) return null;
  const { columns } = size;
  const problems = chain.products.map(kernel => scoresProblem(kernel, context, buffers, columns));
  const first = problems[0];
  if (!first) return null;
  const rows = first.dims[first.m[0]!]!.size;
  const batches = size.rows / rows;
  const shape = { batches, rows, columns };
  const results = chain.results.map(kernel => resultOf(chain, kernel, context, realised, buffers, shape));

  const batchSizes = finestBatch(chain, shape);
  const vars: ChainVars = {
    batch: batchSizes.map(n => table.variable(n)),
    row: table.variable(rows),
    column: table.variable(columns),
  };
  const rowAt = table.linear(
    [...vars.batch, vars.row].map(v => table.ofAtom(v)),
    [...batchSizes, rows],
  );
  const at = table.linear([rowAt, table.ofAtom(vars.column)], [size.rows, columns]);
  const members = new Map<Value, readonly Ix[]>();
  for (const kernel of [...chain.products, chain.rows])
    for (const value of kernel.members.keys())
      members.set(value, table.unravel(value.size === size.rows ? rowAt : at, value.shape));
  const tracer = new Tracer(table, [...vars.batch, vars.row, vars.column], {
    windows: context.windows,
    members,
    realised,
    reducedVars: new Set([vars.column]),
  });
  for (const reduction of chain.rows.reductions)
    tracer.inputCoords.set(reduction, table.unravel(at, reduction.inputs[0]!.shape));
  const traced = (value: Value): Expr => tracer.trace(value, members.get(value)!);
  const scores: Scores[] = [];
  for (const [i, problem] of problems.entries()) {
    const batch = problem && batchOf(problem, problem.out.lin, shape);
    if (!problem || !batch || problem.dims[problem.m[0]!]!.size !== rows) return null;
    const contracted = traced(chain.products[i]!.value);
    scores.push({ problem, batch, contracted, tile: tileOf(columns, target), words: wordsOf(problem, target) });
  }
  const sums = chain.rows.reductions.map(reduction => traced(reduction) as ReducedExpr);
  const stores = chain.rows.stores
    .filter(value => !chain.made.has(value))
    .map(value => ({ value, ix: table.linear(members.get(value)!, value.shape), expr: traced(value) }));
  const read: Result[] = [];
  for (const result of results) {
    if (!result) return null;
    read.push(result);
  }
  const ends = new Map([...new Set(read.map(result => result.read))].map(value => [value, traced(value)]));
  const exprs = reachable([...sums, ...stores.map(s => s.expr), ...ends.values()]);
  if (!exprs.every(e => isEmittable(e, tracer, vars.column))) return null;
  const depths = passDepths(exprs);
  const inner = 2 ** tracer.vars.indexOf(vars.column);
  const memory = layOut(scores, sums, [...new Set(ends.values())], depths, e => (e.mask & inner) !== 0);
  const on = multipliedOn([...scores, ...read], memory.kept, [...ends.values()]);
  if (!on) return null;
  const areaOf = new Map([...ends].map(([value, expr]) => [value, memory.areaOf.get(expr)!]));
  return {
    ...shape,
    on,
    scores,
    results: read,
    vars,
    tracer,
    exprs,
    depths,
    sums,
    stores,
    passes: memory.passes,
    kept: memory.kept,
    areas: memory.areas,
    narrowAreas: memory.narrowAreas,
    ends,
    areaOf,
    seen: seenColumns(exprs, sums, [...ends.values()], vars.row, vars.column),
  };
}

/** Vectors along the columns hold 4-byte values only, and nothing is looked up by a loaded index. */
function isEmittable(e: Expr, tracer: Tracer, column: VarAtom): boolean {
  let loaded = false;
  for (const ix of indicesOf(e)) {
    eachLoaded(ix, () => {
      loaded = true;
    });
    if (e.kind !== 'guard' && coefficient(ix, column) === null) return false;
  }
  if (loaded || (e.kind === 'op' && (e.value.is('checkIndex') || e.value.is('gather'))) || e.kind === 'combined')
    return false;
  const along = (e.mask & (2 ** tracer.vars.indexOf(column))) !== 0;
  return !along || (e.kind === 'op' && e.dtype === 'bool') || bytesOf(registerScalar(e.dtype)) === 4;
}

// ------------------------------------------------------------------------------------------------ products

interface Shape {
  readonly batches: number;
  readonly rows: number;
  readonly columns: number;
}

const dense = (spec: ContractSpec, target: Target): Problem | null => {
  const lanes = lanesFor(target, 4);
  const problems = problemsOf(spec, lanes, target.masksMemory === true);
  const [p] = problems ?? [];
  if (!p || problems!.length !== 1 || p.a.guards.length > 0 || p.b.guards.length > 0 || extent(p, p.k) === 0)
    return null;
  return p;
};

/** Rows by columns, laid out as the chain's space: a vector runs along the columns. */
function scoresProblem(
  kernel: ContractKernel,
  { table, target }: ProgramContext,
  buffers: KernelBuffers,
  columns: number,
): Problem | null {
  const { plan, value } = kernel;
  const out = table.linear(plan.out, value.shape);
  const strides = plan.vars.map((v, d) => (plan.dims[d]!.role === 'k' ? 0 : coefficient(out, v)));
  if (strides.some(s => s === null)) return null;
  const operand = ({ base, axes }: typeof plan.a): ContractOperand => ({
    buffer: buffers.read(base),
    dtype: base.dtype,
    axes,
  });
  const p = dense(
    {
      dims: plan.dims,
      a: operand(plan.a),
      b: operand(plan.b),
      out: { buffer: NO_BUFFER, dtype: 'f32', strides: strides as number[] },
    },
    target,
  );
  if (p?.m.length !== 1 || p.n.length !== 1) return null;
  const [m, n] = [p.m[0]!, p.n[0]!];
  return p.out.lin[n] === 1 && p.dims[n]!.size === columns && p.out.lin[m] === columns ? p : null;
}

function resultOf(
  chain: ChainKernel,
  kernel: ContractKernel,
  context: ProgramContext,
  realised: (value: Value) => boolean,
  buffers: KernelBuffers,
  shape: Shape,
): Result | null {
  const made = (value: Value): boolean => chain.made.has(value);
  const { spec, mayFail } = specify(kernel, context, buffers, realised, made);
  const p = dense(spec, context.target);
  if (!p || p.a.buffer !== NO_BUFFER || p.m.length !== 1 || p.k.length !== 1 || p.a.base !== 0) return null;
  const read = [kernel.plan.a.base, kernel.plan.b.base].map(storage).find(made)!;
  const { columns, rows } = shape;
  const [m, k] = [p.m[0]!, p.k[0]!];
  const is = (d: number, stride: number, size: number): boolean => p.a.lin[d] === stride && p.dims[d]!.size === size;
  const of =
    is(m, columns, rows) && is(k, 1, columns) ? 'rows' : is(m, 1, columns) && is(k, columns, rows) ? 'columns' : null;
  const batch = of && batchOf(p, p.a.lin, shape);
  if (!of || !batch) return null;
  const { target } = context;
  return { problem: p, of, read, batch, mayFail, tile: tileOf(extent(p, p.n), target), words: wordsOf(p, target) };
}

/** A product over words, where those serve it. */
const wordsOf = (p: Problem, target: Target): WordProblem | null =>
  suitsWords(p, target) ? packedProblem(p, target) : null;

/**
 * What multiplies all of a chain; null where nothing does: products are of f32 in vectors, or all of them over words,
 * out of areas of bf16.
 */
function multipliedOn(
  products: readonly Product[],
  kept: readonly Kept[],
  ends: readonly Expr[],
): ChainPlan['on'] | null {
  const areOf = (dtype: DType): boolean =>
    products.every(({ problem: { a, b } }) => a.dtype === dtype && b.dtype === dtype);
  if (areOf('f32')) return 'vectors';
  const areNarrow = ends.every(end => kept.some(k => k.expr === end && k.narrow));
  return areOf('bf16') && areNarrow && products.every(({ words }) => words) ? 'words' : null;
}

/** The batch as the dims of the member that tells most of them apart. */
function finestBatch(chain: ChainKernel, { batches, rows, columns }: Shape): readonly number[] {
  let finest: readonly number[] = [batches];
  for (const kernel of [...chain.products, chain.rows])
    for (const { shape, size } of kernel.members.keys()) {
      if (size !== batches * rows * columns) continue;
      const outer: number[] = [];
      for (let d = 0, left = batches; d < shape.length && left > 1; d++) {
        const n = shape[d]!;
        if (left % n !== 0) break;
        left /= n;
        if (n > 1) outer.push(n);
        if (left === 1 && outer.length > finest.length) finest = outer;
      }
    }
  return finest;
}

/** How a batch's number falls into the dims of a problem, or null where they are not all of it. */
function batchOf(p: Problem, strides: readonly number[], { batches, rows, columns }: Shape): Product['batch'] | null {
  const dims = p.batch
    .map(dim => ({ dim, inner: strides[dim]! / (rows * columns), size: p.dims[dim]!.size }))
    .sort((x, y) => x.inner - y.inner);
  let inner = 1;
  for (const d of dims) {
    if (d.inner !== inner) return null;
    inner *= d.size;
  }
  return inner === batches ? dims : null;
}

/**
 * The tile of least time for `n` columns, of a power of two of rows that divides a block's rows and a vector's lanes.
 */
function tileOf(n: number, target: Target): Tile {
  const lanes = lanesFor(target, 4);
  let best: Tile = { rows: 1, vectors: 1 };
  let least = Number.POSITIVE_INFINITY;
  for (let rows = 1; rows <= Math.min(8, lanes); rows *= 2)
    for (let vectors = 1; (vectors - 1) * lanes < n; vectors++) {
      const cycles = tileCycles(rows, vectors, target);
      if (cycles === null) break;
      const cost = (Math.ceil(n / (vectors * lanes)) * cycles) / rows;
      if (cost < least * 0.999) {
        least = cost;
        best = { rows, vectors };
      }
    }
  return best;
}

/** The view a product's vectors come from, and the one whose elements are spread out. */
export const sideOf = (p: Problem, side: 'a' | 'b'): { view: View; minor: readonly number[] } =>
  side === 'a' ? { view: p.a, minor: p.m } : { view: p.b, minor: p.n };

// ------------------------------------------------------------------------------------------------ memory between
// passes

/**
 * Areas for what products leave, for costly values that a later pass needs, and for what products read; shared by last
 * use.
 */
function layOut(
  scores: readonly Scores[],
  sums: readonly ReducedExpr[],
  ends: readonly Expr[],
  depths: ReadonlyMap<Expr, number>,
  isInner: (e: Expr) => boolean,
): { kept: Kept[]; areas: number; narrowAreas: number; passes: number; areaOf: Map<Expr, number> } {
  const passes = Math.max(...sums.map(e => depths.get(e)!), ...ends.map(e => depths.get(e)! + 1));
  const rootsOf = (pass: number): Expr[] => [
    ...sums.filter(e => depths.get(e) === pass + 1).map(e => e.args[0]!),
    ...ends.filter(e => depths.get(e) === pass),
  ];
  // What each pass evaluates, given what lies in memory by then.
  const memory = new Set<Expr>(scores.map(s => s.contracted));
  const made = new Map<Expr, number>(scores.map(s => [s.contracted, -1]));
  const lastUse = new Map<Expr, number>();
  const needed = Array.from({ length: passes }, (_, pass) => reachable(rootsOf(pass), true));
  for (let pass = 0; pass < passes; pass++) {
    for (const e of reachable(rootsOf(pass), true, memory)) {
      if (memory.has(e)) {
        lastUse.set(e, pass);
        continue;
      }
      const costly = e.kind === 'op' && costOf(e.value) >= COSTLY && isInner(e) && e.dtype === 'f32';
      const later = needed.slice(pass + 1).some(list => list.includes(e));
      if ((costly && later) || ends.includes(e)) made.set(e, pass);
    }
    for (const [e, pass_] of made) if (pass_ === pass) memory.add(e);
  }
  for (const e of ends) lastUse.set(e, Number.POSITIVE_INFINITY);
  // By pass; a value takes an area whose own is read for the last time where it is computed.
  const busy: (Expr | null)[] = [];
  const areaOf = new Map<Expr, number>();
  const kept: Kept[] = [];
  let narrowAreas = 0;
  for (const [expr, pass] of [...made].sort((x, y) => x[1] - y[1])) {
    if (expr.dtype === 'bf16' && pass >= 0) {
      areaOf.set(expr, narrowAreas);
      kept.push({ expr, pass, area: narrowAreas++, narrow: true });
      continue;
    }
    let area = busy.findIndex(owner => owner === null || (lastUse.get(owner) ?? -1) <= pass);
    if (pass < 0 || area < 0) area = busy.length;
    busy[area] = expr;
    areaOf.set(expr, area);
    kept.push({ expr, pass, area, narrow: false });
  }
  return { kept, areas: busy.length, narrowAreas, passes, areaOf };
}
