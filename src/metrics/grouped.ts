/**
 * AUC within groups: how well each user's impressions are ordered, which is what a feed shows, instead of how users are
 * ordered among one another.
 */
import { checkOptions } from '../tensor/options.ts';
import { auc, finite } from './auc.ts';
import { checkPairs, type Metric, type MetricInput, numbersOf } from './metric.ts';

/** What a group's AUC counts for: its rows (as GAUC was published), its positives, or the same for every group. */
export type GroupWeight = 'rows' | 'positives' | 'equal';

export interface GroupedAucState {
  readonly groups: Readonly<Record<string, { readonly scores: readonly number[]; readonly labels: readonly number[] }>>;
}

/**
 * GAUC: the weighted mean of the groups' AUCs (Zhou et al., "Deep Interest Network", KDD 2018, section 6.2). Groups of
 * one class have no AUC and are left out; NaN when all are. Keeps every score.
 */
export class GroupedAUC implements Metric<number, GroupedAucState> {
  private readonly weight: GroupWeight;
  private groups = new Map<string, { scores: number[]; labels: number[] }>();

  /** `weight`: 'rows' by default. */
  constructor(options: { weight?: GroupWeight } = {}) {
    const { weight = 'rows' } = checkOptions('GroupedAUC', options, ['weight']);
    this.weight = weight;
  }

  /**
   * `scores` [n] (any monotone score), `labels` [n] of 0 and 1, `groups` [n] with users, sessions or queries by any
   * name.
   */
  update(scores: MetricInput, labels: MetricInput, groups: ArrayLike<string | number | bigint>): this {
    const score = numbersOf(scores);
    const label = numbersOf(labels);
    checkPairs('GroupedAUC', score.length, label.length);
    if (groups.length !== score.length)
      throw new Error(`GroupedAUC: ${groups.length} groups for ${score.length} predictions`);
    for (let i = 0; i < score.length; i++) {
      if (Number.isNaN(score[i])) throw new Error('GroupedAUC: a score is NaN');
      if (label[i] !== 0 && label[i] !== 1) throw new Error(`GroupedAUC: label ${label[i]}, expected 0 or 1`);
      const group = this.group(String(groups[i]));
      group.scores.push(finite(score[i]));
      group.labels.push(label[i]);
    }
    return this;
  }

  compute(): number {
    let sum = 0;
    let total = 0;
    for (const { scores, labels } of this.groups.values()) {
      const positives = labels.reduce((a, label) => a + label, 0);
      if (positives === 0 || positives === labels.length) continue;
      const weight = this.weight === 'rows' ? labels.length : this.weight === 'positives' ? positives : 1;
      sum += weight * auc(scores, labels);
      total += weight;
    }
    return sum / total;
  }

  reset(): void {
    this.groups.clear();
  }

  state(): GroupedAucState {
    return {
      groups: Object.fromEntries(
        [...this.groups].map(([name, { scores, labels }]) => [name, { scores: [...scores], labels: [...labels] }]),
      ),
    };
  }

  merge(state: GroupedAucState): void {
    for (const [name, { scores, labels }] of Object.entries(state.groups))
      this.update(
        scores,
        labels,
        Array.from(scores, () => name),
      );
  }

  private group(name: string): { scores: number[]; labels: number[] } {
    let group = this.groups.get(name);
    if (!group) {
      group = { scores: [], labels: [] };
      this.groups.set(name, group);
    }
    return group;
  }
}
