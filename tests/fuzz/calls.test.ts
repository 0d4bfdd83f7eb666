/** Random programs of public calls, compiled, against the reference backend. TENON_ISA says which machine code. */
import { it } from 'vitest';
import { setBackend } from '../../src/index.ts';
import { FIRST, MINUTES, runFor } from './budget.ts';
import { check } from './calls/check.ts';
import { randomProgram } from './calls/program.ts';

const RUNS = Number(process.env['TENON_FUZZ'] ?? 40);
const backend = process.env['TENON_BACKEND'] ?? 'x86';

function checkSeed(seed: number): void {
  setBackend('reference');
  check(randomProgram(seed), backend, `seed ${seed}, ${backend} ${process.env['TENON_ISA'] ?? ''}`);
}

it(`programs of public calls equal the reference's (${RUNS} programs)`, { timeout: 240_000 }, () => {
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) checkSeed(seed);
});

it.skipIf(MINUTES === 0)(`for ${MINUTES} minutes`, { timeout: (MINUTES + 5) * 60_000 }, () => runFor(MINUTES, checkSeed)); // biome-ignore format: short
