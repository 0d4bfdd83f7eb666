/** Random graphs as WebAssembly, every program in a memory of its own, against the reference backend. */
import { expect, it } from 'vitest';
import { both } from '../compiler/support.ts';
import { FIRST, RUNS } from './budget.ts';
import { randomGraph } from './graph.ts';
import { difference } from './values.ts';

it(`fused code equals the reference (${RUNS} graphs)`, () => {
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
    const outputs = randomGraph(seed);
    let result: ReturnType<typeof both>;
    try {
      result = both(outputs.map(value => value.node));
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
    result.compiled.forEach((got, i) => {
      const message = difference(got, result.reference[i]!, outputs[i]!);
      expect(message && `seed ${seed}, output ${i}: ${message}`).toBeNull();
    });
  }
});
