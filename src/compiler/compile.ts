/**
 * The compiler: GraphProgram -> LoopProgram. Normalise, select, group, lower, order, place; each step in a file of its name.
 */

import type { Value } from './flow.ts';
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
import type { Target } from './target.ts';

/** Compiles a program for a target. Deterministic; the same program gives the same code. */
export function compileGraph(program: GraphProgram, target: Target): LoopProgram {
  const flow = normalise(program);
  const table = new IndexTable();
  const selection = select(flow, table);
  const { kernels, home } = group(flow, selection, table);
  const context = new ProgramContext(target, table);
  const stored = new Set(kernels.flatMap(kernel => kernel.stores));
  const realised = (value: Value): boolean => value.leaf >= 0 || (home.has(value) && stored.has(value));
  let count = 0;
  const lower = (kernel: Kernel): Step => ({ kernel, lowered: lowerKernel(kernel, context, `k${count++}`, realised) });

  const steps = kernels.map(lower);
  const { place, copies } = chooseDestinations(flow, steps);
  const ordered = order(flow, [...steps, ...copies.map(lower)], place);
  const planned = plan(flow, ordered, place);
  const written = new Set(flow.updates.map(update => update.leaf));
  return {
    leaves: program.leaves.map((leaf, i) => ({ dtype: leaf.dtype, elements: leaf.size, written: written.has(i) })),
    outputs: program.outputs.map(node => ({ dtype: node.dtype, elements: node.size })),
    kernels: planned.kernels,
    arenaBytes: planned.arenaBytes,
    failSites: context.failSites,
  };
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
