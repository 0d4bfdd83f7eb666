/**
 * What a trainer asks of a table, and no more: so that one that spreads its signs over many processes can stand in its
 * place.
 */
import type { Sign } from '../batch.ts';

/**
 * The distinct signs of one batch, in order of first appearance: found once, then gathered from and pushed to. The
 * table's last two lookups are valid, so a batch may be looked up before the one before it is pushed; what `gather`
 * gives is as of the lookup.
 */
export interface Lookup {
  /** Distinct signs. */
  readonly unique: number;
  /** Of each of the `count` ids that came: which distinct sign it is. May be longer than `count`. */
  readonly inverse: Int32Array;
  readonly count: number;
}

/** One row as people look at it. */
export interface TableRow {
  readonly sign: bigint;
  readonly slot: number;
  readonly show: number;
  readonly click: number;
  readonly unseenDays: number;
  readonly deltaScore: number;
  /** Whether the vector is there. */
  readonly admitted: boolean;
  /** [width]; what a pull gives. */
  readonly weights: Float32Array;
}

/** What `shrink` did. */
export interface ShrinkReport {
  readonly deleted: number;
  readonly kept: number;
}

/**
 * Which rows a save holds: `full` all, with optimizer state (a checkpoint); `base` the rows worth serving; `delta`
 * those that grew since the last base or delta; `batch` all, and every row is one day older afterwards.
 */
export type SaveMode = 'full' | 'base' | 'delta' | 'batch';

export interface SaveReport {
  readonly rows: number;
  readonly bytes: number;
}

export interface SparseTable {
  /** Weights a pull gives per sign: dim, and one more in front with `wide`. */
  readonly width: number;
  /** Rows. */
  readonly size: number;
  /** Whether the row optimizers divide by the shows, and so take gradients of summed and not of mean losses. */
  readonly summed: { readonly wide: boolean; readonly vector: boolean };
  /** Finds the distinct signs among the first `count` of (hi, lo). */
  lookup(hi: Uint32Array, lo: Uint32Array, count: number): Lookup;
  /** Weights of the distinct signs, [unique, width], into `out`; of a sign that has no row what it would start with. */
  gather(lookup: Lookup, out: Float32Array): void;
  /** The same where they lie, perhaps with more behind them: to be read only, and as long as the lookup is valid. */
  weights(lookup: Lookup): Float32Array;
  /** Shows of the distinct signs so far, [unique], into `out`; 0 without a row. */
  shows(lookup: Lookup, out: Float32Array): void;
  /**
   * Applies gradients [unique, width] with the shows and clicks that came with each distinct sign, [unique] each;
   * creates rows that are not there as the admission says. `slots` [unique] is kept in the rows.
   */
  push(lookup: Lookup, gradients: Float32Array, shows: Float32Array, clicks: Float32Array, slots?: Int32Array): void;
  /** A copy of a sign's row, null where there is none. */
  row(sign: Sign): TableRow | null;
  /** The end of a day: decays shows and clicks, deletes rows of low score and rows unseen for long. */
  shrink(): ShrinkReport;
  /** Writes the rows of a mode to one file, atomically. @throws Error naming the file and the reason. */
  save(path: string, mode: SaveMode): SaveReport;
  /**
   * Replaces all rows by those of a file.
   * @throws Error for a file of another version, dimension or optimizer; the table is as before.
   */
  load(path: string): void;
  /** Puts the rows of a delta over those here. */
  applyDelta(path: string): void;
}
