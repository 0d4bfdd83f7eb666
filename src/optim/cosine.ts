/**
 * Schedules along cosines: annealing, warm restarts, one cycle, and warm-up followed by annealing.
 */
import { checkChoice, checkOptions, type OrAlone, withName } from '../tensor/options.ts';
import { movesMomentum } from './cyclic.ts';
import type { AnyOptimizer } from './optimizer.ts';
import { ANNEALINGS, checkNumber, checkSteps, perGroup, Scheduler } from './scheduler.ts';

/** From `from` (share 0) to `to` (share 1) along half a cosine. */
const cosine = (from: number, to: number, share: number): number =>
  to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;

export interface CosineAnnealingOptions {
  /** Lowest rate; 0 by default. */
  readonly etaMin?: number;
}

/**
 * From lr down to etaMin in tMax steps, and back up in the next tMax (Loshchilov and Hutter 2017, without restarts).
 */
export class CosineAnnealingLR extends Scheduler {
  readonly tMax: number;
  readonly etaMin: number;

  constructor(optimizer: AnyOptimizer, tMax: number, options: OrAlone<CosineAnnealingOptions, 'etaMin'> = {}) {
    const given = withName<CosineAnnealingOptions, 'etaMin'>('etaMin', options);
    const { etaMin = 0 } = checkOptions('CosineAnnealingLR', given, ['etaMin']);
    super(optimizer);
    this.tMax = checkSteps('CosineAnnealingLR: tMax', tMax);
    this.etaMin = checkNumber('CosineAnnealingLR: etaMin', etaMin);
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    return cosine(baseLr, this.etaMin, epoch / this.tMax);
  }

  /** As PyTorch goes on from a rate that others have changed: by the factor of the part above etaMin. */
  override follow(epoch: number, lr: number, baseLr: number): number {
    if (epoch === 0) return lr;
    const { tMax, etaMin } = this;
    const rise = (at: number): number => 1 + Math.cos((Math.PI * at) / tMax);
    if ((epoch - 1 - tMax) % (2 * tMax) === 0) return lr + ((baseLr - etaMin) * (2 - rise(1))) / 2;
    return (rise(epoch) / rise(epoch - 1)) * (lr - etaMin) + etaMin;
  }
}

export interface WarmRestartOptions {
  /** How much longer each round is than the one before; 1 by default. */
  readonly tMult?: number;
  /** Lowest rate; 0 by default. */
  readonly etaMin?: number;
}

/**
 * Rounds from lr down to etaMin: the first takes t0 steps, each further one tMult times as many (Loshchilov and Hutter
 * 2017).
 */
export class CosineAnnealingWarmRestarts extends Scheduler {
  readonly t0: number;
  readonly tMult: number;
  readonly etaMin: number;

  constructor(optimizer: AnyOptimizer, t0: number, options: WarmRestartOptions = {}) {
    const { tMult = 1, etaMin = 0 } = checkOptions('CosineAnnealingWarmRestarts', options, ['tMult', 'etaMin']);
    super(optimizer);
    this.t0 = checkSteps('CosineAnnealingWarmRestarts: t0', t0);
    this.tMult = checkSteps('CosineAnnealingWarmRestarts: tMult', tMult);
    this.etaMin = etaMin;
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    let start = 0;
    let length = this.t0;
    if (this.tMult === 1) start = epoch - (epoch % length);
    else
      while (epoch >= start + length) {
        start += length;
        length *= this.tMult;
      }
    return cosine(baseLr, this.etaMin, (epoch - start) / length);
  }

  override follow(epoch: number, _lr: number, baseLr: number): number {
    return this.rateAt(epoch, baseLr);
  }
}

export interface OneCycleOptions {
  /** The highest rate, for all groups or one per group. */
  readonly maxLr: number | readonly number[];
  /** Steps of the whole cycle. */
  readonly totalSteps: number;
  /** Share of the steps spent rising; 0.3 by default. */
  readonly pctStart?: number;
  /** 'cos' by default. */
  readonly annealStrategy?: 'cos' | 'linear';
  /** The cycle starts at maxLr / divFactor; 25 by default. */
  readonly divFactor?: number;
  /** The cycle ends at maxLr / divFactor / finalDivFactor; 1e4 by default. */
  readonly finalDivFactor?: number;
  /** Whether to fall back to the start before the last descent; false by default. */
  readonly threePhase?: boolean;
  /** Whether momentum moves against the rate; by default it does where the optimizer has one. */
  readonly cycleMomentum?: boolean;
  /** Momentum at the highest rate; 0.85 by default. */
  readonly baseMomentum?: number | readonly number[];
  /** Momentum at the lowest rate; 0.95 by default. */
  readonly maxMomentum?: number | readonly number[];
}

interface Phase {
  readonly end: number;
  readonly from: number;
  readonly to: number;
}

/** Up to maxLr and down to almost nothing, once (Smith and Topin 2018), and the momentum the other way. */
export class OneCycleLR extends Scheduler {
  readonly totalSteps: number;
  readonly #options: Required<OneCycleOptions>;

  /** @throws Error when stepped beyond totalSteps */
  constructor(optimizer: AnyOptimizer, options: OneCycleOptions) {
    checkOptions('OneCycleLR', options, [
      'maxLr',
      'totalSteps',
      'pctStart',
      'annealStrategy',
      'divFactor',
      'finalDivFactor',
      'threePhase',
      'cycleMomentum',
      'baseMomentum',
      'maxMomentum',
    ]);
    super(optimizer);
    this.totalSteps = checkSteps('OneCycleLR: totalSteps', options.totalSteps);
    this.#options = {
      pctStart: 0.3,
      annealStrategy: 'cos',
      divFactor: 25,
      finalDivFactor: 1e4,
      threePhase: false,
      baseMomentum: 0.85,
      maxMomentum: 0.95,
      ...options,
      cycleMomentum: movesMomentum('OneCycleLR', optimizer, options.cycleMomentum),
    };
    const { pctStart, annealStrategy } = this.#options;
    checkChoice('OneCycleLR', 'annealStrategy', annealStrategy, ANNEALINGS);
    if (!(pctStart >= 0 && pctStart <= 1)) throw new Error(`OneCycleLR: pctStart ${pctStart} came, expected 0 to 1`);
    this.apply();
  }

  #phases(start: number, top: number, bottom: number): Phase[] {
    const { pctStart, threePhase } = this.#options;
    const rise = { end: pctStart * this.totalSteps - 1, from: start, to: top };
    const last = this.totalSteps - 1;
    if (!threePhase) return [rise, { end: last, from: top, to: bottom }];
    return [
      rise,
      { end: 2 * pctStart * this.totalSteps - 2, from: top, to: start },
      { end: last, from: start, to: bottom },
    ];
  }

  rateAt(epoch: number, _baseLr: number, group: number): number {
    const { maxLr, divFactor, finalDivFactor } = this.#options;
    const top = perGroup('OneCycleLR: maxLr', maxLr, group);
    const start = top / divFactor;
    return this.#along(epoch, this.#phases(start, top, start / finalDivFactor));
  }

  override follow(epoch: number, _lr: number, baseLr: number, group: number): number {
    return this.rateAt(epoch, baseLr, group);
  }

  override momentumAt(epoch: number, group: number): number | null {
    const { cycleMomentum, baseMomentum, maxMomentum } = this.#options;
    if (!cycleMomentum) return null;
    const high = perGroup('OneCycleLR: maxMomentum', maxMomentum, group);
    const low = perGroup('OneCycleLR: baseMomentum', baseMomentum, group);
    return this.#along(epoch, this.#phases(high, low, high));
  }

  #along(epoch: number, phases: readonly Phase[]): number {
    if (epoch > this.totalSteps) throw new Error(`OneCycleLR: step ${epoch} came, the cycle has ${this.totalSteps}`);
    const at = phases.findIndex(phase => epoch <= phase.end);
    const index = at < 0 ? phases.length - 1 : at;
    const { end, from, to } = phases[index]!;
    const start = index === 0 ? 0 : phases[index - 1]!.end;
    const share = (epoch - start) / (end - start);
    return this.#options.annealStrategy === 'cos' ? cosine(from, to, share) : from + (to - from) * share;
  }
}

export interface WarmupCosineOptions {
  /** Steps of the straight rise to lr; step k of them runs at lr * (k + 1) / (warmupSteps + 1). */
  readonly warmupSteps: number;
  /** Step at which minLr is reached. */
  readonly totalSteps: number;
  /** Rate from totalSteps on; 0 by default. */
  readonly minLr?: number;
}

/** Linear warm-up, then a cosine down to minLr, then minLr: how transformers are usually trained. */
export class WarmupCosineLR extends Scheduler {
  readonly #options: Required<WarmupCosineOptions>;

  constructor(optimizer: AnyOptimizer, options: WarmupCosineOptions) {
    checkOptions('WarmupCosineLR', options, ['warmupSteps', 'totalSteps', 'minLr']);
    super(optimizer);
    this.#options = { minLr: 0, ...options };
    const { warmupSteps, totalSteps } = this.#options;
    if (!(warmupSteps >= 0 && warmupSteps < totalSteps))
      throw new Error(
        `WarmupCosineLR: warmupSteps ${warmupSteps} and totalSteps ${totalSteps} came, expected the first to be smaller`,
      );
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    const { warmupSteps, totalSteps, minLr } = this.#options;
    if (epoch < warmupSteps) return (baseLr * (epoch + 1)) / (warmupSteps + 1);
    return cosine(baseLr, minLr, Math.min(1, (epoch - warmupSteps) / (totalSteps - warmupSteps)));
  }
}
