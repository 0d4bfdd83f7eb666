/**
 * Lines that could not be read: counted, kept in a file, and an error when there are too many.
 */
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { reasonOf } from '../../formats/atomic.ts';
import type { BadLine } from './lines.ts';

export interface BadLineOptions {
  /**
   * Where they are kept, written anew by each reading: one JSON object per line with file, line, reason and text (the
   * first 4,096 bytes). Nowhere by default.
   */
  readonly quarantine?: string;
  /** More than so many are an error; 10,000 by default. */
  readonly max?: number;
  /** A larger share of all lines is an error, once there are 1,000 lines or the end is reached; 0.05 by default. */
  readonly maxShare?: number;
}

/** Lines of which a share begins to mean something. */
const FEW = 1000;

export class Quarantine {
  lines = 0;
  bad = 0;
  private readonly options: BadLineOptions;
  private first: BadLine | null = null;

  constructor(options: BadLineOptions = {}) {
    this.options = options;
  }

  /** Begins a reading: what an earlier one has kept in the file goes. @throws Error when it cannot */
  begin(): this {
    const { quarantine } = this.options;
    if (quarantine === undefined) return this;
    try {
      rmSync(quarantine, { force: true });
    } catch (error) {
      throw new Error(`cannot write ${quarantine}: ${reasonOf(error)}`, { cause: error });
    }
    return this;
  }

  /** Counts lines and keeps the bad among them. @throws Error when there are too many, or they cannot be kept */
  add(lines: number, bad: readonly BadLine[]): void {
    this.lines += lines;
    this.bad += bad.length;
    if (bad.length > 0) {
      this.first ??= bad[0];
      this.keep(bad);
      const { max = 10_000 } = this.options;
      if (this.bad > max) this.fail(`expected at most ${max}`);
    }
    if (this.lines >= FEW) this.checkShare();
  }

  /** All lines were read. @throws Error when too large a share of them was bad */
  end(): void {
    this.checkShare();
  }

  private checkShare(): void {
    const { maxShare = 0.05 } = this.options;
    if (this.bad > maxShare * this.lines) this.fail(`expected at most ${100 * maxShare} %`);
  }

  private fail(expected: string): never {
    const { file, line, reason } = this.first!;
    const { quarantine } = this.options;
    const kept = quarantine ? `; they are kept in ${quarantine}` : '';
    throw new Error(
      `${this.bad} of ${this.lines} lines are bad, ${expected}; the first is ${file}, line ${line}: ${reason}${kept}`,
    );
  }

  private keep(bad: readonly BadLine[]): void {
    const { quarantine } = this.options;
    if (quarantine === undefined) return;
    try {
      mkdirSync(path.dirname(quarantine), { recursive: true });
      appendFileSync(quarantine, bad.map(line => `${JSON.stringify(line)}\n`).join(''));
    } catch (error) {
      throw new Error(`cannot write ${quarantine}: ${reasonOf(error)}`, { cause: error });
    }
  }
}
