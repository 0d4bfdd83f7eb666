/**
 * TENON_DEBUG: a comma-separated list of stages to print as programs are compiled: graph, kernels, code, plan, timing.
 * (`guard` is a mode of the x86 backend.)
 */

import { printGraph } from '../graph/print.ts';
import { clock } from '../launch/clock.ts';
import type { Plan, Planner, Step } from './plan/index.ts';
import { printProgram } from './print-loops.ts';
import type { GraphProgram, LoopProgram } from './program.ts';

type Stage = 'graph' | 'kernels' | 'code' | 'plan' | 'timing';

const asked = (): ReadonlySet<string> => new Set((globalThis.process?.env?.['TENON_DEBUG'] ?? '').split(','));

const say = (text: string): void => console.error(text);

/** Collects the time of each pass, and prints the stages that were asked for. */
export class DebugLog {
  private readonly stages = asked();
  private readonly times: [string, number][] = [];
  private last = clock();

  wants(stage: Stage): boolean {
    return this.stages.has(stage);
  }

  /** Ends a pass. */
  pass(name: string): void {
    const now = clock();
    this.times.push([name, now - this.last]);
    this.last = now;
  }

  graph(program: GraphProgram): void {
    if (!this.wants('graph')) return;
    say(printGraph([...program.outputs, ...program.updates.map(update => update.node)]));
  }

  finish(plan: Planner, program: LoopProgram): void {
    if (this.wants('kernels')) say(printKernels(plan.steps));
    if (this.wants('code')) say(printProgram(program));
    if (this.wants('plan')) say(printPlan(plan));
    if (this.wants('timing')) {
      const total = this.times.reduce((sum, [, ms]) => sum + ms, 0);
      const parts = this.times.map(([name, ms]) => `${name} ${ms.toFixed(1)}`).join(', ');
      say(`compile: ${total.toFixed(1)} ms (${parts}), ${program.kernels.length} kernels`);
    }
  }
}

/** Every kernel of a program at level 1. */
export const printKernels = (steps: readonly Step[]): string =>
  steps.map(({ lowered }) => [lowered.loop.name, ...lowered.describe().map(line => `  ${line}`)].join('\n')).join('\n');

/** The arena as a table: place, size, first and last kernel. */
function printPlan(plan: Plan): string {
  const rows = plan.blocks.map(({ name, offset, bytes, from, to }) =>
    [
      String(offset).padStart(12),
      String(bytes).padStart(12),
      String(from).padStart(7),
      String(to).padStart(7),
      `  ${name}`,
    ].join(''),
  );
  const share = plan.unsharedBytes > 0 ? ` (${((100 * plan.arenaBytes) / plan.unsharedBytes).toFixed(1)} %)` : '';
  return [
    '      offset       bytes  first   last  value',
    ...rows,
    `arena: ${plan.arenaBytes} bytes of ${plan.unsharedBytes} for all intermediates${share}`,
  ].join('\n');
}
