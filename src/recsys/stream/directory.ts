/**
 * Passes out of folders: DATA/YYYYMMDD/HHMM/ holds a stretch of logs, and is complete when its done-file is there.
 */
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { reasonOf } from '../../formats/atomic.ts';
import { checkOptions } from '../../tensor/options.ts';
import { BatchReader } from '../read/reader.ts';
import { type Asking, type Pass, pause, type SourcePosition, type StreamSource } from './source.ts';

export interface DirectoryOptions {
  readonly folder: string;
  /** The file that says that a folder is complete; '_SUCCESS' by default. */
  readonly doneFile?: string;
  /** Days to train on, YYYYMMDD; those that are there by default. With days, each of their folders is waited for. */
  readonly days?: readonly string[];
  /** Minutes of data per folder, which says which folders a day has; 60 by default. Only used with `days`. */
  readonly interval?: number;
  /** Folders that make one pass; 1 by default. */
  readonly perPass?: number;
  /** Whether to wait for more when all folders are read; false by default. */
  readonly follow?: boolean;
  /** Milliseconds between two looks at a folder that is waited for; 1,000 by default. */
  readonly poll?: number;
}

const DAY = /^\d{8}$/;

/** Whether a text is a day of the calendar. */
function isDay(text: string): boolean {
  const date = new Date(`${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}T00:00Z`);
  return DAY.test(text) && date.getTime() > 0 && date.toISOString().slice(0, 10).replaceAll('-', '') === text;
}

const TIME = /^\d{4}$/;
const MINUTES = 24 * 60;

/** A folder of the schedule. */
interface Stretch {
  readonly day: string;
  readonly time: string;
}

const nameOf = ({ day, time }: Stretch): string => `${day}/${time}`;
const isAfter = (a: Stretch, b: Stretch): boolean => a.day + a.time > b.day + b.time;

/** What was there at a look: days, and the folders DAY/TIME of those that were looked into. */
interface Seen {
  readonly days: readonly string[];
  readonly folders: readonly string[];
}

/** Passes made of folders of logs, each complete once its done-file is there. */
export class DirectorySource implements StreamSource {
  private readonly options: DirectoryOptions;
  /** The last look, perhaps of an earlier process. */
  private seen: Seen | null = null;

  /** @throws Error in one sentence where an option is wrong */
  constructor(options: DirectoryOptions) {
    const {
      days,
      interval = 60,
      perPass = 1,
    } = checkOptions('DirectorySource', options, [
      'folder',
      'doneFile',
      'days',
      'interval',
      'perPass',
      'follow',
      'poll',
    ]);
    days?.forEach((day, i) => {
      if (!isDay(day)) throw new Error(`days: "${day}" came, expected YYYYMMDD`);
      if (i > 0 && day <= days[i - 1]!)
        throw new Error(`days: ${day} came after ${days[i - 1]}, expected days in order`);
    });
    if (!Number.isInteger(interval) || interval < 1 || MINUTES % interval !== 0)
      throw new Error(`interval: ${interval} minutes came, expected a divisor of a day's 1440`);
    if (!Number.isInteger(perPass) || perPass < 1) throw new Error(`perPass: ${perPass} came, expected at least 1`);
    this.options = options;
  }

  async next(after: SourcePosition | null, asking: Asking): Promise<Pass | null> {
    const { perPass = 1, follow = false, poll = 1000, days } = this.options;
    const last = after as Stretch | null;
    const end = asking.again as Stretch | undefined;
    for (let said = ''; !asking.signal.aborted; ) {
      const all = days ? [] : this.list(this.options.folder, DAY);
      const stretches = days ? this.scheduled(days) : this.stretches(all, last);
      if (stretches.length === 0 && !last && !follow)
        throw new Error(`${this.options.folder} holds no data: expected folders YYYYMMDD/HHMM`);
      if (!days) this.look(all, stretches, last, asking);
      const ahead = last ? stretches.filter(stretch => isAfter(stretch, last)) : stretches;
      const day = ahead.filter(stretch => stretch.day === ahead[0]?.day);
      const wanted = end ? day.filter(stretch => !isAfter(stretch, end)) : day.slice(0, perPass);
      const missing = wanted.find(stretch => !this.isDone(stretch));
      const short = wanted.length < perPass && !end && follow && ahead.length === day.length && !days;
      if (wanted.length > 0 && !missing && !short)
        return this.pass(wanted, days !== undefined && day.at(-1) === wanted.at(-1));
      if (wanted.length === 0 && (days || !follow)) return null;
      const awaited = missing ? this.doneFile(missing) : `the next folder of ${this.options.folder}`;
      if (awaited !== said) asking.onNotice(`waiting for ${awaited}`);
      said = awaited;
      await pause(poll, asking.signal);
    }
    return null;
  }

  /**
   * Says of what is behind the position and was not there before that it came too late: what was trained on stays as it
   * is.
   */
  private look(days: readonly string[], stretches: readonly Stretch[], last: Stretch | null, asking: Asking): void {
    const before = this.seen;
    this.seen = { days, folders: stretches.map(nameOf) };
    if (!before || !last) return;
    const known = new Set([...before.days, ...before.folders]);
    const behind = stretches.filter(stretch => !isAfter(stretch, last) && before.days.includes(stretch.day));
    const late = [...days.filter(day => day < last.day), ...behind.map(nameOf)];
    for (const name of late.filter(name => !known.has(name)))
      asking.onNotice(
        `${path.join(this.options.folder, name)} came after ${nameOf(last)} was trained on, and is passed over`,
      );
  }

  memory(): unknown {
    return this.seen;
  }

  remember(memory: unknown): void {
    this.seen = memory as Seen | null;
  }

  async commit(): Promise<void> {}
  async close(): Promise<void> {}

  /** The folders of days that were asked for, in order of time, there or not. */
  private scheduled(days: readonly string[]): Stretch[] {
    const { interval = 60 } = this.options;
    return days.flatMap(day =>
      Array.from({ length: MINUTES / interval }, (_, i) => {
        const minute = i * interval;
        const time = String(Math.floor(minute / 60) * 100 + (minute % 60)).padStart(4, '0');
        return { day, time };
      }),
    );
  }

  /**
   * The folders there are from the day before the position's on, in order of time: that one is looked into again for
   * what came late.
   */
  private stretches(days: readonly string[], last: Stretch | null): Stretch[] {
    const present = last ? days.findIndex(day => day >= last.day) : 0;
    return days
      .slice(present < 0 ? -1 : Math.max(0, present - 1))
      .flatMap(day => this.list(path.join(this.options.folder, day), TIME).map(time => ({ day, time })));
  }

  private list(folder: string, pattern: RegExp): string[] {
    try {
      return readdirSync(folder)
        .filter(name => pattern.test(name))
        .sort();
    } catch (error) {
      throw new Error(`cannot read ${folder}: ${reasonOf(error)}`, { cause: error });
    }
  }

  private doneFile({ day, time }: Stretch): string {
    return path.join(this.options.folder, day, time, this.options.doneFile ?? '_SUCCESS');
  }

  private isDone(stretch: Stretch): boolean {
    return statSync(this.doneFile(stretch), { throwIfNoEntry: false }) !== undefined;
  }

  private pass(stretches: readonly Stretch[], endsDay: boolean): Pass {
    const { day, time } = stretches.at(-1)!;
    const files = stretches.flatMap(stretch => this.filesOf(stretch));
    return { day, name: time, endsDay, position: { day, time }, read: reading => new BatchReader(files, reading) };
  }

  private filesOf(stretch: Stretch): string[] {
    const done = this.doneFile(stretch);
    const folder = path.dirname(done);
    const files = readdirSync(folder)
      .filter(name => !/^[._]/.test(name) && name !== path.basename(done))
      .map(name => path.join(folder, name))
      // Of a link, what it leads to; one that leads nowhere is named when it is read.
      .filter(file => statSync(file, { throwIfNoEntry: false })?.isDirectory() !== true)
      .sort();
    if (files.length === 0) throw new Error(`${done} says that the pass is complete, and ${folder} holds no data`);
    return files;
  }
}
