/**
 * tenon predict: what a saved model says of images or table rows.
 */
import { Command } from 'commander';
import { readImage } from '../../data/index.ts';
import type { AnyModule } from '../../nn/index.ts';
import { UsageError } from '../errors.ts';
import { addMachineOptions, applyMachineOptions, type MachineOptions } from '../options.ts';
import { Output, percent } from '../output.ts';
import { loadModel, type ModelCard } from '../savedModel.ts';
import { classifyDigit } from '../tasks/digits.ts';
import { predictRows, readRows, type TableModel } from '../tasks/table.ts';

export const predictCommand = (): Command =>
  addMachineOptions(
    new Command('predict')
      .description('Predict with a trained model: digits of PNG or JPEG images, probabilities of table rows.')
      .argument('<model>', 'run folder, or a model.json or model.safetensors')
      .argument('<file...>', 'images, or tables with the columns of training'),
  ).action(async (path: string, files: string[], options: MachineOptions) => {
    await predictFiles(path, files, options, new Output(options.json ?? false));
  });

/** Prints a prediction per image or row; returns the likeliest digit of each image, or the probability of each row. */
export async function predictFiles(
  path: string,
  files: readonly string[],
  options: MachineOptions,
  output: Output,
): Promise<number[]> {
  applyMachineOptions(options);
  const { card, model } = loadModel(path);
  output.event('start', { task: card.task, model: card.model, path });
  const predictions: number[] = [];
  for (const file of files) predictions.push(...(await predictFile(card, model, file, output)));
  output.event('end', { predictions: predictions.length });
  return predictions;
}

async function predictFile(card: ModelCard, model: AnyModule, file: string, output: Output): Promise<number[]> {
  switch (card.task) {
    case 'digits': {
      const probabilities = classifyDigit(model, card, await readImage(file));
      const digit = probabilities.indexOf(Math.max(...probabilities));
      output.event('prediction', { file, digit, probabilities: [...probabilities] });
      output.say(`${file}: ${digit} (${percent(probabilities[digit]!)})`);
      return [digit];
    }
    case 'table': {
      const probabilities = predictRows(model as TableModel, card, await readRows(file, card.reading));
      probabilities.forEach((probability, index) => {
        const row = index + 1;
        output.event('prediction', { file, row, probability });
        output.say(`${file} row ${row}: ${probability.toFixed(4)}`);
      });
      return [...probabilities];
    }
    case 'text':
      throw new UsageError('predict: a text model continues text; use `tenon sample`');
  }
}
