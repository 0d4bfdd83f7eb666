/**
 * f64 within 2 units in the last place of the exact value, over the whole range: arguments of every exponent, and as
 * many between the ends of where the function lives. TENON_SWEEP_POINTS and TENON_SWEEP_SEED (npm run sweep -- --dtype
 * f64) ask for more.
 */
import { expect, it } from 'vitest';
import { Random } from '../fuzz/random.ts';
import { RUNNERS } from './backends.ts';
import { LIMIT, SWEPT, SWEPT_NAMES, type Swept } from './functions.ts';
import { decimalOf, errorInUlps, UNARY_ORACLE } from './oracle.ts';

const POINTS = Number(process.env['TENON_SWEEP_POINTS'] ?? 160);
const SEED = Number(process.env['TENON_SWEEP_SEED'] ?? 1);

function argumentsFor({ domain, lively }: Swept, r: Random): Float64Array {
  const x = new Float64Array(POINTS);
  const inside = (v: number): boolean => v > domain[0] && v < domain[1] && v !== 0;
  for (let i = 0; i < POINTS; ) {
    const any = 2 ** (Math.floor(r.next() * 2098) - 1074) * (1 + r.next()) * (r.once(2) ? 1 : -1);
    const value = r.once(2) ? any : lively[0] + r.next() * (lively[1] - lively[0]);
    if (Number.isFinite(value) && inside(value)) x[i++] = value;
  }
  return x;
}

it.each(SWEPT_NAMES)(`%s at ${POINTS} arguments`, { timeout: 3_600_000 }, fn => {
  const x = argumentsFor(SWEPT[fn], new Random(SEED));
  const want = Array.from(x, v => UNARY_ORACLE[fn](decimalOf(v)));
  for (const { name, compile } of RUNNERS) {
    const got = compile(SWEPT[fn].of, 'f64', POINTS)(x) as Float64Array;
    let [worst, at] = [0, 0];
    for (const [i, exact] of want.entries()) {
      const error = errorInUlps(got[i]!, exact, 53);
      if (!(error <= worst)) [worst, at] = [error, x[i]!];
    }
    if (process.env['TENON_SWEEP_POINTS'])
      console.log(`sweep: f64 ${fn} ${name}: at most ${worst.toFixed(3)} ulp, at ${at}`);
    expect(worst, `${fn}(${at}), ${name}`).toBeLessThan(LIMIT);
  }
});
