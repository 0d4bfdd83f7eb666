/**
 * Random graphs as machine code against the reference backend; and on several threads to the bit what they are on one.
 */
import { expect, it } from 'vitest';
import { referenceBackend } from '../../src/backends/reference/index.ts';
import { createX86Backend } from '../../src/backends/x86/index.ts';
import type { Backend } from '../../src/compiler/program.ts';
import type { HostArray } from '../../src/graph/dtype.ts';
import type { Node } from '../../src/graph/node.ts';
import { printGraph } from '../../src/graph/print.ts';
import { isas } from '../backends/x86/available.ts';
import { programOf } from '../compiler/support.ts';
import { FIRST, MINUTES, RUNS, runFor, THREADS } from './budget.ts';
import { randomGraph } from './graph.ts';
import { shrunk } from './shrink.ts';
import { difference, type Value } from './values.ts';

const backends = isas.map(isa => ({ isa, x86: createX86Backend({ isa, allThreads: true }) }));

/** Prints the smallest graph that still fails beside the error. */
function check(seed: number): void {
  const outputs = randomGraph(seed);
  try {
    compare(outputs, seed);
  } catch (error) {
    const small = shrunk(outputs, candidate => {
      try {
        compare(candidate, seed);
        return false;
      } catch {
        return true;
      }
    });
    console.log(`fuzz: seed ${seed} fails with\n${printGraph(small.map(value => value.node))}`);
    throw error;
  }
}

/** @throws Error where machine code and the reference backend differ, or numbers of threads do */
function compare(outputs: readonly Value[], seed: number): void {
  const plain = programOf(outputs.map(value => value.node));
  // In every other graph some of the leaves last, so that what is made of them is prepared.
  const program =
    seed % 2 === 0 ? plain : { ...plain, lasting: plain.leaves.map((_, i) => ((seed >> (1 + (i % 8))) & 1) === 1) };
  const bindings = program.leaves.map(leaf => leaf.value!);
  const expected = referenceBackend.compile(program).run(bindings);
  for (const { isa, x86 } of backends) {
    const run = (backend: Backend): HostArray[][] => {
      const executable = backend.compile(program);
      const results = THREADS.map(threads => {
        backend.threads = threads;
        return executable.run(bindings);
      });
      executable.free();
      return results;
    };
    const name = `seed ${seed}, ${isa}`;
    let results: HostArray[][];
    try {
      results = run(x86);
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
    }
    const [one, ...more] = results as [HostArray[], ...HostArray[][]];
    for (const [i, want] of expected.entries()) {
      const message = difference(one[i]!, want, outputs[i]!);
      if (message) throw new Error(`${name}, output ${i}: ${message}`);
      for (const [k, other] of more.entries())
        expect(other[i], `${name}, output ${i}, ${THREADS[k + 1]} threads`).toEqual(one[i]);
    }
  }
}

it(`machine code equals the reference (${RUNS} graphs)`, { timeout: 240_000 }, () => {
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) check(seed);
});

it.skipIf(MINUTES === 0)(`for ${MINUTES} minutes`, { timeout: (MINUTES + 5) * 60_000 }, () => runFor(MINUTES, check));

it('a graph that fails becomes small', () => {
  const outputs = randomGraph(7);
  const holds = (node: Node): boolean => node.op === outputs[0]!.node.op;
  const small = shrunk(outputs, ([value]) => holds(value!.node));
  expect(small).toHaveLength(1);
  expect(small[0]!.node.inputs.every(input => input.value !== null || input.op === 'constant')).toBe(true);
});
