/**
 * What a run's page shows, as plain data: facts, and charts with their numbers. Read from the lines of metrics.jsonl;
 * knows no HTML.
 */
import type { CalibrationBin } from '../../metrics/index.ts';
import type { DayEvent, PassEvent } from '../stream/events.ts';

export interface Series {
  readonly name: string;
  /** One per label, or points [x, y] of a scatter; null where there is none. */
  readonly values: readonly (number | null)[] | readonly (readonly [number, number])[];
  /** Drawn dashed and without points: a reference, not a result. */
  readonly reference?: boolean;
}

export interface Chart {
  readonly title: string;
  /** One sentence: how to read it. */
  readonly note: string;
  readonly type: 'line' | 'bar' | 'scatter' | 'horizontal';
  /** Of the x axis (horizontal bars: of the bars); a scatter has none. */
  readonly labels: readonly string[];
  readonly series: readonly Series[];
  readonly x: string;
  readonly y: string;
  /** Whether the y axis starts at 0: amounts, as opposed to levels. */
  readonly zero?: boolean;
}

export interface Fact {
  readonly name: string;
  readonly value: string;
}

export interface Report {
  readonly title: string;
  readonly facts: readonly Fact[];
  readonly charts: readonly Chart[];
}

/** Bars of slots beyond which the least important are left out. */
const SLOTS = 30;

/** Examples of a range of predictions below which its click rate is mostly chance. */
const FEW = 20;

/** A line of metrics.jsonl, of whatever command. */
export type MetricLine = Readonly<Record<string, unknown>>;

const number = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null);
const fixed = (value: unknown, digits: number): string => number(value)?.toFixed(digits) ?? '-';
const counted = (value: unknown): string => number(value)?.toLocaleString('en-US', { maximumFractionDigits: 0 }) ?? '-';

/**
 * The report of a run.
 * @param title what the run is called
 * @throws Error when there are no lines
 */
export function reportOf(title: string, lines: readonly MetricLine[]): Report {
  if (lines.length === 0) throw new Error(`report: ${title} has no metrics yet`);
  return lines.some(line => line['event'] === 'pass') ? streamReport(title, lines) : epochReport(title, lines);
}

function streamReport(title: string, lines: readonly MetricLine[]): Report {
  const passes = lines.filter(line => line['event'] === 'pass') as unknown as PassEvent[];
  const days = lines.filter(line => line['event'] === 'day') as unknown as DayEvent[];
  const last = passes.at(-1)!;
  const measured = days.at(-1) ?? last;
  const curve = measured.calibration.filter(({ rows }) => rows >= FEW);
  const labels = passes.map(({ day, pass, number: n }) =>
    /^\d{4}$/.test(pass) ? `${dateOf(day, false)} ${pass.slice(0, 2)}:${pass.slice(2)}` : `${dateOf(day, false)} #${n}`,
  );
  const of = (name: keyof PassEvent): (number | null)[] => passes.map(pass => number(pass[name]));
  const byPass = { labels, x: 'pass', type: 'line' as const };
  const charts: Chart[] = [
    {
      ...byPass,
      title: 'Learning curves',
      note: 'Log loss of each pass before it was trained on, and mean loss while training on it.',
      y: 'loss, nats',
      series: [
        { name: 'log loss, unseen', values: of('logLoss') },
        { name: 'training loss', values: of('loss') },
      ],
    },
    {
      ...byPass,
      title: 'AUC by pass',
      note: 'Area under the ROC curve of each pass, measured before training on it.',
      y: 'AUC',
      series: [{ name: 'AUC, unseen', values: of('auc') }],
    },
    {
      title: 'AUC by day',
      note: 'All of a day, each pass measured before training on it.',
      type: 'line',
      labels: days.map(({ day }) => dateOf(day)),
      x: 'day',
      y: 'AUC',
      series: [{ name: 'AUC, unseen', values: days.map(({ auc }) => number(auc)) }],
    },
    {
      title: 'Calibration',
      note: `Click rate against predicted rate, ${days.length > 0 ? dateOf(measured.day) : 'the last pass'}: on the line, clicks come as often as predicted. Ranges of fewer than ${FEW} examples are left out.`,
      type: 'scatter',
      labels: [],
      x: 'predicted',
      y: 'observed',
      series: [
        {
          name: 'observed',
          values: curve.map(({ predicted, observed }) => [predicted, observed] as const),
        },
        { name: 'as predicted', values: diagonal(curve), reference: true },
      ],
    },
    {
      ...byPass,
      title: 'Clicks over predicted clicks (COPC)',
      note: 'Above 1 the model predicts too few clicks, below 1 too many.',
      y: 'COPC',
      series: [
        { name: 'COPC', values: of('copc') },
        { name: 'as predicted', values: passes.map(() => 1), reference: true },
      ],
    },
    ...importanceChart(days),
    {
      ...byPass,
      title: 'Table growth',
      note: 'Rows of the embedding table after each pass.',
      y: 'rows',
      zero: true,
      series: [{ name: 'rows', values: of('rows') }],
    },
    {
      title: 'End of the day',
      note: 'What shrinking deleted and kept, and the rows of the published base model.',
      type: 'bar',
      labels: days.map(({ day }) => dateOf(day)),
      x: 'day',
      y: 'rows',
      series: [
        { name: 'kept', values: days.map(({ rows }) => rows) },
        { name: 'published', values: days.map(({ baseRows }) => baseRows) },
        { name: 'deleted', values: days.map(({ deleted }) => deleted) },
      ],
    },
    {
      ...byPass,
      title: 'Throughput',
      note: 'Examples a second while training, reading included.',
      y: 'examples a second',
      zero: true,
      series: [{ name: 'examples a second', values: of('examplesPerSecond') }],
    },
  ];
  const facts: Fact[] = [
    {
      name: days.length > 0 ? 'AUC of the last day' : 'AUC of the last pass',
      value: fixed(measured.auc, 4),
    },
    { name: 'log loss', value: fixed(measured.logLoss, 4) },
    { name: 'COPC', value: fixed(measured.copc, 3) },
    { name: 'examples', value: counted(last.total) },
    { name: 'rows', value: counted(days.at(-1) && last.day === measured.day ? measured.rows : last.rows) },
    { name: 'passes', value: counted(last.number) },
    { name: 'bad lines', value: counted(passes.reduce((sum, { bad }) => sum + bad, 0)) },
    { name: 'examples a second', value: counted(median(passes.map(pass => pass.examplesPerSecond))) },
  ];
  return { title, facts, charts: charts.filter(hasValues) };
}

/** YYYY-MM-DD, or MM-DD, of YYYYMMDD. */
const dateOf = (day: string, year = true): string =>
  `${year ? `${day.slice(0, 4)}-` : ''}${day.slice(4, 6)}-${day.slice(6)}`;

/** From the lowest to the highest prediction. */
function diagonal(curve: readonly CalibrationBin[]): (readonly [number, number])[] {
  if (curve.length === 0) return [];
  const ends = curve.flatMap(({ predicted, observed }) => [predicted, observed]);
  return [Math.min(...ends), Math.max(...ends)].map(end => [end, end] as const);
}

function importanceChart(days: readonly DayEvent[]): Chart[] {
  const day = days.findLast(({ importance }) => importance.some(({ fall }) => number(fall) !== null));
  if (!day) return [];
  const shown = day.importance.slice(0, SLOTS);
  const left = day.importance.length - shown.length;
  return [
    {
      title: 'Slot importance',
      note: `How far the AUC of ${dateOf(day.day)} falls when a slot's values are dealt to other examples${left > 0 ? `; ${left} less important ones are left out` : ''}.`,
      type: 'horizontal',
      labels: shown.map(({ name }) => name),
      x: 'fall of AUC',
      y: 'slot or column',
      series: [{ name: 'fall of AUC', values: shown.map(({ fall }) => number(fall)) }],
    },
  ];
}

/**
 * Runs of `tenon train`: every number of the epochs' lines is a curve; those that differ by their part (train, val,
 * test) share a chart.
 */
function epochReport(title: string, lines: readonly MetricLine[]): Report {
  const skipped = new Set(['epoch', 'step', 'seconds']);
  const names = [...new Set(lines.flatMap(line => Object.keys(line)))].filter(
    name => !skipped.has(name) && lines.some(line => number(line[name]) !== null),
  );
  const groupOf = (name: string): string => name.replace(/^(train|val|test)_/, '');
  const charts = [...new Set(names.map(groupOf))].map((group): Chart => {
    const members = names.filter(name => groupOf(name) === group);
    const words = group.replaceAll('_', ' ');
    return {
      title: words.charAt(0).toUpperCase() + words.slice(1),
      note: 'By epoch.',
      type: 'line',
      labels: lines.map(line => String(line['epoch'])),
      x: 'epoch',
      y: words,
      series: members.map(name => ({ name: name.replaceAll('_', ' '), values: lines.map(line => number(line[name])) })),
    };
  });
  const last = lines.at(-1)!;
  const facts = names.map(name => ({
    name: name.replaceAll('_', ' '),
    value: String(Number((last[name] as number).toPrecision(5))),
  }));
  return {
    title,
    facts: [{ name: 'epochs', value: counted(last['epoch']) }, ...facts],
    charts: charts.filter(hasValues),
  };
}

/** Whether there is a result, beside references. */
const hasValues = ({ series }: Chart): boolean =>
  series.some(({ values, reference }) => !reference && values.some(value => value !== null));

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
