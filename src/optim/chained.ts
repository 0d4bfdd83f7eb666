/**
 * Several schedules at once.
 */
import type { AnyOptimizer } from './optimizer.ts';
import { checkFactors, type Factors, perGroup, Scheduler } from './scheduler.ts';

/**
 * Every step moves all schedules on, each from the rate that the one before it has left: factors multiply. All must
 * have been made for the same optimizer, and are from then on stepped by this one.
 */
export class ChainedScheduler extends Scheduler {
  readonly schedulers: readonly Scheduler[];
  /** Rates of each group by step, as far as they have been asked for, and the base they are from. */
  readonly #rates: { readonly baseLr: number; readonly rates: number[] }[] = [];

  constructor(schedulers: readonly Scheduler[]) {
    const [first] = schedulers;
    if (!first) throw new Error('ChainedScheduler: no schedules came');
    super(first.optimizer);
    if (schedulers.some(scheduler => scheduler.optimizer !== first.optimizer))
      throw new Error('ChainedScheduler: a schedule belongs to another optimizer');
    this.schedulers = [...schedulers];
    this.apply();
  }

  rateAt(epoch: number, baseLr: number, group: number): number {
    if (this.#rates[group]?.baseLr !== baseLr) this.#rates[group] = { baseLr, rates: [] };
    const { rates } = this.#rates[group];
    for (let e = rates.length; e <= epoch; e++) {
      const before = e === 0 ? baseLr : rates[e - 1]!;
      rates.push(this.schedulers.reduce((lr, scheduler) => scheduler.follow(e, lr, baseLr, group), before));
    }
    return rates[epoch]!;
  }

  override momentumAt(epoch: number, group: number): number | null {
    return this.schedulers.reduce<number | null>((last, scheduler) => scheduler.momentumAt(epoch, group) ?? last, null);
  }
}

/**
 * The rate times factor(epoch) at every step: the product of all factors so far, with one function, or one per group.
 */
export class MultiplicativeLR extends Scheduler {
  /** One for all parameter groups, or one per group. */
  readonly factors: Factors;
  readonly #products: number[][] = [];

  constructor(optimizer: AnyOptimizer, factors: Factors) {
    super(optimizer);
    this.factors = checkFactors('MultiplicativeLR', optimizer, factors);
    this.apply();
  }

  rateAt(epoch: number, baseLr: number, group: number): number {
    const products = (this.#products[group] ??= [1]);
    const factor = perGroup('MultiplicativeLR: factors', this.factors, group);
    for (let e = products.length; e <= epoch; e++) products.push(products[e - 1]! * factor(e));
    return baseLr * products[epoch]!;
  }

  override follow(epoch: number, lr: number, _baseLr: number, group: number): number {
    return epoch === 0 ? lr : lr * perGroup('MultiplicativeLR: factors', this.factors, group)(epoch);
  }
}
