/**
 * The files of a streaming run: checkpoints to go on from, published models for serving, a line of metrics per event;
 * and what a restart takes back.
 *
 *     checkpoint.done            one line per checkpoint; a restart goes on from the last
 *     checkpoints/DAY-PASS/      dense weights, optimizer state, table, state.json
 *     publish/base.done          one line per published base model (end of a day)
 *     publish/delta.done         one line per published delta (every so many passes)
 *     publish/DAY/base/, publish/DAY/delta-PASS/   table, dense.safetensors, model.json
 *     batch/DAY/                 the table as it was at the end of the day, with optimizer state
 *     metrics.jsonl              one line per pass and day
 *     run.lock                   the process that writes here, while it does
 */
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { reasonOf, recoverFolder, writeAtomic, writeFolderAtomic } from '../../formats/atomic.ts';
import { type DoneLine, readDone, writeDone } from './done.ts';
import { lock } from './lock.ts';
import type { SourcePosition } from './source.ts';

const STATE = 'state.json';

/** What a restart needs beside the learner. */
export interface SavedState {
  /** How many lines each file had. */
  readonly lines: { readonly metrics: number; readonly base: number; readonly delta: number; readonly batch: number };
  readonly [name: string]: unknown;
}

/** Where a restart goes on. */
interface Restart {
  readonly done: DoneLine;
  readonly folder: string;
  readonly state: SavedState;
}

export class RunFiles {
  readonly folder: string;
  private readonly keep: number;
  private metrics = 0;

  /** `keep`: how many of the newest checkpoints (and tables of days) stay. */
  constructor(folder: string, keep: number) {
    this.folder = folder;
    this.keep = keep;
  }

  /**
   * Keeps other processes out until the function that comes back is called.
   * @throws Error naming the process that is in
   */
  lock(): () => void {
    return lock(this.file('run.lock'));
  }

  get checkpointDone(): string {
    return this.file('checkpoint.done');
  }

  private file(...parts: readonly string[]): string {
    return path.join(this.folder, ...parts);
  }

  /**
   * The last checkpoint, null when there is none.
   * @throws Error naming the done-file's line whose checkpoint is not there
   */
  lastCheckpoint(): Restart | null {
    const file = this.checkpointDone;
    const done = readDone(file).at(-1);
    if (!done) return null;
    const folder = this.file(done.path);
    recoverFolder(folder);
    const state = path.join(folder, STATE);
    if (!existsSync(state))
      throw new Error(
        `${file} names ${done.path} (day ${done.day}, pass ${done.pass}), and ${folder} is not there: restore it, or take the line away to go on from the one before`,
      );
    return { done, folder, state: JSON.parse(readFileSync(state, 'utf8')) as SavedState };
  }

  /** Takes back what was written after a checkpoint, or everything. */
  rewind(state: SavedState | null): void {
    const { metrics, base, delta, batch } = state?.lines ?? { metrics: 0, base: 0, delta: 0, batch: 0 };
    this.metrics = metrics;
    const file = this.file('metrics.jsonl');
    if (existsSync(file)) {
      const lines = readFileSync(file, 'utf8').split('\n');
      if (lines.length > metrics + 1 || lines.at(-1) !== '')
        writeAtomic(file, [
          lines
            .slice(0, metrics)
            .map(line => `${line}\n`)
            .join(''),
        ]);
    }
    for (const [name, count] of [
      ['publish/base.done', base],
      ['publish/delta.done', delta],
      ['batch/batch.done', batch],
    ] as const) {
      const lines = readDone(this.file(name));
      if (lines.length > count) writeDone(this.file(name), lines.slice(0, count));
    }
  }

  /** Appends an event to metrics.jsonl. */
  event(fields: object): void {
    const file = this.file('metrics.jsonl');
    try {
      appendFileSync(file, `${JSON.stringify(fields)}\n`);
    } catch (error) {
      throw new Error(`cannot write ${file}: ${reasonOf(error)}`, { cause: error });
    }
    this.metrics++;
  }

  /** A checkpoint: `save` writes the learner into a folder. Older ones beyond the last few go. */
  checkpoint(
    line: {
      readonly day: string;
      readonly pass: string;
      readonly batches?: number;
      readonly position: SourcePosition | null;
    },
    save: (folder: string) => void,
    state: object,
  ): void {
    const name =
      line.batches === undefined ? `${line.day}-${line.pass}` : `${line.day}-${line.pass}-batch${line.batches}`;
    const lines = {
      metrics: this.metrics,
      base: readDone(this.file('publish/base.done')).length,
      delta: readDone(this.file('publish/delta.done')).length,
      batch: readDone(this.file('batch/batch.done')).length,
    };
    const done = this.whole('checkpoint.done', path.join('checkpoints', name), line, folder => {
      save(folder);
      writeAtomic(path.join(folder, STATE), [JSON.stringify({ ...state, lines })]);
    });
    this.prune('checkpoints', done);
  }

  /** Publishes a model for serving: `save` writes it into a folder. */
  publish(kind: 'base' | 'delta', day: string, pass: string, save: (folder: string) => void): void {
    const name = kind === 'base' ? 'base' : `delta-${pass}`;
    this.whole(`publish/${kind}.done`, path.join('publish', day, name), { day, pass }, save);
  }

  /** The whole table at the end of a day. */
  batch(day: string, save: (folder: string) => void): void {
    this.prune('batch', this.whole('batch/batch.done', path.join('batch', day), { day, pass: 'end' }, save));
  }

  /** A folder that is whole or absent, then its line. @returns the done-file's lines */
  private whole(
    doneFile: string,
    folder: string,
    line: Omit<DoneLine, 'path' | 'time'>,
    save: (folder: string) => void,
  ): DoneLine[] {
    // Only a run that was taken back has it already.
    writeFolderAtomic(this.file(folder), save);
    const file = this.file(doneFile);
    const from = path.relative(path.dirname(doneFile), folder);
    const lines = readDone(file).filter(done => done.path !== from);
    lines.push({ ...line, path: from, time: new Date().toISOString() });
    writeDone(file, lines);
    return lines;
  }

  /** Removes folders that are not among the newest lines. */
  private prune(folder: string, lines: readonly DoneLine[]): void {
    const kept = new Set(lines.slice(-this.keep).map(line => path.basename(line.path)));
    for (const entry of readdirSync(this.file(folder), { withFileTypes: true }))
      if (entry.isDirectory() && !kept.has(entry.name))
        rmSync(this.file(folder, entry.name), { recursive: true, force: true });
  }
}
