/**
 * Options that commands share, and how their values are read.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { backendNames, manualSeed, setBackend, setNumThreads } from '../tensor/index.ts';
import { UsageError } from './errors.ts';

/** A whole number of at least `least`. */
export const wholeNumber =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`expected a whole number of at least ${least}.`);
    return value;
  };

/** A number above 0 (or at least 0). */
export const positiveNumber =
  ({ orZero = false } = {}) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < 0 || (value === 0 && !orZero))
      throw new InvalidArgumentError(`expected a number ${orZero ? 'of at least' : 'above'} 0.`);
    return value;
  };

/** Names separated by commas. */
export const nameList = (text: string): string[] =>
  text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '');

export interface MachineOptions {
  readonly backend?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export interface RunOptions extends MachineOptions {
  readonly out?: string;
  readonly resume?: boolean;
  readonly seed: number;
}

/** --backend, --threads, --json. */
export function addMachineOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--backend <name>', 'what computes; default: the best that works here').choices([...backendNames()]),
    )
    .option('--threads <n>', 'compute threads; results do not depend on it', wholeNumber(1))
    .option('--json', 'one JSON object per line, the last with "event":"end"');
}

/** What every training command has. */
export function addRunOptions(command: Command): Command {
  return addMachineOptions(
    command
      .option('--out <dir>', 'run folder; default: a new one under runs/')
      .option('--resume', 'go on with the run in --out (default: the newest of its kind) where it was stopped')
      .option('--seed <n>', 'of initial weights, order of samples and all else that is random', wholeNumber(0), 1),
  );
}

/** Sets backend and threads. */
export function applyMachineOptions({ backend, threads }: MachineOptions): void {
  try {
    if (backend !== undefined) setBackend(backend);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (threads !== undefined) setNumThreads(threads);
}

/** Machine and seed: all that a run depends on besides its data and settings. */
export function applyRunOptions(options: RunOptions): void {
  applyMachineOptions(options);
  manualSeed(options.seed);
}
