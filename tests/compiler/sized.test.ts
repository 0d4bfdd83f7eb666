/**
 * Updates of parameters that differ in their sizes only are one body, which is told the size.
 */
import { describe, expect, it } from 'vitest';
import { compileGraph } from '../../src/compiler/compile.ts';
import type { LoopProgram } from '../../src/compiler/program.ts';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { Variable } from '../../src/graph/storage.ts';
import { adam, values } from './graphs.ts';
import { both, programOf, TARGET } from './support.ts';

/** About vectors, pairs of them, and the 4096 elements of a task. */
const SIZES = [8192, 4096, 4095, 4097, 8191, 12289, 2053, 4100, 16384];

const MASKING = { ...TARGET, vectorBytes: 64, vectorRegisters: 32, masksMemory: true };

const variable = (shape: readonly number[], seed: number): Node<'variable'> =>
  g.variable(new Variable(shape, 'f32', values(shape, seed).value!.slice() as Float32Array));

interface Update {
  readonly leaf: Node;
  readonly node: Node;
}

function adamUpdates(shape: readonly number[], seed: number): Update[] {
  const [p, m, v] = [variable(shape, seed), variable(shape, seed + 1), g.unary('abs', values(shape, seed + 2))];
  const next = adam(p, m, v, values(shape, seed + 3));
  return [
    { leaf: p, node: next.p },
    { leaf: m, node: next.m },
  ];
}

/** Number of bodies, and of kernels that have them, among those told their size. */
function sized({ kernels }: LoopProgram): { bodies: number; kernels: number } {
  const told = kernels.filter(({ kernel }) => kernel.buffers.some(({ access }) => access === 'count'));
  return { bodies: new Set(told.map(({ kernel }) => kernel.body)).size, kernels: told.length };
}

describe('updates of many sizes', () => {
  it('are one body, and compute what the reference computes', () => {
    const updates = SIZES.flatMap((n, i) => adamUpdates([n], 10 * i));
    const { compiled, reference, program } = both([], updates);
    expect(sized(program)).toEqual({ bodies: 1, kernels: SIZES.length });
    const furthest = compiled.map((array, i) =>
      Array.from<number | bigint>(array).reduce<number>((most, x, k) => {
        const expected = Number(reference[i]![k]);
        return Math.max(most, Math.abs(Number(x) - expected) / (Math.abs(expected) + 1e-3));
      }, 0),
    );
    expect(Math.max(...furthest)).toBeLessThan(1e-5);
  });

  it('are one body for other ranks and for targets that mask memory', () => {
    const updates = [[64, 65], [97, 3, 5, 7], [20_000]].flatMap((shape, i) => adamUpdates(shape, 10 * i));
    expect(sized(compileGraph(programOf([], updates), MASKING))).toEqual({ bodies: 1, kernels: 3 });
  });

  it('have bodies of their own where they compute something else, and none told where access is no walk', () => {
    const decayed = (n: number, by: number): Update => {
      const p = variable([n], n);
      return { leaf: p, node: g.binary('mul', p, g.full(by, p.shape, p.dtype)) };
    };
    const different = [decayed(20_000, 0.5), decayed(30_000, 0.5), decayed(20_001, 0.25), decayed(30_001, -0.5)];
    expect(sized(compileGraph(programOf([], different), TARGET))).toEqual({ bodies: 3, kernels: 4 });
    const p = variable([200, 100], 1);
    const turned = g.binary('add', p, g.permute(values([100, 200], 2), [1, 0]));
    expect(sized(compileGraph(programOf([], [{ leaf: p, node: turned }]), TARGET)).kernels).toBe(0);
  });
});
