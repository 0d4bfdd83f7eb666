/** Errors of the transcendental functions in units in the last place, on every instruction set here. */
import { spawnSync } from 'node:child_process';
import { Command, InvalidArgumentError, Option } from 'commander';

const whole = text => {
  if (!(Number.isInteger(Number(text)) && Number(text) > 0))
    throw new InvalidArgumentError('Expected a whole number above 0.');
  return text;
};
const share = text => {
  const [part, parts] = text.split('/').map(Number);
  if (!(Number.isInteger(part) && Number.isInteger(parts) && part >= 1 && part <= parts))
    throw new InvalidArgumentError('Expected a part of so many, as 1/16.');
  return text;
};
const values = new Command('npm run sweep --')
  .addOption(new Option('--dtype <dtype>', 'arguments and results').choices(['f32', 'f64']).default('f32'))
  .option('--every <n>', 'f32: try one of so many of the 2^32 arguments; 1 takes some minutes a function', whole, '256')
  .option('--part <i/n>', 'f32: the arguments of one of n processes that share them', share, '1/1')
  .option('--points <n>', 'f64: arguments a function', whole, '2000')
  .option('--seed <n>', 'f64: of the arguments', whole, '1')
  .addOption(new Option('--functions <names>', 'with commas between').default('', 'all'))
  .parse()
  .opts();
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
