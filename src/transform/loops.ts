/**
 * Loops under the transforms. A derivative of a loop is a loop: forward mode carries tangents along; reverse mode runs
 * the steps backwards over the history of the carries, and computes each step again. Many examples of a loop are one
 * loop over all of them, in which those that have ended wait for the others. Imports the graph; the transforms
 * themselves come as arguments.
 */
import * as g from '../graph/build.ts';
import { countOf, historyOf, type Loop, loop as loopNode, roleOf } from '../graph/control.ts';
import { isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { add, and, moveAxis, spread, zero } from './arithmetic.ts';
import type { batch as Batch, Batching } from './batch.ts';
import { closeOver, flowsTo, inline, param, readBy } from './body.ts';
import { copyGraph } from './copy.ts';
import type { jvp as Jvp } from './jvp.ts';
import type { vjp as Vjp } from './vjp.ts';

export interface Carry {
  readonly param: Node;
  readonly init: Node;
  readonly next: Node;
}

/** Something a body reads: an array, slice by slice, or a constant. */
export interface Given {
  readonly param: Node;
  readonly value: Node;
}

interface LoopParts {
  readonly carries: readonly Carry[];
  readonly xs?: readonly Given[];
  readonly constants: readonly Given[];
  readonly ys?: readonly Node[];
  readonly cond?: Node | null;
  readonly length: number | null;
  readonly reverse?: boolean;
}

/** Results of a loop, made when they are asked for. */
export interface LoopResults {
  carry(k: number): Node;
  y(k: number): Node;
  history(k: number): Node;
  count(): Node;
}

/** A loop of the given parts, without the xs and constants that its body does not read. */
export function buildLoop(parts: LoopParts): LoopResults {
  const { carries, ys = [], cond = null, length, reverse = false } = parts;
  const given = [...(parts.xs ?? []), ...parts.constants];
  const own = [...carries, ...given].map(part => part.param);
  const results = [...carries.map(carry => carry.next), ...ys, ...(cond ? [cond] : [])];
  const { bodies, captured } = closeOver([{ params: own, outputs: results }]);
  const { params, outputs: all } = bodies[0]!;
  const outputs = cond ? all.slice(0, -1) : all;
  const read = readBy(all);
  const xs = (parts.xs ?? []).filter(part => read.has(part.param));
  const fromOutside = captured.map((value, i) => ({ param: params[own.length + i]!, value }));
  const constants = [...parts.constants, ...fromOutside].filter(part => read.has(part.param));
  const carryParams = carries.map(carry => carry.param);
  const constantParams = constants.map(part => part.param);
  const loop: Loop = {
    body: { params: [...carryParams, ...xs.map(part => part.param), ...constantParams], outputs },
    cond: cond && { params: [...carryParams, ...constantParams], outputs: [all.at(-1)!] },
    carries: carries.length,
    xs: xs.length,
    length,
    reverse,
  };
  const inputs = [...carries.map(carry => carry.init), ...[...xs, ...constants].map(part => part.value)];
  return {
    carry: k => loopNode(loop, inputs, k),
    y: k => loopNode(loop, inputs, carries.length + k),
    history: k => loopNode(loop, inputs, historyOf(loop, k)),
    count: () => loopNode(loop, inputs, countOf(loop)),
  };
}

/** Parameters and inputs of a loop by their part in it. */
function partsOf(loop: Loop, inputs: readonly Node[]) {
  const { params, outputs } = loop.body;
  const given = params.map((p, i) => ({ param: p, value: inputs[i]! }));
  const atXs = loop.carries;
  const atConstants = loop.carries + loop.xs;
  return {
    carries: given.slice(0, atXs).map(({ param: p, value }, k) => ({ param: p, init: value, next: outputs[k]! })),
    xs: given.slice(atXs, atConstants),
    constants: given.slice(atConstants),
    ys: outputs.slice(loop.carries),
    /** The condition over the body's own parameters. */
    cond: loop.cond && inline(loop.cond, [...params.slice(0, atXs), ...params.slice(atConstants)])[0]!,
  };
}

/**
 * The first set of carries that contains `start` and that `step` adds nothing to: `step` says which carries depend on
 * the set.
 */
function closure(start: ReadonlySet<number>, step: (set: ReadonlySet<number>) => readonly boolean[]): Set<number> {
  const set = new Set(start);
  for (let grown = true; grown; ) {
    grown = false;
    step(set).forEach((depends, k) => {
      if (!depends || set.has(k)) return;
      set.add(k);
      grown = true;
    });
  }
  return set;
}

const numbersWhere = (flags: readonly boolean[]): Set<number> => new Set(flags.map((_, i) => i).filter(i => flags[i]));

// ------------------------------------------------------------------------------------------------ forward mode

/** Tangents of a loop's results, by result number, from those of its inputs. */
export function loopTangents(
  loop: Loop,
  inputs: readonly Node[],
  tangents: readonly (Node | null)[],
  jvp: typeof Jvp,
): (output: number) => Node | null {
  const { params, outputs } = loop.body;
  const given = tangents.map(t => t !== null);
  const carried = new Set([...Array(loop.carries).keys()].filter(k => given[k]));
  const directions = params.map(p => param('a tangent', p));
  const isActive = (set: ReadonlySet<number>, i: number): boolean => (i < loop.carries ? set.has(i) : given[i]!);
  let pushed: (Node | null)[] = [];
  const active = closure(carried, set => {
    const by = params.map((_, i) => i).filter(i => isActive(set, i));
    pushed = jvp(
      outputs,
      by.map(i => params[i]!),
      by.map(i => directions[i]!),
    );
    return pushed.slice(0, loop.carries).map(t => t !== null);
  });
  const { carries, xs, constants, ys, cond } = partsOf(loop, inputs);
  const moving = [...active].sort((a, b) => a - b);
  const stacked = ys.map((_, k) => k).filter(k => pushed[loop.carries + k]);
  const also = (first: number, parts: readonly Given[]): Given[] => [
    ...parts,
    ...parts.flatMap((_, i) => {
      const value = tangents[first + i];
      return value ? [{ param: directions[first + i]!, value }] : [];
    }),
  ];
  const made = buildLoop({
    carries: [
      ...carries,
      ...moving.map(k => ({
        param: directions[k]!,
        init: tangents[k] ?? zero(inputs[k]!),
        next: pushed[k] ?? zero(outputs[k]!),
      })),
    ],
    xs: also(loop.carries, xs),
    constants: also(loop.carries + loop.xs, constants),
    ys: stacked.map(k => pushed[loop.carries + k]!),
    cond,
    length: loop.length,
    reverse: loop.reverse,
  });
  return output => {
    const { kind, index } = roleOf(loop, output);
    if (kind === 'y') return stacked.includes(index) ? made.y(stacked.indexOf(index)) : null;
    if (kind === 'count' || !active.has(index)) return null;
    const place = loop.carries + moving.indexOf(index);
    return kind === 'carry' ? made.carry(place) : made.history(place);
  };
}

// ------------------------------------------------------------------------------------------------ reverse mode

/** A cotangent that has arrived at one result of a loop or a choice. */
export interface Arrived {
  readonly output: number;
  readonly ct: Node;
}

/** What comes back through one step of a loop, over parameters for what comes back from the step after it. */
interface BackwardStep {
  readonly carries: readonly Carry[];
  /** Of the stacked inputs `byX`: what comes back to their slices. */
  readonly ys: readonly Node[];
  /** Values that every step left behind and the way back reads, and cotangents of such. */
  readonly stacks: readonly Given[];
  /** Slices of cotangents of stacked results. */
  readonly xs: readonly Given[];
  /**
   * Inputs by what they are: carries (the first of `carries`), constants whose cotangents are summed (the rest of
   * them), stacked inputs.
   */
  readonly moving: readonly number[];
  readonly summed: readonly number[];
  readonly byX: readonly number[];
}

function backwardStep(
  loop: Loop,
  inputs: readonly Node[],
  arrived: readonly Arrived[],
  leads: readonly boolean[],
  vjp: typeof Vjp,
): BackwardStep {
  const { params, outputs } = loop.body;
  const { carries, ys } = partsOf(loop, inputs);
  const wanted = (set: ReadonlySet<number>): number[] =>
    params.map((_, i) => i).filter(i => isFloat(params[i]!.dtype) && (i < loop.carries ? set.has(i) : leads[i]!));
  const active = closure(numbersWhere(leads.slice(0, loop.carries)), set =>
    flowsTo(outputs.slice(0, loop.carries), new Set(wanted(set).map(i => params[i]!))),
  );
  const by = wanted(active);
  const moving = by.filter(i => i < loop.carries);
  const byX = by.filter(i => i >= loop.carries && i < loop.carries + loop.xs);
  const summed = by.filter(i => i >= loop.carries + loop.xs);
  const ctOf = new Map(arrived.map(({ output, ct }) => [output, ct]));

  const ctCarry = new Map(moving.map(k => [k, param('a cotangent', params[k]!)]));
  const ctYs = ys.flatMap((y, k) => {
    const value = ctOf.get(loop.carries + k);
    return value ? [{ k, param: param('a cotangent', y), value }] : [];
  });
  const ctHistories = moving.flatMap(k => {
    const value = ctOf.get(historyOf(loop, k));
    return value ? [{ k, param: param('a cotangent', params[k]!), value }] : [];
  });
  const slopes = vjp(
    [...moving.map(k => outputs[k]!), ...ctYs.map(({ k }) => ys[k]!)],
    [...ctCarry.values(), ...ctYs.map(ct => ct.param)],
    by.map(i => params[i]!),
  );
  const slopeOf = (i: number): Node => slopes[by.indexOf(i)] ?? zero(params[i]!);
  const nextCt = (k: number): Node => {
    const own = ctHistories.find(ct => ct.k === k);
    return own ? add(slopeOf(k), own.param) : slopeOf(k);
  };
  const backCarries: Carry[] = [
    ...moving.map(k => ({ param: ctCarry.get(k)!, init: ctOf.get(k) ?? zero(inputs[k]!), next: nextCt(k) })),
    ...summed.map(i => {
      const sum = param('a sum of cotangents', params[i]!);
      return { param: sum, init: zero(inputs[i]!), next: add(sum, slopeOf(i)) };
    }),
  ];
  const backYs = byX.map(slopeOf);
  const read = readBy([...backCarries.map(carry => carry.next), ...backYs]);
  const histories: Given[] = carries.flatMap((carry, k) =>
    read.has(carry.param) ? [{ param: carry.param, value: loopNode(loop, inputs, historyOf(loop, k)) }] : [],
  );
  return { carries: backCarries, ys: backYs, stacks: [...histories, ...ctHistories], xs: ctYs, moving, summed, byX };
}

/** Cotangents of a loop's inputs; `leads` says by which inputs they are wanted. */
export function loopCotangents(
  loop: Loop,
  inputs: readonly Node[],
  arrived: readonly Arrived[],
  leads: readonly boolean[],
  vjp: typeof Vjp,
): (Node | null)[] {
  if (loop.length === null)
    throw new Error(
      'whileLoop: reverse-mode gradients need a bound on the number of steps: pass maxSteps, or use jvp or jacfwd',
    );
  const { xs, constants } = partsOf(loop, inputs);
  const back = backwardStep(loop, inputs, arrived, leads, vjp);
  const made = loop.cond
    ? stepsTaken(loop, inputs, back, constants)
    : buildLoop({
        carries: back.carries,
        xs: [...back.stacks, ...xs, ...back.xs],
        constants,
        ys: back.ys,
        length: loop.length,
        reverse: !loop.reverse,
      });
  // The number of the step is carried first.
  const first = loop.cond ? 1 : 0;
  const results: (Node | null)[] = loop.body.params.map(() => null);
  for (const [at, i] of [...back.moving, ...back.summed].entries()) results[i] = made.carry(first + at);
  for (const [at, i] of back.byX.entries()) results[i] = made.y(at);
  return results;
}

/** As many steps back as were taken: the step's number is carried, and what it needs is looked up. */
function stepsTaken(loop: Loop, inputs: readonly Node[], back: BackwardStep, constants: readonly Given[]): LoopResults {
  const count = loopNode(loop, inputs, countOf(loop));
  const one = g.constant(1, 'i64');
  const step = param('a step', count);
  const whole = back.stacks.map(({ value }) => ({ param: param('a history', value), value }));
  const slices = new Map(back.stacks.map((stack, s) => [stack.param, g.gather(whole[s]!.param, step, 0, 'whileLoop')]));
  const nexts = copyGraph(
    back.carries.map(carry => carry.next),
    slices,
  );
  return buildLoop({
    carries: [
      { param: step, init: g.binary('sub', count, one), next: g.binary('sub', step, one) },
      ...back.carries.map((carry, k) => ({ ...carry, next: nexts[k]! })),
    ],
    constants: [...whole, ...constants],
    cond: g.compare('le', zero(step), step),
    length: loop.length,
  });
}

// ------------------------------------------------------------------------------------------------ many examples

/**
 * What a loop's results are for many examples, each with the axis of examples first. Those that all examples share have
 * it, too: the loop itself, which gives them as well, reads what there is for one example only.
 */
export function batchedLoop(
  loop: Loop,
  inputs: readonly Node[],
  batched: readonly (Node | null)[],
  batching: Batching,
  batch: typeof Batch,
): (output: number) => Node {
  const { size, different } = batching;
  const parts = partsOf(loop, inputs);
  const { params, outputs } = loop.body;
  const wide = params.map(p => param('examples', { shape: [size, ...p.shape], dtype: p.dtype }));
  const several = (set: ReadonlySet<number>, i: number): boolean =>
    i < loop.carries ? set.has(i) : batched[i] !== null;
  const wanted = parts.cond ? [...outputs, parts.cond] : outputs;
  let found: (Node | null)[] = [];
  const grow = (start: ReadonlySet<number>): Set<number> =>
    closure(start, carried => {
      const many = params.map((_, i) => i).filter(i => several(carried, i));
      const examples = many.map(i => params[i]!);
      const twins = many.map(i => wide[i]!);
      found = batch(wanted, examples, twins, { size, different });
      return found.slice(0, loop.carries).map(made => made !== null);
    });
  let set = grow(new Set([...Array(loop.carries).keys()].filter(k => batched[k])));
  // Where examples end at different times, every carry of an ended one must stand still by itself.
  const ends = parts.cond !== null && found[outputs.length] !== null;
  if (ends && set.size < loop.carries) set = grow(new Set(Array(loop.carries).keys()));
  const cond = ends ? found[outputs.length]! : null;

  const paramOf = (i: number): Node => (several(set, i) ? wide[i]! : params[i]!);
  const carries: Carry[] = parts.carries.map(({ init, next }, k) => ({
    param: paramOf(k),
    init: set.has(k) ? (batched[k] ?? spread(init, size)) : init,
    next: set.has(k) ? (found[k] ?? spread(next, size)) : next,
  }));
  const constants = parts.constants.map(({ value }, i) => {
    const at = loop.carries + loop.xs + i;
    return { param: paramOf(at), value: batched[at] ?? value };
  });
  // xs are [examples, steps, ...] outside and are read step by step.
  const xs = parts.xs.map(({ value }, i) => {
    const many = batched[loop.carries + i];
    return { param: paramOf(loop.carries + i), value: many ? moveAxis(many, 0, 1) : value };
  });
  const ys = parts.ys.map((y, k) => found[loop.carries + k] ?? y);
  const masked = cond ? maskedParts(carries, constants, cond, size) : null;
  const made = buildLoop({
    carries: masked ? masked.carries : carries,
    xs,
    constants,
    ys,
    cond: masked ? masked.cond : parts.cond,
    length: loop.length,
    reverse: loop.reverse,
  });
  const first = masked ? 2 : 0;
  return output => {
    const { kind, index } = roleOf(loop, output);
    if (kind === 'count') return masked ? made.carry(1) : spread(made.count(), size);
    if (kind === 'y') return found[loop.carries + index] ? moveAxis(made.y(index), 1, 0) : spread(made.y(index), size);
    const result = kind === 'carry' ? made.carry(first + index) : made.history(first + index);
    if (!set.has(index)) return spread(result, size);
    return kind === 'carry' ? result : moveAxis(result, 1, 0);
  };
}

/**
 * A condition that differs by example: the loop goes on while it holds for any. Whether it holds and how many steps
 * each example has taken are carried first, and an example that has ended keeps its carries.
 */
function maskedParts(
  carries: readonly Carry[],
  constants: readonly Given[],
  cond: Node,
  size: number,
): { readonly carries: readonly Carry[]; readonly cond: Node } {
  const going = param('whether examples go on', cond);
  const steps = param('steps of examples', { shape: [size], dtype: 'i64' });
  const next = carries.map(carry => {
    const stays = g.reindex(going, carry.next.shape, [{ terms: [[0, 1]], offset: 0, div: 1 }]);
    return g.where(stays, carry.next, carry.param);
  });
  const outer = new Map([
    ...carries.map(c => [c.param, c.init] as const),
    ...constants.map(c => [c.param, c.value] as const),
  ]);
  const after = new Map(carries.map((c, k) => [c.param, next[k]!] as const));
  return {
    carries: [
      { param: going, init: copyGraph([cond], outer)[0]!, next: and(going, copyGraph([cond], after)[0]!) },
      { param: steps, init: g.full(0, [size], 'i64'), next: add(steps, g.cast(going, 'i64')) },
      ...carries.map((carry, k) => ({ ...carry, next: next[k]! })),
    ],
    cond: g.compare('lt', g.constant(0, 'i32'), g.reduce('sum', g.cast(going, 'i32'), [0])),
  };
}
