/**
 * Which formats logs come in, as plain data, and the parser of each. A parser cuts one line into byte ranges; it makes
 * no strings.
 */
import { byType, check, either, flag, type Kind, list, text } from '../check.ts';
import type { Fields } from '../features/fields.ts';
import { DelimitedParser } from './delimited.ts';
import { MultiSlotParser } from './multiSlot.ts';
import type { Scanner } from './scanner.ts';
import { SlotTextParser } from './slotText.ts';

export type Format =
  | {
      /** Fields between separators (RFC 4180 with quotes). */
      readonly type: 'csv';
      /** ',' by default. */
      readonly separator?: string;
      /** Whether the first line names the columns; true unless `columns` are given. */
      readonly header?: boolean;
      /** Names of the columns, where no header has them. */
      readonly columns?: readonly string[];
      /**
       * Whether fields may stand in double quotes, and then hold separators and line breaks; true by default. Without,
       * one file is read by several threads.
       */
      readonly quotes?: boolean;
      /** Takes blanks around fields away; false by default. */
      readonly trim?: boolean;
    }
  /** Criteo's logs: label, I1 to I13, C1 to C26, separated by tabs. */
  | { readonly type: 'criteo' }
  | {
      /** Pairs of a slot and a sign (or a number), in any order, slots as often as they have values. */
      readonly type: 'slots';
      /** Which stands first; 'sign:slot' by default, as in Baidu's logs. PaddleRec's samples are 'slot:sign'. */
      readonly order?: 'sign:slot' | 'slot:sign';
      /** Between pairs; ' ' by default. */
      readonly separator?: string;
      /** Names of plain fields in front of the pairs; none by default. */
      readonly prefix?: readonly string[];
    }
  /** `n v1 ... vn` for each of these slots, in this order (PaddlePaddle's MultiSlotDataFeed). */
  | { readonly type: 'multislot'; readonly slots: readonly string[] }
  /** Apache Parquet; columns by name, lists are columns with several values. */
  | { readonly type: 'parquet' };

const FORMAT: Kind = byType<Format>({
  csv: { separator: text, header: flag, columns: list(text), quotes: flag, trim: flag },
  criteo: {},
  slots: { order: either('sign:slot', 'slot:sign'), separator: text, prefix: list(text) },
  multislot: { slots: list(text) },
  parquet: {},
});

/** @throws Error in one sentence for a format that is none, or says what it cannot */
export const checkFormat = (format: Format): void => check('format', FORMAT, format);

/** A line that is not complete: a quoted field goes on behind its end. */
export const OPEN = 'a quoted field does not end';

export interface LineParser {
  readonly fields: Fields;
  /**
   * Where the first line break at or after `from` stands, -1 when there is none before `filled`. The line's pieces are
   * found on the way.
   */
  lineEnd(bytes: Uint8Array, from: number, filled: number): number;
  /** Takes a scanner for texts that stand in its memory; `renew` says that the text was changed. */
  attach(scanner: Scanner): void;
  renew(): void;
  /**
   * Cuts the line [start, end) of `bytes` into `fields`; null, OPEN, or why the line is bad. May change the bytes of
   * the line.
   */
  parse(bytes: Uint8Array, start: number, end: number): string | null;
}

const NEWLINE = 10;

/** Where the first line break at or after `from` stands, -1 when there is none before `filled`. */
export function newlineAt(bytes: Uint8Array, from: number, filled: number): number {
  const at = bytes.indexOf(NEWLINE, from);
  return at < filled ? at : -1;
}

/** Formats of lines; Parquet has none. */
export type TextFormat = Exclude<Format, { type: 'parquet' }>;

/** Whether the first line of each file names its columns. */
export const hasHeader = (format: Format): boolean =>
  format.type === 'csv' && (format.header ?? format.columns === undefined);

/** Whether a line break always ends a record, so that a file may be cut at any of them. */
export const isSplittable = (format: Format): boolean =>
  format.type !== 'parquet' && (format.type !== 'csv' || format.quotes === false);

const CRITEO_COLUMNS: readonly string[] = [
  'label',
  ...Array.from({ length: 13 }, (_, i) => `I${i + 1}`),
  ...Array.from({ length: 26 }, (_, i) => `C${i + 1}`),
];

/**
 * The parser of a format.
 * @param wanted the columns that features read; slot text has no list of its own
 * @param header the columns a file's first line names, where it does
 * @throws Error in one sentence where the format contradicts itself
 */
export function lineParser(
  format: TextFormat,
  wanted: readonly string[],
  header: readonly string[] | null,
): LineParser {
  switch (format.type) {
    case 'criteo':
      return new DelimitedParser(CRITEO_COLUMNS, { separator: '\t', quotes: false, trim: false });
    case 'csv': {
      const columns = format.columns ?? header;
      if (!columns) throw new Error('format csv: the columns have no names: give columns, or header: true');
      const { separator = ',', quotes = true, trim = false } = format;
      return new DelimitedParser(columns, { separator, quotes, trim });
    }
    case 'slots':
      return new SlotTextParser(wanted, format);
    case 'multislot':
      return new MultiSlotParser(format.slots);
  }
}

/** The code of a one-byte character. @throws Error naming the option */
export function byteOf(option: string, character: string): number {
  if (character.length !== 1 || character.charCodeAt(0) > 127)
    throw new Error(`${option}: "${character}" came, expected one ASCII character`);
  return character.charCodeAt(0);
}
