/**
 * How each kind of slot turns a record's bytes into ids: one closure per slot, made once.
 */
import { type Fields, NONE } from './fields.ts';
import { murmur128 } from './murmur.ts';
import { parseNumber, parseSign, type SignFault } from './numbers.ts';
import type { Rows } from './rows.ts';
import type { SlotSpec } from './spec.ts';

/** Writes one bag; null, or why the record is bad. */
export type Writer = (fields: Fields, rows: Rows) => string | null;

/** Reads bytes [start, end) into the bag; null, or why they are bad. */
type ValueWriter = (bytes: Uint8Array, start: number, end: number, rows: Rows) => string | null;

const words = new Uint32Array(4);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The 32-bit seed that stands for a slot's name. */
export function slotSeed(name: string): number {
  const bytes = encoder.encode(name);
  murmur128(bytes, 0, bytes.length, 0, words);
  return words[0];
}

/** Upper and lower half of the sign of a text in the slot of a name: what hash slots compute. */
export function hashSign(slot: string, text: string): { readonly hi: number; readonly lo: number } {
  const bytes = encoder.encode(text);
  murmur128(bytes, 0, bytes.length, slotSeed(slot), words);
  return { hi: words[1], lo: words[0] };
}

const shown = (bytes: Uint8Array, start: number, end: number): string =>
  decoder.decode(bytes.subarray(start, Math.min(end, start + 40))) + (end > start + 40 ? '...' : '');

const FAULTS: Readonly<Record<Exclude<SignFault, 'ok'>, string>> = {
  empty: 'an empty sign came',
  negative: 'is negative, signs are unsigned',
  'not-a-number': 'is not a whole number',
  'over-64-bits': 'is over 64 bits (18446744073709551615 is the largest sign)',
};

function idWriter(name: string): ValueWriter {
  return (bytes, start, end, rows) => {
    const fault = parseSign(bytes, start, end, words);
    if (fault === 'ok') {
      rows.id(words[0], words[1]);
      return null;
    }
    return `slot ${name}: ${fault === 'empty' ? '' : `sign ${shown(bytes, start, end)} `}${FAULTS[fault]}`;
  };
}

function hashWriter(seed: number): ValueWriter {
  return (bytes, start, end, rows) => {
    murmur128(bytes, start, end, seed, words);
    rows.id(words[1], words[0]);
    return null;
  };
}

const index = new Int32Array(1);
const indexBytes = new Uint8Array(index.buffer);

/** The sign of a small whole number, as its four bytes (little endian) are hashed. */
function idOfIndex(value: number, seed: number, rows: Rows): void {
  index[0] = value;
  murmur128(indexBytes, 0, 4, seed, words);
  rows.id(words[1], words[0]);
}

/** Position of the first boundary above x. */
function intervalOf(x: number, boundaries: readonly number[]): number {
  let low = 0;
  let high = boundaries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (boundaries[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

function binWriter(name: string, seed: number, binOf: (x: number) => number): ValueWriter {
  return (bytes, start, end, rows) => {
    const x = parseNumber(bytes, start, end);
    if (Number.isNaN(x)) return `slot ${name}: "${shown(bytes, start, end)}" is not a number`;
    idOfIndex(binOf(x), seed, rows);
    return null;
  };
}

const logBin = (x: number): number => Math.floor(x > 2 ? Math.log(x) ** 2 : x);

function valueWriter(slot: Exclude<SlotSpec, { type: 'cross' }>): ValueWriter {
  switch (slot.type) {
    case 'id':
      return idWriter(slot.name);
    case 'hash':
      return hashWriter(slotSeed(slot.share ?? slot.name));
    case 'bucket':
      return binWriter(slot.name, slotSeed(slot.name), x => intervalOf(x, slot.boundaries));
    case 'logBucket':
      return binWriter(slot.name, slotSeed(slot.name), logBin);
  }
}

/** Reads a part of the value, counted as `slice` does. */
function cutting(value: ValueWriter, [first, last]: readonly [number, number?]): ValueWriter {
  return (bytes, start, end, rows) => {
    const place = (at: number): number => Math.min(end, Math.max(start, at < 0 ? end + at : start + at));
    const from = place(first);
    return value(bytes, from, Math.max(from, last === undefined ? end : place(last)), rows);
  };
}

/** Calls `value` with every piece between separators that is not empty, `empty` where one is. */
function splitting(value: ValueWriter, separator: number, empty: (rows: Rows) => void): ValueWriter {
  return (bytes, start, end, rows) => {
    let begin = start;
    for (let at = start; at <= end; at++) {
      if (at < end && bytes[at] !== separator) continue;
      const fault = at > begin ? value(bytes, begin, at, rows) : null;
      if (fault !== null) return fault;
      if (at === begin) empty(rows);
      begin = at + 1;
    }
    return null;
  };
}

/** The closure of a slot. `columnOf` finds a column of the data by name. */
export function slotWriter(slot: SlotSpec, columnOf: (name: string) => number): Writer {
  const { limit, keep = 'last' } = slot;
  const write = slot.type === 'cross' ? crossWriter(slot, slot.from.map(columnOf)) : plainWriter(slot, columnOf);
  if (limit === undefined)
    return (fields, rows) => {
      const fault = write(fields, rows);
      rows.endBag();
      return fault;
    };
  return (fields, rows) => {
    const fault = write(fields, rows);
    if (keep === 'first') rows.keepFirst(limit);
    else rows.keepLast(limit);
    rows.endBag();
    return fault;
  };
}

function plainWriter(slot: Exclude<SlotSpec, { type: 'cross' }>, columnOf: (name: string) => number): Writer {
  const column = columnOf(slot.from ?? slot.name);
  const {
    separator,
    single = false,
    missing = slot.type === 'id' || separator !== undefined ? 'empty' : 'sign',
  } = slot;
  const seed = slotSeed(slot.type === 'hash' ? (slot.share ?? slot.name) : slot.name);
  const writeMissing = (rows: Rows): void => {
    if (missing === 'empty') return;
    murmur128(indexBytes, 0, 0, seed, words);
    rows.id(words[1], words[0]);
  };
  const whole = valueWriter(slot);
  const pieces = separator === undefined ? whole : splitting(whole, separator.charCodeAt(0), writeMissing);
  const value = slot.part ? cutting(pieces, slot.part) : pieces;
  return (fields, rows) => {
    const { bytes, start, end, next } = fields;
    let some = false;
    for (let token = fields.head[column]; token !== NONE; token = next[token]) {
      if (start[token] === end[token]) continue;
      if (some && single) return `slot ${slot.name} is there more than once`;
      some = true;
      const fault = value(bytes, start[token], end[token], rows);
      if (fault !== null) return fault;
    }
    if (!some) writeMissing(rows);
    return null;
  };
}

/** Between the parts of a cross: ASCII's unit separator, which no text of a log holds. */
const BETWEEN = 31;

function crossWriter(slot: Extract<SlotSpec, { type: 'cross' }>, columns: readonly number[]): Writer {
  const seed = slotSeed(slot.name);
  const { missing = 'sign' } = slot;
  let scratch = new Uint8Array(256);
  const room = (length: number): void => {
    if (length <= scratch.length) return;
    const larger = new Uint8Array(length * 2);
    larger.set(scratch);
    scratch = larger;
  };
  /** Every combination of the values of columns `part` and after, behind the `used` bytes in scratch. */
  const combine = (fields: Fields, rows: Rows, part: number, used: number): void => {
    if (part === columns.length) {
      murmur128(scratch, 0, used, seed, words);
      rows.id(words[1], words[0]);
      return;
    }
    let some = false;
    for (let token = fields.head[columns[part]]; token !== NONE; token = fields.next[token]) {
      const [start, end] = [fields.start[token], fields.end[token]];
      if (start === end) continue;
      some = true;
      room(used + end - start + 1);
      for (let i = start; i < end; i++) scratch[used + i - start] = fields.bytes[i];
      scratch[used + end - start] = BETWEEN;
      combine(fields, rows, part + 1, used + end - start + 1);
    }
    if (some || missing === 'empty') return;
    room(used + 1);
    scratch[used] = BETWEEN;
    combine(fields, rows, part + 1, used + 1);
  };
  return (fields, rows) => {
    combine(fields, rows, 0, 0);
    return null;
  };
}
