/**
 * Vectors of a space kernel: along which variable, how many lanes, how many side by side. Decided by how memory is
 * accessed and by the widths of the values; emits nothing. Imports level 1 and the target.
 */
import type { DType } from '../../graph/dtype.ts';
import { coefficient, type Ix } from '../index-expr.ts';
import { registerScalar } from '../loops.ts';
import type { Target } from '../target.ts';
import type { LoopVar } from './domain.ts';
import type { SpaceTrace } from './space-trace.ts';

/** Long formulas without branches. */
const LONG_FORMULAS: ReadonlySet<string> = new Set(['exp', 'expm1', 'log', 'log1p', 'tanh', 'sigmoid', 'erf', 'atan']);

export interface Vectors {
  /** The variable neighbours differ in; null for scalar code. */
  readonly lane: LoopVar | null;
  readonly lanes: number;
  /** Vectors side by side. */
  readonly copies: number;
  /** Whether what is left behind whole vectors is a vector too, with some of its lanes. */
  readonly masked: boolean;
}

export function chooseVectors(trace: SpaceTrace, vars: readonly LoopVar[], target: Target): Vectors {
  const usable = vars.filter(v => lanesAlong(trace, v, target) > 1);
  const most = target.vectorBytes / (widthsAlong(trace, null).four ? 4 : 8);
  const masks = target.masksMemory === true;
  const lane = chooseLane(vars, usable, accessesOf(trace), most, masks);
  const lanes = lane ? lanesAlong(trace, lane, target) : 1;
  const masked = masks && lanes * 4 === target.vectorBytes;
  if (!lane || (lane.atom.extent < lanes && !masked)) return { lane: null, lanes: 1, copies: 1, masked: false };
  return { lane, lanes, copies: chooseCopies(trace, vars, lane, lanes, target), masked };
}

/**
 * Widths of the values that differ between lanes of `lane` (or anywhere, when null); 8-byte integers count as `wide`.
 */
function widthsAlong(trace: SpaceTrace, lane: LoopVar | null): { four: boolean; eight: boolean; wide: boolean } {
  const { tracer, exprs, stores, reduced } = trace;
  const bit = lane ? 2 ** tracer.vars.indexOf(lane.atom) : -1;
  const widths = { four: false, eight: false, wide: false };
  const see = (dtype: DType): void => {
    const scalar = registerScalar(dtype);
    if (scalar === 'i64') widths.wide = true;
    else if (scalar === 'f64') widths.eight = true;
    else widths.four = true;
  };
  for (const { value, ix } of stores) if (!lane || tracer.ixMask(ix) & bit) see(value.dtype);
  for (const e of exprs) if (e.mask & bit && !(e.kind === 'op' && e.dtype === 'bool')) see(e.dtype);
  // Sums along the lanes are kept in vectors, whatever is summed.
  if (lane && !lane.kept) for (const e of reduced) see(e.dtype);
  return widths;
}

/**
 * Lanes that vectors along `lane` could have; 1 where values of different widths meet, or 8-byte integers (few machines
 * have their operations).
 */
function lanesAlong(trace: SpaceTrace, lane: LoopVar, target: Target): number {
  const { four, eight, wide } = widthsAlong(trace, lane);
  if (wide || (four && eight)) return 1;
  return target.vectorBytes / (eight ? 8 : 4);
}

/** Accesses, each with how often it happens: what is read once per channel must not decide how every pixel is read. */
function accessesOf(trace: SpaceTrace): Access[] {
  const { tracer, stores, exprs } = trace;
  const accesses: Access[] = [];
  const add = (ix: Ix, weight: number): void => {
    const mask = tracer.ixMask(ix);
    const times = tracer.vars.reduce((n, v, i) => (mask & (2 ** i) ? n * v.extent : n), 1);
    accesses.push({ ix, weight: weight * times });
  };
  for (const { ix } of stores) add(ix, 1.5);
  for (const e of exprs) {
    if (e.kind === 'load') add(e.ix, e.of.size === 1 ? 0.1 : 1);
    if (e.kind === 'guard') for (const { ix } of e.conditions) add(ix, 0.5);
  }
  return accesses;
}

/** Vectors side by side: enough independent sums to hide the latency of an addition; few where the body is long. */
function chooseCopies(
  trace: SpaceTrace,
  vars: readonly LoopVar[],
  lane: LoopVar,
  lanes: number,
  target: Target,
): number {
  // What is worked out once per column of sums is not what its loop holds in registers.
  const bit = (v: LoopVar): number => 2 ** trace.tracer.vars.indexOf(v.atom);
  const summed = lane.kept ? vars.reduce((bits, v) => (v.kept ? bits : bits + bit(v)), 0) : 0;
  const operations = trace.exprs.filter(e => summed === 0 || e.mask & summed).length;
  const wanted = trace.reduced.length > 0 ? 4 : 2;
  const vectors = Math.floor(lane.atom.extent / lanes);
  const inTurn = target.vectorsInTurn ?? 0;
  // Not where many vectors would be left for the loop that takes them one by one.
  if (inTurn > 0 && operations <= 24 && vectors >= 4 * inTurn && hasLongFormula(trace)) return Math.max(inTurn, wanted);
  let copies = operations > 60 ? 1 : operations > 24 ? Math.min(2, wanted) : wanted;
  while (copies > 1 && vectors < copies) copies >>= 1;
  return copies;
}

/** Whether every element is worth taking turns for: a long formula, and no sums. */
const hasLongFormula = ({ exprs, reduced }: SpaceTrace): boolean =>
  reduced.length === 0 &&
  exprs.some(e => e.kind === 'op' && e.value.is('unary') && LONG_FORMULAS.has(e.value.attrs.fn));

/** A memory access, for choosing the variable whose neighbours sit side by side in memory. */
interface Access {
  readonly ix: Ix;
  readonly weight: number;
}

/**
 * The variable to run vectors of `lanes` along: unit strides are good, splats fine, everything else costs an access per
 * lane. Null when scalars are better.
 */
function chooseLane(
  vars: readonly LoopVar[],
  usable: readonly LoopVar[],
  accesses: readonly Access[],
  lanes: number,
  masks: boolean,
): LoopVar | null {
  if (lanes === 1) return null;
  let best: LoopVar | null = null;
  let bestScore = 0;
  const reduces = vars.some(v => !v.kept);
  vars.forEach((v, i) => {
    const { extent } = v.atom;
    // Vectors with few of their lanes cost as much as whole ones.
    if (extent < (masks ? lanes / 4 : lanes) || !usable.includes(v)) return;
    let score = 0;
    let total = 0;
    for (const { ix, weight } of accesses) {
      const coef = coefficient(ix, v.atom);
      total += weight;
      if (coef === 1) score += weight;
      else if (coef === 0) score += 0.8 * weight;
      else if (coef === 2) score += 0.5 * weight;
      else if (coef === null) score -= 0.6 * weight;
      else score += 0.1 * weight;
    }
    score = total === 0 ? 1 : score / total;
    const rest = extent % lanes;
    score *= extent / ((extent - rest) / lanes + (masks ? Math.sign(rest) : rest)) / lanes;
    // Summing along lanes takes a few instructions at the end of each row.
    if (!v.kept && reduces) score *= extent / (extent + 4 * lanes);
    // Neighbouring results in neighbouring memory: of equals the innermost one.
    score += i * 1e-6;
    if (score > bestScore) {
      bestScore = score;
      best = v;
    }
  });
  return bestScore > (masks ? 0.07 : 0.15) ? best : null;
}
