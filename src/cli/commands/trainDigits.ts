/**
 * tenon train digits: a convolutional classifier of digits, drawn or MNIST's.
 */
import { Command, Option } from 'commander';
import { addRunOptions, applyRunOptions, positiveNumber, type RunOptions, wholeNumber } from '../options.ts';
import { Output, percent, seconds } from '../output.ts';
import { openRun } from '../runFolder.ts';
import { saveModel } from '../savedModel.ts';
import {
  buildDigits,
  DIGIT_MODELS,
  type DigitModel,
  digitsCard,
  digitsPart,
  digitsTraining,
  evaluateDigits,
} from '../tasks/digits.ts';
import { train } from '../training.ts';
import { givenOptions } from './given.ts';

interface TrainDigitsOptions extends RunOptions {
  readonly data?: string;
  readonly model: DigitModel;
  readonly epochs: number;
  readonly batch: number;
  readonly lr: number;
  readonly limit?: number;
}

export const trainDigitsCommand = (): Command =>
  addRunOptions(
    new Command('digits')
      .description('Train a classifier of handwritten digits.')
      .option('--data <dir>', "folder with MNIST's IDX files, gzipped or not; default: digits it draws itself")
      .addOption(new Option('--model <name>', 'architecture').choices(DIGIT_MODELS).default('lenet'))
      .option('--epochs <n>', 'passes over the training images', wholeNumber(1), 5)
      .option('--batch <n>', 'images per step', wholeNumber(1), 64)
      .option('--lr <rate>', 'highest learning rate', positiveNumber(), 4e-3)
      .option('--limit <n>', 'use only the first n images of each part, for a quick try', wholeNumber(1)),
  ).action(async (options: TrainDigitsOptions, command: Command) => {
    await trainDigits(options, givenOptions(command), new Output(options.json ?? false));
  });

/** Trains and saves; returns the run folder's path and the final metrics. */
export async function trainDigits(
  asked: TrainDigitsOptions,
  given: ReadonlySet<string>,
  output: Output,
): Promise<{ readonly path: string; readonly test_accuracy: number }> {
  const started = performance.now();
  const { run, options } = openRun('train digits', `digits-${asked.model}`, asked, given);
  applyRunOptions(options);
  const trainPart = digitsPart(options, 'train');
  const testPart = digitsPart(options, 'test');
  const card = digitsCard(options.model);
  const model = buildDigits(card);
  run.begin();
  output.event('start', { task: 'digits', out: run.path, ...options, train: trainPart.count, test: testPart.count });
  output.say(
    `digits: ${trainPart.count} training and ${testPart.count} test images, model ${options.model}, into ${run.path}`,
  );

  await train(run, output, options.resume ?? false, digitsTraining(model, card, trainPart, testPart, options));
  const metrics = await evaluateDigits(model, card, testPart);
  saveModel(run.path, card, model, metrics);
  output.event('end', { ...metrics, out: run.path, seconds: seconds(started) });
  output.say(`test accuracy ${percent(metrics.test_accuracy)} after ${seconds(started)} s; model in ${run.path}`);
  return { path: run.path, test_accuracy: metrics.test_accuracy };
}
