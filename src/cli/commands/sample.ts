/**
 * tenon sample: lets a text model write.
 */
import { Command } from 'commander';
import { CharVocabulary } from '../../data/index.ts';
import type { GPT } from '../../models/index.ts';
import { manualSeed } from '../../tensor/index.ts';
import { UsageError } from '../errors.ts';
import {
  addMachineOptions,
  applyMachineOptions,
  type MachineOptions,
  positiveNumber,
  wholeNumber,
} from '../options.ts';
import { Output } from '../output.ts';
import { loadModel } from '../savedModel.ts';
import { continueText, defaultPrompt } from '../tasks/text.ts';

interface SampleCommandOptions extends MachineOptions {
  readonly prompt?: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly seed: number;
}

export const sampleCommand = (): Command =>
  addMachineOptions(
    new Command('sample')
      .description('Let a trained text model continue a prompt.')
      .argument('<run>', 'run folder, or a model.json or model.safetensors')
      .option('--prompt <text>', 'text to continue; default: the start of a line')
      .option('--tokens <n>', 'characters to write', wholeNumber(1), 500)
      .option(
        '--temperature <t>',
        'below 1 more cautious, above 1 more daring, 0 always the likeliest',
        positiveNumber({ orZero: true }),
        0.8,
      )
      .option('--top-k <k>', 'draw from the k likeliest characters only', wholeNumber(1))
      .option('--seed <n>', 'of the draws', wholeNumber(0), 1),
  ).action((path: string, options: SampleCommandOptions) => {
    const output = new Output(options.json ?? false);
    applyMachineOptions(options);
    manualSeed(options.seed);
    const { card, model } = loadModel(path);
    if (card.task !== 'text') throw new UsageError(`sample: ${path} is a model of ${card.task}, expected one of text`);
    if (options.prompt === '') throw new UsageError('sample: --prompt is empty, expected at least one character');
    const vocabulary = new CharVocabulary(card.characters);
    const prompt = options.prompt ?? defaultPrompt(vocabulary);
    if (!output.json) process.stdout.write(options.prompt ?? '');
    const write = output.json ? undefined : (text: string) => void process.stdout.write(text);
    const text = continueText(model as unknown as GPT, vocabulary, prompt, options, write);
    output.say();
    output.event('end', { prompt, text });
  });
