/**
 * The compiler: GraphProgram -> LoopProgram. Normalise, select, group, lower, order, place; each step in a file of its
 * name.
 */

import { MOST_ELEMENTS } from '../graph/build/node.ts';
import { stayCold } from '../launch/engine.ts';
import type { AbsorbedOperand } from './absorb.ts';
import { isChained, joinChains } from './chain/join.ts';
import { lowerChain } from './chain/lower.ts';
import { planChain } from './chain/plan.ts';
import { recomputeScores } from './chain/recompute.ts';
import { isJoined, type JoinedParts, joinParts } from './concats.ts';
import { DebugLog } from './debug.ts';
import { type Flow, storage, type Value } from './flow.ts';
import { group } from './fuse/group.ts';
import { joinRowUpdates, updatedInPlace } from './fuse/rows.ts';
import { select } from './fuse/select.ts';
import { IndexTable } from './index-expr.ts';
import type { Kernel } from './kernels.ts';
import { arrange } from './layout.ts';
import { KernelBuffers, type LoweredKernel, ProgramContext } from './lower/context.ts';
import { lowerContraction } from './lower/contract.ts';
import { lowerCopy, lowerRoutine } from './lower/routine.ts';
import { lowerSpace } from './lower/space.ts';
import { normalise } from './normalise.ts';
import { repeatedOperands, withPackings } from './packings.ts';
import { chooseDestinations, order, Planner, type Step } from './plan/index.ts';
import { type ComingProgram, finished, type GraphProgram, type LoopProgram, type PlacedKernel } from './program.ts';
import { LoweringCache } from './signature.ts';
import type { Target } from './target.ts';
import { MemoryWindows } from './windows.ts';

/** Compiles a program for a target. Deterministic; the same program gives the same code. */
export const compileGraph = (program: GraphProgram, target: Target): LoopProgram =>
  finished(beginGraph(program, target));

/** The same up to the order of the kernels: each is made when it is asked for. */
export const beginGraph = (program: GraphProgram, target: Target): ComingProgram => new Compilation(program, target);

/** The kernels of a program in order, with what they compute: for tests and people. */
export function compileSteps(program: GraphProgram, target: Target): readonly Step[] {
  const compilation = new Compilation(program, target);
  finished(compilation);
  return compilation.planner.steps;
}

class Compilation implements ComingProgram {
  readonly leaves: LoopProgram['leaves'];
  readonly outputs: LoopProgram['outputs'];
  readonly failSites: LoopProgram['failSites'];
  readonly planner: Planner;
  private readonly log = new DebugLog();

  constructor(program: GraphProgram, target: Target) {
    const { log } = this;
    log.graph(program);
    const normal = normalise(target.keepsMemory ? program : { ...program, lasting: [] });
    log.pass('normalise');
    const arranged = arrange(normal, target);
    log.pass('layout');
    const fused = fuse(arranged, target);
    const { flow, kernels, context } = fused;
    for (const value of [...program.outputs, ...kernels.flatMap(kernel => kernel.stores)]) checkSize(value);
    log.pass('fuse');
    this.planner = planned(fused, target);
    log.pass('plan');
    const written = new Set(flow.updates.map(update => update.leaf));
    const { preparations } = this.planner;
    this.leaves = program.leaves.map((leaf, i) => ({
      dtype: leaf.dtype,
      elements: leaf.size,
      written: written.has(i),
      lasting: preparations > 0 && program.lasting?.[i] === true,
    }));
    this.outputs = program.outputs.map(node => ({ dtype: node.dtype, elements: node.size }));
    this.failSites = context.failSites;
    while (this.kernels.length < preparations) this.next();
    if (this.count === 0) log.finish(this.planner, this);
  }

  get kernels(): readonly PlacedKernel[] {
    return this.planner.kernels;
  }

  get count(): number {
    return this.planner.steps.length;
  }

  get preparations(): number {
    return this.planner.preparations;
  }

  get arenaBytes(): number {
    return this.planner.arenaBytes;
  }

  get likelyBytes(): number {
    return this.planner.likelyBytes;
  }

  get keptBytes(): number {
    return this.planner.keptBytes;
  }

  next(): void {
    stayCold();
    this.planner.next();
    if (this.kernels.length < this.count) return;
    this.log.pass('lower');
    this.log.finish(this.planner, this);
  }
}

/** The kernels in order, of which most are lowered as they are placed. */
function planned({ flow, kernels, realised, context, joined, inPlace }: Fused, target: Target): Planner {
  let count = 0;
  const repeated = repeatedOperands(kernels, flow.lasts);
  const cache = new LoweringCache(context.windows, flow.lasts, repeated);
  const stepOf = (kernel: Kernel): Step => {
    const name = `k${count++}`;
    const make = (): LoweredKernel => lowerKernel(kernel, context, name, realised, inPlace, repeated);
    const tuned = (): LoweredKernel =>
      target.tuner && kernel.kind === 'contract' ? target.tuner.settle(make) : make();
    return cache.step(kernel, realised, tuned);
  };
  const steps = withPackings(kernels.map(stepOf), repeated);
  const { place, copies } = chooseDestinations(flow, steps, joined, inPlace);
  for (const value of inPlace)
    if (place.get(value)?.kind !== 'leaf') throw new Error(`internal: v${value.id} is not written where its base is`);
  const isLasting = (step: Step): boolean => step.kernel.lasting;
  const lasting = order(flow, steps.filter(isLasting), place, joined);
  const running = order(flow, [...steps.filter(step => !isLasting(step)), ...copies.map(stepOf)], place, joined);
  return new Planner(flow, lasting, running, place);
}

/** @throws RangeError where a value that lies in memory has more elements than code counts */
function checkSize({ shape, size }: { readonly shape: readonly number[]; readonly size: number }): void {
  if (size > MOST_ELEMENTS)
    throw new RangeError(`a result of [${shape.join(', ')}] has to be stored, and has more than 2^31 - 2^16 elements`);
}

interface Fused {
  readonly flow: Flow;
  readonly kernels: readonly Kernel[];
  readonly realised: (value: Value) => boolean;
  readonly context: ProgramContext;
  readonly joined: JoinedParts;
  /** Scatters that are written where their variable lies. */
  readonly inPlace: ReadonlySet<Value>;
}

/** Values to kernels. Scores that gradients compute again must end up in chains, or they are kept after all. */
function fuse(normal: Flow, target: Target): Fused {
  const failed = new Set<Value>();
  for (;;) {
    const again = recomputeScores(normal, product => isChained(product.dtype, target) && !failed.has(product));
    if (!again) return grouped(normal, target).fused;
    const { fused, chained } = grouped(again.flow, target);
    const before = failed.size;
    for (const [first, second] of again.products) if (!chained.has(second)) failed.add(first);
    if (failed.size === before) return fused;
  }
}

function grouped(flow: Flow, target: Target): { readonly fused: Fused; readonly chained: ReadonlySet<Value> } {
  const table = new IndexTable();
  const { kernels, home } = group(flow, select(flow, table), table);
  const stored = new Set(kernels.flatMap(kernel => kernel.stores));
  const realised = (value: Value): boolean => value.leaf >= 0 || (home.has(value) && stored.has(value));
  const pinned = new Set([...flow.outputs, ...flow.updates.map(update => update.value)].map(storage));
  const updated = new Set(flow.updates.map(update => storage(update.value)));
  const windows = new MemoryWindows(pinned, realised);
  const joined = joinParts(flow, kernels, pinned, windows);
  const context = new ProgramContext(target, table, windows, flow.lasts, updated);
  const { kernels: chainedKernels, chains } = joinChains(
    flow,
    kernels,
    home,
    table,
    target,
    chain => planChain(chain, context, realised, new KernelBuffers(context.windows)) !== null,
  );
  const chained = new Set<Value>();
  for (const { products, made } of chains) {
    for (const value of made) stored.delete(value);
    for (const { value } of products) chained.add(value);
  }
  const inPlace = updatedInPlace(flow);
  const updating = joinRowUpdates(flow, chainedKernels, stored, inPlace, home);
  const left = updating.filter(kernel => !isJoined(kernel, joined));
  return { fused: { flow, kernels: left, realised, context, joined, inPlace }, chained };
}

function lowerKernel(
  kernel: Kernel,
  context: ProgramContext,
  name: string,
  realised: (value: Value) => boolean,
  inPlace: ReadonlySet<Value>,
  repeated: ReadonlySet<AbsorbedOperand>,
): LoweredKernel {
  switch (kernel.kind) {
    case 'space':
      return lowerSpace(kernel, context, name, realised);
    case 'contract':
      return lowerContraction(kernel, context, name, realised, repeated);
    case 'chain':
      return lowerChain(kernel, context, name, realised);
    case 'routine':
      return lowerRoutine(kernel, context, name, inPlace.has(kernel.value));
    case 'copy':
      return lowerCopy(kernel, context, name);
  }
}
