/**
 * Lines of fields between separators: CSV, TSV, Criteo.
 */
import { Fields, NONE } from '../features/fields.ts';
import { byteOf, type LineParser, OPEN } from './format.ts';

const QUOTE = 34;
const BLANK = 32;

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

  constructor(columns: readonly string[], { separator, quotes, trim }: DelimitedOptions) {
    const twice = columns.find((name, i) => columns.indexOf(name) !== i);
    if (twice !== undefined) throw new Error(`format csv: column ${twice} is there twice`);
    this.fields = new Fields(columns);
    this.separator = byteOf('format csv: separator', separator);
    this.quotes = quotes;
    this.trim = trim;
    // Column i is token i of every line, so this never changes.
    for (let i = 0; i < columns.length; i++) this.fields.head[i] = i;
    this.fields.next.fill(NONE);
    this.fields.tokens = columns.length;
  }

  parse(bytes: Uint8Array, start: number, end: number): string | null {
    const { fields, separator } = this;
    const last = fields.columns.length - 1;
    fields.bytes = bytes;
    let token = 0;
    let begin = start;
    for (let at = start; at < end; at++) {
      const c = bytes[at];
      if (c === separator) {
        if (token === last) return this.miscount(bytes, at, end, token + 2);
        fields.start[token] = begin;
        fields.end[token++] = at;
        begin = at + 1;
      } else if (c === QUOTE && at === begin && this.quotes) {
        // Known before the line is changed, because an open one is parsed again.
        if (this.isOpen(bytes, at, end)) return OPEN;
        return this.parseQuoted(bytes, token, begin, end);
      }
    }
    fields.start[token] = begin;
    fields.end[token] = end;
    return this.finish(bytes, end, token + 1);
  }

  /** The rest of a line from its first quoted field on; quoted fields are written over themselves without their quotes. */
  private parseQuoted(bytes: Uint8Array, first: number, start: number, end: number): string | null {
    const { fields, separator } = this;
    const last = fields.columns.length - 1;
    let token = first;
    for (let at = start; ; at++) {
      const begin = at;
      let to: number;
      if (bytes[at] === QUOTE && at < end) {
        to = begin;
        for (at++; at < end; at++) {
          if (bytes[at] === QUOTE && (at + 1 === end || bytes[at + 1] !== QUOTE)) break;
          if (bytes[at] === QUOTE) at++;
          bytes[to++] = bytes[at];
        }
        at++;
        if (at < end && bytes[at] !== separator) return `column ${fields.columns[token]}: text after a quoted field`;
      } else {
        while (at < end && bytes[at] !== separator) at++;
        to = at;
      }
      fields.start[token] = begin;
      fields.end[token++] = to;
      if (at >= end) return this.finish(bytes, end, token);
      if (token > last) return this.miscount(bytes, at, end, token + 1);
    }
  }

  private finish(bytes: Uint8Array, end: number, count: number): string | null {
    if (count !== this.fields.columns.length) return this.miscount(bytes, end, end, count);
    if (this.trim) this.trimAll(bytes);
    return null;
  }

  /** Whether a quoted field that begins here goes on behind the end. */
  private isOpen(bytes: Uint8Array, start: number, end: number): boolean {
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

  private miscount(bytes: Uint8Array, at: number, end: number, counted: number): string {
    let count = counted;
    for (let i = at + 1; i < end; i++) if (bytes[i] === this.separator) count++;
    return `${count} field${count === 1 ? '' : 's'}, expected ${this.fields.columns.length}`;
  }
}
