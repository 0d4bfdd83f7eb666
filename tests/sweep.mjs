// npm run sweep -- --dtype f32 [--every N] [--part I/N] | --dtype f64 [--points N] [--seed S], [--functions exp,log]: errors of the transcendental functions in units in the last
// place, on every instruction set here. With --every 1 all 2^32 arguments of f32 are tried, in some minutes a function;
// N processes with --part 1/N to N/N share them.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    dtype: { type: 'string', default: 'f32' },
    every: { type: 'string', default: '256' },
    points: { type: 'string', default: '2000' },
    part: { type: 'string', default: '1/1' },
    seed: { type: 'string', default: '1' },
    functions: { type: 'string', default: '' },
  },
});
if (values.dtype !== 'f32' && values.dtype !== 'f64')
  throw new Error(`sweep: --dtype ${values.dtype} came, expected f32 or f64`);
for (const name of ['every', 'points', 'seed'])
  if (!(Number.isInteger(Number(values[name])) && Number(values[name]) > 0))
    throw new Error(`sweep: --${name} ${values[name]} came, expected a whole number above 0`);
const [part, parts] = values.part.split('/').map(Number);
if (!(Number.isInteger(part) && Number.isInteger(parts) && part >= 1 && part <= parts))
  throw new Error(`sweep: --part ${values.part} came, expected a part of so many, as 1/16`);
const { status } = spawnSync(
  'npx',
  ['vitest', 'run', '--disable-console-intercept', '--project', 'general', `tests/sweep/${values.dtype}.test.ts`],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      TENON_SWEEP_EVERY: values.every,
      TENON_SWEEP_POINTS: values.points,
      TENON_SWEEP_PART: values.part,
      TENON_SWEEP_SEED: values.seed,
      TENON_SWEEP_FUNCTIONS: values.functions,
    },
  },
);
process.exitCode = status ?? 1;
