/**
 * A spec brought to the form the schedules work on: unguarded axes folded into strides, size-1 dims gone, neighbouring
 * dims merged, strided (div > 1) maps split into phases, operands swapped so that vectors run along the output's
 * contiguous dim. Pure data to pure data; imports the spec only.
 */

import type { DType } from '../../graph/dtype.ts';
import { alwaysInside } from '../../graph/reindex.ts';
import { gcd } from '../index-expr.ts';
import { type AccScalar, accumulator, type ContractOperand, type ContractSpec, type Role } from './spec.ts';

/**
 * A guarded position: reads are 0 unless 0 <= sum of coefs * x + offset < size. Its part of the address, position *
 * stride, is in `View.lin` and `View.base`.
 */
export interface Guard {
  readonly coefs: readonly number[];
  readonly offset: number;
  readonly size: number;
  readonly stride: number;
}

/** An operand: element index = base + sum of lin * x. */
export interface View {
  readonly buffer: number;
  readonly dtype: DType;
  readonly prologue: ContractOperand['prologue'];
  readonly base: number;
  readonly lin: readonly number[];
  readonly guards: readonly Guard[];
  /** Whether a kernel of its own packs it. */
  readonly packedAhead: boolean;
  /** Whether it keeps its value from run to run. */
  readonly lasting: boolean;
  /** Elements the axes span. */
  readonly elements: number;
}

/** An iteration dim; its spec coordinate is step * x + phase of dim `origin`. */
export interface Dim {
  readonly size: number;
  readonly role: Role;
  readonly origin: number;
  readonly step: number;
  readonly phase: number;
}

export interface Problem {
  readonly dims: readonly Dim[];
  /** Dims per role, outermost first. */
  readonly batch: readonly number[];
  readonly m: readonly number[];
  readonly n: readonly number[];
  readonly k: readonly number[];
  readonly a: View;
  readonly b: View;
  readonly acc: AccScalar;
  /** Whether no sum is between 0 and 2^-126: dot products of bf16 make such a one 0. */
  readonly normal?: boolean;
  /** Whether vectors of the accumulator may be loaded and stored in part. */
  readonly masks: boolean;
  readonly out: {
    readonly buffer: number;
    readonly dtype: DType;
    readonly base: number;
    readonly lin: readonly number[];
  };
  /** Spec coordinates of the dims that were dropped or merged away, by spec dim; null for k dims. */
  readonly fixed: readonly (number | null)[];
  readonly epilogue: ContractSpec['epilogue'];
  readonly touches: ContractSpec['touches'];
  readonly mergeable: (outer: number, inner: number) => boolean;
}

export const product = (xs: readonly number[]): number => xs.reduce((a, n) => a * n, 1);
export const extent = (p: Problem, dims: readonly number[]): number => product(dims.map(d => p.dims[d]!.size));

const mod = (a: number, n: number): number => ((a % n) + n) % n;

/** Phases beyond this number are not worth their code. */
const MAX_PHASES = 16;

interface Phase {
  readonly step: readonly number[];
  readonly at: readonly number[];
  /** False when no k offset of this phase reads a defined position: the sum is empty. */
  readonly any: boolean;
}

/**
 * Maps that divide (stride-2 input gradients, transposed convolution) read a position only where coordinates have
 * matching residues. Each combination of output residues is its own dense problem with the one k residue that matches.
 * Null where a single one does not exist.
 */
function phasesOf(spec: ContractSpec): readonly Phase[] | null {
  const sizes = spec.dims.map(dim => dim.size);
  const step = sizes.map(() => 1);
  const divided = [...spec.a.axes, ...spec.b.axes].filter(
    axis => axis.map.div !== 1 && !alwaysInside(axis.map, axis.size, sizes),
  );
  if (divided.length === 0) return [{ step, at: sizes.map(() => 0), any: true }];
  for (const { map } of divided) {
    for (const [dim, coef] of map.terms) {
      const modulus = map.div / gcd(map.div, Math.abs(coef));
      step[dim] = (step[dim]! * modulus) / gcd(step[dim]!, modulus);
    }
  }
  const outDims = step.flatMap((n, d) => (n > 1 && spec.dims[d]!.role !== 'k' ? [d] : []));
  const sumDims = step.flatMap((n, d) => (n > 1 && spec.dims[d]!.role === 'k' ? [d] : []));
  const outPhases = product(outDims.map(d => step[d]!));
  const sumPhases = product(sumDims.map(d => step[d]!));
  if (outPhases > MAX_PHASES || sumPhases > 256) return null;

  const phases: Phase[] = [];
  const at = sizes.map(() => 0);
  const spread = (index: number, dims: readonly number[]): void => {
    let rest = index;
    for (const d of dims) {
      at[d] = rest % step[d]!;
      rest = Math.floor(rest / step[d]!);
    }
  };
  for (let i = 0; i < outPhases; i++) {
    spread(i, outDims);
    if (outDims.some(d => at[d]! >= sizes[d]!)) continue;
    const matching: number[][] = [];
    for (let j = 0; j < sumPhases; j++) {
      spread(j, sumDims);
      const divides = divided.every(
        ({ map }) =>
          mod(
            map.terms.reduce((sum, [d, c]) => sum + c * at[d]!, map.offset),
            map.div,
          ) === 0,
      );
      if (divides && sumDims.every(d => at[d]! < sizes[d]!)) matching.push([...at]);
    }
    if (matching.length > 1) return null;
    phases.push({ step, at: matching[0] ?? [...at], any: matching.length === 1 });
  }
  return phases;
}

/**
 * Adds a guard. One of the same positions, as of a window on a part of an image, joins the one there is: a padded copy
 * has one axis for both.
 */
function addGuard(guards: Guard[], guard: Guard): void {
  const i = guards.findIndex(({ coefs }) => coefs.every((c, d) => c === guard.coefs[d]));
  const other = guards[i];
  if (!other) {
    guards.push(guard);
    return;
  }
  const offset = Math.min(other.offset, guard.offset);
  const size = Math.max(0, Math.min(other.size - other.offset, guard.size - guard.offset) + offset);
  guards[i] = { coefs: other.coefs, offset, size, stride: other.stride + guard.stride };
}

function viewOf(operand: ContractOperand, phase: Phase, sizes: readonly number[]): View {
  const lin = sizes.map(() => 0);
  const guards: Guard[] = [];
  let base = operand.offset ?? 0;
  for (const { map, size, stride } of operand.axes) {
    const coefs = sizes.map(() => 0);
    let offset = map.offset;
    for (const [dim, coef] of map.terms) {
      coefs[dim] = coefs[dim]! + (coef * phase.step[dim]!) / map.div;
      offset += coef * phase.at[dim]!;
    }
    offset /= map.div;
    base += offset * stride;
    coefs.forEach((c, d) => {
      lin[d] = lin[d]! + c * stride;
    });
    const terms = coefs.flatMap((c, d) => (c === 0 ? [] : [[d, c] as const]));
    if (!alwaysInside({ terms, offset, div: 1 }, size, sizes)) addGuard(guards, { coefs, offset, size, stride });
  }
  const elements = product(operand.axes.map(axis => axis.size));
  const { buffer, dtype, prologue, packedAhead = false, lasting = false } = operand;
  return { buffer, dtype, prologue, base, lin, guards, packedAhead, lasting, elements };
}

/** Drops `gone` dims (whose coordinate is 0) from a problem's per-dim arrays. */
const keep = <T>(xs: readonly T[], gone: ReadonlySet<number>): T[] => xs.filter((_, d) => !gone.has(d));

function dropDims(p: Problem, gone: ReadonlySet<number>): Problem {
  if (gone.size === 0) return p;
  const renumber = (dims: readonly number[]): number[] =>
    dims.filter(d => !gone.has(d)).map(d => d - [...gone].filter(g => g < d).length);
  const view = (v: View): View => ({
    ...v,
    lin: keep(v.lin, gone),
    guards: v.guards.map(g => ({ ...g, coefs: keep(g.coefs, gone) })),
  });
  const fixed = [...p.fixed];
  for (const d of gone) {
    const { origin, phase, role } = p.dims[d]!;
    if (role !== 'k') fixed[origin] = phase;
  }
  return {
    ...p,
    dims: keep(p.dims, gone),
    batch: renumber(p.batch),
    m: renumber(p.m),
    n: renumber(p.n),
    k: renumber(p.k),
    a: view(p.a),
    b: view(p.b),
    out: { ...p.out, lin: keep(p.out.lin, gone) },
    fixed,
  };
}

/** Whether `outer` and `inner` may be walked as one dim in the output (its address and the epilogue's view of it). */
export function mergesInOutput(p: Problem, outer: number, inner: number): boolean {
  const { size, step, origin } = p.dims[inner]!;
  if (p.out.lin[outer] !== size * p.out.lin[inner]!) return false;
  if (!p.epilogue) return true;
  return step === 1 && p.dims[outer]!.step === 1 && p.mergeable(p.dims[outer]!.origin, origin);
}

const readsPlainly = (view: View, outer: number, inner: number, size: number): boolean =>
  view.lin[outer] === size * view.lin[inner]! && view.guards.every(g => g.coefs[outer] === 0 && g.coefs[inner] === 0);

/** Merges neighbours of one role wherever both operands and the output step through them evenly. */
function mergeDims(p: Problem): Problem {
  const sizes = p.dims.map(dim => dim.size);
  const gone = new Set<number>();
  for (const dims of [p.batch, p.m, p.n, p.k]) {
    // From the inside out, so that an inner dim has its merged size when the next outer one asks.
    for (let i = dims.length - 2, inner = dims[dims.length - 1]!; i >= 0; i--) {
      const outer = dims[i]!;
      const size = sizes[inner]!;
      const merged = (): Problem => ({ ...p, dims: p.dims.map((dim, d) => ({ ...dim, size: sizes[d]! })) });
      const fits =
        readsPlainly(p.a, outer, inner, size) &&
        readsPlainly(p.b, outer, inner, size) &&
        (dims === p.k || mergesInOutput(merged(), outer, inner));
      if (fits) {
        sizes[inner] = size * sizes[outer]!;
        gone.add(outer);
      } else inner = outer;
    }
  }
  return dropDims({ ...p, dims: p.dims.map((dim, d) => ({ ...dim, size: sizes[d]! })) }, gone);
}

/** Swaps the operands, and with them the roles m and n. */
function swap(p: Problem): Problem {
  const role = (r: Role): Role => (r === 'm' ? 'n' : r === 'n' ? 'm' : r);
  return { ...p, dims: p.dims.map(dim => ({ ...dim, role: role(dim.role) })), m: p.n, n: p.m, a: p.b, b: p.a };
}

/** Vectors run along n, so n must hold the output's contiguous dim, and be worth a vector. */
function orient(p: Problem, lanes: number): Problem {
  const smallest = (dims: readonly number[]): number =>
    Math.min(...dims.map(d => p.out.lin[d]!), Number.MAX_SAFE_INTEGER);
  const contiguousInM = smallest(p.m) < smallest(p.n);
  const along = extent(p, contiguousInM ? p.m : p.n);
  const across = extent(p, contiguousInM ? p.n : p.m);
  const tooShort = along < lanes && across >= 2 * along;
  const wantsSwap = contiguousInM !== tooShort;
  return wantsSwap ? swap(p) : p;
}

/** Elements that lie in one line, or more. */
const LINE = 16;

type Sums = Pick<Problem, 'dims' | 'k'>;

const stridesAlong = ({ dims, k }: Sums, view: View): number[] =>
  k.filter(d => dims[d]!.size > 1).map(d => Math.abs(view.lin[d]!));

/**
 * Whether `view` meets the points of k in jumps back and forth where `other` goes on, both of them far from neighbours
 * along k: as one side of a product over [N, T] and [T, N].
 */
export function jumps(sums: Sums, view: View, other: View): boolean {
  const [mine, others] = [stridesAlong(sums, view), stridesAlong(sums, other)];
  const falls = (strides: readonly number[]): boolean => strides.every((s, i) => i === 0 || s <= strides[i - 1]!);
  return [...mine, ...others].every(s => s >= LINE) && falls(others) && !falls(mine);
}

/**
 * The operands that say in which order sums run, least stride innermost. What is packed ahead may be walked in any
 * order. Of two that would make each other jump the one with more lines decides, and the other is copied into that
 * order (`stage` in pad.ts).
 */
function walkedBy(sums: Sums, a: View, b: View): readonly View[] {
  const walked = [a, b].filter(view => !view.packedAhead);
  if (walked.length < 2) return walked;
  const lines = (role: Role): number => product(sums.dims.map(dim => (dim.role === role ? dim.size : 1)));
  const [leader, follower] = lines('m') >= lines('n') ? [a, b] : [b, a];
  const k = [...sums.k].sort((x, y) => Math.abs(leader.lin[y]!) - Math.abs(leader.lin[x]!));
  return jumps({ dims: sums.dims, k }, follower, leader) ? [leader] : walked;
}

function problemOf(spec: ContractSpec, phase: Phase, lanes: number, masks: boolean): Problem {
  const sizes = spec.dims.map((dim, d) =>
    dim.role === 'k' && !phase.any ? 0 : Math.ceil((dim.size - phase.at[d]!) / phase.step[d]!),
  );
  const dims = spec.dims.map((dim, d): Dim => {
    const coordinate = { origin: d, step: phase.step[d]!, phase: phase.at[d]! };
    return { size: sizes[d]!, role: dim.role, ...coordinate };
  });
  const lin = spec.out.strides.map((s, d) => (spec.dims[d]!.role === 'k' ? 0 : s * phase.step[d]!));
  const base = spec.out.strides.reduce((sum, s, d) => sum + s * phase.at[d]!, spec.out.offset ?? 0);
  const a = viewOf(spec.a, phase, sizes);
  const b = viewOf(spec.b, phase, sizes);
  const byOutput = (role: Role): number[] =>
    dims.flatMap((dim, d) => (dim.role === role ? [d] : [])).sort((x, y) => lin[y]! - lin[x]!);
  const sums = dims.flatMap((dim, d) => (dim.role === 'k' ? [d] : []));
  const walked = walkedBy({ dims, k: sums }, a, b);
  const weight = (d: number): number => Math.min(...walked.map(view => Math.abs(view.lin[d]!)));
  const problem: Problem = {
    dims,
    batch: byOutput('batch'),
    m: byOutput('m'),
    n: byOutput('n'),
    k: sums.sort((x, y) => weight(y) - weight(x)),
    a,
    b,
    acc: accumulator(spec),
    masks,
    out: { buffer: spec.out.buffer, dtype: spec.out.dtype, base, lin },
    fixed: spec.dims.map(dim => (dim.role === 'k' ? null : 0)),
    epilogue: spec.epilogue,
    touches: spec.touches,
    mergeable: spec.mergeable ?? (() => false),
  };
  const ones = new Set(dims.flatMap((dim, d) => (dim.size === 1 ? [d] : [])));
  return orient(mergeDims(dropDims(problem, ones)), lanes);
}

/**
 * The dense problems a spec falls into (one, unless its maps divide), for vectors of `lanes` accumulators, which
 * `masks` says may be masked. A problem may have an empty sum. Null when the maps do not separate into phases: then
 * only plain loops serve.
 */
export function problemsOf(spec: ContractSpec, lanes: number, masks: boolean): readonly Problem[] | null {
  const phases = phasesOf(spec);
  return phases?.map(phase => problemOf(spec, phase, lanes, masks)) ?? null;
}
