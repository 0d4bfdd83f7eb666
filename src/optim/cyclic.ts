/**
 * Rates that go up and down, with the momentum going the other way (Smith 2017).
 */
import { checkChoice, checkOptions } from '../tensor/options.ts';
import type { AnyOptimizer } from './optimizer.ts';
import { checkSteps, perGroup, Scheduler } from './scheduler.ts';

export interface CyclicLROptions {
  /** Lowest rate, for all groups or one per group. */
  readonly baseLr: number | readonly number[];
  /** Highest rate, for all groups or one per group. */
  readonly maxLr: number | readonly number[];
  /** Steps of a rise; 2000 by default. */
  readonly stepSizeUp?: number;
  /** Steps of a fall; as many as of a rise by default. */
  readonly stepSizeDown?: number;
  /**
   * 'triangular' (the default), 'triangular2' (half the height after each cycle) or 'exp_range' (gamma ^ step of the
   * height).
   */
  readonly mode?: 'triangular' | 'triangular2' | 'exp_range';
  /** For 'exp_range'; 1 by default. */
  readonly gamma?: number;
  /** The height as a share, in place of `mode`. */
  readonly scaleFn?: (at: number) => number;
  /** What `scaleFn` is given: the number of the cycle, from 1 on (the default), or of the step. */
  readonly scaleMode?: 'cycle' | 'iterations';
  /** Whether momentum moves against the rate; by default it does where the optimizer has one. */
  readonly cycleMomentum?: boolean;
  /** Momentum at the highest rate; 0.8 by default. */
  readonly baseMomentum?: number | readonly number[];
  /** Momentum at the lowest rate; 0.9 by default. */
  readonly maxMomentum?: number | readonly number[];
}

const MODES = {
  triangular: { scale: () => 1, by: 'cycle' },
  triangular2: { scale: (cycle: number) => 1 / 2 ** (cycle - 1), by: 'cycle' },
  exp_range: { scale: (step: number, gamma: number) => gamma ** step, by: 'iterations' },
} as const;

/** Whether a schedule moves the momentum. @throws Error when it is asked to and there is none */
export function movesMomentum(name: string, optimizer: AnyOptimizer, asked: boolean | undefined): boolean {
  const has = optimizer.paramGroups.every(group => group.hasMomentum);
  if (asked && !has) throw new Error(`${name}: cycleMomentum needs an optimizer with momentum or betas`);
  return asked ?? has;
}

/** Triangles between baseLr and maxLr. */
export class CyclicLR extends Scheduler {
  readonly #options: Required<Omit<CyclicLROptions, 'scaleFn'>> & Pick<CyclicLROptions, 'scaleFn'>;

  constructor(optimizer: AnyOptimizer, options: CyclicLROptions) {
    checkOptions('CyclicLR', options, [
      'baseLr',
      'maxLr',
      'stepSizeUp',
      'stepSizeDown',
      'mode',
      'gamma',
      'scaleFn',
      'scaleMode',
      'cycleMomentum',
      'baseMomentum',
      'maxMomentum',
    ]);
    super(optimizer);
    const { stepSizeUp = 2000, mode = 'triangular' } = options;
    checkChoice('CyclicLR', 'mode', mode, Object.keys(MODES));
    checkChoice('CyclicLR', 'scaleMode', options.scaleMode ?? 'cycle', ['cycle', 'iterations']);
    this.#options = {
      stepSizeUp: checkSteps('CyclicLR: stepSizeUp', stepSizeUp),
      stepSizeDown: checkSteps('CyclicLR: stepSizeDown', options.stepSizeDown ?? stepSizeUp),
      mode,
      gamma: 1,
      baseMomentum: 0.8,
      maxMomentum: 0.9,
      ...options,
      scaleMode: options.scaleFn ? (options.scaleMode ?? 'cycle') : MODES[mode].by,
      cycleMomentum: movesMomentum('CyclicLR', optimizer, options.cycleMomentum),
    };
    this.apply();
  }

  /** How far up, as a share of the way from low to high, with the height of this cycle. */
  #share(epoch: number): number {
    const { stepSizeUp, stepSizeDown, mode, gamma, scaleFn, scaleMode } = this.#options;
    const total = stepSizeUp + stepSizeDown;
    const turn = stepSizeUp / total;
    const cycle = Math.floor(1 + epoch / total);
    const x = 1 + epoch / total - cycle;
    const height = x <= turn ? x / turn : (x - 1) / (turn - 1);
    const at = scaleMode === 'cycle' ? cycle : epoch;
    return height * (scaleFn ? scaleFn(at) : MODES[mode].scale(at, gamma));
  }

  rateAt(epoch: number, _baseLr: number, group: number): number {
    const { baseLr, maxLr } = this.#options;
    const low = perGroup('CyclicLR: baseLr', baseLr, group);
    return low + (perGroup('CyclicLR: maxLr', maxLr, group) - low) * this.#share(epoch);
  }

  override follow(epoch: number, _lr: number, baseLr: number, group: number): number {
    return this.rateAt(epoch, baseLr, group);
  }

  override momentumAt(epoch: number, group: number): number | null {
    const { cycleMomentum, baseMomentum, maxMomentum } = this.#options;
    if (!cycleMomentum) return null;
    const high = perGroup('CyclicLR: maxMomentum', maxMomentum, group);
    return high - (high - perGroup('CyclicLR: baseMomentum', baseMomentum, group)) * this.#share(epoch);
  }
}
