/**
 * Every model against its paper as PyTorch has it: output, loss, and gradients of parameters and rows, in f64.
 * Figures: /usr/bin/python3 tests/support/torch_clicks.py
 */
import { readFileSync } from 'node:fs';
import { tensor } from 'tenon';
import { Dice } from 'tenon/models';
import { buildModel, MODEL_NAMES, type ModelConfig, type SparseInput } from 'tenon/recsys';
import { expect, it } from 'vitest';
import { Parameter, type Tensor } from '../../src/tensor/index.ts';
import { formula, probe, setFormulaState } from '../support/formula.ts';

type Probe = readonly [number, number];

interface Figures {
  readonly model: ModelConfig;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly output: Probe;
  readonly loss: number;
  readonly inputs: Readonly<Record<'wide' | 'vectors' | 'history' | 'lags', Probe>>;
  readonly parameters: Readonly<Record<string, Probe>>;
}

const FIGURES = JSON.parse(readFileSync(new URL('../fixtures/clicks.json', import.meta.url), 'utf8')) as Record<
  string,
  Figures
>;

const SIZE = 5;
const STEPS = 4;
const LABELS = { mmoe: ['click', 'buy'], ple: ['click', 'buy'], esmm: ['click', 'buy'], twotower: [], mind: [] };
const f64 = (rows: readonly (readonly number[])[]): Tensor =>
  tensor(Float64Array.from(rows.flat()), { shape: [rows.length, rows[0]!.length] });
const MASK = f64([
  [1, 1, 1, 1],
  [1, 0, 0, 0],
  [1, 1, 1, 0],
  [0, 0, 0, 0],
  [1, 1, 0, 0],
]);
const TARGETS = [
  [1, 0],
  [0, 0],
  [Number.NaN, Number.NaN],
  [1, 1],
  [0, 1],
];
const IDS = [
  [0, 4, 8, 3],
  [1, 5, 8, 3],
  [2, 4, 9, 3],
  [3, 6, 9, 3],
  [0, 7, 9, 3],
];
const SHOWS = [
  [3, 9, 2, 1],
  [1, 0, 2, 1],
  [1, 9, 2, 1],
  [3, 4, 2, 1],
  [3, 7, 2, 1],
];

it('covers every model', () => {
  expect(new Set(Object.values(FIGURES).map(({ model }) => model.model))).toEqual(new Set(MODEL_NAMES));
});

it('Dice in evaluation stands on the moving averages of the rows that count', () => {
  const dice = new Dice(2);
  dice.alpha.assign(tensor([0.25, 0.5]));
  dice.call(tensor([[1, 2], [3, 6], [50, 70]]), tensor([1, 1, 0])); // biome-ignore format: rows
  // Means 2 and 4, variances 1 and 4 with a weight of 0.1 beside 0 and 1.
  const [means, variances] = [[0.2, 0.4], [1, 1.3]]; // biome-ignore format: rows
  const x = [0.7, -1.5];
  const expected = x.map((s, k) => {
    const p = 1 / (1 + Math.exp(-(s - means[k]!) / Math.sqrt(variances[k]! + 1e-8)));
    return p * s + (1 - p) * [0.25, 0.5][k]! * s;
  });
  const got = dice
    .eval()
    .call(tensor([x]))
    .data();
  for (const k of [0, 1]) expect(got[k]).toBeCloseTo(expected[k]!, 6);
});

it.each(Object.entries(FIGURES))('%s', (_name, figures) => {
  const { model: name } = figures.model;
  const labels = LABELS[name as keyof typeof LABELS] ?? ['click'];
  const lagged = 'lags' in figures.model;
  const slots = ['user', 'item', 'context', 'history', ...(lagged ? ['lags'] : [])];
  const schema = { slots, dense: ['x', 'y', 'z'], labels };
  const model = buildModel(figures.model, schema).to('f64');
  const state = Object.entries(model.stateDict()).map(([key, { shape }]) => [key, [...shape]]);
  expect(Object.fromEntries(state)).toEqual(figures.shapes);
  setFormulaState(model);

  const fields = model.fields.length;
  const { dim } = model.needs;
  const pulled = {
    wide: new Parameter(formula(51, [SIZE, fields])),
    vectors: new Parameter(formula(52, [SIZE, fields, dim])),
    history: new Parameter(formula(53, [SIZE, STEPS, dim]).mul(MASK.unsqueeze(2))),
    lags: new Parameter(formula(55, [SIZE, STEPS, dim]).mul(MASK.unsqueeze(2))),
  };
  const columns = (rows: readonly (readonly number[])[], n: number) => f64(rows.map(row => row.slice(0, n)));
  const input: SparseInput = {
    wide: pulled.wide,
    vectors: pulled.vectors,
    sequences: { history: { vectors: pulled.history, mask: MASK }, lags: { vectors: pulled.lags, mask: MASK } },
    dense: formula(54, [SIZE, 3]),
    weights: tensor(Float64Array.of(1, 1, 1, 1, 0)),
    ids: columns(IDS, fields).to('i32'),
    shows: columns(SHOWS, fields),
  };
  const near = (got: number, want: number, what: string): void =>
    expect(Math.abs(got - want), `${what}: ${got} instead of ${want}`).toBeLessThan(1e-9 * (1 + Math.abs(want)));
  const nearProbe = (got: Tensor | null, want: Probe, what: string): void =>
    (got ? probe(got) : [0, 0]).forEach((sum, k) => {
      near(sum, want[k]!, what);
    });

  const output = model.forward(input);
  nearProbe(output, figures.output, 'output');
  const loss = model.loss(output, columns(TARGETS, Math.max(1, labels.length)), input);
  near(loss.item(), figures.loss, 'loss');
  loss.backward();
  for (const part of ['wide', 'vectors', 'history', 'lags'] as const)
    nearProbe(pulled[part].grad, figures.inputs[part], `gradient of ${part}`);
  for (const [key, parameter] of model.namedParameters())
    nearProbe(parameter.grad, figures.parameters[key]!, `gradient of ${key}`);
});
