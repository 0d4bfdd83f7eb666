/**
 * The subcommand `torch`: PyTorch's operator database, values and gradients, or the calls it refuses.
 */
import { Command, Option } from 'commander';
import { backendNames } from 'tenon';
import { printReport, type ReportOptions } from '../report.ts';
import { suiteFile } from '../suiteFile.ts';
import { PROPERTIES, type Property } from './properties.ts';
import { runOpinfo } from './run.ts';

interface Options extends ReportOptions {
  readonly backend?: string;
  readonly op?: string;
  readonly property: Property;
}

export const torchCommand = (): Command =>
  new Command('torch')
    .description("PyTorch's operator database: an opinfo or opinfo-errors file")
    .argument('<file>', 'gzipped JSON lines', suiteFile)
    .addOption(new Option('--backend <name>', 'the backend that computes').choices(backendNames()))
    .option('--op <name>', 'only this operator, by PyTorch’s name')
    .addOption(
      new Option('--property <name>', 'what is checked: figures (eager), or a property of every call')
        .choices(PROPERTIES)
        .default('eager'),
    )
    .option('--by-op', 'a line for every operator')
    .option('--list-failing', 'a line for every case that fails')
    .action((file: string, options: Options) => {
      const { backend, op, property } = options;
      printReport(runOpinfo(file, { backend, property, ...(op ? { only: name => name === op } : {}) }), options);
    });
