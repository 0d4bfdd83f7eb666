/**
 * npm run conformance -- SUITE FILE [--backend NAME] [--by-op] [--list-failing]
 *
 * Runs suites that others wrote (../shared/conformance) and closes with `N passed, N failed, N skipped`. Each suite is
 * a subcommand in a folder of its own.
 */
import { Command } from 'commander';
import { onnxCommand } from './onnx/command.ts';
import { torchCommand } from './torch/command.ts';

await new Command('conformance')
  .description('Runs conformance suites of other projects against Tenon.')
  .addCommand(torchCommand())
  .addCommand(onnxCommand())
  .parseAsync();
