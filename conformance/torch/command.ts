/**
 * The subcommand `torch`: PyTorch's operator database, values and gradients, or the calls it refuses.
 */
import { Command } from 'commander';
import { backendNames } from 'tenon';
import { printReport, type ReportOptions } from '../report.ts';
import { runOpinfo } from './run.ts';

export const torchCommand = (): Command =>
  new Command('torch')
    .description("PyTorch's operator database: an opinfo or opinfo-errors file")
    .argument('<file>', 'gzipped JSON lines')
    .option('--backend <name>', `the backend that computes (${backendNames().join(', ')})`)
    .option('--op <name>', 'only this operator, by PyTorch’s name')
    .option('--by-op', 'a line for every operator')
    .option('--list-failing', 'a line for every case that fails')
    .action((file: string, options: ReportOptions & { readonly backend?: string; readonly op?: string }) => {
      const { backend, op } = options;
      printReport(runOpinfo(file, { backend, ...(op ? { only: name => name === op } : {}) }), options);
    });
