/**
 * Bounds: random graphs, and contractions of every kind, with every buffer between pages that nobody may touch. An access out of bounds kills the
 * process that runs this file.
 */
import { describe, expect, it } from 'vitest';
import { createX86Backend } from '../../../src/backends/x86/index.ts';
import type { Node } from '../../../src/graph/node.ts';
import { F, manualSeed, randn, type Tensor, vjp } from '../../../src/index.ts';
import { programOf } from '../../compiler/support.ts';
import { randomGraph } from '../../fuzz/graph.ts';
import { isas } from './available.ts';

const GRAPHS = Number(process.env['TENON_FUZZ'] ?? 60);

describe.each(isas)('%s', isa => {
  const backends = [false, true].map(guards => createX86Backend({ isa, allThreads: true, guards }));
  for (const backend of backends) backend.threads = 2;

  /** The program between guard pages gives what it gives without, with its buffers at the one end and at the other. */
  function check(outputs: readonly Node[]): void {
    const graph = programOf(outputs);
    const bindings = graph.leaves.map(leaf => leaf.value!);
    const [usual, guarded] = backends.map(backend => backend.compile(graph));
    const want = usual!.run(bindings);
    for (let run = 0; run < 2; run++) expect(guarded!.run(bindings)).toEqual(want);
    usual!.free();
    guarded!.free();
  }

  it(`random graphs (${GRAPHS})`, () => {
    for (let seed = 1000; seed < 1000 + GRAPHS; seed++) check(randomGraph(seed).map(value => value.node));
  });

  it.each(['f32', 'bf16'] as const)('products and convolutions of %s, with gradients', dtype => {
    manualSeed(9);
    const leaf = (shape: readonly number[]): Tensor => {
      const x = randn(shape).to(dtype);
      x.data();
      return x;
    };
    for (const [m, n, k] of [
      [1, 40, 65],
      [13, 31, 33],
      [33, 17, 47],
      [64, 49, 130],
      [129, 5, 1100],
    ] as const) {
      check([leaf([m, k]).matmul(leaf([k, n])).node]);
      check([
        leaf([k, m])
          .t()
          .matmul(leaf([n, k]).t()).node,
      ]);
    }
    for (const [channels, size, kernel, stride] of [
      [3, 15, 7, 2],
      [16, 9, 3, 1],
      [8, 8, 1, 1],
      [17, 5, 3, 2],
    ] as const) {
      const padding = kernel >> 1;
      const [y, pullback] = vjp(
        (x: Tensor, w: Tensor) => F.conv2d(x, w, null, { stride, padding }),
        leaf([2, channels, size, size]),
        leaf([10, channels, kernel, kernel]),
      );
      check([y, ...pullback(leaf(y.shape))].map(t => t.node));
    }
  });
});
