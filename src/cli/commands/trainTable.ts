/**
 * tenon train table: binary prediction from any delimited table.
 */
import { Command, Option } from 'commander';
import { encodeTable, TABLE_PRESETS, type TablePresetName } from '../../data/index.ts';
import { manualSeed } from '../../tensor/index.ts';
import { UsageError } from '../errors.ts';
import { addRunOptions, applyRunOptions, nameList, positiveNumber, type RunOptions, wholeNumber } from '../options.ts';
import { Output, seconds } from '../output.ts';
import { openRun } from '../runFolder.ts';
import { saveModel } from '../savedModel.ts';
import {
  buildTable,
  describeSchema,
  evaluateTable,
  TABLE_MODELS,
  type TableCard,
  type TableModelName,
  tableParts,
  tableSchema,
  tableTraining,
} from '../tasks/table.ts';
import { train, trainQuietly } from '../training.ts';
import { givenOptions } from './given.ts';

interface TrainTableOptions extends RunOptions {
  readonly data?: string;
  readonly test?: string;
  readonly label?: string;
  readonly positive?: string;
  readonly separator?: string;
  readonly header?: boolean;
  readonly preset?: TablePresetName;
  readonly categorical?: readonly string[];
  readonly numeric?: readonly string[];
  readonly ignore?: readonly string[];
  readonly model: TableModelName;
  readonly compare?: TableModelName;
  readonly epochs: number;
  readonly batch: number;
  readonly lr?: number;
  readonly limit?: number;
}

/** `\t` and `tab` as shells pass them on. */
function separatorOf(text: string): string {
  const separator = text === '\\t' || text === 'tab' ? '\t' : text;
  if (separator.length !== 1) throw new UsageError(`--separator ${text}: expected one character, or tab`);
  return separator;
}

export const trainTableCommand = (): Command =>
  addRunOptions(
    new Command('table')
      .description('Train a model that predicts a binary column (clicks, income, churn) of a table.')
      .option('--data <file>', "delimited file, gzipped or not, or a preset's folder; default: generated clicks")
      .option('--test <file>', 'rows to measure on; default: a seeded 20 % of --data')
      .option('--label <column>', 'the column to predict, by name or index')
      .option('--positive <value>', "the label's value that counts as 1")
      .option('--separator <char>', 'between fields; default: told from the file', separatorOf)
      .option('--header', 'the first line names the columns; default: told from the file')
      .option('--no-header', 'the first line is data; columns go by their index')
      .addOption(
        new Option('--preset <name>', 'a public file whose columns and quirks are known').choices(
          Object.keys(TABLE_PRESETS),
        ),
      )
      .option('--categorical <columns>', 'columns to read as categories whatever they look like', nameList)
      .option('--numeric <columns>', 'columns to read as numbers', nameList)
      .option('--ignore <columns>', 'columns to leave out', nameList)
      .addOption(new Option('--model <name>', 'architecture').choices(TABLE_MODELS).default('deepfm'))
      .addOption(
        new Option('--compare <name>', 'train a second model on the same rows and report it too').choices(TABLE_MODELS),
      )
      .option('--epochs <n>', 'passes over the training rows', wholeNumber(1), 8)
      .option('--batch <n>', 'rows per step', wholeNumber(1), 256)
      .option('--lr <rate>', "highest learning rate; default: the model's own", positiveNumber())
      .option('--limit <n>', 'use only the first n rows of each file, for a quick try', wholeNumber(1)),
  ).action(async (options: TrainTableOptions, command: Command) => {
    await trainTable(options, givenOptions(command), new Output(options.json ?? false));
  });

async function trainTable(asked: TrainTableOptions, given: ReadonlySet<string>, output: Output): Promise<void> {
  const started = performance.now();
  const { run, options } = openRun('train table', `table-${asked.model}`, asked, given);
  applyRunOptions(options);
  const parts = await tableParts(options);
  const schema = tableSchema(options, parts.train);
  const trainRows = encodeTable(parts.train, schema);
  const testRows = encodeTable(parts.test, schema);
  const { preset, separator, header } = options;
  const card: TableCard = { task: 'table', model: options.model, reading: { preset, separator, header }, schema };
  const model = buildTable(card);
  run.begin();
  output.event('start', {
    task: 'table',
    out: run.path,
    ...options,
    train: trainRows.rows,
    test: testRows.rows,
    teacher_auc: parts.teacherAuc,
  });
  output.say(
    `table: ${trainRows.rows} training and ${testRows.rows} test rows, model ${options.model}, into ${run.path}`,
  );
  output.say(describeSchema(schema));
  if (parts.teacherAuc !== undefined)
    output.say(`the clicks were drawn from probabilities whose own AUC is ${parts.teacherAuc.toFixed(4)}`);

  await train(run, output, options.resume ?? false, tableTraining(model, options.model, trainRows, testRows, options));
  const metrics = await evaluateTable(model, testRows);
  const compared: Record<string, number> = {};
  if (options.compare) {
    manualSeed(options.seed);
    const other = buildTable({ model: options.compare, schema });
    await trainQuietly(tableTraining(other, options.compare, trainRows, testRows, options));
    const { test_auc, test_logloss } = await evaluateTable(other, testRows);
    compared[`${options.compare}_test_auc`] = test_auc;
    compared[`${options.compare}_test_logloss`] = test_logloss;
    output.say(`${options.compare}: test AUC ${test_auc.toFixed(4)}, log loss ${test_logloss.toFixed(4)}`);
  }
  saveModel(run.path, card, model, metrics);
  output.event('end', { ...metrics, ...compared, out: run.path, seconds: seconds(started) });
  output.say(
    `${options.model}: test AUC ${metrics.test_auc.toFixed(4)}, log loss ${metrics.test_logloss.toFixed(4)} after ${seconds(started)} s; model in ${run.path}`,
  );
}
