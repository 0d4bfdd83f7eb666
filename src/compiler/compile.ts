/**
 * The compiler: GraphProgram -> LoopProgram. Normalise, select, group, lower, order, place; each step in a file of its name.
 */

import { DebugLog } from './debug.ts';
import { storage, type Value } from './flow.ts';
import { group } from './fuse/group.ts';
import { select } from './fuse/select.ts';
import { IndexTable } from './index-expr.ts';
import type { Kernel } from './kernels.ts';
import { type LoweredKernel, ProgramContext } from './lower/context.ts';
import { lowerContraction } from './lower/contract.ts';
import { lowerCopy, lowerRoutine } from './lower/routine.ts';
import { lowerSpace } from './lower/space.ts';
import { normalise } from './normalise.ts';
import { chooseDestinations, order, plan, type Step } from './plan.ts';
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
  const flow = normalise(program);
  log.pass('normalise');
  const table = new IndexTable();
  const selection = select(flow, table);
  log.pass('select');
  const { kernels, home } = group(flow, selection, table);
  log.pass('group');
  const stored = new Set(kernels.flatMap(kernel => kernel.stores));
  const realised = (value: Value): boolean => value.leaf >= 0 || (home.has(value) && stored.has(value));
  const pinned = new Set([...flow.outputs, ...flow.updates.map(update => update.value)].map(storage));
  const windows = new MemoryWindows(pinned, realised);
  const context = new ProgramContext(target, table, windows);
  let count = 0;
  const cache = new LoweringCache(windows);
  const lower = (kernel: Kernel): Step => {
    const name = `k${count++}`;
    return { kernel, lowered: cache.lower(kernel, realised, () => lowerKernel(kernel, context, name, realised)) };
  };

  const steps = kernels.map(lower);
  log.pass('lower');
  const { place, copies } = chooseDestinations(flow, steps);
  const ordered = order(flow, [...steps, ...copies.map(lower)], place);
  const planned = plan(flow, ordered, place);
  const written = new Set(flow.updates.map(update => update.leaf));
  const result: LoopProgram = {
    leaves: program.leaves.map((leaf, i) => ({ dtype: leaf.dtype, elements: leaf.size, written: written.has(i) })),
    outputs: program.outputs.map(node => ({ dtype: node.dtype, elements: node.size })),
    kernels: planned.kernels,
    arenaBytes: planned.arenaBytes,
    failSites: context.failSites,
  };
  log.pass('plan');
  log.finish(ordered, planned, result);
  return { program: result, steps: ordered };
}

function lowerKernel(
  kernel: Kernel,
  context: ProgramContext,
  name: string,
  realised: (value: Value) => boolean,
): LoweredKernel {
  switch (kernel.kind) {
    case 'space':
      return lowerSpace(kernel, context, name, realised);
    case 'contract':
      return lowerContraction(kernel, context, name, realised);
    case 'routine':
      return lowerRoutine(kernel, context, name);
    case 'copy':
      return lowerCopy(kernel, context, name);
  }
}
