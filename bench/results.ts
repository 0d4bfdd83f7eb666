/**
 * npm run bench:results -- RESULTS.json: turns what `compare.mjs --out RESULTS.json` measured into bench/RESULTS.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Cell {
  readonly median_s: number;
  readonly ok: boolean;
}

interface Comparison {
  readonly cpu: string;
  readonly node: string;
  readonly options: { readonly rounds: string; readonly 'max-s': string };
  readonly summary: readonly {
    readonly workload: string;
    readonly threads: number;
    readonly cells: Readonly<Record<string, Cell>>;
  }[];
}

const file = process.argv[2];
if (!file) throw new Error('bench:results: name the JSON that compare.mjs --out wrote');
const { cpu, node, options, summary }: Comparison = JSON.parse(readFileSync(file, 'utf8'));
const peers = [...new Set(summary.flatMap(row => Object.keys(row.cells)))].filter(name => name !== 'ours');

const time = (s: number): string => {
  if (s >= 1) return `${s.toFixed(2)} s`;
  return s >= 1e-3 ? `${(s * 1e3).toFixed(s < 0.1 ? 2 : 0)} ms` : `${(s * 1e6).toFixed(1)} us`;
};
const times = (x: number): string => `${x.toFixed(2)}x`;
const geometricMean = (xs: readonly number[]): number => Math.exp(xs.reduce((a, x) => a + Math.log(x), 0) / xs.length);

const lines = [
  '# Results',
  '',
  `${cpu.trim()}, Node ${node}, ${options.rounds} rounds of at most ${options['max-s']} s each, contenders in turn. A cell is the peer's time over`,
  "ours (above 1: Tenon is faster); `!` marks a result that deviates from PyTorch's, `-` one that was skipped. The command:",
  '',
  '    node ../shared/peers/compare.mjs --ours "npm run -s bench --" --threads 1,2 --out results.json',
  '    npm run -s bench:results -- results.json',
  '',
  `| workload | threads | ours | ${peers.join(' | ')} |`,
  `| --- | --- | --- |${' --- |'.repeat(peers.length)}`,
];
for (const { workload, threads, cells } of summary) {
  const ours = cells['ours'];
  if (!ours) continue;
  const others = peers.map(peer => {
    const cell = cells[peer];
    return cell ? times(cell.median_s / ours.median_s) + (cell.ok && ours.ok ? '' : '!') : '-';
  });
  lines.push(`| ${workload} | ${threads} | ${time(ours.median_s)} | ${others.join(' | ')} |`);
}
for (const threads of [...new Set(summary.map(row => row.threads))]) {
  const means = peers.map(peer => {
    const ratios = summary
      .filter(row => row.threads === threads && row.cells['ours'] && row.cells[peer])
      .map(row => row.cells[peer]!.median_s / row.cells['ours']!.median_s);
    return ratios.length > 0 ? times(geometricMean(ratios)) : '-';
  });
  lines.push(`| geometric mean | ${threads} | | ${means.join(' | ')} |`);
}
writeFileSync(new URL('../../bench/RESULTS.md', import.meta.url), `${lines.join('\n')}\n`);
console.log(`bench/RESULTS.md: ${summary.length} rows`);
