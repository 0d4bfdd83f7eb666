import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { both } from './support.ts';

const HIDDEN = 48;

const random = (shape: number[], seed: number): Node => {
  const x = new Float32Array(shape.reduce((a, b) => a * b, 1));
  let s = seed * 7919;
  for (let i = 0; i < x.length; i++) {
    s = (Math.imul(s, 1664525) + 1013904223) | 0;
    x[i] = ((s >>> 8) / 2 ** 23 - 1) / 8;
  }
  return g.data(x, shape, 'f32');
};

/** h = tanh(h W^T), once for every entry of `batches`: rows that each step keeps. */
function recurrence(batches: readonly number[]): Node {
  const weights = random([HIDDEN, HIDDEN], 1);
  return batches.reduce(
    (h, rows) => {
      const kept = g.slice(h, [0, 0], [rows, HIDDEN]);
      return g.unary('tanh', g.contract(kept, weights, [0, 2], [1, 2], [0, 1]));
    },
    random([batches[0]!, HIDDEN], 2),
  );
}

/** Kernels that pack, and those that multiply. */
function kernelsOf(output: Node): { packs: number; products: number } {
  const { compiled, reference, program } = both([output]);
  compiled[0]!.forEach((x: number | bigint, i: number) => {
    expect(Math.abs(Number(x) - Number(reference[0]![i]!))).toBeLessThan(1e-6);
  });
  const named = (word: string): number => program.kernels.filter(({ kernel }) => kernel.name.includes(word)).length;
  return { packs: named(' pack for '), products: named(' contract ') };
}

describe('operands that many products read', () => {
  it('are packed once for all steps of a recurrence', () => {
    expect(kernelsOf(recurrence([20, 20, 20, 20, 20, 20]))).toEqual({ packs: 1, products: 6 });
  });

  it('are packed by each product where there are few', () => {
    expect(kernelsOf(recurrence([20, 20, 20]))).toEqual({ packs: 0, products: 3 });
  });

  it('are packed once for each way in which steps of falling size read them', () => {
    const { packs, products } = kernelsOf(recurrence([20, 20, 19, 18, 18, 17]));
    expect(products).toBe(6);
    expect(packs).toBeGreaterThan(0);
    expect(packs).toBeLessThan(3);
  });
});
