/**
 * Sums over two dims that the operands have in different orders: right, whichever side has more lines, and the smaller
 * one is copied into the other's order.
 */
import { describe, expect, it } from 'vitest';
import * as g from '../../../src/graph/build.ts';
import type { Node } from '../../../src/graph/node.ts';
import { both } from '../support.ts';

const counted = (shape: number[], step: number): Node => {
  const n = shape.reduce((a, b) => a * b, 1);
  return g.data(
    Float32Array.from({ length: n }, (_, i) => ((i * step) % 17) - 8),
    shape,
    'f32',
  );
};

describe.each([
  { columns: 40, rows: 160 },
  { columns: 160, rows: 40 },
])('$rows rows by $columns columns', ({ columns, rows }) => {
  // The smaller side is [N, T], the larger one [T, N].
  const [steps, batch] = [24, 20];
  const [small, large] = [Math.min(columns, rows), Math.max(columns, rows)];
  const x = counted([batch, steps, small], 5);
  const gradient = counted([steps, batch, large], 3);
  const orders = { 'small by large': [4, 5], 'large by small': [5, 4] };
  it.each(Object.entries(orders))('%s', (_, out) => {
    const { compiled, reference, program } = both([g.contract(x, gradient, [0, 1, 4], [1, 0, 5], out)]);
    // Whole numbers below 2^24: every order of sums is exact.
    expect(compiled[0]).toEqual(reference[0]);
    const scratch = program.kernels.flatMap(({ kernel }) => kernel.buffers).filter(b => b.name.startsWith('staged'));
    expect(scratch.map(b => b.elements)).toEqual([batch * steps * small]);
  });
});
