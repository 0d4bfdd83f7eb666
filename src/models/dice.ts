/**
 * Dice, the activation of deep interest networks: its turning point follows the data.
 */

import { Module } from '../nn/index.ts';
import { blank } from '../nn/init.ts';
import type { Parameter, Tensor } from '../tensor/index.ts';

const EPS = 1e-8;
/** Weight of the newest batch in the running statistics. */
const MOMENTUM = 0.1;

/**
 * p(s) s + (1 - p(s)) alpha s with p(s) = sigmoid((s - E[s]) / sqrt(Var[s] + 1e-8)) and a learnt alpha, 0 at first, per
 * feature (Zhou et al. 2018, equation 7): [..., features] -> the same. Mean and (biased) variance are the batch's in
 * training, of those rows that count, and moving averages (of weight 0.1 for the newest batch) in evaluation. Of bf16
 * they are in f32.
 */
export class Dice extends Module<[x: Tensor, counts?: Tensor]> {
  readonly alpha: Parameter;
  readonly runningMean: Parameter;
  readonly runningVar: Parameter;

  constructor(features: number) {
    super();
    this.alpha = blank([features]);
    this.runningMean = this.registerBuffer('runningMean', blank([features]));
    this.runningVar = this.registerBuffer('runningVar', blank([features], 1));
  }

  /**
   * Activates [..., features].
   * @param counts 1 for each row [...] that counts in the statistics, 0 for padding; all count by default
   */
  forward(x: Tensor, counts?: Tensor): Tensor {
    const wide = x.dtype === 'bf16' || x.dtype === 'f16' ? x.float() : x;
    const { mean, variance } = this.training
      ? this.statistics(wide, counts)
      : { mean: this.runningMean, variance: this.runningVar };
    const p = wide.sub(mean).div(variance.add(EPS).sqrt()).sigmoid();
    return wide.mul(p.add(p.neg().add(1).mul(this.alpha))).to(x.dtype);
  }

  private statistics(x: Tensor, counts?: Tensor): { readonly mean: Tensor; readonly variance: Tensor } {
    const rows = x.shape.slice(0, -1).map((_, d) => d);
    const average = (of: Tensor): Tensor =>
      counts ? of.mul(counts.unsqueeze(-1)).sum(rows).div(counts.sum().clampMin(1)) : of.mean(rows);
    const mean = average(x);
    const from = x.sub(mean);
    const variance = average(from.mul(from));
    const { runningMean, runningVar } = this;
    runningMean.assign(runningMean.add(mean.detach().sub(runningMean).mul(MOMENTUM)));
    runningVar.assign(runningVar.add(variance.detach().sub(runningVar).mul(MOMENTUM)));
    return { mean, variance };
  }
}
