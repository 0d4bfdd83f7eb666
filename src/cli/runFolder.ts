/**
 * A run's folder: config.json (what was asked), metrics.jsonl (one line per epoch), model.json and model.safetensors
 * (see savedModel.ts) and checkpoints.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../formats/atomic.ts';
import { writeAtomic } from '../formats/index.ts';
import { UsageError } from './errors.ts';
import type { RunOptions } from './options.ts';
import { VERSION } from './version.ts';

interface RunConfig {
  readonly task: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly tenon: string;
  readonly node: string;
}

/** Settings that may differ between a run and its resumption, because results do not depend on them. */
const FREE = ['out', 'resume', 'json', 'threads'];

export class RunFolder {
  readonly path: string;
  private readonly config: RunConfig;

  constructor(path: string, config: RunConfig) {
    this.path = path;
    this.config = config;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /**
   * Makes the folder and writes config.json: once all input is read, so that a run that cannot start leaves nothing
   * behind.
   */
  begin(): void {
    try {
      mkdirSync(this.path, { recursive: true });
    } catch (error) {
      throw new Error(`cannot make the folder ${this.path}: ${reasonOf(error)}`, { cause: error });
    }
    writeAtomic(this.file('config.json'), [`${JSON.stringify(this.config, null, 2)}\n`]);
  }

  /** Replaces metrics.jsonl: one object per line. */
  writeMetrics(lines: readonly object[]): void {
    writeAtomic(this.file('metrics.jsonl'), [lines.map(line => `${JSON.stringify(line)}\n`).join('')]);
  }
}

interface OpenOptions {
  /** Settings of this task that may differ in a resumption, as FREE's. */
  readonly free?: readonly string[];
}

/**
 * A new run in a folder of its own (nothing is written before `begin`), or with --resume the one that was stopped.
 * @param kind names default folders: runs/<kind>-1, runs/<kind>-2, ...
 * @param given options that stand on the command line; when resuming, the others are taken from the run
 * @returns the folder and the options in force
 * @throws UsageError when the folder holds another run, or an option contradicts the one it was started with
 */
export function openRun<O extends RunOptions>(
  task: string,
  kind: string,
  options: O,
  given: ReadonlySet<string>,
  { free = [] }: OpenOptions = {},
): { readonly run: RunFolder; readonly options: O } {
  const all = [...FREE, ...free];
  return options.resume ? resumeRun(task, kind, options, given, all) : startRun(task, kind, options, all);
}

function startRun<O extends RunOptions>(
  task: string,
  kind: string,
  options: O,
  free: readonly string[],
): { run: RunFolder; options: O } {
  const path = options.out ?? join('runs', `${kind}-${1 + newestNumber(kind)}`);
  if (existsSync(join(path, 'config.json')))
    throw new UsageError(`${path} already holds a run: add --resume to go on with it, or choose another --out`);
  const kept = Object.fromEntries(Object.entries(options).filter(([name]) => !free.includes(name)));
  return { run: new RunFolder(path, { task, options: kept, tenon: VERSION, node: process.version }), options };
}

function resumeRun<O extends RunOptions>(
  task: string,
  kind: string,
  options: O,
  given: ReadonlySet<string>,
  free: readonly string[],
): { run: RunFolder; options: O } {
  const newest = newestNumber(kind);
  const path = options.out ?? (newest > 0 ? join('runs', `${kind}-${newest}`) : null);
  if (!path) throw new UsageError(`--resume: there is no run under runs/${kind}-*; say which one with --out`);
  const config = readConfig(path);
  if (!config) throw new UsageError(`--resume: ${path} holds no run`);
  if (config.task !== task) throw new UsageError(`--resume: ${path} holds a run of "${config.task}", not of "${task}"`);
  const saved = config.options as Partial<O>;
  for (const name of given) {
    if (free.includes(name)) continue;
    const [was, is] = [JSON.stringify(saved[name as keyof O]), JSON.stringify(options[name as keyof O])];
    if (was !== is)
      throw new UsageError(
        `--resume: --${name} is ${is}, and the run in ${path} was started with ${was ?? 'its default'}`,
      );
  }
  const own = Object.fromEntries(Object.entries(options).filter(([name]) => free.includes(name)));
  return { run: new RunFolder(path, config), options: { ...saved, ...own } as O };
}

/** The highest number of runs/<kind>-<number>, 0 when there is none. */
function newestNumber(kind: string): number {
  const names = existsSync('runs') ? readdirSync('runs') : [];
  const numbers = names.map(name => (name.startsWith(`${kind}-`) ? Number(name.slice(kind.length + 1)) : Number.NaN));
  return Math.max(0, ...numbers.filter(Number.isInteger));
}

/** What the run in a folder was started with; null when there is none. */
export function readConfig(path: string): RunConfig | null {
  const file = join(path, 'config.json');
  if (!existsSync(file)) return null;
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as RunConfig;
  } catch (error) {
    throw new Error(`${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}
