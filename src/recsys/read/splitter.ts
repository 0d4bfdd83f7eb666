/**
 * A line's pieces between separators, found while its end is looked for: what the parsers of lines share.
 */
import { newlineAt } from './format.ts';
import { Scanner, WINDOW } from './scanner.ts';

const NEWLINE = 10;

export class LineSplitter {
  /** Piece i of the line is bytes [start[i], end[i]). Other arrays when there are more pieces than ever before. */
  start: Int32Array = new Int32Array(64);
  end: Int32Array = new Int32Array(64);
  private readonly separator: number;
  private readonly leave: number;
  private scanner: Scanner | null = null;
  /**
   * Of the scanner's positions: the next one, how many there are, where the scanned text ends, and where the next line
   * should begin.
   */
  private next = 0;
  private count = 0;
  private scannedTo = 0;
  private expected = -1;
  /** Where the line begins whose pieces these are, and how many there are. */
  private line = -1;
  private found = 0;

  /** @param leave a line in which a piece begins with this byte is not split: its parser reads it in its own way */
  constructor(separator: number, leave = -1) {
    this.separator = separator;
    this.leave = leave;
  }

  attach(scanner: Scanner): void {
    this.scanner = scanner;
    this.renew();
  }

  /** The scanner's text was changed. */
  renew(): void {
    this.expected = -1;
    this.line = -1;
  }

  /** Where the first line break at or after `from` stands, -1 when there is none before `filled`. */
  lineEnd(bytes: Uint8Array, from: number, filled: number): number {
    this.line = -1;
    return this.scanner?.text === bytes ? this.scanLine(this.scanner, from, filled) : newlineAt(bytes, from, filled);
  }

  private scanLine(scanner: Scanner, from: number, filled: number): number {
    const { separator, leave } = this;
    const { text, positions } = scanner;
    let { start, end } = this;
    if (this.expected !== from) {
      this.next = 0;
      this.count = 0;
      this.scannedTo = from;
    }
    this.expected = -1;
    let piece = 0;
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
      if (text[begin] === leave) return newlineAt(text, begin, filled);
      if (piece === start.length) ({ start, end } = this.grow());
      start[piece] = begin;
      end[piece++] = at;
      begin = at + 1;
      if (text[at] === separator) continue;
      this.line = from;
      this.found = piece;
      this.expected = at + 1;
      return at;
    }
  }

  /**
   * How many pieces the line [start, lineEnd) has, into `start` and `end`; -1 when it is one that is left to its
   * parser.
   */
  split(bytes: Uint8Array, start: number, lineEnd: number): number {
    if (this.line !== start && !this.splitPlainly(bytes, start, lineEnd)) return -1;
    // Without the carriage return.
    this.end[this.found - 1] = lineEnd;
    return this.found;
  }

  private splitPlainly(bytes: Uint8Array, from: number, to: number): boolean {
    const { separator, leave } = this;
    this.found = 0;
    for (let begin = from, at = from; ; at++) {
      if (at < to && at === begin && bytes[at] === leave) return false;
      if (at < to && bytes[at] !== separator) continue;
      if (this.found === this.start.length) this.grow();
      this.start[this.found] = begin;
      this.end[this.found++] = at;
      if (at >= to) return true;
      begin = at + 1;
    }
  }

  private grow(): this {
    const larger = (from: Int32Array): Int32Array => {
      const to = new Int32Array(from.length * 2);
      to.set(from);
      return to;
    };
    this.start = larger(this.start);
    this.end = larger(this.end);
    return this;
  }
}
