/**
 * tenon eval: measures a saved model on its own test data or on other files.
 */
import { Command } from 'commander';
import { encodeTable } from '../../data/index.ts';
import type { GPT } from '../../models/index.ts';
import { UsageError } from '../errors.ts';
import { addMachineOptions, applyMachineOptions, type MachineOptions } from '../options.ts';
import { Output } from '../output.ts';
import { readConfig } from '../runFolder.ts';
import { type LoadedModel, loadModel } from '../savedModel.ts';
import { type DigitsSource, digitsPart, evaluateDigits } from '../tasks/digits.ts';
import { evaluateTable, readRows, type TableModel, type TableSource, tableParts } from '../tasks/table.ts';
import { evaluateText, textParts } from '../tasks/text.ts';

interface EvalOptions extends MachineOptions {
  readonly data?: string;
}

export const evaluateCommand = (): Command =>
  addMachineOptions(
    new Command('eval')
      .description('Measure a trained model.')
      .argument('<run>', 'run folder, or a model.json or model.safetensors')
      .option('--data <path>', 'other data than the run was measured on: a folder of digits, a table, a text'),
  ).action(async (path: string, options: EvalOptions) => {
    await evaluateModel(path, options, new Output(options.json ?? false));
  });

/** Prints and returns the metrics of the model's task. */
export async function evaluateModel(
  path: string,
  options: EvalOptions,
  output: Output,
): Promise<Record<string, number>> {
  applyMachineOptions(options);
  const loaded = loadModel(path);
  output.event('start', { task: loaded.card.task, model: loaded.card.model, path });
  const metrics = await measure(loaded, options.data);
  output.event('end', metrics);
  for (const [name, value] of Object.entries(metrics)) output.say(`${name.replaceAll('_', ' ')} ${value.toFixed(4)}`);
  return metrics;
}

function measure({ card, model, folder }: LoadedModel, data: string | undefined): Promise<Record<string, number>> {
  const config = readConfig(folder)?.options ?? null;
  if (!config && data === undefined)
    throw new UsageError(`${folder} has no config.json that names its data; say with --data what to measure on`);
  switch (card.task) {
    case 'digits': {
      const source = data === undefined ? (config as unknown as DigitsSource) : { data, seed: 0 };
      return evaluateDigits(model, card, digitsPart(source, 'test'));
    }
    case 'table':
      return measureTable(model as TableModel, card, data, config as TableSource | null);
    case 'text': {
      const { val } = textParts(data ?? String(config!['data']), card.characters);
      return evaluateText(model as unknown as GPT, val);
    }
  }
}

async function measureTable(
  model: TableModel,
  { schema, reading }: LoadedModel['card'] & { task: 'table' },
  data: string | undefined,
  config: TableSource | null,
): Promise<Record<string, number>> {
  const rows = data === undefined ? (await tableParts(config!)).test : await readRows(data, reading);
  return evaluateTable(model, encodeTable(rows, schema));
}
