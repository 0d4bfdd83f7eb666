/**
 * Which values must be in memory, and which are computed again by every reader (`virtual`): views, literals, and cheap
 * values whose readers together read them about once. Everything else is placed in a kernel by group.ts. Linear in the
 * flow.
 */
import type { Primitive } from '../../graph/node.ts';
import { Absorber, type ContractPlan } from '../absorb.ts';
import { costOf } from '../expr.ts';
import { type Flow, isElementwise, isGenerated, isView, storage, type Value } from '../flow.ts';
import { uniform } from '../fold-values.ts';
import type { IndexTable } from '../index-expr.ts';
import { ROUTINES, type RoutinePrimitive } from '../kernels.ts';

export interface Selection {
  /** By value id. */
  readonly virtual: readonly boolean[];
  /** Values that somebody must find in memory, whole. */
  readonly forced: ReadonlySet<Value>;
  readonly contracts: ReadonlyMap<Value, ContractPlan>;
  /** By value id: how many values a reader sees through, at most. */
  readonly depth: readonly number[];
}

/** Inlined values a reader may see through before memory is worth it. */
const MAX_DEPTH = 24;
/** Largest cost of a value computed from literals alone that is still computed by every reader. */
const LITERAL_COST = 8;
/** Largest cost of a value that is computed by its readers when they read it through views. */
const VIEWED_COST = 6;

/** A table this many times larger than what is picked from it is not in cache when it is read again. */
const FEW = 4;

const routines: ReadonlySet<Primitive> = new Set(ROUTINES);

export const isRoutine = (value: Value): value is Value<RoutinePrimitive> => value.leaf < 0 && routines.has(value.op);

export function select(flow: Flow, table: IndexTable): Selection {
  const { values } = flow;
  const forced = new Set<Value>();
  const contracts = new Map<Value, ContractPlan>();
  const absorber = new Absorber(table);
  for (const value of flow.outputs) forced.add(storage(value));
  for (const { value } of flow.updates) forced.add(storage(value));
  for (const value of values) {
    if (value.leaf >= 0) continue;
    if (value.is('contract')) {
      const plan = absorber.plan(value);
      contracts.set(value, plan);
      forced.add(storage(plan.a.base));
      forced.add(storage(plan.b.base));
    } else if (isRoutine(value)) {
      // A scatter into equal elements needs no memory to start from.
      const inputs =
        value.op === 'scatter' && uniform(value.inputs[0]!) !== null ? value.inputs.slice(1) : value.inputs;
      for (const input of inputs) forced.add(storage(input));
    }
  }

  // From literals up: cost of computing a value from literals alone, Infinity where memory is read.
  const literalCost = values.map(() => Number.POSITIVE_INFINITY);
  for (const value of values) {
    if (isGenerated(value)) literalCost[value.id] = 0;
    else if ((isView(value) && value.op !== 'gather') || isElementwise(value)) {
      let cost = isElementwise(value) ? costOf(value) : 0;
      for (const input of value.inputs) cost += literalCost[input.id]!;
      literalCost[value.id] = cost;
    }
  }

  const near = singleSource(flow, forced);

  // From readers down.
  const virtual = values.map(() => false);
  const intoReduction = values.map(() => false);
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i]!;
    if (value.leaf >= 0) continue;
    const [user] = value.users;
    const single = value.users.length === 1 ? user! : null;
    intoReduction[i] =
      single !== null &&
      !forced.has(value) &&
      (single.op === 'reduce' ||
        (intoReduction[single.id]! && virtual[single.id]! && single.op !== 'gather' && single.size <= value.size));
    if (forced.has(value)) virtual[i] = value.op === 'reshape';
    else if (value.is('gather') && scattered(value)) virtual[i] = false;
    else if (isGenerated(value) || isView(value)) virtual[i] = true;
    else if (isElementwise(value)) {
      virtual[i] =
        literalCost[i]! <= LITERAL_COST ||
        intoReduction[i]! ||
        near[i]! ||
        (costOf(value) <= VIEWED_COST && !finishes(value) && readOnceByViews(value));
    }
  }

  // From inputs up: nobody sees through more than MAX_DEPTH values.
  const depth = values.map(() => 0);
  for (const value of values) {
    if (!virtual[value.id]) continue;
    let d = 0;
    for (const input of value.inputs) d = Math.max(d, depth[input.id]!);
    depth[value.id] = value.op === 'reshape' ? d : d + 1;
    if (depth[value.id]! > MAX_DEPTH) {
      virtual[value.id] = false;
      depth[value.id] = 0;
    }
  }
  return { virtual, forced, contracts, depth };
}

/**
 * By value id: elementwise values with one elementwise reader that read at most one value of full size. Computing them
 * where they are read moves no more memory than storing them, and lets them wait for what their reader waits for (an
 * optimizer's `m * beta`).
 */
function singleSource(flow: Flow, forced: ReadonlySet<Value>): boolean[] {
  const sources: (readonly Value[])[] = [];
  const near = flow.values.map(() => false);
  for (const value of flow.values) {
    let mine: readonly Value[] = [value];
    if (isGenerated(value)) mine = [];
    else if (isView(value)) {
      const below = sources[value.inputs[0]!.id]!;
      mine = value.op === 'gather' ? [value] : below;
    } else if (isElementwise(value) && !forced.has(value)) {
      const found = new Set<Value>();
      for (const input of value.inputs)
        for (const source of sources[input.id]!) if (source.size >= value.size) found.add(source);
      const [user] = value.users;
      if (found.size <= 1 && value.users.length === 1 && isElementwise(user!)) {
        near[value.id] = true;
        mine = [...found];
      }
    }
    sources.push(mine);
  }
  return near;
}

/**
 * Whether a gather picks few elements of a large table for several readers: each of them would walk all over memory for
 * itself, and the picked elements are contiguous once stored.
 */
function scattered(value: Value<'gather'>): boolean {
  const table = value.inputs[0]!;
  const readers = value.users.flatMap(user => (user.op === 'reshape' ? user.users : [user]));
  return readers.length > 1 && table.size >= FEW * value.size;
}

/** Whether the value is the only reader of a contraction: it costs nothing there, as its epilogue. */
const finishes = (value: Value): boolean =>
  value.inputs.some(input => input.leaf < 0 && input.op === 'contract' && input.users.length === 1);

/** Whether all readers are views that together show about as many elements as there are. */
function readOnceByViews(value: Value): boolean {
  let shown = 0;
  for (const user of value.users) {
    if (!isView(user) || (user.op === 'gather' && user.inputs[0] !== value)) return false;
    shown += user.size;
  }
  return shown <= 1.5 * value.size;
}
