/**
 * How the program ends: exit codes, and one sentence per failure.
 */
import { constants } from 'node:os';

/** Wrong use of the command line: exit code 2. */
export class UsageError extends Error {}

/** Stopped by a signal after saving a checkpoint: exit code 128 + its number, as shells have it (130 for Ctrl-C). */
export class Interrupted extends Error {
  readonly exitCode: number;

  constructor(message: string, signal: NodeJS.Signals) {
    super(message);
    this.exitCode = 128 + constants.signals[signal];
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return 2;
  return error instanceof Interrupted ? error.exitCode : 1;
}

/** The message, or with TENON_DEBUG the whole stack and what caused it. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!process.env['TENON_DEBUG']) return error.message;
  const cause = error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : '';
  return `${error.stack}${cause}`;
}
