/**
 * What a command prints: text for people, or with --json one object per line. Never both on stdout.
 */

export class Output {
  readonly json: boolean;
  private readonly rename: (event: string) => string;

  /** `rename` gives events other names, for commands that are steps of another one. */
  constructor(json: boolean, rename: (event: string) => string = event => event) {
    this.json = json;
    this.rename = rename;
  }

  /** A line for people. */
  say(text = ''): void {
    if (!this.json) process.stdout.write(`${text}\n`);
  }

  /** An object for programs; numbers that JSON has no name for become null. */
  event(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    if (this.json) process.stdout.write(`${JSON.stringify({ event: this.rename(event), ...fields })}\n`);
  }

  /** Something worth knowing that is no result: stderr, so that results can be piped on. */
  notice(text: string): void {
    process.stderr.write(`${text}\n`);
  }
}

/** 0.98765 -> '98.77 %'. */
export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** Seconds to a tenth. */
export const seconds = (since: number): number => Math.round((performance.now() - since) / 100) / 10;
