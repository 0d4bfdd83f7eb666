/**
 * Done-files: one JSON object per line, the newest last; what a line names is complete, because it was written before
 * the line. Readers (a restart, a server that picks up models) look at the last line.
 */
import { existsSync, readFileSync } from 'node:fs';
import { reasonOf } from '../../formats/atomic.ts';
import { writeAtomic } from '../../formats/index.ts';
import type { SourcePosition } from './source.ts';

export interface DoneLine {
  readonly day: string;
  /** The last pass that is in it; 'end' after the end of a day. */
  readonly pass: string;
  /** Batches of a pass that was stopped in the middle; none after a whole one. */
  readonly batches?: number;
  /** The folder, relative to the done-file's. */
  readonly path: string;
  /** Where the source stood: checkpoints only. */
  readonly position?: SourcePosition | null;
  /** When it was written, ISO 8601. */
  readonly time: string;
}

/**
 * The lines of a done-file, oldest first; none when it is not there.
 * @throws Error naming file and line where it is no done-file
 */
export function readDone(file: string): DoneLine[] {
  if (!existsSync(file)) return [];
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`cannot read ${file}: ${reasonOf(error)}`, { cause: error });
  }
  return text
    .split('\n')
    .filter(line => line.trim() !== '')
    .map((line, i) => {
      try {
        const { day, pass, path } = JSON.parse(line) as DoneLine;
        if (typeof day === 'string' && typeof pass === 'string' && typeof path === 'string') return JSON.parse(line);
      } catch {
        // Falls through to the sentence below.
      }
      throw new Error(`${file}, line ${i + 1}: expected an object with day, pass and path, got ${line.slice(0, 80)}`);
    });
}

/** Replaces a done-file's lines. */
export function writeDone(file: string, lines: readonly DoneLine[]): void {
  writeAtomic(file, [lines.map(line => `${JSON.stringify(line)}\n`).join('')]);
}
