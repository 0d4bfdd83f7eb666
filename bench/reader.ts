/**
 * node build/bench/reader.js [--threads N] [--lines N] [--reps N] [--only NAME]
 *
 * How fast logs are read: from files on disk to batches of 1,000 examples with hashed 64-bit signs, in lines and in
 * bytes a second. One JSON line per format; the best of the repetitions counts.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { Command } from 'commander';
import { BatchReader, criteoFeatures, type FeatureSpec, type Format } from 'tenon/recsys';
import { writeCriteoLines } from './criteoLines.ts';

const options = new Command('reader')
  .option('--threads <n>', 'reading threads', '2')
  .option('--lines <n>', 'lines per format', '500000')
  .option('--reps <n>', 'repetitions', '3')
  .option('--only <name>', 'one format')
  .parse()
  .opts<{ threads: string; lines: string; reps: string; only?: string }>();

interface Workload {
  readonly name: string;
  readonly files: readonly string[];
  readonly format: Format;
  readonly features: FeatureSpec;
  readonly shuffle?: { readonly seed: number };
}

const slots = Array.from({ length: 26 }, (_, i) => `s${i}`);
/** The same log as signs: what production systems keep. */
const signFeatures: FeatureSpec = {
  labels: ['click'],
  slots: slots.map(name => ({ type: 'id', name })),
  dense: Array.from({ length: 13 }, (_, i) => `d${i}`),
};

/** Criteo lines as slot text and as MultiSlot. */
function rewrite(criteo: string, write: (fields: readonly string[]) => string): string {
  return criteo
    .trimEnd()
    .split('\n')
    .map(line => `${write(line.split('\t'))}\n`)
    .join('');
}
const sign = (hex: string): string => String(BigInt(`0x${hex || '0'}`) * 4_294_967_291n);
const slotText = ([label, ...fields]: readonly string[]): string =>
  [
    `${label}:click`,
    ...fields.slice(0, 13).flatMap((x, i) => (x === '' ? [] : [`${x}:d${i}`])),
    ...fields.slice(13).map((hex, i) => `${sign(hex)}:s${i}`),
  ].join(' ');
const multiSlot = ([label, ...fields]: readonly string[]): string =>
  [`1 ${label}`, ...fields.slice(0, 13).map(x => `1 ${x || 0}`), ...fields.slice(13).map(hex => `1 ${sign(hex)}`)].join(
    ' ',
  );

async function measure({ name, files, format, features, shuffle }: Workload): Promise<void> {
  const threads = Number(options.threads);
  let best = Number.POSITIVE_INFINITY;
  let cpu = Number.POSITIVE_INFINITY;
  let lines = 0;
  let bytes = 0;
  for (let rep = 0; rep < Number(options.reps); rep++) {
    const reader = new BatchReader(files, { format, features, batchSize: 1000, threads, shuffle });
    const start = performance.now();
    const used = process.cpuUsage();
    for await (const batch of reader) if (batch.size === 0) throw new Error('an empty batch');
    best = Math.min(best, performance.now() - start);
    const { user, system } = process.cpuUsage(used);
    cpu = Math.min(cpu, (user + system) / 1e6);
    ({ lines, bytes } = reader.stats);
  }
  const perSecond = (count: number): number => Math.round((count * 1000) / best);
  console.log(
    JSON.stringify({
      bench: name,
      threads,
      lines,
      bytes_on_disk: files.reduce((sum, file) => sum + statSync(file).size, 0),
      lines_per_second: perSecond(lines),
      text_bytes_per_second: perSecond(bytes),
      // Of all threads: what a machine that is busy otherwise cannot hide.
      cpu_seconds_per_million_lines: Number(((cpu * 1e6) / lines).toFixed(2)),
    }),
  );
}

const folder = mkdtempSync(path.join(tmpdir(), 'tenon-reader-'));
try {
  const file = (name: string): string => path.join(folder, name);
  const criteo = file('criteo.tsv');
  writeCriteoLines(criteo, Number(options.lines));
  const text = readFileSync(criteo, 'utf8');
  writeFileSync(file('slots.txt'), rewrite(text, slotText));
  writeFileSync(file('multi.txt'), rewrite(text, multiSlot));
  const parts = [0, 1, 2, 3].map(i => file(`part-${i}.gz`));
  const all = text.split('\n').slice(0, -1);
  parts.forEach((part, i) => {
    const stretch = all.slice((i * all.length) / 4, ((i + 1) * all.length) / 4);
    writeFileSync(part, gzipSync(`${stretch.join('\n')}\n`, { level: 1 }));
  });
  const read = { format: { type: 'criteo' }, features: criteoFeatures() } as const;
  const workloads: Workload[] = [
    { name: 'reader_criteo', files: [criteo], ...read },
    { name: 'reader_criteo_shuffled', files: [criteo], ...read, shuffle: { seed: 1 } },
    { name: 'reader_criteo_gzip', files: parts, ...read },
    { name: 'reader_slot_text', files: [file('slots.txt')], format: { type: 'slots' }, features: signFeatures },
    {
      name: 'reader_multislot',
      files: [file('multi.txt')],
      format: { type: 'multislot', slots: ['click', ...signFeatures.dense!.map(String), ...slots] },
      features: signFeatures,
    },
  ];
  for (const workload of workloads)
    if (options.only === undefined || options.only === workload.name) await measure(workload);
} finally {
  rmSync(folder, { recursive: true });
}
