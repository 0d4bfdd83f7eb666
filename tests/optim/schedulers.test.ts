/**
 * Every schedule against PyTorch, and going on from a saved place. Figures: python3 tests/support/torch_reference.py
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as optim from '../../src/optim/index.ts';
import { compile, Parameter, tensor } from '../../src/tensor/index.ts';

const { ReduceLROnPlateau: PLATEAU, ...RATES } = JSON.parse(
  readFileSync(new URL('../fixtures/schedulers.json', import.meta.url), 'utf8'),
) as Record<string, number[][]>;

const SCHEDULERS: Readonly<Record<string, (o: optim.SGD) => optim.Scheduler>> = {
  // A setting that is the only one may come alone, as PyTorch takes it by position.
  StepLR: o => new optim.StepLR(o, 3, 0.5),
  MultiStepLR: o => new optim.MultiStepLR(o, [2, 5], 0.3),
  ExponentialLR: o => new optim.ExponentialLR(o, 0.9),
  LinearLR: o => new optim.LinearLR(o, { startFactor: 0.2, totalIters: 4 }),
  ConstantLR: o => new optim.ConstantLR(o, { factor: 0.5, totalIters: 3 }),
  PolynomialLR: o => new optim.PolynomialLR(o, { totalIters: 6, power: 2 }),
  LambdaLR: o => new optim.LambdaLR(o, e => 1 / (1 + e)),
  CosineAnnealingLR: o => new optim.CosineAnnealingLR(o, 5, 0.01),
  CosineAnnealingWarmRestarts: o => new optim.CosineAnnealingWarmRestarts(o, 2, { tMult: 2, etaMin: 0.01 }),
  OneCycleLR: o => new optim.OneCycleLR(o, { maxLr: 0.5, totalSteps: 13 }),
  'OneCycleLR.threePhase': o =>
    new optim.OneCycleLR(o, { maxLr: 0.5, totalSteps: 13, threePhase: true, annealStrategy: 'linear' }),
  MultiplicativeLR: o => new optim.MultiplicativeLR(o, e => (e % 3 ? 0.9 : 1.05)),
  CyclicLR: o => new optim.CyclicLR(o, { baseLr: 0.05, maxLr: 0.4, stepSizeUp: 3, stepSizeDown: 2 }),
  'CyclicLR.triangular2': o =>
    new optim.CyclicLR(o, { baseLr: [0.05, 0.1], maxLr: [0.4, 0.5], stepSizeUp: 2, mode: 'triangular2' }),
  'CyclicLR.expRange': o =>
    new optim.CyclicLR(o, { baseLr: 0.05, maxLr: 0.4, stepSizeUp: 2, mode: 'exp_range', gamma: 0.9 }),
  ChainedScheduler: o =>
    new optim.ChainedScheduler([
      new optim.ConstantLR(o, { factor: 0.3, totalIters: 3 }),
      new optim.ExponentialLR(o, 0.9),
      new optim.StepLR(o, 4, { gamma: 0.5 }),
    ]),
  'ChainedScheduler.cosine': o =>
    new optim.ChainedScheduler([
      new optim.LinearLR(o, { startFactor: 0.25, totalIters: 4 }),
      new optim.CosineAnnealingLR(o, 5, { etaMin: 0.01 }),
    ]),
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
      expectRates(scheduler.getLastLr(), rates, i);
    });
  });

  it('ReduceLROnPlateau', () => {
    const optimizer = new optim.SGD([parameter()], { lr: 0.1 });
    const options = { patience: 2, factor: 0.5, cooldown: 1, minLr: 0.03 };
    let scheduler = new optim.ReduceLROnPlateau(optimizer, options);
    const metrics = [1, 0.9, 0.95, 0.93, 0.92, 0.91, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6];
    metrics.forEach((metric, i) => {
      scheduler.step(metric);
      expectRates(scheduler.getLastLr(), PLATEAU![i]!, i);
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
    expect(other.getLastLr()).toEqual(scheduler.getLastLr());
    scheduler.step();
    other.step();
    expect(other.getLastLr()).toEqual(scheduler.getLastLr());
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

describe('groups that come after the schedule, as when a backbone is unfrozen', () => {
  /**
   * torch 1.13's rates of a group of 0.3 that comes to an SGD of 0.1 after two steps of the schedule, in the steps from
   * there.
   */
  const LATE: Readonly<Record<string, [make: (o: optim.AnyOptimizer) => optim.Scheduler, rates: number[]]>> = {
    StepLR: [o => new optim.StepLR(o, 3, { gamma: 0.5 }), [0.15, 0.15, 0.15, 0.075, 0.075]],
    ChainedScheduler: [
      o => new optim.ChainedScheduler([new optim.StepLR(o, 3, { gamma: 0.5 })]),
      [0.15, 0.15, 0.15, 0.075, 0.075],
    ],
    ExponentialLR: [o => new optim.ExponentialLR(o, 0.9), [0.27, 0.243, 0.2187, 0.19683, 0.177147]],
    LinearLR: [
      o => new optim.LinearLR(o, { startFactor: 0.2, totalIters: 6 }),
      [0.385714285714, 0.471428571429, 0.557142857143, 0.642857142857, 0.642857142857],
    ],
    PolynomialLR: [
      o => new optim.PolynomialLR(o, { totalIters: 8, power: 2 }),
      [0.208333333333, 0.133333333333, 0.075, 0.033333333333, 0.008333333333],
    ],
    MultiplicativeLR: [
      o => new optim.MultiplicativeLR(o, e => (e % 3 ? 0.9 : 1.05)),
      [0.315, 0.2835, 0.25515, 0.2679075, 0.24111675],
    ],
    CosineAnnealingLR: [
      o => new optim.CosineAnnealingLR(o, 8, { etaMin: 0.01 }),
      [0.244887588641, 0.179878066912, 0.114868545182, 0.059756133824, 0.022931197869],
    ],
  };

  it.each(Object.entries(LATE))(
    '%s scales the rate they come with, and goes on from a saved place',
    (_, [make, rates]) => {
      const optimizer = new optim.SGD([parameter()], { lr: 0.1 });
      const scheduler = make(optimizer);
      for (let i = 0; i < 2; i++) scheduler.step();
      optimizer.addParamGroup({ params: [parameter()], lr: 0.3 });
      rates.forEach((rate, i) => {
        scheduler.step();
        expect(scheduler.getLastLr()[1], `step ${i}`).toBeCloseTo(rate, 10);
        const again = new optim.SGD([{ params: [parameter()] }, { params: [parameter()], lr: 0.3 }], { lr: 0.1 });
        const resumed = make(again);
        resumed.loadStateDict(scheduler.stateDict());
        expectRates(resumed.getLastLr(), scheduler.getLastLr(), i);
      });
    },
  );

  it('need a factor of their own where factors are given by group', () => {
    const optimizer = new optim.SGD([parameter()], { lr: 0.1 });
    const scheduler = new optim.LambdaLR(optimizer, [() => 1]);
    optimizer.addParamGroup({ params: [parameter()] });
    expect(() => scheduler.step()).toThrow('LambdaLR: factors: 1 came, none for group 1');
  });
});

const MOMENTA = JSON.parse(
  readFileSync(new URL('../fixtures/momentum-schedules.json', import.meta.url), 'utf8'),
) as Record<string, number[][]>;

describe('schedules of momentum', () => {
  const CYCLES: Readonly<Record<string, (o: optim.AnyOptimizer) => optim.Scheduler>> = {
    OneCycleLR: o => new optim.OneCycleLR(o, { maxLr: 0.5, totalSteps: 13 }),
    'OneCycleLR.threePhase': o =>
      new optim.OneCycleLR(o, { maxLr: 0.5, totalSteps: 13, threePhase: true, baseMomentum: 0.7, maxMomentum: 0.8 }),
    CyclicLR: o =>
      new optim.CyclicLR(o, { baseLr: 0.05, maxLr: 0.4, stepSizeUp: 3, baseMomentum: 0.6, maxMomentum: 0.95 }),
  };
  const OPTIMIZERS: Readonly<Record<string, (p: Parameter) => optim.AnyOptimizer>> = {
    SGD: p => new optim.SGD([p], { lr: 0.1, momentum: 0.9 }),
    Adam: p => new optim.Adam([p], { lr: 0.1 }),
  };

  it.each(Object.keys(MOMENTA).filter(name => !name.startsWith('SWALR')))(
    '%s: rates, momenta and where they lead',
    name => {
      const [kind, schedule] = name.split(' ') as [string, string];
      for (const compiled of [false, true]) {
        const p = new Parameter(tensor([1], { dtype: 'f64' }));
        const optimizer = OPTIMIZERS[kind]!(p);
        const update = (): void => {
          optimizer.zeroGrad();
          p.mul(p).div(2).sum().backward();
          optimizer.step();
        };
        const step = compiled ? compile(update) : update;
        // Recorded before the schedule is made: it must be seen nevertheless.
        if (compiled) {
          step();
          p.assign(tensor([1], { dtype: 'f64' }));
          for (const value of Object.values(optimizer.stateDict().tensors)) (value as Parameter).assign(value.mul(0));
        }
        const scheduler = CYCLES[schedule]!(optimizer);
        MOMENTA[name]!.forEach((expected, i) => {
          step();
          scheduler.step();
          const [group] = optimizer.paramGroups;
          [group!.lr, group!.momentum, p.item()].forEach((value, k) => {
            expect(value, `step ${i}, ${['rate', 'momentum', 'parameter'][k]}`).toBeCloseTo(expected[k]!, 10);
          });
        });
      }
    },
  );

  it('need an optimizer with momentum when they are asked for it', () => {
    expect(() => new optim.OneCycleLR(twoGroups(), { maxLr: 1, totalSteps: 5, cycleMomentum: true })).toThrow(
      'OneCycleLR: cycleMomentum needs an optimizer with momentum or betas',
    );
  });

  it.each(['cos', 'linear'] as const)('SWALR %s anneals from the rate it finds', annealStrategy => {
    const optimizer = new optim.SGD([parameter()], { lr: 0.4 });
    const before = new optim.ExponentialLR(optimizer, 0.9);
    const scheduler = new optim.SWALR(optimizer, { swaLr: 0.05, annealEpochs: 4, annealStrategy });
    MOMENTA[`SWALR ${annealStrategy}`]!.forEach((rates, i) => {
      (i < 3 ? before : scheduler).step();
      expectRates(scheduler.getLastLr(), rates, i);
    });
  });
});
