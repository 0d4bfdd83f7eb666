/**
 * The page of a report: one HTML file that needs nothing else. Chart.js and the data stand in it.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Chart, Report } from './report.ts';
import { PAGE_SCRIPT } from './script.ts';

const STYLE = `
:root { color-scheme: light dark; font-family: system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif;
  --page: #f6f7f9; --card: #ffffff; --ink: #1c2430; --muted: #647083; --grid: #e3e7ed; --line: #d7dce4;
  --series-1: #2563eb; --series-2: #d9622b; --series-3: #5b8a3c; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1b212a; --ink: #e6eaf0; --muted: #95a1b3; --grid: #2b333f; --line: #323b48;
  --series-1: #6ea0ff; --series-2: #f08c5a; --series-3: #93c76d; } }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.45; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 56px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 0; }
p { margin: 2px 0 12px; color: var(--muted); font-size: 13px; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 20px 0 24px; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
dt { font-size: 12px; color: var(--muted); } dd { margin: 0; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(520px, 100%), 1fr)); gap: 16px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px 18px 12px; min-width: 0; display: flex; flex-direction: column; }
.plot { position: relative; height: 280px; flex: none; }
details { margin-top: auto; padding-top: 8px; font-size: 12px; color: var(--muted); } summary { cursor: pointer; }
.numbers { max-height: 260px; overflow: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: 3px 8px; border-bottom: 1px solid var(--grid); font-variant-numeric: tabular-nums; } th:first-child, td:first-child { text-align: left; }
`;

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);

const shown = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : String(Number(value.toPrecision(6)));

/** Bars that lie on their side need room for each. */
const heightOf = ({ type, labels }: Chart): string =>
  type === 'horizontal' && labels.length > 8 ? ` style="height: ${60 + 22 * labels.length}px"` : '';

function rowsOf({ type, labels, series }: Chart): string[][] {
  if (type !== 'scatter') {
    const values = series.map(of => of.values as readonly (number | null)[]);
    return labels.map((label, i) => [label, ...values.map(of => shown(of[i]))]);
  }
  const [points] = series;
  return (points.values as readonly (readonly [number, number])[]).map(point => point.map(shown));
}

function section(chart: Chart, i: number): string {
  const { title, note, type, x, y, series } = chart;
  const heads =
    type === 'scatter' ? [x, y] : [type === 'horizontal' ? y || 'name' : x, ...series.map(({ name }) => name)];
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map(cell => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<section><h2>${escaped(title)}</h2><p>${escaped(note)}</p>
<div class="plot"${heightOf(chart)}><canvas id="chart-${i}" role="img" aria-label="${escaped(`${title}. ${note}`)}"></canvas></div>
<details><summary>Numbers</summary><div class="numbers"><table>${cells('th', heads)}${rowsOf(chart)
    .map(row => cells('td', row))
    .join('')}</table></div></details></section>`;
}

/** Chart.js as one script that makes \`Chart\` global. */
function chartLibrary(): string {
  const main = createRequire(import.meta.url).resolve('chart.js');
  return readFileSync(path.join(path.dirname(main), 'chart.umd.min.js'), 'utf8');
}

/** Text inside a script element must not end it. */
const inScript = (text: string): string => text.replaceAll('</', '<\\/');

/** The HTML of a report; it loads nothing. `subtitle` says what was run and when. */
export function reportPage(report: Report, subtitle: string): string {
  const facts = report.facts.map(({ name, value }) => `<div><dt>${escaped(name)}</dt><dd>${escaped(value)}</dd></div>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(report.title)}</title><link rel="icon" href="data:,"><style>${STYLE}</style></head>
<body><main><h1>${escaped(report.title)}</h1><p>${escaped(subtitle)}</p><dl>${facts.join('')}</dl>
<div class="charts">${report.charts.map(section).join('\n')}</div></main>
<script type="application/json" id="report">${inScript(JSON.stringify({ charts: report.charts }))}</script>
<script>${inScript(chartLibrary())}</script>
<script>${PAGE_SCRIPT}</script></body></html>
`;
}
