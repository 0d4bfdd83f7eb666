/**
 * The subcommand `onnx`: the ONNX project's backend cases, and any folder of models with inputs and expected outputs.
 */
import { Command, Option } from 'commander';
import { backendNames } from 'tenon';
import { printReport, type ReportOptions } from '../report.ts';
import { suiteFile } from '../suiteFile.ts';
import { runOnnx } from './run.ts';

export const onnxCommand = (): Command =>
  new Command('onnx')
    .description("The ONNX project's backend cases: models with inputs and expected outputs")
    .argument('<path>', 'a folder, or a gzipped tar archive', suiteFile)
    .addOption(new Option('--backend <name>', 'the backend that computes').choices(backendNames()))
    .option('--case <text>', 'only cases whose name holds this')
    .option('--by-op', 'a line for every operator')
    .option('--list-failing', 'a line for every case that fails')
    .action((path: string, options: ReportOptions & { readonly backend?: string; readonly case?: string }) => {
      const { backend, case: only } = options;
      printReport(runOnnx(path, { backend, only }), options);
    });
