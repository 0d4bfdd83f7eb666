/**
 * Schedules one after another.
 */
import type { AnyOptimizer } from './optimizer.ts';
import { Scheduler } from './scheduler.ts';

/**
 * Follows the first schedule until the first milestone, then the second from its own start, and so on. All of them must
 * have been made for the same optimizer, and are from then on stepped by this one.
 */
export class SequentialLR extends Scheduler {
  readonly schedulers: readonly Scheduler[];
  readonly milestones: readonly number[];

  constructor(optimizer: AnyOptimizer, schedulers: readonly Scheduler[], milestones: readonly number[]) {
    super(optimizer);
    if (!Array.isArray(milestones) || milestones.length !== schedulers.length - 1)
      throw new Error(
        `SequentialLR: ${schedulers.length} schedules and ${milestones?.length ?? 'no'} milestones came, expected one milestone fewer`,
      );
    if (schedulers.some(scheduler => scheduler.optimizer !== optimizer))
      throw new Error('SequentialLR: a schedule belongs to another optimizer');
    this.schedulers = [...schedulers];
    this.milestones = [...milestones];
    this.apply();
  }

  rateAt(epoch: number, baseLr: number, group: number): number {
    const index = this.milestones.filter(milestone => milestone <= epoch).length;
    const start = index === 0 ? 0 : this.milestones[index - 1]!;
    return this.schedulers[index]!.rateAt(epoch - start, baseLr, group);
  }

  override momentumAt(epoch: number, group: number): number | null {
    const index = this.milestones.filter(milestone => milestone <= epoch).length;
    const start = index === 0 ? 0 : this.milestones[index - 1]!;
    return this.schedulers[index]!.momentumAt(epoch - start, group);
  }
}
