/**
 * Rows divided by one number each are multiplied by its reciprocal: within one unit of the quotient, and exactly what
 * IEEE says of zeros, infinities, NaN and subnormal divisors.
 */
import { expect, it } from 'vitest';
import { createX86Backend } from '../../src/backends/x86/index.ts';
import { compileGraph } from '../../src/compiler/compile.ts';
import type { GraphProgram } from '../../src/compiler/program.ts';
import { Tensor } from '../../src/index.ts';
import { isas } from '../backends/x86/available.ts';
import { programOf, runLoops, TARGET } from './support.ts';

const COLUMNS = 77;
const DIVISORS = [
  3, -7.5, 1e-45, -3e-40, 1.2e-38, 1e-30, 2e19, 3e38, -3.4e38, 0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY,
  Number.NaN, 0.1, 1 / 3, 1e-20, 1e25,
]; // biome-ignore format: a list
const SPECIAL = [0, -0, 1, -1, Number.POSITIVE_INFINITY, Number.NaN, 3.4e38, 1e-45, 1.1754944e-38];

const x = Float32Array.from({ length: DIVISORS.length * COLUMNS }, (_, i) => {
  const column = i % COLUMNS;
  return SPECIAL[column] ?? Math.sin(i) * 2 ** ((column % 60) - 30);
});

/** Rows over divisors, with a sum of each row: the kernel has vectors along rows. */
function quotients(): GraphProgram {
  const rows = Tensor.from(x, { shape: [DIVISORS.length, COLUMNS] });
  const quotient = rows.div(Tensor.from(Float32Array.from(DIVISORS), { shape: [DIVISORS.length, 1] }));
  return programOf([quotient.node, quotient.sum(1).node]);
}

function check(actual: Float32Array): void {
  DIVISORS.forEach((divisor, r) => {
    for (let c = 0; c < COLUMNS; c++) {
      const want = Math.fround(x[r * COLUMNS + c]! / Math.fround(divisor));
      const got = actual[r * COLUMNS + c]!;
      const unit = Math.max(2 ** -149, 2 ** (Math.floor(Math.log2(Math.abs(want))) - 23));
      const near = Number.isFinite(want) && want !== 0 ? Math.abs(got - want) <= unit : Object.is(got, want);
      if (!near) expect([x[r * COLUMNS + c], divisor, got]).toEqual([x[r * COLUMNS + c], divisor, want]);
    }
  });
}

it('on WebAssembly', () => {
  const graph = quotients();
  const bindings = graph.leaves.map(leaf => leaf.value!);
  check(runLoops(compileGraph(graph, TARGET), bindings).outputs[0] as Float32Array);
});

it.each(isas)('with %s', isa => {
  const graph = quotients();
  const executable = createX86Backend({ isa, allThreads: true, guards: true }).compile(graph);
  check(executable.run(graph.leaves.map(leaf => leaf.value!))[0] as Float32Array);
});
