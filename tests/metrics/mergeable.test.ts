/** Every metric: the states of two halves, through JSON, make the whole; empty states change nothing. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import * as metrics from '../../src/metrics/index.ts';

interface Row {
  readonly p: number;
  readonly y: number;
  readonly g: string;
  /** Of three items. */
  readonly scores: readonly number[];
  readonly grades: readonly number[];
}

// Few values, so that there are ties, also between the halves.
const row: fc.Arbitrary<Row> = fc.record({
  p: fc.oneof(fc.constantFrom(0, 0.25, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  y: fc.constantFrom(0, 1),
  g: fc.constantFrom('a', 'b', '7', '__proto__'),
  scores: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 3, maxLength: 3 }),
  grades: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 }),
});
const rows = fc.array(row, { maxLength: 25 });

type Feed = (of: readonly Row[]) => unknown;
const p = (of: readonly Row[]): number[] => of.map(row => row.p);
const y = (of: readonly Row[]): number[] => of.map(row => row.y);
const lists = (of: readonly Row[], part: 'scores' | 'grades'): number[] => of.flatMap(row => row[part]);

type AnyMetric = metrics.Metric<unknown, unknown>;
const made = <M extends { compute(): unknown }>(metric: M, feed: (metric: M, of: readonly Row[]) => unknown) => ({
  metric: metric as unknown as AnyMetric,
  feed: ((of: readonly Row[]) => feed(metric, of)) as Feed,
});
type Made = { readonly metric: AnyMetric; readonly feed: Feed };

const binary = <M extends { compute(): unknown; update(p: number[], y: number[]): unknown }>(metric: M): Made =>
  made(metric, (m, of) => m.update(p(of), y(of)));
const ranked = <M extends { compute(): unknown; update(s: number[], g: number[]): unknown }>(metric: M): Made =>
  made(metric, (m, of) => m.update(lists(of, 'scores'), lists(of, 'grades')));

const METRICS: Readonly<Record<string, () => Made>> = {
  AUC: () => binary(new metrics.AUC()),
  'AUC of logits': () =>
    made(new metrics.AUC(), (m, of) =>
      m.update(
        p(of).map(x => Math.log(x / (1 - x))),
        y(of),
      ),
    ),
  StreamingAUC: () => binary(new metrics.StreamingAUC({ buckets: 64 })),
  GroupedAUC: () =>
    made(new metrics.GroupedAUC(), (m, of) =>
      m.update(
        p(of),
        y(of),
        of.map(row => row.g),
      ),
    ),
  LogLoss: () => binary(new metrics.LogLoss()),
  Calibration: () => binary(new metrics.Calibration({ bins: 4 })),
  ProgressiveValidation: () => binary(new metrics.ProgressiveValidation({ buckets: 64 })),
  NDCGAtK: () => ranked(new metrics.NDCGAtK(2, { items: 3, gain: 'exponential' })),
  RecallAtK: () => ranked(new metrics.RecallAtK(2, { items: 3 })),
  HitRateAtK: () => ranked(new metrics.HitRateAtK(1, { items: 3 })),
  MSE: () => binary(new metrics.MSE()),
  MAE: () => binary(new metrics.MAE()),
  Perplexity: () => made(new metrics.Perplexity(), (m, of) => of.forEach(row => void m.add(row.p, row.grades[0]))),
  Accuracy: () => made(new metrics.Accuracy({ classes: 3 }), (m, of) => m.update(lists(of, 'scores'), y(of))),
  TopK: () => made(new metrics.TopK(2, { classes: 3 }), (m, of) => m.update(lists(of, 'scores'), y(of))),
  ConfusionMatrix: () =>
    made(new metrics.ConfusionMatrix(2), (m, of) =>
      m.update(
        y(of),
        of.map(row => Number(row.p > 0.5)),
      ),
    ),
};

/** Equal but for the order of sums. */
function close(x: unknown, want: unknown): void {
  if (typeof want === 'number' && Number.isFinite(want))
    expect(Math.abs((x as number) - want)).toBeLessThanOrEqual(1e-10 * Math.max(1, Math.abs(want)));
  else if (typeof want === 'object' && want)
    for (const key of Object.keys(want)) close(x![key as never], want[key as never]);
  else expect(x).toEqual(want);
}

const through = (state: unknown): never => JSON.parse(JSON.stringify(state)) as never;

describe.each(Object.entries(METRICS))('%s', (_name, make) => {
  it('of two halves is that of the whole', () => {
    fc.assert(
      fc.property(rows, rows, (left, right) => {
        const [a, b, whole] = [make(), make(), make()];
        a.feed(left);
        b.feed(right);
        whole.feed([...left, ...right]);
        // A state can be taken, read back and merged in any order.
        const first = make();
        first.metric.merge(through(b.metric.state()));
        first.metric.merge(through(a.metric.state()));
        a.metric.merge(through(b.metric.state()));
        close(a.metric.compute(), whole.metric.compute());
        close(first.metric.compute(), whole.metric.compute());
      }),
      { numRuns: 60 },
    );
  });

  it('of nothing is merged without a trace, and reset forgets', () => {
    const some = make();
    some.feed([
      { p: 0.2, y: 0, g: 'a', scores: [1, 0, 2], grades: [1, 0, 0] },
      { p: 0.7, y: 1, g: 'a', scores: [0, 1, 2], grades: [0, 0, 1] },
    ]);
    const before = some.metric.compute();
    some.metric.merge(through(make().metric.state()));
    expect(some.metric.compute()).toEqual(before);
    some.metric.reset();
    expect(through(some.metric.state())).toEqual(through(make().metric.state()));
    expect(some.metric.compute()).toEqual(make().metric.compute());
  });
});

test('what is not defined is NaN, also after JSON', () => {
  for (const metric of [new metrics.AUC(), new metrics.StreamingAUC(), new metrics.GroupedAUC()]) {
    expect(metric.compute()).toBeNaN();
    metric.update([0.1, 0.9], [1, 1], ['a', 'a']);
    expect(metric.compute()).toBeNaN();
  }
  const diverged = new metrics.Mean().add(Number.NaN);
  const other = new metrics.Mean().add(1);
  other.merge(through(diverged.state()));
  expect(other.compute()).toBeNaN();
  for (const metric of [new metrics.NDCGAtK(3), new metrics.RecallAtK(3), new metrics.HitRateAtK(3)])
    expect(metric.addList(['a', 'b'], []).compute()).toBeNaN();
});

test.each([
  [() => new metrics.LogLoss().update([Number.NaN], [1]), 'LogLoss: a prediction is NaN'],
  [() => new metrics.LogLoss().update([1.5], [1]), 'LogLoss: probability 1.5 is outside [0, 1]'],
  [() => new metrics.LogLoss().update([0.5], [Number.NaN]), 'LogLoss: label NaN, expected a number from 0 to 1'],
  [() => new metrics.Calibration().update([0.5], [2]), 'Calibration: label 2 of row 0, expected a number from 0 to 1'],
])('%#: refused in one sentence', (make, sentence) => {
  expect(make).toThrow(sentence);
});
