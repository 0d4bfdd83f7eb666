/**
 * Schedules that multiply the rate by a factor which falls (or rises) step by step.
 */
import { describe } from '../tensor/operands.ts';
import { checkOptions, type OrAlone, withName } from '../tensor/options.ts';
import type { AnyOptimizer } from './optimizer.ts';
import { checkFactors, checkNumber, checkSteps, type Factors, perGroup, Scheduler } from './scheduler.ts';

export interface GammaOption {
  /** What the rate is multiplied by; 0.1 by default. */
  readonly gamma?: number;
}

function gammaOf(op: string, given: OrAlone<GammaOption, 'gamma'>): number {
  const { gamma = 0.1 } = checkOptions(op, withName<GammaOption, 'gamma'>('gamma', given), ['gamma']);
  return checkNumber(`${op}: gamma`, gamma);
}

/** lr * gamma ^ floor(epoch / stepSize). */
export class StepLR extends Scheduler {
  readonly stepSize: number;
  readonly gamma: number;

  constructor(optimizer: AnyOptimizer, stepSize: number, options: OrAlone<GammaOption, 'gamma'> = {}) {
    const gamma = gammaOf('StepLR', options);
    super(optimizer);
    this.stepSize = checkSteps('StepLR: stepSize', stepSize);
    this.gamma = gamma;
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    return baseLr * this.gamma ** Math.floor(epoch / this.stepSize);
  }
}

/** lr * gamma ^ (milestones reached). */
export class MultiStepLR extends Scheduler {
  readonly milestones: readonly number[];
  readonly gamma: number;

  constructor(optimizer: AnyOptimizer, milestones: readonly number[], options: OrAlone<GammaOption, 'gamma'> = {}) {
    const gamma = gammaOf('MultiStepLR', options);
    if (!Array.isArray(milestones))
      throw new TypeError(`MultiStepLR: milestones: expected an array of steps, got ${describe(milestones)}`);
    super(optimizer);
    this.milestones = [...milestones];
    this.gamma = gamma;
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    return baseLr * this.gamma ** this.milestones.filter(milestone => milestone <= epoch).length;
  }
}

/** lr * gamma ^ epoch. */
export class ExponentialLR extends Scheduler {
  readonly gamma: number;

  constructor(optimizer: AnyOptimizer, gamma: number) {
    super(optimizer);
    this.gamma = checkNumber('ExponentialLR: gamma', gamma);
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    return baseLr * this.gamma ** epoch;
  }
}

export interface LinearLROptions {
  /** 1/3 by default. */
  readonly startFactor?: number;
  /** 1 by default. */
  readonly endFactor?: number;
  /** Steps from one to the other; 5 by default. */
  readonly totalIters?: number;
}

/** A factor that moves in a straight line and then stays: the usual warm-up. */
export class LinearLR extends Scheduler {
  readonly startFactor: number;
  readonly endFactor: number;
  readonly totalIters: number;

  constructor(optimizer: AnyOptimizer, options: LinearLROptions = {}) {
    const {
      startFactor = 1 / 3,
      endFactor = 1,
      totalIters = 5,
    } = checkOptions('LinearLR', options, ['startFactor', 'endFactor', 'totalIters']);
    super(optimizer);
    if (!(startFactor > 0 && startFactor <= 1))
      throw new Error(`LinearLR: startFactor ${startFactor} came, expected above 0 and at most 1`);
    this.startFactor = startFactor;
    this.endFactor = endFactor;
    this.totalIters = checkSteps('LinearLR: totalIters', totalIters);
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    const share = Math.min(epoch, this.totalIters) / this.totalIters;
    return baseLr * (this.startFactor + (this.endFactor - this.startFactor) * share);
  }
}

/** lr * factor (1/3) for totalIters (5) steps, then lr. */
export class ConstantLR extends Scheduler {
  readonly factor: number;
  readonly totalIters: number;

  constructor(optimizer: AnyOptimizer, options: { readonly factor?: number; readonly totalIters?: number } = {}) {
    const { factor = 1 / 3, totalIters = 5 } = checkOptions('ConstantLR', options, ['factor', 'totalIters']);
    super(optimizer);
    this.factor = factor;
    this.totalIters = checkSteps('ConstantLR: totalIters', totalIters);
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    return epoch < this.totalIters ? baseLr * this.factor : baseLr;
  }
}

/** lr * (1 - epoch / totalIters) ^ power, 0 from totalIters on. */
export class PolynomialLR extends Scheduler {
  readonly totalIters: number;
  readonly power: number;

  constructor(optimizer: AnyOptimizer, options: { readonly totalIters?: number; readonly power?: number } = {}) {
    const { totalIters = 5, power = 1 } = checkOptions('PolynomialLR', options, ['totalIters', 'power']);
    super(optimizer);
    this.totalIters = checkSteps('PolynomialLR: totalIters', totalIters);
    this.power = power;
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    return baseLr * (1 - Math.min(epoch, this.totalIters) / this.totalIters) ** this.power;
  }
}

/** lr * factor(epoch), with one function, or one per group. */
export class LambdaLR extends Scheduler {
  /** One for all parameter groups, or one per group. */
  readonly factors: Factors;

  constructor(optimizer: AnyOptimizer, factors: Factors) {
    super(optimizer);
    this.factors = checkFactors('LambdaLR', optimizer, factors);
    this.apply();
  }

  rateAt(epoch: number, baseLr: number, group: number): number {
    return baseLr * perGroup('LambdaLR: factors', this.factors, group)(epoch);
  }

  override follow(epoch: number, _lr: number, baseLr: number, group: number): number {
    return this.rateAt(epoch, baseLr, group);
  }
}
