/**
 * A schedule that looks at a metric instead of the clock.
 */
import { checkChoice, checkOptions } from '../tensor/options.ts';
import type { AnyOptimizer } from './optimizer.ts';
import { checkNumber, checkOptimizer, perGroup } from './scheduler.ts';

export interface PlateauOptions {
  /** Whether smaller or larger is better; 'min' by default. */
  readonly mode?: 'min' | 'max';
  /** What the rate is multiplied by; 0.1 by default. */
  readonly factor?: number;
  /** Steps without improvement that are borne; 10 by default. */
  readonly patience?: number;
  /** What counts as an improvement; 1e-4 by default. */
  readonly threshold?: number;
  /** Whether the threshold is a share of the best value or a difference; 'rel' by default. */
  readonly thresholdMode?: 'rel' | 'abs';
  /** Steps to wait after a change; 0 by default. */
  readonly cooldown?: number;
  /** Lowest rate, for all groups or one per group; 0 by default. */
  readonly minLr?: number | readonly number[];
  /** Smaller changes are not made; 1e-8 by default. */
  readonly eps?: number;
}

/** State as plain data. `best` is null before the first step: JSON has no infinities. */
export interface PlateauState {
  readonly best: number | null;
  readonly badSteps: number;
  readonly cooldownLeft: number;
}

/** Lowers the rate when a metric has stopped improving. */
export class ReduceLROnPlateau {
  readonly optimizer: AnyOptimizer;
  readonly #options: Required<PlateauOptions>;
  #best: number | null = null;
  #badSteps = 0;
  #cooldownLeft = 0;

  constructor(optimizer: AnyOptimizer, options: PlateauOptions = {}) {
    checkOptions('ReduceLROnPlateau', options, [
      'mode',
      'factor',
      'patience',
      'threshold',
      'thresholdMode',
      'cooldown',
      'minLr',
      'eps',
    ]);
    const defaults = {
      mode: 'min',
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      thresholdMode: 'rel',
      cooldown: 0,
      minLr: 0,
      eps: 1e-8,
    } as const;
    this.optimizer = checkOptimizer('ReduceLROnPlateau', optimizer);
    this.#options = { ...defaults, ...options };
    const { factor, mode, thresholdMode } = this.#options;
    checkChoice('ReduceLROnPlateau', 'mode', mode, ['min', 'max']);
    checkChoice('ReduceLROnPlateau', 'thresholdMode', thresholdMode, ['rel', 'abs']);
    if (!(factor < 1)) throw new Error(`ReduceLROnPlateau: factor ${factor} came, expected below 1`);
  }

  #improves(metric: number): boolean {
    const { mode, threshold, thresholdMode } = this.#options;
    if (this.#best === null) return !Number.isNaN(metric);
    const sign = mode === 'min' ? -1 : 1;
    const bar = thresholdMode === 'rel' ? this.#best * (1 + sign * threshold) : this.#best + sign * threshold;
    return mode === 'min' ? metric < bar : metric > bar;
  }

  /** The groups' present rates. */
  getLastLr(): number[] {
    return this.optimizer.paramGroups.map(group => group.lr);
  }

  /** Takes the newest value of the metric, usually once per epoch after validation. @throws TypeError for no number */
  step(metric: number): void {
    checkNumber('ReduceLROnPlateau.step: metric', metric);
    const { patience, cooldown, factor, minLr, eps } = this.#options;
    if (this.#improves(metric)) {
      this.#best = metric;
      this.#badSteps = 0;
    } else this.#badSteps++;
    if (this.#cooldownLeft > 0) {
      this.#cooldownLeft--;
      this.#badSteps = 0;
    }
    if (this.#badSteps <= patience) return;
    this.optimizer.paramGroups.forEach((group, i) => {
      const next = Math.max(group.lr * factor, perGroup('ReduceLROnPlateau: minLr', minLr, i));
      if (group.lr - next > eps) group.lr = next;
    });
    this.#cooldownLeft = cooldown;
    this.#badSteps = 0;
  }

  /** What the schedule remembers of the metric, as plain data fit for JSON. */
  stateDict(): PlateauState {
    return { best: this.#best, badSteps: this.#badSteps, cooldownLeft: this.#cooldownLeft };
  }

  /** Goes on from a saved state; the rates themselves are part of the optimizer's. */
  loadStateDict({ best, badSteps, cooldownLeft }: PlateauState): void {
    this.#best = best;
    this.#badSteps = badSteps;
    this.#cooldownLeft = cooldownLeft;
  }
}
