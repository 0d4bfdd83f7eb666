/**
 * The command line: all commands, and what happens when one fails. Each command is a file of commands/; what they share
 * lies beside this file, what a task is in tasks/.
 */
import { Command, CommanderError } from 'commander';
import { convertCommand } from './commands/convert.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { inspectCommand } from './commands/inspect.ts';
import { predictCommand } from './commands/predict.ts';
import { reportCommand } from './commands/report.ts';
import { sampleCommand } from './commands/sample.ts';
import { streamCommand } from './commands/stream.ts';
import { trainDigitsCommand } from './commands/trainDigits.ts';
import { trainTableCommand } from './commands/trainTable.ts';
import { trainTextCommand } from './commands/trainText.ts';
import { describe, exitCodeOf } from './errors.ts';
import { VERSION } from './version.ts';

function tenonProgram(): Command {
  const train = new Command('train').description('Train a model: digits, a table, or a text.');
  for (const command of [trainDigitsCommand(), trainTableCommand(), trainTextCommand()]) train.addCommand(command);
  const program = new Command('tenon')
    .description('Deep learning in TypeScript: train, measure and use models.')
    .version(VERSION, '--version', 'print the version');
  const commands = [
    train,
    streamCommand(),
    evaluateCommand(),
    predictCommand(),
    sampleCommand(),
    reportCommand(),
    inspectCommand(),
    convertCommand(),
    doctorCommand(),
    demoCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  settle(program);
  return program;
}

/** Every command throws instead of exiting. */
function settle(command: Command): void {
  command.exitOverride().configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'tenon: ')) });
  for (const child of command.commands) settle(child);
}

/**
 * Runs one command line.
 * @returns the exit code: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C
 */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await tenonProgram().parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has printed its own message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`tenon: ${describe(error)}\n`);
    return exitCodeOf(error);
  }
}
