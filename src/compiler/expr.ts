/**
 * Level 1 of a kernel: what it computes, as expressions over loop variables, before anything is said about loops.
 * Expressions form a graph (equal reads are one node); `trace` builds them from values by composing every view into
 * index expressions, proves each affine access inside its buffer, and marks those that must be clamped. Imports the
 * flow, views and index expressions.
 */
import type { DType } from '../graph/dtype.ts';
import { isInt } from '../graph/dtype.ts';
import { isElementwise, storage, type Value } from './flow.ts';
import { clamped, insideIndex } from './fold-values.ts';
import type { Atom, DataAtom, IndexTable, Ix, VarAtom } from './index-expr.ts';
import { type Condition, simplest, throughReindex, throughReshape, withoutOffsets } from './views.ts';
import type { MemoryWindows } from './windows.ts';

interface Common {
  readonly id: number;
  readonly dtype: DType;
  /** Bit per loop variable (VarAtom order in the tracer) that the value depends on. */
  readonly mask: number;
  readonly args: readonly Expr[];
}

/** A literal. */
interface ConstExpr extends Common {
  readonly kind: 'const';
  readonly value: number | bigint;
}

/** An index as a number. */
interface IndexExpr extends Common {
  readonly kind: 'index';
  readonly ix: Ix;
}

/**
 * An element of a realised value. With `conditions`, `ix` may leave the buffer where one of them fails and is clamped
 * then.
 */
export interface LoadExpr extends Common {
  readonly kind: 'load';
  readonly of: Value;
  readonly ix: Ix;
  readonly conditions: readonly Condition[];
}

/**
 * An elementwise primitive on `args`; or a gather of the element `args[0]`, whatever the index `args[1]`, which is
 * checked.
 */
export interface OpExpr extends Common {
  readonly kind: 'op';
  readonly value: Value;
}

/** `args[0]` where all conditions hold, else `fill`. */
export interface GuardExpr extends Common {
  readonly kind: 'guard';
  readonly conditions: readonly Condition[];
  readonly fill: number;
}

/** The result of a reduction of this kernel over `args[0]`. */
export interface ReducedExpr extends Common {
  readonly kind: 'reduced';
  readonly value: Value<'reduce'>;
}

/** A reduction over a handful of elements, all of them written out in `args`. */
interface CombinedExpr extends Common {
  readonly kind: 'combined';
  readonly value: Value<'reduce'>;
}

/** The finished sum of this kernel's contraction. */
interface ContractedExpr extends Common {
  readonly kind: 'contracted';
  readonly value: Value<'contract'>;
}

export type Expr = ConstExpr | IndexExpr | LoadExpr | OpExpr | GuardExpr | ReducedExpr | CombinedExpr | ContractedExpr;

/** An index to be loaded and checked: what a data atom stands for. `what` is null where nothing needs to be checked. */
export interface CheckedIndex {
  readonly index: Expr;
  readonly size: number;
  readonly what: string | null;
}

/** Which values are in memory when the kernel runs, and which it makes itself. */
interface TraceScope {
  /** Values the kernel computes, and where in its space; all others that are realised are loaded. */
  readonly members: ReadonlyMap<Value, readonly Ix[]>;
  /** Slices that are memory of their own. */
  readonly windows: MemoryWindows;
  /** Whether a value outside of the kernel is in memory. */
  readonly realised: (value: Value) => boolean;
  /** Variables the kernel's reductions sum over. */
  readonly reducedVars: ReadonlySet<VarAtom>;
}

/** One combination of the summed variables, where they are written out. */
export interface Combination {
  readonly members: ReadonlyMap<Value, readonly Ix[]>;
  /** Coordinates of the full space. */
  readonly full: readonly Ix[];
}

export class Tracer {
  /** Set where sums are written out instead of looped over. */
  combinations: readonly Combination[] | null = null;
  private members: ReadonlyMap<Value, readonly Ix[]>;
  readonly table: IndexTable;
  readonly vars: readonly VarAtom[];
  private readonly scope: TraceScope;
  private readonly bits = new Map<VarAtom, number>();
  private readonly atomMasks = new Map<Atom, number>();
  private readonly ixMasks = new Map<Ix, number>();
  private readonly known = new Map<string, Expr>();
  private count = 0;
  private readonly salt: number;
  private readonly reducedMask: number;

  constructor(table: IndexTable, vars: readonly VarAtom[], scope: TraceScope) {
    this.table = table;
    this.vars = vars;
    this.scope = scope;
    this.members = scope.members;
    this.salt = ++tracers;
    vars.forEach((v, i) => {
      this.bits.set(v, 2 ** i);
    });
    let mask = 0;
    for (const v of scope.reducedVars) mask |= this.bits.get(v) ?? 0;
    this.reducedMask = mask;
  }

  /** Bits of the loop variables an index depends on. */
  ixMask(ix: Ix): number {
    let mask = this.ixMasks.get(ix);
    if (mask === undefined) {
      mask = 0;
      for (const { atom } of ix.terms) mask |= this.atomMask(atom);
      this.ixMasks.set(ix, mask);
    }
    return mask;
  }

  private atomMask(atom: Atom): number {
    if (atom.kind === 'var') return this.bits.get(atom)!;
    let mask = this.atomMasks.get(atom);
    if (mask === undefined) {
      mask = atom.kind === 'data' ? (atom as DataAtom<CheckedIndex>).of.index.mask : this.ixMask(atom.of);
      this.atomMasks.set(atom, mask);
    }
    return mask;
  }

  private conditionsMask(conditions: readonly Condition[]): number {
    let mask = 0;
    for (const { ix } of conditions) mask |= this.ixMask(ix);
    return mask;
  }

  private argsMask(args: readonly Expr[]): number {
    let mask = 0;
    for (const arg of args) mask |= arg.mask;
    return mask;
  }

  private constant(value: number | bigint, dtype: DType): Expr {
    return { kind: 'const', id: this.count++, dtype, mask: 0, args: [], value };
  }

  /** The value's element at `coords`, where `guards` are known to hold whenever it matters. */
  trace(value: Value, given: readonly Ix[], guards: readonly Condition[] = []): Expr {
    // Grouping has made sure that members are read where they are computed; the same coordinates may look different by
    // now.
    const coords = this.members.get(value) ?? given;
    let key = String(value.id);
    for (const ix of coords) key += `,${ix.id}`;
    for (const { ix, size } of guards) key += `;${ix.id}<${size}`;
    const known = this.known.get(key);
    if (known) return known;
    const made = this.build(value, coords, guards);
    this.known.set(key, made);
    return made;
  }

  private load(of: Value, ix: Ix, guards: readonly Condition[]): Expr {
    const inside = ix.lo >= 0 && ix.hi < of.size;
    if (!inside && guards.length === 0 && of.size > 0)
      throw new Error(`internal: read of ${of.op} [${of.shape}] at ${ix.lo}..${ix.hi} without a guard`);
    if (of.size === 0) return this.constant(0, of.dtype);
    const key = `load:${of.id}+${this.scope.windows.resolve(of).offset}+${of.size}:${ix.id}${inside ? '' : guards.map(g => `;${g.ix.id}<${g.size}`).join('')}`;
    let made = this.known.get(key);
    if (!made) {
      const conditions = inside ? [] : guards;
      made = { kind: 'load', id: this.count++, dtype: of.dtype, mask: this.ixMask(ix), args: [], of, ix, conditions };
      this.known.set(key, made);
    }
    return made;
  }

  private build(value: Value, coords: readonly Ix[], guards: readonly Condition[]): Expr {
    if (!this.members.has(value) && this.scope.realised(value))
      return this.load(value, this.table.linear(coords, value.shape), guards);
    // Nearly all are.
    if (isElementwise(value)) return this.operation(value, coords, guards);
    if (value.is('constant')) return this.constant(value.attrs.value, value.dtype);
    if (value.is('iota')) {
      const ix = coords[0]!;
      return { kind: 'index', id: this.count++, dtype: value.dtype, mask: this.ixMask(ix), args: [], ix };
    }
    if (value.is('reshape')) {
      const root = storage(value);
      if (!this.members.has(root) && this.scope.realised(root))
        return this.load(root, this.table.linear(coords, value.shape), guards);
      return this.trace(value.inputs[0]!, throughReshape(this.table, value, coords), guards);
    }
    if (value.is('reindex')) {
      const window = this.members.has(storage(value.inputs[0]!)) ? null : this.scope.windows.of(value);
      if (window) {
        const ix = this.table.linear(withoutOffsets(this.table, value, coords), value.inputs[0]!.shape);
        return this.load(window, ix, guards);
      }
      const shown = throughReindex(this.table, value, coords);
      if (shown.never) return this.constant(value.attrs.fill, value.dtype);
      if (shown.conditions.length === 0) return this.trace(value.inputs[0]!, shown.coords, guards);
      const conditions = shown.conditions.map(condition => simplest(this.table, condition));
      const arg = this.trace(value.inputs[0]!, shown.coords, [...guards, ...conditions]);
      return {
        kind: 'guard',
        id: this.count++,
        dtype: value.dtype,
        mask: arg.mask | this.conditionsMask(conditions),
        args: [arg],
        conditions,
        fill: value.attrs.fill,
      };
    }
    if (value.is('gather')) return this.gather(value, coords, guards);
    // Rows that a kernel updates are computed where the values for them are.
    if (value.is('scatter')) return this.trace(value.inputs[2]!, coords, guards);
    if (value.is('reduce') && this.combinations) {
      const args = this.combinations.map(({ members, full }) =>
        this.within(members, () => this.trace(value.inputs[0]!, full)),
      );
      return { kind: 'combined', id: this.count++, dtype: value.dtype, mask: this.argsMask(args), args, value };
    }
    if (value.is('reduce')) {
      const arg = this.trace(value.inputs[0]!, this.reducedCoords(value));
      const mask = arg.mask & ~this.reducedMask;
      return { kind: 'reduced', id: this.count++, dtype: value.dtype, mask, args: [arg], value };
    }
    if (value.is('contract')) {
      let mask = 0;
      for (const ix of coords) mask |= this.ixMask(ix);
      return { kind: 'contracted', id: this.count++, dtype: value.dtype, mask, args: [], value };
    }
    return this.operation(value, coords, guards);
  }

  private operation(value: Value, coords: readonly Ix[], guards: readonly Condition[]): Expr {
    const args = value.inputs.map(input => this.trace(input, coords, guards));
    if (value.op === 'checkIndex') args[0] = this.indexWhere(guards, args[0]!);
    return { kind: 'op', id: this.count++, dtype: value.dtype, mask: this.argsMask(args), args, value };
  }

  /**
   * An index that may fail only where all of `guards` hold: what is computed from a position where one does not is no
   * index of the program's. What is loaded there (from somewhere in its buffer) or was checked is one, and 0 takes the
   * place of others.
   */
  private indexWhere(guards: readonly Condition[], at: Expr): Expr {
    const isOne = at.kind === 'load' || at.kind === 'const' || (at.kind === 'op' && at.value.is('checkIndex'));
    if (guards.length === 0 || isOne) return at;
    const mask = at.mask | this.conditionsMask(guards);
    return { kind: 'guard', id: this.count++, dtype: at.dtype, mask, args: [at], conditions: guards, fill: 0 };
  }

  /** Traces with members at other coordinates. */
  within<T>(members: ReadonlyMap<Value, readonly Ix[]>, trace: () => T): T {
    const before = this.members;
    this.members = members;
    const result = trace();
    this.members = before;
    return result;
  }

  /** Coordinates of a reduction's input: the result's, and the kernel's reduced variables in order. */
  private reducedCoords(value: Value<'reduce'>): readonly Ix[] {
    const given = this.inputCoords.get(value);
    if (!given) throw new Error('internal: a reduction without its coordinates');
    return given;
  }

  /** Where reductions of this kernel read their input; filled by the kernel's owner before tracing. */
  readonly inputCoords = new Map<Value, readonly Ix[]>();

  /**
   * Where a member that updates rows puts an element, and the row as it was given: nothing is to be put where that is
   * none.
   */
  rowOf(scatter: Value<'scatter'>, coords: readonly Ix[]): { readonly ix: Ix; readonly index: Expr } {
    const [row, ...rest] = coords as [Ix, ...Ix[]];
    const inside = insideIndex(scatter);
    if (!inside) throw new Error('internal: rows are updated that are not read');
    const at = this.indexValue(this.trace(inside, [row]), scatter.shape[0]!, null);
    return { ix: this.table.linear([at, ...rest], scatter.shape), index: this.trace(scatter.inputs[1]!, [row]) };
  }

  private gather(value: Value<'gather'>, coords: readonly Ix[], guards: readonly Condition[]): Expr {
    const [source, index] = [value.inputs[0]!, value.inputs[1]!];
    const { axis, what } = value.attrs;
    const n = source.shape[axis]!;
    const rank = index.shape.length;
    const at = this.indexWhere(guards, this.trace(index, coords.slice(axis, axis + rank), guards));
    const safe = staysInside(index, n);
    const position = this.indexValue(at, n, safe ? null : what);
    const element =
      n === 0
        ? this.constant(0, value.dtype)
        : this.trace(source, [...coords.slice(0, axis), position, ...coords.slice(axis + rank)], guards);
    if (safe || isInside(at, n) || readsAt(element, position)) return element;
    // The same element whatever the index: nothing else would see that it is out of range.
    const args = [element, at];
    return { kind: 'op', id: this.count++, dtype: value.dtype, mask: this.argsMask(args), args, value };
  }

  /** An integer value as an index in [0, size), checked unless its range proves it. */
  private indexValue(at: Expr, size: number, what: string | null): Ix {
    if (isInside(at, size)) return at.kind === 'index' ? at.ix : this.table.constant(Number((at as ConstExpr).value));
    return this.table.data<CheckedIndex>(
      `${this.salt}.${at.id}.${size}.${what}`,
      () => checkedIndex(at, size, what),
      0,
      Math.max(0, size - 1),
      this.vars.filter(v => at.mask & this.bits.get(v)!),
    );
  }
}

let tracers = 0;

/** Whether an index was clamped into [0, size). */
function staysInside(index: Value, size: number): boolean {
  const range = clamped(index);
  return range !== null && range.lo >= 0 && range.hi < size;
}

/** Whether an integer value is known to be in [0, size). */
const isInside = (at: Expr, size: number): boolean =>
  (at.kind === 'index' && at.ix.lo >= 0 && at.ix.hi < size) ||
  (at.kind === 'const' && at.value >= 0 && at.value < size);

/** An index that is checked when it is used, unless that is done where it is made. */
export function checkedIndex(index: Expr, size: number, what: string | null): CheckedIndex {
  const done = index.kind === 'op' && index.value.is('checkIndex') && index.value.attrs.size <= size;
  return { index, size, what: done ? null : what };
}

/** Whether an expression reads memory, or is decided, by the loaded index that `position` is. */
function readsAt(e: Expr, position: Ix): boolean {
  const [term] = position.terms;
  if (!term) return false;
  const seen = new Set<Expr>();
  const uses = ({ terms }: Ix): boolean =>
    terms.some(({ atom }) => atom === term.atom || ('of' in atom && atom.kind !== 'data' && uses(atom.of)));
  const reads = (x: Expr): boolean => {
    if (seen.has(x)) return false;
    seen.add(x);
    if ((x.kind === 'load' || x.kind === 'index') && uses(x.ix)) return true;
    if ((x.kind === 'load' || x.kind === 'guard') && x.conditions.some(({ ix }) => uses(ix))) return true;
    return x.args.some(reads);
  };
  return reads(e);
}

/** Cost of evaluating an expression's own operation once per element, relative to an addition. */
export function costOf(value: Value): number {
  if (value.is('unary')) {
    switch (value.attrs.fn) {
      case 'neg':
      case 'abs':
      case 'not':
      case 'floor':
      case 'ceil':
      case 'trunc':
      case 'round':
      case 'sign':
        return 1;
      case 'sqrt':
        return 4;
      default:
        return isInt(value.dtype) ? 4 : 20;
    }
  }
  if (value.is('binary')) {
    switch (value.attrs.fn) {
      case 'div':
        return 4;
      case 'floorDiv':
      case 'mod':
        return 10;
      case 'pow':
      case 'atan2':
        return 40;
      default:
        return 1;
    }
  }
  return 1;
}
