/**
 * The table in which walks number nodes.
 */
import { describe, expect, it } from 'vitest';
import { constant } from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { withNodeNumbers } from '../../src/graph/numbers.ts';

const nodes = (count: number): Node[] => Array.from({ length: count }, (_, i) => constant(i, 'f32'));

describe('numbers of nodes', () => {
  it('are what a Map holds, as the table grows', () => {
    const all = nodes(5000);
    withNodeNumbers(numbers => {
      const map = new Map<Node, number>();
      for (const [i, node] of all.entries()) {
        if (i % 3 === 0) continue;
        for (const number of [i + 1, 2 * i + 1]) {
          numbers.set(node, number);
          map.set(node, number);
        }
      }
      for (const node of all) expect(numbers.get(node)).toBe(map.get(node) ?? 0);
    });
  });

  it('are told apart where ids agree in their lowest 32 bits', () => {
    const [a, b] = [{ id: 7 }, { id: 7 + 2 ** 32 }] as unknown as [Node, Node];
    withNodeNumbers(numbers => {
      numbers.set(a, 1);
      expect(numbers.get(b)).toBe(0);
      numbers.set(b, 2);
      expect([numbers.get(a), numbers.get(b)]).toEqual([1, 2]);
    });
  });

  it('are gone for the next walk, also after one that failed, and a walk within a walk has its own', () => {
    const [node] = nodes(1) as [Node];
    const failing = (): unknown =>
      withNodeNumbers(numbers => {
        numbers.set(node, 1);
        throw new Error('stopped');
      });
    expect(failing).toThrow('stopped');
    withNodeNumbers(outer => {
      expect(outer.get(node)).toBe(0);
      outer.set(node, 1);
      withNodeNumbers(inner => {
        expect(inner.get(node)).toBe(0);
        inner.set(node, 2);
      });
      expect(outer.get(node)).toBe(1);
    });
  });

  it('are cleared in a small table again after a walk over a large graph', () => {
    const all = nodes(5000);
    const slotsAfter = (count: number): number => {
      const walk = all.slice(0, count);
      const used = withNodeNumbers(numbers => {
        for (const node of walk) numbers.set(node, 1);
        return numbers;
      });
      for (const node of walk) expect(used.get(node)).toBe(0);
      return used.slots;
    };
    const large = slotsAfter(5000);
    expect(slotsAfter(5000)).toBe(large);
    expect(slotsAfter(5)).toBeLessThan(large);
    expect(slotsAfter(5000)).toBe(large);
  });
});
