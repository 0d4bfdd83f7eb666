/**
 * Lines of `n v1 ... vn` per slot, all slots in a fixed order: what PaddlePaddle's MultiSlotDataFeed reads.
 */
import { Fields } from '../features/fields.ts';
import { type LineParser, newlineAt } from './format.ts';

const BLANK = 32;
const ZERO = 48;
/** No log has so many values in a slot; a sign in the place of a count mostly is larger. */
const MOST = 1_000_000;

export class MultiSlotParser implements LineParser {
  readonly fields: Fields;

  constructor(slots: readonly string[]) {
    if (!Array.isArray(slots) || slots.length === 0)
      throw new Error('format multislot: slots is missing, expected the names of the slots in their order');
    const twice = slots.find((name, i) => slots.indexOf(name) !== i);
    if (twice !== undefined) throw new Error(`format multislot: slot ${twice} is there twice`);
    this.fields = new Fields(slots);
  }

  lineEnd(bytes: Uint8Array, from: number, filled: number): number {
    return newlineAt(bytes, from, filled);
  }

  parse(bytes: Uint8Array, start: number, end: number): string | null {
    const { fields } = this;
    const { columns } = fields;
    fields.clear(bytes);
    let at = start;
    for (let slot = 0; slot < columns.length; slot++) {
      while (at < end && bytes[at] === BLANK) at++;
      const countAt = at;
      let count = 0;
      for (; at < end && bytes[at] !== BLANK; at++) {
        const digit = bytes[at] - ZERO;
        if (digit < 0 || digit > 9 || count > MOST) return this.badCount(slot, bytes, countAt, end);
        count = count * 10 + digit;
      }
      if (at === countAt) return `the line ends before slot ${columns[slot]}`;
      for (let i = 0; i < count; i++) {
        while (at < end && bytes[at] === BLANK) at++;
        const begin = at;
        while (at < end && bytes[at] !== BLANK) at++;
        if (at === begin) return `slot ${columns[slot]} says ${count} values, and the line ends after ${i}`;
        fields.add(slot, begin, at);
      }
    }
    while (at < end && bytes[at] === BLANK) at++;
    return at < end ? `the line goes on behind its ${columns.length} slots` : null;
  }

  private badCount(slot: number, bytes: Uint8Array, start: number, lineEnd: number): string {
    let end = start;
    while (end < lineEnd && bytes[end] !== BLANK) end++;
    const text = new TextDecoder().decode(bytes.subarray(start, Math.min(end, start + 40)));
    return `slot ${this.fields.columns[slot]}: "${text}" is not a number of values`;
  }
}
