/**
 * How a contraction reads its operands: every view between the contraction and a value in memory is composed into
 * guarded affine axis maps, so that packing does the transposing, padding and unfolding and nothing is materialised for
 * it. Labels are split where a reshape needs parts of them. Imports the flow, views and index expressions.
 */
import type { DType } from '../graph/dtype.ts';
import type { AxisMap } from '../graph/node.ts';
import type { ContractDim, OperandAxis, Role } from './contract/spec.ts';
import { isView, storage, type Value } from './flow.ts';
import { gcd, type IndexTable, type Ix, type VarAtom } from './index-expr.ts';
import { attributesKey } from './normalise.ts';
import { type Condition, throughReindex, throughReshape } from './views.ts';

export interface AbsorbedOperand {
  /** The value read from memory (its storage is what is bound). */
  readonly base: Value;
  readonly axes: readonly OperandAxis[];
}

/** A contraction over dims that its operands' views and its result can be said in. */
export interface ContractPlan {
  readonly dims: readonly ContractDim[];
  /** One variable per dim. */
  readonly vars: readonly VarAtom[];
  /** Coordinates of the result in terms of `vars`. */
  readonly out: readonly Ix[];
  readonly a: AbsorbedOperand;
  readonly b: AbsorbedOperand;
}

/** A loop variable that should be split into (v / by, v mod by). */
export interface Split {
  readonly variable: VarAtom;
  readonly by: number;
}

/** Numerators, each with a number that divides it wherever the conditions of a read hold. */
type Divisors = ReadonlyMap<Ix, number>;

const divides = (exact: Divisors, of: Ix, by: number): boolean => (exact.get(of) ?? 1) % by === 0;

/** A split that turns some division inside `ix` into a variable of its own, if there is one. */
export function suggestSplit(ix: Ix, exact: Divisors | null = null): Split | null {
  for (const { atom } of ix.terms) {
    if (atom.kind !== 'div' && atom.kind !== 'mod') continue;
    if (!exact || !divides(exact, atom.of, atom.by)) {
      for (const { atom: inner, coef } of atom.of.terms) {
        if (inner.kind !== 'var' || coef <= 0 || atom.by % coef !== 0) continue;
        const by = atom.by / coef;
        if (by > 1 && by < inner.extent && inner.extent % by === 0) return { variable: inner, by };
      }
    }
    const deeper = suggestSplit(atom.of, exact);
    if (deeper) return deeper;
  }
  return null;
}

interface Label {
  readonly role: Role;
  /** Parts, slowest first. */
  vars: VarAtom[];
}

interface Read {
  readonly base: Value;
  readonly coords: readonly Ix[];
  readonly conditions: readonly Condition[];
}

/** Types whose loads give exactly what a cast to the other one gives. */
const WIDENED: Partial<Record<DType, DType>> = { i8: 'i32', u8: 'i32', f16: 'f32', bf16: 'f32' };

/** Whether an operand may be read below `value`: views, and casts that a load does anyway. */
const passesThrough = (value: Value): boolean =>
  (isView(value) && value.op !== 'gather') ||
  (value.leaf < 0 && value.is('cast') && WIDENED[value.inputs[0]!.dtype] === value.dtype);

/** Follows views from `operand` down, at most `depth` of them. */
function follow(table: IndexTable, operand: Value, coords: readonly Ix[], depth: number): Read {
  let base = operand;
  let at = coords;
  const conditions: Condition[] = [];
  for (let step = 0; step < depth; step++) {
    if (!passesThrough(base)) break;
    if (base.is('cast')) base = base.inputs[0]!;
    else if (base.is('reindex')) {
      if (base.attrs.fill !== 0) break;
      const shown = throughReindex(table, base, at);
      conditions.push(...shown.conditions);
      at = shown.coords;
      base = base.inputs[0]!;
    } else {
      const root = storage(base);
      if (root.leaf >= 0 || root.op !== 'reindex') break;
      at = throughReshape(table, base, at);
      base = base.inputs[0]!;
    }
  }
  return { base, coords: at, conditions };
}

function viewDepth(operand: Value): number {
  let depth = 0;
  for (let v = operand; passesThrough(v) && depth < 64; v = v.inputs[0]!) depth++;
  return depth;
}

/** An index as (affine) / div over `vars`, or null. */
function asAxisMap(ix: Ix, vars: readonly VarAtom[], exact: Divisors): AxisMap | null {
  const affine = (of: Ix, offset: number, div: number): AxisMap | null => {
    const terms: [number, number][] = [];
    for (const { atom, coef } of of.terms) {
      if (atom.kind !== 'var') return null;
      terms.push([vars.indexOf(atom), coef]);
    }
    return { terms, offset, div };
  };
  const [first] = ix.terms;
  if (ix.terms.length === 1 && first!.coef === 1 && first!.atom.kind === 'div') {
    const { of, by } = first!.atom;
    if (divides(exact, of, by)) return affine(of, of.constant + ix.constant * by, by);
  }
  return affine(ix, ix.constant, 1);
}

/** What a condition says to divide evenly: `of` mod `by` is 0. */
function divisibility({ ix, size }: Condition): { readonly of: Ix; readonly by: number } | null {
  const [first] = ix.terms;
  const alone = size === 1 && ix.terms.length === 1 && first!.atom.kind === 'mod';
  return alone ? (first!.atom as { of: Ix; by: number }) : null;
}

/**
 * Numerators whose divisibility is a condition of the read; behind one stride another may stand: n even, and n / 2
 * even.
 */
function exactNumerators(conditions: readonly Condition[]): Divisors {
  const exact = new Map<Ix, number>();
  const add = (of: Ix, by: number): void => {
    const known = exact.get(of) ?? 1;
    exact.set(of, (known * by) / gcd(known, by));
  };
  for (const condition of conditions) {
    const said = divisibility(condition);
    if (!said) continue;
    add(said.of, said.by);
    const [first] = said.of.terms;
    if (said.of.terms.length === 1 && said.of.constant === 0 && first!.coef === 1 && first!.atom.kind === 'div') {
      const { of, by } = first!.atom;
      if (divides(exact, of, by)) add(of, by * said.by);
    }
  }
  return exact;
}

function operandAxes(read: Read, vars: readonly VarAtom[]): OperandAxis[] | null {
  const exact = exactNumerators(read.conditions);
  const axes: OperandAxis[] = [];
  let stride = 1;
  const shape = read.base.shape;
  for (let d = shape.length - 1; d >= 0; d--) {
    const size = shape[d]!;
    const map = asAxisMap(read.coords[d]!, vars, exact);
    if (!map) return null;
    axes.push({ map, size, stride });
    stride *= size;
  }
  for (const condition of read.conditions) {
    const { ix, size } = condition;
    if (read.coords.some((c, d) => c === ix && shape[d] === size)) continue;
    const said = divisibility(condition);
    if (said) {
      const { of, by } = said;
      const held = ({ terms: [first, ...more] }: Ix): boolean =>
        more.length === 0 && first?.atom.kind === 'div' && first.atom.of === of && first.atom.by % by === 0;
      if (read.coords.some(held)) continue;
      const map = asAxisMap(of, vars, exact);
      if (!map) return null;
      axes.push({ map: { ...map, div: map.div * by }, size: Math.floor(of.hi / by) + 1, stride: 0 });
      continue;
    }
    const map = asAxisMap(ix, vars, exact);
    if (!map) return null;
    axes.push({ map, size, stride: 0 });
  }
  return axes.reverse();
}

/** All that says how an operand is read, down to where views end. */
function chainKey(operand: Value): string {
  let key = '';
  let v = operand;
  for (; passesThrough(v); v = v.inputs[0]!) key += `${v.op} ${attributesKey(v.op, v.attrs)} ${v.type};`;
  return `${key}${v.type}`;
}

/** The value `steps` views below. */
function below(operand: Value, steps: number): Value {
  let v = operand;
  for (let i = 0; i < steps; i++) v = v.inputs[0]!;
  return v;
}

function stepsTo(operand: Value, base: Value): number {
  let steps = 0;
  for (let v = operand; v !== base; v = v.inputs[0]!) steps++;
  return steps;
}

/** Plans contractions; those that read equal views in equal ways (steps, layers) are planned once. */
export class Absorber {
  private readonly table: IndexTable;
  private readonly known = new Map<string, { plan: ContractPlan; steps: readonly [number, number] }>();

  constructor(table: IndexTable) {
    this.table = table;
  }

  plan(value: Value<'contract'>): ContractPlan {
    const [a, b] = value.inputs as readonly [Value, Value];
    const key = `${attributesKey('contract', value.attrs)}|${chainKey(a)}|${chainKey(b)}`;
    const known = this.known.get(key);
    if (known) {
      const { plan, steps } = known;
      return {
        ...plan,
        a: { base: below(a, steps[0]), axes: plan.a.axes },
        b: { base: below(b, steps[1]), axes: plan.b.axes },
      };
    }
    const plan = absorbOperands(this.table, value);
    this.known.set(key, { plan, steps: [stepsTo(a, plan.a.base), stepsTo(b, plan.b.base)] });
    return plan;
  }
}

function absorbOperands(table: IndexTable, value: Value<'contract'>): ContractPlan {
  const { a, b, out } = value.attrs;
  const sizes = new Map<number, number>();
  a.forEach((label, d) => {
    sizes.set(label, value.inputs[0]!.shape[d]!);
  });
  b.forEach((label, d) => {
    sizes.set(label, value.inputs[1]!.shape[d]!);
  });
  const labels = new Map<number, Label>();
  for (const [label, size] of sizes) {
    const inOut = out.includes(label);
    const role: Role = !inOut ? 'k' : a.includes(label) ? (b.includes(label) ? 'batch' : 'm') : 'n';
    labels.set(label, { role, vars: [table.shared(`label${labels.size}`, size)] });
  }
  const coordsOf = (named: readonly number[]): Ix[] =>
    named.map(label => {
      const parts: (readonly [Ix, number])[] = [];
      let stride = 1;
      const { vars } = labels.get(label)!;
      for (let p = vars.length - 1; p >= 0; p--) {
        parts.push([table.ofAtom(vars[p]!), stride]);
        stride *= vars[p]!.extent;
      }
      return table.sum(parts);
    });
  const split = ({ variable, by }: Split): void => {
    for (const label of labels.values()) {
      const at = label.vars.indexOf(variable);
      if (at >= 0) {
        const outer = table.shared(`${variable.id}/`, variable.extent / by);
        label.vars.splice(at, 1, outer, table.shared(`${variable.id}%`, by));
      }
    }
  };

  /** Follows as many views of an operand as can be said in axis maps, splitting labels on the way. */
  const settle = (operand: Value, named: readonly number[]): number => {
    for (let depth = viewDepth(operand); depth > 0; depth--) {
      const before = [...labels.values()].map(label => [...label.vars]);
      for (let round = 0; round < 12; round++) {
        const read = follow(table, operand, coordsOf(named), depth);
        const exact = exactNumerators(read.conditions);
        let wanted: Split | null = null;
        for (const ix of [...read.coords, ...read.conditions.map(c => c.ix)]) wanted ??= suggestSplit(ix, exact);
        if (!wanted) break;
        split(wanted);
      }
      const vars = [...labels.values()].flatMap(label => label.vars);
      if (operandAxes(follow(table, operand, coordsOf(named), depth), vars)) return depth;
      [...labels.values()].forEach((label, i) => {
        label.vars = before[i]!;
      });
    }
    return 0;
  };
  const depthA = settle(value.inputs[0]!, a);
  const depthB = settle(value.inputs[1]!, b);
  const order = [...out, ...[...labels.keys()].filter(label => !out.includes(label))];
  const vars = order.flatMap(label => labels.get(label)!.vars);
  const dims = order.flatMap(label => {
    const { role, vars: parts } = labels.get(label)!;
    return parts.map(v => ({ size: v.extent, role }));
  });
  /**
   * What `depth` views of an operand come to; fewer where labels that the other operand split leave no maps of so many.
   */
  const operand = (input: Value, named: readonly number[], depth: number): AbsorbedOperand => {
    const read = follow(table, input, coordsOf(named), depth);
    const axes = operandAxes(read, vars);
    if (axes) return { base: read.base, axes };
    if (depth === 0) throw new Error('internal: an operand has no axis maps');
    return operand(input, named, depth - 1);
  };
  return {
    dims,
    vars,
    out: coordsOf(out),
    a: operand(value.inputs[0]!, a, depthA),
    b: operand(value.inputs[1]!, b, depthB),
  };
}
