/**
 * Schedules along cosines: annealing, warm restarts, one cycle, and warm-up followed by annealing.
 */
import type { AnyOptimizer } from './optimizer.ts';
import { checkSteps, Scheduler } from './scheduler.ts';

/** From `from` (share 0) to `to` (share 1) along half a cosine. */
const cosine = (from: number, to: number, share: number): number =>
  to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;

/** From lr down to etaMin in tMax steps, and back up in the next tMax (Loshchilov and Hutter 2017, without restarts). */
export class CosineAnnealingLR extends Scheduler {
  readonly tMax: number;
  readonly etaMin: number;

  constructor(optimizer: AnyOptimizer, tMax: number, { etaMin = 0 }: { readonly etaMin?: number } = {}) {
    super(optimizer);
    this.tMax = checkSteps('CosineAnnealingLR: tMax', tMax);
    this.etaMin = etaMin;
    this.apply();
  }

  rateAt(epoch: number, baseLr: number): number {
    return cosine(baseLr, this.etaMin, epoch / this.tMax);
  }
}

export interface WarmRestartOptions {
  /** How much longer each round is than the one before; 1 by default. */
  readonly tMult?: number;
  /** Lowest rate; 0 by default. */
  readonly etaMin?: number;
}

/** Rounds from lr down to etaMin: the first takes t0 steps, each further one tMult times as many (Loshchilov and Hutter 2017). */
export class CosineAnnealingWarmRestarts extends Scheduler {
  readonly t0: number;
  readonly tMult: number;
  readonly etaMin: number;

  constructor(optimizer: AnyOptimizer, t0: number, { tMult = 1, etaMin = 0 }: WarmRestartOptions = {}) {
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
}

interface Phase {
  readonly end: number;
  readonly from: number;
  readonly to: number;
}

/** Up to maxLr and down to almost nothing, once (Smith and Topin 2018). Momentum is left alone (PyTorch's cycle_momentum=False). */
export class OneCycleLR extends Scheduler {
  readonly totalSteps: number;
  readonly #options: Required<OneCycleOptions>;

  /** @throws Error when stepped beyond totalSteps */
  constructor(optimizer: AnyOptimizer, options: OneCycleOptions) {
    super(optimizer);
    this.totalSteps = checkSteps('OneCycleLR: totalSteps', options.totalSteps);
    this.#options = {
      pctStart: 0.3,
      annealStrategy: 'cos',
      divFactor: 25,
      finalDivFactor: 1e4,
      threePhase: false,
      ...options,
    };
    const { pctStart } = this.#options;
    if (!(pctStart >= 0 && pctStart <= 1)) throw new Error(`OneCycleLR: pctStart ${pctStart} came, expected 0 to 1`);
    this.apply();
  }

  #phases(group: number): Phase[] {
    const { maxLr, pctStart, divFactor, finalDivFactor, threePhase } = this.#options;
    const top = typeof maxLr === 'number' ? maxLr : maxLr[group];
    if (top === undefined) throw new Error(`OneCycleLR: maxLr has no rate for group ${group}`);
    const start = top / divFactor;
    const bottom = start / finalDivFactor;
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
    if (epoch > this.totalSteps) throw new Error(`OneCycleLR: step ${epoch} came, the cycle has ${this.totalSteps}`);
    const phases = this.#phases(group);
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
