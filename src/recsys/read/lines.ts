/**
 * From chunks of bytes to lines to examples: the loop that reading a file, a part of one, and messages of a broker
 * share.
 */
import type { SparseBatch } from '../batch.ts';
import type { Extractor, Features } from '../features/features.ts';
import { Rows } from '../features/rows.ts';
import { type LineParser, lineParser, OPEN, type TextFormat } from './format.ts';
import { giveScanner, type Scanner, takeScanner } from './scanner.ts';

/** A line that could not be read. */
export interface BadLine {
  /** The file, or the stream. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly reason: string;
  /** The line, cut off after 4,096 bytes. */
  readonly text: string;
}

/** Examples in the order of the lines, and what was wrong among them. */
export interface Block {
  readonly batch: SparseBatch;
  /** Lines read for this block, bad ones included; empty lines are none. */
  readonly lines: number;
  readonly bytes: number;
  readonly bad: readonly BadLine[];
}

const RETURN = 13;
/** Bytes of a bad line that are kept. */
const KEPT = 4096;
/** No line is longer: what is has no line breaks and is no log. */
const LONGEST = 64 << 20;

/** @throws Error where so many bytes without a line break are no line any more */
export function checkLineLength(path: string, bytes: number): void {
  if (bytes > LONGEST) throw new Error(`${path}: a line of more than ${LONGEST >> 20} MB: is the format right?`);
}

/**
 * No quoted field spans more: what does is a quote that is never closed, which shall not spoil the rest of the file.
 */
const LONGEST_RECORD = 1 << 18;

const decoder = new TextDecoder();

/** Parses lines into blocks of at most `blockRows` examples. */
export class LineExamples {
  readonly parser: LineParser;
  private readonly file: string;
  private readonly extract: Extractor;
  private readonly rows: Rows;
  private lines = 0;
  private bytes = 0;
  private bad: BadLine[] = [];

  /** `file` is what bad lines are reported under. */
  constructor(
    file: string,
    features: Features,
    format: TextFormat,
    header: readonly string[] | null,
    blockRows: number,
  ) {
    this.file = file;
    this.parser = lineParser(format, features.columns, header);
    const { columns, flat } = this.parser.fields;
    this.extract = features.extractor(columns, { flat });
    this.rows = new Rows(features.schema, blockRows);
  }

  /**
   * Reads the line [start, end) of `bytes`, which may be changed.
   * @returns false when the line is not complete (an open quoted field), and nothing was done
   */
  line(bytes: Uint8Array, start: number, lineEnd: number, number: number): boolean {
    const end = lineEnd > start && bytes[lineEnd - 1] === RETURN ? lineEnd - 1 : lineEnd;
    this.bytes += lineEnd - start + 1;
    if (end === start) return true;
    const fault = this.parser.parse(bytes, start, end);
    if (fault === OPEN) {
      this.bytes -= lineEnd - start + 1;
      return false;
    }
    this.lines++;
    const reason = fault ?? this.extract(this.parser.fields, this.rows);
    if (reason !== null) this.refuse(bytes, start, end, number, reason);
    return true;
  }

  /** Counts a line as bad. */
  private refuse(bytes: Uint8Array, start: number, end: number, line: number, reason: string): void {
    this.bad.push({
      file: this.file,
      line,
      reason,
      text: decoder.decode(bytes.subarray(start, Math.min(end, start + KEPT))),
    });
  }

  /** A line that is not read at all: of a record that never ended, or of a message that is none. */
  reject(bytes: Uint8Array, start: number, end: number, line: number, reason: string): void {
    this.lines++;
    this.bytes += end - start + 1;
    this.refuse(bytes, start, end, line, reason);
  }

  get full(): boolean {
    return this.rows.full;
  }

  /** Whether anything was read since the last `take`. */
  get some(): boolean {
    return this.lines > 0 || this.bytes > 0;
  }

  take(): Block {
    const block = { batch: this.rows.take(), lines: this.lines, bytes: this.bytes, bad: this.bad };
    this.lines = 0;
    this.bytes = 0;
    this.bad = [];
    return block;
  }
}

export interface Cut {
  /** The first bytes up to and including a line break are passed over: the middle of a line of the part before. */
  readonly skipFirst: boolean;
  /** Lines that begin at or after this offset of the chunks belong to the next part. */
  readonly stop: number;
  /** Number of the first line that is read. */
  readonly firstLine: number;
  readonly path: string;
}

/** Blocks of the lines in `chunks`. */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  examples: LineExamples,
  cut: Cut,
): AsyncGenerator<Block, void, undefined> {
  const scanner = takeScanner();
  if (scanner) examples.parser.attach(scanner);
  try {
    yield* linesOf(new TextBuffer(scanner), chunks, examples, cut);
  } finally {
    if (scanner) giveScanner(scanner);
  }
}

/** Bytes that are not read yet: [0, filled) of an array that grows, in the memory of a scanner where there is one. */
class TextBuffer {
  bytes: Uint8Array;
  filled = 0;
  private readonly scanner: Scanner | null;

  constructor(scanner: Scanner | null) {
    this.scanner = scanner;
    this.bytes = scanner ? scanner.reserve(ROOM) : new Uint8Array(ROOM);
  }

  append(chunk: Uint8Array): void {
    const size = this.filled + chunk.length;
    if (size > this.bytes.length) this.grow(2 * size);
    this.bytes.set(chunk, this.filled);
    this.filled = size;
  }

  /** Forgets the first `count` bytes. */
  drop(count: number): void {
    this.bytes.copyWithin(0, count, this.filled);
    this.filled -= count;
  }

  private grow(size: number): void {
    if (this.scanner) this.bytes = this.scanner.reserve(size);
    else {
      const larger = new Uint8Array(size);
      larger.set(this.bytes.subarray(0, this.filled));
      this.bytes = larger;
    }
  }
}

/** Bytes a buffer begins with: two chunks of a file. */
const ROOM = 1 << 21;

/** UTF-8's byte order mark, which some programs write in front of a text. */
const MARK = [0xef, 0xbb, 0xbf] as const;

const startsWithMark = (bytes: Uint8Array, filled: number): boolean =>
  filled >= MARK.length && MARK.every((byte, i) => bytes[i] === byte);

async function* linesOf(
  buffer: TextBuffer,
  chunks: AsyncIterable<Uint8Array>,
  examples: LineExamples,
  { skipFirst, stop, firstLine, path }: Cut,
): AsyncGenerator<Block, void, undefined> {
  const { parser } = examples;
  let skipping = skipFirst;
  let number = firstLine;
  // The buffer's first byte is byte `origin` of the chunks.
  let origin = 0;
  for await (const chunk of chunks) {
    checkLineLength(path, buffer.filled);
    buffer.append(chunk);
    parser.renew();
    const { bytes, filled } = buffer;
    let at = origin === 0 && startsWithMark(bytes, filled) ? MARK.length : 0;
    for (;;) {
      if (!skipping && origin + at >= stop) {
        if (examples.some) yield examples.take();
        return;
      }
      let end = parser.lineEnd(bytes, at, filled);
      if (end < 0) break;
      if (skipping) skipping = false;
      else {
        let lines = 1;
        let whole = examples.line(bytes, at, end, number);
        while (!whole) {
          end = parser.lineEnd(bytes, end + 1, filled);
          lines++;
          if (end < 0 || end - at > LONGEST_RECORD) break;
          whole = examples.line(bytes, at, end, number);
        }
        if (end < 0 && filled - at <= LONGEST_RECORD) break;
        if (!whole) {
          end = parser.lineEnd(bytes, at, filled);
          examples.reject(bytes, at, end, number, OPEN);
          lines = 1;
        }
        number += lines;
        if (examples.full) yield examples.take();
      }
      at = end + 1;
    }
    buffer.drop(at);
    origin += at;
  }
  parser.renew();
  // What stands behind the last line break.
  const { bytes, filled } = buffer;
  for (let at = 0; at < filled && !skipping && origin + at < stop; ) {
    if (examples.line(bytes, at, filled, number)) break;
    const end = parser.lineEnd(bytes, at, filled);
    examples.reject(bytes, at, end < 0 ? filled : end, number++, OPEN);
    at = end < 0 ? filled : end + 1;
    for (let next = parser.lineEnd(bytes, at, filled); next >= 0; next = parser.lineEnd(bytes, at, filled)) {
      if (!examples.line(bytes, at, next, number)) break;
      number++;
      at = next + 1;
      if (examples.full) yield examples.take();
    }
  }
  if (examples.some) yield examples.take();
}
