/**
 * What rows and vectors start with: weights are a function of the sign and the table's seed, so nothing depends on the
 * order in which signs come, and state is what the row optimizers say.
 */
import { normalOf, uniformOf } from './hash.ts';
import type { Layout } from './layout.ts';
import type { RowRule } from './optimizers.ts';
import type { TableSettings } from './options.ts';

export class InitialValues {
  private readonly settings: TableSettings;
  private readonly layout: Layout;
  private readonly wideRule: RowRule;
  private readonly rule: RowRule;

  constructor(settings: TableSettings, layout: Layout, wideRule: RowRule, rule: RowRule) {
    this.settings = settings;
    this.layout = layout;
    this.wideRule = wideRule;
    this.rule = rule;
  }

  /** Weights of a sign's vector. */
  weights(hash: number, tag: number, out: Float32Array, at: number): void {
    const { init, seed, dim } = this.settings;
    if (init.type === 'normal') {
      const std = init.std ?? 1e-4;
      for (let d = 0; d < dim; d++) out[at + d] = std * normalOf(hash, tag, d, seed);
      return;
    }
    const range = init.range ?? 1e-4;
    for (let d = 0; d < dim; d++) out[at + d] = range * (2 * uniformOf(hash, tag, d, seed) - 1);
  }

  /** A vector that lies apart, weights and state. */
  vector(hash: number, tag: number, out: Float32Array, at: number): void {
    this.weights(hash, tag, out, at);
    this.rule.start(out, at + this.layout.vectorState, this.layout.dim);
  }

  /** All of a row of zeros beside its sign. */
  row(hash: number, tag: number, out: Float32Array, at: number): void {
    this.states(out, at);
    if (!this.layout.apart) this.weights(hash, tag, out, at + this.layout.vector);
  }

  /** A row but for its sign and the weights of its vector. */
  blankRow(): Float32Array {
    const blank = new Float32Array(this.layout.rowWords);
    this.states(blank, 0);
    return blank;
  }

  private states(out: Float32Array, at: number): void {
    const { wide, wideState, apart, dim, vectorState } = this.layout;
    if (wide) this.wideRule.start(out, at + wideState, 1);
    if (!apart && dim > 0) this.rule.start(out, at + vectorState, dim);
  }
}
