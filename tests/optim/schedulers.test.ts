/**
 * Every schedule against PyTorch, and going on from a saved place. Figures: python3 tests/support/torch_reference.py
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as optim from '../../src/optim/index.ts';
import { Parameter, tensor } from '../../src/tensor/index.ts';

const { ReduceLROnPlateau: PLATEAU, ...RATES } = JSON.parse(
  readFileSync(new URL('../fixtures/schedulers.json', import.meta.url), 'utf8'),
) as Record<string, number[][]>;

const SCHEDULERS: Readonly<Record<string, (o: optim.SGD) => optim.Scheduler>> = {
  StepLR: o => new optim.StepLR(o, 3, { gamma: 0.5 }),
  MultiStepLR: o => new optim.MultiStepLR(o, [2, 5], { gamma: 0.3 }),
  ExponentialLR: o => new optim.ExponentialLR(o, 0.9),
  LinearLR: o => new optim.LinearLR(o, { startFactor: 0.2, totalIters: 4 }),
  ConstantLR: o => new optim.ConstantLR(o, { factor: 0.5, totalIters: 3 }),
  PolynomialLR: o => new optim.PolynomialLR(o, { totalIters: 6, power: 2 }),
  LambdaLR: o => new optim.LambdaLR(o, e => 1 / (1 + e)),
  CosineAnnealingLR: o => new optim.CosineAnnealingLR(o, 5, { etaMin: 0.01 }),
  CosineAnnealingWarmRestarts: o => new optim.CosineAnnealingWarmRestarts(o, 2, { tMult: 2, etaMin: 0.01 }),
  OneCycleLR: o => new optim.OneCycleLR(o, { maxLr: 0.5, totalSteps: 13 }),
  'OneCycleLR.threePhase': o =>
    new optim.OneCycleLR(o, { maxLr: 0.5, totalSteps: 13, threePhase: true, annealStrategy: 'linear' }),
  SequentialLR: o =>
    new optim.SequentialLR(
      o,
      [new optim.LinearLR(o, { startFactor: 0.1, totalIters: 3 }), new optim.CosineAnnealingLR(o, 6)],
      [3],
    ),
};

const parameter = (): Parameter => new Parameter(tensor([0]));
const twoGroups = (): optim.SGD =>
  new optim.SGD([{ params: [parameter()] }, { params: [parameter()], lr: 0.3 }], { lr: 0.1 });

function expectRates(actual: readonly number[], expected: readonly number[], at: number): void {
  actual.forEach((rate, group) => {
    expect(rate, `step ${at}, group ${group}`).toBeCloseTo(expected[group]!, 12);
  });
}

describe('schedules agree with PyTorch', () => {
  it('covers every case of the fixture', () => {
    expect(Object.keys(SCHEDULERS).sort()).toEqual(Object.keys(RATES).sort());
  });

  it.each(Object.keys(SCHEDULERS))('%s', name => {
    const optimizer = twoGroups();
    const scheduler = SCHEDULERS[name]!(optimizer);
    RATES[name]!.forEach((rates, i) => {
      if (i > 0) scheduler.step();
      expectRates(scheduler.lastLr, rates, i);
    });
  });

  it('ReduceLROnPlateau', () => {
    const optimizer = new optim.SGD([parameter()], { lr: 0.1 });
    const options = { patience: 2, factor: 0.5, cooldown: 1, minLr: 0.03 };
    let scheduler = new optim.ReduceLROnPlateau(optimizer, options);
    const metrics = [1, 0.9, 0.95, 0.93, 0.92, 0.91, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6];
    metrics.forEach((metric, i) => {
      scheduler.step(metric);
      expectRates(scheduler.lastLr, PLATEAU![i]!, i);
      // Saved and loaded between any two steps, it goes on the same.
      const saved = JSON.parse(JSON.stringify(scheduler.stateDict())) as optim.PlateauState;
      scheduler = new optim.ReduceLROnPlateau(optimizer, options);
      scheduler.loadStateDict(saved);
    });
  });
});

describe('saved schedules', () => {
  it.each(Object.keys(SCHEDULERS))('%s goes on from where it was saved', name => {
    const scheduler = SCHEDULERS[name]!(twoGroups());
    for (let i = 0; i < 4; i++) scheduler.step();
    const other = SCHEDULERS[name]!(twoGroups());
    other.loadStateDict(JSON.parse(JSON.stringify(scheduler.stateDict())) as optim.SchedulerState);
    expect(other.lastLr).toEqual(scheduler.lastLr);
    scheduler.step();
    other.step();
    expect(other.lastLr).toEqual(scheduler.lastLr);
  });
});

describe('warm-up and cosine', () => {
  it('rises in a line, falls along a cosine and stays at the floor', () => {
    const optimizer = new optim.SGD([parameter()], { lr: 1 });
    const scheduler = new optim.WarmupCosineLR(optimizer, { warmupSteps: 3, totalSteps: 7, minLr: 0.2 });
    const rates = [optimizer.lr];
    for (let i = 0; i < 8; i++) {
      scheduler.step();
      rates.push(optimizer.lr);
    }
    // 1/4, 2/4, 3/4; then 0.2 + 0.8 (1 + cos(pi k/4)) / 2; then 0.2.
    const expected = [0.25, 0.5, 0.75, 1, 0.6 + 0.4 * Math.SQRT1_2, 0.6, 0.6 - 0.4 * Math.SQRT1_2, 0.2, 0.2];
    rates.forEach((rate, i) => {
      expect(rate).toBeCloseTo(expected[i]!, 12);
    });
  });

  it('OneCycleLR refuses steps beyond its end', () => {
    const scheduler = new optim.OneCycleLR(twoGroups(), { maxLr: 1, totalSteps: 2 });
    scheduler.step();
    scheduler.step();
    expect(() => scheduler.step()).toThrow('OneCycleLR: step 3 came, the cycle has 2');
  });
});
