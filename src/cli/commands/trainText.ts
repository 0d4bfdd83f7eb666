/**
 * tenon train text: a character-level GPT on a text file.
 */
import { Command } from 'commander';
import { addRunOptions, applyRunOptions, positiveNumber, type RunOptions, wholeNumber } from '../options.ts';
import { Output, seconds } from '../output.ts';
import { openRun } from '../runFolder.ts';
import { saveModel } from '../savedModel.ts';
import {
  buildText,
  continueText,
  defaultPrompt,
  evaluateText,
  type TextCard,
  textParts,
  textTraining,
} from '../tasks/text.ts';
import { train } from '../training.ts';
import { givenOptions } from './given.ts';

interface TrainTextOptions extends RunOptions {
  readonly data: string;
  readonly steps: number;
  readonly batch: number;
  readonly lr: number;
  readonly block: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly dropout: number;
  readonly sample: number;
}

export const trainTextCommand = (): Command =>
  addRunOptions(
    new Command('text')
      .description('Train a character-level GPT on a text and let it write.')
      .requiredOption('--data <file>', 'UTF-8 text; its last tenth is for validation')
      .option('--steps <n>', 'optimizer steps', wholeNumber(1), 2000)
      .option('--batch <n>', 'windows per step', wholeNumber(1), 12)
      .option('--lr <rate>', 'highest learning rate', positiveNumber(), 1e-3)
      .option('--block <n>', 'characters the model sees at once', wholeNumber(1), 64)
      .option('--layers <n>', 'transformer blocks', wholeNumber(1), 4)
      .option('--heads <n>', 'attention heads', wholeNumber(1), 4)
      .option('--width <n>', 'features per character', wholeNumber(1), 128)
      .option('--dropout <p>', 'share of features dropped in training', positiveNumber({ orZero: true }), 0)
      .option('--sample <n>', 'characters to write at the end', wholeNumber(0), 300),
  ).action(async (options: TrainTextOptions, command: Command) => {
    await trainText(options, givenOptions(command), new Output(options.json ?? false));
  });

async function trainText(asked: TrainTextOptions, given: ReadonlySet<string>, output: Output): Promise<void> {
  const started = performance.now();
  const { run, options } = openRun('train text', 'text-gpt', asked, given);
  applyRunOptions(options);
  const parts = textParts(options.data);
  const { block, layers, heads, width, dropout } = options;
  const { characters } = parts.vocabulary;
  const card: TextCard = { task: 'text', model: 'gpt', block, layers, heads, width, dropout, characters };
  const model = buildText(card);
  if (Math.min(parts.train.length, parts.val.length) <= block)
    throw new Error(
      `${options.data}: too short: ${parts.train.length} training and ${parts.val.length} validation characters, expected at least ${block + 1} each for --block ${block}`,
    );
  const parameters = model.parameters().reduce((a, p) => a + p.numel(), 0);
  run.begin();
  output.event('start', { task: 'text', out: run.path, ...options, characters: characters.length, parameters });
  output.say(
    `text: ${parts.train.length} training and ${parts.val.length} validation characters, ${characters.length} distinct; ${parameters} parameters, into ${run.path}`,
  );

  await train(run, output, options.resume ?? false, textTraining(model, parts, options));
  const metrics = await evaluateText(model, parts.val);
  saveModel(run.path, card, model, metrics);
  const sample =
    options.sample > 0
      ? continueText(model, parts.vocabulary, defaultPrompt(parts.vocabulary), {
          tokens: options.sample,
          temperature: 0.8,
        })
      : '';
  output.say(sample);
  output.event('end', { ...metrics, sample, out: run.path, seconds: seconds(started) });
  output.say(`validation loss ${metrics.val_loss.toFixed(4)} after ${seconds(started)} s; model in ${run.path}`);
}
