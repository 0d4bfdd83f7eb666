/**
 * Several schedules at once.
 */
import type { AnyOptimizer } from './optimizer.ts';
import { Scheduler } from './scheduler.ts';

/**
 * Every step moves all schedules on, each from the rate that the one before it has left: factors multiply. All must have been made for the
 * same optimizer, and are from then on stepped by this one.
 */
export class ChainedScheduler extends Scheduler {
  readonly schedulers: readonly Scheduler[];
  /** Rates of each group by step, as far as they have been asked for. */
  readonly #rates: number[][];

  constructor(schedulers: readonly Scheduler[]) {
    const [first] = schedulers;
    if (!first) throw new Error('ChainedScheduler: no schedules came');
    super(first.optimizer);
    if (schedulers.some(scheduler => scheduler.optimizer !== first.optimizer))
      throw new Error('ChainedScheduler: a schedule belongs to another optimizer');
    this.schedulers = [...schedulers];
    this.#rates = first.optimizer.groups.map(() => []);
    this.apply();
  }

  rateAt(epoch: number, baseLr: number, group: number): number {
    const rates = (this.#rates[group] ??= []);
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

/** The rate times factor(epoch) at every step: the product of all factors so far, with one function, or one per group. */
export class MultiplicativeLR extends Scheduler {
  /** One per parameter group. */
  readonly factors: readonly ((epoch: number) => number)[];
  readonly #products: number[][];

  constructor(optimizer: AnyOptimizer, factor: ((epoch: number) => number) | readonly ((epoch: number) => number)[]) {
    super(optimizer);
    this.factors = typeof factor === 'function' ? optimizer.groups.map(() => factor) : [...factor];
    if (this.factors.length !== optimizer.groups.length)
      throw new Error(`MultiplicativeLR: ${this.factors.length} functions came for ${optimizer.groups.length} groups`);
    this.#products = optimizer.groups.map(() => [1]);
    this.apply();
  }

  rateAt(epoch: number, baseLr: number, group: number): number {
    const products = this.#products[group]!;
    for (let e = products.length; e <= epoch; e++) products.push(products[e - 1]! * this.factors[group]!(e));
    return baseLr * products[epoch]!;
  }

  override follow(epoch: number, lr: number, _baseLr: number, group: number): number {
    return epoch === 0 ? lr : lr * this.factors[group]!(epoch);
  }
}
