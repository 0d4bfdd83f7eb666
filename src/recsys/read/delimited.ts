/**
 * Lines of fields between separators: CSV, TSV, Criteo.
 */
import { Fields, NONE } from '../features/fields.ts';
import { byteOf, type LineParser, OPEN } from './format.ts';
import type { Scanner } from './scanner.ts';
import { LineSplitter } from './splitter.ts';

const QUOTE = 34;
const BLANK = 32;

interface DelimitedOptions {
  readonly separator: string;
  readonly quotes: boolean;
  readonly trim: boolean;
}

export class DelimitedParser implements LineParser {
  readonly fields: Fields;
  private readonly separator: number;
  private readonly trim: boolean;
  private readonly splitter: LineSplitter;

  constructor(columns: readonly string[], { separator, quotes, trim }: DelimitedOptions) {
    const twice = columns.find((name, i) => columns.indexOf(name) !== i);
    if (twice !== undefined) throw new Error(`format csv: column ${twice} is there twice`);
    this.fields = new Fields(columns);
    this.separator = byteOf('format csv: separator', separator);
    this.trim = trim;
    this.splitter = new LineSplitter(this.separator, quotes ? QUOTE : undefined);
    // Column i is token i of every line, so this never changes.
    for (let i = 0; i < columns.length; i++) this.fields.head[i] = i;
    this.fields.next.fill(NONE);
    this.fields.tokens = columns.length;
    this.fields.flat = true;
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

  parse(bytes: Uint8Array, start: number, end: number): string | null {
    const { fields, splitter } = this;
    fields.bytes = bytes;
    const found = splitter.split(bytes, start, end);
    if (found < 0) return this.isOpen(bytes, start, end) ? OPEN : this.parseQuoted(bytes, start, end);
    fields.start = splitter.start;
    fields.end = splitter.end;
    return this.finish(found);
  }

  /** A line with quoted fields, which are written over themselves without their quotes. */
  private parseQuoted(bytes: Uint8Array, start: number, end: number): string | null {
    const { fields, separator } = this;
    const count = fields.columns.length;
    for (let token = 0, at = start; ; at++) {
      const begin = at;
      let to = begin;
      if (bytes[at] === QUOTE && at < end) {
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
