/**
 * Random graphs as machine code against the reference backend; and on two threads to the bit what they are on one.
 */
import { expect, it } from 'vitest';
import { referenceBackend } from '../../../src/backends/reference/index.ts';
import { createX86Backend } from '../../../src/backends/x86/index.ts';
import type { HostArray } from '../../../src/graph/dtype.ts';
import { randomGraph } from '../../compiler/random-graph.ts';
import { programOf } from '../../compiler/support.ts';
import { isas } from './available.ts';

/** Graphs, and the seed of the first: TENON_FUZZ and TENON_FUZZ_SEED. */
const RUNS = Number(process.env['TENON_FUZZ'] ?? 200);
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

it.each(isas)(`%s equals the reference (${RUNS} graphs)`, { timeout: 120_000 }, isa => {
  const x86 = createX86Backend({ isa, allThreads: true });
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
    const { outputs, exact } = randomGraph(seed);
    const program = programOf(outputs);
    const bindings = program.leaves.map(leaf => (leaf.is('variable') ? leaf.attrs.variable : leaf.value!));
    const expected = referenceBackend.compile(program).run(bindings);
    let executable: ReturnType<typeof x86.compile>;
    try {
      executable = x86.compile(program);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
    x86.threads = 1;
    const one = executable.run(bindings);
    x86.threads = 2;
    const two = executable.run(bindings);
    executable.free();
    for (const [i, want] of expected.entries()) {
      const message = difference(one[i]!, want, exact);
      expect(message && `seed ${seed}, output ${i}: ${message}`).toBeNull();
      expect(two[i]).toEqual(one[i]);
    }
  }
});
