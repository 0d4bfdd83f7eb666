/**
 * npm run bench:results -- RESULTS.json...: turns what `compare.mjs --out RESULTS.json` measured on one machine, in one
 * piece or several, into the table of its processor in bench/RESULTS.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';

interface Cell {
  readonly median_s: number;
  readonly ok: boolean;
}

interface Row {
  readonly workload: string;
  readonly threads: number;
  readonly cells: Readonly<Record<string, Cell>>;
}

/** One contender's line for one workload, in one round. */
interface Run {
  readonly contender: string;
  readonly workload: string;
  readonly threads: number;
  readonly load1: number;
  readonly gflops?: number | null;
  readonly gb_per_s?: number | null;
  readonly peak_rss_mb?: number;
  readonly compile_s?: number;
  readonly fresh_s?: number;
  readonly fma_peak_gflops?: number;
  readonly copy_gb_per_s?: number;
}

interface Comparison {
  readonly cpu: string;
  readonly node: string;
  readonly options: { readonly rounds: string; readonly 'max-s': string; readonly ours: string };
  readonly summary: readonly Row[];
  readonly runs: readonly Run[];
}

const program = new Command('bench:results')
  .description('Writes bench/RESULTS.md.')
  .argument('<file...>', 'JSON files that compare.mjs --out wrote')
  .parse();
const pieces = program.args.map((file): Comparison => JSON.parse(readFileSync(file, 'utf8')));
const { cpu, node, options } = pieces[0]!;

/**
 * Pieces may have measured different peers on one workload: one row has them all, each against our time in its own
 * piece; of what two have measured, ours as well, the first piece counts.
 */
interface Entry {
  readonly workload: string;
  readonly threads: number;
  readonly ours: Cell;
  readonly ratios: Map<string, { readonly ratio: number; readonly ok: boolean }>;
  readonly run: Run | undefined;
  readonly torch: Run | undefined;
}

const entries = new Map<string, Entry>();
for (const { summary, runs, options } of pieces)
  for (const { workload, threads, cells } of summary) {
    const { ours } = cells;
    if (!ours) continue;
    const label = options.ours.includes('--autocast') ? `${workload}, bf16` : workload;
    const key = `${label} ${threads}`;
    const of = (contender: string): Run | undefined =>
      runs.find(run => run.contender === contender && run.workload === workload && run.threads === threads);
    const entry = entries.get(key) ?? {
      workload: label,
      threads,
      ours,
      ratios: new Map(),
      run: of('ours'),
      torch: of('torch'),
    };
    for (const [peer, cell] of Object.entries(cells))
      if (peer !== 'ours' && !entry.ratios.has(peer))
        entry.ratios.set(peer, { ratio: cell.median_s / ours.median_s, ok: cell.ok && ours.ok });
    entries.set(key, entry);
  }
const rows = [...entries.values()].sort((a, b) => a.threads - b.threads);
const peers = [...new Set(rows.flatMap(row => [...row.ratios.keys()]))];
const loads = pieces.flatMap(piece => piece.runs.map(run => run.load1)).filter(load => load >= 0);

const time = (s: number): string => {
  if (s >= 1) return `${s.toFixed(2)} s`;
  return s >= 1e-3 ? `${(s * 1e3).toFixed(s < 0.1 ? 2 : 0)} ms` : `${(s * 1e6).toFixed(1)} us`;
};
const times = (x: number): string => `${x.toFixed(2)}x`;
const geometricMean = (xs: readonly number[]): number => Math.exp(xs.reduce((a, x) => a + Math.log(x), 0) / xs.length);
const percent = (part: number, whole: number): string => `${Math.round((100 * part) / whole)} %`;

/** The rate, and what share it is of what this machine did at most in the same process. */
function rate(run: Run | undefined): string {
  if (run?.gflops) {
    const share = run.fma_peak_gflops ? ` (${percent(run.gflops, run.fma_peak_gflops)} of FMA peak)` : '';
    return `${run.gflops.toPrecision(3)} GFLOP/s${share}`;
  }
  if (run?.gb_per_s) {
    const share = run.copy_gb_per_s ? ` (${percent(run.gb_per_s, run.copy_gb_per_s)} of copy)` : '';
    return `${run.gb_per_s.toPrecision(3)} GB/s${share}`;
  }
  return '';
}

const megabytes = (run: Run | undefined): string => (run?.peak_rss_mb ? `${Math.round(run.peak_rss_mb)}` : '');
/** What every table says, whichever machine it is of. */
const LEGEND = `# Results

One table a processor: \`npm run -s bench:results\` writes that of the one which was measured and keeps the others. A cell is the peer's time over ours
(above 1: Tenon is faster); \`!\` marks a result that deviates from PyTorch's, \`-\` one that was skipped or not asked for. \`compile\`: the first call less
a steady one, when machine code that an earlier process kept is found (decision 091); \`fresh\`: in that earlier process. Rows with \`bf16\` ran under
\`--autocast bf16\`. \`MB\`: highest resident memory of the process, ours and PyTorch's. Shares are of what loops of our own reached in the same process:
multiply-adds in registers, and a copy of 64 MB. Above the number of threads, a load average says that the machine was shared with other work. The
commands (in as many pieces as wanted):

    node ../shared/peers/compare.mjs --ours "${options.ours.trim()}" --threads 1,2 --peers ${peers.join(',')} --out results.json
    npm run -s bench:results -- results.json
`;
const file = new URL('../../bench/RESULTS.md', import.meta.url);
const HEADING = '\n## ';
const title = cpu.trim();

/** The tables of other processors that the file has. */
const others = readFileSync(file, 'utf8')
  .split(HEADING)
  .slice(1)
  .filter(table => !table.startsWith(`${title}\n`));

const lines = [
  title,
  '',
  `Node ${node}, ${options.rounds} round of at most ${options['max-s']} s each, contenders in turn, load average ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}.`,
  '',
  `| workload | threads | ours | rate | compile | fresh | MB | torch MB | ${peers.join(' | ')} |`,
  `| --- | --- | --- | --- | --- | --- | --- | --- |${' --- |'.repeat(peers.length)}`,
];
for (const { workload, threads, ours, ratios, run, torch } of rows) {
  const against = peers.map(peer => {
    const cell = ratios.get(peer);
    return cell ? times(cell.ratio) + (cell.ok ? '' : '!') : '-';
  });
  const [compile, fresh] = [run?.compile_s, run?.fresh_s].map(s => (s ? time(s) : ''));
  const cells = [
    workload,
    threads,
    time(ours.median_s),
    rate(run),
    compile,
    fresh,
    megabytes(run),
    megabytes(torch),
    ...against,
  ];
  lines.push(`| ${cells.join(' | ')} |`);
}
for (const threads of [...new Set(rows.map(row => row.threads))]) {
  const means = peers.map(peer => {
    const ratios = rows.flatMap(row => (row.threads === threads ? (row.ratios.get(peer)?.ratio ?? []) : []));
    return ratios.length > 0 ? times(geometricMean(ratios)) : '-';
  });
  lines.push(`| geometric mean | ${threads} | | | | | | | ${means.join(' | ')} |`);
}
const tables = [...others.map(table => table.trimEnd()), lines.join('\n')].sort();
writeFileSync(file, `${[LEGEND.trimEnd(), ...tables].join(`\n${HEADING}`)}\n`);
console.log(`bench/RESULTS.md: ${rows.length} rows of ${title}`);
