/**
 * Bytes of a pickle read in order through a window, with large runs of data left where they are in the file.
 */
import type { ByteSource } from '../source.ts';

const WINDOW_BYTES = 1 << 16;

/** A run of bytes of a file that is read when somebody asks. */
export class FileBytes {
  readonly source: ByteSource;
  readonly offset: number;
  readonly length: number;

  constructor(source: ByteSource, offset: number, length: number) {
    this.source = source;
    this.offset = offset;
    this.length = length;
  }

  read(): Uint8Array<ArrayBuffer> {
    return this.source.read(this.offset, this.length);
  }

  /** `length` bytes from `offset` on, within this run. */
  slice(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (offset < 0 || length < 0 || offset + length > this.length)
      throw new Error(
        `${this.source.name}: bytes ${offset} to ${offset + length} of a run of ${this.length} are asked for`,
      );
    return this.source.read(this.offset + offset, length);
  }
}

export class Cursor {
  readonly source: ByteSource;
  /** Offset of the next byte in the file. */
  at: number;
  private window = new Uint8Array(0);
  private windowStart = 0;

  constructor(source: ByteSource, at = 0) {
    this.source = source;
    this.at = at;
  }

  /** @throws Error with the offset: what is wrong at the place that was read last. */
  fail(what: string, at = this.at): never {
    throw new Error(`${this.source.name}: pickle at byte ${at}: ${what}`);
  }

  private ensure(length: number): number {
    if (this.at + length > this.source.size)
      this.fail(`${length} bytes are needed and ${this.source.size - this.at} are left: the file is cut off`);
    if (this.at < this.windowStart || this.at + length > this.windowStart + this.window.length) {
      const size = Math.min(Math.max(length, WINDOW_BYTES), this.source.size - this.at);
      this.window = this.source.read(this.at, size);
      this.windowStart = this.at;
    }
    const start = this.at - this.windowStart;
    this.at += length;
    return start;
  }

  byte(): number {
    const start = this.ensure(1);
    return this.window[start]!;
  }

  bytes(length: number): Uint8Array {
    const start = this.ensure(length);
    return this.window.subarray(start, start + length);
  }

  private view(length: number): DataView {
    const bytes = this.bytes(length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  u16 = (): number => this.view(2).getUint16(0, true);
  i32 = (): number => this.view(4).getInt32(0, true);
  u32 = (): number => this.view(4).getUint32(0, true);
  f64 = (): number => this.view(8).getFloat64(0, false);

  /** A length of eight bytes; one that the file cannot hold is refused where it is used. */
  u64(): number {
    const value = this.view(8).getBigUint64(0, true);
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? this.fail(`a length of ${value}`, this.at - 8) : Number(value);
  }

  /** UTF-8; what is none (lone surrogates) becomes U+FFFD. */
  text(length: number): string {
    return Buffer.from(this.bytes(length)).toString('utf8');
  }

  /** Up to the next newline, which is taken and left out. */
  line(): string {
    const parts: number[] = [];
    for (let byte = this.byte(); byte !== 0x0a; byte = this.byte()) parts.push(byte);
    return Buffer.from(parts).toString('latin1');
  }

  /** The next `length` bytes, left in the file. */
  skip(length: number): FileBytes {
    if (this.at + length > this.source.size)
      this.fail(`${length} bytes are needed and ${this.source.size - this.at} are left: the file is cut off`);
    const run = new FileBytes(this.source, this.at, length);
    this.at += length;
    return run;
  }
}
