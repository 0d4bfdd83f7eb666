/**
 * Metrics of ranked lists: NDCG@k, recall@k and hit rate@k, means over rows (users, queries). A row without a relevant
 * item has no answer and is left out.
 */
import { checkChoice, checkOptions } from '../tensor/options.ts';
import { Mean } from './means.ts';
import { type MetricInput, numbersOf, scoreShape } from './metric.ts';

/** One row: what the k highest-ranked items are worth, and all of the row's relevant items. */
interface RankedRow {
  /** Relevance of the items in ranked order, at most k of them. */
  readonly top: readonly number[];
  /** Relevances above 0 of all items, in any order. */
  readonly relevant: readonly number[];
}

abstract class RankingMean extends Mean {
  readonly k: number;
  private readonly items: number;

  /** The first `k` of each row count. `items` per row is only needed for plain arrays, which carry no shape. */
  constructor(k: number, options: { items?: number } = {}) {
    const { items = 0 } = checkOptions(new.target.name, options, ['items']);
    super();
    if (!Number.isInteger(k) || k < 1)
      throw new Error(`${this.constructor.name}: k is ${k}, expected a positive integer`);
    this.k = k;
    this.items = items;
  }

  /**
   * `scores` [rows, items], `relevance` [rows, items] of 0 and 1 or of grades from 0 up. Among equal scores the lower
   * index ranks first, as a stable descending sort has it.
   */
  update(scores: MetricInput, relevance: MetricInput): this {
    const name = this.constructor.name;
    const [rows, items] = scoreShape(name, scores, this.items);
    const score = numbersOf(scores);
    const grade = numbersOf(relevance);
    if (grade.length !== rows * items)
      throw new Error(`${name}: ${grade.length} relevances for ${rows} rows of ${items} items`);
    for (let row = 0; row < rows; row++) {
      const at = row * items;
      const relevant: number[] = [];
      for (let i = 0; i < items; i++) {
        if (Number.isNaN(score[at + i])) throw new Error(`${name}: a score of row ${row} is NaN`);
        if (!(grade[at + i] >= 0))
          throw new Error(`${name}: relevance ${grade[at + i]} of row ${row}, expected a number of at least 0`);
        if (grade[at + i] > 0) relevant.push(grade[at + i]);
      }
      const order = Uint32Array.from({ length: items }, (_, i) => i).sort(
        (a, b) => score[at + b] - score[at + a] || a - b,
      );
      this.addRow({ top: Array.from(order.subarray(0, this.k), item => grade[at + item]), relevant });
    }
    return this;
  }

  /**
   * One row by its items' names: `ranked` as the model orders them, best first, and those that are `relevant` (each
   * with grade 1).
   */
  addList<Item>(ranked: readonly Item[], relevant: Iterable<Item>): this {
    const wanted = new Set(relevant);
    const top = ranked.slice(0, this.k).map(item => (wanted.has(item) ? 1 : 0));
    this.addRow({ top, relevant: Array.from(wanted, () => 1) });
    return this;
  }

  private addRow(row: RankedRow): void {
    if (row.relevant.length > 0) this.add(this.of(row));
  }

  /** The value of one row, whose mean over rows is the metric. */
  protected abstract of(row: RankedRow): number;
}

/** Share of the relevant items that are among the first k. */
export class RecallAtK extends RankingMean {
  protected override of({ top, relevant }: RankedRow): number {
    return top.filter(grade => grade > 0).length / relevant.length;
  }
}

/** Share of the rows with a relevant item among the first k. */
export class HitRateAtK extends RankingMean {
  protected override of({ top }: RankedRow): number {
    return top.some(grade => grade > 0) ? 1 : 0;
  }
}

export interface NdcgOptions {
  readonly items?: number;
  /**
   * Gain of a grade: itself, as scikit-learn's `ndcg_score` has it ('linear', the default), or 2^grade - 1
   * ('exponential').
   */
  readonly gain?: 'linear' | 'exponential';
}

/**
 * Normalised discounted cumulative gain of the first k: gains over log2(1 + rank), divided by those of the best order
 * (Järvelin and Kekäläinen, TOIS 2002).
 */
export class NDCGAtK extends RankingMean {
  private readonly gain: (grade: number) => number;

  constructor(k: number, options: NdcgOptions = {}) {
    const { items, gain = 'linear' } = checkOptions('NDCGAtK', options, ['items', 'gain']);
    checkChoice('NDCGAtK', 'gain', gain, ['linear', 'exponential']);
    super(k, { items });
    this.gain = gain === 'linear' ? grade => grade : grade => 2 ** grade - 1;
  }

  protected override of({ top, relevant }: RankedRow): number {
    const best = [...relevant].sort((a, b) => b - a).slice(0, this.k);
    return this.discounted(top) / this.discounted(best);
  }

  private discounted(grades: readonly number[]): number {
    return grades.reduce((sum, grade, rank) => sum + this.gain(grade) / Math.log2(rank + 2), 0);
  }
}
