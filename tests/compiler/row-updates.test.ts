/**
 * Optimizers of tables write the rows that they read: one kernel, whose values are those of the reference; and what is
 * not of that form keeps its scatter.
 */
import { describe, expect, it } from 'vitest';
import { compileSteps } from '../../src/compiler/compile.ts';
import { printKernels } from '../../src/compiler/debug.ts';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { Variable } from '../../src/graph/storage.ts';
import { values } from './graphs.ts';
import { both, programOf, TARGET } from './support.ts';

const variable = (shape: number[], seed: number): Node =>
  g.variable(new Variable(shape, 'f32', values(shape, seed).value!));

const N = 50;
/** Distinct rows in any order, and some that are none: past the table, and before it. */
const ROWS = Int32Array.of(17, 3, N, 49, 0, -1, 8, 21, N + 7, 30, 2, 44, 9, N, 5, 33, 11, 12, 13);
const indices = (): Node => g.data(ROWS, [ROWS.length], 'i32');

const inside = (rows: Node): Node => {
  const full = (value: number): Node => g.full(value, rows.shape, 'i32');
  return g.binary('min', g.binary('max', rows, full(0)), full(N - 1));
};

interface Update {
  readonly leaf: Node;
  readonly node: Node;
}

/** Adagrad's: sum += g * g, table -= g / sqrt(sum). */
function adagrad(post: number[], read = inside): Update[] {
  const rows = indices();
  const [table, sum] = [variable([N, ...post], 1), variable([N, ...post], 2)];
  const gradient = values([ROWS.length, ...post], 3);
  const of = (x: Node): Node => g.gather(x, read(rows), 0, 'rows');
  const squares = g.binary('add', of(sum), g.binary('mul', gradient, gradient));
  const step = g.binary('div', gradient, g.unary('sqrt', g.unary('abs', squares)));
  const put = (x: Node, updates: Node): Update => ({
    leaf: x,
    node: g.scatter('set', x, rows, updates, 0, 'rows', true),
  });
  return [put(table, g.binary('sub', of(table), step)), put(sum, squares)];
}

const kernels = (updates: Update[]): string => printKernels(compileSteps(programOf([], updates), TARGET));

const same = (updates: Update[]): void => {
  const { compiled, reference } = both([], updates);
  compiled.forEach((x, i) => {
    x.forEach((value, j) => {
      expect(Math.abs(Number(value) - Number(reference[i]![j]))).toBeLessThan(1e-5);
    });
  });
};

describe('updates of rows', () => {
  it.each([[[16]], [[3]], [[1]], [[]], [[4, 5]]])('of shape %j are one kernel that cannot fail', post => {
    const steps = compileSteps(programOf([], adagrad(post)), TARGET);
    expect(steps.map(step => [step.kernel.kind, step.lowered.mayFail])).toEqual([['space', false]]);
    same(adagrad(post));
  });

  it('stay apart where other rows are read', () => {
    const shifted = (): Update[] => adagrad([16], rows => g.binary('min', inside(rows), g.full(20, rows.shape, 'i32')));
    expect(kernels(shifted())).toContain('scatter');
    same(shifted());
  });

  it('stay apart where values are wanted as well', () => {
    const updates = adagrad([16]);
    const [, , squares] = updates[1]!.node.inputs;
    const steps = compileSteps(programOf([squares!], updates), TARGET);
    expect(steps.filter(step => step.kernel.kind === 'routine')).toHaveLength(2);
  });
});

describe('an index that was clamped', () => {
  it('is not checked again', () => {
    const x = variable([N, 16], 1);
    const mayFail = (index: Node): boolean =>
      compileSteps(programOf([g.unary('neg', g.gather(x, index, 0, 'rows'))]), TARGET).some(s => s.lowered.mayFail);
    expect(mayFail(inside(indices()))).toBe(false);
    expect(mayFail(g.binary('max', indices(), g.full(0, [ROWS.length], 'i32')))).toBe(true);
  });
});
