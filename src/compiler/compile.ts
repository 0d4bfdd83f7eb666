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
import { chooseDestinations, order, plan, type Step } from './plan/index.ts';
import type { GraphProgram, LoopProgram } from './program.ts';
import { LoweringCache } from './signature.ts';
import type { Target } from './target.ts';
import { MemoryWindows } from './windows.ts';

/** Compiles a program for a target. Deterministic; the same program gives the same code. */
export const compileGraph = (program: GraphProgram, target: Target): LoopProgram => compile(program, target).program;

/** The kernels of a program in order, with what they compute: for tests and people. */
export const compileSteps = (program: GraphProgram, target: Target): readonly Step[] => compile(program, target).steps;

interface Compiled {
  readonly program: LoopProgram;
  readonly steps: readonly Step[];
}

function compile(program: GraphProgram, target: Target): Compiled {
  const log = new DebugLog();
  log.graph(program);
  const normal = normalise(target.keepsMemory ? program : { ...program, lasting: [] });
  log.pass('normalise');
  const arranged = arrange(normal, target);
  log.pass('layout');
  const { flow, kernels, realised, context, joined, inPlace } = fuse(arranged, target);
  const { windows } = context;
  for (const value of [...program.outputs, ...kernels.flatMap(kernel => kernel.stores)]) checkSize(value);
  log.pass('fuse');
  let count = 0;
  const repeated = repeatedOperands(kernels, flow.lasts);
  const cache = new LoweringCache(windows, flow.lasts, repeated);
  const lower = (kernel: Kernel): Step => {
    stayCold();
    const name = `k${count++}`;
    const make = (): LoweredKernel => lowerKernel(kernel, context, name, realised, inPlace, repeated);
    const tuned = (): LoweredKernel =>
      target.tuner && kernel.kind === 'contract' ? target.tuner.settle(make) : make();
    return { kernel, lowered: cache.lower(kernel, realised, tuned) };
  };

  const steps = withPackings(kernels.map(lower), repeated);
  log.pass('lower');
  const { place, copies } = chooseDestinations(flow, steps, joined, inPlace);
  for (const value of inPlace)
    if (place.get(value)?.kind !== 'leaf') throw new Error(`internal: v${value.id} is not written where its base is`);
  const isLasting = (step: Step): boolean => step.kernel.lasting;
  const lasting = order(flow, steps.filter(isLasting), place, joined);
  const running = order(flow, [...steps.filter(step => !isLasting(step)), ...copies.map(lower)], place, joined);
  const ordered = [...lasting, ...running];
  const planned = plan(flow, lasting, running, place);
  const written = new Set(flow.updates.map(update => update.leaf));
  const result: LoopProgram = {
    leaves: program.leaves.map((leaf, i) => ({
      dtype: leaf.dtype,
      elements: leaf.size,
      written: written.has(i),
      lasting: planned.preparations > 0 && program.lasting?.[i] === true,
    })),
    outputs: program.outputs.map(node => ({ dtype: node.dtype, elements: node.size })),
    kernels: planned.kernels,
    preparations: planned.preparations,
    arenaBytes: planned.arenaBytes,
    keptBytes: planned.keptBytes,
    failSites: context.failSites,
  };
  log.pass('plan');
  log.finish(ordered, planned, result);
  return { program: result, steps: ordered };
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
