import { describe, expect, it } from 'vitest';
import type { HostArray } from '../../src/graph/dtype.ts';
import { randomGraph } from './random-graph.ts';
import { both } from './support.ts';

const RUNS = Number(process.env['TENON_FUZZ'] ?? 300);
const FIRST = Number(process.env['TENON_FUZZ_SEED'] ?? 1);

function difference(a: HostArray, b: HostArray, exact: boolean): string | null {
  if (a.length !== b.length) return `${a.length} elements, expected ${b.length}`;
  let scale = 1;
  if (!exact) for (const y of b) if (Number.isFinite(Number(y))) scale = Math.max(scale, Math.abs(Number(y)));
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [Number(a[i]), Number(b[i])];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    if (!exact && Math.abs(x - y) <= 2e-5 * scale) continue;
    return `element ${i} is ${x}, expected ${y}`;
  }
  return null;
}

describe('random graphs', () => {
  it(`fused code equals the reference (${RUNS} graphs)`, () => {
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      const { outputs, exact } = randomGraph(seed);
      let result: ReturnType<typeof both>;
      try {
        result = both(outputs);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
      result.compiled.forEach((x, i) => {
        const message = difference(x, result.reference[i]!, exact);
        expect(message && `seed ${seed}, output ${i}: ${message}`).toBeNull();
      });
    }
  });
});
