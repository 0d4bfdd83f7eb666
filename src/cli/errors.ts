/**
 * How the program ends: exit codes, and one sentence per failure.
 */

/** Wrong use of the command line: exit code 2. */
export class UsageError extends Error {}

/** Stopped by Ctrl-C after saving a checkpoint: exit code 130, as shells have it. */
export class Interrupted extends Error {}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return 2;
  return error instanceof Interrupted ? 130 : 1;
}

/** The message, or with TENON_DEBUG the whole stack and what caused it. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!process.env['TENON_DEBUG']) return error.message;
  const cause = error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : '';
  return `${error.stack}${cause}`;
}
