/**
 * Random graphs as machine code against the reference backend; and on two threads to the bit what they are on one.
 */
import { expect, it } from 'vitest';
import { referenceBackend } from '../../../src/backends/reference/index.ts';
import { createX86Backend } from '../../../src/backends/x86/index.ts';
import type { DType, HostArray } from '../../../src/graph/dtype.ts';
import { bf16Value, f16Value } from '../../../src/graph/half.ts';
import { randomGraph } from '../../compiler/random-graph.ts';
import { programOf } from '../../compiler/support.ts';
import { isas } from './available.ts';

/**
 * Graphs and the seed of the first: TENON_FUZZ and TENON_FUZZ_SEED. With TENON_FUZZ_MINUTES (npm run fuzz) the seeds go on for so long, on every
 * instruction set in turn.
 */
const RUNS = Number(process.env['TENON_FUZZ'] ?? 100);
const FIRST = Number(process.env['TENON_FUZZ_SEED'] ?? 1);
const MINUTES = Number(process.env['TENON_FUZZ_MINUTES'] ?? 0);

/** What sums of rounded values may be off by, for values up to 1. */
const TOLERANCE: Partial<Record<DType, number>> = { bf16: 3e-2, f16: 4e-3 };

function difference(a: HostArray, b: HostArray, dtype: DType, exact: boolean): string | null {
  if (a.length !== b.length) return `${a.length} elements, expected ${b.length}`;
  const value = dtype === 'bf16' ? bf16Value : dtype === 'f16' ? f16Value : Number;
  const limit = TOLERANCE[dtype] ?? 2e-5;
  let scale = 1;
  if (!exact)
    for (const y of b) if (Number.isFinite(value(Number(y)))) scale = Math.max(scale, Math.abs(value(Number(y))));
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [value(Number(a[i])), value(Number(b[i]))];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    if (!exact && Math.abs(x - y) <= limit * scale) continue;
    return `element ${i} is ${x}, expected ${y}`;
  }
  return null;
}

const backends = isas.map(isa => ({ isa, x86: createX86Backend({ isa, allThreads: true }) }));

function check(seed: number, { isa, x86 }: (typeof backends)[number], wide: boolean): void {
  const name = `seed ${seed}${wide ? ', wide' : ''}, ${isa}`;
  const { outputs, exact } = randomGraph(seed, { wide });
  const program = programOf(outputs);
  const bindings = program.leaves.map(leaf => (leaf.is('variable') ? leaf.attrs.variable : leaf.value!));
  const expected = referenceBackend.compile(program).run(bindings);
  let executable: ReturnType<typeof x86.compile>;
  try {
    executable = x86.compile(program);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
  x86.threads = 1;
  const one = executable.run(bindings);
  x86.threads = 2;
  const two = executable.run(bindings);
  executable.free();
  for (const [i, want] of expected.entries()) {
    const message = difference(one[i]!, want, outputs[i]!.dtype, exact);
    expect(message && `${name}, output ${i}: ${message}`).toBeNull();
    expect(two[i], `${name}, output ${i}, two threads`).toEqual(one[i]);
  }
}

it.each([false, true])(`machine code equals the reference (${RUNS} graphs, wide: %s)`, { timeout: 240_000 }, wide => {
  for (const backend of backends) for (let seed = FIRST; seed < FIRST + RUNS; seed++) check(seed, backend, wide);
});

it.skipIf(MINUTES === 0)(`for ${MINUTES} minutes`, { timeout: (MINUTES + 5) * 60_000 }, () => {
  const until = Date.now() + MINUTES * 60_000;
  let seed = FIRST + RUNS;
  for (; Date.now() < until; seed++) for (const backend of backends) check(seed, backend, seed % 2 === 0);
  console.log(`fuzz: seeds up to ${seed}, no difference`);
});
