/**
 * Reads protobuf messages from a byte source by range: only a window of the file is in memory, and the bytes of tensors
 * stay where they are until somebody asks. The library reads tags and scalars; this walks messages, checks every length
 * against its parent, and says where a file is wrong.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { ByteSource } from '../source.ts';
import type { Field, Range, Schema } from './schema.ts';

/**
 * How deep messages may nest: what other readers of protobuf allow. Subgraphs and types use three or four levels each.
 */
const MAX_DEPTH = 100;

/** Bytes of a file held at a time; smaller files are read at once. */
const WINDOW = 1 << 20;

const text = new TextDecoder();

/** A part of the file in memory, moved as reading goes on. */
class Window {
  readonly source: ByteSource;
  #start = 0;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #reader = new BinaryReader(this.#bytes);

  constructor(source: ByteSource) {
    this.source = source;
  }

  /** A reader at `offset` with at least `count` bytes, or all that are left, in memory. */
  at(offset: number, count: number): BinaryReader {
    const end = Math.min(offset + count, this.source.size);
    if (offset < this.#start || end > this.#start + this.#bytes.length) {
      const length = Math.max(end - offset, Math.min(WINDOW, this.source.size - offset));
      this.#bytes = this.source.read(offset, length);
      this.#start = offset;
      this.#reader = new BinaryReader(this.#bytes);
    }
    this.#reader.pos = offset - this.#start;
    return this.#reader;
  }

  /** Where a reader given by `at` stands in the file. */
  offset(reader: BinaryReader): number {
    return this.#start + reader.pos;
  }

  /** A copy of the bytes of a range. */
  bytes({ offset, length }: Range): Uint8Array<ArrayBuffer> {
    if (offset >= this.#start && offset + length <= this.#start + this.#bytes.length)
      return this.#bytes.slice(offset - this.#start, offset - this.#start + length);
    return this.source.read(offset, length);
  }
}

const WIRES: { readonly [type: string]: WireType } = {
  size: WireType.Varint,
  int32: WireType.Varint,
  int64: WireType.Varint,
  uint64: WireType.Varint,
  float: WireType.Bit32,
  double: WireType.Bit64,
};

class MessageReader<Messages extends object> {
  readonly window: Window;
  readonly schema: Schema<Messages>;
  /** The fields being read, outermost first, for errors. */
  readonly path: string[] = [];

  constructor(source: ByteSource, schema: Schema<Messages>) {
    this.window = new Window(source);
    this.schema = schema;
  }

  fail(offset: number, what: string): never {
    throw new Error(`${this.window.source.name}: byte ${offset}, ${this.path.join('.')}: ${what}`);
  }

  message(name: string, begin: number, end: number): Record<string, unknown> {
    if (this.path.length > MAX_DEPTH) this.fail(begin, `messages nest deeper than ${MAX_DEPTH}`);
    const message = this.schema.empty(name);
    const fields = this.schema.fields(name);
    let at = begin;
    while (at < end) at = this.field(fields, message, at, end);
    return message;
  }

  /** Reads one field and gives the offset after it. */
  field(fields: ReadonlyMap<number, Field>, message: Record<string, unknown>, at: number, end: number): number {
    // A tag is at most 5 bytes and a varint 10.
    let reader = this.window.at(at, 16);
    let number: number;
    let wire: WireType;
    try {
      [number, wire] = reader.tag();
    } catch {
      this.fail(at, 'no protobuf tag');
    }
    const field = fields.get(number);
    const expected = field ? (WIRES[field.type] ?? WireType.LengthDelimited) : wire;
    const packed = field?.repeated && expected !== WireType.LengthDelimited && wire === WireType.LengthDelimited;
    if (expected !== wire && !packed)
      this.fail(at, `field ${number} (${field!.name}) has wire type ${wire}, expected ${expected}`);
    this.path.push(field ? field.name : `field ${number}`);
    let next: number;
    if (wire === WireType.LengthDelimited) {
      const length = Number(this.scalar(reader, 'uint64', at));
      const start = this.window.offset(reader);
      next = start + length;
      if (next > end) this.fail(start, `${length} bytes are claimed, and ${end - start} are left`);
      if (field) this.delimited(field, message, start, length, packed === true);
    } else {
      if (wire !== WireType.Varint && wire !== WireType.Bit32 && wire !== WireType.Bit64)
        this.fail(at, `wire type ${wire} is no part of this format`);
      const type = field
        ? field.type
        : wire === WireType.Varint
          ? 'uint64'
          : wire === WireType.Bit32
            ? 'float'
            : 'double';
      reader = this.window.at(this.window.offset(reader), 16);
      const value = this.scalar(reader, type, at);
      next = this.window.offset(reader);
      if (next > end) this.fail(at, 'the value ends beyond its message');
      if (field?.repeated) (message[field.name] as unknown[]).push(value);
      else if (field) message[field.name] = value;
    }
    this.path.pop();
    return next;
  }

  delimited(field: Field, message: Record<string, unknown>, start: number, length: number, packed: boolean): void {
    const range = { offset: start, length };
    const put = (value: unknown): void => {
      if (field.repeated) (message[field.name] as unknown[]).push(value);
      else message[field.name] = value;
    };
    if (packed) {
      const bytes = this.window.bytes(range);
      const reader = new BinaryReader(bytes);
      const into = message[field.name] as unknown[];
      while (reader.pos < bytes.length) into.push(this.scalar(reader, field.type, start));
    } else if (this.schema.isMessage(field.type)) {
      const depth = this.path.length;
      if (field.repeated) this.path[depth - 1] += `[${(message[field.name] as unknown[]).length}]`;
      put(this.message(field.type, start, start + length));
    } else if (field.type === 'range') put(range);
    else {
      const bytes = this.window.bytes(range);
      put(field.type === 'string' ? text.decode(bytes) : bytes);
    }
  }

  scalar(reader: BinaryReader, type: Field['type'], at: number): number | bigint {
    try {
      switch (type) {
        case 'float':
          return reader.float();
        case 'double':
          return reader.double();
        case 'int32':
          return reader.int32();
        case 'uint64':
          return BigInt(reader.uint64());
        case 'size':
          return Number(reader.int64());
        default:
          return BigInt(reader.int64());
      }
    } catch {
      return this.fail(at, 'the number is cut off or malformed');
    }
  }
}

/**
 * Reads the whole source as one message.
 * @throws Error that names the file, the offset and the field of what is wrong
 */
export function readMessage<Messages extends object, M extends string & keyof Messages>(
  source: ByteSource,
  schema: Schema<Messages>,
  name: M,
  range: Range = { offset: 0, length: source.size },
): Messages[M] {
  const reader = new MessageReader(source, schema);
  reader.path.push(name);
  return reader.message(name, range.offset, range.offset + range.length) as Messages[M];
}
