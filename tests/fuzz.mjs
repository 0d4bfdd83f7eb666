// npm run fuzz -- --minutes N [--seed S] [--threads N,...] [--all]: random graphs, programs of public calls, compositions of transforms and whole training steps as machine code, on every instruction set here,
// against the reference backend, for so long. --all counts the differences instead of stopping at the first.
// The smallest graph that still fails is printed beside its seed.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    threads: { type: 'string', default: '2' },
    all: { type: 'boolean', default: false },
  },
});
for (const name of ['minutes', 'seed'])
  if (!(Number(values[name]) > 0)) throw new Error(`fuzz: --${name} ${values[name]} came, expected a number above 0`);
if (values.threads.split(',').some(n => !(Number.isInteger(Number(n)) && Number(n) > 0)))
  throw new Error(`fuzz: --threads ${values.threads} came, expected whole numbers above 0 with commas between`);
console.log(`fuzz: ${values.minutes} minutes from seed ${values.seed}`);

/** One test file for a share of the time. */
function run(file, project, share, env = {}) {
  const { status } = spawnSync(
    'npx',
    ['vitest', 'run', '--disable-console-intercept', '--project', project, `tests/fuzz/${file}`],
    {
      stdio: 'inherit',
      env: {
        ...process.env,
        TENON_FUZZ: '1',
        TENON_FUZZ_SEED: values.seed,
        TENON_FUZZ_MINUTES: String(Number(values.minutes) * share),
        TENON_FUZZ_THREADS: values.threads,
        ...(values.all ? { TENON_FUZZ_ALL: '1' } : {}),
        ...env,
      },
    },
  );
  return status === 0;
}

const passed = [
  run('machine-code.test.ts', 'general', 0.25),
  run('calls.test.ts', 'x86', 0.25),
  run('calls.test.ts', 'x86-avx2', 0.1),
  run('transforms.test.ts', 'x86', 0.1),
  run('training.test.ts', 'x86', 0.15),
  run('training.test.ts', 'x86-avx2', 0.15),
];
process.exitCode = passed.every(Boolean) ? 0 : 1;
