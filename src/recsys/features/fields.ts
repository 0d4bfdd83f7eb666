/**
 * A record as a parser leaves it: for each column the byte ranges of its values. No strings are made. Imports nothing.
 */

/** No value: the end of a column's list, or a column that the record does not have. */
export const NONE = -1;

/**
 * The values of one record at a time. Token t is bytes [start[t], end[t]); a column's tokens are head[c],
 * next[head[c]], ... up to NONE. Delimited lines have one token per column, slot text any number.
 */
export class Fields {
  readonly columns: readonly string[];
  bytes: Uint8Array = new Uint8Array(0);
  /** First token of each column. */
  readonly head: Int32Array;
  start: Int32Array;
  end: Int32Array;
  next: Int32Array;
  /** Whether every record has token c as the only value of column c, so that no list need be followed. */
  flat = false;
  /** Tokens in use. */
  tokens = 0;
  private readonly last: Int32Array;

  constructor(columns: readonly string[]) {
    this.columns = columns;
    this.head = new Int32Array(columns.length).fill(NONE);
    this.last = new Int32Array(columns.length).fill(NONE);
    const capacity = Math.max(64, columns.length);
    this.start = new Int32Array(capacity);
    this.end = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
  }

  /** Forgets the record before. */
  clear(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.tokens = 0;
    this.head.fill(NONE);
  }

  /** Adds a value to a column. */
  add(column: number, start: number, end: number): void {
    const token = this.tokens++;
    if (token === this.start.length) this.grow();
    this.start[token] = start;
    this.end[token] = end;
    this.next[token] = NONE;
    if (this.head[column] === NONE) this.head[column] = token;
    else this.next[this.last[column]] = token;
    this.last[column] = token;
  }

  /** A column's values as text, for messages. */
  text(column: number): string {
    const values: string[] = [];
    for (let t = this.head[column]; t !== NONE; t = this.next[t])
      values.push(new TextDecoder().decode(this.bytes.subarray(this.start[t], this.end[t])));
    return values.join(' ');
  }

  private grow(): void {
    const larger = (from: Int32Array): Int32Array => {
      const to = new Int32Array(from.length * 2);
      to.set(from);
      return to;
    };
    this.start = larger(this.start);
    this.end = larger(this.end);
    this.next = larger(this.next);
  }
}
