/**
 * npm run example:recsys -- [adult|movies|retrieval|census|amazon|samples|all] [--seeds N]
 *
 * Runs an example and writes what it found into README.md beside this file.
 */
import { Command } from 'commander';
import { adult } from './adult.ts';
import { type Finding, report, SEEDS } from './experiment.ts';
import { movies } from './movies.ts';
import { retrieval } from './retrieval.ts';
import { amazon, census, samples } from './samples.ts';

const EXAMPLES: Readonly<Record<string, (seeds: readonly number[]) => Promise<Finding[]>>> = {
  adult,
  movies,
  retrieval,
  census,
  amazon,
  samples,
};

const command = new Command('example:recsys')
  .argument('<name>', `one of ${Object.keys(EXAMPLES).join(', ')}, all`)
  .option('--seeds <n>', 'how many of the five seeds', '5')
  .parse();
const [name] = command.args as [string];
const seeds = SEEDS.slice(0, Number(command.opts<{ seeds: string }>().seeds));
const chosen = name === 'all' ? Object.keys(EXAMPLES) : [name];
for (const example of chosen) {
  const run = EXAMPLES[example];
  if (!run) throw new Error(`example "${example}" came, expected one of ${Object.keys(EXAMPLES).join(', ')}, all`);
  report(example, await run(seeds));
}
