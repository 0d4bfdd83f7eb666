/**
 * Item-to-item collaborative filtering (Linden et al. 2003): items that the same users took, by cosine of their users'
 * sets. Learns in one pass over histories, in any order; states of several processes add up.
 */
import { checkOptions } from '../../tensor/options.ts';
import { type Sign, signOf, signParts } from '../batch.ts';

export interface ItemToItemOptions {
  /**
   * Histories longer than this count with their most recent items only, as pairs grow with the square; 100 by default.
   */
  readonly longest?: number;
}

export interface Neighbour {
  readonly item: bigint;
  /** Cosine, in (0, 1]; for recommendations the sum of them. */
  readonly score: number;
}

/** Users per item and per pair of items, as plain arrays of [item, other or item, users]. */
export interface ItemToItemState {
  readonly pairs: readonly (readonly [string, string, number])[];
}

const keyOf = (sign: Sign): bigint => {
  const { hi, lo } = signParts(sign);
  return signOf(hi, lo);
};

/**
 * Item-to-item collaborative filtering by cosine of co-occurrence (Linden, Smith and York 2003), counted from sequences
 * of signs.
 */
export class ItemToItem {
  readonly longest: number;
  /** Users per item. */
  private readonly counts = new Map<bigint, number>();
  private readonly together = new Map<bigint, Map<bigint, number>>();

  constructor(options: ItemToItemOptions = {}) {
    const { longest = 100 } = checkOptions('ItemToItem', options, ['longest']);
    this.longest = longest;
  }

  /** Adds one user's items, oldest first. A repeated item counts once. */
  update(history: readonly Sign[]): this {
    const items = [...new Set(history.map(keyOf))].slice(-this.longest);
    for (const item of items) {
      this.counts.set(item, (this.counts.get(item) ?? 0) + 1);
      for (const other of items) if (other !== item) this.add(item, other, 1);
    }
    return this;
  }

  private add(item: bigint, other: bigint, users: number): void {
    let row = this.together.get(item);
    if (!row) this.together.set(item, (row = new Map()));
    row.set(other, (row.get(other) ?? 0) + users);
  }

  /** The `k` items nearest to an item, best first; ties by sign. */
  similar(item: Sign, k = 10): Neighbour[] {
    const own = keyOf(item);
    const users = this.counts.get(own) ?? 0;
    const scores = [...(this.together.get(own) ?? [])].map(([other, both]) => ({
      item: other,
      score: both / Math.sqrt(users * this.counts.get(other)!),
    }));
    return best(scores, k);
  }

  /** The `k` items with the largest sum of cosines to a history, without those in it. */
  recommend(history: readonly Sign[], k = 10): Neighbour[] {
    const seen = new Set(history.map(keyOf));
    const sums = new Map<bigint, number>();
    for (const item of seen) {
      for (const { item: other, score } of this.similar(item, Number.POSITIVE_INFINITY))
        if (!seen.has(other)) sums.set(other, (sums.get(other) ?? 0) + score);
    }
    return best(
      [...sums].map(([item, score]) => ({ item, score })),
      k,
    );
  }

  /** What it has learnt, to be saved or added to another's. */
  state(): ItemToItemState {
    const pairs = [...this.counts].map(([item, users]) => [`${item}`, `${item}`, users] as const);
    const both = [...this.together].flatMap(([item, row]) =>
      [...row].map(([other, users]) => [`${item}`, `${other}`, users] as const),
    );
    return { pairs: [...pairs, ...both] };
  }

  /** Adds what another has learnt from other users. */
  merge({ pairs }: ItemToItemState): this {
    for (const [item, other, users] of pairs) {
      const a = BigInt(item);
      const b = BigInt(other);
      if (a === b) this.counts.set(a, (this.counts.get(a) ?? 0) + users);
      else this.add(a, b, users);
    }
    return this;
  }
}

function best(scores: Neighbour[], k: number): Neighbour[] {
  scores.sort((a, b) => b.score - a.score || (a.item < b.item ? -1 : 1));
  return scores.slice(0, k);
}
