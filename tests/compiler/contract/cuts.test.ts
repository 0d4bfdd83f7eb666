/**
 * Cutting products into tasks for any number of processors, counted: the latest thread has little more than its share,
 * what a thread reads falls with their number, and nothing that sums depend on changes. The names of the tests are the
 * table of decision 130.
 */
import { describe, expect, it } from 'vitest';
import { type Plan, planOf } from '../../../src/compiler/contract/plan.ts';
import { type Problem, problemsOf } from '../../../src/compiler/contract/problem.ts';
import { dealtTasks, taskStart } from '../../../src/compiler/contract/tasks.ts';
import type { Target } from '../../../src/compiler/target.ts';
import { AVX512 } from './run.ts';
import { matmul } from './specs.ts';

const PROCESSORS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const targetFor = (processors: number): Target => ({ ...AVX512, l1Bytes: 48 << 10, l2Bytes: 2 << 20, processors });

/**
 * m x n of k, and whether A lies transposed: matmul_f32_2048 and 512, layers of gpt_small_train and mlp_train and their
 * weight gradients.
 */
const SHAPES: readonly (readonly [m: number, n: number, k: number, transposed?: true])[] = [
  [2048, 2048, 2048],
  [512, 512, 512],
  [1024, 1536, 384],
  [1024, 384, 1536],
  [384, 1536, 1024, true],
  [1536, 384, 1024, true],
  [128, 1024, 1024],
  [1024, 1024, 128, true],
];

interface Share {
  /** Panels of sums, and lines of A and B that are read (a line of B once for every block of rows that it passes). */
  readonly sums: number;
  readonly lines: number;
}

/** What each of `threads` has to do. */
function shares(plan: Plan, threads: number): Share[] {
  const { mPanels, nPanels, mTasks, nTasks, rowsOuter, low, tall, width, aPasses, mBlock } = plan;
  const starts = dealtTasks(plan.tasks, threads);
  return Array.from({ length: threads }, (_, t) => {
    let [sums, lines] = [0, 0];
    for (let task = starts[t]!; task < starts[t + 1]!; task++) {
      const [row, column] = rowsOuter
        ? [Math.floor(task / nTasks), task % nTasks]
        : [task % mTasks, Math.floor(task / mTasks)];
      const rows = taskStart(mPanels, mTasks, row + 1) - taskStart(mPanels, mTasks, row);
      const columns = taskStart(nPanels, nTasks, column + 1) - taskStart(nPanels, nTasks, column);
      sums += rows * columns;
      lines += rows * (low + (tall > 0 ? 1 : 0)) + columns * width * (aPasses ? 1 : Math.ceil(rows / mBlock));
    }
    return { sums, lines };
  });
}

const problemOf = (m: number, n: number, k: number, transposed = false): Problem =>
  problemsOf(matmul([m, n, k, 1], { ta: transposed }).spec, 16, true)![0]!;

const titled = SHAPES.map(shape => [`${shape[0]} x ${shape[1]} of ${shape[2]}`, shape] as const);

describe.each(titled)('%s', (_, shape) => {
  const [m, n, k, transposed] = shape;
  const problem = problemOf(m, n, k, transposed);
  const two = planOf(problem, targetFor(2));
  for (const processors of PROCESSORS) {
    const plan = planOf(problem, targetFor(processors));
    const each = shares(plan, processors);
    const latest = Math.max(...each.map(share => share.sums));
    const over = (latest * processors) / (plan.mPanels * plan.nPanels) - 1;
    const megabytes = (Math.max(...each.map(share => share.lines)) * k * 4) / 1e6;
    const cut = `${plan.mTasks} x ${plan.nTasks} tasks, A ${plan.a}, B ${plan.b}`;
    it(`${processors} processors: ${cut}, latest ${(100 * over).toFixed(0)} % over, reads ${megabytes.toFixed(1)} MB`, () => {
      expect(each.reduce((sum, share) => sum + share.sums, 0)).toBe(plan.mPanels * plan.nPanels);
      expect(over).toBeLessThan(processors <= 32 ? 0.15 : 0.55);
      const { low, tall, vectors } = plan;
      expect({ k: plan.k, low, tall, vectors }).toEqual({
        k: two.k,
        low: two.low,
        tall: two.tall,
        vectors: two.vectors,
      });
    });
  }
});
