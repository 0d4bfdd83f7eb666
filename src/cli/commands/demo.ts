/**
 * tenon demo: draws digits, trains on them, measures, and predicts a drawn picture; under a minute on two cores.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { drawDigit, RandomStream, toPng } from '../../data/index.ts';
import { addRunOptions, type RunOptions } from '../options.ts';
import { Output, seconds } from '../output.ts';
import { evaluateModel } from './evaluate.ts';
import { givenOptions } from './given.ts';
import { predictFiles } from './predict.ts';
import { trainDigits } from './trainDigits.ts';

const DRAWN_DIGIT = 4;

export const demoCommand = (): Command =>
  addRunOptions(
    new Command('demo').description(
      'Train on drawn digits, measure, and predict a picture: the whole way in under a minute.',
    ),
  ).action(async (options: RunOptions, command: Command) => {
    await demo(options, givenOptions(command), new Output(options.json ?? false));
  });

async function demo(options: RunOptions, given: ReadonlySet<string>, output: Output): Promise<void> {
  const started = performance.now();
  output.say('1. Training on digits that are drawn now');
  // Only the last "end" is the demo's own.
  const steps = new Output(output.json, event => (event === 'end' ? 'result' : event));
  const { path, test_accuracy } = await trainDigits(
    { ...options, model: 'lenet', epochs: 3, batch: 64, lr: 4e-3 },
    given,
    steps,
  );
  output.say('\n2. Measuring the saved model');
  await evaluateModel(path, options, steps);
  output.say(`\n3. Predicting a picture of a ${DRAWN_DIGIT}, black on white`);
  const picture = join(path, 'drawn.png');
  const drawn = drawDigit(DRAWN_DIGIT, new RandomStream(options.seed, 7), 140);
  writeFileSync(picture, toPng({ ...drawn, data: Uint8Array.from(drawn.data, value => 255 - value) }));
  const [digit] = await predictFiles(path, [picture], options, steps);
  output.event('end', { test_accuracy, drawn: DRAWN_DIGIT, predicted: digit, out: path, seconds: seconds(started) });
  output.say(`\nDone in ${seconds(started)} s. Everything is in ${path}.`);
}
