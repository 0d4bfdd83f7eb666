/**
 * Lines of `n v1 ... vn` per slot, all slots in a fixed order: what PaddlePaddle's MultiSlotDataFeed reads.
 */
import { Fields } from '../features/fields.ts';
import type { LineParser } from './format.ts';
import type { Scanner } from './scanner.ts';
import { LineSplitter } from './splitter.ts';

const BLANK = 32;
const ZERO = 48;
/** No log has so many values in a slot; a sign in the place of a count mostly is larger. */
const MOST = 1_000_000;

export class MultiSlotParser implements LineParser {
  readonly fields: Fields;
  private readonly splitter = new LineSplitter(BLANK);

  constructor(slots: readonly string[]) {
    if (!Array.isArray(slots) || slots.length === 0)
      throw new Error('format multislot: slots is missing, expected the names of the slots in their order');
    const twice = slots.find((name, i) => slots.indexOf(name) !== i);
    if (twice !== undefined) throw new Error(`format multislot: slot ${twice} is there twice`);
    this.fields = new Fields(slots);
  }

  attach(scanner: Scanner): void {
    this.splitter.attach(scanner);
  }

  renew(): void {
    this.splitter.renew();
  }

  lineEnd(bytes: Uint8Array, from: number, filled: number): number {
    return this.splitter.lineEnd(bytes, from, filled);
  }

  parse(bytes: Uint8Array, lineStart: number, lineEnd: number): string | null {
    const { fields, splitter } = this;
    const { columns } = fields;
    fields.clear(bytes);
    const pieces = splitter.split(bytes, lineStart, lineEnd);
    const { start, end } = splitter;
    let piece = 0;
    for (let slot = 0; slot < columns.length; slot++) {
      // Two blanks in a row leave an empty piece.
      while (piece < pieces && start[piece] === end[piece]) piece++;
      if (piece === pieces) return `the line ends before slot ${columns[slot]}`;
      const count = this.count(bytes, start[piece], end[piece]);
      if (count < 0) return this.badCount(slot, bytes, start[piece], end[piece]);
      piece++;
      for (let i = 0; i < count; i++) {
        while (piece < pieces && start[piece] === end[piece]) piece++;
        if (piece === pieces) return `slot ${columns[slot]} says ${count} values, and the line ends after ${i}`;
        fields.add(slot, start[piece], end[piece]);
        piece++;
      }
    }
    while (piece < pieces && start[piece] === end[piece]) piece++;
    return piece < pieces ? `the line goes on behind its ${columns.length} slots` : null;
  }

  /** A number of values, -1 when it is none. */
  private count(bytes: Uint8Array, start: number, end: number): number {
    let count = 0;
    for (let at = start; at < end; at++) {
      const digit = bytes[at] - ZERO;
      if (digit < 0 || digit > 9 || count > MOST) return -1;
      count = count * 10 + digit;
    }
    return count;
  }

  private badCount(slot: number, bytes: Uint8Array, start: number, end: number): string {
    const text = new TextDecoder().decode(bytes.subarray(start, Math.min(end, start + 40)));
    return `slot ${this.fields.columns[slot]}: "${text}" is not a number of values`;
  }
}
