/** Random graphs, products, programs of public calls, compositions of transforms and whole training steps as machine code, on every instruction set here, against the reference backend. */
import { spawnSync } from 'node:child_process';
import { Command, InvalidArgumentError, Option } from 'commander';

const above0 = text => {
  if (!(Number(text) > 0)) throw new InvalidArgumentError('Expected a number above 0.');
  return text;
};
const counts = text => {
  if (!text.split(',').every(n => Number.isInteger(Number(n)) && Number(n) > 0))
    throw new InvalidArgumentError('Expected whole numbers above 0 with commas between.');
  return text;
};
const values = new Command('npm run fuzz --')
  .description('The smallest graph that still fails is printed beside its seed.')
  .option('--minutes <n>', 'how long', above0, '10')
  .addOption(new Option('--seed <n>', 'where to begin').argParser(above0).default(String(Date.now() % 1e9), 'the time'))
  .option('--threads <n,...>', 'numbers of threads to compute on', counts, '2')
  .option('--all', 'count the differences instead of stopping at the first')
  .parse()
  .opts();
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
  run('machine-code.test.ts', 'general', 0.2),
  run('products.test.ts', 'x86', 0.1),
  run('products.test.ts', 'x86-avx2', 0.1),
  run('calls.test.ts', 'x86', 0.2),
  run('calls.test.ts', 'x86-avx2', 0.1),
  run('transforms.test.ts', 'x86', 0.05),
  run('training.test.ts', 'x86', 0.15),
  run('training.test.ts', 'x86-avx2', 0.1),
];
process.exitCode = passed.every(Boolean) ? 0 : 1;
