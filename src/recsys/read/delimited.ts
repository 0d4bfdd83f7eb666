/**
 * Lines of fields between separators: CSV, TSV, Criteo.
 */
import { Fields, NONE } from '../features/fields.ts';
import { byteOf, type LineParser, newlineAt, OPEN } from './format.ts';
import { Scanner, WINDOW } from './scanner.ts';

const QUOTE = 34;
const BLANK = 32;
const NEWLINE = 10;

export interface DelimitedOptions {
  readonly separator: string;
  readonly quotes: boolean;
  readonly trim: boolean;
}

export class DelimitedParser implements LineParser {
  readonly fields: Fields;
  private readonly separator: number;
  private readonly quotes: boolean;
  private readonly trim: boolean;
  /** No byte above this one means anything to the scan. */
  private readonly highest: number;
  /** Where the line began that `lineEnd` saw last, and how many fields it has; -1 when it has quotes. */
  private scanned = -1;
  private found = 0;
  private scanner: Scanner | null = null;
  /** Of the scanner's positions: the next one, how many there are, where the scanned text ends, and where the next line should begin. */
  private next = 0;
  private count = 0;
  private scannedTo = 0;
  private expected = -1;

  constructor(columns: readonly string[], { separator, quotes, trim }: DelimitedOptions) {
    const twice = columns.find((name, i) => columns.indexOf(name) !== i);
    if (twice !== undefined) throw new Error(`format csv: column ${twice} is there twice`);
    this.fields = new Fields(columns);
    this.separator = byteOf('format csv: separator', separator);
    this.quotes = quotes;
    this.trim = trim;
    this.highest = Math.max(this.separator, quotes ? QUOTE : NEWLINE);
    // Column i is token i of every line, so this never changes.
    for (let i = 0; i < columns.length; i++) this.fields.head[i] = i;
    this.fields.next.fill(NONE);
    this.fields.tokens = columns.length;
    this.fields.flat = true;
  }

  attach(scanner: Scanner): void {
    this.scanner = scanner;
    this.expected = -1;
  }

  renew(): void {
    this.expected = -1;
  }

  /** Notes where fields end while it looks for the line's end, so that `parse` need not look again. */
  lineEnd(bytes: Uint8Array, from: number, filled: number): number {
    if (this.scanner?.text === bytes) return this.scanLine(this.scanner, from, filled);
    const { separator, highest } = this;
    const { start, end } = this.fields;
    const last = this.fields.columns.length - 1;
    let token = 0;
    let begin = from;
    this.scanned = -1;
    for (let at = from; at < filled; at++) {
      const c = bytes[at];
      if (c > highest) continue;
      if (c === separator) {
        if (token < last) {
          start[token] = begin;
          end[token] = at;
        }
        token++;
        begin = at + 1;
      } else if (c === NEWLINE) {
        if (token <= last) start[token] = begin;
        this.scanned = from;
        this.found = token + 1;
        return at;
      } else if (c === QUOTE && at === begin && this.quotes) return newlineAt(bytes, at, filled);
    }
    return -1;
  }

  /** `lineEnd` from the positions of separators and line breaks. */
  private scanLine(scanner: Scanner, from: number, filled: number): number {
    const { separator, quotes } = this;
    const { text, positions } = scanner;
    const { start, end } = this.fields;
    const last = this.fields.columns.length - 1;
    if (this.expected !== from) {
      this.next = 0;
      this.count = 0;
      this.scannedTo = from;
    }
    this.expected = -1;
    this.scanned = -1;
    let token = 0;
    let begin = from;
    for (;;) {
      while (this.next === this.count) {
        if (this.scannedTo >= filled) return -1;
        const to = Math.min(filled, this.scannedTo + WINDOW);
        this.count = scanner.scan(this.scannedTo, to, separator, NEWLINE);
        this.next = 0;
        this.scannedTo = to;
      }
      const at = positions[this.next++] - Scanner.origin;
      if (quotes && text[begin] === QUOTE) return newlineAt(text, begin, filled);
      if (text[at] === separator) {
        if (token < last) {
          start[token] = begin;
          end[token] = at;
        }
        token++;
        begin = at + 1;
      } else {
        if (token <= last) start[token] = begin;
        this.scanned = from;
        this.found = token + 1;
        this.expected = at + 1;
        return at;
      }
    }
  }

  parse(bytes: Uint8Array, start: number, end: number): string | null {
    this.fields.bytes = bytes;
    if (this.scanned !== start) {
      if (this.isOpen(bytes, start, end)) return OPEN;
      return this.parseFields(bytes, start, end);
    }
    if (this.found === this.fields.columns.length) this.fields.end[this.found - 1] = end;
    return this.finish(this.found);
  }

  /** A line with quoted fields, which are written over themselves without their quotes; or one that `lineEnd` has not seen. */
  private parseFields(bytes: Uint8Array, start: number, end: number): string | null {
    const { fields, separator, quotes } = this;
    const count = fields.columns.length;
    for (let token = 0, at = start; ; at++) {
      const begin = at;
      let to = begin;
      if (bytes[at] === QUOTE && at < end && quotes) {
        for (at++; at < end; at++) {
          if (bytes[at] === QUOTE && (at + 1 === end || bytes[at + 1] !== QUOTE)) break;
          if (bytes[at] === QUOTE) at++;
          bytes[to++] = bytes[at];
        }
        at++;
        if (at < end && bytes[at] !== separator) return `field ${token + 1}: text after a quoted field`;
      } else {
        while (at < end && bytes[at] !== separator) at++;
        to = at;
      }
      if (token < count) {
        fields.start[token] = begin;
        fields.end[token] = to;
      }
      token++;
      if (at >= end) return this.finish(token);
    }
  }

  private finish(found: number): string | null {
    const expected = this.fields.columns.length;
    if (found !== expected) return `${found} field${found === 1 ? '' : 's'}, expected ${expected}`;
    if (this.trim) this.trimAll(this.fields.bytes);
    return null;
  }

  /** Whether a quoted field of the line goes on behind its end. */
  private isOpen(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.quotes) return false;
    let quotes = 0;
    for (let at = start; at < end; at++) if (bytes[at] === QUOTE) quotes++;
    return quotes % 2 === 1;
  }

  private trimAll(bytes: Uint8Array): void {
    const { start, end } = this.fields;
    for (let t = 0; t < this.fields.tokens; t++) {
      while (start[t] < end[t] && bytes[start[t]] === BLANK) start[t]++;
      while (end[t] > start[t] && bytes[end[t] - 1] === BLANK) end[t]--;
    }
  }
}
