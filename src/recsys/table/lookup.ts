/**
 * A lookup of a table: the distinct signs of a batch, their rows, and what the rows held.
 */
import { DistinctSigns } from './distinct.ts';
import type { Lookup } from './sparse-table.ts';

/** The rows of a table's distinct signs. */
export class TableLookup extends DistinctSigns implements Lookup {
  /** `[unique]`: row, -1 where there is none. */
  rows = new Int32Array(0);
  /** [unique, width] and [unique]: as the rows were at the lookup. */
  weights = new Float32Array(0);
  shows = new Float32Array(0);
  /** Signs that a push creates. */
  wanted = new Int32Array(0);
  /** The table's epoch and its insertions when the rows were found. */
  epoch = -1;
  inserted = -1;

  /** Makes room for as many rows as there is room for signs. */
  reserveRows(width: number): void {
    const room = this.hi.length;
    if (this.rows.length >= room) return;
    this.rows = new Int32Array(room);
    this.weights = new Float32Array(room * width);
    this.shows = new Float32Array(room);
    this.wanted = new Int32Array(room);
  }
}
