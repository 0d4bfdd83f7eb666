/**
 * npm run example:recsys -- adult|movies|retrieval|census|amazon|samples|all [--seeds N]
 * npm run example:recsys -- criteo --file train.txt
 *
 * Runs an example and writes what it found into README.md beside this file; what a file of your own gives is only
 * printed.
 */
import { Command } from 'commander';
import { adult } from './adult.ts';
import { criteo } from './criteo.ts';
import { type Finding, line, report, SEEDS } from './experiment.ts';
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
  .argument('<name>', `one of ${Object.keys(EXAMPLES).join(', ')}, all, criteo`)
  .option('--seeds <n>', 'how many of the five seeds', '5')
  .option('--file <path>', "Criteo's train.txt, for criteo")
  .parse();
const [name] = command.args as [string];
const { seeds, file } = command.opts<{ seeds: string; file?: string }>();
if (name === 'criteo') {
  if (file === undefined) throw new Error('criteo: --file is missing: the path of the log');
  for (const finding of await criteo(file)) console.log(line(finding));
} else
  for (const example of name === 'all' ? Object.keys(EXAMPLES) : [name]) {
    const run = EXAMPLES[example];
    if (!run)
      throw new Error(`example "${example}" came, expected one of ${Object.keys(EXAMPLES).join(', ')}, all, criteo`);
    report(example, await run(SEEDS.slice(0, Number(seeds))));
  }
