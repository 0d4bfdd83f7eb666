/**
 * The fast way through flat records (delimited lines: one value per column): stretches of plain hash slots, and of
 * plain numbers, in one loop each. They write what slots.ts and features.ts would write one by one, in half the time; a
 * test holds them to that.
 */
import type { Fields } from './fields.ts';
import { C1, C2, C3, finish, murmur128, rotate } from './murmur.ts';
import { parseNumber } from './numbers.ts';
import type { Rows } from './rows.ts';

type Writer = (fields: Fields, rows: Rows) => string | null;

const words = new Uint32Array(4);

/** One id for each of the columns: the hash of its text, also of an empty one. */
export function hashRun(columns: Int32Array, seeds: Uint32Array): Writer {
  const count = columns.length;
  let viewed: Uint8Array = new Uint8Array(0);
  let view = new DataView(viewed.buffer);
  return ({ bytes, start, end }, rows) => {
    if (bytes !== viewed) {
      viewed = bytes;
      view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    rows.reserve(count);
    const { hi, lo, ids } = rows;
    for (let i = 0; i < count; i++) {
      const from = start[columns[i]];
      const length = end[columns[i]] - from;
      const seed = seeds[i] | 0;
      if (length !== 8) {
        murmur128(bytes, from, from + length, seed, words);
        lo[ids + i] = words[0];
        hi[ids + i] = words[1];
        continue;
      }
      // Eight bytes are what logs hash most: murmur128 without its loop and its branches.
      const h = seed ^ 8;
      let h1 = h ^ Math.imul(rotate(Math.imul(view.getInt32(from, true), C1), 15), C2);
      let h2 = h ^ Math.imul(rotate(Math.imul(view.getInt32(from + 4, true), C2), 16), C3);
      h1 = (h1 + h2 + h + h) | 0;
      h2 = finish(h2 + h1);
      const h3 = finish(h + h1);
      h1 = (finish(h1) + h2 + h3 + h3) | 0;
      lo[ids + i] = h1;
      hi[ids + i] = h2 + h1;
    }
    rows.endSingles(count);
    return null;
  };
}

const ZERO = 48;

/** Counts whose scaled values are looked up: 12 ns less than a logarithm. */
export const COUNTS = 1024;

export interface NumberColumn {
  readonly name: string;
  readonly column: number;
  readonly scaled: (x: number) => number;
  /** Scaled values of 0 to COUNTS - 1. */
  readonly counts: Float32Array;
  readonly absent: number;
}

/**
 * Writes the scaled number of a token; null, or why the record is bad: an infinity in one example makes every weight
 * NaN.
 */
export function writeNumber(
  { name, column, scaled }: NumberColumn,
  fields: Fields,
  token: number,
  dense: Float32Array,
  at: number,
): string | null {
  const x = parseNumber(fields.bytes, fields.start[token], fields.end[token]);
  if (Number.isNaN(x)) return `dense column ${name}: "${fields.text(column)}" is not a number`;
  dense[at] = scaled(x);
  return Number.isFinite(dense[at]) ? null : `dense column ${name}: "${fields.text(column)}" is too large for f32`;
}

/** Numbers side by side from `position` on. */
export function numberRun(columns: readonly NumberColumn[], position: number): Writer {
  const places = Int32Array.from(columns, ({ column }) => column);
  return (fields, rows) => {
    const { bytes, start, end } = fields;
    const { dense } = rows;
    const at = rows.size * rows.schema.dense.length + position;
    for (let i = 0; i < places.length; i++) {
      const from = start[places[i]];
      const to = end[places[i]];
      const length = to - from;
      if (length === 0) {
        dense[at + i] = columns[i].absent;
        continue;
      }
      let count = 0;
      let digits = 0;
      if (length <= 3)
        for (; digits < length; digits++) {
          const digit = bytes[from + digits] - ZERO;
          if (digit < 0 || digit > 9) break;
          count = count * 10 + digit;
        }
      if (digits === length) dense[at + i] = columns[i].counts[count];
      else {
        const fault = writeNumber(columns[i], fields, places[i], dense, at + i);
        if (fault !== null) return fault;
      }
    }
    return null;
  };
}
