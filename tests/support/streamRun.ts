/**
 * A `tenon stream` process: the events it prints, and what it leaves behind.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { EmbeddingTable, readDone } from '../../src/recsys/index.ts';
import { startTenonIn } from './runTenon.ts';

type Event = Record<string, unknown> & { readonly event: string };

export interface StreamProcess {
  readonly events: readonly Event[];
  readonly stderr: () => string;
  /** Resolves when an event is there; rejects when the process ends without it. */
  until(wanted: (event: Event) => boolean): Promise<Event>;
  /** [exit code, signal] */
  readonly exit: Promise<readonly [number | null, NodeJS.Signals | null]>;
  kill(signal: NodeJS.Signals): void;
}

export const startStream = (...args: readonly string[]): StreamProcess => start({}, args);

const killer = path.resolve(import.meta.dirname, 'killAt.mjs');

/** A process that kills itself (SIGKILL) where a file operation is about to happen: see killAt.mjs. */
export const startStreamUntil = (operation: string, ...args: readonly string[]): StreamProcess =>
  start({ NODE_OPTIONS: `--import=${killer}`, KILL_AT: operation }, args);

function start(env: Readonly<Record<string, string>>, args: readonly string[]): StreamProcess {
  const child = startTenonIn(env, 'stream', '--json', '--threads', '1', '--readers', '0', ...args);
  const events: Event[] = [];
  let stderr = '';
  let text = '';
  let wake: (() => void)[] = [];
  child.stdout!.on('data', chunk => {
    const lines = (text + chunk).split('\n');
    text = lines.pop()!;
    events.push(...lines.map(line => JSON.parse(line) as Event));
    for (const resolve of wake) resolve();
    wake = [];
  });
  child.stderr!.on('data', chunk => (stderr += chunk));
  let over = false;
  const exit = once(child, 'close').then(([code, signal]) => {
    over = true;
    for (const resolve of wake) resolve();
    return [code, signal] as const;
  });
  return {
    events,
    stderr: () => stderr,
    exit,
    kill: signal => void child.kill(signal),
    until: async wanted => {
      for (;;) {
        const found = events.find(wanted);
        if (found) return found;
        if (over) throw new Error(`the stream ended: ${stderr}`);
        await new Promise<void>(resolve => wake.push(resolve));
      }
    },
  };
}

/**
 * The last checkpoint: its rows by sign (a file has them in the order of memory), and its dense weights and optimizer
 * state.
 */
export function finalBits(run: string): { readonly pass: string; readonly rows: string; readonly dense: string } {
  const { path: folder, pass } = readDone(path.join(run, 'checkpoint.done')).at(-1)!;
  const table = new EmbeddingTable({
    dim: 4,
    wide: true,
    optimizer: { type: 'adagrad', lr: 0.05, initialAccumulator: 0.1 },
  });
  table.load(path.join(run, folder, 'table'));
  const signs = [
    ...Array.from({ length: 300 }, (_, user) => 2n ** 60n + BigInt(user)),
    ...Array.from({ length: 100 }, (_, item) => BigInt(item + 1)),
  ];
  const rows = signs.map(sign => table.row(sign)).filter(row => row !== null);
  if (rows.length !== table.size) throw new Error(`${rows.length} of ${table.size} rows are known`);
  const text = JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  const dense = readFileSync(path.join(run, folder, 'dense.safetensors'));
  const hash = (of: string | Uint8Array): string => createHash('sha256').update(of).digest('hex');
  return { pass, rows: hash(text), dense: hash(dense) };
}

/** metrics.jsonl without what clocks decide. */
export const metricsOf = (run: string): object[] =>
  readFileSync(path.join(run, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => {
      const { seconds, examplesPerSecond, ...fields } = JSON.parse(line) as Record<string, unknown>;
      return fields;
    });
