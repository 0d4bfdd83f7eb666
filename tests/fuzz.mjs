// npm run fuzz -- --minutes N [--seed S]: random graphs as machine code, on every instruction set here, against the reference backend, for so long.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});
for (const [name, value] of Object.entries(values))
  if (!(Number(value) > 0)) throw new Error(`fuzz: --${name} ${value} came, expected a number above 0`);
console.log(`fuzz: ${values.minutes} minutes from seed ${values.seed}`);
const { status } = spawnSync(
  'npx',
  ['vitest', 'run', '--disable-console-intercept', '--project', 'general', 'tests/fuzz/machine-code.test.ts'],
  {
    stdio: 'inherit',
    env: { ...process.env, TENON_FUZZ: '1', TENON_FUZZ_SEED: values.seed, TENON_FUZZ_MINUTES: values.minutes },
  },
);
process.exitCode = status ?? 1;
