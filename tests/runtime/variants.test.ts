/**
 * The notice about computations that are compiled again and again.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { binary, full, placeholder } from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { topologicalOrder } from '../../src/graph/order.ts';
import { noteCompiled } from '../../src/runtime/variants.ts';

describe('the same operations compiled again and again', () => {
  let said: string[] = [];
  beforeEach(() => {
    said = [];
  });
  const compiled = (op: 'add' | 'mul', length: number, factor: number, milliseconds: number): void => {
    const x = placeholder('x', [length], 'f32');
    const root: Node = binary(op, binary(op, x, x), full(factor, [length], 'f32'));
    noteCompiled(topologicalOrder([root]), [x], milliseconds, sentence => said.push(sentence));
  };

  it('are reported once, with the shape that changed', () => {
    for (let i = 0; i < 15; i++) compiled('mul', 10 + i, 2, 1000);
    expect(said).toEqual([]);
    for (let i = 0; i < 15; i++) compiled('mul', 30 + i, 2, 1000);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(
      /^the same \d+ operations have been compiled 16 times, which took 16\.0 s: now with f32 \[30\] where f32 \[24\] was/,
    );
  });

  it('or say that a number changes', () => {
    for (let i = 0; i < 16; i++) compiled('add', 10, i + 2, 1000);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('a plain number in it changes: pass it as a tensor');
  });

  it('say nothing where it costs little', () => {
    const x = placeholder('x', [3], 'f64');
    for (let i = 0; i < 100; i++) noteCompiled([x, binary('sub', x, x)], [x], 1, sentence => said.push(sentence));
    expect(said).toEqual([]);
  });
});
