/**
 * The words of a row. Every row: sign, link, slot and age, statistics, the wide weight and its state. The vector and
 * its state follow in the same row where every row has one, and lie in a store of their own where vectors are admitted
 * later.
 */
import type { RowRule } from './optimizers.ts';
import type { TableSettings } from './options.ts';

export const HI = 0;
export const LO = 1;
/** Vector row + 1 where vectors lie apart (0: none); the next free row while the row is free. */
export const LINK = 2;
/** Slot in the lower 16 bits, days unseen in the upper; FREE_AGE marks a row that is free. */
export const META = 3;
export const DELTA = 4;
export const SHOW = 5;
export const CLICK = 6;
export const WIDE = 7;

export const FREE_AGE = 0xffff;
export const OLDEST = FREE_AGE - 1;

export interface Layout {
  /** Words of a row in the main store. */
  readonly rowWords: number;
  /** Words of a vector's row where it lies apart; 0 where it is inside. */
  readonly vectorWords: number;
  /** Wide weights: 0 or 1. */
  readonly wide: number;
  readonly wideState: number;
  readonly dim: number;
  /** Where the vector starts in its row, and its state. */
  readonly vector: number;
  readonly vectorState: number;
  readonly wideStateWords: number;
  readonly vectorStateWords: number;
  /** Whether vectors lie apart. */
  readonly apart: boolean;
  /** Weights a pull gives. */
  readonly width: number;
}

export function layoutOf({ dim, wide, admission }: TableSettings, wideRule: RowRule, rule: RowRule): Layout {
  const wides = wide ? 1 : 0;
  const wideStateWords = wides * wideRule.stateWords(1);
  const vectorStateWords = dim > 0 ? rule.stateWords(dim) : 0;
  const head = WIDE + wides + wideStateWords;
  const apart = dim > 0 && (admission.type === 'count' || admission.type === 'score');
  const start = apart ? 0 : head;
  return {
    rowWords: apart ? head : head + dim + vectorStateWords,
    vectorWords: apart ? dim + vectorStateWords : 0,
    wide: wides,
    wideState: WIDE + wides,
    dim,
    vector: start,
    vectorState: start + dim,
    wideStateWords,
    vectorStateWords,
    apart,
    width: wides + dim,
  };
}
