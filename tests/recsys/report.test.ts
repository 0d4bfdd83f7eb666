/**
 * tenon report: the page of a streaming run and of a training run, looked at in headless Chromium.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { decode } from 'fast-png';
import { expect, it } from 'vitest';
import { reportOf, reportPage } from '../../src/recsys/report/index.ts';
import { tenon } from '../support/runTenon.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
const chromium = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

const measures = (auc: number) => ({
  examples: 1000,
  ctr: 0.2,
  auc,
  logLoss: 0.5 - auc / 10,
  copc: 0.9 + auc / 10,
  ece: 0.01,
  calibration: [
    { rows: 700, predicted: 0.1, observed: 0.12 },
    { rows: 297, predicted: 0.4, observed: 0.38 },
    { rows: 3, predicted: 0.9, observed: 0.3 },
  ],
});
const lines = ['20260101', '20260102'].flatMap((day, d) => [
  ...['0000', '1200'].map((pass, i) => ({
    event: 'pass',
    day,
    pass,
    number: 2 * d + i + 1,
    ...measures(0.6 + 0.05 * (2 * d + i)),
    loss: 0.45 - 0.01 * (2 * d + i),
    total: 1000 * (2 * d + i + 1),
    lines: 1001,
    bad: 1,
    rows: 5000 + 700 * (2 * d + i),
    seconds: 1,
    examplesPerSecond: 60_000,
  })),
  {
    event: 'day',
    day,
    ...measures(0.62 + 0.1 * d),
    rows: 5000,
    deleted: 120,
    baseRows: 4100,
    importance: ['</script><b>user', 'item', 'hour'].map((name, i) => ({ name, auc: 0.5, fall: 0.1 / (i + 1) })),
  },
]);

function run(name: string, task: string, metrics: readonly object[]): string {
  const path = folder.file(name);
  mkdirSync(path);
  writeFileSync(`${path}/config.json`, JSON.stringify({ task, options: { model: 'deepfm' }, tenon: '0', node: '' }));
  writeFileSync(`${path}/metrics.jsonl`, metrics.map(line => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

it.skipIf(!existsSync(chromium))(
  existsSync(chromium) ? 'is drawn by a browser, and loads nothing' : `(skipped: no browser at ${chromium})`,
  async () => {
    const path = run('stream', 'stream', lines);
    // The run goes on, or was killed within a line.
    appendFileSync(`${path}/metrics.jsonl`, '{"event":"pass","da');
    const { code, events } = await tenon('report', path, '--json');
    expect(code).toBe(0);
    expect(events[0]!['charts']).toEqual([
      'Learning curves',
      'AUC by pass',
      'AUC by day',
      'Calibration',
      'Clicks over predicted clicks (COPC)',
      'Slot importance',
      'Table growth',
      'End of the day',
      'Throughput',
    ]);
    const page = readFileSync(`${path}/report.html`, 'utf8');
    // Nothing from outside: no element that loads, no address.
    expect(page.replace(/<script>[\s\S]*?<\/script>/g, '')).not.toMatch(/\s(src|href)="(?!data:)/);
    const browse = (...args: string[]): string =>
      execFileSync(
        chromium,
        [
          '--headless',
          '--no-sandbox',
          '--disable-gpu',
          '--force-prefers-color-scheme=light',
          `--user-data-dir=${folder.file('profile')}`,
          ...args,
          `file://${path}/report.html`,
        ],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
      );
    const dom = browse('--dump-dom', '--virtual-time-budget=5000');
    // The script has come to its end.
    expect(dom).toMatch(/<html[^>]*data-drawn="9"/);
    expect(dom).toContain('<dd>0.7200</dd>');
    expect(dom).toContain('&lt;/script&gt;&lt;b&gt;user');
    browse('--window-size=1200,2400', '--hide-scrollbars', `--screenshot=${folder.file('page.png')}`);
    const { data, width, height, channels } = decode(readFileSync(folder.file('page.png')));
    // Lines and bars in the colours of the first two series, in either column.
    const count = (left: number, right: number, [r, g, b]: readonly [number, number, number]): number => {
      let pixels = 0;
      for (let y = 0; y < height; y++)
        for (let x = left; x < right; x++) {
          const at = (y * width + x) * channels;
          if (data[at] === r && data[at + 1] === g && data[at + 2] === b) pixels++;
        }
      return pixels;
    };
    const [blue, orange] = [
      [0x25, 0x63, 0xeb],
      [0xd9, 0x62, 0x2b],
    ] as const;
    expect([width, height]).toEqual([1200, 2400]);
    expect(count(0, 600, blue)).toBeGreaterThan(1000);
    expect(count(600, 1200, blue)).toBeGreaterThan(1000);
    expect(count(0, 600, orange)).toBeGreaterThan(200);
  },
);

it('shows a training run by epoch, with what was measured on its parts in one chart', async () => {
  const path = run('table', 'train table', [
    { epoch: 1, step: 10, train_loss: 0.6, test_loss: 0.7, test_auc: 0.7, samples_per_second: 1000, seconds: 1 },
    { epoch: 2, step: 20, train_loss: 0.5, test_loss: 0.65, test_auc: 0.75, samples_per_second: 1100, seconds: 1 },
  ]);
  const { code, events, stderr } = await tenon('report', path, '--json', '--out', folder.file('table.html'));
  expect([code, stderr]).toEqual([0, '']);
  expect(events[0]!['charts']).toEqual(['Loss', 'Auc', 'Samples per second']);
  expect(readFileSync(folder.file('table.html'), 'utf8')).toContain('<td>2</td><td>0.5</td><td>0.65</td>');
});

it('ranges of few examples are left out of the calibration curve', () => {
  const { charts } = reportOf('run', lines);
  const [observed] = charts.find(({ title }) => title === 'Calibration')!.series;
  expect(observed!.values).toEqual([
    [0.1, 0.12],
    [0.4, 0.38],
  ]);
  expect(reportPage(reportOf('<run>', lines), 'a & b')).toContain('<h1>&lt;run&gt;</h1><p>a &amp; b</p>');
});

it.each([
  ['absent', 'holds no run'],
  ['empty', 'report: empty has no metrics yet'],
])('%s: one sentence', async (name, sentence) => {
  const path = name === 'absent' ? folder.file(name) : run(name, 'stream', []);
  const { code, stderr } = await tenon('report', path);
  expect(code).toBe(1);
  expect(stderr).toContain(sentence);
});
