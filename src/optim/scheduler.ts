/**
 * The base of learning rate schedules: a schedule is a formula from the number of steps to a rate, so it can be read,
 * saved and resumed at any place. Schedules change `group.lr` between optimizer steps; compiled steps see it.
 */
import { describe } from '../tensor/operands.ts';
import type { AnyOptimizer } from './optimizer.ts';

/** State of a schedule as plain data, fit for JSON. */
export interface SchedulerState {
  readonly epoch: number;
  readonly baseLrs: readonly number[];
}

/** A schedule that depends on nothing but the number of steps taken. */
export abstract class Scheduler {
  readonly optimizer: AnyOptimizer;
  /** The groups' rates when the first schedule was made for them: what all schedules scale. */
  #baseLrs: readonly number[];
  #epoch = 0;

  constructor(optimizer: AnyOptimizer) {
    this.optimizer = checkOptimizer(new.target.name, optimizer);
    this.#baseLrs = optimizer.paramGroups.map(group => (group.initialLr ??= group.lr));
  }

  /** The rate of a group after `epoch` steps, from the rate it started with. */
  abstract rateAt(epoch: number, baseLr: number, group: number): number;

  /**
   * The rate after `epoch` steps where other schedules change it as well, from the rate `lr` that they left: by default
   * it changes by the same factor as without them.
   */
  follow(epoch: number, lr: number, baseLr: number, group: number): number {
    const now = this.rateAt(epoch, baseLr, group);
    const before = epoch === 0 ? baseLr : this.rateAt(epoch - 1, baseLr, group);
    return now === before ? lr : lr * (now / before);
  }

  /** The momentum of a group after `epoch` steps, null for schedules that leave it alone. */
  momentumAt(_epoch: number, _group: number): number | null {
    return null;
  }

  /** Steps taken; steps are epochs or batches, as the caller likes. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The groups' present rates. */
  getLastLr(): number[] {
    return this.optimizer.paramGroups.map(group => group.lr);
  }

  /**
   * Takes on groups that came after the schedule: with the base that makes the rate they came with that of the present
   * step, so that they follow from here as the others do. Rates are linear in their base; where they do not depend on
   * it, any will do.
   */
  #takeOn(): void {
    const { paramGroups: groups } = this.optimizer;
    if (groups.length === this.#baseLrs.length) return;
    this.#baseLrs = groups.map((group, i) => {
      const base = this.#baseLrs[i];
      if (base !== undefined) return base;
      const [none, one] = [this.rateAt(this.#epoch, 0, i), this.rateAt(this.#epoch, 1, i)];
      return (group.initialLr ??= one === none ? group.lr : (group.lr - none) / (one - none));
    });
  }

  /** Sets the rates for the present step. Subclasses call it at the end of their constructor. */
  protected apply(): void {
    this.optimizer.paramGroups.forEach((group, i) => {
      group.lr = this.rateAt(this.#epoch, this.#baseLrs[i]!, i);
      const momentum = this.momentumAt(this.#epoch, i);
      if (momentum !== null) group.momentum = momentum;
    });
  }

  /** Moves on by one step. Call it after `optimizer.step()`. */
  step(): void {
    this.#takeOn();
    this.#epoch++;
    this.apply();
  }

  /** The rates the schedule scales, one per group. */
  get baseLrs(): readonly number[] {
    this.#takeOn();
    return this.#baseLrs;
  }

  /** Steps taken and the rates they scale, as plain data fit for JSON. */
  stateDict(): SchedulerState {
    return { epoch: this.#epoch, baseLrs: [...this.baseLrs] };
  }

  /** Goes on from a saved state. @throws Error when it is that of an optimizer with another number of groups */
  loadStateDict({ epoch, baseLrs }: SchedulerState): void {
    if (baseLrs.length !== this.optimizer.paramGroups.length)
      throw new Error(
        `${this.constructor.name}.loadStateDict: rates of ${baseLrs.length} groups came, the optimizer has ${this.optimizer.paramGroups.length}`,
      );
    this.#epoch = epoch;
    this.#baseLrs = [...baseLrs];
    this.apply();
  }
}

/** A setting that is one for all groups, or one per group. */
export function perGroup<T extends number | ((epoch: number) => number)>(
  what: string,
  value: T | readonly T[],
  group: number,
): T {
  if (!Array.isArray(value)) return value as T;
  const own = (value as readonly T[])[group];
  if (own === undefined) throw new Error(`${what}: ${value.length} came, none for group ${group}`);
  return own;
}

/** What rates are multiplied by, from the number of steps taken: one function for all groups, or one per group. */
export type Factors = ((epoch: number) => number) | readonly ((epoch: number) => number)[];

/** Complains unless there is a function for every group. */
export function checkFactors(what: string, { paramGroups: groups }: AnyOptimizer, factors: Factors): Factors {
  if (typeof factors === 'function') return factors;
  if (!Array.isArray(factors))
    throw new TypeError(`${what}: expected a function of the step, or one per group, got ${describe(factors)}`);
  if (factors.length === groups.length) return factors;
  throw new Error(`${what}: ${factors.length} functions came for ${groups.length} groups`);
}

/** Complains unless `value` is an optimizer. */
export function checkOptimizer(what: string, value: AnyOptimizer): AnyOptimizer {
  if (!Array.isArray(value?.paramGroups))
    throw new TypeError(`${what}: optimizer: expected an optimizer, got ${describe(value)}`);
  return value;
}

/** Complains unless `value` is a number. */
export function checkNumber(what: string, value: number): number {
  if (typeof value !== 'number') throw new TypeError(`${what}: expected a number, got ${describe(value)}`);
  return value;
}

/** How a schedule may go from one rate to another. */
export const ANNEALINGS = ['cos', 'linear'] as const;

/** Complains unless `value` is a whole number of at least 1. */
export function checkSteps(what: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`${what}: ${value} came, expected a whole number of at least 1`);
  return value;
}
