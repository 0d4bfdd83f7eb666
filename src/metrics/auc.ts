/**
 * Area under the ROC curve: exact (all scores kept) and streaming (two histograms, mergeable across machines).
 * Ties count one half, as the trapezoids of scikit-learn's roc_auc_score do.
 */
import { checkOptions } from '../tensor/options.ts';
import { checkPairs, type Metric, type MetricInput, numbersOf } from './metric.ts';

/**
 * Exact AUC of `scores` [n] (any monotone score: logits or probabilities) against `labels` [n] of 0 and 1. NaN when
 * only one class is there. By ranks (Mann-Whitney): (sum of the positives' mean ranks - P (P + 1) / 2) / (P N).
 * @throws Error when a score is NaN or a label is neither 0 nor 1.
 */
export function auc(scores: MetricInput, labels: MetricInput): number {
  return new AUC().update(scores, labels).compute();
}

/** Exact AUC over all batches; keeps every score. */
export class AUC implements Metric<number, { readonly scores: readonly number[]; readonly labels: readonly number[] }> {
  private scores: number[] = [];
  private labels: number[] = [];

  /** `scores` [n], `labels` [n] of 0 and 1. */
  update(scores: MetricInput, labels: MetricInput): this {
    const score = numbersOf(scores);
    const label = numbersOf(labels);
    checkPairs('AUC', score.length, label.length);
    for (let i = 0; i < score.length; i++) {
      if (Number.isNaN(score[i])) throw new Error('AUC: a score is NaN');
      if (label[i] !== 0 && label[i] !== 1) throw new Error(`AUC: label ${label[i]}, expected 0 or 1`);
      this.scores.push(finite(score[i]!));
      this.labels.push(label[i]!);
    }
    return this;
  }

  compute(): number {
    const n = this.scores.length;
    const scores = Float64Array.from(this.scores);
    const order = Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
    let positives = 0;
    // Twice the rank sum stays an integer, also with ties: exact up to 2^53.
    let twiceRankSum = 0;
    for (let start = 0; start < n; ) {
      let end = start;
      let tied = 0;
      while (end < n && scores[order[end]!] === scores[order[start]!]) tied += this.labels[order[end++]!]!;
      twiceRankSum += tied * (start + 1 + end);
      positives += tied;
      start = end;
    }
    const negatives = n - positives;
    return (twiceRankSum - positives * (positives + 1)) / (2 * positives * negatives);
  }

  reset(): void {
    this.scores = [];
    this.labels = [];
  }

  state(): { scores: number[]; labels: number[] } {
    return { scores: [...this.scores], labels: [...this.labels] };
  }

  merge(state: { readonly scores: readonly number[]; readonly labels: readonly number[] }): void {
    this.update(state.scores, state.labels);
  }
}

export interface AucOptions {
  /**
   * Histogram buckets over [0, 1]; the error is at most the share of pairs that fall into one bucket. Default 65,536.
   */
  readonly buckets?: number;
}

export interface StreamingAucState {
  readonly positives: readonly number[];
  readonly negatives: readonly number[];
}

/**
 * AUC of probabilities in bounded memory: positives and negatives are counted per bucket, states are summed across
 * workers, and the curve is integrated by trapezoids, as the distributed AUC of parameter-server systems does.
 */
export class StreamingAUC implements Metric<number, StreamingAucState> {
  private readonly positives: Float64Array;
  private readonly negatives: Float64Array;

  constructor(options: AucOptions = {}) {
    const { buckets = 65_536 } = checkOptions('StreamingAUC', options, ['buckets']);
    if (!Number.isInteger(buckets) || buckets < 2)
      throw new Error(`StreamingAUC: ${buckets} buckets, expected an integer of at least 2`);
    this.positives = new Float64Array(buckets);
    this.negatives = new Float64Array(buckets);
  }

  /**
   * `probabilities` [n] in [0, 1], `labels` [n] of 0 and 1, or shares between: y counts as y positives and 1 - y
   * negatives.
   */
  update(probabilities: MetricInput, labels: MetricInput): this {
    const score = numbersOf(probabilities);
    const label = numbersOf(labels);
    checkPairs('StreamingAUC', score.length, label.length);
    const buckets = this.positives.length;
    for (let i = 0; i < score.length; i++) {
      const p = score[i]!;
      const y = label[i]!;
      if (!(p >= 0 && p <= 1)) throw new Error(`StreamingAUC: probability ${p} of row ${i} is outside [0, 1]`);
      if (!(y >= 0 && y <= 1)) throw new Error(`StreamingAUC: label ${y} of row ${i}, expected a number from 0 to 1`);
      const bucket = Math.min(buckets - 1, Math.floor(p * buckets));
      this.positives[bucket]! += y;
      this.negatives[bucket]! += 1 - y;
    }
    return this;
  }

  compute(): number {
    let positives = 0;
    let negatives = 0;
    let area = 0;
    for (let b = this.positives.length - 1; b >= 0; b--) {
      const p = this.positives[b]!;
      const n = this.negatives[b]!;
      area += n * (positives + p / 2);
      positives += p;
      negatives += n;
    }
    return area / (positives * negatives);
  }

  reset(): void {
    this.positives.fill(0);
    this.negatives.fill(0);
  }

  state(): StreamingAucState {
    return { positives: [...this.positives], negatives: [...this.negatives] };
  }

  merge(state: StreamingAucState): void {
    if (state.positives.length !== this.positives.length || state.negatives.length !== this.negatives.length)
      throw new Error(
        `StreamingAUC.merge: state of ${state.positives.length} buckets into one of ${this.positives.length}`,
      );
    for (let b = 0; b < this.positives.length; b++) {
      this.positives[b]! += state.positives[b]!;
      this.negatives[b]! += state.negatives[b]!;
    }
  }
}

/** JSON has no infinities: the largest numbers, in the same order, stand for them in states. */
export const finite = (score: number): number => Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, score));
